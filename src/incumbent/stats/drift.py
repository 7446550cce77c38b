"""Has a column changed, surely and by much?

In: two profiles counted in the same bins. Out: the population stability index with its null law, and the
columns ranked by effect. Says which columns changed, never that it hurts: drift explains, harm alarms.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.special import chdtrc

from incumbent.errors import DataError
from incumbent.stats.metrics import Floats, Integers
from incumbent.stats.profile import Profile, count, profile, quantiles
from incumbent.stats.skew import PairMatch, UnitSuggestion, explain_pairs, suggest_unit

__all__ = [  # who asks whether a column changed also needs to count it and to explain it
    "BinShift",
    "ColumnDrift",
    "PairMatch",
    "Profile",
    "Psi",
    "UnitSuggestion",
    "compare_profiles",
    "count",
    "explain_pairs",
    "profile",
    "psi",
    "quantiles",
    "suggest_unit",
]

Level = Literal["none", "notice", "warn", "act"]

SMALLEST_EXPECTED = 1.0
"""Bins in which either side expects fewer rows are pooled. Simulated at nominal 5 %: no pooling, 0 % on
sparse columns; a limit of 5, 35 % for 100 rows in 20 bins, which hover around it; a limit of 1, 0-6 %."""
LEVELS: tuple[tuple[float, Level], ...] = ((0.25, "act"), (0.10, "warn"), (0.02, "notice"))


@dataclass(frozen=True)
class Psi:
    """Population stability index, its p-value under no change, and what is beyond chance (`effect`)."""

    value: float
    effect: float
    p_value: float
    n_bins: int


@dataclass(frozen=True)
class BinShift:
    """One bin's share before and now (0-1)."""

    name: str
    reference: float
    current: float


@dataclass(frozen=True)
class ColumnDrift:
    """How far one column moved. `level` is "none" unless the change is sure (`p_holm` ≤ alpha).

    `largest` are the three bins whose shares moved the index most.
    """

    column: str
    psi: Psi
    p_holm: float
    level: Level
    n_reference: int
    n_current: int
    largest: tuple[BinShift, ...]


def psi(reference: npt.ArrayLike, current: npt.ArrayLike) -> Psi:
    """Population stability index Σ (q - p)·ln(q/p) of two columns of counts; chance does not alarm.

    Bins empty on both sides are dropped (they would alarm by themselves), bins too small for the law are
    pooled, then .5 is added. With B bins left and no change, PSI ~ (1/n + 1/m)·χ²(B - 1) (Yurdakul & Naranjo,
    Journal of Risk Model Validation 14, 2020); `effect` = PSI - (1/n + 1/m)(B - 1). .02 is worth notice, .1 a
    warning, .25 acting on.

    >>> result = psi([500, 300, 200, 0], [250, 350, 400, 0])
    >>> round(result.value, 3), result.n_bins, result.p_value < 1e-6
    (0.319, 3, True)
    """
    before, now = np.asarray(reference, dtype=np.float64), np.asarray(current, dtype=np.float64)
    if before.shape != now.shape or before.ndim != 1 or (before < 0).any() or (now < 0).any():
        raise ValueError(
            f"expected two columns of counts of the same bins, found shapes {before.shape}, {now.shape}"
        )
    n, m = float(before.sum()), float(now.sum())
    if not n or not m:
        raise DataError(f"a change needs rows on both sides, found {n:.0f} in the reference and {m:.0f} now")
    before, now = _pooled(before, now)
    p, q = (before + 0.5) / (before + 0.5).sum(), (now + 0.5) / (now + 0.5).sum()
    value, scale, freedom = math.fsum((q - p) * np.log(q / p)), 1.0 / n + 1.0 / m, len(p) - 1
    p_value = float(chdtrc(freedom, value / scale)) if freedom else 1.0
    return Psi(value, value - scale * freedom, p_value, freedom + 1)


def compare_profiles(
    reference: Sequence[Profile] | Mapping[str, Profile],
    current: Sequence[Profile] | Mapping[str, Profile],
    *,
    alpha: float = 0.01,
) -> list[ColumnDrift]:
    """Each column's change, largest effect first (never by p-value: large samples make small changes sure).

    `current` must be counted in the reference's bins (`count`). Null and NaN are one bin here, as a feature
    that is trained on as NaN comes back from JSON as null. So are the last interval and what lies beyond it:
    the reference itself has nothing out of its own range, any other sample has (1.8 % false alarms at nominal
    1 % otherwise).
    """
    befores, nows = _by_column(reference), _by_column(current)
    if set(befores) != set(nows):
        raise DataError(
            f"the same columns are needed on both sides; found on one only: {set(befores) ^ set(nows)}"
        )
    results = {column: psi(*_comparable(befores[column], nows[column])) for column in befores}
    p_holm = _holm({column: result.p_value for column, result in results.items()})
    drifts = [
        _column_drift(befores[column], nows[column], result, p_holm[column], alpha)
        for column, result in results.items()
    ]
    return sorted(drifts, key=lambda drift: (-drift.psi.effect, drift.column))


def _pooled(before: Floats, now: Floats) -> tuple[Floats, Floats]:
    """Without bins that are empty on both sides; those where a side expects less than a row become one.

    Pooling looks at the sum of both sides only, which says nothing about a difference between them.
    """
    total = before + now
    smaller_side = min(before.sum(), now.sum()) / total.sum()
    sparse = total * smaller_side < SMALLEST_EXPECTED
    kept = ~sparse
    if not total[sparse].sum():
        return before[kept], now[kept]
    return np.append(before[kept], before[sparse].sum()), np.append(now[kept], now[sparse].sum())


def _comparable(before: Profile, now: Profile) -> tuple[Integers, Integers]:
    if not before.same_bins(now):
        raise DataError(
            f"column {before.column!r} is counted in other bins on the two sides: take the current "
            "counts with count(reference, values)"
        )
    counts = np.array([before.counts, now.counts], dtype=np.int64)
    if before.kind == "numeric":
        _merge(counts, -3, into=-4)
        if len(before.edges) > 1:
            _merge(counts, -6, into=0)
            _merge(counts, -5, into=len(before.edges) - 2)
    return counts[0], counts[1]


def _merge(counts: Integers, index: int, *, into: int) -> None:
    counts[:, into] += counts[:, index]
    counts[:, index] = 0


def _column_drift(before: Profile, now: Profile, result: Psi, p_holm: float, alpha: float) -> ColumnDrift:
    level: Level = "none"
    if p_holm <= alpha:
        level = next((name for least, name in LEVELS if result.effect >= least), "none")
    counts = np.array([before.counts, now.counts], dtype=np.float64)
    p, q = ((side + 0.5) / (side + 0.5).sum() for side in counts)
    order = np.argsort(-(q - p) * np.log(q / p), kind="stable")[:3]
    shares = [side / side.sum() for side in counts]
    largest = tuple(BinShift(before.bin_names[i], float(shares[0][i]), float(shares[1][i])) for i in order)
    return ColumnDrift(before.column, result, p_holm, level, before.n_rows, now.n_rows, largest)


def _holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Adjusted p-values that bound the chance of any false alarm. Holm, Scand. J. of Statistics 6 (1979)."""
    adjusted, largest = {}, 0.0
    for rank, column in enumerate(sorted(p_values, key=lambda name: p_values[name])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[column]))
        adjusted[column] = largest
    return adjusted


def _by_column(profiles: Sequence[Profile] | Mapping[str, Profile]) -> dict[str, Profile]:
    listed = profiles.values() if isinstance(profiles, Mapping) else profiles
    return {one.column: one for one in listed}
