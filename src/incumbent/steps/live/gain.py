"""What does the challenger gain on the incumbent? From exact moments by unit, less what was known before the trial.

In: the `Moments` of two arms for one measure. Out: the gain and its variance. A mean is the ratio of two sums over
units, its variance that of the linearised ratio (delta method; Deng, Knoblich & Lu, KDD 2018). What a covariate fixed
before the trial explains is taken away (CUPED; Deng, Xu, Kohavi & Walker, WSDM 2013). Integers and fractions until the
last step, so that nothing cancels and a look repeats to the byte. Makes no bound: `bounds` does.
"""

import math
from dataclasses import dataclass
from fractions import Fraction

from incumbent.stats.metrics import UNITS_PER_ONE
from incumbent.storage.base import Moments

LEAST_KNOWN = 50
"""Fewer units with a covariate, in either arm, and it is left out: a slope through a few units is no slope."""


@dataclass(frozen=True, slots=True)
class Gain:
    """How much better one arm is than another: positive is better.

    `n` units of both arms; `variance` of the estimate (its standard error squared), infinite before there are two units
    an arm. `removed` is the share of it that the covariate took away (0-1), `slope` its theta; None without one.
    """

    n: int
    estimate: float
    variance: float
    removed: float | None = None
    slope: float | None = None

    @property
    def unit_variance(self) -> float:
        """What the variance would be with a single unit in all: divided by n units it is that of the estimate."""
        return self.variance * self.n


def mean(moments: Moments, counts: bool = True) -> float | None:
    """The ratio of the sums, in the measure's own units; None where there is no size. `counts`: sizes are counts, not
    1e-9 units of another outcome.

    >>> mean(Moments(n=2, x=4, y=1_000_000_000))
    0.25
    """
    return float(_ratio(moments) / _scale(counts)) if moments.x > 0 else None


def gain(
    challenger: Moments, incumbent: Moments, *, larger_is_better: bool, counts: bool = True, adjust: bool = True
) -> Gain:
    """The challenger's gain. `adjust`: less what the covariate explains, where `LEAST_KNOWN` units an arm have one.

    Where all units of an arm were alike the variance is not 0: it is at least that of one unit in the smaller arm which
    differs by the whole gain, for the next one might. (Of losses that are 0 or 1 one such unit is enough to exceed it.)

    Never wider than without: the slope is the one that makes the variance of the difference smallest (pooled over the
    arms, each weighted by what it adds to that variance; the same as pooled least squares where the arms are alike).
    """
    n, sign = challenger.n + incumbent.n, 1 if larger_is_better else -1
    if challenger.x <= 0 or incumbent.x <= 0:
        return Gain(n, math.nan, math.inf)
    difference = _ratio(challenger) - _ratio(incumbent)
    scale = _scale(counts)
    if min(challenger.n, incumbent.n) < 2:
        return Gain(n, float(sign * difference / scale), math.inf)
    least = (difference / min(challenger.n, incumbent.n)) ** 2
    plain = max(_squares(challenger) + _squares(incumbent), least)
    spread = _spread(challenger) + _spread(incumbent)
    if not adjust or min(challenger.known, incumbent.known) < LEAST_KNOWN or spread == 0 or plain == 0:
        return Gain(n, float(sign * difference / scale), float(plain / scale**2))
    shared = _shared(challenger) + _shared(incumbent)
    slope = shared / spread
    moved = slope * (Fraction(challenger.z, challenger.n) - Fraction(incumbent.z, incumbent.n))
    removed = shared * shared / spread
    return Gain(
        n,
        float(sign * (difference - moved) / scale),
        float(max(plain - removed, least) / scale**2),
        float(removed / plain),
        float(slope * UNITS_PER_ONE / scale),
    )


def _ratio(of: Moments) -> Fraction:
    return Fraction(of.y, of.x)


def _scale(counts: bool) -> int:
    return UNITS_PER_ONE if counts else 1


def _squares(of: Moments) -> Fraction:
    """Variance of the ratio: sum of ((y - ratio·x)/mean x)² over n(n - 1)."""
    residual = of.yy * of.x**2 - 2 * of.xy * of.x * of.y + of.xx * of.y**2
    return Fraction(residual * of.n, (of.n - 1) * of.x**4)


def _shared(of: Moments) -> Fraction:
    """Covariance of the ratio and the mean of the covariate (the linearised residuals sum to 0)."""
    return Fraction(of.yz * of.x - of.y * of.xz, of.x**2 * (of.n - 1))


def _spread(of: Moments) -> Fraction:
    """Variance of the mean of the covariate."""
    return Fraction(of.n * of.zz - of.z**2, of.n**2 * (of.n - 1))
