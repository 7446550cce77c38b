"""How fast does a version answer one row, and is that inside its budget?

In: a call that answers row i in the real path (parse, features, predict), and a monotonic clock. Out:
quantiles with the upper 95 % bound of p99, and Evidence. Timings go to `measured`: no two runs agree on
them.
"""

import math
from collections.abc import Callable

from incumbent.records import Evidence, Json, Micros
from incumbent.stats.latency import LatencySummary, summarise

FEWEST_TIMINGS = 299
"""Below this no order statistic is an upper 95 % bound of the 99th percentile (.99^298 > .05)."""


def measure(
    predict_one: Callable[[int], object], n: int, clock: Callable[[], int], *, warm_up: int = 20
) -> LatencySummary:
    """Time `predict_one(i)` for i = 0 … n−1, after `warm_up` calls that do not count.

    `clock` gives monotonic nanoseconds (`time.perf_counter_ns`). What the call raises is raised: a version
    that fails has no latency.
    """
    for i in range(warm_up):
        predict_one(i % n)
    timings = []
    for i in range(n):
        start = clock()
        predict_one(i)
        timings.append((clock() - start) / 1e6)
    return summarise(timings)


def judge(latency: LatencySummary, budget_ms: float, subject: str, at: Micros) -> Evidence:
    """ship: the upper 95 % bound of p99 is inside the budget; hold: it is not, or no budget was declared."""
    upper = latency.p99_upper_ms
    shown = f"one row p50 {latency.p50_ms:.3g} ms, p99 {latency.p99_ms:.3g} ms"
    if not math.isfinite(upper):
        verdict, why = "not_enough_data", f"{latency.n} timings, expected at least {FEWEST_TIMINGS}"
    elif not budget_ms > 0.0:
        verdict, why = "hold", f"{shown}; no budget is declared: set plan.latency_budget_ms"
    else:
        verdict = "ship" if upper <= budget_ms else "hold"
        side = "inside" if verdict == "ship" else "outside"
        why = f"{shown} (at most {upper:.3g} ms at 95 %), {side} the budget of {budget_ms:g} ms"
    sentence = f"{verdict.replace('_', ' ')}: {subject}: {why}."
    numbers: dict[str, Json] = {"budget_ms": budget_ms, "n_timings": latency.n}
    return Evidence("speed", subject, verdict, sentence, at, None, numbers, timings(latency))


def timings(latency: LatencySummary) -> dict[str, Json]:
    """The quantiles as `Evidence.measured` keeps them (None: no bound from so few timings)."""
    upper = latency.p99_upper_ms
    return {
        "p50_ms": latency.p50_ms, "p95_ms": latency.p95_ms, "p99_ms": latency.p99_ms,
        "p99_upper_ms": upper if math.isfinite(upper) else None, "max_ms": latency.max_ms,
    }  # fmt: skip
