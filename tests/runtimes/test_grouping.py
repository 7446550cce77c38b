"""Values find their group, and equal rows have equal codes, whatever stands beside them."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from incumbent.runtimes.grouping import Lookup, mapped, row_hashes

TEXTS = st.one_of(st.none(), st.sampled_from(["a", "b", "ä", "", "\ud800", "null"]))


@given(st.lists(TEXTS, max_size=200))
def test_mapping_many_is_mapping_each(values: list[str | None]) -> None:
    """The way for many rows gives what a dict gives, row by row."""
    places = {"a": 0, "ä": 1, "": 2}
    asked = np.empty(len(values), dtype=object)
    asked[:] = values
    assert mapped(places, asked, 9).tolist() == [places.get(v, 9) if v is not None else 9 for v in values]


@pytest.mark.parametrize(
    ("keys", "kind", "asked", "places"),
    [
        (["5", "-2", "7"], "integer", [7.0, 5.0, -2.0, 6.0, np.nan], [2, 0, 1, 3, 3]),
        (["true", "false"], "boolean", [1.0, 0.0, np.nan], [0, 1, 2]),
        (["0.5", "2.0"], "number", [2.0, 0.5, 0.4999], [1, 0, 2]),
        ([], "integer", [1.0], [0]),
    ],
)
def test_numbers_find_their_key(keys: list[str], kind: str, asked: list[float], places: list[int]) -> None:
    """In whatever order the keys stand; null and what is no key get one more than the last."""
    assert Lookup(keys, kind).codes(np.array(asked)).tolist() == places  # type: ignore[arg-type]


@given(st.lists(st.tuples(TEXTS, st.floats(allow_infinity=False) | st.just(np.nan)), min_size=1, max_size=60))
def test_equal_rows_have_equal_codes_and_others_do_not(rows: list[tuple[str | None, float]]) -> None:
    """NaN equals NaN, -0.0 equals 0.0, and a row's code is the same alone as among others."""
    text = np.empty(len(rows), dtype=object)
    text[:] = [row[0] for row in rows]
    columns = {"t": text, "x": np.array([row[1] for row in rows])}
    same = [(t, "nan" if x != x else x + 0.0) for t, x in rows]
    for lasting in (True, False):
        codes = row_hashes(columns, len(rows), lasting=lasting).tolist()
        assert len(set(codes)) == len(set(same))
        alone = row_hashes({k: v[:1] for k, v in columns.items()}, 1, lasting=lasting)
        assert alone.tolist() == codes[:1]


def test_number_arrays_count_element_by_element() -> None:
    """(1, 2) is another row than (2, 1)."""
    codes = row_hashes({"v": np.array([[1.0, 2.0], [2.0, 1.0], [1.0, 2.0]])}, 3)
    assert codes[0] == codes[2] != codes[1]


def test_lasting_codes_are_the_same_in_another_process() -> None:
    """A stratified draw must not change when the server is started again."""
    code = (
        "import numpy as np; from incumbent.runtimes.grouping import row_hashes;"
        "print(row_hashes({'t': np.array(['a', None], dtype=object), 'x': np.array([1.5, np.nan])}, 2).tolist())"
    )
    said = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True) for _ in range(2)]
    assert said[0].stdout == said[1].stdout != ""
