"""A version that takes every row of another one may stand in for it; else it is said what stands against it."""

from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from incumbent.errors import RowError
from incumbent.records import Column, ColumnType, Signature
from incumbent.runtimes.accepting import refused
from incumbent.runtimes.signature import to_columns

TYPES: tuple[ColumnType, ...] = get_args(ColumnType)
VALUES: dict[ColumnType, st.SearchStrategy[Any]] = {
    "number": st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**60), 2**60),
    "integer": st.integers(-(2**60), 2**60) | st.integers(-1000, 1000).map(float),
    "boolean": st.booleans(),
    "string": st.text(max_size=3),
    "timestamp": st.integers(0, 2**50) | st.just("2013-04-01T17:05:00Z"),
    "numbers": st.lists(st.floats(-9, 9), min_size=2, max_size=2),
}
columns = st.builds(
    lambda name, type, nullable: Column(name, type, nullable, length=2 if type == "numbers" else None),
    st.sampled_from("abc"), st.sampled_from(TYPES), st.booleans(),
)  # fmt: skip
signatures = st.lists(columns, max_size=3, unique_by=lambda column: column.name).map(
    lambda found: Signature(tuple(found), "regression")
)


@given(st.data(), signatures, signatures)
def test_what_is_not_refused_reads_every_row(data: st.DataObject, ours: Signature, theirs: Signature) -> None:
    """Any row that fits ours (nulls and missing columns where they may be) fits theirs; and what is refused is so for
    a row that can come."""
    row: dict[str, Any] = {}
    for column in ours.columns:
        if not column.nullable or data.draw(st.booleans()):
            row[column.name] = data.draw(VALUES[column.type])
    to_columns([row], ours)
    if not refused(ours, theirs):
        to_columns([row], theirs)


@given(signatures, signatures)
def test_a_refusal_has_a_row_that_shows_it(ours: Signature, theirs: Signature) -> None:
    """A value of ours of each kind, or a null, is what theirs cannot read."""
    shown = {
        "number": [2.5], "integer": [-3], "boolean": [True], "string": ["x"],
        "timestamp": ["2013-04-01"], "numbers": [[1.0, 2.0]],
    }  # fmt: skip
    whole = {c.name: shown[c.type][0] for c in ours.columns}
    rows = [whole, *({**whole, c.name: None} for c in ours.columns if c.nullable)]

    def reads(row: dict[str, Any]) -> bool:
        try:
            to_columns([row], theirs)
        except RowError:
            return False
        return True

    assert bool(refused(ours, theirs)) == (not all(map(reads, rows)))


@pytest.mark.parametrize(
    ("theirs", "said"),
    [
        (Signature((), "regression"), "it answers regression, expected binary"),
        (Signature((), "binary", (1, 0)), "it answers the classes 1, 0, expected 0, 1 in this order"),
        (Signature((Column("size", "numbers", length=3),), "binary", (0, 1)), "takes 3 numbers, and rows bring 2"),
        (Signature((Column("hour", "integer", nullable=False),), "binary", (0, 1)), "rows may bring null"),
    ],
)
def test_what_stands_against_it_is_named(theirs: Signature, said: str) -> None:
    """The column, what it takes, and what comes."""
    ours = Signature((Column("hour", "integer"), Column("size", "numbers", length=2)), "binary", (0, 1))
    (found,) = refused(ours, theirs)
    assert said in found
    assert refused(ours, ours) == []
