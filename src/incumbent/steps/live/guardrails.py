"""Does the challenger do harm that the primary measure does not show? Failed and late answers, other outcomes.

In: sums of an arm (split), or counts of shadow calls. Out: one `Guardrail` each: shown to do harm at its part of
`live.alpha_roll_back`, or shown to do none at `live.alpha`, or neither yet. What follows stands in `verdict`.
Formulas in `stats.sequential` and `stats.share`. Whether the arms are what they should be is asked in `arms`.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from incumbent.config import Live
from incumbent.records import Arm, Json, Trial
from incumbent.stats import sequential
from incumbent.stats.share import upper_rate_sequence
from incumbent.steps.live.measures import ARMS, Arms, Compared, shown
from incumbent.steps.live.verdict import Guardrail
from incumbent.storage.base import ArmSums

ERROR_PRIOR = 10.0
LATENCY_PRIOR = 50.0


@dataclass(frozen=True, slots=True)
class Events:
    """What is counted: `bad` answers out of `rows`, and the units that had one."""

    rows: int
    bad: int
    units: int


def errors(trial: Trial, arms: Arms, live: Live, alpha: float) -> Guardrail:
    """Answers that failed, so that a fallback took over."""
    counts = {arm: _failed(arms[arm]) for arm in ARMS}
    return _events("errors", "failed", trial, counts, live, alpha, prior=ERROR_PRIOR, tolerated=live.tolerated_rate)


def latency(trial: Trial, arms: Arms, live: Live, alpha: float) -> Guardrail:
    """Answers over `live.latency_budget_ms`, from the assigned arm, the time of a fallback included."""
    counts = {arm: _slow(arms[arm]) for arm in ARMS}
    found = _events(
        "latency", "late", trial, counts, live, alpha, prior=LATENCY_PRIOR, tolerated=live.tolerated_slow
    )
    return Guardrail(
        found.name, found.harm, found.cleared, found.said, {**found.numbers, "budget_ms": live.latency_budget_ms}
    )


def measure(one: Compared) -> Guardrail:
    """An outcome that may lose at most its margin: harm when more than that is shown, cleared when less is."""
    margin, lower, harm_upper = one.measure.margin, one.found["lower"], one.found["harm_upper"]
    harm, cleared = harm_upper < -margin, lower > -margin
    allowed = f"a loss of at most {margin:.3g}" if margin else "a gain: its margin is 0"
    name = one.measure.name
    said = f"it is shown to lose at least {-harm_upper:.3g}" if harm else f"{name} shown not harmful ({allowed})"
    numbers: dict[str, Json] = {
        "unit": name,
        **one.values,
        **shown(one.found),
        "margin": margin,
        "n": one.gain.n,
    }
    return Guardrail(name, harm, cleared, said, numbers)


def shadow_errors(failed: int, calls: int, live: Live, alpha: float) -> Guardrail:
    """Shadow calls that failed."""
    return _shadow("errors", "fail", failed, calls, live, alpha, live.tolerated_rate)


def shadow_latency(slow: int, calls: int, live: Live, alpha: float) -> Guardrail:
    """Shadow calls over `live.latency_budget_ms`."""
    found = _shadow("latency", "be late", slow, calls, live, alpha, live.tolerated_slow)
    return Guardrail(
        found.name, found.harm, found.cleared, found.said, {**found.numbers, "budget_ms": live.latency_budget_ms}
    )


def _failed(arm: ArmSums) -> Events:
    return Events(arm.rows, arm.failed, arm.units_failed)


def _slow(arm: ArmSums) -> Events:
    return Events(arm.rows, arm.slow, arm.units_slow)


def _events(
    name: str, word: str, trial: Trial, counts: Mapping[Arm, Events], live: Live, alpha: float, *, prior: float,
    tolerated: float,
) -> Guardrail:  # fmt: skip
    """What is tested are units that were hit: the arm of a unit is drawn once, so the events of one unit are no
    independent ones. Cleared by that test at `live.harm_margin` times the incumbent's rate, or by the upper bound of
    the challenger's own rate (with no events at all the first alone would wait for ever)."""
    one, other = counts["challenger"], counts["incumbent"]
    share = trial.share / (1.0 - trial.called)
    log_e = sequential.log_e_share(one.units, other.units, share, prior)
    below = sequential.log_e_share_below(one.units, other.units, share, prior, margin=live.harm_margin)
    upper = _upper(one, live.alpha)
    harm = log_e >= -math.log(alpha)
    said = (
        f"more of its answers are shown {word} ({_rates(one, other)})"
        if harm
        else f"{name} shown not harmful (a rate of at most {100 * tolerated:.2g} %, or below {live.harm_margin:g} "
        "times the incumbent's)"
    )
    return Guardrail(
        name,
        harm,
        below >= -math.log(live.alpha) or upper <= tolerated,
        said,
        {
            "unit": f"share of answers {word}",
            "challenger": rate(one.bad, one.rows),
            "incumbent": rate(other.bad, other.rows),
            "lower": None,
            "upper": upper,
            "margin": live.harm_margin,
            "tolerated": tolerated,
            "events": {arm: counts[arm].bad for arm in ARMS},
            "units_hit": [counts[arm].units for arm in ARMS],
            "log_e": log_e if math.isfinite(log_e) else None,
            "alpha": alpha,
        },
    )


def _upper(of: Events, alpha: float) -> float:
    """Upper bound of the rate. Where events come in clusters each unit that was hit is one event, of as many fewer rows
    (the mean cluster is the design effect; Kish, Survey Sampling, 1965)."""
    if not of.bad:
        return upper_rate_sequence(0, of.rows, alpha=alpha)
    rows = max(of.rows * of.units // of.bad, of.units)
    return upper_rate_sequence(of.units, rows, alpha=alpha)


def _shadow(name: str, word: str, bad: int, calls: int, live: Live, alpha: float, tolerated: float) -> Guardrail:
    """A shadow's calls have no control: they harm when the rate is shown above what is tolerated, and are cleared when
    it is shown to be no more than that."""
    lower = 1.0 - upper_rate_sequence(calls - bad, calls, alpha=alpha) if calls else 0.0
    upper = upper_rate_sequence(bad, calls, alpha=live.alpha)
    harm = lower > tolerated
    said = (
        f"it is shown to {word} in at least {100 * lower:.2g} % of its calls, {100 * tolerated:.2g} % are tolerated"
        if harm
        else f"{name} shown not harmful (a rate of at most {100 * tolerated:.2g} %)"
    )
    numbers: dict[str, Json] = {
        "unit": "share of shadow calls",
        "challenger": rate(bad, calls),
        "incumbent": None,
        "lower": lower,
        "upper": upper,
        "margin": None,
        "tolerated": tolerated,
        "events": {"challenger": bad, "incumbent": None},
        "calls": calls,
        "alpha": alpha,
    }
    return Guardrail(name, harm, upper <= tolerated, said, numbers)


def _rates(one: Events, other: Events) -> str:
    said = [f"{100 * (rate(of.bad, of.rows) or 0.0):.2g} %" for of in (one, other)]
    return f"{said[0]}, the incumbent's {said[1]}"


def rate(part: int, whole: int) -> float | None:
    """
    >>> rate(1, 4), rate(0, 0)
    (0.25, None)
    """
    return part / whole if whole else None
