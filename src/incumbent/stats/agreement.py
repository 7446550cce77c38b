"""Do reviewers agree beyond chance, and what does their error do to a score?

In: for each item the labels that its reviewers gave (items with one label say nothing). Out: Krippendorff's
alpha for names or for numbers, its interval and the plain agreement beside it: where nearly all items have one
label, 95 % agreement can be no better than chance. Then the error of one reviewer, and the score that the best
model can reach against labels with that error.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from incumbent.errors import DataError

Level = Literal["nominal", "interval"]
LOPSIDED = 0.9
"""From this share of one label on, alpha is unsure whatever the agreement."""


@dataclass(frozen=True)
class Agreement:
    """Krippendorff's alpha (1: perfect, 0: chance, below: worse) with a two-sided interval over items.

    `agreement` is the share of pairs of labels that are equal, `by_chance` the share that would be equal if the
    labels were dealt at random; `prevalence` the share of the commonest label (near 1, alpha is unsure whatever
    the agreement). `n_items` counts items with at least two labels.
    """

    n_items: int
    alpha: float
    lower: float
    upper: float
    agreement: float
    prevalence: float
    by_chance: float = math.nan
    metric: Level = "nominal"

    @property
    def lopsided(self) -> bool:
        """Is one label so common that agreement says little?"""
        return self.metric == "nominal" and self.prevalence > LOPSIDED


def krippendorff(
    items: Sequence[Sequence[Hashable]],
    *,
    metric: Level = "nominal",
    level: float = 0.95,
    n_resamples: int = 1000,
    seed: int = 0,
    blocks: Sequence[int] | None = None,
) -> Agreement:
    """Alpha = 1 - D_observed / D_expected for nominal or interval labels; None is no label.

    Krippendorff, "Computing Krippendorff's alpha-reliability" (2011), sections C (nominal) and E (interval). With
    n labels in units of two or more, v_u of them in unit u, and δ² = 1 where two names differ, (a - b)² for numbers:

        D_observed = (1/n) Σ_u Σ_{i≠j in u} δ²(i, j) / (v_u - 1)        D_expected = Σ_{i≠j} δ²(i, j) / (n (n - 1))

    The interval resamples items (percentiles), or whole `blocks` of items that belong together, one number an item: the
    cluster bootstrap (Field & Welsh, Journal of the Royal Statistical Society B 69, 2007). Raises DataError where no
    item has two labels, or all labels are the same: alpha is undefined there, and neither 0 nor 1 would be true.

    >>> result = krippendorff([["a", "a"], ["b", "b"], ["a", "b"], ["b", "b"], ["a", "a"]])
    >>> round(result.alpha, 3), result.agreement
    (0.64, 0.8)
    >>> round(krippendorff([[1, 1], [2, 2], [1, 2], [5, 5]], metric="interval").alpha, 3)
    0.956
    """
    labelled = [[label for label in item if label is not None] for item in items]
    kept = [place for place, labels in enumerate(labelled) if len(labels) > 1]
    paired = [labelled[place] for place in kept]
    names = sorted({name for labels in paired for name in labels}, key=repr)
    if len(names) < 2:
        raise DataError(
            f"agreement beyond chance needs two labels on some items and two different ones, found "
            f"{len(paired)} items with two labels and the labels {names}"
        )
    tallies = [Counter(labels) for labels in paired]
    counts = np.array([[tally[name] for name in names] for tally in tallies], dtype=np.float64)
    table = counts if metric == "nominal" else _moments(paired)
    alpha_of = _nominal if metric == "nominal" else _interval
    found = alpha_of(table)
    generator = np.random.default_rng(seed)
    of = _rows_of(np.arange(len(kept)) if blocks is None else np.asarray(blocks)[kept])
    draws = [alpha_of(table[_drawn(of, generator)]) for _ in range(n_resamples)]
    defined = [draw for draw in draws if not math.isnan(draw)]  # one label only is left in the others
    lower, upper = np.quantile(defined or [found], [(1.0 - level) / 2.0, (1.0 + level) / 2.0])
    prevalence = float(counts.sum(axis=0).max() / counts.sum())
    equal, by_chance = _equal(counts)
    return Agreement(len(counts), found, float(lower), float(upper), equal, prevalence, by_chance, metric)


def reviewer_error(agreement: float, n_classes: int) -> float | None:
    """The error of one reviewer from the share of items on which two agree, both being equally good.

    Independent errors that fall on each other class alike: agreement = (1 - e)² + e² / (k - 1), solved for the
    smaller root. None below 1/k, where they agree less than by chance and no such error exists. (The model of Dawid &
    Skene, Applied Statistics 28, 1979, with one common rate.)

    >>> round(reviewer_error(0.905, 2), 6), reviewer_error(1.0, 10), reviewer_error(0.4, 2)
    (0.05, 0.0, None)
    """
    if not 0.0 <= agreement <= 1.0 or n_classes < 2:
        raise ValueError(f"expected an agreement of 0 to 1 and two classes, found {agreement} and {n_classes}")
    ratio = n_classes / (n_classes - 1)
    inside = 1.0 - ratio * (1.0 - agreement)
    return None if inside < 0.0 else (1.0 - math.sqrt(inside)) / ratio


def read_accuracy(accuracy: float, error: float, n_classes: int) -> float:
    """What a model of this true accuracy reads as, against labels of which the share `error` is wrong.

    a (1 - e) + (1 - a) e / (k - 1): right against right labels, or wrong and by luck what the wrong label says. A
    perfect model reads 1 - e: the ceiling. (Lam & Stork, "Evaluating classifiers by means of test data with noisy
    labels", IJCAI 2003.)

    >>> round(read_accuracy(0.95, 0.05, 2), 6), read_accuracy(1.0, 0.05, 2)
    (0.905, 0.95)
    """
    return accuracy * (1.0 - error) + (1.0 - accuracy) * error / (n_classes - 1)


def reviewer_noise(items: Sequence[Sequence[float]]) -> float:
    """The standard deviation of one reviewer's number about the truth, from items that two or more gave a number.

    √(Σ within-item squares / Σ (v_u - 1)): for pairs √(Σ d² / 2n), Dahlberg, "Statistical Methods for Medical and
    Biological Students" (1940). Against such labels a perfect model still reads this number's square as its squared
    error. Raises DataError where no item has two numbers.

    >>> reviewer_noise([[1.0, 3.0], [5.0, 5.0]])
    1.0
    """
    paired = [np.asarray(item, dtype=np.float64) for item in items if len(item) > 1]
    if not paired:
        raise DataError("found no item with two numbers, expected some that two people answered")
    within = math.fsum(float(np.square(item - item.mean()).sum()) for item in paired)
    return math.sqrt(within / sum(len(item) - 1 for item in paired))


def _rows_of(blocks: npt.NDArray[np.int64]) -> list[npt.NDArray[np.int64]]:
    """The rows of each block."""
    _, index = np.unique(blocks, return_inverse=True)
    return np.split(np.argsort(index, kind="stable"), np.cumsum(np.bincount(index))[:-1])


def _drawn(of: list[npt.NDArray[np.int64]], generator: np.random.Generator) -> npt.NDArray[np.int64]:
    picked = generator.integers(0, len(of), len(of))
    return picked if all(len(one) == 1 for one in of) else np.concatenate([of[i] for i in picked])


def _equal(counts: npt.NDArray[np.float64]) -> tuple[float, float]:
    """The share of equal pairs within items, and among all labels, of a table (items, labels)."""
    sizes, totals = counts.sum(axis=1), counts.sum(axis=0)
    n = float(sizes.sum())
    equal = float(((counts * (counts - 1.0)).sum(axis=1) / (sizes - 1.0)).sum()) / n
    return equal, float((totals * (totals - 1.0)).sum()) / (n * (n - 1.0))


def _nominal(counts: npt.NDArray[np.float64]) -> float:
    """NaN in a resample with one label only."""
    equal, by_chance = _equal(counts)
    return 1.0 - (1.0 - equal) / (1.0 - by_chance) if by_chance < 1.0 else math.nan


def _moments(items: Sequence[Sequence[Hashable]]) -> npt.NDArray[np.float64]:
    """(items, 3): how many numbers, their sum, their squares' sum. Shifted to their common mean, which alpha does not
    see and which keeps the digits of numbers far from 0."""
    values = [np.asarray(item, dtype=np.float64) for item in items]
    middle = float(np.concatenate(values).mean())
    return np.array([[len(v), (v - middle).sum(), np.square(v - middle).sum()] for v in values])


def _interval(moments: npt.NDArray[np.float64]) -> float:
    """Σ_{i≠j} (a - b)² = 2 (v Σa² - (Σa)²), within each item and over all."""
    sizes, sums, squares = moments.T
    n = float(sizes.sum())
    observed = float((2.0 * (sizes * squares - sums * sums) / (sizes - 1.0)).sum()) / n
    expected = 2.0 * (n * float(squares.sum()) - float(sums.sum()) ** 2) / (n * (n - 1.0))
    return 1.0 - observed / expected if expected > 0.0 else math.nan
