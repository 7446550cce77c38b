"""What does a column look like: counts in bins that its reference rows define.

In: the values of a column. Out: a `Profile`, small enough to be stored with a version and with every hour
of traffic. Counts of hours, replicas and slices add up, so no raw reference is needed later. Does not
compare: `drift` does.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from numbers import Real
from types import NoneType
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from incumbent.errors import DataError
from incumbent.stats.metrics import Floats

Kind = Literal["numeric", "category"]

QUANTILE_BINS = 20
MOST_CATEGORIES = 255
MOST_KNOWN = 10_000
FEWEST_IN_A_BIN = 5
_NUMERIC_ENDS = ("below", "above", "null", "NaN", "+inf", "-inf")
_CATEGORY_ENDS = ("other", "unseen", "null")
_NULL_TYPES = ("NoneType", "NAType", "NaTType")  # pandas' own, told by name: this file does not load pandas


@dataclass(frozen=True)
class Moments:
    """Count, mean, Σ(x - mean)², smallest and largest finite number; they add up (Chan et al. 1979)."""

    n: int = 0
    mean: float = 0.0
    m2: float = 0.0
    low: float | None = None
    high: float | None = None

    def __add__(self, other: Moments) -> Moments:
        if not self.n or not other.n:
            return other if not self.n else self
        n, step = self.n + other.n, other.mean - self.mean
        m2 = self.m2 + other.m2 + step * step * self.n * other.n / n
        lows, highs = (self.low, other.low), (self.high, other.high)
        return Moments(
            n,
            self.mean + step * other.n / n,
            m2,
            min(x for x in lows if x is not None),
            max(x for x in highs if x is not None),
        )


@dataclass(frozen=True)
class Profile:
    """Counts of one column in reference-quantile bins, or by category.

    `edges` bound the intervals (a, b] (the first is closed below); `points` are values that carry a twentieth
    of the rows and have a bin alone; `categories` are counted one by one, `known` ones together as "other",
    the rest is "unseen". `counts` follow `bin_names`. Profiles on the same bins add up: `a + b`.
    """

    column: str
    kind: Kind
    counts: tuple[int, ...]
    edges: tuple[float, ...] = ()
    points: tuple[float, ...] = ()
    categories: tuple[str, ...] = ()
    known: tuple[str, ...] = ()
    moments: Moments = Moments()

    @property
    def n_rows(self) -> int:
        """Rows that were counted (half of the reference's, where a column has many categories)."""
        return sum(self.counts)

    @property
    def bin_names(self) -> tuple[str, ...]:
        """A name for each count: `(1, 2]`, `= 0`, a category, "null", "unseen" …"""
        if self.kind == "category":
            return self.categories + _CATEGORY_ENDS
        intervals = [f"({a:g}, {b:g}]" for a, b in zip(self.edges, self.edges[1:], strict=False)]
        return (*intervals, *(f"= {point:g}" for point in self.points), *_NUMERIC_ENDS)

    def share(self, name: str) -> float:
        """The share of the rows in the bin of that name, such as "null"; 0 without rows."""
        return self.counts[self.bin_names.index(name)] / max(self.n_rows, 1)

    def same_bins(self, other: Profile) -> bool:
        """Whether two profiles count in the same bins."""
        return self._bins() == other._bins()

    def __add__(self, other: Profile) -> Profile:
        if not self.same_bins(other):
            raise DataError(
                f"profiles of {self.column!r} and {other.column!r} count in other bins: only counts "
                "that were taken with the same reference profile add up"
            )
        counts = tuple(a + b for a, b in zip(self.counts, other.counts, strict=True))
        return replace(self, counts=counts, moments=self.moments + other.moments)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON: strings, finite numbers, lists."""
        moments = self.moments
        return {
            "column": self.column,
            "kind": self.kind,
            "counts": list(self.counts),
            "edges": list(self.edges),
            "points": list(self.points),
            "categories": list(self.categories),
            "known": list(self.known),
            "moments": [moments.n, moments.mean, moments.m2, moments.low, moments.high],
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Profile:
        """The inverse of `to_dict`."""
        try:
            tuples = {key: tuple(stored[key]) for key in ("counts", "edges", "points", "categories", "known")}
            return cls(stored["column"], stored["kind"], moments=Moments(*stored["moments"]), **tuples)
        except (KeyError, TypeError) as error:
            raise DataError(
                f"not a stored profile ({error!r}): expected what Profile.to_dict wrote"
            ) from error

    def _bins(self) -> tuple[object, ...]:
        return self.column, self.kind, self.edges, self.points, self.categories, self.known


def profile(column: str, values: Iterable[Any], *, kind: Kind | None = None) -> Profile:
    """The profile of a reference column: bins from its own values, and their counts.

    Numbers get 20 quantile bins; anything else is a category. Booleans are categories. None and pandas' NA
    are null; a float NaN is NaN. Where categories are rare or more than 255, the odd rows choose the bins and
    the even rows are counted, as counts of bins that were chosen on the same rows would promise too much to
    the next ones.

    >>> rain = profile("rain", [0, 0, 0, 0, 1.5, 2.5, 3.5, 4.5, None, float("inf")])
    >>> rain.share("= 0"), rain.share("null"), rain.share("+inf")
    (0.4, 0.1, 0.1)
    """
    cells = _cells(values)
    kind = kind or _kind_of(cells)
    if kind == "category":
        return _category_profile(column, _spelled(cells))
    numbers, _ = _numbers(column, cells)
    edges, points = _quantile_bins(numbers[np.isfinite(numbers)])
    n_bins = max(len(edges) - 1, 0) + len(points) + len(_NUMERIC_ENDS)
    return count(Profile(column, "numeric", (0,) * n_bins, edges, points), cells)


def count(reference: Profile, values: Iterable[Any]) -> Profile:
    """The values counted in the bins of `reference`: a profile that can be compared with it, and added up.

    >>> reference = profile("carrier", ["AA", "UA"] * 50)
    >>> count(reference, ["AA", "AA", "ZZ", None]).counts  # AA, UA, other, unseen, null
    (2, 0, 0, 1, 1)
    """
    cells = _cells(values)
    if reference.kind == "category":
        tally = Counter(_spelled(cells))
        return replace(
            reference,
            counts=_count_categories(tally, reference.categories, reference.known),
            moments=Moments(),
        )
    numbers, null = _numbers(reference.column, cells)
    finite = numbers[np.isfinite(numbers)]
    ends = [
        int(null.sum()),
        int((np.isnan(numbers) & ~null).sum()),
        int(np.isposinf(numbers).sum()),
        int(np.isneginf(numbers).sum()),
    ]
    counts = (*_count_numbers(finite, reference.edges, reference.points), *ends)
    return replace(reference, counts=counts, moments=_moments(finite))


def quantiles(of: Profile, levels: npt.ArrayLike) -> Floats:
    """Quantiles of the finite numbers, read from the counts: linear inside a bin, ends from the moments.

    >>> quantiles(profile("x", np.arange(1000.0)), [.1, .5]).round().tolist()
    [99.0, 499.0]
    """
    low, high = of.moments.low, of.moments.high
    if of.kind != "numeric" or low is None or high is None:
        raise DataError(f"column {of.column!r} has no finite numbers, so it has no quantiles")
    n_intervals, n_points = max(len(of.edges) - 1, 0), len(of.points)
    spans = list(zip(of.edges, of.edges[1:], of.counts[:n_intervals], strict=False))
    spans += [(point, point, mass) for point, mass in zip(of.points, of.counts[n_intervals:], strict=False)]
    below, above = of.counts[n_intervals + n_points : n_intervals + n_points + 2]
    first, last = (of.edges[0], of.edges[-1]) if of.edges else (low, low)
    spans += [(min(low, first), first, below), (last, max(high, last), above)]
    knots = np.unique([x for a, b, mass in spans if mass for x in (a, b)])
    before = sum((mass * _passed(knots, a, b, strict=True) for a, b, mass in spans), np.zeros(len(knots)))
    after = sum((mass * _passed(knots, a, b, strict=False) for a, b, mass in spans), np.zeros(len(knots)))
    cumulative = np.column_stack([before, after]).ravel() / of.moments.n
    found = np.interp(np.asarray(levels, dtype=np.float64), cumulative, np.repeat(knots, 2))
    return np.asarray(found, dtype=np.float64)


# --- bins and counts --------------------------------------------------------------------------------------


def _quantile_bins(finite: Floats) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Edges and points: values with a twentieth of the rows stand alone, the rest is cut in equal masses."""
    if not len(finite):
        return (), ()
    distinct, repeats = np.unique(finite, return_counts=True)
    alone = repeats >= max(len(finite) / QUANTILE_BINS, 2)
    rest = np.repeat(distinct[~alone], repeats[~alone])
    wanted = round(QUANTILE_BINS * len(rest) / len(finite))
    n_bins = max(1, min(wanted, len(rest) // FEWEST_IN_A_BIN))
    inner = np.quantile(rest, np.arange(1, n_bins) / n_bins, method="inverted_cdf") if len(rest) else rest
    edges = [float(distinct[0]), *np.unique(inner).tolist(), float(distinct[-1])]
    return tuple(sorted(set(edges[:-1])) + edges[-1:]), tuple(distinct[alone].tolist())


def _count_numbers(finite: Floats, edges: tuple[float, ...], points: tuple[float, ...]) -> list[int]:
    """Counts of intervals, points, below, above; points come first, then the interval that holds a value."""
    if not edges:
        return [0, len(finite)]
    at_point = np.searchsorted(points, finite) if points else np.zeros(len(finite), dtype=np.intp)
    is_point = np.isin(finite, points)
    per_point = np.bincount(at_point[is_point], minlength=len(points))[: len(points)]
    rest = finite[~is_point]
    below, above = rest < edges[0], rest > edges[-1]
    inside = np.searchsorted(edges[1:-1], rest[~below & ~above], side="left")
    per_interval = np.bincount(inside, minlength=len(edges) - 1)
    return [*per_interval.tolist(), *per_point.tolist(), int(below.sum()), int(above.sum())]


def _category_profile(column: str, cells: list[str | None]) -> Profile:
    tally = Counter(cells)
    named = {name: n for name, n in tally.items() if name is not None}
    rare = len(named) > MOST_CATEGORIES or min(named.values(), default=FEWEST_IN_A_BIN) < FEWEST_IN_A_BIN
    chosen, counted = (
        (Counter(cells[1::2]), Counter(cells[0::2])) if rare and len(cells) > 1 else (tally, tally)
    )
    ranked = sorted((name for name in chosen if name is not None), key=lambda name: (-chosen[name], name))
    top, rest = (
        tuple(ranked[:MOST_CATEGORIES]),
        tuple(sorted(ranked[MOST_CATEGORIES : MOST_CATEGORIES + MOST_KNOWN])),
    )
    return Profile(column, "category", _count_categories(counted, top, rest), categories=top, known=rest)


def _count_categories(
    tally: Counter[str | None], top: tuple[str, ...], known: tuple[str, ...]
) -> tuple[int, ...]:
    named = [tally.get(name, 0) for name in top]
    other, null = sum(tally.get(name, 0) for name in known), tally.get(None, 0)
    return (*named, other, tally.total() - sum(named) - other - null, null)


def _moments(finite: Floats) -> Moments:
    if not len(finite):
        return Moments()
    mean = float(finite.mean())
    return Moments(
        len(finite), mean, float(np.square(finite - mean).sum()), float(finite.min()), float(finite.max())
    )


def _passed(knots: Floats, start: float, end: float, *, strict: bool) -> Floats:
    """The share of a span at or below each knot; `strict`: a span that is a point counts only beyond it."""
    if start == end:
        return np.asarray(knots > start if strict else knots >= start, dtype=np.float64)
    return np.clip((knots - start) / (end - start), 0.0, 1.0)


# --- what comes in ----------------------------------------------------------------------------------------


def is_null(cell: object) -> bool:
    """None, pandas' NA and NaT; not a float NaN."""
    return type(cell).__name__ in _NULL_TYPES


def _cells(values: Iterable[Any]) -> npt.NDArray[Any]:
    cells = np.asarray(values if hasattr(values, "__array__") else list(values))
    if cells.dtype.kind in "US" and not hasattr(values, "__array__"):
        cells = np.asarray(list(values), dtype=object)  # numpy turns [1.5, "a"] into strings
    if cells.ndim != 1:
        raise DataError(f"a column is one-dimensional, found shape {cells.shape}")
    return cells


def _kind_of(cells: npt.NDArray[Any]) -> Kind:
    if cells.dtype.kind in "iuf":
        return "numeric"
    if cells.dtype.kind != "O":
        return "category"
    numeric = all(
        is_null(cell) or (isinstance(cell, Real) and not isinstance(cell, (bool, np.bool_)))
        for cell in cells.tolist()
    )
    return "numeric" if numeric else "category"


def _numbers(column: str, cells: npt.NDArray[Any]) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Numbers (NaN where null) and which cells are null."""
    if cells.dtype.kind in "iufb":
        return cells.astype(np.float64), np.zeros(len(cells), dtype=np.bool_)
    null = np.array([is_null(cell) for cell in cells.tolist()], dtype=np.bool_)
    try:
        return np.array(
            [math.nan if gone else float(cell) for cell, gone in zip(cells.tolist(), null, strict=True)],
            dtype=np.float64,
        ), null
    except (TypeError, ValueError) as error:
        raise DataError(
            f"column {column!r} is numeric in the reference, but holds something else: {error}"
        ) from error


def _spelled(cells: npt.NDArray[Any]) -> list[str | None]:
    """The category of each cell. Text and None are their own: 20 ns a cell, where `_category` takes 1,200."""
    listed: list[Any] = cells.tolist()
    if set(map(type, listed)) <= {str, NoneType}:
        return listed
    return [_category(cell) for cell in listed]


def _category(cell: object) -> str | None:
    """A category's one spelling: 1, 1.0 and "1" are the same, NaN is null."""
    if is_null(cell) or (isinstance(cell, float) and math.isnan(cell)):
        return None
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell)
