"""Each naive rule answers as its sentence says, for a row alone as among others, and survives its JSON."""

from typing import Any

import numpy as np
import pytest

from incumbent.config import Versions
from incumbent.errors import ArtefactRefused
from incumbent.records import Column, Signature
from incumbent.runtimes.base import Opening, checked
from incumbent.runtimes.grouping import group_keys
from incumbent.runtimes.rule import Rule, load, pack

COLUMNS = (
    Column("carrier", "string"),
    Column("score", "number"),
    Column("lag_1", "number"),
    Column("lag_2", "number"),
    Column("lag_3", "number"),
)
BINARY = Signature(COLUMNS, "binary", ("no", "yes"))
NUMBER = Signature(COLUMNS, "forecast")
ROWS = {
    "carrier": np.array(["UA", "DL", None, "XX"], dtype=object),
    "score": np.array([0.2, 0.9, np.nan, 1.0]),
    "lag_1": np.array([4.0, 1.0, np.nan, np.nan]),
    "lag_2": np.array([3.0, np.nan, 5.0, np.nan]),
    "lag_3": np.array([2.0, 3.0, 1.0, np.nan]),
}
TABLE = {"UA": [0.9, 0.1], "DL": [0.6, 0.4]}

CLASS_RULES: list[tuple[dict[str, Any], list[float]]] = [
    ({"rule": "prior", "probabilities": [0.75, 0.25]}, [0.25, 0.25, 0.25, 0.25]),
    ({"rule": "most_frequent", "class": 0}, [0, 0, 0, 0]),
    ({"rule": "group_rate", "column": "carrier", "table": TABLE, "default": [0.7, 0.3]}, [0.1, 0.4, 0.3, 0.3]),
    ({"rule": "column", "column": "score", "default": 0.5}, [0.2, 0.9, 0.5, 1.0]),
]
NUMBER_RULES: list[tuple[dict[str, Any], list[float]]] = [
    ({"rule": "constant", "value": 3}, [3, 3, 3, 3]),
    ({"rule": "group_mean", "column": "carrier", "table": {"UA": 7}, "default": 1}, [7, 1, 1, 1]),
    ({"rule": "lag", "column": "lag_2", "default": 9}, [3, 9, 5, 9]),
    ({"rule": "window_mean", "columns": ["lag_1", "lag_2", "lag_3"], "default": 9}, [3, 2, 3, 9]),
    ({"rule": "drift", "first": "lag_3", "last": "lag_1", "steps": 2, "horizon": 2, "default": 9}, [6, -1, 9, 9]),
]


@pytest.mark.parametrize(("spec", "positive"), CLASS_RULES)
def test_a_rule_for_classes_gives_probabilities(spec: dict[str, Any], positive: list[float]) -> None:
    """The second column is the probability of the positive class; null and unknown groups get the default."""
    rule = Rule(spec, BINARY)
    assert checked(rule.predict(ROWS), BINARY, 4)[:, 1].tolist() == pytest.approx(positive)


@pytest.mark.parametrize(("spec", "numbers"), NUMBER_RULES)
def test_a_rule_for_numbers_gives_numbers(spec: dict[str, Any], numbers: list[float]) -> None:
    """Null lags get the default."""
    assert checked(Rule(spec, NUMBER).predict(ROWS), NUMBER, 4).tolist() == pytest.approx(numbers)


@pytest.mark.parametrize(
    ("spec", "signature"), [(s, BINARY) for s, _ in CLASS_RULES] + [(s, NUMBER) for s, _ in NUMBER_RULES]
)
def test_a_stored_rule_answers_a_row_alone_as_among_others(spec: dict[str, Any], signature: Signature) -> None:
    """The answer depends on the row only, and the stored rule is the same rule."""
    opening = Opening(signature, Versions())
    part, content = pack(Rule(spec, signature), opening)
    again = load(content, opening)
    assert part == "rule.json"
    whole = again.predict(ROWS)
    for i in range(4):
        assert np.array_equal(again.predict({k: v[i : i + 1] for k, v in ROWS.items()})[0], whole[i])


def test_a_stratified_draw_follows_the_shares_and_repeats() -> None:
    """Of 4,000 rows a quarter is drawn positive (within 4 standard errors), and the same rows again."""
    signature = Signature((Column("n", "integer"),), "binary", (0, 1))
    rule = Rule({"rule": "stratified", "probabilities": [0.75, 0.25]}, signature)
    rows = {"n": np.arange(4000.0)}
    drawn = rule.predict(rows)
    assert abs(drawn[:, 1].mean() - 0.25) < 4 * np.sqrt(0.25 * 0.75 / 4000)
    assert np.array_equal(rule.predict({"n": rows["n"][::-1]})[::-1], drawn)


def test_keys_of_a_table_are_what_json_writes() -> None:
    """Whole numbers without a point, booleans in lower case, null as None."""
    assert group_keys(np.array([1.0, np.nan]), "boolean") == ["true", None]
    assert group_keys(np.array([1.0, np.nan]), "integer") == ["1", None]
    assert group_keys(np.array([0.5, 2.0]), "number") == ["0.5", "2.0"]
    assert group_keys(np.array(["a", None], dtype=object), "string") == ["a", None]


@pytest.mark.parametrize(
    ("spec", "signature", "message"),
    [
        ({"rule": "oracle"}, BINARY, "found the rule 'oracle', expected one of prior"),
        ({"rule": "prior"}, BINARY, "lacks probabilities"),
        ({"rule": "constant", "value": 1}, BINARY, "does not suit a task of kind 'binary'"),
        ({"rule": "prior", "probabilities": [1.0]}, NUMBER, "does not suit a task of kind 'forecast'"),
        ({"rule": "lag", "column": "lag_9", "default": 0}, NUMBER, "reads lag_9"),
        ({"rule": "lag", "column": "carrier", "default": 0}, NUMBER, "carrier holds strings"),
        ({"rule": "column", "column": "score"}, Signature(COLUMNS, "multiclass", (0, 1, 2)), "one probability"),
    ],
)
def test_a_rule_that_cannot_answer_is_refused(spec: dict[str, Any], signature: Signature, message: str) -> None:
    """At construction, not at the first request."""
    with pytest.raises(ArtefactRefused, match=message):
        Rule(spec, signature)
