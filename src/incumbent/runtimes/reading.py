"""JSON bytes of a row, straight into the values of a signature's columns.

In: the bytes of one JSON object. Out: a tuple of its values in the order of the signature; later the typed columns of
many such tuples, in one pass. It is the quick way of `signature.to_columns`, and knows only rows without surprises:
what it does not pass (an extra column, a wrong type, 5.5 for an integer) is read by `to_columns`, which accepts it or
names the wrong value. So both give the same columns, and every refusal comes from one place.

One row of 30 numbers takes 0.6 us here and 1.2 us as a dictionary, before a column is made of it.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from incumbent.errors import RowError
from incumbent.records import Column, ColumnType, Json, Signature
from incumbent.runtimes.base import Columns
from incumbent.runtimes.signature import to_columns
from incumbent.runtimes.table import Table

Values = tuple[Any, ...]

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
        self._arrays = [i for i, c in enumerate(signature.columns) if c.type == "numbers"]
        self._numbers = [i for i, c in enumerate(signature.columns) if c.type not in ("string", "numbers")]
        self._whole = [i for i, c in enumerate(signature.columns) if c.type == "integer"]
        self._decode = msgspec.json.Decoder(_struct(signature)).decode if self.quick else None

    def read(self, content: Any) -> Values:
        """The values of one row. Raises Surprise for one that needs care."""
        if self._decode is None:
            raise Surprise
        try:
            return _astuple(self._decode(content))
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
            return [()] * len(rows)
        return list(zip(*(columns[name].tolist() for name in self._names), strict=True))

    def columns(self, values: Sequence[Values]) -> Columns | None:
        """Typed columns of rows; None when one of them needs care after all (5.5 for an integer, 1e999)."""
        if not self.texts and not self._arrays:
            matrix = np.array(values, dtype=np.float64).reshape(len(values), len(self._names))
            return Table(matrix, self._names, self._places) if self._fine(matrix, self._whole) else None
        by_column = list(zip(*values, strict=True))
        found: dict[str, Any] = {}
        for i, name in enumerate(self._names):
            if self.signature.columns[i].type == "string":
                found[name] = np.empty(len(values), dtype=object)
                found[name][:] = by_column[i]
            else:
                found[name] = np.array(by_column[i], dtype=np.float64)  # (n, length) where it holds number arrays
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


def _struct(signature: Signature) -> type[msgspec.Struct]:
    """A class with a field for each column; a key that is none of them is a surprise."""
    fields = [_field(f"c{i}", column) for i, column in enumerate(signature.columns)]
    rename = {f"c{i}": column.name for i, column in enumerate(signature.columns)}
    return msgspec.defstruct("Row", fields, rename=rename, forbid_unknown_fields=True, kw_only=True)


def _field(name: str, column: Column) -> Any:
    kind = _TYPES[column.type]
    return (name, kind | None, None) if column.nullable else (name, kind)
