"""A look back at a file: the columns it needs, the cells it refuses, and what two logs say of each other."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from incumbent.errors import ConfigError, DataError, NotEnoughData, RowError
from incumbent.project import lookback as reading
from incumbent.project.lookback import Columns

NAMES = Columns("click", "chance", "new")
LOGS = replace(NAMES, policy="", action="item")


def decisions(n: int = 3_000, seed: int = 0, shares: tuple[float, ...] = (0.5, 0.5)) -> pd.DataFrame:
    """Items that earn .2 and .5; a new policy that shows the second nine times of ten; users that come ten times."""
    rng = np.random.default_rng(seed)
    item = rng.choice(2, n, p=shares)
    return pd.DataFrame({
        "item": np.array(["a", "b"])[item], "click": (rng.random(n) < np.array([0.2, 0.5])[item]).astype(int),
        "chance": np.array(shares)[item], "new": np.array([0.1, 0.9])[item], "age": rng.integers(20, 60, n),
        "user": np.arange(n) // 10, "expected": np.array([0.2, 0.5])[item], "expected_new": 0.47,
    })  # fmt: skip


def test_a_better_policy_in_a_file() -> None:
    evidence = reading.of_file(decisions(), NAMES, at=0)
    assert evidence.verdict == "better"
    assert evidence.numbers["lookback"]["value"]["value"] == pytest.approx(0.47, abs=0.04)


def test_estimates_of_a_model_may_be_given() -> None:
    names = replace(NAMES, model="expected", model_new="expected_new", unit="user")
    found = reading.of_file(decisions(), names, at=0).numbers["lookback"]
    assert found["estimator"] == "doubly robust" and found["units"] == 300
    with pytest.raises(ConfigError, match="--model and --model-new go together"):
        reading.of_file(decisions(), replace(NAMES, model="expected"), at=0)


def test_another_log_says_what_its_policy_does() -> None:
    """Its shares are the probabilities; its rewards, where it has some, are measured and come first."""
    other = decisions(seed=1, shares=(0.1, 0.9))
    measured, looked = reading.of_logs(decisions(), other, LOGS, at=0, subject="other", reference="log")
    assert measured.verdict == looked.verdict == "better"
    of_looked, of_measured = looked.numbers["lookback"]["value"], measured.numbers["lookback"]["value"]
    assert abs(of_looked["value"] - of_measured["value"]) < 4 * np.hypot(
        of_looked["standard_error"], of_measured["standard_error"]
    )
    (alone,) = reading.of_logs(decisions(), other.drop(columns="click"), LOGS, at=0)
    assert alone.numbers["lookback"]["value"] == of_looked


def test_a_context_makes_it_doubly_robust() -> None:
    found = reading.of_logs(decisions(), decisions(seed=1), replace(LOGS, context=("age",)), at=0)[-1]
    assert found.numbers["lookback"]["estimator"] == "doubly robust"


def test_actions_that_were_never_logged() -> None:
    """A third of what the other policy does is not in the log: refused."""
    other = decisions(seed=1).assign(item=lambda rows: np.where(rows.index % 3 == 0, "c", rows["item"]))
    looked = reading.of_logs(decisions(), other, LOGS, at=0)[-1]
    assert looked.verdict == "not_enough_data" and "never logged" in looked.sentence
    elsewhere = reading.of_logs(decisions(), other.assign(item="d"), replace(LOGS, context=("age",)), at=0)[-1]
    assert "nothing that was logged" in elsewhere.sentence


def test_a_unit_may_be_missing() -> None:
    """A row without one stands for itself."""
    rows = decisions().astype({"user": object})
    rows.loc[:9, "user"] = None
    found = reading.of_file(rows, replace(NAMES, unit="user"), at=0).numbers["lookback"]
    assert found["units"] == 299 + 10


WRONG: list[tuple[str, Any, str]] = [
    ("chance", 0.0, "above 0 and at most 1"),
    ("chance", 1.5, "above 0 and at most 1"),
    ("chance", -0.1, "above 0 and at most 1"),
    ("chance", None, "above 0 and at most 1"),
    ("chance", "often", "above 0 and at most 1"),
    ("click", "yes", "a finite number"),
    ("click", None, "a finite number"),
    ("click", float("inf"), "a finite number"),
    ("new", 1.01, "a probability from 0 to 1"),
    ("new", None, "a probability from 0 to 1"),
]


@pytest.mark.parametrize(("column", "value", "expected"), WRONG)
def test_a_wrong_cell_is_named(column: str, value: Any, expected: str) -> None:
    """Row, column, what was found and what was expected."""
    rows = decisions(50).astype(object)
    rows.loc[7, column] = value
    with pytest.raises(RowError) as caught:
        reading.of_file(rows, NAMES, at=0)
    assert (caught.value.row, caught.value.column) == (7, column)
    assert caught.value.found == value and expected in str(caught.value)


def test_an_action_without_a_name() -> None:
    rows = decisions(50)
    rows.loc[3, "item"] = None
    with pytest.raises(RowError, match="row 3, column 'item': found None"):
        reading.of_logs(rows, decisions(50), LOGS, at=0)


@pytest.mark.parametrize("field", ["reward", "propensity", "policy", "unit", "model"])
def test_an_unknown_column_is_named_with_those_there_are(field: str) -> None:
    names = replace(replace(NAMES, model="expected", model_new="expected"), **{field: "clicks"})  # type: ignore[arg-type]
    with pytest.raises(DataError, match="column 'clicks': no such column; found item, click"):
        reading.of_file(decisions(50), names, at=0)


def test_an_empty_file_and_no_action() -> None:
    with pytest.raises(NotEnoughData, match="no row"):
        reading.of_file(decisions(50).iloc[:0], NAMES, at=0)
    with pytest.raises(ConfigError, match="--action"):
        reading.of_logs(decisions(50), decisions(50), replace(LOGS, action=""), at=0)
