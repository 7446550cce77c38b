"""At how much does one outcome count at most? Fixed when a trial starts, so that one customer cannot decide it.

In: the settings, the log before the start. Out: a cap for each measure that has one, in its own units. The log clips at
it (`SumMeasure.cap`). A loss whose range is bounded needs none.
"""

import math

import numpy as np

from incumbent.config import Live, Measure
from incumbent.records import DAY, Micros
from incumbent.stats.metrics import UNITS_PER_ONE, Metric
from incumbent.steps.live import measures
from incumbent.storage.base import Log

BEFORE: Micros = 28 * DAY


def caps(log: Log, live: Live, metric: Metric, now: Micros) -> dict[str, float]:
    """`cap` where a measure declares one, else the quantile `cap_at` of the sizes of its outcomes (of the losses of
    what was served) of rows of the last 28 days; none where there are fewer than 1 / (1 - cap_at) of them, of which the
    largest would be the quantile."""
    found = {}
    for one in measures.of(live):
        cap = one.cap or _historic(log, one, metric, now)
        if cap is not None and cap > 0.0:
            found[one.name] = cap
    return found


def _historic(log: Log, one: Measure, metric: Metric, now: Micros) -> float | None:
    bounded = one.name == measures.LOSS and math.isfinite(metric.high)
    if one.cap_at == 0.0 or bounded or one.of == "count":
        return None
    sizes = np.abs(np.array(log.numbers(one.outcome or one.name, now - BEFORE, now), dtype=np.float64))
    if len(sizes) * (1.0 - one.cap_at) < 1.0:
        return None
    # to a whole 1e-9 unit, as the log counts
    return round(float(np.quantile(sizes, one.cap_at, method="higher")) * UNITS_PER_ONE) / UNITS_PER_ONE
