"""What is a good prediction? Every metric, declared once: direction, perfect value, range and row loss.

In: outputs (probabilities `(n_rows, n_classes)`, or numbers `(n_rows,)`) and truth (class index, or number).
Out: a loss for each row (always: lower is better) and the value of the metric. Where a metric is a
(transformed) mean of row losses, the row loss decides the test (`compare.paired`); where it is not, the
bootstrap does. Stored losses are integers of 1e-9: sums of integers are the same bytes in every store. Numpy
only: this file also runs on the answering path.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from incumbent.errors import ConfigError, DataError

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
RowLoss = Callable[[npt.ArrayLike, npt.ArrayLike], Floats]
Value = Callable[[npt.ArrayLike, npt.ArrayLike], float]

KINDS = ("binary", "multiclass", "regression", "forecast")
UNITS_PER_ONE = 1_000_000_000
LARGEST_LOSS = (2**63 - 1) // UNITS_PER_ONE
"""A larger row loss (9.2e9) does not fit a stored 64-bit integer."""
SMALLEST_PROBABILITY = 1e-15
"""`log_loss` clips here, so one impossible event costs 34.5 and not infinity."""
_PROBABILITY_SLACK = 1e-6  # float32 runtimes return 1.0000001


@dataclass(frozen=True)
class Metric:
    """One declared metric for one kind of task.

    `low` and `high` bound the row loss where there is one, else the value itself (`inf`: unbounded).
    `row_loss` gives a loss per row, lower is better whatever the metric's direction; None where the metric is
    no mean. `value` gives the metric itself from outputs and truth; `of_mean_loss` gives it from a mean row
    loss, and is None where that alone does not say it: r2 also needs the spread of the truth, but on the same
    rows a smaller mean of squared errors is a larger r2, so that the row loss decides the test.
    """

    name: str
    kind: str
    kinds: tuple[str, ...]
    lower_is_better: bool
    perfect: float
    low: float
    high: float
    row_loss: RowLoss | None
    value: Value
    of_mean_loss: Callable[[float], float] | None
    description: str

    @property
    def is_mean(self) -> bool:
        """Does a mean of row losses say its value? Not that of a rank (roc_auc), nor r2, whose row loss is held against
        the spread of the same rows."""
        return self.row_loss is not None and self.of_mean_loss is not None

    def gain(self, reference: float, candidate: float) -> float:
        """How much better `candidate` is than `reference`: positive is better, in the metric's own units."""
        return reference - candidate if self.lower_is_better else candidate - reference


def get(name: str, kind: str) -> Metric:
    """The metric called `name` for tasks of `kind`; an error names the nearest one and what suits the kind.

    `quantile_loss_0.9` is the loss of a predicted 90 % quantile; any level strictly between 0 and 1 works.

    >>> brier = get("brier", "binary")
    >>> brier.row_loss([[.2, .8], [.9, .1]], [1, 1]).round(3).tolist()
    [0.04, 0.81]
    >>> get("brierr", "binary")
    Traceback (most recent call last):
    incumbent.errors.ConfigError: no metric "brierr" for kind "binary"; did you mean "brier"? \
These suit the kind: accuracy, average_precision, brier, f1, log_loss, roc_auc, zero_one
    """
    if kind not in KINDS:
        raise ConfigError(f'unknown kind "{kind}"; a task is one of {", ".join(KINDS)}')
    metric = _TABLE.get((name, kind)) or _quantile_metric(name, kind)
    if metric is None:
        raise ConfigError(_unknown(name, kind))
    return metric


def plain_name(word: str) -> str:
    """Our name for a metric that people call otherwise; any other word comes back as it is.

    >>> plain_name("MAE"), plain_name("auc"), plain_name("brier")
    ('absolute_error', 'roc_auc', 'brier')
    """
    return _OTHER_WORDS.get(word.lower(), word)


def names(kind: str) -> tuple[str, ...]:
    """The names of the metrics that suit `kind`, sorted (numbers also have `quantile_loss_<level>`)."""
    return tuple(sorted(name for name, of in _TABLE if of == kind))


def to_units(loss: npt.ArrayLike, metric: Metric | None = None) -> Integers:
    """Row losses as the integers that are stored: units of 1e-9, rounded half to even.

    Raises DataError for a loss that is not finite, does not fit 64 bits, or lies outside of the metric's
    range.

    >>> to_units([0.25, 0.1234567894]).tolist()
    [250000000, 123456789]
    """
    values = np.atleast_1d(np.asarray(loss, dtype=np.float64))
    low, high = (-math.inf, math.inf) if metric is None else (metric.low, metric.high)
    _refuse(~np.isfinite(values), values, "a loss must be a finite number")
    _refuse(
        np.abs(values) > LARGEST_LOSS,
        values,
        f"a stored loss is at most {LARGEST_LOSS:.4g}: rescale the target",
    )
    slack = 1e-9
    outside = (values < low - slack) | (values > high + slack)
    _refuse(outside, values, f"{metric.name if metric else 'loss'} declares the range {low:g} to {high:g}")
    return np.rint(values * UNITS_PER_ONE).astype(np.int64)


def from_units(units: npt.ArrayLike) -> Floats:
    """Stored integers (or sums of them, Python integers of any size) back as floats."""
    return np.asarray(units, dtype=np.float64) / UNITS_PER_ONE


# --- row losses ---


def brier_binary(outputs: npt.ArrayLike, truth: npt.ArrayLike) -> Floats:
    """(p₁ - y)², range 0 to 1. Brier, Monthly Weather Review 78 (1950), halved as usual for two classes."""
    probabilities, index = classified(outputs, truth, n_classes=2)
    squared: Floats = np.square(probabilities[:, 1] - index)
    return squared


def brier_multiclass(outputs: npt.ArrayLike, truth: npt.ArrayLike) -> Floats:
    """Σ over classes of (p - onehot)², range 0 to 2. Brier (1950)."""
    probabilities, index = classified(outputs, truth)
    onehot = np.zeros_like(probabilities)
    onehot[np.arange(len(index)), index] = 1.0
    return np.asarray(np.square(probabilities - onehot).sum(axis=1), dtype=np.float64)


def log_loss(outputs: npt.ArrayLike, truth: npt.ArrayLike) -> Floats:
    """-ln p(truth), p clipped at 1e-15; range 0 to 34.54. Good, J. Royal Statistical Society B 14 (1952)."""
    probabilities, index = classified(outputs, truth)
    of_truth = np.maximum(probabilities[np.arange(len(index)), index], SMALLEST_PROBABILITY)
    return np.asarray(np.abs(np.log(of_truth)), dtype=np.float64)


def zero_one(outputs: npt.ArrayLike, truth: npt.ArrayLike) -> Floats:
    """1 where the most probable class is not the truth, else 0; among equals the first class counts."""
    probabilities, index = classified(outputs, truth)
    return np.asarray(probabilities.argmax(axis=1) != index, dtype=np.float64)


def squared_error(outputs: npt.ArrayLike, truth: npt.ArrayLike) -> Floats:
    """(prediction - truth)², in squared units of the target."""
    predicted, actual = _numbers(outputs, truth)
    squared: Floats = np.square(predicted - actual)
    return squared


def absolute_error(outputs: npt.ArrayLike, truth: npt.ArrayLike) -> Floats:
    """|prediction - truth|, in units of the target."""
    predicted, actual = _numbers(outputs, truth)
    return np.abs(predicted - actual)


def quantile_loss(outputs: npt.ArrayLike, truth: npt.ArrayLike, *, level: float) -> Floats:
    """Pinball loss: level·(y - q) above it, (1 - level)·(q - y) below. Koenker & Bassett 1978."""
    predicted, actual = _numbers(outputs, truth)
    short = actual - predicted
    return np.maximum(level * short, (level - 1.0) * short)


# --- metrics that are no mean ---


def roc_auc(outputs: npt.ArrayLike, truth: npt.ArrayLike) -> float:
    """The chance that a random positive row scores above a negative one (ties: half). Hanley & McNeil (1982).

    >>> roc_auc([[.9, .1], [.6, .4], [.65, .35], [.2, .8]], [0, 0, 1, 1])
    0.75
    """
    score, positive = scored(outputs, truth)
    n_positive, n_negative = int(positive.sum()), int((~positive).sum())
    if not n_positive or not n_negative:
        raise DataError("roc_auc needs rows of both classes, found one class only")
    _, inverse, counts = np.unique(score, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    mean_rank = last - (counts - 1) / 2.0
    above = float(mean_rank[inverse][positive].sum()) - n_positive * (n_positive + 1) / 2.0
    return above / (n_positive * n_negative)


def average_precision(outputs: npt.ArrayLike, truth: npt.ArrayLike) -> float:
    """Σ (recallₖ - recallₖ₋₁)·precisionₖ over the distinct scores, highest first; no interpolation.

    >>> round(average_precision([[.9, .1], [.6, .4], [.65, .35], [.2, .8]], [0, 0, 1, 1]), 4)
    0.8333
    """
    score, positive = scored(outputs, truth)
    if not positive.any():
        raise DataError("average_precision needs at least one positive row, found none")
    order = np.argsort(-score, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(score[order])), len(score) - 1)
    hits = np.cumsum(positive[order])[ends]
    recall_steps = np.diff(np.concatenate(([0.0], hits / hits[-1])))
    return float(np.sum(recall_steps * hits / (ends + 1)))


def f1(outputs: npt.ArrayLike, truth: npt.ArrayLike) -> float:
    """2·TP / (2·TP + FP + FN) of class 1 (binary), or its mean over the classes that occur (multiclass)."""
    probabilities, index = classified(outputs, truth)
    predicted = probabilities.argmax(axis=1)
    n_classes = probabilities.shape[1]
    wanted = [1] if n_classes == 2 else range(n_classes)
    found = [
        (int(np.sum((predicted == c) & (index == c))), int(np.sum(predicted == c) + np.sum(index == c)))
        for c in wanted
    ]
    scores = [2.0 * hits / total for hits, total in found if total]
    if not scores:
        raise DataError("f1 needs a row of class 1 in truth or predictions, found none")
    return math.fsum(scores) / len(scores)


def r2(outputs: npt.ArrayLike, truth: npt.ArrayLike) -> float:
    """1 - Σ(prediction - truth)² / Σ(truth - its mean)²: the share of the spread that is explained; -inf to 1.

    Wright, Journal of Agricultural Research 20 (1921). The mean is that of these rows, so that predicting it
    gives 0 and anything worse is negative. Raises DataError where every truth is the same.

    >>> r2([1.0, 2.0, 3.0], [1.0, 2.0, 6.0])
    0.3571428571428571
    """
    squared = squared_error(outputs, truth)
    actual = np.asarray(truth, dtype=np.float64)
    if not len(actual) or actual.min() == actual.max():
        raise DataError(f"r2 needs a truth that varies, found {len(actual)} rows that all have the same")
    spread = math.fsum(np.square(actual - math.fsum(actual) / len(actual)))
    return 1.0 - math.fsum(squared) / spread


# --- the table ---


def _identity(mean_loss: float) -> float:
    return mean_loss


def _complement(mean_loss: float) -> float:
    return 1.0 - mean_loss


def _mean_value(
    row_loss: RowLoss, of_mean_loss: Callable[[float], float], outputs: npt.ArrayLike, truth: npt.ArrayLike
) -> float:
    losses = row_loss(outputs, truth)
    if not len(losses):
        raise DataError("a metric needs at least one row, found none")
    return of_mean_loss(math.fsum(losses) / len(losses))


def _mean_metrics(
    name: str,
    kinds: tuple[str, ...],
    row_loss: RowLoss,
    high: float,
    description: str,
    of_mean_loss: Callable[[float], float] = _identity,
    perfect: float = 0.0,
) -> list[Metric]:
    value = partial(_mean_value, row_loss, of_mean_loss)
    return [
        Metric(
            name,
            kind,
            kinds,
            of_mean_loss is not _complement,
            perfect,
            0.0,
            high,
            row_loss,
            value,
            of_mean_loss,
            description,
        )
        for kind in kinds
    ]


def _whole_metrics(name: str, kinds: tuple[str, ...], value: Value, description: str) -> list[Metric]:
    return [Metric(name, kind, kinds, False, 1.0, 0.0, 1.0, None, value, None, description) for kind in kinds]


_CLASSES = ("binary", "multiclass")
_NUMBERS = ("regression", "forecast")
_ALL = [
    *_mean_metrics(
        "brier", ("binary",), brier_binary, 1.0, "mean squared error of the probability of class 1"
    ),
    *_mean_metrics(
        "brier", ("multiclass",), brier_multiclass, 2.0, "squared error of the probabilities, all classes"
    ),
    *_mean_metrics("log_loss", _CLASSES, log_loss, -math.log(SMALLEST_PROBABILITY), "mean of -ln p(truth)"),
    *_mean_metrics("zero_one", _CLASSES, zero_one, 1.0, "share of rows whose most probable class is wrong"),
    *_mean_metrics(
        "accuracy",
        _CLASSES,
        zero_one,
        1.0,
        "share of rows whose most probable class is right",
        _complement,
        1.0,
    ),
    *_whole_metrics(
        "roc_auc", ("binary",), roc_auc, "chance that a positive row scores above a negative one"
    ),
    *_whole_metrics("average_precision", ("binary",), average_precision, "precision averaged over recall"),
    *_whole_metrics("f1", _CLASSES, f1, "harmonic mean of precision and recall"),
    *_mean_metrics("squared_error", _NUMBERS, squared_error, math.inf, "mean squared error"),
    *_mean_metrics("absolute_error", _NUMBERS, absolute_error, math.inf, "mean absolute error"),
    *_mean_metrics("rmse", _NUMBERS, squared_error, math.inf, "root of the mean squared error", math.sqrt),
    *(
        Metric("r2", kind, _NUMBERS, False, 1.0, 0.0, math.inf, squared_error, r2, None,
               "share of the truth's spread that is explained; tested on the squared error")
        for kind in _NUMBERS
    ),
]
_TABLE = {(metric.name, metric.kind): metric for metric in _ALL}
_OTHER_WORDS = {
    "mae": "absolute_error",
    "mse": "squared_error",
    "auc": "roc_auc",
    "logloss": "log_loss",
    "cross_entropy": "log_loss",
    "error_rate": "zero_one",
    "r_squared": "r2",
    "r2_score": "r2",
    "mean_absolute_error": "absolute_error",
    "mean_squared_error": "squared_error",
    "root_mean_squared_error": "rmse",
    "brier_score": "brier",
    "ap": "average_precision",
    "acc": "accuracy",
    "pinball": "quantile_loss_0.5",
    "quantile_loss": "quantile_loss_0.5",
}


def _quantile_metric(name: str, kind: str) -> Metric | None:
    prefix, _, text = name.rpartition("_")
    try:
        level = float(text)
    except ValueError:
        return None
    if prefix != "quantile_loss" or kind not in _NUMBERS or not 0.0 < level < 1.0:
        return None
    row_loss = partial(quantile_loss, level=level)
    metrics = _mean_metrics(
        name, _NUMBERS, row_loss, math.inf, f"mean loss of the predicted {level:g} quantile"
    )
    return next(metric for metric in metrics if metric.kind == kind)


def _unknown(name: str, kind: str) -> str:
    suits = names(kind) + (("quantile_loss_<level>",) if kind in _NUMBERS else ())
    near = difflib.get_close_matches(name, suits, n=1)
    word = _OTHER_WORDS.get(name.lower())
    nearest = (
        word
        if word and (word, kind) in _TABLE | {("quantile_loss_0.5", of): None for of in _NUMBERS}
        else None
    )
    nearest = nearest or (near[0] if near else None)
    guess = f'; did you mean "{nearest}"?' if nearest else ";"
    elsewhere = sorted(of for known, of in _TABLE if known == name)
    note = f" ({name} is for {', '.join(elsewhere)})" if elsewhere else ""
    return f'no metric "{name}" for kind "{kind}"{note}{guess} These suit the kind: {", ".join(suits)}'


# --- what comes in ---


def classified(
    outputs: npt.ArrayLike, truth: npt.ArrayLike, n_classes: int | None = None
) -> tuple[Floats, Integers]:
    """Probabilities `(n_rows, n_classes)` in 0 to 1 and class indices `(n_rows,)`, checked."""
    probabilities = np.asarray(outputs, dtype=np.float64)
    if (
        probabilities.ndim != 2
        or probabilities.shape[1] < 2
        or (n_classes and probabilities.shape[1] != n_classes)
    ):
        raise DataError(
            f"expected probabilities of shape (n_rows, {n_classes or 'n_classes'}), "
            f"found {probabilities.shape}"
        )
    actual = np.asarray(truth)
    if actual.shape != (len(probabilities),):
        raise DataError(f"{len(probabilities)} rows of outputs, but truth has shape {actual.shape}")
    with np.errstate(invalid="ignore"):
        index = actual.astype(np.int64)
    if len(index):
        _refuse(
            (index != actual) | (index < 0) | (index >= probabilities.shape[1]),
            actual,
            f"truth must be a class index, 0 to {probabilities.shape[1] - 1}",
        )
    good = (probabilities >= -_PROBABILITY_SLACK) & (probabilities <= 1.0 + _PROBABILITY_SLACK)
    _refuse(np.asarray(~good.all(axis=1)), probabilities, "probabilities must lie between 0 and 1")
    return np.clip(probabilities, 0.0, 1.0), index


def scored(outputs: npt.ArrayLike, truth: npt.ArrayLike) -> tuple[Floats, npt.NDArray[np.bool_]]:
    probabilities, index = classified(outputs, truth, n_classes=2)
    return probabilities[:, 1], index == 1


def _numbers(outputs: npt.ArrayLike, truth: npt.ArrayLike) -> tuple[Floats, Floats]:
    predicted, actual = np.asarray(outputs, dtype=np.float64), np.asarray(truth, dtype=np.float64)
    if predicted.ndim != 1 or predicted.shape != actual.shape:
        raise DataError(
            f"expected two columns of equal length, found shapes {predicted.shape} and {actual.shape}"
        )
    _refuse(~np.isfinite(predicted), predicted, "a prediction must be a finite number")
    _refuse(~np.isfinite(actual), actual, "truth must be a finite number")
    return predicted, actual


def _refuse(bad: npt.NDArray[np.bool_], values: npt.NDArray[np.generic], expected: str) -> None:
    if bad.any():
        first = int(np.flatnonzero(bad)[0])
        raise DataError(
            f"{expected}; found {values[first].tolist()} in row {first} ({int(bad.sum())} such rows)"
        )
