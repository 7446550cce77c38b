"""Are these JSON rows what the version takes? Rows in, typed columns out, and back.

In: rows as JSON objects and a Signature. Out: the columns of `runtimes.base`. One vectorised pass a column;
only a column that fails it is read again value by value, to name the wrong row. Unseen categories and extra
columns are accepted. On the answering path: numpy, no pandas.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
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
}
_PLAIN: Mapping[ColumnType, frozenset[type]] = {
    "number": frozenset({float, int, NoneType}),
    "integer": frozenset({float, int, NoneType}),
    "boolean": frozenset({bool, NoneType}),
    "string": frozenset({str, NoneType}),
    "timestamp": frozenset({int, NoneType}),
}


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
    if set(map(type, values)) <= _PLAIN[column.type]:
        found = _plain(values, column)
        if found is not None:
            return found
    return _one_by_one(values, column)


def _plain(values: list[Any], column: Column) -> npt.NDArray[Any] | None:
    """The column when every value is fine; None when one is not (or needs a closer look)."""
    if column.type == "string":
        return None if not column.nullable and None in values else _objects(values)
    try:
        numbers = np.array(values, dtype=np.float64)
    except OverflowError:
        return None
    if column.type == "integer" and not (np.isnan(numbers) | (np.trunc(numbers) == numbers)).all():
        return None
    if np.isinf(numbers).any() or (not column.nullable and np.isnan(numbers).any()):
        return None
    return numbers


def _one_by_one(values: list[Any], column: Column) -> npt.NDArray[Any]:
    convert, expected = _CONVERT[column.type], EXPECTED[column.type]
    wanted = f"{expected} or null" if column.nullable else expected
    found: list[Any] = []
    for i, value in enumerate(values):
        if value is None or (isinstance(value, float | np.floating) and np.isnan(value)):
            if not column.nullable:
                raise RowError(i, column.name, value, f"{expected}, not null")
            found.append(None)
            continue
        try:
            found.append(convert(value))
        except (TypeError, ValueError, OverflowError):
            raise RowError(i, column.name, value, wanted) from None
    return _objects(found) if column.type == "string" else np.array(found, dtype=np.float64)


def _objects(values: list[Any]) -> npt.NDArray[Any]:
    found = np.empty(len(values), dtype=object)
    found[:] = values
    return found


def _number(value: Any) -> float:
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | float | np.integer | np.floating):
        raise TypeError
    number = float(value)
    if np.isinf(number):
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
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        return float(value)
    time = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    return float(micros(time if time.tzinfo else time.replace(tzinfo=UTC)))


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
    if kind == "number":
        return [None if v != v else v for v in found]
    whole: Callable[[float], Json] = bool if kind == "boolean" else int
    return [None if v != v else whole(v) for v in found]


def _is_class(label: Any, position: Mapping[Any, int]) -> bool:
    try:
        return label in position
    except TypeError:
        return False
