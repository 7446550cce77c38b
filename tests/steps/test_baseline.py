"""Step 1: the naive rules, their order, their intervals, and what makes them worthless."""

import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from incumbent.config import Task
from incumbent.errors import ConfigError, DataError
from incumbent.records import Column, Kind, Signature
from incumbent.runtimes.rule import Rule
from incumbent.stats import metrics
from incumbent.steps import StepResult, baseline

Array = npt.NDArray[Any]
SIDES = Signature((Column("shop", "string"), Column("age", "number")), "binary", (0, 1))


def task(kind: Kind, metric: str, **more: Any) -> Task:
    return Task("test", kind, "y", metric, **more)


def shops(n: int, seed: int = 0) -> tuple[dict[str, Array], Array]:
    """Two shops that sell at .2 and .7, and an age that says nothing."""
    generator = np.random.default_rng(seed)
    shop = generator.choice(np.array(["a", "b"], dtype=object), n)
    columns = {"shop": shop, "age": generator.normal(40, 9, n)}
    return columns, (generator.uniform(size=n) < np.where(shop == "a", 0.2, 0.7)).astype(np.int64)


def fitted(metric: str = "brier", n: int = 2_000) -> StepResult:
    columns, truth = shops(n)
    held, held_truth = shops(1_000, seed=1)
    chosen = metrics.get(metric, "binary")
    return baseline.fit(columns, truth, SIDES, chosen, task("binary", metric), (held, held_truth, None), at=7)


def test_the_best_single_column_wins_and_the_rest_is_listed_in_order() -> None:
    """Classes: the group rate comes first, every rule has evidence, values rise down the list."""
    found = fitted()
    assert found.proposals[0].description == "rate by shop"
    assert {proposal.predictor["rule"] for proposal in found.proposals} == {
        "group_rate", "prior", "most_frequent", "stratified",
    }  # fmt: skip
    values = [evidence.numbers["value"] for evidence in found.evidence[:4]]
    assert values == sorted(values) and len(found.proposals) == 4
    verdicts = ["best", "beaten", "beaten", "beaten", "listed", "listed"]
    assert [evidence.verdict for evidence in found.evidence] == verdicts
    assert found.evidence[0].at == 7 and "perfect is 0" in found.evidence[0].sentence


def test_the_value_is_that_of_the_rule_on_the_held_out_rows() -> None:
    """What the evidence says is what the proposed rule scores when it answers."""
    found = fitted()
    held, truth = shops(1_000, seed=1)
    for proposal, evidence in zip(found.proposals, found.evidence[:4], strict=True):
        output = Rule(proposal.predictor, SIDES).predict(held)
        assert metrics.get("brier", "binary").value(output, truth) == evidence.numbers["value"]


def test_the_interval_covers_the_true_loss() -> None:
    """The prior's true Brier score, .2475, lies inside the 95 % interval in 90 % of 200 sets."""
    columns, truth = shops(20_000)
    metric = metrics.get("brier", "binary")
    inside = 0
    for seed in range(200):
        held, held_truth = shops(300, seed=100 + seed)
        found = baseline.fit(columns, truth, SIDES, metric, task("binary", "brier"), (held, held_truth, None))
        prior = next(e for e in found.evidence if e.numbers["rule"] == "prior")
        inside += prior.numbers["lower"] <= 0.2475 <= prior.numbers["upper"]
    assert inside >= 180  # coverage .95: fewer than 180 of 200 has a chance below .003


@pytest.mark.parametrize("metric", ["accuracy", "log_loss", "roc_auc", "f1", "average_precision"])
def test_every_metric_orders_by_its_own_direction(metric: str) -> None:
    """Higher-is-better metrics put the highest first; intervals hold the value."""
    found = fitted(metric)
    best = found.evidence[0].numbers
    others = [evidence.numbers["value"] for evidence in found.evidence if evidence.numbers["role"] == "rule"]
    assert best["value"] == (min(others) if metric == "log_loss" else max(others))
    assert best["lower"] <= best["value"] <= best["upper"]
    json.dumps(dict(best), allow_nan=False)


def test_a_refit_finds_the_same_rule_by_its_description() -> None:
    """`only` fits the one rule on all rows, without evidence; an unknown description is an error."""
    columns, truth = shops(500)
    metric, of = metrics.get("brier", "binary"), task("binary", "brier")
    again = baseline.fit(columns, truth, SIDES, metric, of, only="rate by shop")
    assert [p.description for p in again.proposals] == ["rate by shop"] and not again.evidence
    with pytest.raises(ConfigError, match="rate by moon"):
        baseline.fit(columns, truth, SIDES, metric, of, only="rate by moon")


def test_small_groups_are_drawn_to_the_overall_rate() -> None:
    """One row of a shop does not make its rate 0 or 1, and an unseen shop gets the overall rate."""
    columns, truth = shops(1_000)
    columns["shop"][0], truth[0] = "rare", 1
    fitted_rule = baseline.fit(
        columns, truth, SIDES, metrics.get("brier", "binary"), task("binary", "brier"), only="rate by shop"
    ).proposals[0]
    overall = truth.mean()
    assert fitted_rule.predictor["table"]["rare"][1] == pytest.approx((1 + 10 * overall) / 11)
    asked = {"shop": np.array(["new", None], dtype=object), "age": np.zeros(2)}
    unseen = Rule(fitted_rule.predictor, SIDES).predict(asked)
    assert unseen[:, 1] == pytest.approx([overall, overall])


def test_three_classes_have_their_rules() -> None:
    """Multiclass: the same rules on three probabilities."""
    generator = np.random.default_rng(0)
    signature = Signature((Column("k", "integer"),), "multiclass", ("x", "y", "z"))
    k = generator.integers(0, 3, 900).astype(float)
    truth = np.where(generator.uniform(size=900) < 0.8, k, generator.integers(0, 3, 900)).astype(np.int64)
    found = baseline.fit(
        {"k": k[:600]}, truth[:600], signature, metrics.get("log_loss", "multiclass"),
        task("multiclass", "log_loss"), ({"k": k[600:]}, truth[600:], None),
    )  # fmt: skip
    assert found.proposals[0].description == "rate by k"


def test_numbers_have_mean_median_groups_and_an_existing_prediction() -> None:
    """Regression: a column that already is a prediction beats the group mean, which beats the mean."""
    generator = np.random.default_rng(0)
    signature = Signature((Column("town", "string"), Column("list_price", "number")), "regression")
    town = generator.choice(np.array(["u", "v"], dtype=object), 1_000)
    y = np.where(town == "u", 10.0, 30.0) + generator.normal(0, 5, 1_000)
    columns = {"town": town, "list_price": y + generator.normal(0, 2, 1_000)}
    first, later = ({k: v[part] for k, v in columns.items()} for part in (slice(600), slice(600, None)))
    found = baseline.fit(
        first, y[:600], signature, metrics.get("rmse", "regression"), task("regression", "rmse"),
        (later, y[600:], np.arange(400) // 20),
    )  # fmt: skip
    assert [p.description for p in found.proposals[:2]] == ["column list_price as it is", "mean by town"]
    assert {"mean", "median"} <= {p.description for p in found.proposals}
    assert found.evidence[0].numbers["n_blocks"] == 20


def test_a_quantile_metric_gets_its_quantile() -> None:
    """The 90 % quantile is the best constant for its own loss."""
    y = np.random.default_rng(0).exponential(size=2_000)
    signature = Signature((Column("x", "number"),), "regression")
    name = "quantile_loss_0.9"
    found = baseline.fit(
        {"x": y[:1_000] * 0}, y[:1_000], signature, metrics.get(name, "regression"), task("regression", name),
        ({"x": y[1_000:] * 0}, y[1_000:], None),
    )  # fmt: skip
    assert found.proposals[0].description == "0.9 quantile"


def lagged(series: Array, depth: int, horizon: int = 1) -> tuple[dict[str, Array], Array]:
    """Lag columns and targets of one series, as `runtimes.frames.lag_frame` defines them."""
    origins = np.arange(depth - 1, len(series) - horizon)
    return {f"lag_{k}": series[origins - k + 1] for k in range(1, depth + 1)}, series[origins + horizon]


def forecast(series: Array, metric: str = "absolute_error", **more: Any) -> StepResult:
    columns, y = lagged(series, 16, more.get("horizon", 1))
    signature = Signature(tuple(Column(name, "number") for name in columns), "forecast")
    cut = len(y) * 2 // 3
    return baseline.fit(
        {k: v[:cut] for k, v in columns.items()}, y[:cut], signature, metrics.get(metric, "forecast"),
        task("forecast", metric, **more), ({k: v[cut:] for k, v in columns.items()}, y[cut:], None),
    )  # fmt: skip


def weekly(n: int = 600, noise: float = 1.0) -> Array:
    generator = np.random.default_rng(5)
    return 20 + 10 * np.sin(2 * math.pi * np.arange(n) / 7) + generator.normal(0, noise, n)


@pytest.mark.parametrize("horizon", [1, 3, 7, 9])
def test_the_season_is_found_and_beats_the_last_value(horizon: int) -> None:
    """A weekly series: season 7 is found at any horizon, the last value called the wrong baseline."""
    found = forecast(weekly(), horizon=horizon)
    best = found.evidence[0]
    assert best.numbers["season"] == 7 and "the last value is the wrong baseline" in best.sentence
    assert best.numbers["scaled"] < (1.0 if horizon == 7 else 0.5)  # 7: the last value is last week's


def test_a_given_season_is_taken() -> None:
    """task.season is used as it stands, also where the data would not show it."""
    found = forecast(np.random.default_rng(0).normal(size=400), season=5)
    assert {p.facts.get("season") for p in found.proposals} == {None, 5}


def test_a_random_walk_keeps_the_last_value() -> None:
    """Nothing beats the last value of a random walk; drift and window means are listed, without warning."""
    found = forecast(np.cumsum(np.random.default_rng(1).normal(size=900)))
    assert found.proposals[0].description == "last value" and found.evidence[0].numbers["scaled"] == 1.0
    assert {"lag", "drift", "window_mean"} == {p.predictor["rule"] for p in found.proposals}
    assert found.evidence[0].numbers["warnings"] == []


def test_a_trend_is_drift() -> None:
    """A straight line is best continued."""
    found = forecast(np.arange(300.0) + np.random.default_rng(2).normal(0, 0.05, 300))
    assert found.proposals[0].predictor["rule"] == "drift"


@pytest.mark.parametrize(
    "leak",
    [lambda y: y * 1.0, lambda y: np.where(y == 1, "yes", "no").astype(object)],
    ids=["number", "text"],
)
def test_a_feature_that_knows_the_target_is_named(leak: Callable[[Array], Array]) -> None:
    """A copy of the target, as a number or as text, is called a leak; an honest column is not."""
    columns, truth = shops(2_000)
    known = leak(truth)
    kind = "string" if known.dtype == object else "number"
    signature = Signature((*SIDES.columns, Column("paid", kind)), "binary", (0, 1))  # type: ignore[arg-type]
    columns["paid"] = known
    first, later = ({k: v[part] for k, v in columns.items()} for part in (slice(1_500), slice(1_500, None)))
    found = baseline.fit(
        first, truth[:1_500], signature, metrics.get("brier", "binary"), task("binary", "brier"),
        (later, truth[1_500:], None),
    )  # fmt: skip
    warned = [w["column"] for w in found.evidence[0].numbers["warnings"] if w["trap"] == "leak"]
    assert warned == ["paid"] and "does it know the target?" in found.evidence[0].sentence


def test_rows_on_both_sides_of_the_split_are_counted() -> None:
    """Held-out rows copied from training are reported with their share; fresh rows are not."""
    columns, truth = shops(1_000)
    held, held_truth = shops(400, seed=1)
    copied = {k: np.concatenate([v[:200], columns[k][:200]]) for k, v in held.items()}
    labels = np.concatenate([held_truth[:200], truth[:200]])
    metric, of = metrics.get("brier", "binary"), task("binary", "brier")
    found = baseline.fit(columns, truth, SIDES, metric, of, (copied, labels, None))
    assert [w["share"] for w in found.evidence[0].numbers["warnings"]] == [0.5]
    clean = baseline.fit(columns, truth, SIDES, metric, of, (held, held_truth, None))
    assert clean.evidence[0].numbers["warnings"] == []


def test_unusable_labels_are_errors_that_say_why() -> None:
    """No label at all, one class only, a missing one among others, no lag column."""
    columns, truth = shops(50)
    metric, of = metrics.get("brier", "binary"), task("binary", "brier")
    with pytest.raises(DataError, match="none of the 50 rows has a label"):
        baseline.fit(columns, np.full(50, math.nan), SIDES, metric, of)
    with pytest.raises(DataError, match="all 50 labels are 1"):
        baseline.fit(columns, np.ones(50, dtype=int), SIDES, metric, of)
    with pytest.raises(DataError, match="row 3"):
        baseline.fit(columns, np.where(np.arange(50) == 3, math.nan, truth), SIDES, metric, of)
    with pytest.raises(DataError, match="lag_1"):
        baseline.fit(
            {"x": np.zeros(9)}, np.zeros(9), Signature((Column("x", "number"),), "forecast"),
            metrics.get("absolute_error", "forecast"), task("forecast", "absolute_error"),
        )  # fmt: skip


def test_the_same_rows_give_the_same_bytes() -> None:
    """Evidence repeats byte for byte."""
    first, second = (json.dumps([dict(e.numbers) for e in fitted("roc_auc").evidence]) for _ in range(2))
    assert first == second
