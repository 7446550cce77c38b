"""A column as groups, and the smoothed rate or mean of each.

In: typed columns and targets (class index, or number). Out: codes and tables. Vectorised: no Python loop over rows.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from incumbent.records import ColumnType, Signature
from incumbent.runtimes.base import Floats
from incumbent.runtimes.grouping import group_keys, mapped

SMOOTHING = 10.0
"""Rows of the overall rate mixed into each group (Cestnik, ECAI 1990): a group of 10 rows counts half."""
MOST_GROUPS = 1_000
MOST_NUMBER_GROUPS = 50
_PEEK = 10_000

Codes = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Groups:
    """A column as groups: `codes` (n,) index `keys`, -1 where the column is null."""

    codes: Codes
    keys: tuple[str, ...]


def groups_of(values: npt.NDArray[np.generic], kind: ColumnType) -> Groups | None:
    """The groups of a column; None where it has one, or too many to be groups (or is a measure or a time)."""
    if kind in ("number", "timestamp", "numbers"):
        return None
    return _text_groups(values) if kind == "string" else _number_groups(values.astype(float), kind)


def group_table(codes: Codes, n_groups: int, target: Floats, signature: Signature) -> tuple[Floats, Floats]:
    """(n_groups, width) smoothed rates or means, and the overall one (width,); width 1 for numbers."""
    known = codes >= 0
    inside, of = (codes, target) if known.all() else (codes[known], target[known])
    sizes = np.bincount(inside, minlength=n_groups)[:, None]
    if signature.classifies:
        width = len(signature.classes)
        overall = np.bincount(target.astype(np.int64), minlength=width) / len(target)
        cells = np.bincount(inside * width + of.astype(np.int64), minlength=n_groups * width)
        sums: Floats = cells.reshape(n_groups, width).astype(np.float64)
    else:
        overall = np.array([math.fsum(target) / len(target)])
        sums = np.bincount(inside, of, n_groups).astype(np.float64).reshape(n_groups, 1)
    return (sums + SMOOTHING * overall) / (sizes + SMOOTHING), overall


def _text_groups(values: npt.NDArray[np.generic]) -> Groups | None:
    if len(set(values[:_PEEK].tolist())) > MOST_GROUPS + 1:  # more rows can only bring more
        return None
    distinct = set(values.tolist())
    keys = tuple(sorted(str(v) for v in distinct if v is not None))
    if not keys or not 2 <= len(distinct) <= MOST_GROUPS:
        return None
    return Groups(mapped({key: i for i, key in enumerate(keys)}, values, -1), keys)


def _number_groups(values: Floats, kind: ColumnType) -> Groups | None:
    if len(np.unique(values[:_PEEK])) > MOST_NUMBER_GROUPS + 1:
        return None
    null = np.isnan(values)
    distinct = np.unique(values[~null])
    if not len(distinct) or not 2 <= len(distinct) + bool(null.any()) <= MOST_NUMBER_GROUPS:
        return None
    codes = np.where(null, -1, np.searchsorted(distinct, values))
    return Groups(codes.astype(np.int64), tuple(str(key) for key in group_keys(distinct, kind)))
