"""How does the loss fall with more rows, and where does it end?

In: held-out losses of a model fitted on growing numbers of rows, by block of held-out rows. Out: the inverse power law
a + b·n^-c with its bootstrap, what it says of more rows, and how many rows a loss takes. Fits no model; "not enough
data" is an answer. Hestness et al. 2017, arXiv 1712.00409 (the law); Viering & Loog 2021, arXiv 2103.10948 (where it
fails: hence the test against the largest sizes).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from incumbent.stats.metrics import Floats, Integers

FEWEST_SIZES = 5
EXPONENTS = np.geomspace(0.05, 2.0, 75)
POOR_FIT = 0.15
"""Root mean square residual, as a share of the whole fall, above which no law is read off the curve."""
BACK = 2
"""How many of the largest sizes the law is tested on: it is fitted without them, and foretells them."""
LEVEL = 0.95
PRACTICAL = 1_000.0
"""No more than so many times the rows of today count as reachable."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A loss at a number of rows, with its 95 % interval."""

    n_rows: int
    loss: float
    lower: float
    upper: float


@dataclass(frozen=True, slots=True)
class Curve:
    """Losses at growing sizes, and the law through them.

    `verdict`: "falls" (the law holds), "flat" (no fall was shown) or "not_enough_data"; `why` says it in words. The
    law is there only where the curve falls: `asymptote` is `a`, `draws` the (n_draws, 3) bootstrap of a, b, c. `miss`
    is how far the law missed the largest sizes when it was fitted without them, for each doubling of the rows.

    The intervals of `points` are for other held-out rows of the kind; every size moves together with those. `beside`
    holds the same points with the interval of what differs between sizes on these held-out rows.
    """

    points: tuple[Estimate, ...]
    verdict: str
    why: str
    beside: tuple[Estimate, ...] = ()
    law: tuple[float, float, float] | None = None
    draws: Floats | None = None
    miss: float = 0.0

    @property
    def asymptote(self) -> Estimate | None:
        """The loss that no number of rows goes below, by the law, on these held-out rows."""
        if self.law is None or self.draws is None:
            return None
        lower, upper = np.quantile(self._level()[:, 0], _ends())
        return Estimate(0, self.law[0], max(float(lower) - self.miss, 0.0), float(upper) + self.miss)

    def at(self, n_rows: int) -> Estimate | None:
        """What the law says of so many rows. The interval: the bootstrap's, wider by `miss` for each doubling beyond
        the largest size. None where there is no law."""
        if self.law is None or self.draws is None:
            return None
        lower, upper = np.quantile(power_law(self.draws, n_rows), _ends())
        wider = self.miss * max(0.0, math.log2(n_rows / self.points[-1].n_rows))
        loss = float(power_law(np.array([self.law]), n_rows)[0])
        return Estimate(n_rows, loss, max(float(lower) - wider, 0.0), float(upper) + wider)

    def gain(self, n_rows: int) -> tuple[float, float, float] | None:
        """(best guess, lower, upper) of what so many rows take off the loss of the largest size. Held-out rows that are
        hard for every size cancel, so it is known better than the loss itself."""
        if self.law is None or self.draws is None:
            return None
        last = self.points[-1].n_rows
        drawn = power_law(self.draws, last) - power_law(self.draws, n_rows)
        lower, upper = np.quantile(drawn, _ends())
        wider = self.miss * max(0.0, math.log2(n_rows / last))
        here, there = power_law(np.array([self.law]), np.array([last, n_rows]))[0].tolist()
        return here - there, float(lower) - wider, min(float(upper) + wider, here)

    def along(self, n_rows: int) -> Estimate | None:
        """The law at so many rows, with the interval of what differs from the largest size on these held-out rows."""
        gained = self.gain(n_rows)
        if gained is None or self.law is None:
            return None
        here = float(power_law(np.array([self.law]), self.points[-1].n_rows)[0])
        return Estimate(n_rows, here - gained[0], max(here - gained[2], 0.0), here - gained[1])

    def rows_for(self, loss: float) -> tuple[float, float, float] | None:
        """(best guess, lower, upper) of the rows that this mean loss takes on these held-out rows; infinite: no number
        does, by the law. The loss is taken `miss` higher and lower for the two ends."""
        if self.law is None or self.draws is None:
            return None
        ends = _ends()
        lower = np.quantile(rows_for(self._level(), loss + self.miss), ends[0], method="closest_observation")
        upper = np.quantile(rows_for(self._level(), loss - self.miss), ends[1], method="closest_observation")
        return float(rows_for(np.array([self.law]), loss)[0]), float(lower), float(upper)

    def _level(self) -> Floats:
        """The drawn laws, each moved up or down so that it meets the law at the largest size."""
        if self.law is None or self.draws is None:
            raise ValueError("there is no law: this curve does not fall")
        last = self.points[-1].n_rows
        moved = self.draws.copy()
        moved[:, 0] += float(power_law(np.array([self.law]), last)[0]) - power_law(self.draws, last)
        return moved


def curve(sizes: Integers, means: Floats, boot: Floats, n_blocks: int) -> Curve:
    """The curve through `means` (n_sizes,) at `sizes` (ascending), and its law.

    `boot` (n_draws, n_sizes) holds the means again for resampled held-out blocks and resampled training draws, the same
    ones for each size of a draw. With fewer than 2 blocks there is no interval and no law.
    """
    if len(sizes) < 2 or n_blocks < 2:
        few = f"{len(sizes)} sizes of 100 rows or more and {n_blocks:,} independent blocks of held-out rows"
        points = tuple(Estimate(int(n), float(m), math.nan, math.nan) for n, m in zip(sizes, means, strict=True))
        return Curve(points, "not_enough_data", f"{few}, expected at least {FEWEST_SIZES} and 2")
    points, beside = _points(sizes, means, boot, n_blocks), _beside(sizes, means, boot)
    fall = float(means[0] - means[-1])
    shown = float(np.quantile(boot[:, 0] - boot[:, -1], 1.0 - LEVEL))
    if len(sizes) < FEWEST_SIZES:
        few = f"{len(sizes)} sizes of 100 rows or more, expected at least {FEWEST_SIZES}"
        return Curve(points, "not_enough_data", few, beside)
    if shown <= 0.0:
        return Curve(points, "flat", f"no fall is shown from {sizes[0]:,} to {sizes[-1]:,} rows", beside)
    law = fit(sizes, means[None, :])
    residual = math.sqrt(float(np.mean((power_law(law, sizes) - means) ** 2)))
    if residual > POOR_FIT * fall:
        said = f"the losses lie {residual / fall:.0%} of their fall away from the power law: it does not fit"
        return Curve(points, "not_enough_data", said, beside)
    before = fit(sizes[:-BACK], means[None, :-BACK])
    misses = np.abs(power_law(before, sizes[-BACK:])[0] - means[-BACK:]) / np.arange(1, BACK + 1)
    drawn = fit(sizes, boot)
    a, b, c = law[0].tolist()
    return Curve(points, "falls", "", beside, (a, b, c), drawn, float(misses.max()))


def fit(sizes: Integers, losses: Floats) -> Floats:
    """Least squares of a + b·n^-c for each row of `losses` (n_fits, n_sizes): (n_fits, 3) of a, b, c.

    a and b are not negative; c is the best of a grid from 0.05 to 2. For given c the rest is linear.

    >>> sizes = np.array([100, 200, 400, 800, 1600])
    >>> fit(sizes, (0.1 + 2.0 * sizes**-0.5)[None, :])[:, [0, 2]].round(2).tolist()
    [[0.1, 0.5]]
    """
    n = np.asarray(sizes, dtype=np.float64) / float(sizes[-1])  # b is small and well scaled meanwhile
    best = np.full(len(losses), np.inf)
    found = np.zeros((len(losses), 3))
    mean = losses.mean(axis=1)
    for c in EXPONENTS:
        x = n**-c
        centred = x - x.mean()
        b = np.maximum(losses @ centred / (centred @ centred), 0.0)
        a = mean - b * x.mean()
        through = np.maximum(losses @ x / (x @ x), 0.0)
        a, b = np.where(a < 0.0, 0.0, a), np.where(a < 0.0, through, b)
        error = ((losses - a[:, None] - b[:, None] * x) ** 2).sum(axis=1)
        better = error < best
        best = np.where(better, error, best)
        found[better] = np.column_stack([a, b * float(sizes[-1]) ** c, np.full(len(a), c)])[better]
    return found


def power_law(laws: Floats, n_rows: int | Integers) -> Floats:
    """a + b·n^-c of each law (n_laws, 3), at one number of rows or at each of several."""
    a, b, c = laws.T
    if np.ndim(n_rows) == 0:
        return np.asarray(a + b * float(n_rows) ** -c)
    sizes = np.asarray(n_rows, dtype=np.float64)[None, :]
    return np.asarray(a[:, None] + b[:, None] * sizes ** -c[:, None])


def rows_for(laws: Floats, loss: float) -> Floats:
    """(n_laws,) rows at which each law reaches the loss; infinite where it ends above it.

    >>> rows_for(np.array([[0.1, 2.0, 0.5], [0.3, 2.0, 0.5]]), 0.2).round().tolist()
    [400.0, inf]
    """
    a, b, c = laws.T
    room = loss - a
    reachable = room > 0.0
    rows = np.full(len(laws), np.inf)
    with np.errstate(over="ignore"):
        rows[reachable] = (b[reachable] / room[reachable]) ** (1.0 / c[reachable])
    return np.where(rows > 1e15, np.inf, rows)


def resampled(sums: list[Floats], sizes: Floats, n_draws: int, seed: int = 0) -> Floats:
    """(n_draws, n_sizes) mean losses for resampled blocks and training draws.

    `sums[k]` (n_repeats, n_blocks) are the summed losses of the models of one size, `sizes` (n_blocks,) the rows of the
    blocks. Every size of a draw sees the same blocks, so that what they share cancels between sizes.
    """
    random = np.random.default_rng(seed)
    n_blocks = len(sizes)
    weights = random.multinomial(n_blocks, np.full(n_blocks, 1.0 / n_blocks), size=n_draws)
    rows = weights @ sizes
    columns = []
    for of_size in sums:
        repeats = len(of_size)
        shares = random.multinomial(repeats, np.full(repeats, 1.0 / repeats), size=n_draws) / repeats
        columns.append((weights * (shares @ of_size)).sum(axis=1) / rows)
    return np.column_stack(columns)


def _points(sizes: Integers, means: Floats, boot: Floats, n_blocks: int) -> tuple[Estimate, ...]:
    """Student's t around each mean, with the standard error of the bootstrap of blocks (Efron & Tibshirani 1993)."""
    t = float(stdtrit(n_blocks - 1, 0.5 + LEVEL / 2))
    width = t * boot.std(axis=0, ddof=1) * math.sqrt(n_blocks / (n_blocks - 1))
    return tuple(
        Estimate(int(n), float(m), max(float(m - w), 0.0), float(m + w))
        for n, m, w in zip(sizes, means, width, strict=True)
    )


def _beside(sizes: Integers, means: Floats, boot: Floats) -> tuple[Estimate, ...]:
    """Each mean with the interval of its distance to the last one: the same blocks are drawn for both."""
    lower, upper = np.quantile(boot - boot[:, -1:], _ends(), axis=0) + means[-1]
    return tuple(
        Estimate(int(n), float(m), max(float(low), 0.0), float(high))
        for n, m, low, high in zip(sizes, means, lower, upper, strict=True)
    )


def _ends() -> tuple[float, float]:
    return (1.0 - LEVEL) / 2, (1.0 + LEVEL) / 2
