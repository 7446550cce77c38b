"""How fast is it, and how sure is that?

In: timings in milliseconds. Out: quantiles, each with bounds that need no assumption on the distribution: the
number of timings below a quantile is binomial, so two order statistics enclose it (David & Nagaraja, Order
Statistics, 7.1). Does not measure and does not decide.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import bdtr

from incumbent.errors import DataError


@dataclass(frozen=True)
class LatencySummary:
    """Quantiles of `n` timings in milliseconds; `p99_upper_ms` is its upper bound, inf below 299 timings."""

    n: int
    mean_ms: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    p99_upper_ms: float
    max_ms: float
    alpha: float


@dataclass(frozen=True)
class QuantileBounds:
    """An order statistic with one-sided 1 - alpha bounds; inf (upper) or 0 (lower) where n is too small."""

    value: float
    lower: float
    upper: float


def summarise(timings_ms: npt.ArrayLike, *, alpha: float = 0.05) -> LatencySummary:
    """p50, p95, p99 and the upper bound of p99.

    >>> summary = summarise(np.arange(1, 2001))
    >>> summary.p50_ms, summary.p99_ms, summary.p99_upper_ms
    (1000.0, 1980.0, 1988.0)
    """
    ordered = _ordered(timings_ms)
    p99 = quantile(ordered, 0.99, alpha=alpha)
    p50, p95 = (float(ordered[_rank(len(ordered), q) - 1]) for q in (0.5, 0.95))
    mean = math.fsum(ordered) / len(ordered)
    return LatencySummary(len(ordered), mean, p50, p95, p99.value, p99.upper, float(ordered[-1]), alpha)


def quantile(timings_ms: npt.ArrayLike, q: float, *, alpha: float = 0.05) -> QuantileBounds:
    """The ⌈n·q⌉-th ordered timing, with the order statistics that bound the true quantile."""
    ordered = _ordered(timings_ms)
    n = len(ordered)
    above, below = upper_rank(n, q, alpha=alpha), lower_rank(n, q, alpha=alpha)
    value = float(ordered[_rank(n, q) - 1])
    return QuantileBounds(
        value,
        0.0 if below is None else float(ordered[below - 1]),
        math.inf if above is None else float(ordered[above - 1]),
    )


def upper_rank(n: int, q: float, *, alpha: float = 0.05) -> int | None:
    """The smallest k for which the k-th of n ordered values is an upper 1 - alpha bound; None where no k is.

    >>> upper_rank(2000, .99)
    1988
    """
    _check(n, q, alpha)
    enough = np.flatnonzero(bdtr(np.arange(n), n, q) >= 1.0 - alpha)
    return int(enough[0]) + 1 if len(enough) else None


def lower_rank(n: int, q: float, *, alpha: float = 0.05) -> int | None:
    """The largest k for which the k-th of n ordered values is a lower 1 - alpha bound; None where no k is."""
    mirrored = upper_rank(n, 1.0 - q, alpha=alpha)
    return None if mirrored is None else n + 1 - mirrored


def _rank(n: int, q: float) -> int:
    return max(1, math.ceil(n * q - 1e-9))


def _ordered(timings_ms: npt.ArrayLike) -> npt.NDArray[np.float64]:
    ordered = np.sort(np.asarray(timings_ms, dtype=np.float64))
    if ordered.ndim != 1 or not len(ordered):
        raise DataError(f"expected a column of timings with at least one value, found shape {ordered.shape}")
    if not np.isfinite(ordered).all() or ordered[0] < 0.0:
        raise DataError("timings must be finite and not negative (milliseconds)")
    return ordered


def _check(n: int, q: float, alpha: float) -> None:
    if n < 1 or not 0.0 < q < 1.0 or not 0.0 < alpha < 1.0:
        raise ValueError(f"expected n >= 1 and q, alpha between 0 and 1; found n={n}, q={q}, alpha={alpha}")
