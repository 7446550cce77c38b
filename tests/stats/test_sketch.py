"""How much two sets share, from the smallest hashes of each: exact for small sets, close for large ones."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from incumbent.stats import sketch
from incumbent.stats.sketch import copies, mixed, share_within


def of(keys: set[int]) -> str:
    return sketch.sketch(np.array(sorted(keys), dtype=np.uint64))


@given(st.sets(st.integers(0, 2**63), max_size=127), st.sets(st.integers(0, 2**63), max_size=127))
def test_small_sets_are_told_exactly(one: set[int], other: set[int]) -> None:
    """The sketch of fewer elements than it has room for is the set."""
    expected = len(one & other) / len(one) if one else 0.0
    assert share_within(of(one), len(one), of(other), len(other)) == pytest.approx(expected)


@pytest.mark.parametrize(("n_one", "n_other", "share"), [(5_000, 5_000, 0.5), (20_000, 4_000, 0.1), (900, 900, 0.9)])
def test_large_sets_are_told_closely(n_one: int, n_other: int, share: float) -> None:
    """Over 50 pairs the mean is off by at most four standard errors of .05 each."""
    draw = np.random.default_rng(0)
    both = int(share * n_one)
    found = []
    for _ in range(50):
        keys = draw.integers(0, 2**63, n_one + n_other - both).astype(np.uint64)
        one, other = keys[:n_one], keys[n_one - both :]
        found.append(share_within(sketch.sketch(one), n_one, sketch.sketch(other), n_other))
    assert abs(np.mean(found) - share) < 4 * 0.05 / np.sqrt(50)
    assert max(np.abs(np.array(found) - share)) < 0.25


def test_the_same_rows_share_all_and_others_nothing() -> None:
    """Without a doubt, at any size."""
    rows = np.arange(10_000, dtype=np.uint64)
    mine, other = sketch.sketch(rows), sketch.sketch(rows + np.uint64(10_000))
    assert share_within(mine, 10_000, mine, 10_000) == 1.0 and share_within(mine, 10_000, other, 10_000) == 0.0


@given(st.lists(st.integers(0, 3), max_size=40))
def test_equal_rows_count_as_often_as_they_come(values: list[int]) -> None:
    """The second of two equal rows is another element; their order makes no difference."""
    keys = mixed(values) if values else np.zeros(0, dtype=np.uint64)
    found = copies(keys)
    assert len(set(found.tolist())) == len(values)
    assert sorted(copies(keys[::-1]).tolist()) == sorted(found.tolist())


def test_a_row_is_all_of_its_columns() -> None:
    """In their order: (1, 2) is not (2, 1); numbers and whole numbers are told apart by nobody who hashes one kind."""
    assert mixed([1], [2])[0] != mixed([2], [1])[0]
    assert mixed([0.0])[0] == mixed([-0.0])[0]
    with pytest.raises(ValueError, match="a column or more"):
        mixed()
