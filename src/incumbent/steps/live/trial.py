"""Step 3. Is the challenger better on live traffic? Bounds that hold at every look, from sums of the log.

In: exact sums by arm (split) or by block of time (shadow), the trial, the settings, the last recorded look. Out: one
Evidence with verdict, bounds, counts, guardrails and every number behind them. A gain is the incumbent's mean row loss
minus the challenger's (or the gain in the primary measure): positive is better. Reads no log; promotes nothing.

Split: ratio of sums by unit, delta method, intention to treat. Shadow: blocks of one difference. The same sums,
settings and last look give the same bytes.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from incumbent.config import Live
from incumbent.records import DAY, SECOND, Arm, Evidence, Json, Micros, Trial
from incumbent.stats.metrics import Metric
from incumbent.steps.live import arms as checks
from incumbent.steps.live import bounds, guardrails, horizon, looks, measures, outlook, pairs
from incumbent.steps.live.gain import Gain, mean
from incumbent.steps.live.guardrails import rate
from incumbent.steps.live.horizon import Horizon
from incumbent.steps.live.measures import ARMS, LOSS, Arms, Compared, shown
from incumbent.steps.live.pairs import MIN_BLOCK_ROWS, MIN_BLOCKS
from incumbent.steps.live.sums import window
from incumbent.steps.live.verdict import Guardrail, Reading, verdict
from incumbent.storage.base import ArmSums, BlockSum, Mark, Moments, TrialSums

BLOCK: Micros = 6 * 3600 * SECOND
CALLED: tuple[Arm, Arm] = ("called", "incumbent")


def judge_split(
    trial: Trial,
    sums: TrialSums,
    live: Live,
    metric: Metric,
    now: Micros,
    *,
    before: Evidence | None = None,
    planned: int | None = None,
    latched: bool = False,
) -> Evidence:
    """One look at a split trial.

    `sums` are those of `steps.live.sums.plan(trial, live)` at the trial's present phase. `before` is the last recorded
    look at the same phase: it carries the number of looks, the smallest split p-value and the tuning, so pass it.
    `planned` is how many units both arms may have seen by the end: the trial stops there; without it that is twice the
    fixed sample for `live.smallest_effect`, and without that the traffic until the first valid look is extrapolated for
    the tuning, and the deadline ends the trial. `latched`: the challenger's breaker stays open.
    """
    past = looks.of_phase(before, trial)
    arms: Arms = {arm: sums.arms.get(arm, ArmSums()) for arm in trial.shares}

    reachable = horizon.reachable(trial, sums, live, now)
    primary, *others = _compared(arms, live, past, reachable, planned)
    split = checks.split_check(trial, arms, sums, past)
    guards = _guardrails(trial, arms, live, past, others)
    elapsed = outlook.counted_for(trial, window(live), now)
    reading = Reading(
        primary.found["estimate"],
        primary.found["lower"],
        primary.found["upper"],
        primary.found["harm_upper"],
        days=days(trial, now),
        split_p=split["p"],
        both_arms=split["both_arms"],
        guardrails=guards,
        missing=outlook.missing(primary, metric, live.min_labels, elapsed),
        outlook=outlook.until_shown(primary, live.min_gain, live.alpha, elapsed),
        latched=latched,
        n=primary.gain.n,
        n_max=primary.horizon.n_max,
    )
    labelled = {arm: one.labelled for arm, one in arms.items()}
    matured = {arm: one.matured for arm, one in arms.items()}
    numbers = {
        "primary": primary.measure.name,
        "n": {arm: one.units for arm, one in arms.items()},
        "n_kind": "units",
        "rows": {arm: one.rows for arm, one in arms.items()},
        "matured": matured,
        "labelled": labelled,
        "coverage": {arm: rate(labelled[arm], matured[arm]) for arm in arms},
        "late": {arm: one.late for arm, one in arms.items()},
        **values({arm: mean(one.moments.get(LOSS, Moments())) for arm, one in arms.items()}, metric),
        "split": split,
        "measures": {one.measure.name: one.numbers() for one in others},
        "called": _called(primary, arms, live) if trial.called else None,
        "cuped": _cuped(primary, arms),
        "n_star": primary.horizon.n_star,
        "n_max": primary.horizon.n_max,
        "mark": asdict(sums.mark),
    }
    return _evidence(trial, reading, live, metric, now, past, numbers)


def judge_shadow(
    trial: Trial,
    blocks: Sequence[BlockSum],
    live: Live,
    metric: Metric,
    now: Micros,
    *,
    block: Micros = BLOCK,
    failures: tuple[int, int] = (0, 0),
    mark: Mark | None = None,
    before: Evidence | None = None,
    latched: bool = False,
) -> Evidence:
    """One look at a shadow trial.

    `blocks` pair the trial's incumbent (reference) with its challenger (candidate), cut `block` microseconds
    long, of rows whose label window has closed; `slow` of a block are the calls over `live.latency_budget_ms`.
    `failures` are (failed, all) shadow calls of the challenger. `mark` is where the log was read. Blocks shorter than a
    day have their variance widened by what they share with the other blocks of that day.
    """
    past = looks.of_phase(before, trial)
    merged = pairs.merge(blocks)
    found = pairs.gain(merged, block)
    ready = found.n >= MIN_BLOCKS and 0.0 < found.variance < math.inf
    tuned = horizon.known(past)
    if ready and tuned.n_star is None:
        most = max(live.max_days * DAY // block, MIN_BLOCKS)
        tuned = horizon.fixed(_planned_for(live), live.alpha, found, most, least=MIN_BLOCKS)
    bounded = bounds.of_gain(
        found, tuned.n_star if ready else None, alpha=live.alpha, alpha_harm=live.alpha_roll_back / 2
    )
    rows = sum(one.rows for one in merged)
    reading = Reading(
        bounded["estimate"],
        bounded["lower"],
        bounded["upper"],
        bounded["harm_upper"],
        days=days(trial, now),
        guardrails=_shadow_guardrails(failures, sum(one.slow for one in merged), rows, live),
        missing=_missing_pairs(rows, len(merged), live, metric, outlook.counted_for(trial, window(live), now)),
        latched=latched,
        n=found.n,
        n_max=tuned.n_max,
    )
    same = dict.fromkeys(ARMS, rows)
    numbers = {
        "primary": LOSS,
        "n": dict.fromkeys(ARMS, len(merged)),
        "n_kind": "blocks",
        "rows": same,
        "matured": same,
        "labelled": same,
        "coverage": None,
        "late": None,
        **values(pairs.means(merged), metric),
        "split": None,
        "measures": {},
        "called": None,
        "cuped": None,
        "n_star": tuned.n_star,
        "n_max": tuned.n_max,
        "block_hours": block / outlook.HOUR,
        "disagree": rate(sum(one.disagree for one in merged), rows),
        "mark": asdict(mark or Mark(now)),
    }
    return _evidence(trial, reading, live, metric, now, past, numbers)


# --- the parts of a look --------------------------------------------------------------------------


def _compared(
    arms: Arms, live: Live, past: Mapping[str, Any], reachable: int, planned: int | None
) -> list[Compared]:
    """Every measure, the primary one first. It alone has an effect that is planned for."""

    def fixed(effect: float) -> Callable[[Gain], Horizon]:
        return lambda found: horizon.fixed(effect, live.alpha, found, reachable, planned)

    first, *rest = measures.of(live)
    earlier = past.get("measures", {})
    return [
        measures.compare(first, arms, live, past, fixed(_planned_for(live))),
        *(measures.compare(one, arms, live, earlier.get(one.name, {}), fixed(0.0)) for one in rest),
    ]


def _planned_for(live: Live) -> float:
    """What is to be shown above `min_gain` where the effect worth having is there; 0: nothing is planned for."""
    return max(live.smallest_effect - live.min_gain, 0.0)


def _guardrails(
    trial: Trial, arms: Arms, live: Live, past: Mapping[str, Any], others: Sequence[Compared]
) -> tuple[Guardrail, ...]:
    alpha = measures.guard_alpha(live, measures.harmless(live))
    found = [guardrails.errors(trial, arms, live, alpha)]
    if live.latency_budget_ms > 0.0:
        found.append(guardrails.latency(trial, arms, live, alpha))
    found += [guardrails.measure(one) for one in others if one.measure.role == "guardrail"]
    return (*found, checks.labels(trial, arms, past))


def _shadow_guardrails(failures: tuple[int, int], slow: int, pairs: int, live: Live) -> tuple[Guardrail, ...]:
    late = live.latency_budget_ms > 0.0
    alpha = measures.guard_alpha(live, 1 + late)
    found = [guardrails.shadow_errors(*failures, live, alpha)]
    if late:
        found.append(guardrails.shadow_latency(slow, pairs, live, alpha))
    return tuple(found)


def _missing_pairs(rows: int, blocks: int, live: Live, metric: Metric, elapsed: Micros) -> tuple[str, ...]:
    if metric.row_loss is None:
        return (outlook.no_loss(metric),)
    found = []
    if rows < live.min_labels:
        more = live.min_labels - rows
        found.append(f"{more:,} labelled pairs more{outlook.after(more, rows, elapsed)}")
    if blocks < MIN_BLOCKS:
        more = MIN_BLOCKS - blocks
        after = outlook.after(more, blocks, elapsed)
        found.append(f"{more} block{'s' if more > 1 else ''} of at least {MIN_BLOCK_ROWS} labelled rows more{after}")
    return tuple(found)


def _called(primary: Compared, arms: Arms, live: Live) -> dict[str, Json]:
    """The third arm against the incumbent: the same answers, later. What it gains or loses is latency's own effect."""
    tuned = primary.horizon
    found = measures.compare(primary.measure, arms, live, asdict(tuned), lambda _: tuned, against=CALLED)
    one = arms["called"]
    return {
        **found.values,
        **shown({name: found.found[name] for name in ("estimate", "lower", "upper")}),
        "n": found.gain.n,
        "failed": one.failed,
        "slow": one.slow,
        "share_failed": rate(one.failed, one.rows),
        "share_slow": rate(one.slow, one.rows),
    }


def _cuped(primary: Compared, arms: Arms) -> dict[str, Json] | None:
    if primary.gain.removed is None:
        return None
    known = {arm: arms[arm].moments[primary.measure.name].known for arm in ARMS}
    return {"share_of_variance_removed": primary.gain.removed, "slope": primary.gain.slope, "known": known}


# --- the evidence ---------------------------------------------------------------------------------


def _evidence(
    trial: Trial,
    reading: Reading,
    live: Live,
    metric: Metric,
    now: Micros,
    past: Mapping[str, Any],
    numbers: Mapping[str, Json],
) -> Evidence:
    word, why = verdict(reading, live)
    since = now if past else trial.phase_started_at
    if past.get("enrolled") == trial.enrolled:
        since = past["enrolled_since"]
    worth = max(live.smallest_effect, live.min_gain)
    facts = {
        "trial": trial.name,
        "phase": trial.phase,
        "mode": trial.mode,
        "metric": metric.name,
        "days": reading.days,
        "enrolled": trial.enrolled,
        "enrolled_since": since,
        "looks": past.get("looks", 0) + 1,
        "missing": list(reading.missing),
        "lines": {"promote": live.min_gain, "stop": worth or None},
        **shown({name: getattr(reading, name) for name in ("estimate", "lower", "upper", "harm_upper")}),
        "guardrails": [
            {"name": one.name, "harm": one.harm, "cleared": one.cleared, "said": one.said, **one.numbers}
            for one in reading.guardrails
        ],
        "settings": looks.digest(looks.settings(trial, live, metric)),
        **numbers,
    }
    sentence = f"{trial.challenger} against {trial.incumbent} ({trial.mode}, look {facts['looks']}): {why}."
    return Evidence("live", trial.challenger, word, sentence, now, trial.incumbent, facts)


def values(losses: Mapping[Any, float | None], metric: Metric) -> dict[str, Json]:
    """Mean loss an arm, and the metric's own value where it follows from the mean loss."""
    of_mean = metric.of_mean_loss
    values = {arm: None if loss is None or of_mean is None else of_mean(loss) for arm, loss in losses.items()}
    return {"loss": dict(losses), "value": values}


def days(trial: Trial, now: Micros) -> float:
    """Whole days of the phase."""
    return math.floor((now - trial.phase_started_at) / DAY)
