"""Does no part of the rows lose? The rules of `[[gate.slice]]`, each on its own rows.

In: the paired difference on any mask of rows, and a label a row for each column that a slice names. Out: a Finding a
slice. Every slice must hold for the gate to ship, so no correction for their number is needed: the chance that all of
them pass by luck is not above the chance that the worst one does (intersection-union: Berger, Technometrics 24, 1982,
295). What many slices cost is power, not the level. A slice that is missing, or too small, never ships.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from incumbent import config
from incumbent.steps.gate.rules import HOLD, NOT_ENOUGH, Finding, Found, Of, beyond

MOST_VALUES = 200
"""More values of a column than this are no slices but an id, or a number: name a coarser column."""
NULL = "(null)"

Mask = npt.NDArray[np.bool_]
Differs = Callable[[Mask], Found]


@dataclass(frozen=True, slots=True)
class Labels:
    """A column as codes (n_rows,) into `names`: the text of each value."""

    codes: npt.NDArray[np.int64]
    names: tuple[str, ...]


def labels(values: Iterable[Any]) -> Labels:
    """The column of a slice; null and NaN are one value of their own.

    >>> labels(["UA", None, "UA", 3.0]).names
    ('UA', '(null)', '3')
    """
    places: dict[str, int] = {}
    seen: dict[Any, int] = {}
    codes = []
    for value in values:
        place = seen.get(value)
        if place is None:
            place = seen[value] = places.setdefault(text(value), len(places))
        codes.append(place)
    return Labels(np.array(codes, dtype=np.int64), tuple(places))


def text(value: Any) -> str:
    """A value as the name of a slice says it: 3.0 and 3 are one, as are NaN and null.

    >>> text(True), text(2.5), text(float("nan"))
    ('true', '2.5', '(null)')
    """
    if value is None or value != value:
        return NULL
    if isinstance(value, bool | np.bool_):
        return str(bool(value)).lower()
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return str(value)


def findings(
    slices: Sequence[config.Slice], columns: Mapping[str, Labels], differs: Differs, settings: config.Gate
) -> list[Finding]:
    """A line for each slice; `differs(mask)` compares the two versions on the rows of a mask."""
    found: list[Finding] = []
    for one in slices:
        if one.column not in columns:
            name = f"{one.column} = {text(one.value)}" if one.value is not None else one.column
            said = f"found no column {one.column!r} among the held-out rows, and a slice is asked for"
            found.append(Finding(Of(slice=name).named(_rule(one)), HOLD, said, slice=name))
        elif one.value is not None:
            found.append(_named(one, columns[one.column], differs, settings))
        else:
            found.extend(_every(one, columns[one.column], differs, settings))
    return found


def _named(one: config.Slice, column: Labels, differs: Differs, settings: config.Gate) -> Finding:
    name = text(one.value)
    inside = column.codes == column.names.index(name) if name in column.names else np.zeros(len(column.codes), bool)
    return _judged(one, f"{one.column} = {name}", inside, differs, settings)


def _every(one: config.Slice, column: Labels, differs: Differs, settings: config.Gate) -> list[Finding]:
    """Each value that has enough rows, in the order of the text; the smaller ones together."""
    if len(column.names) > MOST_VALUES:
        said = (
            f"{one.column}: found {len(column.names):,} values, expected at most {MOST_VALUES}: name a value, or a "
            "column with fewer of them"
        )
        return [Finding(Of(slice=one.column).named(_rule(one)), HOLD, said, slice=one.column)]
    sizes = np.bincount(column.codes, minlength=len(column.names))
    least = one.min_slice_size or settings.min_slice_size
    large = sorted((name, code) for code, name in enumerate(column.names) if sizes[code] >= least)
    found = [_judged(one, f"{one.column} = {name}", column.codes == code, differs, settings) for name, code in large]
    small = [code for code in range(len(column.names)) if 0 < sizes[code] < least]
    if sizes[small].sum() >= least or not large:
        rest = f"{one.column}: {len(small):,} smaller values together"
        found.append(_judged(one, rest, np.isin(column.codes, small), differs, settings))
    return found


def _judged(one: config.Slice, name: str, inside: Mask, differs: Differs, settings: config.Gate) -> Finding:
    of, least = Of(slice=name), one.min_slice_size or settings.min_slice_size
    n = int(inside.sum())
    if n < least:
        said = f"{name}: {n:,} held-out rows, expected {least:,} or more"
        return Finding(of.named(_rule(one)), NOT_ENOUGH, said, least, slice=name, threshold=float(least), n_rows=n)
    difference = differs(inside)
    if isinstance(difference, str):
        return Finding(of.named(_rule(one)), NOT_ENOUGH, f"{name}: cannot be compared: {difference}", slice=name)
    return beyond(difference, of, better_by=one.better_by, no_worse_than=one.no_worse_than)


def _rule(one: config.Slice) -> str:
    return "better_by" if one.no_worse_than is None else "no_worse_than"
