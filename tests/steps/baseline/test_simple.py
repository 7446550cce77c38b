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


# --- of a series


def ar2(n: int, seed: int, level: float = 50.0) -> Array:
    """y = level + 1.2 (y_1 - level) - .5 (y_2 - level) + noise: it swings, and comes back."""
    noise, values = np.random.default_rng(seed).normal(size=n + 100), [0.0, 0.0]
    for one in noise:
        values.append(1.2 * values[-1] - 0.5 * values[-2] + one)
    return level + np.array(values[102:])


def lagged(values: Array, depth: int = 4) -> tuple[dict[str, Array], Array]:
    return {f"lag_{k}": values[depth - k : len(values) - k] for k in range(1, depth + 1)}, values[depth:]


def of_series(several: int, setting: str = "listed", origins: bool = False, n: int = 600) -> StepResult:
    """Series on levels from 1 to a million, the last third held out."""
    cut, parts = n * 2 // 3, [lagged(ar2(n, i) * 10.0 ** (2 * i) if i else ar2(n, 0)) for i in range(several)]
    sides: list[tuple[dict[str, Array], Array]] = [
        ({k: np.concatenate([c[k][side] for c, _ in parts]) for k in parts[0][0]},
         np.concatenate([y[side] for _, y in parts]))
        for side in (slice(0, cut), slice(cut, None))
    ]  # fmt: skip
    (train, truth), (held, held_truth) = sides
    steps = len(held_truth) // several
    series = np.repeat(np.arange(several), steps)
    half = np.tile(np.arange(steps) < steps // 2, several)
    found = (baseline.Origin(np.flatnonzero(half), np.array([], dtype=np.int64)),
             baseline.Origin(np.flatnonzero(~half), np.flatnonzero(half))) if origins else ()  # fmt: skip
    task = config.Task("t", "forecast", "y", "absolute_error", series="name" if several > 1 else "")
    signature = Signature(tuple(Column(name, "number") for name in train), "forecast")
    return baseline.fit(
        train, truth, signature, metrics.get("absolute_error", "forecast"), task,
        baseline.HeldOut(held, held_truth, None, series if several > 1 else None, found),
        settings=config.Baseline(simple=setting),  # type: ignore[arg-type]
    )  # fmt: skip


def test_an_autoregression_finds_the_weights_of_its_series() -> None:
    """Of two lags, and nothing of the others: inside four standard errors, 1/sqrt(n) each."""
    columns, truth = lagged(ar2(5_000, 3))
    ((name, spec),) = simple.autoregression(columns, truth, 4, False)
    assert name == "autoregression on 4 lags"
    assert np.allclose(spec["weights"][0], [1.2, -0.5, 0.0, 0.0], atol=4 / np.sqrt(5_000))
    assert spec["intercept"][0] == pytest.approx(50 * (1 - sum(spec["weights"][0])), abs=0.5)


@pytest.mark.parametrize("origins", [False, True])
@pytest.mark.parametrize("several", [1, 3])
def test_an_autoregression_is_listed_beside_the_rules(several: int, origins: bool) -> None:
    """It leaves less than the last value in each series, large or small, and takes nobody's place."""
    result = of_series(several, origins=origins)
    found = next(e for e in result.evidence if e.subject == "autoregression on 4 lags")
    assert (found.verdict, found.numbers["role"], found.numbers["rank"]) == ("listed", "simple", 1)
    # On 20,000 rows least squares leaves .82 of the last value's loss, and .90 where weights must sum to 1.
    assert found.numbers["scaled"] == pytest.approx(0.82 if several == 1 else 0.9, abs=0.05)
    assert len(found.numbers["origins"]) == (2 if origins else 0)
    assert all(one.predictor["rule"] != "linear" for one in result.proposals)
    warned = result.evidence[0].numbers["warnings"]
    assert any(w["sentence"].startswith("an autoregression on 4 lags reaches") for w in warned)
    assert not any("wrong baseline: autoregression" in w["sentence"] for w in warned)


def test_an_autoregression_may_be_the_baseline_or_left_out() -> None:
    """As the project says."""
    assert of_series(1, "incumbent").proposals[0].description == "autoregression on 4 lags"
    assert "simple" not in {e.numbers["role"] for e in of_series(1, "off").evidence}


def test_several_series_are_forecast_wherever_they_lie() -> None:
    """A series moved by a constant is forecast moved by it, and one made larger is forecast larger."""
    columns, truth = lagged(ar2(500, 1))
    ((_, spec),) = simple.autoregression(columns, truth, 4, True)
    rule = Rule(spec, Signature(tuple(Column(name, "number") for name in columns), "forecast"))
    plain = rule.predict(columns)
    for factor, move in ((1.0, 1_000.0), (1_000.0, 0.0)):
        moved = {name: values * factor + move for name, values in columns.items()}
        assert np.allclose(rule.predict(moved), plain * factor + move, rtol=1e-9)


@pytest.mark.parametrize(
    ("values", "depth", "series"),
    [(np.ones(50), 3, False), (np.full(50, np.nan), 3, False), (np.arange(6.0), 3, False), (np.arange(50.0), 1, True)],
    ids=["constant", "null", "few rows", "one lag of several series"],
)
def test_what_no_line_goes_through_gives_none(values: Array, depth: int, series: bool) -> None:
    """Nothing varies, nothing is known, or there are more weights than rows."""
    assert simple.autoregression(*lagged(values, depth), depth, series) == []


def test_series_that_stand_still_keep_their_level() -> None:
    """Where no row moves there is nothing to learn but the mean of its lags."""
    columns = {f"lag_{k}": np.repeat([1.0, 9.0], 20) for k in (1, 2)}
    ((_, spec),) = simple.autoregression(columns, np.repeat([1.0, 9.0], 20), 2, True)
    assert spec["weights"] == [[0.5, 0.5]]
