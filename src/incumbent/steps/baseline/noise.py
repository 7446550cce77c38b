"""How good can anybody get with these features? Rows that share every feature and not the label say it.

In: typed feature columns and truth. Out: the least mean loss of any predictor on such rows, with its interval, or why
there is none. Two rows alike in all that is known differ by what is not known: no model can answer both.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from incumbent.records import Signature
from incumbent.runtimes.base import Columns, Floats
from incumbent.stats.compare import paired_sums
from incumbent.stats.metrics import Metric

FEWEST_GROUPS, FEWEST_ROWS = 30, 100
ALPHA = 0.025

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Noise:
    """The least mean row loss on rows that have a twin. `exact`: it is that loss, else a bound below it.

    `share` (0-1) of the rows have a twin; where few do, they may not be like the others. None of the numbers where
    there are too few twins (`why`).
    """

    n_rows: int
    n_groups: int
    share: float
    loss: float | None = None
    lower: float | None = None
    upper: float | None = None
    exact: bool = True
    why: str = ""


def noise(columns: Columns, truth: npt.NDArray[np.generic], signature: Signature, metric: Metric) -> Noise:
    """The irreducible loss of `metric` from rows with equal features, in units of the row loss.

    Within a group of m equal rows the chance R that two labels differ has the unbiased estimate 1 − Σ k(k−1)/(m(m−1)),
    k of them in each class; groups weigh by their rows. Then

    - brier: R/2 for two classes, R for more: exact (it is Σ p(1−p)).
    - zero_one, accuracy: at least (K−1)/K · (1 − √(1 − K·R/(K−1))) of K classes (Cover & Hart 1967).
    - log_loss: at least 2 ln 2 · R for two classes (h(p) ≥ 4p(1−p) ln 2), −ln(1−R) for more (Rényi 1961, order 2).
    - squared_error, rmse: the variance within groups: exact. absolute_error: at least half the mean distance of two.
    """
    groups, sizes = twins(columns)
    rows = np.flatnonzero(sizes[groups] > 1) if len(groups) else np.zeros(0, dtype=np.int64)
    n_groups = int((sizes > 1).sum())
    share = len(rows) / len(groups) if len(groups) else 0.0
    found = Noise(len(rows), n_groups, share)
    if not metric.is_mean or metric.name.startswith("quantile_loss"):
        return _without(found, f"{metric.name} has no bound from equal rows")
    if n_groups < FEWEST_GROUPS or len(rows) < FEWEST_ROWS:
        return _without(found, f"{len(rows)} rows have a twin with the same features, expected {FEWEST_ROWS} or more")
    _, index = np.unique(groups[rows], return_inverse=True)
    values, weights = _within(index, np.asarray(truth)[rows], signature, metric)
    mean = paired_sums(weights, values * weights, np.zeros(len(values)), alpha=ALPHA)
    low, middle, high = (_least_loss(max(v, 0.0), signature, metric) for v in (mean.lower, mean.gain, mean.upper))
    exact = metric.name in ("brier", "squared_error", "rmse")
    return Noise(len(rows), n_groups, share, middle, low, high, exact)


def twins(columns: Columns) -> tuple[Ints, Ints]:
    """(n,) group of each row: equal in every column, null equal to null; and the size of each group."""
    if not columns:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    group = np.zeros(len(next(iter(columns.values()))), dtype=np.int64)
    for values in columns.values():
        for part in [values] if values.ndim == 1 else values.T:
            key = np.array(["\0" if v is None else str(v) for v in part]) if part.dtype == object else part
            _, code = np.unique(key, return_inverse=True)
            _, group = np.unique(group * (int(code.max(initial=0)) + 1) + code, return_inverse=True)
    return group.astype(np.int64), np.bincount(group)


def _within(
    index: Ints, truth: npt.NDArray[np.generic], signature: Signature, metric: Metric
) -> tuple[Floats, Floats]:
    """For each group: the unbiased difference of two of its labels, and its rows."""
    sizes = np.bincount(index).astype(np.float64)
    pairs = sizes * (sizes - 1)
    if signature.classifies:
        k = len(signature.classes)
        counts = np.bincount(index * k + truth.astype(np.int64), minlength=len(sizes) * k).reshape(-1, k)
        return 1.0 - (counts * (counts - 1)).sum(axis=1) / pairs, sizes
    numbers = truth.astype(np.float64)
    order = np.lexsort((numbers, index))
    start = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    numbers, of = numbers[order], index[order]
    if metric.name == "absolute_error":
        rank = np.arange(len(numbers)) - start[of]
        return 2.0 * np.bincount(of, (2 * rank - sizes[of] + 1) * numbers) / pairs, sizes
    centre = np.bincount(of, numbers) / sizes
    return np.bincount(of, (numbers - centre[of]) ** 2) / (sizes - 1), sizes


def _least_loss(difference: float, signature: Signature, metric: Metric) -> float:
    """The least loss that a mean difference of two labels allows."""
    k = len(signature.classes)
    if not signature.classifies:
        return difference / 2 if metric.name == "absolute_error" else difference
    differ = min(difference, (k - 1) / k)
    if metric.name == "brier":
        return differ / 2 if k == 2 else differ
    if metric.name == "log_loss":
        return 2 * math.log(2) * differ if k == 2 else -math.log1p(-differ)
    return (k - 1) / k * (1.0 - math.sqrt(max(0.0, 1.0 - k * differ / (k - 1))))


def _without(found: Noise, why: str) -> Noise:
    return Noise(found.n_rows, found.n_groups, found.share, why=why)
