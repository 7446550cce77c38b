"""Does what is predicted with .8 happen eight times in ten?

In: probabilities `(n_rows, n_classes)` and the class index of the truth. Out: reliability bins of equal mass
and the expected calibration error. Two classes: the probability of class 1 against its rate; more: the
confidence of the most probable class against how often it is right. Does not calibrate.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from incumbent.errors import DataError
from incumbent.stats.share import wilson


@dataclass(frozen=True)
class ReliabilityBin:
    """Rows of similar confidence: what was claimed, what happened, and its 95 % Wilson interval."""

    n: int
    mean_confidence: float
    rate: float
    lower: float
    upper: float


def reliability(
    probabilities: npt.ArrayLike, truth: npt.ArrayLike, *, n_bins: int = 15
) -> list[ReliabilityBin]:
    """Bins of equal mass, in order of confidence; rows of equal confidence are never split over two bins.

    Equal mass, as bins of equal width leave most of them empty (Nixon et al., arXiv 1904.01685). Fewer bins
    come out where few distinct confidences go in.

    >>> [(b.n, b.mean_confidence, b.rate)
    ...  for b in reliability([[.8, .2]] * 5 + [[.4, .6]] * 5, [0] * 4 + [1] * 6)]
    [(5, 0.2, 0.2), (5, 0.6, 1.0)]
    """
    confidence, happened = _claims(probabilities, truth)
    if n_bins < 1:
        raise ValueError(f"n_bins must be at least 1, found {n_bins}")
    _, inverse, counts = np.unique(confidence, return_inverse=True, return_counts=True)
    middle = np.cumsum(counts) - counts / 2.0
    bin_of = np.minimum((middle * n_bins / len(confidence)).astype(np.int64), n_bins - 1)[inverse]
    return [_bin(confidence[bin_of == b], happened[bin_of == b]) for b in np.unique(bin_of)]


def expected_calibration_error(
    probabilities: npt.ArrayLike, truth: npt.ArrayLike, *, n_bins: int = 15
) -> float:
    """Σ n_b/n·|claimed - happened| over bins of equal mass, 0 (calibrated) to 1. Naeini et al., AAAI 2015.

    Even a perfect model shows about √(n_bins/n)·.3 by chance: compare two models on the same rows.

    >>> expected_calibration_error([[.8, .2]] * 5 + [[.4, .6]] * 5, [0] * 4 + [1] * 6)
    0.2
    """
    bins = reliability(probabilities, truth, n_bins=n_bins)
    return math.fsum(b.n * abs(b.mean_confidence - b.rate) for b in bins) / sum(b.n for b in bins)


def _bin(confidence: npt.NDArray[np.float64], happened: npt.NDArray[np.bool_]) -> ReliabilityBin:
    n, hits = len(confidence), int(happened.sum())
    interval = wilson(hits, n)
    return ReliabilityBin(n, math.fsum(confidence) / n, hits / n, interval.lower, interval.upper)


def _claims(
    probabilities: npt.ArrayLike, truth: npt.ArrayLike
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    table, index = np.asarray(probabilities, dtype=np.float64), np.asarray(truth)
    if table.ndim != 2 or table.shape[1] < 2 or index.shape != (len(table),) or not len(table):
        raise DataError(
            f"expected probabilities (n_rows, n_classes) and n_rows truths, found shapes {table.shape} "
            f"and {index.shape}"
        )
    if not np.isfinite(table).all():
        raise DataError("probabilities must be finite; look at the rows with NaN first")
    if table.shape[1] == 2:
        return table[:, 1], index == 1
    top = table.argmax(axis=1)
    return table[np.arange(len(table)), top], top == index
