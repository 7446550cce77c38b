"""Do reviewers agree beyond chance?

In: for each item the labels that its reviewers gave (items with one label say nothing). Out: Krippendorff's
alpha for names, its interval and the plain agreement beside it: where nearly all items have one label, 95 %
agreement can be no better than chance.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from incumbent.errors import DataError


@dataclass(frozen=True)
class Agreement:
    """Krippendorff's alpha (1: perfect, 0: chance, below: worse) with a two-sided 1 - alpha interval over
    items.

    `agreement` is the share of pairs of labels that are equal; `prevalence` the share of the commonest
    label (near 1, alpha is unsure whatever the agreement). `n_items` counts items with at least two labels.
    """

    n_items: int
    alpha: float
    lower: float
    upper: float
    agreement: float
    prevalence: float


def krippendorff(
    items: Sequence[Sequence[Hashable]], *, level: float = 0.95, n_resamples: int = 1000, seed: int = 0
) -> Agreement:
    """Alpha for nominal labels; None is no label. Krippendorff, Content Analysis, 2nd ed. 2004, chapter 11.

    The interval resamples items. Raises DataError where no item has two labels, or all labels are the same:
    alpha is undefined there, and neither 0 nor 1 would be true.

    >>> result = krippendorff([["a", "a"], ["b", "b"], ["a", "b"], ["b", "b"], ["a", "a"]])
    >>> round(result.alpha, 3), result.agreement
    (0.64, 0.8)
    """
    labelled = [[label for label in item if label is not None] for item in items]
    tallies = [Counter(labels) for labels in labelled if len(labels) > 1]
    names = sorted({name for tally in tallies for name in tally}, key=repr)
    if len(names) < 2:
        raise DataError(
            f"agreement beyond chance needs two labels on some items and two different ones, found "
            f"{len(tallies)} items with two labels and the labels {names}"
        )
    counts = np.array([[tally[name] for name in names] for tally in tallies], dtype=np.float64)
    found, agreement = _alpha(counts)
    generator = np.random.default_rng(seed)
    draws = [_alpha(counts[generator.integers(0, len(counts), len(counts))])[0] for _ in range(n_resamples)]
    lower, upper = np.nanquantile(draws, [(1.0 - level) / 2.0, (1.0 + level) / 2.0])
    prevalence = float(counts.sum(axis=0).max() / counts.sum())
    return Agreement(len(counts), found, float(lower), float(upper), agreement, prevalence)


def _alpha(counts: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Alpha and the plain agreement of a table (items, labels); alpha is NaN in a resample with one label
    only.
    """
    sizes, totals = counts.sum(axis=1), counts.sum(axis=0)
    n = float(sizes.sum())
    equal = float(((counts * (counts - 1.0)).sum(axis=1) / (sizes - 1.0)).sum()) / n
    by_chance = float((totals * (totals - 1.0)).sum()) / (n * (n - 1.0))
    return (1.0 - (1.0 - equal) / (1.0 - by_chance) if by_chance < 1.0 else np.nan), equal
