"""How sure is a value? One column of outputs and truth in, the metric's value with its 95 % interval out.

A mean of row losses has the interval of that mean (`compare.paired` against a loss of 0, by blocks where rows depend
on each other). The area under the ROC curve has that of DeLong, DeLong & Clarke-Pearson (Biometrics 44, 1988), summed
by blocks as Obuchowski (Biometrics 53, 1997) does: one sort. Any other metric (f1, average_precision, r2) has that of
the delete-a-group jackknife: the value again without each of at most 40 groups of whole blocks, Student's t with one
degree less than groups (Kott, Journal of Official Statistics 17 (2001); Efron & Tibshirani 1993, 11.5). 41 evaluations
whatever the number of rows. Knows no rule.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

from incumbent.errors import DataError
from incumbent.stats import metrics
from incumbent.stats.compare import PairedDifference, paired
from incumbent.stats.metrics import Floats, Integers, Metric

ALPHA = 0.025
"""Each end of the interval: together 95 %."""
MOST_GROUPS = 40


@dataclass(frozen=True, slots=True)
class Measured:
    """A value of a metric and the ends of its 95 % interval, in the metric's own units (None: too few blocks).

    `losses` are the row losses (n_rows,) where the metric has them, else None.
    """

    value: float
    lower: float | None
    upper: float | None
    n_rows: int
    n_blocks: int
    losses: Floats | None = None


def measured(
    metric: Metric, outputs: Floats, truth: npt.NDArray[np.generic], blocks: Integers | None = None
) -> Measured:
    """The value of `metric` for outputs (n_rows,) or (n_rows, n_classes) and truth (n_rows,), with its interval.

    `blocks` (n_rows,): rows of one label may depend on each other (a day), others may not. The same rows give the same
    bytes. Raises DataError or ValueError where the metric has no value here.

    >>> from incumbent.stats import metrics
    >>> found = measured(metrics.get("absolute_error", "regression"), np.zeros(4), np.array([1.0, 2.0, 3.0, 2.0]))
    >>> found.value, round(found.lower, 2), round(found.upper, 2)
    (2.0, 0.7, 3.3)
    """
    if metric.value is metrics.roc_auc:
        return _ranked(metric, outputs, truth, blocks)
    if metric.row_loss is None:
        return _jackknifed(metric, outputs, truth, blocks, None)
    losses = metric.row_loss(outputs, truth)
    if metric.of_mean_loss is None:
        return _jackknifed(metric, outputs, truth, blocks, losses)
    found = paired(losses, np.zeros(len(losses)), blocks=blocks, alpha=ALPHA)
    value = metric.of_mean_loss(found.mean_reference)
    if not math.isfinite(found.standard_error):
        return Measured(value, None, None, len(losses), found.n_blocks, losses)
    lower, upper = sorted(metric.of_mean_loss(min(max(end, metric.low), metric.high)) for end in _ends(found))
    return Measured(value, lower, upper, len(losses), found.n_blocks, losses)


def _ends(found: PairedDifference) -> tuple[float, float]:
    return found.lower, found.upper


def _ranked(metric: Metric, outputs: Floats, truth: npt.NDArray[np.generic], blocks: Integers | None) -> Measured:
    """The chance that a positive row scores above a negative one, as the mean of each row's share of the other class
    that lies on its right side."""
    value = metric.value(outputs, truth)
    positive, score = truth == 1, outputs[:, 1]
    _, place = np.unique(score, return_inverse=True)
    counts = [np.bincount(place[side], minlength=int(place.max()) + 1) for side in (positive, ~positive)]
    below = [np.cumsum(of) - of / 2.0 for of in counts]  # ties: half
    n_positive, n_negative = int(positive.sum()), int((~positive).sum())
    share = np.where(positive, below[1][place] / n_negative, 1.0 - below[0][place] / n_positive)
    residual = (share - value) / np.where(positive, n_positive, n_negative)
    sums = residual if blocks is None else np.bincount(np.unique(blocks, return_inverse=True)[1], residual)
    n_blocks = len(sums)
    if n_blocks < 2:
        return Measured(value, None, None, len(truth), n_blocks)
    error = math.sqrt(n_blocks / (n_blocks - 1) * math.fsum(np.square(sums)))
    width = float(stdtrit(n_blocks - 1, 1.0 - ALPHA)) * error
    return Measured(value, max(value - width, 0.0), min(value + width, 1.0), len(truth), n_blocks)


def _jackknifed(
    metric: Metric, outputs: Floats, truth: npt.NDArray[np.generic], blocks: Integers | None, losses: Floats | None
) -> Measured:
    value = metric.value(outputs, truth)
    group, n_blocks = _groups(len(truth), blocks)
    n_groups = int(group.max()) + 1
    without = _without_each(metric, outputs, truth, group, n_groups) if n_groups > 1 else None
    if without is None:
        return Measured(value, None, None, len(truth), n_blocks, losses)
    error = math.sqrt((n_groups - 1) / n_groups * math.fsum(np.square(without - without.mean())))
    width = float(stdtrit(n_groups - 1, 1.0 - ALPHA)) * error
    low, high = (-math.inf, metric.perfect) if metric.row_loss else (metric.low, metric.high)
    return Measured(value, max(value - width, low), min(value + width, high), len(truth), n_blocks, losses)


def _groups(n_rows: int, blocks: Integers | None) -> tuple[Integers, int]:
    """The group of each row: neighbouring blocks together; without blocks a seeded draw, as rows may be sorted."""
    if blocks is None:
        index, n_blocks = np.random.default_rng(0).permutation(n_rows), n_rows
    else:
        distinct, index = np.unique(blocks, return_inverse=True)
        n_blocks = len(distinct)
    n_groups = min(n_blocks, MOST_GROUPS)
    return index.astype(np.int64) * n_groups // n_blocks, n_blocks


def _without_each(
    metric: Metric, outputs: Floats, truth: npt.NDArray[np.generic], group: Integers, n_groups: int
) -> Floats | None:
    """The value without each group; None where one of them has none (then nobody knows how it varies)."""
    found = []
    for left_out in range(n_groups):
        kept = group != left_out
        try:
            found.append(metric.value(outputs[kept], truth[kept]))
        except DataError:
            return None
    return np.array(found)
