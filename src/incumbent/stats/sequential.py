"""Is one arm better, does it harm, and is the split what it should be: answers that hold at every look.

In: sums per arm (or per block), counts of events, counts of units. Out: confidence sequences, log e-values
and the sample sizes to plan with. The tests stay valid however often somebody looks and whenever they stop.
Does not decide: `loop.decide` reads these numbers.

Each formula stands once, over arrays of looks (`LookSums`, `half_widths`, `log_e_shares`, ...); what judges one look
calls it with one.

Means: Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas, "Time-uniform central limit theory and asymptotic
confidence sequences", arXiv 2103.06476. Events: Lindon & Malek, arXiv 2011.03567, with a prior on one side
only.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy.special import betaincc, betaln, gammaln, ndtri

Floats = npt.NDArray[np.float64]
Side = Literal["two", "lower", "upper"]


@dataclass(frozen=True)
class UnitSums:
    """All that a sequence needs to know about an arm (or about the blocks of a pair): sums over its units.

    A unit has a size x (its outcomes, or its rows; 1 where each unit counts once) and a total y (its summed
    loss, or its summed difference). The mean is the ratio Σy/Σx. Sums add up over hours and replicas: `a +
    b`.
    """

    n: int
    sum_x: float
    sum_y: float
    sum_xx: float
    sum_yy: float
    sum_xy: float

    @classmethod
    def of(cls, totals: npt.ArrayLike, sizes: npt.ArrayLike | None = None) -> UnitSums:
        """Sums over one total a unit, and its size where units count more than once.

        >>> UnitSums.of([1.0, 2.0], [1, 3])
        UnitSums(n=2, sum_x=4.0, sum_y=3.0, sum_xx=10.0, sum_yy=5.0, sum_xy=7.0)
        """
        y = np.asarray(totals, dtype=np.float64)
        x = np.ones(len(y)) if sizes is None else np.asarray(sizes, dtype=np.float64)
        if y.ndim != 1 or x.shape != y.shape:
            raise ValueError(f"one total and one size a unit: found shapes {y.shape} and {x.shape}")
        if not (np.isfinite(y).all() and np.isfinite(x).all()):
            raise ValueError("totals and sizes must be finite")
        return cls(len(y), *(math.fsum(terms) for terms in (x, y, x * x, y * y, x * y)))

    def __add__(self, other: UnitSums) -> UnitSums:
        return UnitSums(
            self.n + other.n,
            self.sum_x + other.sum_x,
            self.sum_y + other.sum_y,
            self.sum_xx + other.sum_xx,
            self.sum_yy + other.sum_yy,
            self.sum_xy + other.sum_xy,
        )

    @property
    def mean(self) -> float:
        """Σy/Σx; ValueError without any size."""
        self._sized()
        return float(self._alone.means[0])

    @property
    def variance(self) -> float:
        """Variance of one unit's (y - mean·x)/x̄, so that variance/n is that of the mean (delta method)."""
        if self.n > 1:
            self._sized()
        return float(self._alone.variances[0])

    def _sized(self) -> None:
        if not self.sum_x > 0.0:
            raise ValueError(f"no mean from {self.n} units of total size {self.sum_x}")

    @property
    def _alone(self) -> LookSums:
        """These sums as the only look."""
        return LookSums(
            *(
                np.array([sum], dtype=np.float64)
                for sum in (self.n, self.sum_x, self.sum_y, self.sum_xx, self.sum_yy, self.sum_xy)
            )
        )


@dataclass(frozen=True)
class LookSums:
    """`UnitSums` of one arm at each of many looks: arrays (n_looks,), in the order of the looks."""

    n: Floats
    sum_x: Floats
    sum_y: Floats
    sum_xx: Floats
    sum_yy: Floats
    sum_xy: Floats

    @classmethod
    def of_units(cls, totals: Floats, ends: npt.NDArray[np.int64]) -> LookSums:
        """Units that count once each, in their order; a look after the first `ends[i]` of them.

        >>> LookSums.of_units(np.array([1.0, 2.0, 6.0]), np.array([0, 2, 3])).means
        array([nan, 1.5, 3. ])
        """
        n = ends.astype(np.float64)
        y, yy = (np.concatenate([[0.0], np.cumsum(terms)])[ends] for terms in (totals, totals * totals))
        return cls(n, n, y, n, yy, y)

    @property
    def means(self) -> Floats:
        """Σy/Σx at each look; NaN without any size."""
        known = self.sum_x > 0.0
        return np.where(known, self.sum_y / np.where(known, self.sum_x, 1.0), math.nan)

    @property
    def variances(self) -> Floats:
        """Of one unit's (y - mean·x)/x̄ at each look (delta method; Cochran, Sampling Techniques, 3rd ed., 6.4);
        infinite for fewer than two units."""
        known = (self.n > 1) & (self.sum_x > 0.0)
        ratio = np.where(known, self.means, 0.0)
        squares = self.sum_yy - 2.0 * ratio * self.sum_xy + ratio * ratio * self.sum_xx
        n, x = np.where(known, self.n, 2.0), np.where(known, self.sum_x, 1.0)
        return np.where(known, np.maximum(squares, 0.0) / (n - 1) / (x / n) ** 2, math.inf)


@dataclass(frozen=True)
class LookBounds:
    """`SequenceBounds` at each of many looks: arrays (n_looks,)."""

    n: Floats
    estimate: Floats
    lower: Floats
    upper: Floats
    standard_error: Floats


@dataclass(frozen=True)
class SequenceBounds:
    """An estimate with bounds that hold at all looks together with probability 1 - alpha.

    `n` counts units (of both arms), pairs or blocks. The side that was not asked for is infinite.
    """

    n: int
    estimate: float
    lower: float
    upper: float
    standard_error: float
    alpha: float
    side: Side


def mean_sequence(n: int, mean: float, variance: float, *, alpha: float, n_star: float, side: Side) -> SequenceBounds:
    """Asymptotic confidence sequence of a mean of `n` units with this (estimated) variance of one unit.

    `n_star` is where the sequence is tightest; fix it for the whole trial (half of the largest n planned).
    One bound at level alpha for side "lower" or "upper". Valid from about 100 units up; blocks: from 30.

    >>> bounds = mean_sequence(10_000, .02, .25, alpha=.05, n_star=10_000, side="lower")
    >>> round(bounds.lower, 6)
    0.006105
    """
    error = math.sqrt(variance / n) if n > 0 else math.inf
    return _bounds(n, mean, error, alpha, n_star, side)


def difference_sequence(
    incumbent: UnitSums, challenger: UnitSums, *, alpha: float, n_star: float, side: Side
) -> SequenceBounds:
    """What the challenger gains in a split: incumbent's mean loss - challenger's; positive is better.

    Welch's standard error of two independent ratios; N counts the units of both arms.
    """
    gain = incumbent.mean - challenger.mean
    (error,) = _welch(incumbent._alone, challenger._alone)
    return _bounds(incumbent.n + challenger.n, gain, float(error), alpha, n_star, side)


def difference_bounds(
    incumbent: LookSums, challenger: LookSums, *, alpha: float, n_star: float, side: Side
) -> LookBounds:
    """`difference_sequence` at each of many looks; NaN with infinite bounds where an arm has nothing yet."""
    gains, error = incumbent.means - challenger.means, _welch(incumbent, challenger)
    return bounds_at(incumbent.n + challenger.n, gains, error, alpha=alpha, n_star=n_star, side=side)


def paired_bounds(sums: LookSums, *, alpha: float, n_star: float, side: Side) -> LookBounds:
    """`paired_sequence` at each of many looks."""
    error = np.sqrt(sums.variances / np.maximum(sums.n, 1.0))
    return bounds_at(sums.n, sums.means, error, alpha=alpha, n_star=n_star, side=side)


def bounds_at(
    n: Floats, estimate: Floats, standard_error: Floats, *, alpha: float, n_star: float, side: Side
) -> LookBounds:
    """Bounds of estimates with their standard errors after `n` units, each look by itself."""
    alike = (standard_error == 0.0) & (estimate != 0.0)
    error = np.where(alike, math.inf, standard_error)  # all alike so far: nothing is known about the next unit
    width = half_widths(n, error, alpha=alpha, n_star=n_star, side=side)
    known = np.where(np.isfinite(width), estimate, 0.0)
    lower = np.full(len(n), -math.inf) if side == "upper" else known - width
    upper = np.full(len(n), math.inf) if side == "lower" else known + width
    return LookBounds(n, estimate, lower, upper, error)


def _welch(incumbent: LookSums, challenger: LookSums) -> Floats:
    """Standard error of the difference of two independent means."""
    one, two = (arm.variances / np.maximum(arm.n, 1.0) for arm in (incumbent, challenger))
    return np.sqrt(one + two)


def paired_sequence(sums: UnitSums, *, alpha: float, n_star: float, side: Side) -> SequenceBounds:
    """What the challenger gains in shadow: units are rows or blocks, y the loss difference, x the rows."""
    return mean_sequence(sums.n, sums.mean, sums.variance, alpha=alpha, n_star=n_star, side=side)


def half_width(n: float, standard_error: float, *, alpha: float, n_star: float, side: Side) -> float:
    """Half-width of the sequence after `n` units (arXiv 2103.06476, Gaussian mixture, two sides or one).

    >>> round(half_width(10_000, .005, alpha=.05, n_star=10_000, side="two"), 6)
    0.015176
    """
    at_n, error = np.array([float(n)]), np.array([standard_error])
    return float(half_widths(at_n, error, alpha=alpha, n_star=n_star, side=side)[0])


def half_widths(n: Floats, standard_error: Floats, *, alpha: float, n_star: float, side: Side) -> Floats:
    """`half_width` at each of many looks (arrays of one shape); infinite below two units.

    >>> half_widths(np.array([1.0, 1e4]), np.array([.1, .005]), alpha=.05, n_star=1e4, side="two").round(6)
    array([     inf, 0.015176])
    """
    rho = tuning(n_star, alpha=alpha, side=side)
    known = np.isfinite(standard_error) & (n >= 2.0)
    at_n, error = np.where(known, n, 2.0), np.where(known, standard_error, 0.0)
    grown = at_n * rho * rho + 1.0
    cost = np.log(np.sqrt(grown) / alpha) if side == "two" else np.log1p(np.sqrt(grown) / (2.0 * alpha))
    width = error * np.sqrt(at_n) * np.sqrt(2.0 * grown / (at_n * at_n * rho * rho) * cost)
    return np.where(known, width, math.inf)


def tuning(n_star: float, *, alpha: float, side: Side) -> float:
    """rho, tightest at `n_star` units: √((-2 ln a + ln(-2 ln a + 1))/n*), a = alpha (two) or 2·alpha."""
    a = alpha if side == "two" else 2.0 * alpha
    if side not in ("two", "lower", "upper"):
        raise ValueError(f'side is "two", "lower" or "upper", found "{side}"')
    if not 0.0 < a < 1.0 or not n_star > 0.0:
        raise ValueError(
            f"expected 0 < alpha < {1.0 if side == 'two' else 0.5} and n_star > 0, found alpha={alpha}, n_star={n_star}"
        )
    spent = -2.0 * math.log(a)
    return math.sqrt((spent + math.log(spent + 1.0)) / n_star)


def log_e_share(x1: int, x0: int, pi: float, k: float, one_sided: bool = True, margin: float = 1.0) -> float:
    """ln of the e-value against "an event falls to the challenger as often as its share, or less often".

    `x1`, `x0`: events (errors, late answers) of challenger and incumbent; `pi`: challenger's share of the
    traffic; `k`: the strength of the prior in events (10 errors, 50 latency, 100 conversions). Reject at ≥
    -ln alpha. `one_sided` looks for more events in the challenger only. `margin` r tests "at most r times the
    incumbent's rate".

    >>> round(log_e_share(8, 0, .5, 10), 6)
    2.319413
    """
    return float(log_e_shares(np.array([x1]), np.array([x0]), pi, k, one_sided, margin)[0])


def log_e_shares(
    x1: npt.NDArray[np.int64],
    x0: npt.NDArray[np.int64],
    pi: float,
    k: float,
    one_sided: bool = True,
    margin: float = 1.0,
) -> Floats:
    """`log_e_share` at each of many looks: counts (n_looks,) of events so far.

    >>> log_e_shares(np.array([0, 8]), np.array([0, 0]), .5, 10).round(6)
    array([0.      , 2.319413])
    """
    if (x1 < 0).any() or (x0 < 0).any() or not 0.0 < pi < 1.0 or not k > 0.0 or not margin > 0.0:
        raise ValueError(
            f"expected counts >= 0, 0 < pi < 1, k > 0 and margin > 0; found x1={x1.tolist()}, x0={x0.tolist()}, "
            f"pi={pi}, k={k}, margin={margin}"
        )
    null = margin * pi / (margin * pi + 1.0 - pi)
    a, b = k * null, k * (1.0 - null)
    log_e = betaln(a + x1, b + x0) - betaln(a, b) - x1 * math.log(null) - x0 * math.log1p(-null)
    if not one_sided:
        return np.asarray(log_e, dtype=np.float64)
    after, before = betaincc(a + x1, b + x0, null), float(betaincc(a, b, null))
    possible = after > 0.0
    return np.where(possible, log_e + np.log(np.where(possible, after, before) / before), -math.inf)


def log_e_share_below(x1: int, x0: int, pi: float, k: float, margin: float = 1.0) -> float:
    """ln of the e-value against "the challenger's rate is at least `margin` times the other": no harm.

    >>> log_e_share_below(40, 60, .5, 50, margin=2.0) > -math.log(.05)
    True
    """
    return float(log_e_shares_below(np.array([x1]), np.array([x0]), pi, k, margin)[0])


def log_e_shares_below(
    x1: npt.NDArray[np.int64], x0: npt.NDArray[np.int64], pi: float, k: float, margin: float = 1.0
) -> Floats:
    """`log_e_share_below` at each of many looks."""
    if not margin > 0.0:
        raise ValueError(f"margin must be above 0, found {margin}")
    return log_e_shares(x0, x1, 1.0 - pi, k, one_sided=True, margin=1.0 / margin)


def log_bayes_factor_split(counts: Sequence[int], shares: Sequence[float], k: float = 1000.0) -> float:
    """ln of the e-value against "units fall to the arms with these shares" (sample ratio mismatch).

    Dirichlet-multinomial mixture, Lindon & Malek, arXiv 2011.03567. Take it on exposures and on labelled
    outcomes.

    >>> round(log_bayes_factor_split([9463, 7681], [.5, .5]), 4)
    86.2056
    """
    if len(counts) != len(shares):
        raise ValueError(f"expected a count for each share, found {list(counts)} and {list(shares)}")
    return float(log_bayes_factors_split(np.array([counts], dtype=np.float64), shares, k)[0])


def log_bayes_factors_split(counts: npt.NDArray[Any], shares: Sequence[float], k: float = 1000.0) -> Floats:
    """`log_bayes_factor_split` at each of many looks: `counts` (n_looks, n_arms) of units so far."""
    c, p = np.asarray(counts, dtype=np.float64), np.asarray(shares, dtype=np.float64)
    if c.ndim != 2 or c.shape[1:] != p.shape or len(p) < 2 or (c < 0).any() or not (p > 0).all():
        raise ValueError(f"expected a count >= 0 and a share > 0 for each arm, found {c.tolist()} and {list(shares)}")
    if abs(float(p.sum()) - 1.0) > 1e-9 or not k > 0.0:
        raise ValueError(f"shares must sum to 1 and k be above 0, found sum {float(p.sum())} and k={k}")
    prior = k * p
    arms = np.sum(gammaln(prior + c) - gammaln(prior) - c * np.log(p), axis=1)
    return np.asarray(arms + gammaln(prior.sum()) - gammaln(prior.sum() + c.sum(axis=1)), dtype=np.float64)


def always_valid_p(log_e_values: Sequence[float]) -> float:
    """The p-value after these looks: min over looks of 1/e, at most 1.

    >>> round(always_valid_p([0.5, 3.0, -1.0]), 4)
    0.0498
    """
    return min(1.0, math.exp(-max(log_e_values, default=0.0)))


def fixed_horizon_n(
    effect: float,
    standard_deviation: float,
    *,
    alpha: float = 0.05,
    power: float = 0.8,
    share: float | None = 0.5,
) -> int:
    """Units (of both arms) that a one-sided test at one planned look needs to show `effect`.

    `share` is the challenger's share of the units in a split: (z_alpha + z_power)²sd²/(share·(1 -
    share)·effect²). None: paired, where sd is the deviation of one difference: (z_alpha +
    z_power)²sd²/effect².

    >>> fixed_horizon_n(.01, .3), fixed_horizon_n(.01, .1, share=None)
    (22258, 619)
    """
    if not effect > 0.0 or not standard_deviation > 0.0:
        raise ValueError(f"effect and deviation must be above 0, found {effect} and {standard_deviation}")
    if share is not None and not 0.0 < share < 1.0:
        raise ValueError(f"share must lie between 0 and 1, found {share}")
    z = float(ndtri(1.0 - alpha) + ndtri(power))
    split = 1.0 if share is None else share * (1.0 - share)
    return math.ceil((z * standard_deviation / effect) ** 2 / split)


def n_max(fixed_n: int) -> int:
    """The largest n of a sequential trial: twice the fixed horizon keeps the power at .82-.85."""
    return 2 * fixed_n


def _bounds(n: int, estimate: float, error: float, alpha: float, n_star: float, side: Side) -> SequenceBounds:
    at_n, gains, errors = np.array([float(n)]), np.array([estimate]), np.array([error])
    found = bounds_at(at_n, gains, errors, alpha=alpha, n_star=n_star, side=side)
    lower, upper = float(found.lower[0]), float(found.upper[0])
    return SequenceBounds(n, estimate, lower, upper, float(found.standard_error[0]), alpha, side)
