"""JSON rows become typed columns in one pass, or an error names the row, the column, the value and the expectation."""

import json
import math
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from incumbent.errors import DataError, RowError
from incumbent.records import Column, Signature, micros
from incumbent.runtimes.signature import from_json, label_index, to_columns, to_json, to_rows

FLIGHT = Signature(
    (
        Column("carrier", "string", categories=("UA", "DL")),
        Column("hour", "integer", nullable=False),
        Column("temp", "number"),
        Column("holiday", "boolean"),
        Column("scheduled", "timestamp"),
    ),
    "binary",
    (0, 1),
)
ROW = {"carrier": "UA", "hour": 17, "temp": 3.5, "holiday": False, "scheduled": "2013-04-01T17:05:00Z"}
NOON = micros(datetime(2013, 4, 1, 12, tzinfo=UTC))

VALUES: dict[str, st.SearchStrategy[Any]] = {
    "integer": st.integers(-(2**53), 2**53),
    "number": st.floats(allow_nan=False, allow_infinity=False),
    "boolean": st.booleans(),
    "string": st.text(),
    "timestamp": st.integers(0, 2**52),
}


@st.composite
def signature_and_rows(draw: st.DrawFn) -> tuple[Signature, list[dict[str, Any]]]:
    """A signature with at least one column, and rows that suit it."""
    types = draw(st.lists(st.sampled_from(sorted(VALUES)), min_size=1, max_size=6))
    nullable = draw(st.lists(st.booleans(), min_size=len(types), max_size=len(types)))
    columns = [Column(f"c{i}", t, n) for i, (t, n) in enumerate(zip(types, nullable, strict=True))]  # type: ignore[arg-type]
    row = st.fixed_dictionaries(
        {c.name: st.none() | VALUES[c.type] if c.nullable else VALUES[c.type] for c in columns}
    )
    return Signature(tuple(columns), "regression"), draw(st.lists(row, max_size=8))


@given(signature_and_rows())
def test_rows_come_back_as_they_were_sent(drawn: tuple[Signature, list[dict[str, Any]]]) -> None:
    """to_rows is the inverse of to_columns, through JSON as well."""
    signature, rows = drawn
    columns = to_columns(rows, signature)
    assert to_rows(columns, signature) == rows
    assert to_columns(json.loads(json.dumps(to_rows(columns, signature))), signature).keys() == columns.keys()
    assert all(len(values) == len(rows) for values in columns.values())


@given(
    st.lists(
        st.builds(
            Column,
            st.text(min_size=1),
            st.sampled_from(sorted(VALUES)),  # type: ignore[arg-type]
            st.booleans(),
            st.none() | st.lists(st.text()).map(tuple),
        )
    ),
    st.sampled_from(["binary", "multiclass", "regression", "forecast"]),
    st.lists(st.integers() | st.text() | st.booleans()).map(tuple),
)
def test_a_signature_survives_json(columns: list[Column], kind: Any, classes: tuple[Any, ...]) -> None:
    """A signature written to a manifest and read again is equal to the first."""
    signature = Signature(tuple(columns), kind, classes)
    assert from_json(json.loads(json.dumps(to_json(signature)))) == signature


def test_columns_have_the_types_of_the_contract() -> None:
    """Numbers are float64 with NaN for null, strings objects with None; extra columns and unseen categories pass."""
    columns = to_columns([ROW, {"hour": 5.0, "carrier": "never seen", "extra": [1]}], FLIGHT)
    assert list(columns) == list(FLIGHT.names)
    assert columns["carrier"].tolist() == ["UA", "never seen"]
    assert columns["hour"].tolist() == [17.0, 5.0]
    assert columns["hour"].dtype == columns["holiday"].dtype == columns["scheduled"].dtype == np.float64
    assert columns["holiday"][0] == 0.0 and np.isnan(columns["holiday"][1])
    assert columns["scheduled"][0] == NOON + 5 * 3600e6 + 5 * 60e6


@pytest.mark.parametrize(
    "time", ["2013-04-01T12:00:00Z", "2013-04-01T14:00:00+02:00", "2013-04-01T12:00", "2013-04-01 12:00:00", NOON]
)
def test_a_time_may_be_written_in_several_ways(time: str | int) -> None:
    """With an offset, without one (UTC), or as integer microseconds."""
    assert to_columns([ROW | {"scheduled": time}], FLIGHT)["scheduled"].tolist() == [NOON]


@pytest.mark.parametrize(
    ("column", "found", "expected"),
    [
        ("hour", "17", "an integer"),
        ("hour", 17.5, "an integer"),
        ("hour", True, "an integer"),
        ("hour", None, "an integer, not null"),
        ("hour", math.nan, "an integer, not null"),
        ("temp", "3.5", "a finite number or null"),
        ("temp", False, "a finite number or null"),
        ("temp", math.inf, "a finite number or null"),
        ("temp", 10**400, "a finite number or null"),
        ("temp", [1.0], "a finite number or null"),
        ("carrier", 7, "a string or null"),
        ("holiday", 1, "true or false or null"),
        ("holiday", "true", "true or false or null"),
        ("scheduled", "yesterday", "an ISO 8601 time"),
        ("scheduled", 1.5, "an ISO 8601 time"),
        ("scheduled", True, "an ISO 8601 time"),
    ],
)
def test_a_wrong_value_is_named(column: str, found: object, expected: str) -> None:
    """The error tells row, column, value and what was expected, however many rows were fine before."""
    with pytest.raises(RowError) as caught:
        to_columns([ROW, ROW, ROW | {column: found}, ROW | {column: found}], FLIGHT)
    assert (caught.value.row, caught.value.column) == (2, column)
    assert caught.value.expected.startswith(expected)


def test_a_missing_column_that_may_not_be_null_is_named() -> None:
    """A missing key counts as null."""
    with pytest.raises(RowError, match="row 1, column 'hour': found None, expected an integer, not null"):
        to_columns([ROW, {}], FLIGHT)


def test_a_row_that_is_no_object_is_named() -> None:
    """A list in place of a row is no RowError about a column, but about the row."""
    with pytest.raises(RowError, match=r"row 1: found \[1, 2\], expected an object"):
        to_columns([ROW, [1, 2]], FLIGHT)  # type: ignore[list-item]


def test_values_of_numpy_are_taken_from_python() -> None:
    """Rows made from arrays need no conversion first."""
    row = {"carrier": np.str_("UA"), "hour": np.int64(3), "temp": np.float32(0.5), "holiday": np.bool_(True)}
    columns = to_columns([row | {"scheduled": np.int64(5)}], FLIGHT)
    assert [columns[name].tolist() for name in FLIGHT.names] == [["UA"], [3.0], [0.5], [1.0], [5.0]]


def test_labels_find_their_class_whatever_their_number_type() -> None:
    """1, 1.0 and True are the same class; an unknown or null label is named."""
    assert label_index([1, 0.0, True, np.int64(1)], FLIGHT).tolist() == [1, 0, 1, 1]  # type: ignore[list-item]
    for wrong in ("1", None, 2, [1]):
        with pytest.raises(DataError, match=r"label 1: .* expected one of the classes 0, 1"):
            label_index([0, wrong], FLIGHT)  # type: ignore[list-item]
