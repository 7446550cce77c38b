"""The same value twice, and they differ: which mistake explains it?

In: pairs of one column (as served, and as the training code computes it for the same row), or two profiles of
a column. Out: the match rate and the simplest explanation: a unit, a constant shift, null against a default,
a renamed category. Row by row a unit error shows after a handful of rows; distributions need thousands.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from incumbent.errors import DataError
from incumbent.stats.metrics import Floats
from incumbent.stats.profile import Profile, is_null, quantiles

Explanation = Literal[
    "match",
    "unit",
    "factor",
    "shift",
    "default_for_null",
    "null_for_default",
    "null_for_value",
    "renamed",
    "unexplained",
]
Bools = npt.NDArray[np.bool_]

MATCH_TOLERANCE = 1e-6
UNIT_TOLERANCE = 1e-3
FEWEST_PAIRS = 5
LEAST_EXPLAINED = 0.9

_FACTORS = {
    "thousands": 1000.0,
    "hundreds (a share in %)": 100.0,
    "minutes for hours": 60.0,
    "hours for days": 24.0,
    "seconds for hours": 3600.0,
    "cm for inches": 2.54,
    "mm for inches": 25.4,
    "km for miles": 1.609344,
    "feet for metres": 3.28084,
    "lb for kg": 2.204623,
    "km/h for knots": 1.852,
    "mph for knots": 1.150779,
    "km/h for m/s": 3.6,
    "mph for m/s": 2.236936,
    "knots for m/s": 1.943844,
    "hPa for inHg": 33.8639,
}
UNITS: dict[str, tuple[float, float]] = {
    "°F for °C": (1.8, 32.0),
    "°C for °F": (1 / 1.8, -32.0 / 1.8),
    "K for °C": (1.0, 273.15),
    "°C for K": (1.0, -273.15),
    "opposite sign": (-1.0, 0.0),
    **{name: (factor, 0.0) for name, factor in _FACTORS.items()},
    **{f"{name}, reversed": (1 / factor, 0.0) for name, factor in _FACTORS.items()},
}
"""Known conversions: served = factor·expected + shift. "A for B" reads: A was served where B was expected."""


@dataclass(frozen=True)
class PairMatch:
    """How two columns of the same rows agree, and what explains the pairs that do not.

    `match_rate` and `explained` (the share of the *unequal* pairs that the explanation covers) are 0-1.
    served = `factor`·recomputed + `shift` for "unit", "factor" and "shift"; `mapping` is recomputed → served
    for "renamed"; `default` is the constant that stands where the other side has null. `detail` is a phrase
    for people.
    """

    n: int
    match_rate: float
    explanation: Explanation
    explained: float
    detail: str
    factor: float = 1.0
    shift: float = 0.0
    default: float | str | None = None
    mapping: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class UnitSuggestion:
    """The unit that makes a column look as it did: now = factor·before + shift; distances in spreads."""

    name: str
    factor: float
    shift: float
    distance: float
    distance_unchanged: float


def explain_pairs(served: Iterable[Any], recomputed: Iterable[Any]) -> PairMatch:
    """Compare a column as served with the same rows recomputed; equal to 1e-6, or both missing, is a match.

    An explanation must cover at least 90 % of the unequal pairs, and 5 of them; a known unit is preferred to
    a free factor. Null and NaN are both missing.

    >>> match = explain_pairs([50.0, 68.0, 86.0, 59.0, 41.0], [10.0, 20.0, 30.0, 15.0, 5.0])
    >>> match.explanation, match.detail
    ('unit', '°F for °C: served = 1.8 x expected + 32')
    >>> explain_pairs(["jfk", "lga"] * 5, ["JFK", "LGA"] * 5).mapping
    {'JFK': 'jfk', 'LGA': 'lga'}
    """
    left, right = _cells(served), _cells(recomputed)
    if len(left) != len(right) or not len(left):
        raise DataError(
            f"pairs need the same rows on both sides, at least one: found {len(left)} and {len(right)}"
        )
    missing = np.array([[_missing(a), _missing(b)] for a, b in zip(left, right, strict=True)], dtype=np.bool_)
    numeric = all(_is_number(cell) or _missing(cell) for cell in (*left, *right))
    return _numeric_match(left, right, missing) if numeric else _category_match(left, right, missing)


def suggest_unit(reference: Profile, current: Profile) -> UnitSuggestion | None:
    """The known unit that explains how `current` differs from `reference`, None if none is clearly best.

    Both sides need bins of their own values (`profile.profile`, not `profile.count`). Compared are five
    quantiles, in spreads of the current column. The best unit must come within half a spread, three times
    nearer than no change, and twice as near as the next unit.

    >>> from incumbent.stats.profile import profile
    >>> celsius = np.random.default_rng(1).normal(15, 8, 500)
    >>> suggest_unit(profile("temp", celsius), profile("temp", celsius * 1.8 + 32)).name
    '°F for °C'
    """
    n_ends = sum(round(current.share(name) * current.n_rows) for name in ("below", "above"))
    if n_ends > 0.05 * current.n_rows:
        raise DataError(
            f"column {current.column!r}: {n_ends} of {current.n_rows} values lie outside of the bins; "
            "profile the current values on their own bins (profile.profile)"
        )
    levels = [0.1, 0.25, 0.5, 0.75, 0.9]
    before, now = quantiles(reference, levels), quantiles(current, levels)
    spread = float(now[-1] - now[0])
    if not spread > 0.0 or before[-1] == before[0]:
        return None
    distances = {name: _distance(now, *unit, before) / spread for name, unit in UNITS.items()}
    unchanged = _distance(now, 1.0, 0.0, before) / spread
    best, second = sorted(distances, key=lambda name: distances[name])[:2]
    clear = distances[best] <= min(0.5, unchanged / 3.0, distances[second] / 2.0)
    return UnitSuggestion(best, *UNITS[best], distances[best], unchanged) if clear else None


def _distance(now: Floats, factor: float, shift: float, before: Floats) -> float:
    expected = np.sort(factor * before + shift)
    return float(np.abs(now - expected).mean())


# --- numbers ----------------------------------------------------------------------------------------------


def _numeric_match(left: list[Any], right: list[Any], missing: Bools) -> PairMatch:
    served, expected = _as_numbers(left), _as_numbers(right)
    equal = missing.all(axis=1) | (~missing.any(axis=1) & _close(served, expected, MATCH_TOLERANCE, 0.0))
    n, n_unequal = len(left), int((~equal).sum())
    rate = 1.0 - n_unequal / n
    if not n_unequal:
        return PairMatch(n, 1.0, "match", 1.0, "every pair agrees")
    null = _null_match(served, expected, missing, n_unequal, rate)
    if null is not None:
        return null
    both = ~equal & ~missing.any(axis=1) & np.isfinite(served) & np.isfinite(expected)
    if both.sum() < FEWEST_PAIRS:
        return _unexplained(n, rate, n_unequal)
    return _linear_match(served[both], expected[both], n, n_unequal, rate)


def _linear_match(served: Floats, expected: Floats, n: int, n_unequal: int, rate: float) -> PairMatch:
    """The first of: known unit, constant shift, free factor that covers most of the unequal pairs."""
    scale = float(np.median(np.abs(served)))

    def covered(factor: float, shift: float, tolerance: float) -> float:
        return float(_close(served, factor * expected + shift, tolerance, scale).sum()) / n_unequal

    name = max(UNITS, key=lambda unit: covered(*UNITS[unit], UNIT_TOLERANCE))
    ratios = served[expected != 0] / expected[expected != 0]
    candidates: list[tuple[Explanation, str, float, float, float]] = [
        ("unit", f"{name}: ", *UNITS[name], UNIT_TOLERANCE),
        ("shift", "", 1.0, float(np.median(served - expected)), MATCH_TOLERANCE),
        ("factor", "", float(np.median(ratios)) if len(ratios) else 1.0, 0.0, MATCH_TOLERANCE),
    ]
    for explanation, prefix, factor, shift, tolerance in candidates:
        share = covered(factor, shift, tolerance)
        if share >= LEAST_EXPLAINED:
            detail = f"{prefix}served = {_formula(factor, shift)}"
            return PairMatch(n, rate, explanation, share, detail, factor, shift)
    return _unexplained(n, rate, n_unequal)


def _null_match(
    served: Floats, expected: Floats, missing: Bools, n_unequal: int, rate: float
) -> PairMatch | None:
    """Null on one side only, where that covers most of the unequal pairs."""
    only_served, only_expected = missing[:, 0] & ~missing[:, 1], missing[:, 1] & ~missing[:, 0]
    need = max(FEWEST_PAIRS, LEAST_EXPLAINED * n_unequal)
    n = len(served)
    if only_expected.sum() >= need:
        value, share = _commonest(served[only_expected], n_unequal)
        if share >= LEAST_EXPLAINED:
            return PairMatch(
                n, rate, "default_for_null", share, f"{value:g} was served for null", default=value
            )
    if only_served.sum() >= need:
        value, share = _commonest(expected[only_served], n_unequal)
        if share >= LEAST_EXPLAINED:
            return PairMatch(
                n, rate, "null_for_default", share, f"null was served for {value:g}", default=value
            )
        share = float(only_served.sum()) / n_unequal
        return PairMatch(n, rate, "null_for_value", share, "null was served where a value was expected")
    return None


def _commonest(values: Floats, n_unequal: int) -> tuple[float, float]:
    distinct, repeats = np.unique(values, return_counts=True)
    best = int(np.argmax(repeats))
    return float(distinct[best]), float(repeats[best]) / n_unequal


def _close(served: Floats, expected: Floats, tolerance: float, scale: float) -> Bools:
    """Equal up to rounding; `scale` keeps values near 0 (0 °C) from needing more digits than others."""
    with np.errstate(invalid="ignore"):
        near = np.abs(served - expected) <= tolerance * np.maximum(
            np.maximum(abs(served), abs(expected)), scale
        )
    return np.asarray(near | (served == expected), dtype=np.bool_)


def _formula(factor: float, shift: float) -> str:
    scaled = "expected" if factor == 1.0 else f"{factor:.6g} x expected"
    return scaled + (f" {'+' if shift > 0 else '-'} {abs(shift):.6g}" if shift else "")


# --- categories -------------------------------------------------------------------------------------------


def _category_match(left: list[Any], right: list[Any], missing: Bools) -> PairMatch:
    pairs = [
        (None if lost[0] else str(a), None if lost[1] else str(b))
        for a, b, lost in zip(left, right, missing, strict=True)
    ]
    unequal = [(a, b) for a, b in pairs if a != b]
    n, rate = len(pairs), 1.0 - len(unequal) / len(pairs)
    if not unequal:
        return PairMatch(n, 1.0, "match", 1.0, "every pair agrees")
    served_null = sum(a is None for a, _ in unequal) / len(unequal)
    if served_null >= LEAST_EXPLAINED and len(unequal) >= FEWEST_PAIRS:
        return PairMatch(
            n, rate, "null_for_value", served_null, "null was served where a category was expected"
        )
    default, times = (
        Counter(a for a, b in unequal if b is None).most_common(1)[0]
        if any(b is None for _, b in unequal)
        else (None, 0)
    )
    if times >= max(FEWEST_PAIRS, LEAST_EXPLAINED * len(unequal)):
        share = times / len(unequal)
        return PairMatch(
            n, rate, "default_for_null", share, f"{default!r} was served for null", default=default
        )
    return _renamed(n, rate, [(a, b) for a, b in unequal if a is not None and b is not None], len(unequal))


def _renamed(n: int, rate: float, unequal: list[tuple[str, str]], n_unequal: int) -> PairMatch:
    """One new name for each old one, and no two old ones under one name."""
    names: dict[str, Counter[str]] = defaultdict(Counter)
    for served, expected in unequal:
        names[expected][served] += 1
    best = {expected: tally.most_common(1)[0] for expected, tally in sorted(names.items())}
    share = sum(times for _, times in best.values()) / n_unequal
    mapping = {expected: served for expected, (served, _) in best.items()}
    distinct = len(set(mapping.values())) == len(mapping)
    repeated = len(unequal) >= max(FEWEST_PAIRS, 2 * len(mapping))
    if not (share >= LEAST_EXPLAINED and distinct and repeated):
        return _unexplained(n, rate, n_unequal)
    first = next(iter(mapping.items()))
    more = f" and {len(mapping) - 1} more" if len(mapping) > 1 else ""
    return PairMatch(
        n, rate, "renamed", share, f"{first[0]!r} was served as {first[1]!r}{more}", mapping=mapping
    )


def _unexplained(n: int, rate: float, n_unequal: int) -> PairMatch:
    return PairMatch(n, rate, "unexplained", 0.0, f"{n_unequal} of {n} pairs differ, in no simple way")


# --- what comes in ----------------------------------------------------------------------------------------


def _cells(values: Iterable[Any]) -> list[Any]:
    return list(values.tolist() if isinstance(values, np.ndarray) else values)


def _missing(cell: Any) -> bool:
    return is_null(cell) or (isinstance(cell, (float, np.floating)) and math.isnan(cell))


def _is_number(cell: Any) -> bool:
    return isinstance(cell, (int, float, np.integer, np.floating)) and not isinstance(cell, bool)


def _as_numbers(cells: list[Any]) -> Floats:
    return np.array([math.nan if _missing(cell) else float(cell) for cell in cells], dtype=np.float64)
