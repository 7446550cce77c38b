"""What of the log does a look need? The plan of the sums, from the trial and the settings alone.

In: a trial, [live]. Out: a `SumPlan`; the log sums it (`Log.trial_sums`). Two looks at one phase have the same plan, so
that the running sums go on.
"""

from collections.abc import Mapping

from incumbent.config import Live, Measure
from incumbent.records import DAY, SECOND, Micros, Trial
from incumbent.stats.metrics import LARGEST_LOSS, UNITS_PER_ONE
from incumbent.steps.live import measures
from incumbent.steps.live.arms import MATURED
from incumbent.storage.base import SumMeasure, SumPlan

BEFORE: Micros = 28 * DAY
"""How far back a unit's loss before the trial is looked up."""


def plan(trial: Trial, live: Live) -> SumPlan:
    """What is summed of the trial's present phase.

    >>> plan(Trial("t1", "v2", "v1", "split", 0, caps={"loss": 0.5}), Live()).measures[0].cap
    500000000
    """
    return SumPlan(
        trial.name,
        trial.phase,
        trial.phase_started_at,
        window(live),
        round(live.unit_days * DAY),
        budget_us(live),
        BEFORE if live.cuped == "unit" else 0,
        (*(_summed(one, trial.caps) for one in measures.of(live)), SumMeasure(MATURED, "label", "count")),
    )


def window(live: Live) -> Micros:
    """How long after a prediction its outcomes count."""
    return int(live.window_hours * 3600 * SECOND)


def budget_us(live: Live) -> int | None:
    """Above how many microseconds an answer is late; None: none is."""
    return round(live.latency_budget_ms * 1000) if live.latency_budget_ms > 0.0 else None


def _summed(one: Measure, caps: Mapping[str, float]) -> SumMeasure:
    cap = caps.get(one.name)
    units = None if cap is None else round(min(cap, LARGEST_LOSS) * UNITS_PER_ONE)
    return SumMeasure(one.name, one.outcome or one.name, one.of, one.over, units)
