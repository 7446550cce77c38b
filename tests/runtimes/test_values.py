"""docs/values.md says what each value becomes in a column of each type; each of its cells is tested on every path."""

import ast
import json
import re
from collections.abc import Callable, Iterator
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import polars
import pytest
from flight_rows import BINARY, flights, task_of

from incumbent.errors import DataError, RowError
from incumbent.records import Column, Signature
from incumbent.runtimes import frames, schema
from incumbent.runtimes.signature import from_json, to_columns, to_json, to_rows

try:
    import pyarrow
except ImportError:  # no package of ours needs it: where somebody has it, its tables are tested too
    pyarrow = None

PAGE = (Path(__file__).parents[2] / "docs" / "values.md").read_text()
NAMES = {"np": np, "pd": pd, "date": date, "datetime": datetime, "Decimal": Decimal, "ZoneInfo": ZoneInfo}


def cells() -> Iterator[Any]:
    """(value as Python writes it, type of the column, what the page says) of every cell of its two tables."""
    types: list[str] = []
    for line in PAGE.splitlines():
        parts = [part.strip() for part in line.strip("|").split(" | ")]
        if line.startswith("| value "):
            types = [re.findall(r"`(\w+)`", part)[0] for part in parts[1:]]
        elif line.startswith("| `"):
            for type, said in zip(types, parts[1:], strict=True):
                yield pytest.param(parts[0].strip("` "), type, said, id=f"{parts[0].strip('` ')} as {type}")


CELLS = list(cells())


def signature_of(type: Any, nullable: bool = True) -> Signature:
    return Signature((Column("x", type, nullable, length=3 if type == "numbers" else None),), "regression")


def paths(value: Any) -> dict[str, Callable[[Signature], Any]]:
    """How the value can come in: as JSON, as a row of Python, and in every DataFrame that can hold it."""
    found: dict[str, Callable[[Signature], Any]] = {
        "Python": lambda s: to_columns([{"x": value}], s),
        "the first of many": lambda s: {"x": to_columns([{"x": value}] * 20, s)["x"][:1]},
    }
    try:
        body = json.dumps([{"x": value}])
        if json.loads(body)[0]["x"] == value or value is None or value != value:
            found["JSON"] = lambda s: to_columns(json.loads(body), s)
    except (TypeError, ValueError):  # JSON has no such value
        pass
    makers: dict[str, Callable[[], Any]] = {
        "pandas object": lambda: pd.DataFrame({"x": pd.Series([value], dtype=object)}),
        "pandas": lambda: pd.DataFrame({"x": pd.Series([value])}),
        "pandas nullable": lambda: pd.DataFrame(
            {"x": pd.Series([value]).convert_dtypes(convert_integer=not isinstance(value, float))}
        ),
        "Polars": lambda: polars.DataFrame({"x": polars.Series([value])}),
    }
    if pyarrow is not None and not isinstance(value, np.ndarray | tuple):
        makers["Arrow"] = lambda: pyarrow.table({"x": pyarrow.array([value])})
    if isinstance(value, str):
        makers["pandas category"] = lambda: pd.DataFrame({"x": pd.Series([value], dtype="category")})
        makers["Polars category"] = lambda: polars.DataFrame({"x": polars.Series([value], dtype=polars.Categorical)})
    for name, make in makers.items():
        try:
            frame = make()
        except Exception:  # that library cannot hold the value
            continue
        if name.startswith("Polars") and frame["x"].dtype == polars.Object:
            continue  # a Python object in a box, which is no value of Polars
        found[name] = lambda s, frame=frame: frames.columns(frame, s)  # type: ignore[misc]
    return found


def outcome(path: Callable[[Signature], Any], signature: Signature) -> Any:
    """What the path makes of the value: as the page writes it; the whole sentence of a refusal."""
    try:
        found = path(signature)["x"]
    except RowError as error:
        return str(error)
    assert len(found) == 1
    one = found.tolist()[0]
    empty = one is None or (all(v != v for v in one) if isinstance(one, list) else one != one)
    return None if empty else one


@pytest.mark.parametrize(("text", "type", "said"), CELLS)
def test_each_cell_of_the_page_holds_on_every_path(text: str, type: str, said: str) -> None:
    """The same column through JSON, Python, pandas and Polars, or the same refusal with the same sentence."""
    value, signature = eval(text, dict(NAMES)), signature_of(type)
    found = {name: outcome(path, signature) for name, path in paths(value).items()}
    assert "Python" in found and "pandas object" in found
    if said == "refused":
        assert all(str(sentence).startswith("row 0, column 'x': found ") for sentence in found.values()), found
        assert len(set(found.values())) == 1, found
    else:
        expected = None if said == "null" else ast.literal_eval(said)
        assert found == dict.fromkeys(found, expected)


@pytest.mark.parametrize("type", ["number", "integer", "boolean", "string", "timestamp", "numbers"])
def test_null_is_refused_where_the_column_is_not_nullable(type: str) -> None:
    """With one sentence on every path."""
    found = {name: outcome(path, signature_of(type, nullable=False)) for name, path in paths(None).items()}
    assert len(set(found.values())) == 1, found
    assert re.search(r"row 0, column 'x': found None, expected .*, not null", found["JSON"])


def test_the_page_has_a_cell_for_each_type_and_value() -> None:
    """Two tables, six types."""
    assert len(CELLS) >= 6 * 40
    assert {param.values[1] for param in CELLS} == {"number", "integer", "boolean", "string", "timestamp", "numbers"}


def test_nulls_among_values_make_the_same_column() -> None:
    """Integers that a null made decimals, booleans with NA, float32, times with NaT: one row or many."""
    signature = Signature(
        (Column("i", "integer"), Column("b", "boolean"), Column("f", "number"), Column("t", "timestamp")), "regression"
    )
    rows = [{"i": 5, "b": True, "f": 0.5, "t": "2013-04-01"}, {"i": None, "b": None, "f": None, "t": None}]
    expected = to_columns(rows, signature)
    time = pd.to_datetime(pd.Series(["2013-04-01", None]))
    for frame in (
        pd.DataFrame({"i": [5, None], "b": [True, None], "f": np.array([0.5, np.nan], np.float32), "t": time}),
        pd.DataFrame({"i": [5, None], "b": [True, None], "f": [0.5, None], "t": time}).convert_dtypes(),
        polars.DataFrame({"i": [5, None], "b": [True, None], "f": [0.5, None], "t": [date(2013, 4, 1), None]}),
    ):
        found = frames.columns(frame, signature)
        for name, values in expected.items():
            assert np.array_equal(found[name], values, equal_nan=True), name


def test_extra_and_missing_columns_and_their_order() -> None:
    """Extra ones are ignored, any order will do, a missing key is null; a missing column is refused."""
    signature = Signature((Column("a", "number"), Column("b", "number")), "regression")
    rows = [{"z": 0, "b": 2, "a": 1}, {"a": 3}]
    found = to_columns(rows, signature)
    assert list(found) == ["a", "b"] and np.array_equal(found["b"], [2, np.nan], equal_nan=True)
    again = frames.columns(pd.DataFrame(rows), signature)
    assert all(np.array_equal(found[name], again[name], equal_nan=True) for name in found)
    with pytest.raises(DataError, match="column 'b': no such column"):
        frames.columns(pd.DataFrame({"a": [1]}), signature)


ARRAYS = {
    "pandas lists": lambda v: pd.DataFrame({"e": pd.Series(v, dtype=object)}),
    "pandas arrays": lambda v: pd.DataFrame({"e": [None if x is None else np.array(x) for x in v]}),
    "Polars List": lambda v: polars.DataFrame({"e": polars.Series(v, dtype=polars.List(polars.Float64))}),
    **({} if pyarrow is None else {
        "Arrow list": lambda v: pyarrow.table({"e": pyarrow.array(v, pyarrow.list_(pyarrow.float64()))}),
        "Arrow fixed": lambda v: pyarrow.table({"e": pyarrow.array(v, pyarrow.list_(pyarrow.float64(), 2))}),
    }),
    "Polars Array": lambda v: polars.DataFrame({"e": polars.Series(v, dtype=polars.Array(polars.Float32, 2))}),
}


@pytest.mark.parametrize("make", ARRAYS.values(), ids=ARRAYS)
def test_number_arrays_are_inferred_and_come_back(make: Any) -> None:
    """A signature with their length, (n, length) columns, JSON rows, and the DataFrame that training saw."""
    lists = [[0.5, 1.0], None, [-2.0, 3.0]]
    late, frame = [0, 1, 0], make(lists)
    task = task_of(BINARY, features=("e",))
    if isinstance(frame, pd.DataFrame):
        rows: Any = frame.assign(late=late)
    elif isinstance(frame, polars.DataFrame):
        rows = frame.with_columns(late=polars.Series(late))
    else:
        rows = frame.append_column("late", [late])
    signature = frames.infer_signature(rows, task)
    assert signature.columns == (Column("e", "numbers", True, None, 2),)
    assert from_json(json.loads(json.dumps(to_json(signature)))) == signature
    columns = frames.columns(rows, signature)
    assert columns["e"].shape == (3, 2) and np.isnan(columns["e"][1]).all()
    assert to_rows(columns, signature) == frames.rows(rows, ["e"]) == [{"e": v} for v in lists]
    assert np.array_equal(to_columns([{"e": v} for v in lists], signature)["e"], columns["e"], equal_nan=True)
    back = schema.native(columns, signature, schema.of(frame))
    assert np.array_equal(frames.columns(back, signature)["e"], columns["e"], equal_nan=True)
    if isinstance(frame, polars.DataFrame):
        assert back["e"].dtype == frame["e"].dtype


def test_number_arrays_of_several_lengths_have_no_signature() -> None:
    """Nor those that are empty or all null."""
    rows = flights(2)
    for lists in ([[1.0], [1.0, 2.0]], [[], []]):
        with pytest.raises(DataError, match=r"column 'e': found lists of the lengths .*, expected one length"):
            frames.infer_signature(rows.assign(e=lists), task_of(BINARY, features=("e",)))


def test_a_manifest_of_before_has_no_length() -> None:
    """It reads as a signature without number arrays."""
    column = {"name": "x", "type": "number", "nullable": True, "categories": None}
    assert from_json({"columns": [column], "kind": "regression", "classes": []}) == signature_of("number")
