"""DataFrames become columns, labels, times and a signature; what cannot be used is named."""

import zoneinfo
from datetime import date, datetime
from typing import Any

import numpy as np
import pandas as pd
import polars
import pytest
from flight_rows import BINARY, FEATURES, MULTICLASS, NUMBER, flights, task_of

from incumbent.config import Config, Task
from incumbent.errors import DataError, RowError
from incumbent.records import Column, Signature, micros
from incumbent.runtimes import frames
from incumbent.runtimes.signature import to_columns, to_rows

VIENNA = zoneinfo.ZoneInfo("Europe/Vienna")


def signature_of(name: str, values: Any, **changes: Any) -> Column:
    """The column that is inferred from these values."""
    rows = pd.DataFrame({name: values, "late": [0, 1] * (len(values) // 2) + [0] * (len(values) % 2)})
    return frames.infer_signature(rows, task_of(BINARY, features=(name,), **changes)).columns[0]


def test_a_signature_shows_types_nulls_categories_and_classes() -> None:
    """Every feature may be null but those of task.not_null."""
    found = frames.infer_signature(flights(), task_of(BINARY, not_null=("hour",)))
    assert found.columns == (
        Column("carrier", "string", True, ("AA", "DL", "UA")),
        Column("hour", "integer", False),
        Column("temp", "number"),
        Column("precip", "number"),
    )
    assert (found.kind, found.classes) == ("binary", (0, 1))


@pytest.mark.parametrize(
    ("values", "type"),
    [
        ([1, 2], "integer"),
        ([1, None], "number"),
        (pd.array([1, None], dtype="Int64"), "integer"),
        ([0.5, 1.0], "number"),
        (np.array([0.5, 1.0], dtype=np.float32), "number"),
        ([True, False], "boolean"),
        (pd.Series([True, None], dtype=object), "boolean"),
        (["a", None], "string"),
        (pd.Series(["a", None], dtype=object), "string"),
        (pd.Series([None, None], dtype=object), "string"),
        (pd.Series(["a", "b"], dtype="category"), "string"),
        (pd.to_datetime(["2013-04-01", None]), "timestamp"),
        (pd.Series([date(2013, 4, 1), None], dtype=object), "timestamp"),
    ],
)
def test_each_dtype_has_its_type(values: Any, type: str) -> None:
    """Whatever pandas calls it."""
    column = signature_of("x", values)
    assert column.type == type
    rows = pd.DataFrame({"x": values})
    typed = frames.columns(rows, Signature((column,), "regression"))["x"]
    assert typed.dtype == (object if type == "string" else np.float64)
    assert [v is None or v != v for v in typed] == rows["x"].isna().tolist()


@pytest.mark.parametrize(
    "values",
    [[1j, 2j], pd.to_timedelta([1, 2], unit="h"), pd.Series([{1: 2}, {3: 4}], dtype=object), pd.Series([1, "a"])],
)
def test_a_column_of_an_unsupported_type_is_named(values: Any) -> None:
    """With what was found and what to do."""
    with pytest.raises(DataError, match=r"column 'x': found .*, expected numbers, booleans, strings, times"):
        signature_of("x", values)


def test_more_than_a_thousand_categories_are_not_kept() -> None:
    """A column of ids has no categories."""
    assert signature_of("x", [f"id{i}" for i in range(1001)]).categories is None


def test_the_positive_class_comes_last() -> None:
    """By default the larger one; task.positive may name the other."""
    rows = flights()
    assert frames.infer_signature(rows, task_of(BINARY, positive=0)).classes == (1, 0)
    assert frames.infer_signature(rows, task_of(MULTICLASS)).classes == ("low", "mid", "top")
    assert frames.infer_signature(rows, task_of(NUMBER)).classes == ()
    with pytest.raises(DataError, match=r"task.positive = 'yes' is no class of 'late'; found \[0, 1\]"):
        frames.infer_signature(rows, task_of(BINARY, positive="yes"))


def test_a_null_label_does_not_make_classes_floats() -> None:
    """pandas turns [1, null] into floats; the classes stay whole."""
    rows = flights(6).assign(late=[0.0, 1.0, np.nan, 1.0, 0.0, 1.0])
    assert frames.labels(rows, BINARY) == [0, 1, None, 1, 0, 1]
    assert all(isinstance(label, int) for label in frames.infer_signature(rows, task_of(BINARY)).classes)
    assert frames.labels(flights(2).assign(delay=[1, None]), NUMBER) == [1.0, None]


@pytest.mark.parametrize(
    ("task", "changed", "message"),
    [
        (BINARY, {"late": None}, "all 9 labels are null"),
        (BINARY, {"late": 1}, r"found one class only \(1\), expected two or more"),
        (BINARY, {"late": list("abcabcabc")}, r"found 3 classes .* expected 2 of a binary task"),
        (NUMBER, {"delay": "much"}, "found String, expected numbers for a regression task"),
    ],
)
def test_labels_that_cannot_be_used_are_named(task: Task, changed: dict[str, Any], message: str) -> None:
    """Before anything is trained."""
    with pytest.raises(DataError, match=message):
        frames.infer_signature(flights(9).assign(**changed), task_of(task))


def test_missing_columns_are_named() -> None:
    """Target, features, and columns of a signature."""
    rows = flights(5)
    with pytest.raises(DataError, match="column 'late': no such column"):
        frames.infer_signature(rows.drop(columns="late"), task_of(BINARY))
    with pytest.raises(DataError, match=r"task\.features names wind: no such column; found carrier"):
        frames.infer_signature(rows, task_of(BINARY, features=("wind",)))
    with pytest.raises(DataError, match="found list, expected a DataFrame"):
        frames.infer_signature([{"a": 1}], task_of(BINARY))


def test_without_task_features_all_other_columns_are_features() -> None:
    """All but target, time, label_time and id."""
    rows = flights(5).assign(id=range(5), at=0, known=0)
    task = task_of(BINARY, features=(), id="id", time="at", label_time="known")
    assert frames.feature_names(rows, task) == [*FEATURES, "fare", "delay"]


@pytest.mark.parametrize(
    ("column", "values", "found", "expected"),
    [
        ("hour", [1.5, 2.0], "1.5", "an integer"),
        ("hour", ["5", "6"], "'5'", "an integer"),
        ("carrier", [1, 2], "1", "a string"),
        ("temp", ["warm", None], "'warm'", "a finite number"),
    ],
)
def test_a_column_of_another_type_than_the_signature_is_named(
    column: str, values: list[Any], found: str, expected: str
) -> None:
    """A retraining feed that changed a type stops here."""
    signature = frames.infer_signature(flights(), task_of(BINARY))
    with pytest.raises(RowError, match=f"row 0, column '{column}': found {found}, expected {expected} or null"):
        frames.columns(flights(2).assign(**{column: values}), signature)


def test_rows_and_columns_are_the_same_facts() -> None:
    """Rows sent as JSON become the columns that training saw."""
    rows = flights(50).assign(at=pd.date_range("2013-01-01", periods=50, freq="h", tz=VIENNA))
    signature = frames.infer_signature(rows, task_of(BINARY, features=(*FEATURES, "at")))
    direct = frames.columns(rows, signature)
    sent = to_columns(frames.rows(rows, signature.names), signature)
    assert to_rows(sent, signature) == to_rows(direct, signature)


def test_naive_times_need_a_zone() -> None:
    """With task.timezone they are local clocks, summer time included; null is NEVER."""
    rows = pd.DataFrame({"at": pd.to_datetime(["2013-01-01 12:00", "2013-07-01 12:00", None])})
    with pytest.raises(DataError, match=r"column 'at' holds times without a zone: set task\.timezone"):
        frames.times(rows, "at", Config(BINARY))
    found = frames.times(rows, "at", Config(task_of(BINARY, timezone="Europe/Vienna")))
    winter, summer = (micros(datetime(2013, month, 1, 12, tzinfo=VIENNA)) for month in (1, 7))
    assert found.tolist() == [winter, summer, frames.NEVER]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_aware_times_keep_their_moment_in_any_unit(unit: str) -> None:
    """A zone on the column outweighs task.timezone."""
    rows = pd.DataFrame({"at": pd.to_datetime(["2013-07-01T12:00:00-04:00"]).as_unit(unit)})
    noon = micros(datetime.fromisoformat("2013-07-01T16:00:00+00:00"))
    assert frames.times(rows, "at", Config(task_of(BINARY, timezone="Europe/Vienna"))).tolist() == [noon]


def test_times_as_text_are_refused() -> None:
    """They must be parsed in load, where their format is known."""
    with pytest.raises(DataError, match="column 'at': found String, expected timestamps"):
        frames.times(pd.DataFrame({"at": ["2013-07-01"]}), "at", Config(BINARY))


def test_lag_columns_count_from_the_forecast_origin() -> None:
    """lag_k is the value k - 1 steps before the origin, which lies `horizon` steps before the target's row."""
    task = Task("temp", "forecast", "y", "absolute_error", time="at", series="city", horizon=2, lags=3)
    at = pd.date_range("2013-01-01", periods=6, tz="UTC")
    steps = np.arange(6.0)
    cities = [pd.DataFrame({"city": "a", "at": at, "y": steps}), pd.DataFrame({"city": "b", "at": at, "y": 10 + steps})]
    mixed = pd.concat(cities).sample(frac=1, random_state=0)
    found = frames.lag_frame(mixed, task).sort_values(["city", "at"])
    assert found["lag_1"].iloc[2:6].tolist() == [0, 1, 2, 3]
    assert found["lag_3"].iloc[4:6].tolist() == [0, 1]
    assert found["lag_1"].iloc[8:].tolist() == [10, 11, 12, 13]
    assert found[["lag_1", "lag_2", "lag_3"]].isna().sum().tolist() == [4, 6, 8]
    assert frames.lag_frame(found, task).equals(found)
    assert frames.feature_names(found, task) == ["city", "lag_1", "lag_2", "lag_3"]
    assert frames.lag_count(Task("t", "forecast", "y", "m", season=12)) == 24
    assert frames.lag_count(Task("t", "forecast", "y", "m")) == 14


def test_polars_rows_give_the_same_columns() -> None:
    """Any DataFrame that narwhals knows."""
    rows = flights(200)
    other = polars.DataFrame({name: [None if v != v else v for v in rows[name].tolist()] for name in rows.columns})
    signature = frames.infer_signature(other, task_of(BINARY))
    assert signature == frames.infer_signature(rows, task_of(BINARY))
    assert to_rows(frames.columns(other, signature), signature) == to_rows(frames.columns(rows, signature), signature)
