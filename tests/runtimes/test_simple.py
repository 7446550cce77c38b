"""A tree and a line answer by themselves as worked out by hand, alone as among others."""

from typing import Any

import numpy as np
import pytest

from incumbent.config import Versions
from incumbent.errors import ArtefactRefused
from incumbent.records import Column, Signature
from incumbent.runtimes.base import Opening, checked
from incumbent.runtimes.rule import Rule, load, pack

COLUMNS = (Column("town", "string"), Column("age", "number"))
INPUTS = [
    {"column": "town", "fill": 0.3, "table": {"Graz": 0.1, "Linz": 0.9}},
    {"column": "age", "fill": 40.0, "table": None},
]
ROWS = {
    "town": np.array(["Graz", "Linz", None, "Rome"], dtype=object),
    "age": np.array([20.0, 60.0, np.nan, 41.0]),
}
TREE: dict[str, Any] = {
    "rule": "tree", "inputs": INPUTS, "input": [1, 0, 0, 0, 0], "threshold": [40.0, 0.2, 0.0, 0.0, 0.0],
    "left": [1, 2, -1, -1, -1], "right": [4, 3, -1, -1, -1], "values": [[0], [0], [1], [2], [3]],
}  # fmt: skip
LINE: dict[str, Any] = {
    "rule": "linear", "inputs": INPUTS, "weights": [[10.0, 0.5]], "intercept": [1.0], "link": "identity",
}  # fmt: skip


def test_a_tree_by_hand() -> None:
    """20 in Graz is left, left; 60 is right; a null is 40, which is at most 40, and an unknown town is 0.3."""
    signature = Signature(COLUMNS, "regression")
    assert Rule(TREE, signature).predict(ROWS).tolist() == [1, 3, 2, 3]


def test_a_line_by_hand() -> None:
    """1 + 10 x town + age / 2."""
    found = Rule(LINE, Signature(COLUMNS, "regression")).predict(ROWS)
    assert found.tolist() == pytest.approx([12.0, 40.0, 24.0, 24.5])


def test_links_give_probabilities() -> None:
    """Two classes by the logistic function, three by softmax; no overflow far out."""
    two = Signature(COLUMNS, "binary", (0, 1))
    steep = LINE | {"weights": [[1e6, 0.0]], "link": "sigmoid", "intercept": [-5e5]}
    assert checked(Rule(steep, two).predict(ROWS), two, 4)[:2, 1].tolist() == pytest.approx([0.0, 1.0])
    three = Signature(COLUMNS, "multiclass", ("a", "b", "c"))
    spec = LINE | {"weights": [[1e4, 0.0], [0.0, 0.0], [0.0, 1e4]], "intercept": [0.0, 0.0, 0.0], "link": "softmax"}
    assert checked(Rule(spec, three).predict(ROWS), three, 4).argmax(axis=1).tolist() == [2, 2, 2, 2]


@pytest.mark.parametrize("spec", [TREE, LINE])
def test_a_stored_model_answers_a_row_alone_as_among_others(spec: dict[str, Any]) -> None:
    """The same bits, and the stored rule is the same rule."""
    opening = Opening(Signature(COLUMNS, "regression"), Versions())
    again = load(pack(Rule(spec, opening.signature), opening)[1], opening)
    whole = again.predict(ROWS)
    for i in range(4):
        assert again.predict({k: v[i : i + 1] for k, v in ROWS.items()})[0] == whole[i]


def test_a_model_that_reads_what_is_not_there_is_refused() -> None:
    """A column that the signature lacks, and text read as a number."""
    signature = Signature(COLUMNS, "regression")
    with pytest.raises(ArtefactRefused, match="moon"):
        Rule(LINE | {"inputs": [INPUTS[0], INPUTS[1] | {"column": "moon"}]}, signature)
    with pytest.raises(ArtefactRefused, match="town holds strings"):
        Rule(LINE | {"inputs": [INPUTS[0] | {"table": None}]}, signature)
