"""The small models learn what is there to learn, and stand beside the rules without taking their place."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from incumbent import config
from incumbent.records import Column, Kind, Signature
from incumbent.runtimes.rule import Rule
from incumbent.stats import metrics
from incumbent.steps import StepResult, baseline
from incumbent.steps.baseline import simple

Array = npt.NDArray[Any]
COLUMNS = (Column("town", "string"), Column("age", "number"), Column("same", "number"))


def rows(n: int, seed: int) -> tuple[dict[str, Array], Array, Array]:
    """Columns, and a score that both columns make: no single one of them is enough."""
    generator = np.random.default_rng(seed)
    town = generator.choice(np.array(["u", "v", None], dtype=object), n)
    age = np.where(generator.uniform(size=n) < 0.1, np.nan, generator.normal(40, 10, n))
    score = (town == "u") * 2.0 + (np.nan_to_num(age, nan=40.0) - 40) / 10
    return {"town": town, "age": age, "same": np.ones(n)}, score, generator.normal(size=n)


def found(kind: Kind, metric: str, setting: str = "listed") -> StepResult:
    first, score, noise = rows(3_000, 0)
    later, later_score, later_noise = rows(1_000, 1)
    classes: dict[Kind, tuple[int, ...]] = {"binary": (0, 1), "multiclass": (0, 1, 2)}
    cuts: dict[Kind, list[float]] = {"binary": [1.0], "multiclass": [0.0, 1.5]}

    def target(value: Array) -> Array:
        return np.searchsorted(cuts[kind], value) if kind in cuts else value

    signature = Signature(COLUMNS, kind, classes.get(kind, ()))
    return baseline.fit(
        first, target(score + noise), signature, metrics.get(metric, kind), config.Task("t", kind, "y", metric),
        (later, target(later_score + later_noise), None), settings=config.Baseline(simple=setting),  # type: ignore[arg-type]
    )  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "metric", "line"),
    [("binary", "brier", simple.LOGISTIC), ("multiclass", "log_loss", simple.LOGISTIC),
     ("regression", "squared_error", simple.LINE)],
)  # fmt: skip
def test_both_are_listed_with_their_values_and_warned_of(kind: Kind, metric: str, line: str) -> None:
    """Two columns are better than one, so both beat every rule; the best rule stays the baseline all the same."""
    result = found(kind, metric)
    by_name = {evidence.subject: evidence for evidence in result.evidence}
    best = result.evidence[0].numbers
    for name in (simple.TREE, line):
        assert by_name[name].verdict == "listed"
        assert by_name[name].numbers["value"] < best["value"]
    assert {by_name[name].numbers["rank"] for name in (simple.TREE, line)} == {1, 2}
    assert all(proposal.predictor["rule"] not in ("tree", "linear") for proposal in result.proposals)
    assert [w["trap"] for w in best["warnings"]] == ["simple"]


def test_a_project_may_let_them_be_the_baseline() -> None:
    """`simple = "incumbent"`: the best of all comes first, and is proposed."""
    result = found("binary", "brier", "incumbent")
    assert result.evidence[0].numbers["role"] == "simple"
    assert result.proposals[0].description == result.evidence[0].subject
    assert result.evidence[0].numbers["warnings"] == []


def test_a_project_may_leave_them_out() -> None:
    """`simple = "off"`: nobody fits them."""
    assert {e.numbers["role"] for e in found("binary", "brier", "off").evidence} == {"rule"}


def test_the_value_is_that_of_the_model_when_it_answers() -> None:
    """A refit under its description answers with the value that the evidence says."""
    first, score, noise = rows(3_000, 0)
    later, later_score, later_noise = rows(1_000, 1)
    signature, metric = Signature(COLUMNS, "regression"), metrics.get("squared_error", "regression")
    task = config.Task("t", "regression", "y", "squared_error")
    values = {e.subject: e.numbers["value"] for e in found("regression", "squared_error").evidence}
    for name in (simple.TREE, simple.LINE):
        again = baseline.fit(first, score + noise, signature, metric, task, only=name).proposals[0]
        output = Rule(again.predictor, signature).predict(later)
        assert metric.value(output, later_score + later_noise) == pytest.approx(values[name], rel=1e-12)


def test_no_column_that_varies_gives_no_model() -> None:
    """A constant, and nothing else: there is nothing to split or to weigh."""
    signature = Signature((Column("same", "number"),), "regression")
    assert simple.models({"same": np.ones(50)}, np.arange(50.0), signature, {}) == []
