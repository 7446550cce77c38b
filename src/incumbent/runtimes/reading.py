"""JSON bytes of a row, straight into the values of a signature's columns.

In: the bytes of one JSON object. Out: its values in the order of the signature; later the typed columns of many such
rows, in one pass. It is the quick way of `signature.to_columns`, and knows only rows without surprises: what it does
not pass (an extra column, a wrong type, 5.5 for an integer) is read by `to_columns`, which accepts it or names the
wrong value. So both give the same columns, and every refusal comes from one place.

Where all columns are numbers, a row is held as its packed doubles: the 30,000 numbers of a large request are never
30,000 objects in memory at once, which is what made them slow, and a matrix is made of the rows by one copy.

One row of 30 numbers takes 1.1 us here, its part of the matrix included, and 1.7 us as a dictionary alone; a null in it
costs 1 us more.
"""

import re
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from math import nan
from typing import Any, cast

import msgspec
import numpy as np

from incumbent.errors import RowError
from incumbent.records import Column, ColumnType, Json, Signature
from incumbent.runtimes.base import Columns
from incumbent.runtimes.signature import to_columns
from incumbent.runtimes.table import Table

Values = tuple[Any, ...] | bytes
"""One row: a value a column, or the doubles of all columns."""

_TYPES: Mapping[ColumnType, Any] = {"number": float, "integer": float, "boolean": bool, "string": str}
_AWKWARD = re.compile(r'[\\"\x00-\x1f]')
_astuple = msgspec.structs.astuple


class Surprise(Exception):
    """A row that the quick way does not pass: read it with care."""


class Reader:
    """Reads rows of one signature. `texts` are the places of its text columns; `quick` is False where a column has a
    type or a name (with a quotation mark in it) that only the careful way reads."""

    def __init__(self, signature: Signature) -> None:
        self.signature = signature
        self.quick = all(column.type in _TYPES and not _AWKWARD.search(column.name) for column in signature.columns)
        self._names = signature.names
        self._places = {name: i for i, name in enumerate(self._names)}
        self.texts = [i for i, c in enumerate(signature.columns) if c.type == "string"]
        self._numbers = [i for i, c in enumerate(signature.columns) if c.type not in ("string", "numbers")]
        self._arrays = [i for i, c in enumerate(signature.columns) if c.type == "numbers"]
        self._whole = [i for i, c in enumerate(signature.columns) if c.type == "integer"]
        self._packs = not self.texts and not self._arrays
        self._held: Callable[[tuple[Any, ...]], Values] = _packing(len(self._names)) if self._packs else tuple
        self._decode = msgspec.json.Decoder(_struct(signature)).decode if self.quick else None

    def read(self, content: Any) -> Values:
        """The values of one row. Raises Surprise for one that needs care."""
        if self._decode is None:
            raise Surprise
        try:
            return self._held(_astuple(self._decode(content)))
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise Surprise from None

    def read_all(self, contents: Iterable[Any]) -> list[Values]:
        """The values of many rows. Raises Surprise when one of them needs care."""
        decode, held = self._decode, self._held
        if decode is None:
            raise Surprise
        try:
            return [held(_astuple(decode(content))) for content in contents]
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise Surprise from None

    def read_with_care(self, rows: Sequence[Mapping[str, Json]], numbers: Sequence[int] | None = None) -> list[Values]:
        """The values of rows that are dictionaries. Raises RowError; `numbers` are the numbers of the rows there."""
        try:
            columns = to_columns(rows, self.signature)
        except RowError as error:
            if numbers is None:
                raise
            raise RowError(numbers[error.row], error.column, error.found, error.expected) from None
        if not columns:
            return [self._held(())] * len(rows)
        return list(map(self._held, zip(*(columns[name].tolist() for name in self._names), strict=True)))

    def columns(self, values: Sequence[Values]) -> Columns | None:
        """Typed columns of rows; None when one of them needs care after all (5.5 for an integer, 1e999)."""
        if self._packs:
            content = bytearray().join(cast(Sequence[bytes], values))
            matrix = np.frombuffer(content).reshape(len(values), len(self._names))
            return Table(matrix, self._names, self._places) if self._fine(matrix, self._whole) else None
        by_column = list(zip(*values, strict=True))
        found: dict[str, Any] = {}
        for i, name in enumerate(self._names):
            if self.signature.columns[i].type == "string":
                found[name] = np.empty(len(values), dtype=object)
                found[name][:] = by_column[i]
            elif i in self._arrays:  # only the careful way reads them: checked, and null is a list of NaN
                found[name] = np.array(by_column[i], dtype=np.float64).reshape(len(values), -1)
            else:
                found[name] = np.array(by_column[i], dtype=np.float64)
        numbers = np.array([found[self._names[i]] for i in self._numbers]).T
        whole = [place for place, i in enumerate(self._numbers) if i in self._whole]
        return found if not self._numbers or self._fine(numbers, whole) else None

    def _fine(self, matrix: Any, whole: list[int]) -> bool:
        """No infinity, and whole numbers where they are wanted. One sum finds most matrices fine."""
        total = matrix.sum()
        if total - total != 0 and np.isinf(matrix).any():
            return False
        if not whole:
            return True
        integers = matrix if len(whole) == matrix.shape[1] else matrix[:, whole]
        return bool(((np.trunc(integers) == integers) | (integers != integers)).all())


def _packing(count: int) -> Callable[[tuple[Any, ...]], bytes]:
    """Makes so many numbers, or nulls (NaN), doubles."""
    pack = struct.Struct(f"={count}d").pack

    def packed(values: tuple[Any, ...]) -> bytes:
        try:
            return pack(*values)
        except struct.error:
            return pack(*[nan if value is None else value for value in values])

    return packed


def _struct(signature: Signature) -> type[msgspec.Struct]:
    """A class with a field for each column; a key that is none of them is a surprise."""
    fields = [_field(f"c{i}", column) for i, column in enumerate(signature.columns)]
    rename = {f"c{i}": column.name for i, column in enumerate(signature.columns)}
    return msgspec.defstruct("Row", fields, rename=rename, forbid_unknown_fields=True, kw_only=True, gc=False)


def _field(name: str, column: Column) -> Any:
    kind = _TYPES[column.type]
    return (name, kind | None, None if kind is str else nan) if column.nullable else (name, kind)
