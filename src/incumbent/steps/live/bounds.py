"""How sure is the gain? One-sided bounds that hold at every look.

In: a gain with its variance. Out: the estimate with three bounds: for promoting, for stopping, for rolling back; and
how many units more would show it. Judges nothing. Formulas in `stats.sequential`.
"""

import math

from incumbent.stats import sequential
from incumbent.steps.live.gain import Gain

FURTHEST = 1_000
"""Nobody is told of more than so many times the units that there are."""


def of_gain(gain: Gain, n_star: float | None, *, alpha: float, alpha_harm: float) -> dict[str, float]:
    """Estimate; lower and upper bound at `alpha` each; upper bound at `alpha_harm`. Infinite while `n_star` is None."""
    if n_star is None:
        return {"estimate": gain.estimate, "lower": -math.inf, "upper": math.inf, "harm_upper": math.inf}

    def at(alpha: float, side: sequential.Side) -> sequential.SequenceBounds:
        return sequential.mean_sequence(
            gain.n, gain.estimate, gain.unit_variance, alpha=alpha, n_star=n_star, side=side
        )

    return {
        "estimate": gain.estimate,
        "lower": at(alpha, "lower").lower,
        "upper": at(alpha, "upper").upper,
        "harm_upper": at(alpha_harm, "upper").upper,
    }


def units_to_show(gain: Gain, above: float, n_star: float, *, alpha: float) -> int | None:
    """How many units more until the lower bound is above `above`, if gain and variance stay what they are now; None
    where the gain is not above it, or that is more than `FURTHEST` times as far.

    >>> units_to_show(Gain(1_000, .01, .09 / 1_000), 0.0, 5_000, alpha=.05)
    5967
    """
    wanted, variance = gain.estimate - above, gain.unit_variance
    if not wanted > 0.0 or not 0.0 < variance < math.inf:
        return None

    def shown(n: int) -> bool:
        error = math.sqrt(variance / n)
        return sequential.half_width(n, error, alpha=alpha, n_star=n_star, side="lower") < wanted

    low, high = gain.n, gain.n * FURTHEST
    if not shown(high):
        return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if shown(middle) else (middle, high)
    return high - gain.n
