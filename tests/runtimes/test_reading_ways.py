"""The quick way from JSON bytes to columns gives what the careful one gives, or leaves the row to it."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from incumbent.errors import RowError
from incumbent.records import Column, Signature
from incumbent.runtimes.base import Columns
from incumbent.runtimes.reading import Reader, Surprise
from incumbent.runtimes.signature import to_columns

FLOATS = st.floats(allow_nan=False, allow_infinity=False)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "integer": st.integers(-(2**53), 2**53),
    "number": FLOATS | st.integers(-(2**70), 2**70),
    "boolean": st.booleans(),
    "string": st.text(),
    "timestamp": st.integers(0, 2**52) | st.just("2013-04-01T17:05:00Z"),
    "numbers": st.lists(FLOATS, min_size=2, max_size=2),
}
ODD = st.sampled_from([5.5, "5", True, [], [1.0, None], {}, 10**400, "x", -1])


@st.composite
def signature_and_rows(draw: st.DrawFn) -> tuple[Signature, list[dict[str, Any]]]:
    """A signature, and rows of which some are wrong."""
    types = draw(st.lists(st.sampled_from(sorted(VALUES)), min_size=1, max_size=6))
    columns = [
        Column(f"c{i}", t, draw(st.booleans()), length=2 if t == "numbers" else None)  # type: ignore[arg-type]
        for i, t in enumerate(types)
    ]
    value = {c.name: VALUES[c.type] | st.none() | ODD if draw(st.booleans()) else VALUES[c.type] for c in columns}
    row = st.fixed_dictionaries({}, optional={**value, "more": st.integers()})
    return Signature(tuple(columns), "regression"), draw(st.lists(row, min_size=1, max_size=8))


def read(reader: Reader, rows: list[dict[str, Any]]) -> Columns:
    """As the server does."""
    values = []
    for i, row in enumerate(rows):
        try:
            values.append(reader.read(json.dumps(row).encode()))
        except Surprise:
            values += reader.read_with_care([row], [i])
    columns = reader.columns(values)
    return reader.columns(reader.read_with_care(rows)) if columns is None else columns  # type: ignore[return-value]


@given(signature_and_rows())
def test_both_ways_read_the_same(drawn: tuple[Signature, list[dict[str, Any]]]) -> None:
    """Types, shapes and values of every column; the same sentence where a row is wrong."""
    signature, rows = drawn
    reader = Reader(signature)
    try:
        expected = to_columns(rows, signature)
    except RowError:
        with pytest.raises(RowError):
            read(reader, rows)
        return
    found = read(reader, rows)
    assert list(found) == list(expected)
    for name, values in expected.items():
        assert (found[name].dtype, found[name].shape) == (values.dtype, values.shape)
        same = np.array_equal(found[name], values, equal_nan=values.dtype != object)
        assert same, name


def test_a_number_array_is_a_column_of_its_own() -> None:
    """Beside texts, beside numbers and alone: (n, length), a null as a row of NaN."""
    array, number, text = Column("a", "numbers", length=2), Column("n", "number"), Column("t", "string")
    row, empty = {"a": [1, 2.5], "n": 3.0, "t": "x"}, {"a": None, "n": None, "t": None}
    for columns in ((array,), (array, number), (text, array), (text, array, number)):
        found = read(Reader(Signature(columns, "regression")), [row, empty])
        assert np.array_equal(found["a"], [[1, 2.5], [np.nan, np.nan]], equal_nan=True)


@pytest.mark.parametrize("levels", [6, 2000])
def test_lists_in_lists_without_end_are_refused(levels: int) -> None:
    """With a sentence, however deep they go."""
    value: Any = 1
    for _ in range(levels):
        value = [value]
    with pytest.raises(RowError, match=r"row 0, column 'a': found \[{5}'…'\]{5}, expected a list of 2 finite"):
        to_columns([{"a": value}], Signature((Column("a", "numbers", length=2),), "regression"))
