"""Step 3. Is the challenger better on live traffic? Bounds that hold at every look, from sums of the log.

In: sums by unit (split) or by block of time (shadow, watch), the trial, the settings, the last look's
evidence. Out: one Evidence with verdict, bounds, counts, guardrails, and the series for the picture. A gain
is the incumbent's mean row loss minus the challenger's: positive is better. Reads no log; promotes nothing.

Split: ratio of sums by unit, delta method, intention to treat. Shadow: blocks of one difference, because
neighbouring rows share their weather (AR(1) with .6: row by row 36 % false alarms). See `stats.sequential`.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from incumbent.config import Live
from incumbent.records import DAY, SECOND, Evidence, Json, Micros, Trial
from incumbent.stats.metrics import UNITS_PER_ONE, Metric
from incumbent.stats.sequential import UnitSums
from incumbent.steps.live import bounds, guardrails
from incumbent.steps.live.bounds import MIN_BLOCK_ROWS, MIN_BLOCKS, merge
from incumbent.steps.live.guardrails import ARMS, share_of
from incumbent.steps.live.verdict import Reading, verdict
from incumbent.storage.base import BlockSum, UnitSum

HOUR: Micros = 3600 * SECOND
BLOCK: Micros = 6 * HOUR
FIRST_LOOK_ROWS = 100
FIRST_LOOK_UNITS = 50


def judge_split(
    trial: Trial,
    units: Sequence[UnitSum],
    live: Live,
    metric: Metric,
    now: Micros,
    *,
    before: Evidence | None = None,
    planned: int | None = None,
) -> Evidence:
    """One look at a split trial.

    `units` are the sums of the trial's present phase. `before` is the evidence of the last look at the same
    phase: it carries the number of looks, the smallest split p-value and the tuning, so pass it. `planned`
    is how many units both arms may have seen by the end; without it the traffic until the first valid look
    is extrapolated.
    """
    past = _past(before, trial)
    arms = {arm: [unit for unit in units if unit.arm == arm] for arm in ARMS}
    labelled = {arm: sum(unit.labelled for unit in arms[arm]) for arm in ARMS}
    with_label = {arm: [unit for unit in arms[arm] if unit.labelled] for arm in ARMS}
    ready = all(labelled[arm] >= FIRST_LOOK_ROWS and len(with_label[arm]) >= FIRST_LOOK_UNITS for arm in ARMS)
    n_star = past.get("n_star")
    if ready and n_star is None:
        n_star = max(planned or _extrapolated(trial, units, live, now), 2 * FIRST_LOOK_UNITS) / 2
    sums = {
        arm: UnitSums.of(
            [unit.loss / UNITS_PER_ONE for unit in with_label[arm]],
            [unit.labelled for unit in with_label[arm]],
        )
        for arm in ARMS
    }
    found = bounds.of_split(sums["incumbent"], sums["challenger"], live, n_star if ready else None)
    split = guardrails.split_check(trial, arms, with_label, past)
    failures = guardrails.unit_failures(trial, arms, live)
    missing = tuple(
        f"{live.min_labels - labelled[arm]:,} labelled rows more of the {arm}"
        for arm in ARMS
        if labelled[arm] < live.min_labels
    )
    if not ready and not missing:
        missing = (f"{FIRST_LOOK_ROWS} labelled rows from {FIRST_LOOK_UNITS} units in each arm",)
    reading = Reading(
        found["estimate"],
        found["lower"],
        found["upper"],
        found["harm_upper"],
        days=_days(trial, now),
        split_p=split["p"],
        both_arms=split["both_arms"],
        guardrails=(guardrails.errors(failures, live),),
        missing=missing,
    )
    losses = {arm: sums[arm].mean if labelled[arm] else None for arm in ARMS}
    rows = {arm: sum(unit.rows for unit in arms[arm]) for arm in ARMS}
    numbers = {
        "n": {arm: len(arms[arm]) for arm in ARMS},
        "n_kind": "units",
        "rows": rows,
        "labelled": labelled,
        "coverage": {arm: share_of(labelled[arm], rows[arm]) for arm in ARMS},
        **_values(losses, metric),
        "split": split,
        "failures": failures,
        "n_star": n_star,
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
    before: Evidence | None = None,
) -> Evidence:
    """One look at a shadow trial.

    `blocks` pair the trial's incumbent (reference) with its challenger (candidate), cut `block` microseconds
    long, of rows whose label window has closed. `failures` are (failed, all) shadow calls of the challenger.
    Blocks shorter than a day have their variance widened by what they share with the other blocks of that
    day.
    """
    past = _past(before, trial)
    merged = merge(blocks)
    found, n_star = bounds.of_pairs(merged, live, block, past, live.max_days)
    rows = sum(one.rows for one in merged)
    guard = guardrails.shadow_failures(failures, live)
    missing = [f"{live.min_labels - rows:,} labelled pairs more"] if rows < live.min_labels else []
    if len(merged) < MIN_BLOCKS:
        missing.append(f"{MIN_BLOCKS - len(merged)} blocks of at least {MIN_BLOCK_ROWS} labelled rows more")
    reading = Reading(
        found["estimate"],
        found["lower"],
        found["upper"],
        found["harm_upper"],
        days=_days(trial, now),
        guardrails=(guardrails.errors(guard, live),),
        missing=tuple(missing),
    )
    same = dict.fromkeys(ARMS, rows)
    numbers = {
        "n": dict.fromkeys(ARMS, len(merged)),
        "n_kind": "blocks",
        "rows": same,
        "labelled": same,
        **_values(_pair_means(merged), metric),
        "failures": guard,
        "n_star": n_star,
        "block_hours": block / HOUR,
    }
    return _evidence(trial, reading, live, metric, now, past, numbers)


def judge_watch(
    watched: str,
    incumbent: str,
    blocks: Sequence[BlockSum],
    live: Live,
    metric: Metric,
    now: Micros,
    *,
    since: Micros,
    watch_days: int,
    block: Micros = BLOCK,
    before: Evidence | None = None,
) -> Evidence:
    """Is the replaced version better than its successor?

    Verdict roll_back: it is, and comes back; stop: `watch_days` are over; continue. `blocks` pair the
    incumbent (reference) with the watched version (candidate); `since` is when the watch began. The bound is
    at `live.alpha_roll_back`, as for every rollback.
    """
    question = Trial(f"watch-{watched}-{since}", watched, incumbent, "shadow", since, phase_started_at=since)
    past, merged = _past(before, question), merge(blocks)
    found, n_star = bounds.of_pairs(merged, live, block, past, watch_days, alpha=live.alpha_roll_back)
    gain, days = found["lower"], _days(question, now)
    if gain > 0.0:
        word, why = (
            "roll_back",
            f"{watched}, which {incumbent} replaced, is shown better, by at least {gain:.3g}",
        )
    elif days >= watch_days:
        word, why = (
            "stop",
            f"{watched} was watched for {watch_days} days and is not shown better than {incumbent}",
        )
    else:
        word, why = "continue", f"{watched} is not shown better than {incumbent} so far"
    rows = sum(one.rows for one in merged)
    numbers = {
        "trial": question.name,
        "phase": 1,
        "mode": "watch",
        "metric": metric.name,
        "days": days,
        "rows": rows,
        "n": len(merged),
        "n_kind": "blocks",
        **_values(_pair_means(merged), metric),
        "n_star": n_star,
        "looks": past.get("looks", 0) + 1,
        **_shown(found, past, now),
    }
    return Evidence("live", watched, word, f"{why}.", now, incumbent, numbers)


def judge_record(recipe: str, refreshes: Sequence[Sequence[BlockSum]], live: Live, now: Micros) -> Evidence:
    """Are refreshes of this recipe harmful? The record: each past refresh against the version it replaced.

    One list of blocks a refresh, reference = the replaced version, candidate = the refresh. Verdict
    roll_back: refreshes are shown harmful (upper bound below 0 at `live.alpha_roll_back`); continue: they
    are not, or too little is known.
    """
    blocks = [one for refresh in refreshes for one in merge(refresh)]
    found, _ = bounds.of_pairs(blocks, live, BLOCK, {}, live.max_days, alpha=live.alpha_roll_back)
    harmful = found["upper"] < 0.0
    sentence = (
        f"Refreshes of {recipe or 'this recipe'} are shown harmful, by at least {-found['upper']:.3g}."
        if harmful
        else f"{len(refreshes)} refreshes of {recipe or 'this recipe'} are not shown harmful."
    )
    numbers = {
        "refreshes": len(refreshes),
        "n": len(blocks),
        "rows": sum(one.rows for one in blocks),
        **{name: _finite(found[name]) for name in ("estimate", "lower", "upper")},
    }
    return Evidence("live", recipe, "roll_back" if harmful else "continue", sentence, now, None, numbers)


def table(evidence: Evidence) -> list[tuple[str, str, str]]:
    """A trial's evidence as text: "Test group (challenger) | Control (incumbent)", heading first."""
    numbers = evidence.numbers
    rows = [
        ("", "Test group (challenger)", "Control (incumbent)"),
        ("version", evidence.subject, str(evidence.reference)),
    ]

    def add(name: str, of: Any, shape: str) -> None:
        if of is not None:
            cells = ["-" if of[arm] is None else format(of[arm], shape) for arm in ARMS]
            rows.append((name, cells[0], cells[1]))

    add(str(numbers["n_kind"]), numbers["n"], ",")
    add("predictions, window closed", numbers["rows"], ",")
    add("with a label", numbers["labelled"], ",")
    add("share with a label", numbers.get("coverage"), ".1%")
    add(f"mean {numbers['metric']}", numbers["value"], ".5g")
    failures = numbers["failures"]
    add("failed answers", {arm: failures.get(arm) for arm in ARMS}, ",")
    gain, lower = numbers["estimate"], numbers["lower"]
    rows.append(("gain", "-" if gain is None else f"{gain:+.5f}", ""))
    rows.append(("gain, at least", "-" if lower is None else f"{lower:+.5f}", ""))
    return rows


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
    found = {"estimate": reading.estimate, "lower": reading.lower, "upper": reading.upper}
    since = now if past else trial.phase_started_at
    if past.get("enrolled") == trial.enrolled:
        since = past["enrolled_since"]
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
        **numbers,
        **_shown(found, past, now),
    }
    sentence = f"{trial.challenger} against {trial.incumbent} ({trial.mode}, look {facts['looks']}): {why}."
    return Evidence("live", trial.challenger, word, sentence, now, trial.incumbent, facts)


def _shown(found: Mapping[str, float], past: Mapping[str, Any], now: Micros) -> dict[str, Json]:
    """Estimate and bounds (None where infinite), and the series of the picture: the last look of each
    hour."""
    shown = {name: _finite(found[name]) for name in ("estimate", "lower", "upper")}
    series = [point for point in past.get("series", []) if point[0] // HOUR != now // HOUR]
    return {**shown, "series": [*series, [now, shown["estimate"], shown["lower"], shown["upper"]]]}


def _past(before: Evidence | None, trial: Trial) -> Mapping[str, Any]:
    """The numbers of the last look, if it was at this phase of this trial."""
    same = before and (before.numbers.get("trial"), before.numbers.get("phase")) == (trial.name, trial.phase)
    return before.numbers if before and same else {}


def _pair_means(blocks: Sequence[BlockSum]) -> dict[str, float | None]:
    rows = sum(one.rows for one in blocks)
    if not rows:
        return dict.fromkeys(ARMS)
    return {
        "challenger": sum(one.loss_candidate for one in blocks) / UNITS_PER_ONE / rows,
        "incumbent": sum(one.loss_reference for one in blocks) / UNITS_PER_ONE / rows,
    }


def _values(losses: Mapping[str, float | None], metric: Metric) -> dict[str, Json]:
    """Mean loss an arm, and the metric's own value where it follows from the mean loss."""
    of_mean = metric.of_mean_loss
    values = {arm: None if loss is None or of_mean is None else of_mean(loss) for arm, loss in losses.items()}
    return {"loss": dict(losses), "value": values}


def _extrapolated(trial: Trial, units: Sequence[UnitSum], live: Live, now: Micros) -> int:
    """Units at the end, were all enrolled: as many as go on coming, or as there are, whichever is less.

    How many there are: those seen and f1²/(2·f2) unseen, with f1 units seen once and f2 twice (Chao,
    Scandinavian Journal of Statistics 11, 1984). Units that return are soon all known; requests never are.
    """
    elapsed = max(_days(trial, now, whole=False), 1 / 24)
    coming = len(units) * max(live.max_days / elapsed, 1.0)
    once, twice = (sum(unit.rows == times for unit in units) for times in (1, 2))
    there = len(units) + once * once / (2 * max(twice, 1))
    return math.ceil(min(coming, there) / trial.enrolled)


def _days(trial: Trial, now: Micros, whole: bool = True) -> float:
    days = (now - trial.phase_started_at) / DAY
    return math.floor(days) if whole else days


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
