"""How does what a split knows grow with its days? Sums by unit, day by day, as the log had them.

In: rows of the log as columns. Out: after d days, how many labelled rows and units, and the squares of the units'
residuals, from which the standard error of a split follows: with the ramp's days, the label window, and units that
close. Beyond the log, sums go on growing as they did in its second half. Judges nothing.

Ratio of sums by unit, delta method: Cochran, Sampling Techniques, 3rd ed., 6.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from incumbent.config import Live
from incumbent.records import DAY, Micros
from incumbent.stats.metrics import UNITS_PER_ONE, Floats
from incumbent.storage.base import BlockSum

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
POWER = 0.8


def errors_to_show(alpha: float, power: float = POWER) -> float:
    """How many standard errors (at the end) a gain must have to be shown with this power by the sequential test.

    Its largest n is twice that of a fixed horizon (`sequential.n_max`): √2·(z_alpha + z_power).

    >>> round(errors_to_show(.05), 4)
    3.5164
    """
    return math.sqrt(2.0) * float(ndtri(1.0 - alpha) + ndtri(power))


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Which rows have matured (their window has closed), and which of those count (a label came inside it)."""

    matured: Bools
    counts: Bools


def matured(at: Ints, known_at: Ints, loss: Floats, now: Micros, window: Micros) -> Rows:
    closed = at + window <= now
    return Rows(closed, closed & (known_at < at + window) & np.isfinite(loss))


@dataclass(frozen=True, slots=True)
class Seen:
    """What an arm of a split has, and the standard error of the difference of the arms."""

    labelled: float
    units: float
    standard_error: float


@dataclass(frozen=True, slots=True, eq=False)
class Growth:
    """Sums over units after 0, 1, … whole days (arrays (n_days + 1,)): labelled rows, squared residuals, units.

    `unit_days`: a unit's rows count for so long after its first one. `units_a_day` is the mean number of different
    units a day, `unit_variance` that of one unit by the delta method, in units of the row loss squared.
    """

    rows: Floats
    squares: Floats
    units: Floats
    unit_days: float
    units_a_day: float

    @property
    def unit_variance(self) -> float:
        """Of one unit's (y - mean·x)/x̄ over the whole log, so that variance/n is that of the mean."""
        n = self.units[-1]
        return float(self.squares[-1] / max(n - 1.0, 1.0) / (self.rows[-1] / n) ** 2)

    def units_at(self, days: float) -> float:
        """How many different units so many days hold."""
        pace = self._pace(self.units, 0.0, 1.0)
        return self._at(self.units, days, pace, pace)

    def row_variance(self, live: Live) -> float:
        """n·variance of the difference of two arms with n labelled rows together, over the days of the log."""
        return float(_arms(live) * self.squares[-1] / self.rows[-1])

    def in_split(self, days: float, live: Live) -> Seen:
        """A split after so many days: each step of the ramp began later, and the last labels are still to come."""
        new = self._pace(self.units, 0.0, 1.0)
        more = self._pace(self.rows, new, 1.0)
        wider = self._pace(self.squares, more, 2.0 * more)
        rows = squares = units = before = 0.0
        for step, enrolled in enumerate(live.enrol):
            part, before = enrolled - before, enrolled
            seen = days - (live.window_hours + step * live.ramp_hours) / 24.0
            rows += part * self._at(self.rows, seen, more, new)
            squares += part * self._at(self.squares, seen, wider, new)
            units += part * self._at(self.units, seen, new, new)
        if rows <= 0.0:
            return Seen(0.0, 0.0, math.inf)
        share = 1.0 / 3.0 if live.third_arm else 0.5
        return Seen(share * rows, share * units, math.sqrt(_arms(live) * squares) / rows)

    @staticmethod
    def _pace(sums: Floats, least: float, most: float) -> float:
        """The power of the days with which these sums grew in the second half of the log, between two bounds."""
        last = len(sums) - 1
        half = last // 2
        found = math.log(sums[last] / sums[half]) / math.log(last / half) if sums[half] > 0.0 else 1.0
        return min(max(found, least), most)

    def _at(self, sums: Floats, days: float, pace: float, closed: float) -> float:
        """The sums after so many days. Beyond the log: at their pace; once units close, as units come (`closed`)."""
        last = len(sums) - 1
        if days <= last:
            return float(np.interp(max(days, 0.0), np.arange(last + 1), sums))
        open_until = min(max(self.unit_days, last), days)
        return float(sums[-1] * (open_until / last) ** pace * (days / open_until) ** closed)


def of(
    at: Ints, unit: Ints, loss: Floats, rows: Rows, since: Micros, logged: float, unit_days: float
) -> Growth:
    """Sums by unit after each whole day of the log. Rows without a unit are left out, unless no row has one: then
    each row is a unit."""
    named = unit >= 0
    kept = rows.matured & named if named.any() else rows.matured
    codes = np.unique(unit[kept] if named.any() else np.flatnonzero(kept), return_inverse=True)[1]
    when, x = (at[kept] - since) / DAY, rows.counts[kept].astype(np.float64)
    y = np.where(rows.counts[kept], loss[kept], 0.0)
    first = np.full(codes.max(initial=-1) + 1, np.inf)
    np.minimum.at(first, codes, when)
    open_ = when < first[codes] + unit_days
    mean = float(y[open_].sum() / max(x[open_].sum(), 1.0))
    sums = np.zeros((3, int(logged) + 1))
    for day in range(1, int(logged) + 1):
        now = open_ & (when < day)
        residual = np.bincount(codes[now], y[now] - mean * x[now], minlength=len(first))
        sums[:, day] = x[now].sum(), residual @ residual, (first < day).sum()
    a_day = np.mean([len(np.unique(codes[when.astype(np.int64) == day])) for day in range(int(logged))])
    return Growth(sums[0], sums[1], sums[2], unit_days, float(a_day))


def blocks(at: Ints, loss: Floats, rows: Rows, block: Micros, other: Floats | None = None) -> list[BlockSum]:
    """Sums by block of time over the rows that count (and that `other` has too)."""
    kept = rows.counts if other is None else rows.counts & np.isfinite(other)
    names, index = np.unique(at[kept] // block, return_inverse=True)
    sizes = np.bincount(index, minlength=len(names))
    both = (loss, loss if other is None else other)
    losses = [np.rint(np.bincount(index, of[kept], len(names)) * UNITS_PER_ONE) for of in both]
    return [BlockSum(int(name), int(n), int(a), int(b)) for name, n, a, b in zip(names, sizes, *losses, strict=True)]


def variance_of_mean(totals: Floats, sizes: Floats) -> float:
    """Variance of Σtotals/Σsizes over independent units (delta method)."""
    residual = totals - totals.sum() / sizes.sum() * sizes
    n = len(totals)
    return float(residual @ residual / sizes.sum() ** 2 * n / max(n - 1, 1))


def _arms(live: Live) -> float:
    """1/p + 1/q of the shares of the two arms that are compared."""
    return 6.0 if live.third_arm else 4.0
