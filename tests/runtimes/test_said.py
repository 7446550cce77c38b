"""Answers of other systems come in many shapes, and become probabilities or numbers."""

from typing import Any

import numpy as np
import pytest

from incumbent.errors import DataError
from incumbent.records import Kind, Signature
from incumbent.runtimes.said import as_output


@pytest.mark.parametrize(
    ("kind", "classes", "said", "output"),
    [
        ("binary", (0, 1), [0.25, 1.0], [[0.75, 0.25], [0.0, 1.0]]),
        ("binary", ("n", "y"), ["y", "n"], [[0, 1], [1, 0]]),
        ("binary", (0, 1), np.array([[0.5, 0.5]]), [[0.5, 0.5]]),
        ("multiclass", ("a", "b", "c"), np.array(["c"]), [[0, 0, 1]]),
        ("multiclass", (1, 2, 3), [{"3": 0.5, "1": 0.5, "2": 0}], [[0.5, 0, 0.5]]),
        ("regression", (), [1.5, 2.0], [1.5, 2.0]),
        ("regression", (), np.array([[1], [2]]), [1, 2]),
    ],
)
def test_answers_come_in_many_shapes(kind: Kind, classes: Any, said: Any, output: Any) -> None:
    """One probability a row, labels, one a class, dicts by class; arrays and lists."""
    assert as_output(said, Signature((), kind, classes), "old").tolist() == output


@pytest.mark.parametrize(
    ("kind", "classes", "said"),
    [("multiclass", ("a", "b", "c"), [0.2, 0.3]), ("regression", (), ["much"]), ("binary", (0, 1), [{"yes": 1.0}])],
)
def test_answers_that_say_too_little_are_errors(kind: Kind, classes: Any, said: Any) -> None:
    """One number for three classes, a word for a number, a class that nobody knows."""
    with pytest.raises(DataError, match="old"):
        as_output(said, Signature((), kind, classes), "old")


@pytest.mark.parametrize("kind", ["binary", "regression"])
@pytest.mark.parametrize(
    ("said", "odd"),
    [([[0.1, 0.9], [0.2]], r"\[0\.2\] among them"), ([0.1, [0.2, 0.8]], r"\[0\.2, 0\.8\] among them"),
     ([[[0.1], 0.9], [0.2, 0.8]], r"\[\[0\.1\], 0\.9\] first"), ([0.5, {"1": 0.5}], r"'1'|no numbers"),
     ([0.5, 10**400], "no numbers")],
)  # fmt: skip
def test_answers_of_no_one_shape_are_errors_that_say_which(kind: Kind, said: Any, odd: str) -> None:
    """Ragged lists, an object among numbers, a number beyond any double."""
    with pytest.raises(DataError, match=f"^old: found .*({odd})"):
        as_output(said, Signature((), kind, (0, 1) if kind == "binary" else ()), "old")


def test_lists_in_lists_are_no_labels() -> None:
    with pytest.raises(DataError, match=r"found the answer \[\[0\.5\], \[0\.5\]\], expected one number a row"):
        as_output([[[0.5], [0.5]]], Signature((), "binary", (0, 1)), "old")
