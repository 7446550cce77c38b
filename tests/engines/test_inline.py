"""Whatever a predictor does in this process, the caller hears an answer in shape or a PredictError."""

from typing import Any

import numpy as np
import pytest

from incumbent.engines.inline import Inline
from incumbent.errors import BadOutput, PredictError, PredictTimeout
from incumbent.records import Column, Signature
from incumbent.runtimes.base import Columns

SIGNATURE = Signature((Column("x", "number"),), "binary", (0, 1))
ROWS: Columns = {"x": np.array([0.25, 0.75])}


class Given:
    """A predictor that does what it is given."""

    runtime = "rule"
    signature = SIGNATURE

    def __init__(self, answers: Any) -> None:
        self.answers = answers

    def predict(self, columns: Columns) -> Any:
        return self.answers(columns)


def both(columns: Columns) -> Any:
    return np.column_stack([1 - columns["x"], columns["x"]])


def test_it_answers() -> None:
    """Probabilities as the predictor gave them."""
    assert Inline("v1", Given(both)).predict(ROWS, 100).tolist() == [[0.75, 0.25], [0.25, 0.75]]


def test_an_exception_becomes_an_error_that_names_it() -> None:
    """Version, type and message are there; the cause is chained."""
    with pytest.raises(PredictError, match="v1 raised KeyError: 'y'") as failed:
        Inline("v1", Given(lambda columns: columns["y"])).predict(ROWS, 100)
    assert isinstance(failed.value.__cause__, KeyError)


@pytest.mark.parametrize(
    "answers",
    [
        lambda columns: np.full((2, 2), np.nan),
        lambda columns: np.array([[0.5, 0.5]]),
        lambda columns: np.array([[2.0, -1.0], [0.5, 0.5]]),
    ],
    ids=["nan", "too few rows", "no probabilities"],
)
def test_nonsense_is_no_answer(answers: Any) -> None:
    """NaN, another shape and what is no probability are BadOutput."""
    with pytest.raises(BadOutput):
        Inline("v1", Given(answers)).predict(ROWS, 100)


def test_a_late_answer_is_a_timeout() -> None:
    """It cannot be interrupted, but after its deadline the answer does not count."""
    ticks = iter([10.0, 10.2])
    with pytest.raises(PredictTimeout, match="took 200 ms, expected at most 100 ms"):
        Inline("v1", Given(both), clock=lambda: next(ticks)).predict(ROWS, 100)
