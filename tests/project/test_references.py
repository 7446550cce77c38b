"""Systems that answer today are compared with: a column, a function, an address, an MLflow model; none is served."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from parcels import day, write

from incumbent.errors import ConfigError, DataError, MissingExtra
from incumbent.project import Project, endpoint, open_project
from incumbent.project.references import as_output
from incumbent.records import Kind, Signature

FUNCTIONS = """

def by_weight(rows):
    assert "late" not in rows
    return 1 / (1 + np.exp(-rows["weight"]))


def by_words(rows):
    return ["perhaps"] * len(rows)


def too_short(rows):
    return [0.5]


def old_score(rows):
    return rows
"""


@pytest.fixture
def open_with(tmp_path: Path) -> Iterator[Any]:
    """A project whose `[baseline]` is the given TOML, with functions in its code file."""
    opened: list[Project] = []

    def opens(baseline: str, more: str = "", **options: Any) -> Project:
        folder = write(tmp_path / f"parcels-{len(opened)}", f"[baseline]\n{baseline}\n", **options)
        code = folder / "task.py"
        code.write_text(code.read_text() + FUNCTIONS + more)
        opened.append(open_project(folder, clock=lambda: day(50), actor="test"))
        return opened[-1]

    yield opens
    for project in opened:
        project.close()


def test_a_function_of_the_code_file_is_a_reference(open_with: Any) -> None:
    """It sees features only, is scored on the held-out rows, and is no version; its answers are kept."""
    project = open_with('callables = ["by_weight"]')
    found = project.baseline(now=day(40))
    reference = next(e for e in found.evidence if e.subject == "function by_weight")
    assert reference.verdict == "reference" and reference.numbers["n_rows"] == found.evidence[0].numbers["n_rows"]
    assert reference.numbers["value"] < found.evidence[0].numbers["value"]
    assert [v.description for v in project.roles().versions.values()] == ["rate by depot"]
    kept = json.loads(project.facts.blobs.get(reference.numbers["answers"]))
    assert (kept["name"], len(kept["output"])) == ("function by_weight", reference.numbers["n_rows"])


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [("by_wait", ConfigError, "did you mean 'by_weight'"), ("by_words", DataError, "found the answer 'perhaps'"),
     ("too_short", DataError, "too_short: found an output of shape")],
)  # fmt: skip
def test_a_function_that_does_not_suit_is_an_error(open_with: Any, name: str, error: Any, words: str) -> None:
    """Nothing is registered then: the project asked for a comparison that cannot be made."""
    project = open_with(f'callables = ["{name}"]')
    with pytest.raises(error, match=words):
        project.baseline(now=day(40))
    assert project.roles().versions == {}


def test_a_column_that_is_a_feature_is_a_rule_and_any_other_a_reference(open_with: Any) -> None:
    """`weight` can be served; `old`, which no request carries, cannot."""
    more = """
_everything = everything


def everything():
    return _everything().assign(old=lambda rows: 1 / (1 + np.exp(-rows["weight"])))
"""
    found = open_with('columns = ["old"]', more).baseline(now=day(40))
    assert {e.subject: e.verdict for e in found.evidence}["column old"] == "reference"
    numbers = open_with('columns = ["weight"]', kind="regression", target="hours", metric="absolute_error")
    roles = {e.subject: e.numbers["role"] for e in numbers.baseline(now=day(40)).evidence}
    assert roles["column weight as it is"] == "declared"


def test_a_feature_that_is_no_probability_is_an_error(open_with: Any) -> None:
    """Whoever names it wants to see it, so that it is not left out in silence."""
    with pytest.raises(DataError, match=r"column weight as it is \(baseline\.columns\).*between 0 and 1"):
        open_with('columns = ["weight"]').baseline(now=day(40))


def test_a_column_that_is_not_there_is_an_error(open_with: Any) -> None:
    """It names what there is."""
    with pytest.raises(ConfigError, match=r"'old': no such column; found .*weight"):
        open_with('columns = ["old"]').baseline(now=day(40))


def test_a_system_behind_an_address_is_asked_about_some_rows(open_with: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """At most `url_rows`, evenly over the held-out ones, as JSON without the target."""
    asked: list[Any] = []

    def ask(settings: Any, rows: Any) -> list[Any]:
        asked.extend(rows)
        return [{"0": 0.7, "1": 0.3}] * len(rows)

    monkeypatch.setattr(endpoint, "ask", ask)
    found = open_with('url = "http://127.0.0.1:1/?key=secret"\nurl_rows = 50').baseline(now=day(40))
    reference = found.evidence[-1]
    assert (reference.subject, reference.numbers["n_rows"], len(asked)) == ("http://127.0.0.1:1/", 50, 50)
    assert set(asked[0]) == {"weight", "depot", "serial"}


def test_an_mlflow_model_is_asked_as_mlflow_would(open_with: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """`mlflow.pyfunc.load_model(uri).predict(DataFrame)`, by a stand-in for the package."""

    class Model:
        def predict(self, rows: pd.DataFrame) -> pd.DataFrame:
            return pd.DataFrame({"p": np.full(len(rows), 0.4)})

    pyfunc = ModuleType("mlflow.pyfunc")
    pyfunc.load_model = lambda uri: {"models:/parcels/1": Model()}[uri]  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "mlflow", ModuleType("mlflow"))
    monkeypatch.setitem(sys.modules, "mlflow.pyfunc", pyfunc)
    found = open_with('mlflow = "models:/parcels/1"').baseline(now=day(40))
    assert found.evidence[-1].subject == "MLflow model models:/parcels/1"
    with pytest.raises(DataError, match="models:/parcels/2"):
        open_with('mlflow = "models:/parcels/2"').baseline(now=day(40))


def test_without_mlflow_its_model_needs_the_extra(open_with: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says which `pip install` brings it."""
    for name in ("mlflow", "mlflow.pyfunc"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingExtra, match=r"incumbent\[mlflow\]"):
        open_with('mlflow = "models:/parcels/1"').baseline(now=day(40))


@pytest.mark.parametrize(
    ("kind", "classes", "said", "output"),
    [
        ("binary", (0, 1), [0.25, 1.0], [[0.75, 0.25], [0.0, 1.0]]),
        ("binary", ("n", "y"), ["y", "n"], [[0, 1], [1, 0]]),
        ("binary", (0, 1), np.array([[0.5, 0.5]]), [[0.5, 0.5]]),
        ("multiclass", ("a", "b", "c"), pd.Series(["c"]), [[0, 0, 1]]),
        ("multiclass", (1, 2, 3), [{"3": 0.5, "1": 0.5, "2": 0}], [[0.5, 0, 0.5]]),
        ("regression", (), pl.Series([1.5, 2.0]), [1.5, 2.0]),
        ("regression", (), pd.DataFrame({"y": [1, 2]}), [1, 2]),
    ],
)
def test_answers_come_in_many_shapes(kind: Kind, classes: Any, said: Any, output: Any) -> None:
    """One probability a row, labels, one a class, dicts by class; arrays, lists, columns, DataFrames."""
    assert as_output(said, Signature((), kind, classes), "old").tolist() == output


@pytest.mark.parametrize(
    ("kind", "classes", "said"),
    [("multiclass", ("a", "b", "c"), [0.2, 0.3]), ("regression", (), ["much"]), ("binary", (0, 1), [{"yes": 1.0}])],
)
def test_answers_that_say_too_little_are_errors(kind: Kind, classes: Any, said: Any) -> None:
    """One number for three classes, a word for a number, a class that nobody knows."""
    with pytest.raises(DataError, match="old"):
        as_output(said, Signature((), kind, classes), "old")
