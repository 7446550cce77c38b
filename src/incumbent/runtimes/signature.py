"""Are these JSON rows what the version takes? Rows in, typed columns out, and back.

In: rows as JSON objects (or Python's own: datetimes, Decimals, numpy scalars, pandas' NA) and a Signature. Out: the
columns of `runtimes.base`. One vectorised pass a column; only a column that fails it is read again value by value, to
name the wrong row. Unseen categories and extra columns are accepted. What each value becomes: docs/values.md, for
DataFrames (`runtimes.frames`) too. On the answering path: numpy, no pandas.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from math import isinf
from types import NoneType
from typing import Any

import numpy as np
import numpy.typing as npt

from incumbent.errors import DataError, RowError
from incumbent.records import Column, ColumnType, Json, Label, Signature, micros
from incumbent.runtimes.base import Columns

EXPECTED: Mapping[ColumnType, str] = {
    "number": "a finite number",
    "integer": "an integer",
    "boolean": "true or false",
    "string": "a string",
    "timestamp": "an ISO 8601 time such as 2013-04-01T17:05:00Z, or integer microseconds since 1970 UTC",
    "numbers": "a list of finite numbers",
}
_PLAIN: Mapping[ColumnType, frozenset[type]] = {
    "number": frozenset({float, int, NoneType}),
    "integer": frozenset({float, int, NoneType}),
    "boolean": frozenset({bool, NoneType}),
    "string": frozenset({str, NoneType}),
    "timestamp": frozenset({int, NoneType}),
    "numbers": frozenset({list, NoneType}),
}
_WHOLE = ("integer", "timestamp")
_FEW = 8
_NULLS = ("NAType", "NaTType")
"""pandas' own nulls by the names of their types: the answering path does not import pandas."""


def to_columns(rows: Sequence[Mapping[str, Json]], signature: Signature) -> Columns:
    """Typed columns of n rows, in the order of the signature.

    Numbers are int or float (no bool, no string); `integer` wants whole ones; null, NaN and a missing key are
    null. Times without an offset are read as UTC. Raises RowError for the first wrong value of a wrong column.

    >>> s = Signature((Column("hour", "integer"), Column("carrier", "string")), "regression")
    >>> to_columns([{"hour": 5, "carrier": "UA"}, {"carrier": None}], s)
    {'hour': array([ 5., nan]), 'carrier': array(['UA', None], dtype=object)}
    >>> to_columns([{"hour": "5"}], s)
    Traceback (most recent call last):
    incumbent.errors.RowError: row 0, column 'hour': found '5', expected an integer or null
    """
    _check_objects(rows)
    return {column.name: _column(rows, column) for column in signature.columns}


def column_of(values: list[Any], column: Column) -> npt.NDArray[Any]:
    """The typed column of n values. Raises RowError for the first wrong one."""
    if set(map(type, values)) <= _PLAIN[column.type]:
        found = _plain(values, column)
        if found is not None:
            return found
    return _one_by_one(values, column)


def suits(found: npt.NDArray[Any], column: Column) -> bool:
    """Is an array of numbers (n,) or number arrays (n, length) what the column takes, in range and nulls?"""
    if np.isinf(found).any():
        return False
    if column.type == "number" and column.nullable:
        return True
    null = np.isnan(found)
    if column.type == "numbers":
        whole_rows = null.all(axis=1)
        return found.shape[1] == column.length and not (null.any(axis=1) & ~whole_rows).any() and (
            column.nullable or not whole_rows.any()
        )
    if column.type in _WHOLE and not (null | (np.trunc(found) == found)).all():
        return False
    return column.nullable or not null.any()


def expected(column: Column) -> str:
    """What the column takes, in words, nulls left aside."""
    if column.type == "numbers" and column.length is not None:
        return f"a list of {column.length} finite numbers"
    return EXPECTED[column.type]


def is_null(value: Any) -> bool:
    """None, NaN (a Decimal's too), NaT, or pandas' NA."""
    if value is None or type(value).__name__ in _NULLS:
        return True
    if isinstance(value, np.ndarray | list | tuple | str | bytes):
        return False
    return bool(value != value)


def to_rows(columns: Columns, signature: Signature) -> list[dict[str, Json]]:
    """The inverse of `to_columns`: NaN and None become null, times integer microseconds.

    >>> s = Signature((Column("hour", "integer"),), "regression")
    >>> to_rows({"hour": np.array([5.0, np.nan])}, s)
    [{'hour': 5}, {'hour': None}]
    """
    values = [_values(columns[column.name], column.type) for column in signature.columns]
    return [dict(zip(signature.names, row, strict=True)) for row in zip(*values, strict=True)]


def label_index(labels: Sequence[Label], signature: Signature) -> npt.NDArray[np.int64]:
    """(n_rows,) position of each label in `signature.classes`. Raises DataError when a label is no class.

    >>> label_index(["no", "yes"], Signature((), "binary", ("no", "yes")))
    array([0, 1])
    """
    position = {label: i for i, label in enumerate(signature.classes)}
    try:
        return np.array([position[label] for label in labels], dtype=np.int64)
    except (KeyError, TypeError):
        row = next(i for i, label in enumerate(labels) if not _is_class(label, position))
        known = ", ".join(repr(label) for label in signature.classes)
        raise DataError(f"label {row}: found {labels[row]!r}, expected one of the classes {known}") from None


def to_json(signature: Signature) -> dict[str, Json]:
    """A Signature as JSON values."""
    columns = [
        {
            "name": column.name,
            "type": column.type,
            "nullable": column.nullable,
            "categories": None if column.categories is None else list(column.categories),
            "length": column.length,
        }
        for column in signature.columns
    ]
    return {"columns": columns, "kind": signature.kind, "classes": list(signature.classes)}


def from_json(data: Mapping[str, Json]) -> Signature:
    """The Signature that `to_json` wrote."""
    columns = tuple(
        Column(
            name=column["name"],
            type=column["type"],
            nullable=column["nullable"],
            categories=None if column["categories"] is None else tuple(column["categories"]),
            length=column.get("length"),  # absent where it was written before there were number arrays
        )
        for column in data["columns"]
    )
    return Signature(columns, data["kind"], tuple(data["classes"]))


def _check_objects(rows: Sequence[Mapping[str, Json]]) -> None:
    if set(map(type, rows)) <= {dict}:
        return
    for i, row in enumerate(rows):
        if not isinstance(row, Mapping):
            raise RowError(i, None, row, "an object with a value for each feature")


def _column(rows: Sequence[Mapping[str, Json]], column: Column) -> npt.NDArray[Any]:
    name = column.name
    try:
        values = [row[name] for row in rows]
    except KeyError:
        values = [row.get(name) for row in rows]
    return column_of(values, column)


def _plain(values: list[Any], column: Column) -> npt.NDArray[Any] | None:
    """The column when every value is fine; None when one is not (or needs a closer look)."""
    if column.type == "string":
        return None if not column.nullable and None in values else _objects(values)
    if column.type == "numbers":
        return _plain_lists(values, column)
    try:
        numbers = np.array(values, dtype=np.float64)
    except OverflowError:
        return None
    fine = _few_suit(numbers.tolist(), column) if len(values) <= _FEW else suits(numbers, column)
    return numbers if fine else None


def _few_suit(numbers: list[float], column: Column) -> bool:
    """`suits` for few numbers: a row of 30 columns takes 29 us, and 52 with numpy's calls."""
    for number in numbers:
        if number != number:
            if not column.nullable:
                return False
        elif isinf(number) or (column.type in _WHOLE and not number.is_integer()):
            return False
    return True


def _plain_lists(values: list[Any], column: Column) -> npt.NDArray[Any] | None:
    """(n, length) where every list holds `length` plain numbers."""
    length = column.length or 0
    known = [value for value in values if value is not None]
    if any(len(value) != length or not set(map(type, value)) <= {float, int} for value in known):
        return None
    if len(known) < len(values) and not column.nullable:
        return None
    found = np.full((len(values), length), np.nan)
    try:
        found[[value is not None for value in values]] = np.array(known, dtype=np.float64).reshape(len(known), length)
    except OverflowError:
        return None
    return found if suits(found, column) and int(np.isnan(found).sum()) == length * (len(values) - len(known)) else None


def _one_by_one(values: list[Any], column: Column) -> npt.NDArray[Any]:
    known = expected(column)
    wanted = f"{known} or null" if column.nullable else known
    found: list[Any] = []
    for i, value in enumerate(values):
        if is_null(value):
            if not column.nullable:
                raise RowError(i, column.name, None, f"{known}, not null")
            found.append(None)
            continue
        try:
            found.append(_numbers(value, column.length) if column.type == "numbers" else _CONVERT[column.type](value))
        except (TypeError, ValueError, OverflowError, ArithmeticError):
            raise RowError(i, column.name, _shown(value), wanted) from None
    if column.type == "string":
        return _objects(found)
    if column.type == "numbers":
        null = [np.nan] * (column.length or 0)
        rows = [null if value is None else value for value in found]
        return np.array(rows, dtype=np.float64).reshape(len(found), column.length or 0)
    return np.array(found, dtype=np.float64)


def _shown(value: Any, levels: int = 5) -> Any:
    """A value as an error shows it: the same through JSON, Python and any DataFrame. Lists in lists end somewhere."""
    if isinstance(value, np.datetime64):
        value = value.astype("datetime64[us]").item()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, np.ndarray | list | tuple):
        return [_shown(v, levels - 1) for v in value] if levels else "…"
    return value.item() if isinstance(value, np.generic) else value


def _objects(values: list[Any]) -> npt.NDArray[Any]:
    found = np.empty(len(values), dtype=object)
    found[:] = values
    return found


def _number(value: Any) -> float:
    known = isinstance(value, int | float | np.integer | np.floating | Decimal)
    if not known or isinstance(value, bool | np.bool_):
        raise TypeError
    number = float(value)
    if isinf(number):
        raise ValueError
    return number


def _integer(value: Any) -> float:
    number = _number(value)
    if not number.is_integer():
        raise ValueError
    return number


def _boolean(value: Any) -> float:
    if not isinstance(value, bool | np.bool_):
        raise TypeError
    return float(value)


def _string(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return str(value)


def _timestamp(value: Any) -> float:
    """Microseconds since 1970 UTC; whole decimals too, which is what a null makes of integers in a DataFrame."""
    if isinstance(value, np.datetime64):
        value = value.astype("datetime64[us]").item()
    if isinstance(value, date):
        time = value if isinstance(value, datetime) else datetime(value.year, value.month, value.day)
    elif isinstance(value, str):
        time = datetime.fromisoformat(value)
    else:
        return _integer(value)
    return float(micros(time if time.tzinfo else time.replace(tzinfo=UTC)))


def _numbers(value: Any, length: int | None) -> list[float]:
    if not isinstance(value, list | tuple | np.ndarray) or len(value) != length:
        raise TypeError
    if any(is_null(v) for v in value):
        raise ValueError
    return [_number(v) for v in value]


_CONVERT: Mapping[ColumnType, Callable[[Any], Any]] = {
    "number": _number,
    "integer": _integer,
    "boolean": _boolean,
    "string": _string,
    "timestamp": _timestamp,
}


def _values(values: npt.NDArray[Any], kind: ColumnType) -> list[Json]:
    found = values.tolist()
    if kind == "string":
        return found  # type: ignore[no-any-return]
    if kind == "numbers":
        return [None if any(v != v for v in row) else row for row in found]
    if kind == "number":
        return [None if v != v else v for v in found]
    whole: Callable[[float], Json] = bool if kind == "boolean" else int
    return [None if v != v else whole(v) for v in found]


def _is_class(label: Any, position: Mapping[Any, int]) -> bool:
    try:
        return label in position
    except TypeError:
        return False
