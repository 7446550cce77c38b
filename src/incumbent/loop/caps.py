"""At how much does one outcome count at most? Fixed when a trial starts, so that one customer cannot decide it.

In: the settings, the log before the start. Out: a cap for each measure that has one, in its own units. The log clips at
it (`SumMeasure.cap`). A loss whose range is bounded needs none. No stage of answering: whoever starts a trial asks.
"""

import math

from incumbent.config import Live
from incumbent.records import DAY, Micros
from incumbent.stats.metrics import UNITS_PER_ONE, Metric
from incumbent.storage.base import Log

BEFORE: Micros = 28 * DAY
LOSS = "loss"
LOSS_CAP_AT = 0.999


def caps(log: Log, live: Live, metric: Metric, now: Micros) -> dict[str, float]:
    """`cap` where a measure declares one, else the quantile `cap_at` of the sizes of its outcomes (of the losses of
    what was served) of rows of the last 28 days; none where there are fewer than 1 / (1 - cap_at) of them, of which the
    largest would be the quantile."""
    found = {}
    if metric.row_loss is not None and not math.isfinite(metric.high):
        found[LOSS] = _historic(log, LOSS, LOSS_CAP_AT, now)
    for one in live.measure:
        if one.cap:
            found[one.name] = one.cap
        elif one.cap_at and one.of != "count":
            found[one.name] = _historic(log, one.outcome or one.name, one.cap_at, now)
    return {name: cap for name, cap in found.items() if cap}


def _historic(log: Log, outcome: str, cap_at: float, now: Micros) -> float | None:
    rows, size = log.size(outcome, cap_at, now - BEFORE, now)
    if rows * (1.0 - cap_at) < 1.0:
        return None
    # to a whole 1e-9 unit, as the log counts
    return round(size * UNITS_PER_ONE) / UNITS_PER_ONE
