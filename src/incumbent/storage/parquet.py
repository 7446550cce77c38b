"""Rows of one day as a Parquet file, and their features back out of it, by DuckDB.

In: rows as the store keeps them, and the signatures of the versions that served them. Out: a file under its name only
when it is whole and on the disk; and the exact JSON text of the features of some ids. DuckDB is imported here only; it
reaches for nothing outside of this machine, and works in one thread beside the traffic.

A column of ours has our name for it. A feature has its own name, or `feature_<name>` where that is taken (DuckDB tells
no `A` from `a`), and the type of the signature; a value that is not of that type is null there, and what it was in the
JSON text. Times are UTC.
"""

import os
import secrets
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

import duckdb
import numpy as np

from incumbent.errors import StorageError, StoreDamaged, StoreFull
from incumbent.records import ColumnType, Micros, Signature
from incumbent.storage.base import PredictionRow
from incumbent.storage.files import flush_folder, make_folder
from incumbent.storage.values import json_text, unpacked

ROWS_A_GROUP: Final = 10_000
"""Rows that are read together; fewer would compress less."""
_MEMORY = "512MB"
_NO_SPACE = ("No space left", "Disk quota", "File too large")


class DayRow(NamedTuple):
    """A row of a file: a prediction, and its label (JSON) as it was known when the file was written."""

    prediction: PredictionRow
    label: str | None
    known_at: Micros | None


_OURS: Mapping[str, str] = {
    "id": "id",
    "at": 'make_timestamp("at")',
    "unit": "unit",
    "trial": "trial",
    "phase": "phase",
    "arm": "arm",
    "version": "version",
    "served_by": "served_by",
    "fallback_reason": "fallback_reason",
    "propensity": "propensity",
    "latency_us": "latency_us",
    "output": "CAST(output AS DOUBLE[])",
    "label": "",
    "known_at": "make_timestamp(TRY_CAST(known_at AS BIGINT))",
    "features": "features",
}
"""The columns of every file, in their order, and what each is made from."""
_TAKEN = {*_OURS, "day"}  # `day` is the folder
_NUMBERS = {"at": np.int64, "phase": np.int64, "latency_us": np.int64, "propensity": np.float64}
_TYPES: Mapping[ColumnType, str] = {
    "integer": "TRY_CAST({text} AS BIGINT)",
    "number": "TRY_CAST({text} AS DOUBLE)",
    "boolean": "TRY_CAST({text} AS BOOLEAN)",
    "string": "{text}",
    "numbers": "TRY_CAST({json} AS DOUBLE[])",
    "timestamp": "coalesce(make_timestamp(TRY_CAST({text} AS BIGINT)),"
    " CAST(TRY_CAST({text} AS TIMESTAMPTZ) AS TIMESTAMP))",
}


def write(path: Path, rows: Sequence[DayRow], signatures: Mapping[str, Signature]) -> None:
    """Write rows, in their order. Raises StoreFull or StorageError, and leaves nothing behind then."""
    served = {row.prediction.served_by for row in rows}
    some = [signatures[version] for version in sorted(served) if version in signatures]
    with _connected(path) as connection:
        connection.register("rows", _arrays(rows))
        _written(connection, _query(some), path)


def features(path: Path, ids: Collection[str], first: Micros, last: Micros) -> dict[str, str]:
    """The JSON text of the features of those of the ids that are in the file; their `at` is in `first ... last`.

    FileNotFoundError where there is no such file, StoreDamaged where it cannot be read.
    """
    query = """SELECT id, features FROM read_parquet(?) WHERE "at" BETWEEN make_timestamp(?) AND make_timestamp(?)
        AND id IN (SELECT unnest(?::VARCHAR[]))"""
    with _reading(path) as connection:
        return dict(connection.execute(query, [str(path), first, last, list(ids)]).fetchall())


def ids(path: Path) -> list[str]:
    """The id of each row. Errors as for `features`."""
    with _reading(path) as connection:
        return [id for (id,) in connection.execute("SELECT id FROM read_parquet(?)", [str(path)]).fetchall()]


def write_without(path: Path, target: Path, ids: Collection[str]) -> int:
    """Write a file anew without some ids; how many rows are left. No file is written where none is. Errors as for
    `features` and `write`."""
    rest = "FROM read_parquet(?, hive_partitioning = false) WHERE id NOT IN (SELECT unnest(?::VARCHAR[]))"
    parameters = [str(path), list(ids)]
    with _reading(path) as connection:
        found = connection.execute(f"SELECT count(*) {rest}", parameters).fetchone()
    left = int(found[0]) if found else 0
    if left:
        with _connected(target) as connection:
            _written(connection, f"SELECT * {rest}", target, parameters)
    return left


def _arrays(rows: Sequence[DayRow]) -> dict[str, Any]:
    """A column each: numbers as such, everything else as text, which the query casts."""
    columns = dict(zip(PredictionRow._fields, zip(*(row.prediction for row in rows), strict=True), strict=True))
    found: dict[str, Any] = {name: _texts(values) for name, values in columns.items() if name not in _NUMBERS}
    found |= {name: np.array(columns[name], dtype) for name, dtype in _NUMBERS.items()}
    found["output"] = _texts([json_text(unpacked(output)) for output in columns["output"]])
    found["label"] = _texts([row.label for row in rows])
    found["known_at"] = _texts([None if row.known_at is None else str(row.known_at) for row in rows])
    return found


def _texts(values: Sequence[Any]) -> Any:
    found = np.empty(len(values), dtype=object)
    found[:] = values
    return found


def _query(signatures: Sequence[Signature]) -> str:
    """The columns of the file: ours, then a feature each. The JSON of a row is read once, all features together."""
    types = _feature_types(signatures)
    label = _TYPES[_label_type(signatures)].format(text="json_extract_string(label, '')", json="label")
    ours = [f'{label if name == "label" else made} AS "{name}"' for name, made in _OURS.items()]
    found = f", json_extract_string(features, [{', '.join(map(_pointer, types))}]) AS found" if types else ""
    return f"SELECT {', '.join([*ours, *_selected(types)])} FROM (SELECT *{found} FROM rows)"


def _selected(types: Mapping[str, ColumnType]) -> Iterator[str]:
    """What the column of each feature is made from."""
    taken = set(_TAKEN)
    for place, (name, type) in enumerate(types.items(), 1):
        column = name if name and name.lower() not in taken else f"feature_{name}"
        while column.lower() in taken:
            column += "_"
        taken.add(column.lower())
        made = _TYPES[type].format(text=f"found[{place}]", json=f"json_extract(features, {_pointer(name)})")
        yield f"{made} AS {_quoted(column)}"


def _pointer(name: str) -> str:
    """Where a feature is in the JSON (RFC 6901), as SQL text."""
    return "'/" + name.replace("~", "~0").replace("/", "~1").replace("'", "''") + "'"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _feature_types(signatures: Sequence[Signature]) -> dict[str, ColumnType]:
    """The type of each feature; where versions differ, a number if both are, else text."""
    found: dict[str, ColumnType] = {}
    for signature in signatures:
        for column in signature.columns:
            before = found.setdefault(column.name, column.type)
            if before != column.type:
                found[column.name] = "number" if {before, column.type} == {"integer", "number"} else "string"
    return found


def _label_type(signatures: Sequence[Signature]) -> ColumnType:
    """Numbers where all labels are, booleans likewise, else text."""
    if signatures and not any(signature.classifies for signature in signatures):
        return "number"
    classes = [label for signature in signatures for label in signature.classes]
    if classes and all(isinstance(label, bool) for label in classes):
        return "boolean"
    return "number" if classes and all(type(label) in (int, float) for label in classes) else "string"


def _written(connection: duckdb.DuckDBPyConnection, query: str, path: Path, parameters: Sequence[Any] = ()) -> None:
    """The rows of a query, beside the name; flushed; then renamed."""
    make_folder(path.parent)
    draft = path.with_name(f".{path.stem}.{secrets.token_hex(4)}")
    options = f"FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {ROWS_A_GROUP}"
    place = str(draft).replace("'", "''")
    try:
        connection.execute(f"COPY ({query}) TO '{place}' ({options})", list(parameters))
        descriptor = os.open(draft, os.O_RDWR)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.replace(draft, path)
        flush_folder(path.parent)
    except BaseException:
        with suppress(OSError):
            draft.unlink()
        raise


@contextmanager
def _connected(path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A database in memory; its errors become ours."""
    connection = duckdb.connect(
        config={
            "threads": 1,
            "memory_limit": _MEMORY,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
        }
    )
    try:
        connection.execute("SET enable_progress_bar = false")
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute("SET pandas_analyze_sample = 0")  # columns of objects are text, even when all are null
        yield connection
    except duckdb.Error as error:
        raise _ours(error, path) from error
    except OSError as error:
        if isinstance(error, FileNotFoundError):
            raise
        raise _ours(error, path) from error
    finally:
        connection.close()


@contextmanager
def _reading(path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    try:
        with _connected(path) as connection:
            yield connection
    except StoreFull:
        raise
    except StorageError as error:
        if not path.exists():
            raise FileNotFoundError(str(path)) from error
        raise StoreDamaged(
            f"{path} cannot be read ({error.__cause__}). Bring the file back from a backup: it holds the features of "
            "its rows."
        ) from error


def _ours(error: Exception, path: Path) -> StorageError:
    said = next(iter(str(error).strip().splitlines()), type(error).__name__)
    if any(words in said for words in _NO_SPACE):
        return StoreFull(f"{path} could not be kept: {said}; its rows stay as they are. Free some space on that disk.")
    return StorageError(f"{path} could not be written: {said}. Its rows stay as they are.")
