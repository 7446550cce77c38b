"""What does each row do to a metric that is no mean of row losses? The linear part of roc_auc, f1, … row by row.

In: outputs, truth, a metric. Out: its value and an influence a row, whose mean is 0: the value moves by about the mean
influence of the rows that are drawn, so that rows and whole blocks are compared as row losses are, in one pass over a
million rows and without a seed. Hampel, J. American Statistical Association 69 (1974), 383. Does not decide.

roc_auc: the placements of DeLong, DeLong & Clarke-Pearson (Biometrics 44, 1988), summed over blocks by Obuchowski
(Biometrics 53, 1997). f1, average_precision, rmse: the delta method. The tests hold each against the bootstrap.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from incumbent.errors import DataError
from incumbent.stats.compare import PairedDifference, block_sums, bounded
from incumbent.stats.metrics import Floats, Metric, classified, scored

METHOD = "influence"


@dataclass(frozen=True)
class Influence:
    """The value of a metric, what each row (n_rows,) does to it, and how many rows it rests on (the rarer class)."""

    value: float
    rows: Floats
    informative: int


def knows(metric: Metric) -> bool:
    """Is there an influence for this metric? Else the bootstrap compares it."""
    return metric.name in _TABLE


def influence(metric: Metric, outputs: npt.ArrayLike, truth: npt.ArrayLike) -> Influence:
    """Value and influence of each row. DataError where the metric is undefined (one class only).

    >>> from incumbent.stats import metrics
    >>> found = influence(metrics.get("rmse", "regression"), [1.0, 2.0], [1.0, 4.0])
    >>> round(found.value, 4), found.rows.round(4).tolist()
    (1.4142, [-0.7071, 0.7071])
    """
    found = _TABLE[metric.name](metric, outputs, truth)
    if not math.isfinite(found.value):
        raise DataError(f"{metric.name} is {found.value} here, expected a finite number")
    return found


def influence_difference(
    metric: Metric,
    truth: npt.ArrayLike,
    outputs_reference: npt.ArrayLike,
    outputs_candidate: npt.ArrayLike,
    *,
    blocks: npt.ArrayLike | None = None,
    alpha: float = 0.05,
    ordered: bool = False,
) -> PairedDifference:
    """The gain in such a metric with one-sided 1 - alpha bounds: `paired`, for metrics that are no mean.

    Student's t has as many degrees of freedom as the rarer class has rows, less one (or blocks, where they are fewer).
    """
    reference = influence(metric, outputs_reference, truth)
    candidate = influence(metric, outputs_candidate, truth)
    if len(reference.rows) != len(candidate.rows):
        raise DataError(f"found {len(reference.rows)} and {len(candidate.rows)} outputs: rows must agree")
    sign = -1.0 if metric.lower_is_better else 1.0
    moves = sign * (candidate.rows - reference.rows)
    gain = metric.gain(reference.value, candidate.value)
    residuals, unit = moves, "rows"
    if blocks is not None:
        residuals, unit = block_sums(blocks, moves)[1][0], "blocks"
    informative = min(reference.informative, candidate.informative, len(residuals))
    return bounded(
        residuals, len(moves), (reference.value, candidate.value), gain, alpha, f"{METHOD}, {unit}",
        moves=gain != 0.0 or bool(moves.any()), ordered=ordered and blocks is not None, degrees=informative - 1,
    )  # fmt: skip


def _roc_auc(metric: Metric, outputs: npt.ArrayLike, truth: npt.ArrayLike) -> Influence:
    """A positive's placement is the share of negatives below it (ties: half); a negative's, of positives above."""
    score, positive = scored(outputs, truth)
    n, n_positive = len(score), int(positive.sum())
    n_negative = n - n_positive
    if not n_positive or not n_negative:
        raise DataError("roc_auc needs rows of both classes, found one class only")
    _, place = np.unique(score, return_inverse=True)
    positives = np.bincount(place[positive], minlength=place.max() + 1)
    negatives = np.bincount(place[~positive], minlength=place.max() + 1)
    below = (np.cumsum(negatives) - negatives / 2.0) / n_negative
    above = (n_positive - np.cumsum(positives) + positives / 2.0) / n_positive
    value = metric.value(outputs, truth)
    rows = np.where(
        positive, (below[place] - value) * (n / n_positive), (above[place] - value) * (n / n_negative)
    )
    return Influence(value, rows, min(n_positive, n_negative))


def _average_precision(metric: Metric, outputs: npt.ArrayLike, truth: npt.ArrayLike) -> Influence:
    """AP = mean over positives of a/b at their score, a and b the shares of positives and of rows at or above it."""
    score, positive = scored(outputs, truth)
    n, n_positive = len(score), int(positive.sum())
    if not n_positive:
        raise DataError("average_precision needs at least one positive row, found none")
    _, place = np.unique(score, return_inverse=True)
    positives = np.bincount(place[positive], minlength=place.max() + 1)
    rows_at = np.bincount(place)
    a = np.cumsum(positives[::-1])[::-1] / n
    b = np.cumsum(rows_at[::-1])[::-1] / n
    through_a = np.cumsum(positives / b) / n  # over the positives at or below a row's score
    through_b = np.cumsum(positives * a / b**2) / n
    value, share = metric.value(outputs, truth), n_positive / n
    y = positive.astype(np.float64)
    rows = (y * ((a / b)[place] + through_a[place] - value) - through_b[place]) / share
    return Influence(value, rows, n_positive)


def _f1(metric: Metric, outputs: npt.ArrayLike, truth: npt.ArrayLike) -> Influence:
    """2·TP / (predicted + actual): a ratio of two means (of one class, or the mean of the ratios of several)."""
    probabilities, index = classified(outputs, truth)
    predicted, n = probabilities.argmax(axis=1), len(index)
    wanted = [1] if probabilities.shape[1] == 2 else list(range(probabilities.shape[1]))
    parts, informative = [], n
    for one in wanted:
        part = _f1_of(predicted == one, index == one)
        if part is not None:
            parts.append(part)
            informative = min(informative, int(np.sum((predicted == one) | (index == one))))
    if not parts:
        raise DataError("f1 needs a row of class 1 in truth or predictions, found none")
    rows = np.sum(parts, axis=0) / len(parts)
    return Influence(metric.value(outputs, truth), np.asarray(rows, dtype=np.float64), informative)


def _f1_of(predicted: npt.NDArray[np.bool_], actual: npt.NDArray[np.bool_]) -> Floats | None:
    hits, total = (predicted & actual).astype(np.float64), predicted.astype(np.float64) + actual
    if not total.any():
        return None
    ratio = 2.0 * math.fsum(hits) / math.fsum(total)
    return np.asarray((2.0 * hits - ratio * total) * (len(total) / math.fsum(total)), dtype=np.float64)


def _rmse(metric: Metric, outputs: npt.ArrayLike, truth: npt.ArrayLike) -> Influence:
    """The root of a mean: each squared error's departure from it, over twice the root."""
    assert metric.row_loss is not None
    losses = metric.row_loss(outputs, truth)
    value = metric.value(outputs, truth)
    rows = losses * 0.0 if value == 0.0 else (losses - value**2) / (2.0 * value)
    return Influence(value, rows, len(losses))


_TABLE: dict[str, Callable[[Metric, npt.ArrayLike, npt.ArrayLike], Influence]] = {
    "roc_auc": _roc_auc,
    "average_precision": _average_precision,
    "f1": _f1,
    "rmse": _rmse,
}
