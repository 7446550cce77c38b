"""What a look sees: sums by arm at each of many looks, and the first look at which a rule says so.

In: made-up or resampled units in their order of time. Out: `LookSums` of both arms, the n of a first alarm. Bounds come
from `stats.sequential`; here stand only the naive z test that they are set beside, and the waiting that the trial does.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from incumbent.stats import sequential
from incumbent.stats.sequential import LookBounds, LookSums

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

NEVER = math.inf
FIRST_LOOK, DECISION = 100, 200
"""Matured outcomes an arm before the first bound, and before a decision (`live.min_labels`)."""


@dataclass(frozen=True, slots=True)
class Arms:
    """Both arms at each look."""

    incumbent: LookSums
    challenger: LookSums

    @property
    def n(self) -> Floats:
        return self.incumbent.n + self.challenger.n

    def least(self) -> Floats:
        """Outcomes in the smaller arm."""
        return np.minimum(self.incumbent.sum_x, self.challenger.sum_x)

    def bounds(self, alpha: float, n_star: float, side: sequential.Side) -> LookBounds:
        return sequential.difference_bounds(self.incumbent, self.challenger, alpha=alpha, n_star=n_star, side=side)


def ends(n: int, looks: int) -> Integers:
    """The number of units at each of evenly spaced looks, the last at all `n`.

    >>> ends(10, 4).tolist()
    [2, 5, 7, 10]
    """
    return (np.arange(1, looks + 1) * n) // looks


def split(losses: Floats, challenger: Bools, at: Integers) -> Arms:
    """Units that count once each, dealt to two arms."""
    return Arms(*(_once(losses, arm, at) for arm in (~challenger, challenger)))


def _once(losses: Floats, taken: Bools, at: Integers) -> LookSums:
    n, y, yy = (upto(terms, at) for terms in (taken, losses * taken, losses * losses * taken))
    return LookSums(n, n, y, n, yy, y)


def upto(terms: npt.NDArray[np.generic], at: Integers) -> Floats:
    """Sums over the first `at[i]` terms.

    >>> upto(np.array([1, 2, 4]), np.array([0, 2, 3])).tolist()
    [0.0, 3.0, 7.0]
    """
    return np.concatenate([[0.0], np.cumsum(terms, dtype=np.float64)])[at]


@dataclass(frozen=True, slots=True)
class Growing:
    """What each row adds to the sums of its unit's arm: rows in the order of time, units that come back."""

    unit: Integers
    steps: tuple[Floats, ...]

    def arms(self, challenger: Bools, at: Integers) -> Arms:
        """Sums over the units of both arms after the first `at[i]` rows. `challenger`: one arm a unit."""
        mine = challenger[self.unit]
        ours = [upto(step * mine, at) for step in self.steps]
        whole = [upto(step, at) for step in self.steps]
        return Arms(LookSums(*(both - one for both, one in zip(whole, ours, strict=True))), LookSums(*ours))


def growing(unit: Integers, losses: Floats) -> Growing:
    """`unit` (0, 1, ...) and loss of each row, in the order of time. A sum of squares grows by what the row adds to
    the square of its unit's total, so arms can be dealt anew without adding anything up again.

    >>> rows = growing(np.array([0, 1, 0]), np.array([1.0, 2.0, 3.0]))
    >>> rows.arms(np.array([True, False]), np.array([3])).challenger.sum_yy.tolist()
    [16.0]
    """
    order = np.argsort(unit, kind="stable")
    starts = np.flatnonzero(np.diff(unit[order], prepend=-1))
    size, total = np.empty(len(unit)), np.empty(len(unit))
    for into, terms in ((size, np.ones(len(unit))), (total, losses)):
        summed = np.cumsum(terms[order])
        before = np.repeat(summed[starts] - terms[order][starts], np.diff(np.append(starts, len(unit))))
        into[order] = summed - before
    was, had = size - 1.0, total - losses
    first = (size == 1.0).astype(np.float64)
    steps = (first, np.ones(len(unit)), losses, size**2 - was**2, total**2 - had**2, size * total - was * had)
    return Growing(unit, steps)


def z_bounds(found: LookBounds, alpha: float) -> LookBounds:
    """The naive rule: bounds that hold at one planned look, taken at every look."""
    width = np.where(np.isfinite(found.standard_error), found.standard_error, math.inf) * float(ndtri(1.0 - alpha))
    known = np.where(np.isfinite(width), found.estimate, 0.0)
    return LookBounds(found.n, found.estimate, known - width, known + width, found.standard_error)


def first(n: npt.NDArray[np.generic], said: Bools) -> float:
    """The n of the first look that says so; NEVER.

    >>> first(np.array([10, 20, 30]), np.array([False, True, True])), first(np.array([10]), np.array([False]))
    (20.0, inf)
    """
    return float(n[int(np.argmax(said))]) if said.any() else NEVER
