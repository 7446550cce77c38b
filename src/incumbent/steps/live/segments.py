"""Where does a gain come from? The gain in segments of the rows. Exploratory: these decide nothing.

In: columns of a trial's matured, labelled rows, and a loss by row and unit (split) or a gain by row and day (shadow).
Out: gain, interval and rows of each segment: the most frequent values of a category, the reference quartiles of a
number. Intervals are 95 % over all segments together (Bonferroni), at this look alone: whoever looks again and again
sees chance sooner or later. An effect that is too good to be true says so (Twyman's law: the more unusual a figure, the
more likely that something went wrong with it; Kohavi, Tang & Xu, Trustworthy Online Controlled Experiments, 2020, 3).
"""

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

from incumbent.records import Json
from incumbent.runtimes.signature import is_null
from incumbent.stats.metrics import Floats
from incumbent.stats.sequential import UnitSums

ALPHA = 0.05
TOP = 5
"""So many values of a category are segments."""
MOST = 48
"""Segments shown; more would widen every interval and be read by nobody."""
FEWEST_UNITS, FEWEST_DAYS = 20, 5
TWYMAN, FEW = 5.0, 0.1
"""A gain of more than so many times the overall one, on at most this share of the rows, is suspect."""

Values = npt.NDArray[Any]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Gain:
    """A gain, its standard error with degrees of freedom, and its rows."""

    gain: float
    error: float
    df: float
    rows: int

    def interval(self, alpha: float) -> tuple[float, float]:
        """Two-sided, by Student's t."""
        half = float(stats.t.ppf(1.0 - alpha / 2.0, self.df)) * self.error
        return self.gain - half, self.gain + half


@dataclass(frozen=True, slots=True)
class Segment:
    """One segment: a feature, which of its values, and the gain there with its interval; `note` warns."""

    feature: str
    value: str
    rows: int
    gain: float
    lower: float
    upper: float
    note: str = ""


@dataclass(frozen=True, slots=True)
class Segments:
    """Every segment that is shown, feature by feature; `left_out` had too few units or days, or came after the `MOST`
    first. `kind`: what the intervals are by, units or days."""

    overall: Segment
    segments: tuple[Segment, ...]
    left_out: int
    kind: str

    def to_dict(self) -> dict[str, Json]:
        """As JSON values."""
        return {
            "overall": _plain(self.overall),
            "segments": [_plain(one) for one in self.segments],
            "left_out": self.left_out,
            "said": self.said,
        }

    @property
    def said(self) -> str:
        """How to read it."""
        n = len(self.segments)
        few = "20 units an arm" if self.kind == "units" else "5 days"
        left = f" {self.left_out} more have fewer than {few}, or come after the first {MOST}." if self.left_out else ""
        return (
            f"Intervals are by {self.kind}, 95 % over all {n} segments together (Bonferroni), and hold at this look "
            f"alone.{left}"
        )


def of_split(
    columns: Mapping[str, Values],
    cuts: Mapping[str, Sequence[float]],
    losses: Floats,
    challenger: Mask,
    units: Values,
) -> Segments | None:
    """Segments of a split's rows: mean loss of the incumbent's units minus the challenger's, a ratio of sums by unit
    (delta method), Welch's degrees of freedom. None where the arms have too few units.

    `challenger` says of each row whether it was in the challenger's arm, `units` whose it was. `cuts` are the inner
    quartiles of the numeric columns; columns without are categories.
    """
    index = np.unique(units, return_inverse=True)[1]

    def gain(mask: Mask) -> Gain | None:
        arms = [_by_unit(losses, index, mask & arm) for arm in (challenger, ~challenger)]
        if any(arm.n < FEWEST_UNITS for arm in arms):
            return None
        parts = [arm.variance / arm.n for arm in arms]
        error = math.sqrt(sum(parts))
        below = sum(part**2 / (arm.n - 1) for part, arm in zip(parts, arms, strict=True))
        df = error**4 / below if below else float(arms[0].n + arms[1].n - 2)
        return Gain(arms[1].mean - arms[0].mean, error, df, int(mask.sum()))

    return _found(columns, cuts, len(losses), gain, "units")


def of_shadow(
    columns: Mapping[str, Values], cuts: Mapping[str, Sequence[float]], gains: Floats, days: npt.NDArray[np.int64]
) -> Segments | None:
    """Segments of a shadow's rows: the mean gain a row, paired, as a ratio of sums by day, because the rows of a day
    share their weather. None with too few days."""
    index = np.unique(days, return_inverse=True)[1]

    def gain(mask: Mask) -> Gain | None:
        sums = _by_unit(gains, index, mask)
        if sums.n < FEWEST_DAYS:
            return None
        return Gain(sums.mean, math.sqrt(sums.variance / sums.n), float(sums.n - 1), int(mask.sum()))

    return _found(columns, cuts, len(gains), gain, "days")


def cut(name: str, values: Values, cuts: Sequence[float] | None) -> list[tuple[str, Mask]]:
    """The segments of a column, named: below, between and above the cuts, or the most frequent values; and nulls.

    >>> [(said, mask.tolist()) for said, mask in cut("x", np.array([1.0, 5.0, np.nan]), [2.0, 2.0, 4.0])]
    [('≤ 2', [True, False, False]), ('> 4', [False, True, False]), ('null', [False, False, True])]
    """
    null = np.array([is_null(value) for value in values], dtype=np.bool_)
    found = _numbers(values, null, cuts) if cuts is not None else _categories(values, null)
    return [one for one in [*found, ("null", null)] if one[1].any()]


def _numbers(values: Values, null: Mask, cuts: Sequence[float]) -> list[tuple[str, Mask]]:
    numbers = np.where(null, np.nan, values.astype(np.float64))
    edges = sorted(set(cuts))
    ends = [-math.inf, *edges, math.inf]
    found = []
    for low, high in itertools.pairwise(ends):
        found.append((_between(low, high), (numbers > low) & (numbers <= high)))
    return found


def _between(low: float, high: float) -> str:
    if low == -math.inf:
        return f"≤ {high:.4g}"
    return f"> {low:.4g}" if high == math.inf else f"{low:.4g} to {high:.4g}"


def _categories(values: Values, null: Mask) -> list[tuple[str, Mask]]:
    texts = np.array([_name(value) for value in values])
    distinct, counts = np.unique(texts[~null], return_counts=True)
    order = sorted(range(len(distinct)), key=lambda place: (-counts[place], distinct[place]))
    return [(str(distinct[place]), (texts == distinct[place]) & ~null) for place in order[:TOP]]


def _name(value: Any) -> str:
    """A category as people write it: 1.0 of a boolean column is true."""
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _found(
    columns: Mapping[str, Values],
    cuts: Mapping[str, Sequence[float]],
    n: int,
    gain: Callable[[Mask], Gain | None],
    kind: str,
) -> Segments | None:
    overall = gain(np.ones(n, dtype=np.bool_)) if n else None
    if overall is None:
        return None
    asked = [
        (name, said, gain(mask)) for name, values in columns.items() for said, mask in cut(name, values, cuts.get(name))
    ]
    known = [(name, said, found) for name, said, found in asked if found is not None and found.rows < overall.rows]
    shown = known[:MOST]
    whole = _segment("all rows", "", overall, ALPHA)
    each = tuple(_segment(name, said, one, ALPHA / len(shown)) for name, said, one in shown)
    noted = tuple(_noted(one, whole) for one in each)
    few = sum(found is None for _, _, found in asked)
    return Segments(whole, noted, few + len(known) - len(shown), kind)


def _segment(name: str, said: str, found: Gain, alpha: float) -> Segment:
    return Segment(name, said, found.rows, found.gain, *found.interval(alpha))


def _noted(one: Segment, overall: Segment) -> Segment:
    """Twyman: much more than the whole gains (or might, by its interval), on few rows."""
    usual = max(abs(overall.gain), (overall.upper - overall.lower) / 2.0)
    if one.gain <= TWYMAN * usual or one.rows > FEW * overall.rows:
        return one
    said = f"too good to be true? Over {TWYMAN:g} times the whole, on few rows: look for a mistake first"
    return Segment(one.feature, one.value, one.rows, one.gain, one.lower, one.upper, said)


def _by_unit(values: Floats, index: npt.NDArray[np.int64], mask: Mask) -> UnitSums:
    """Totals and sizes by unit (or day) of the rows of a mask."""
    sizes = np.bincount(index[mask])
    totals = np.bincount(index[mask], weights=values[mask])
    there = sizes > 0
    return UnitSums.of(totals[there], sizes[there])


def _plain(one: Segment) -> dict[str, Json]:
    return {
        "feature": one.feature,
        "value": one.value,
        "rows": one.rows,
        "gain": one.gain,
        "lower": one.lower,
        "upper": one.upper,
        "note": one.note,
    }
