"""The quick way from JSON to columns gives what the careful way gives, or leaves the row to it."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from incumbent.errors import RowError
from incumbent.records import Column, Signature
from incumbent.runtimes.reading import Reader, Surprise
from incumbent.runtimes.signature import to_columns
from incumbent.runtimes.table import Table, joined, take

SIGNATURE = Signature(
    (
        Column("x", "number"),
        Column("n", "integer", nullable=False),
        Column("b", "boolean"),
        Column("té", "string"),
    ),
    "regression",
)
VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(), st.text(max_size=5), st.lists(st.integers())
)
ROWS = st.dictionaries(st.sampled_from(["x", "n", "b", "té", "more"]), VALUES)


def same(first: Any, second: Any) -> bool:
    return first.keys() == second.keys() and all(
        first[name].dtype == second[name].dtype and np.array_equal(first[name], second[name], equal_nan=False)
        if first[name].dtype == object
        else np.array_equal(first[name], second[name], equal_nan=True)
        for name in first
    )


@given(st.lists(ROWS, min_size=1, max_size=4))
def test_the_quick_way_says_what_the_careful_way_says(rows: list[dict[str, Any]]) -> None:
    """Whatever the rows hold: the same columns, or they are left to the careful way."""
    reader = Reader(SIGNATURE)
    texts = [json.dumps(row, ensure_ascii=False) for row in rows]
    try:
        values = [reader.read(text.encode("utf-8", "surrogatepass")) for text in texts]
    except Surprise:
        return
    columns = reader.columns(values)
    if columns is None:
        with pytest.raises(RowError):
            to_columns(rows, SIGNATURE)
        return
    assert same(columns, to_columns(rows, SIGNATURE))


@pytest.mark.parametrize(
    "row",
    ['{"n": 5, "more": 1}', '{"n": "5"}', '{"x": 1}', '{"n": null}', '{"n": true}', '{"n": NaN}', '{"n": 1e999}', "[1]",
     '{"n": 1, "té": "\\ud800"}', '{"n": 1} x', "", '{"n": 1'],
)  # fmt: skip
def test_a_row_with_a_surprise_is_left_to_the_careful_way(row: str) -> None:
    """More columns, other types, missing ones that may not be null, and what is no JSON."""
    with pytest.raises(Surprise):
        Reader(SIGNATURE).read(row.encode())


def test_a_fraction_for_an_integer_is_found_with_the_columns() -> None:
    """JSON's types cannot say it; the columns can. The careful way names the row of the request."""
    reader = Reader(SIGNATURE)
    assert reader.columns([reader.read(b'{"n": 5}'), reader.read(b'{"n": 5.5}')]) is None
    with pytest.raises(RowError) as refused:
        reader.read_with_care([{"n": 5.5}], numbers=[7])
    assert (refused.value.row, refused.value.column) == (7, "n")


def test_numbers_alone_are_one_matrix() -> None:
    """In the order of the signature, null as NaN."""
    reader = Reader(Signature((Column("a", "number"), Column("b", "integer"), Column("c", "boolean")), "regression"))
    found = reader.columns([reader.read(b'{"b": 2, "a": 1.5, "c": true}'), reader.read(b"{}")])
    assert isinstance(found, Table)
    assert np.array_equal(found.matrix, [[1.5, 2, 1], [np.nan] * 3], equal_nan=True)


@pytest.mark.parametrize("type", ["number", "integer", "boolean"])
def test_nulls_among_numbers_are_nan_wherever_they_stand(type: Any) -> None:
    """Said or left out, in some rows or in all, read one by one, together or with care: one matrix."""
    reader = Reader(Signature((Column("a", type), Column("b", "number")), "regression"))
    one: Any = True if type == "boolean" else 1
    rows = [{"a": one, "b": 0.1}, {"a": None, "b": 2}, {"b": -3.5}, {"a": one, "b": None}, {}, {"a": one, "b": 7e300}]
    texts = [json.dumps(row).encode() for row in rows]
    together, with_care = reader.read_all(texts), reader.read_with_care(rows)
    assert together == [reader.read(text) for text in texts]
    found, careful = reader.columns(together), reader.columns(with_care)
    assert isinstance(found, Table)
    assert isinstance(careful, Table)
    wanted = [[1, 0.1], [np.nan, 2], [np.nan, -3.5], [1, np.nan], [np.nan, np.nan], [1, 7e300]]
    assert np.array_equal(found.matrix, wanted, equal_nan=True)
    assert np.array_equal(careful.matrix, wanted, equal_nan=True)
    assert found.matrix.flags.writeable  # a predictor is given columns of its own


def test_a_signature_without_columns_reads_rows() -> None:
    """A rule may need none: rows of nothing are as many as they were."""
    reader = Reader(Signature((), "regression"))
    for values in (reader.read_all([b"{}", b"{}"]), reader.read_with_care([{}, {}])):
        found = reader.columns(values)
        assert isinstance(found, Table)
        assert found.matrix.shape == (2, 0)


@pytest.mark.parametrize("other", ["number", "string"])
def test_number_arrays_are_read_with_care(other: Any) -> None:
    """(n_rows, length), a null as a row of NaN."""
    value = {"number": 1.0, "string": "a"}[other]
    reader = Reader(Signature((Column("w", other), Column("e", "numbers", length=3)), "regression"))
    assert not reader.quick
    found = reader.columns(reader.read_with_care([{"w": value, "e": [1, 2, 3]}, {"w": value, "e": None}]))
    assert found is not None
    assert np.array_equal(found["e"], [[1, 2, 3], [np.nan] * 3], equal_nan=True)
    assert found["w"].tolist() == [value, value]


def test_names_that_json_must_escape_are_read_with_care() -> None:
    """A column may be called anything."""
    reader = Reader(Signature((Column('say "x"', "number"),), "regression"))
    assert not reader.quick
    assert reader.read_with_care([{'say "x"': 2}]) == [np.float64(2).tobytes()]


def test_tables_are_picked_and_joined() -> None:
    """Rows of a matrix stay a matrix; other columns are joined one by one."""
    table = Table(np.arange(6.0).reshape(3, 2), ("a", "b"))
    both = joined([take(table, [2]), take(table, [0, 1])])
    assert isinstance(both, Table)
    assert both["a"].tolist() == [4, 0, 2]
    mixed = joined([{"a": np.array([1.0])}, take({"a": np.array([2.0, 3.0])}, [1])])
    assert mixed["a"].tolist() == [1, 3]
