"""What is compared: the row loss of the task's metric, and the outcomes beside it that [[live.measure]] declares.

In: the settings; the moments of two arms for each measure. Out: `Compared`, one a measure, with bounds that hold at
every look, and the horizon that they are tuned to. The primary measure decides, a guardrail may not be harmed, the rest
is shown. Gives no verdict.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from incumbent.config import Live, Measure
from incumbent.records import Arm, Json
from incumbent.stats.metrics import UNITS_PER_ONE
from incumbent.steps.live import bounds, horizon
from incumbent.steps.live.gain import Gain, gain, mean
from incumbent.steps.live.horizon import Horizon
from incumbent.storage.base import ArmSums, Moments

FIRST_LOOK_OUTCOMES = 100
FIRST_LOOK_UNITS = 50
RARER = 10
LOSS = "loss"
ARMS: tuple[Arm, Arm] = ("challenger", "incumbent")

Arms = Mapping[Arm, ArmSums]


@dataclass(frozen=True, slots=True)
class Compared:
    """One measure at one look. `values` are the arms' means; `outcomes` how many outcomes of an arm count; `ready`: a
    bound is valid."""

    measure: Measure
    gain: Gain
    found: Mapping[str, float]
    values: Mapping[str, float | None]
    outcomes: Mapping[Arm, int]
    ready: bool
    horizon: Horizon

    def numbers(self) -> dict[str, Json]:
        """As evidence keeps it: `challenger`, `incumbent` are means, the rest is the gain (positive is better)."""
        return {
            "role": self.measure.role,
            "better": self.measure.better,
            "of": self.measure.of,
            **self.values,
            **shown(self.found),
            "n": self.gain.n,
            "n_star": self.horizon.n_star,
        }


def of(live: Live) -> tuple[Measure, ...]:
    """Every measure, the primary one first. The row loss is primary where none is declared to be, else it is shown."""
    declared = sorted(live.measure, key=lambda one: one.role != "primary")
    if declared and declared[0].role == "primary":
        return (declared[0], _loss("shown"), *declared[1:])
    return (_loss("primary"), *declared)


def harmless(live: Live) -> int:
    """How many guardrails share a part of `live.alpha_roll_back`: failed answers, late answers where there is a budget,
    each measure that may not be harmed."""
    return 1 + (live.latency_budget_ms > 0.0) + sum(one.role == "guardrail" for one in live.measure)


def guard_alpha(live: Live, guardrails: int) -> float:
    """Each guardrail's part: half of the budget is the primary measure's, the other half is shared evenly."""
    return live.alpha_roll_back / 2 / guardrails


def compare(
    measure: Measure, arms: Arms, live: Live, past: Mapping[str, Any], fixed: Callable[[Gain], Horizon], *,
    against: tuple[Arm, Arm] = ARMS,
) -> Compared:  # fmt: skip
    """The first arm of `against` against the second. `past` is what was said of the measure at the last look (its
    tuning); `fixed` gives the horizon at the first look that is valid."""
    sums = {arm: arms[arm].moments.get(measure.name, Moments()) for arm in against}
    counts = measure.of != "ratio"
    one, other = sums[against[0]], sums[against[1]]
    found = gain(
        one, other, larger_is_better=measure.better == "larger", counts=counts, adjust=live.cuped == "unit"
    )
    outcomes = {arm: _outcomes(measure, arms[arm], sums[arm]) for arm in against}
    many = all(outcomes[arm] >= FIRST_LOOK_OUTCOMES and sums[arm].n >= FIRST_LOOK_UNITS for arm in against)
    ready = 0.0 < found.variance < math.inf and many and _spread(measure, one, other)
    tuned = horizon.known(past)
    if ready and tuned.n_star is None:
        tuned = fixed(found)
    alpha = live.alpha_roll_back / 2 if measure.role == "primary" else guard_alpha(live, harmless(live))
    return Compared(
        measure,
        found,
        bounds.of_gain(found, tuned.n_star if ready else None, alpha=live.alpha, alpha_harm=alpha),
        {arm: mean(sums[arm], counts) for arm in against},
        outcomes,
        ready,
        tuned,
    )


def shown(found: Mapping[str, float]) -> dict[str, Json]:
    """Estimate and bounds, None where they are infinite."""
    return {name: value if math.isfinite(value) else None for name, value in found.items()}


def _loss(role: Any) -> Measure:
    return Measure(LOSS, outcome=LOSS, better="smaller", role=role)


def _outcomes(measure: Measure, arm: ArmSums, moments: Moments) -> int:
    """Labels; rows that have the outcome; units, where every unit has a value."""
    if measure.name == LOSS:
        return arm.labelled
    return moments.x if measure.of == "mean" else moments.n


def _spread(measure: Measure, one: Moments, other: Moments) -> bool:
    """Do ten units or more of both arms share the events, or the loss? A variance from fewer is none. How many share it
    is (Σy)²/Σy² (Kish, Survey Sampling, 1965): of what is 0 or 1, the number of ones. Both arms together: an
    incumbent that is hardly ever wrong must not shield a challenger that always is. What may be negative has no such
    number."""
    total, squares = one.y + other.y, one.yy + other.yy
    if measure.name == LOSS:
        return total**2 >= RARER * squares
    events = measure.of == "count" or squares == total * UNITS_PER_ONE  # every unit has 0 or 1
    return not events or total >= RARER * UNITS_PER_ONE
