"""What counts as an answer: probabilities of each class, or finite numbers; everything else is refused."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from incumbent.errors import BadOutput
from incumbent.records import Column, Signature
from incumbent.runtimes.base import checked, matrix_of, takes_matrix

TWO, NUMBER = Signature((), "binary", (0, 1)), Signature((), "regression")
THREE = Signature((), "multiclass", ("a", "b", "c"))


def slow(output: Any, signature: Signature, rows: int) -> Any:
    """The definition, without haste."""
    values = np.asarray(output, dtype=np.float64)
    if values.shape != ((rows, len(signature.classes)) if signature.classifies else (rows,)):
        return None
    if not np.isfinite(values).all():
        return None
    if not signature.classifies:
        return values
    if (values < -1e-3).any() or (values > 1 + 1e-3).any() or (np.abs(values.sum(axis=1) - 1) > 1e-3).any():
        return None
    return np.clip(values, 0.0, 1.0)


NEAR = st.sampled_from([0.0, 1.0, 0.5, -5e-4, -2e-3, 1 + 5e-4, 1 + 2e-3, 0.4995, 0.5, np.nan, np.inf, -np.inf, 2.0])


@given(st.integers(0, 30), st.sampled_from([TWO, THREE, NUMBER]), st.data())
def test_the_quick_check_refuses_and_clips_as_the_definition_does(n: int, signature: Signature, data: Any) -> None:
    """For few rows, which Python looks at, and for many, which numpy does; the same values come back."""
    shape = (n, len(signature.classes)) if signature.classifies else (n,)
    output = data.draw(arrays.arrays(np.float64, shape, elements=NEAR))
    if signature.classifies and n and data.draw(st.booleans()):  # mostly good rows, with some that are not
        good = np.tile(np.eye(len(signature.classes))[0], (n, 1))
        good[data.draw(st.integers(0, n - 1))] = output[0]
        output = good
    expected = slow(output, signature, n)
    if expected is None:
        with pytest.raises(BadOutput):
            checked(output, signature, n)
    else:
        assert np.array_equal(checked(output, signature, n), expected)


@pytest.mark.parametrize(
    ("output", "signature", "said"),
    [
        ([0.1, 0.9], TWO, r"shape \(2,\), expected \(1, 2\)"),
        ([[0.1, 0.9]], NUMBER, r"shape \(1, 2\), expected \(1,\)"),
        ([[np.nan, 1.0]], TWO, "row 0: found the output .* expected finite numbers"),
        ([np.inf], NUMBER, "row 0"),
        ([[0.5, 0.6]], TWO, "no probabilities"),
        ([[-0.1, 1.1]], TWO, "no probabilities"),
    ],
)
def test_what_is_refused_says_what_was_found(output: Any, signature: Signature, said: str) -> None:
    """Shape, row and value."""
    with pytest.raises(BadOutput, match=said):
        checked(np.array(output), signature, 1)


def test_columns_become_a_matrix_in_the_order_that_is_asked_for() -> None:
    """C-contiguous float64, also without a column."""
    columns = {"a": np.array([1.0, 2.0]), "b": np.array([3.0, np.nan])}
    found = matrix_of(columns, ["b", "a"])
    assert found.flags["C_CONTIGUOUS"] and np.array_equal(found, [[3, 1], [np.nan, 2]], equal_nan=True)
    assert matrix_of(columns, []).shape == (2, 0)


def test_a_matrix_is_taken_where_no_column_is_text() -> None:
    """And where the predictor has the method."""

    class Both:
        signature = Signature((Column("x", "number"),), "regression")

        def predict_matrix(self, matrix: Any) -> Any:
            return matrix[:, 0]

    class Text(Both):
        signature = Signature((Column("x", "number"), Column("w", "string")), "regression")

    assert takes_matrix(Both())
    assert not takes_matrix(Text())
    assert not takes_matrix(object())
