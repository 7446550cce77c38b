"""What do these DataFrames hold? Any DataFrame in (through narwhals), columns, rows, labels and a signature out.

In: the rows that a user's `load` returns (pandas, Polars, Arrow) and the task. Out: the types of
`runtimes.base`, an inferred Signature, times in microseconds UTC, lag columns of a forecast. On the judging path.
Reads no file.
"""

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from types import NoneType
from typing import Any
from zoneinfo import ZoneInfo

import narwhals.stable.v1 as nw
import numpy as np
import numpy.typing as npt

from incumbent.config import Config, Task
from incumbent.errors import DataError
from incumbent.records import SECOND, Column, ColumnType, Json, Label, Signature, micros
from incumbent.runtimes import signature as signatures
from incumbent.runtimes.base import Columns, Floats
from incumbent.runtimes.signature import is_null

MOST_CATEGORIES = 1_000
NEVER = np.iinfo(np.int64).max
"""The time of what has none."""

_HOUR = 3_600 * SECOND


def feature_names(frame: Any, task: Task) -> list[str]:
    """`task.features`, else every column but target, time, label_time and id; lag columns belong to a forecast.

    Raises DataError when a feature has no column.
    """
    present = eager(frame).columns
    lags = [name for name in present if name.startswith("lag_") and name[4:].isdigit()]
    names = list(task.features)
    if names and task.kind == "forecast":
        names += [name for name in lags if name not in names]
    missing = [name for name in names if name not in present]
    if missing:
        raise DataError(f"task.features names {', '.join(missing)}: no such column; found {', '.join(present)}")
    return names or [name for name in present if name not in (task.target, task.time, task.label_time, task.id)]


def infer_signature(frame: Any, task: Task) -> Signature:
    """Types, nulls, categories (up to 1,000 a column) and classes, as these rows show them.

    Every feature may be null but those of `task.not_null`. Binary: the positive class (`task.positive`, else the
    larger one) comes last. Raises DataError for a missing target, labels that are all null or of one class, and a
    column of an unsupported type.
    """
    known = eager(frame)
    found = []
    for name in feature_names(known, task):
        type = column_type(known[name])
        categories = _categories(known[name]) if type == "string" else None
        length = _length(known[name]) if type == "numbers" else None
        found.append(Column(name, type, name not in task.not_null, categories, length))
    if not found:
        raise DataError(f"found no feature among {', '.join(known.columns)}, expected at least one")
    return Signature(tuple(found), task.kind, classes(known, task))


def classes(frame: Any, task: Task) -> tuple[Label, ...]:
    """The classes in the order of the probabilities, sorted; empty for numbers. Errors as `infer_signature`."""
    present = [label for label in labels(frame, task) if label is not None]
    if not present:
        raise DataError(f"target {task.target!r}: all {len(eager(frame))} labels are null, expected some to be known")
    if task.kind in ("regression", "forecast"):
        return ()
    found = sorted(set(present), key=lambda label: (str(type(label)), label))
    if len(found) == 1:
        raise DataError(f"target {task.target!r}: found one class only ({found[0]!r}), expected two or more")
    if task.kind == "multiclass":
        return tuple(found)
    if len(found) > 2:
        shown = ", ".join(repr(label) for label in found[:10])
        raise DataError(f"target {task.target!r}: found {len(found)} classes ({shown}), expected 2 of a binary task")
    if task.positive is None:
        return tuple(found)
    if task.positive not in found:
        raise DataError(f"task.positive = {task.positive!r} is no class of {task.target!r}; found {found}")
    return tuple(sorted(found, key=lambda label: label == task.positive))


def labels(frame: Any, task: Task) -> list[Label | None]:
    """The target of each row, None where it is null. Whole floats become int for classes (a null made them float).

    Raises DataError when there is no such column, or a number is expected and none is found.
    """
    series = _series(frame, task.target)
    if task.kind in ("regression", "forecast"):
        if column_type(series) not in ("number", "integer", "boolean"):
            raise DataError(f"target {task.target!r}: found {series.dtype}, expected numbers for a {task.kind} task")
        return [None if v != v else v for v in _numbers(series).tolist()]
    values = _values(series)
    if float not in set(map(type, values)):
        return values
    return [int(v) if isinstance(v, float) and v.is_integer() else v for v in values]


def columns(frame: Any, signature: Signature) -> Columns:
    """Typed columns of the signature's features: what `signature.to_columns` makes of the same values as JSON rows.

    Raises DataError when a column is missing, RowError for the first value that does not suit.
    """
    return {column.name: _typed(_series(frame, column.name), column) for column in signature.columns}


def rows(frame: Any, names: Sequence[str]) -> list[dict[str, Json]]:
    """Rows of these columns as JSON values: null for NaN, times as ISO 8601 text."""
    values = [[_json_value(v) for v in _series(frame, name).to_list()] for name in names]
    return [dict(zip(names, row, strict=True)) for row in zip(*values, strict=True)]


def times(frame: Any, column: str, config: Config) -> npt.NDArray[np.int64]:
    """(n,) microseconds since 1970 UTC; NEVER where null. Naive times are read in `task.timezone`, else DataError.

    The hour that comes twice in autumn is read as the first of the two.
    """
    series = _series(frame, column)
    if column_type(series) != "timestamp":
        raise DataError(f"column {column!r}: found {series.dtype}, expected timestamps (parse them in load)")
    if _is_naive(series) and not config.task.timezone:
        raise DataError(f"column {column!r} holds times without a zone: set task.timezone, e.g. 'Europe/Vienna'")
    found = _micros(series, config.zone)
    return np.where(np.isnan(found), NEVER, np.nan_to_num(found).astype(np.int64))


def lag_frame(frame: Any, task: Task) -> Any:
    """The same rows with columns lag_1 … lag_k (float64), in the order of time within each series.

    A row's target lies `horizon` steps after the forecast origin, and lag_k is the value k - 1 steps before that
    origin: lag_1 is the last value known. A step is a row, so gaps must be filled in `load`. Null where the past
    is too short or unknown. A frame that carries its lag columns already (features as served) comes back as it is.
    """
    known = eager(frame)
    count = lag_count(task)
    names = [f"lag_{k}" for k in range(1, count + 1)]
    if set(names) <= set(known.columns):
        return nw.to_native(known)
    values = _numbers(_series(known, task.target))
    lagged = np.full((count, len(values)), np.nan)
    for index in _series_rows(known, task):
        for k in range(count):
            shift = task.horizon + k
            lagged[k, index[shift:]] = values[index[: max(len(index) - shift, 0)]]
    backend = known.implementation
    new = [nw.new_series(n, v, nw.Float64, backend=backend) for n, v in zip(names, lagged, strict=True)]
    if backend.value == "pandas":  # pandas aligns by index, and the rows may carry any
        native = nw.to_native(known)
        return native.assign(**dict(zip(names, lagged, strict=True)))
    return nw.to_native(known.with_columns(new))


def lag_count(task: Task) -> int:
    """How many lag columns a forecast row carries: `task.lags`, else twice the season and at least 14."""
    return task.lags or max(2 * task.season, 14)


def column_type(series: Any) -> ColumnType:
    """The type of a narwhals Series. Raises DataError for one that no signature has."""
    dtype = series.dtype
    if dtype.is_integer():
        return "integer"
    if dtype.is_numeric():
        return "number"
    if dtype == nw.Boolean:
        return "boolean"
    if dtype in (nw.Datetime, nw.Date) or _in_odd_zone(series):
        return "timestamp"
    present = [v for v in _values(series) if v is not None]
    if dtype in (nw.List, nw.Array):
        return "numbers"
    if dtype == nw.String or dtype in (nw.Categorical, nw.Enum, nw.Object):
        for type, python in _PYTHON:
            if present and _all_are(present, python) and (type == "string" or dtype == nw.Object):
                return "boolean" if type == "integer" and isinstance(present[0], bool) else type
        if not present:
            return "string"
    found = f"{dtype} of {type_name(present[0])}" if present else str(dtype)
    raise DataError(
        f"column {series.name!r}: found {found}, expected numbers, booleans, strings, times or lists of numbers. "
        "Convert it in load, or leave it out of task.features."
    )


def type_name(value: Any) -> str:
    """The name of a value's type."""
    return type(value).__name__


_PYTHON: tuple[tuple[ColumnType, Any], ...] = (
    ("string", str),
    ("boolean", bool),
    ("integer", int),
    ("number", (int, float, Decimal)),
    ("timestamp", (datetime, date)),
    ("numbers", (list, tuple, np.ndarray)),
)


def eager(frame: Any) -> Any:
    """The frame as a narwhals DataFrame. Raises DataError when it is none."""
    try:
        return nw.from_native(frame, eager_only=True)
    except TypeError:
        raise DataError(f"found {type(frame).__name__}, expected a DataFrame (pandas, Polars or Arrow)") from None


def _series(frame: Any, name: str) -> Any:
    known = eager(frame)
    if name not in known.columns:
        raise DataError(f"column {name!r}: no such column; found {', '.join(map(str, known.columns))}")
    return known[name]


def _length(series: Any) -> int:
    """How many numbers each list of the column holds."""
    lengths = sorted({len(v) for v in _values(series) if v is not None})
    if len(lengths) != 1 or not lengths[0]:
        shown = ", ".join(map(str, lengths[:10])) or "none"
        raise DataError(f"column {series.name!r}: found lists of the lengths {shown}, expected one length, 1 or more")
    return lengths[0]


def _categories(series: Any) -> tuple[str, ...] | None:
    found = sorted({v for v in series.unique().to_list() if not is_null(v)})
    return tuple(found) if len(found) <= MOST_CATEGORIES else None


def _typed(series: Any, column: Column) -> npt.NDArray[Any]:
    """The column in one pass where its dtype says that it suits; else value by value, as rows of JSON are read."""
    found = _by_dtype(series, column)
    if found is not None and (column.type == "string" or signatures.suits(found, column)):
        return found
    return signatures.column_of(_values(series), column)


def _by_dtype(series: Any, column: Column) -> npt.NDArray[Any] | None:
    """The column as its dtype has it; None where that is not the one that the column wants."""
    dtype = series.dtype
    if column.type in ("number", "integer") or (column.type == "timestamp" and dtype.is_integer()):
        return _numbers(series) if dtype.is_numeric() else None
    if column.type == "boolean":
        return _numbers(series) if dtype == nw.Boolean else None
    if column.type == "timestamp" and (dtype in (nw.Datetime, nw.Date) or _in_odd_zone(series)):
        return _micros(series, ZoneInfo("UTC"))
    if column.type == "numbers":
        return _stacked(series, column)
    if column.type == "string" and dtype == nw.String and column.nullable:
        values = np.empty(len(series), dtype=object)
        values[:] = _values(series)
        return values
    return None


def _stacked(series: Any, column: Column) -> Floats | None:
    """(n, length) where the column holds arrays of numbers without a null in them; None if it needs a closer look."""
    values = _values(series)
    known = [v for v in values if v is not None]
    typed = series.dtype in (nw.List, nw.Array) and series.dtype.inner.is_numeric()
    if not typed and not all(isinstance(v, np.ndarray) and v.dtype.kind in "fiu" for v in known):
        return None
    if any(len(v) != column.length for v in known):
        return None
    stacked = np.array(known, dtype=np.float64).reshape(len(known), column.length or 0)
    if np.isnan(stacked).any():
        return None
    found = np.full((len(values), column.length or 0), np.nan)
    found[[v is not None for v in values]] = stacked
    return found


def _values(series: Any) -> list[Any]:
    """Python's own values, null as None. Plain ones are told by their types: 25 ns a value; `is_null` takes 700."""
    values = series.to_list()
    types = set(map(type, values))
    if types <= _NEVER_NAN:
        return list(values)
    if types <= _NEVER_NAN | {float}:
        return [v if v == v else None for v in values]
    return [None if is_null(v) else v for v in values]


def _all_are(values: list[Any], python: Any) -> bool:
    return all(issubclass(found, python) for found in set(map(type, values)))


_NEVER_NAN = frozenset({str, bool, int, NoneType})


def _numbers(series: Any) -> Floats:
    if series.dtype == nw.Object:
        return np.array([np.nan if is_null(v) else float(v) for v in series.to_list()], dtype=np.float64)
    if series.null_count() == 0:
        return np.asarray(series.to_numpy(), dtype=np.float64)
    return np.asarray(series.cast(nw.Float64).to_numpy(), dtype=np.float64)


def _in_odd_zone(series: Any) -> bool:
    """Times of pandas in a zone whose name narwhals cannot read (any with an underscore: America/New_York)."""
    if series.dtype != nw.Unknown:
        return False
    return str(getattr(nw.to_native(series), "dtype", "")).startswith("datetime64[")  # an Arrow column has none


def _is_naive(series: Any) -> bool:
    if series.dtype == nw.Datetime:
        return series.dtype.time_zone is None
    return not any(isinstance(v, datetime) and v.tzinfo for v in series.to_list() if not is_null(v))


def _micros(series: Any, zone: ZoneInfo) -> Floats:
    """(n,) microseconds UTC as float64 (exact until 2255), NaN for null; naive times are local to `zone`."""
    if series.dtype == nw.Object:
        return np.array([None if is_null(v) else _utc_micros(v, zone) for v in series.to_list()], dtype=np.float64)
    if _in_odd_zone(series):
        series = nw.from_native(nw.to_native(series).dt.tz_convert("UTC"), series_only=True)
    if series.dtype == nw.Date:
        series = series.cast(nw.Datetime("us"))
    found = np.asarray(series.dt.timestamp("us").cast(nw.Float64).to_numpy(), dtype=np.float64)
    found = np.where(series.is_null().to_numpy().astype(bool), np.nan, found)
    return found - _offsets(found, zone) if _is_naive(series) else found


def _utc_micros(value: date, zone: ZoneInfo) -> int:
    clock = value if isinstance(value, datetime) else datetime(value.year, value.month, value.day)
    return micros(clock if clock.tzinfo else clock.replace(tzinfo=zone))


def _offsets(local: Floats, zone: ZoneInfo) -> Floats:
    """Microseconds that local clocks are ahead of UTC; looked up once an hour, which no zone changes within."""
    present = ~np.isnan(local)
    hours, inverse = np.unique(local[present] // _HOUR, return_inverse=True)
    ahead = []
    for hour in hours:
        clock = np.datetime64(int(hour) * _HOUR, "us").item()
        ahead.append(int(hour) * _HOUR - micros(clock.replace(tzinfo=zone)))
    offsets = np.zeros(len(local))
    offsets[present] = np.array(ahead, dtype=np.float64)[inverse]
    return offsets


def _series_rows(frame: Any, task: Task) -> list[npt.NDArray[np.int64]]:
    """The rows of each series, in the order of time."""
    count = len(frame)
    at = _micros(_series(frame, task.time), ZoneInfo("UTC")) if task.time else np.arange(count, dtype=np.float64)
    order = np.argsort(at, kind="stable")
    if not task.series:
        return [order]
    groups: dict[Any, list[int]] = {}
    names = _series(frame, task.series).to_list()
    for row in order.tolist():
        groups.setdefault(names[row], []).append(row)
    return [np.array(members, dtype=np.int64) for members in groups.values()]


def _json_value(value: Any) -> Json:
    if is_null(value):
        return None
    if isinstance(value, np.ndarray | list | tuple):
        return [_json_value(v) for v in value]
    if isinstance(value, date):
        return value.isoformat()
    return value.item() if isinstance(value, np.generic) else value
