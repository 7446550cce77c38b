"""On what kind of DataFrame was a version trained, and how is one rebuilt from columns?

In: the training rows, later the columns of a request. Out: a Schema that the manifest keeps, and a DataFrame of the
same library and dtypes: a float32 that comes back as float64 moves the answers of boosted trees by up to .17.
On the judging path (or in a worker).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

import narwhals.stable.v1 as nw
import numpy as np
import numpy.typing as npt

from incumbent.errors import MissingExtra
from incumbent.records import Column, ColumnType, Json, Signature
from incumbent.runtimes.base import Columns
from incumbent.runtimes.frames import eager
from incumbent.runtimes.signature import is_null

_FLOATS = {"float32": np.float32, "float64": np.float64}
_PLAIN: Mapping[ColumnType, str] = {
    "number": "Float64",
    "integer": "Int64",
    "boolean": "Boolean",
    "string": "String",
}
_NARWHALS: Mapping[str, Any] = {
    str(dtype()): dtype
    for dtype in (
        nw.Float64, nw.Float32, nw.Int64, nw.Int32, nw.Int16, nw.Int8, nw.UInt64, nw.UInt32, nw.UInt16, nw.UInt8,
        nw.Boolean, nw.String,
    )
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Schema:
    """The kind of DataFrame that a version was trained on, and the dtype of each column by name."""

    library: str
    dtypes: Mapping[str, str]

    def to_json(self) -> dict[str, Json]:
        return {"library": self.library, "dtypes": dict(self.dtypes)}


def of(frame: Any) -> Schema:
    """How to rebuild a DataFrame like this one from columns."""
    known = eager(frame)
    library = known.implementation.value
    if library != "pandas":
        return Schema(library, {name: str(dtype) for name, dtype in known.schema.items()})
    native = nw.to_native(known)
    return Schema(library, {str(name): _pandas_dtype(native[name]) for name in native.columns})


def native(columns: Columns, signature: Signature, schema: Schema | None) -> Any:
    """The DataFrame of these columns, in the library and dtypes of the training rows.

    Without a schema: pandas with int64 (where no value is null), float64, bool, str and UTC times.
    """
    library = "pandas" if schema is None else schema.library
    dtypes = {} if schema is None else schema.dtypes
    if library == "pandas":
        return _pandas_frame(columns, signature, dtypes)
    types = {c.name: _narwhals_dtype(dtypes.get(c.name, ""), c) for c in signature.columns}
    data = {c.name: python_values(columns[c.name], c.type) for c in signature.columns}
    backend: Any = library
    try:
        return nw.to_native(nw.from_dict(data, types, backend=backend))
    except ModuleNotFoundError as error:
        raise MissingExtra(library, purpose="a version trained on its DataFrames") from error


def _pandas_dtype(series: Any) -> str:
    """The dtype's name; for object columns also what stands for null there, because encoders tell them apart."""
    name = str(series.dtype)
    if name != "object":
        return name
    nulls = series[series.isna()]
    return "object/none" if len(nulls) and nulls.iloc[0] is None else "object"


def _pandas_frame(columns: Columns, signature: Signature, dtypes: Mapping[str, str]) -> Any:
    try:
        import pandas  # heavy and optional: only versions that were trained on pandas rows need it
    except ModuleNotFoundError as error:
        raise MissingExtra("pandas", purpose="a version that takes DataFrames") from error
    return pandas.DataFrame(
        {c.name: _pandas_values(pandas, columns[c.name], c.type, dtypes.get(c.name, "")) for c in signature.columns}
    )


def _pandas_values(pandas: Any, values: npt.NDArray[Any], type: ColumnType, dtype: str) -> Any:
    if type == "string":
        return _pandas_strings(pandas, values, dtype)
    if type == "timestamp":
        return _pandas_times(pandas, values, dtype)
    if type == "numbers":
        return pandas.Series(python_values(values, type), dtype=object)
    if dtype in _FLOATS:
        return values.astype(_FLOATS[dtype])
    if np.isnan(values).any():  # only the dtypes with a capital (Int64, Float64) hold null beside numbers
        return pandas.Series(values).astype(dtype) if dtype[:1].isupper() else values
    plain = {"boolean": "bool", "integer": "int64", "number": "float64"}[type]
    return pandas.Series(values).astype(plain if dtype in ("", "object", "object/none") else dtype)


def _pandas_strings(pandas: Any, values: npt.NDArray[Any], dtype: str) -> Any:
    null = None if dtype == "object/none" else np.nan
    filled = pandas.Series([null if v is None else v for v in values.tolist()], dtype=object)
    if dtype.startswith("object"):
        return filled
    return filled.astype(dtype) if dtype else filled.infer_objects() if filled.notna().any() else filled


def _pandas_times(pandas: Any, values: npt.NDArray[Any], dtype: str) -> Any:
    """Times in the zone of training ("datetime64[us, Europe/Vienna]"), or naive where they were."""
    stamps = np.where(np.isnan(values), np.datetime64("NaT"), np.nan_to_num(values).astype("datetime64[us]"))
    aware = pandas.Series(stamps).dt.tz_localize("UTC")
    if not dtype.startswith("datetime64"):
        return aware
    return aware.astype(dtype) if ", " in dtype else aware.dt.tz_localize(None).astype(dtype)


def _narwhals_dtype(name: str, column: Column) -> Any:
    if column.type == "timestamp":
        return nw.Datetime("us", "UTC")
    if column.type == "numbers":
        inner = nw.Float32() if "Float32" in name else nw.Float64()
        return nw.Array(inner, column.length or 0) if name.startswith("Array") else nw.List(inner)
    if name.startswith(("Categorical", "Enum")):
        return nw.Categorical()
    return _NARWHALS.get(name, _NARWHALS[_PLAIN[column.type]])()


def python_values(values: npt.NDArray[Any], type: ColumnType) -> list[Any]:
    """The values of a column as Python's own, None for null; number arrays as lists."""
    if type == "numbers":
        return [None if any(v != v for v in row) else row for row in values.tolist()]
    if type in ("string", "number"):
        return [None if is_null(v) else v for v in values.tolist()]
    if type == "timestamp":
        return [None if v != v else np.datetime64(int(v), "us").item().replace(tzinfo=ZoneInfo("UTC")) for v in values]
    whole: Any = bool if type == "boolean" else int
    return [None if v != v else whole(v) for v in values.tolist()]
