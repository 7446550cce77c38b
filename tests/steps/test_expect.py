"""What may be expected: the noise of equal rows, the quick model's curve, and the word on the goal."""

import json
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from incumbent.records import Column, Evidence, Signature
from incumbent.stats import metrics
from incumbent.steps.baseline import expect as step
from incumbent.steps.baseline.expect import Reference, Sample, expect, loss_of, value_of
from incumbent.steps.baseline.noise import noise, twins
from incumbent.steps.baseline.quick import fits, matrices, sizes_of

Array = npt.NDArray[Any]
BINARY = Signature((Column("shop", "string"), Column("day", "integer")), "binary", (0, 1))
NUMBERS = Signature(BINARY.columns, "regression")
BRIER = metrics.get("brier", "binary")


def rows(n: int, seed: int = 0, *, days: int = 40) -> tuple[dict[str, Array], Array]:
    """Twenty shops on so many days: the chance of each pair of them is its own, drawn once."""
    random = np.random.default_rng(seed)
    shop, day = random.integers(0, 20, n), random.integers(0, days, n)
    names = np.array([f"s{i}" for i in range(20)], dtype=object)
    return {"shop": names[shop], "day": day.astype(np.float64)}, chances(days)[shop, day]


def chances(days: int = 40) -> Array:
    table: Array = np.random.default_rng(99).uniform(0.1, 0.9, (20, 1)) * np.linspace(0.4, 1.1, days)[None, :]
    return table


def labelled(n: int, seed: int = 0) -> tuple[dict[str, Array], Array]:
    columns, p = rows(n, seed)
    return columns, (np.random.default_rng(seed + 1_000).random(n) < p).astype(np.int64)


def sample(n: int, held: int = 3_000) -> Sample:
    columns, truth = labelled(n)
    asked, answers = labelled(held, seed=1)
    return Sample(columns, truth, asked, answers, None, n)


def said(goal: float | None, n: int = 8_000, **more: Any) -> Evidence:
    floor = Reference("prior of the training rows", 0.25, 0.245, 0.255)
    return expect(sample(n), BINARY, BRIER, floor, goal, **more)


# --- the noise of equal rows


@pytest.mark.parametrize("seed", range(3))
def test_equal_rows_give_the_least_brier_score(seed: int) -> None:
    """The unbiased estimate of the mean p(1-p): inside five standard errors of the truth, its interval around it."""
    columns, truth = labelled(20_000, seed)
    found = noise(columns, truth, BINARY, BRIER)
    _, p = rows(20_000, seed)
    true = float(np.mean(p * (1 - p)))
    assert found.loss is not None and found.lower is not None and found.upper is not None
    error = (found.upper - found.lower) / 4
    assert abs(found.loss - true) < 5 * error and found.lower < found.loss < found.upper
    assert found.exact and found.share > 0.99


@pytest.mark.parametrize("name", ["accuracy", "zero_one", "log_loss"])
def test_a_bound_is_no_better_than_the_best_predictor(name: str) -> None:
    """Where equal rows give a bound only, the predictor that knows every chance does not beat it."""
    metric = metrics.get(name, "binary")
    columns, truth = labelled(20_000)
    _, p = rows(20_000)
    found = noise(columns, truth, BINARY, metric)
    assert metric.row_loss is not None and found.loss is not None and found.lower is not None
    best = float(np.mean(metric.row_loss(np.column_stack([1 - p, p]), truth)))
    assert 0.0 < found.lower < best and not found.exact


@pytest.mark.parametrize(("name", "least"), [("squared_error", 4.0), ("rmse", 4.0), ("absolute_error", 1.5958)])
def test_equal_rows_give_the_spread_of_numbers(name: str, least: float) -> None:
    """Normal noise of standard deviation 2: its variance is exact, its mean absolute deviation 1.596 is not passed."""
    columns, p = rows(20_000)
    truth = 10 * p + np.random.default_rng(5).normal(0, 2, len(p))
    found = noise(columns, truth, NUMBERS, metrics.get(name, "regression"))
    assert found.loss is not None
    assert found.loss == pytest.approx(least, rel=0.05) if name != "absolute_error" else found.loss < least


def test_more_than_two_classes_use_the_pairs_that_differ() -> None:
    """Three equally likely classes: sum of p(1-p) is 2/3, the best error 2/3, the entropy ln 3."""
    three = Signature((Column("shop", "string"),), "multiclass", ("a", "b", "c"))
    random = np.random.default_rng(0)
    columns = {"shop": np.array([f"s{i % 200}" for i in range(6_000)], dtype=object)}
    truth = random.integers(0, 3, 6_000)
    for name, true in (("brier", 2 / 3), ("zero_one", 2 / 3), ("log_loss", np.log(3))):
        found = noise(columns, truth, three, metrics.get(name, "multiclass")).loss
        assert found is not None and found <= true * 1.02
        assert name == "zero_one" or found == pytest.approx(true, rel=0.02)


def test_without_twins_there_is_no_ceiling() -> None:
    """Rows that all differ, and a metric that has no bound, say why."""
    columns = {"shop": np.array(["a"] * 500, dtype=object), "day": np.arange(500.0)}
    found = noise(columns, np.zeros(500), BINARY, BRIER)
    assert found.loss is None and "0 rows have a twin" in found.why
    assert "roc_auc" in noise(*labelled(2_000), BINARY, metrics.get("roc_auc", "binary")).why


def test_null_is_equal_to_null() -> None:
    columns = {"shop": np.array(["a", None, None, "a"], dtype=object), "day": np.array([1.0, np.nan, np.nan, 2.0])}
    groups, sizes = twins(columns)
    assert groups[1] == groups[2] and groups[0] != groups[3] and sorted(sizes.tolist()) == [1, 1, 2]


# --- the quick model


@given(st.integers(1, 10**7))
def test_sizes_are_halved_and_end_with_all_rows(n: int) -> None:
    sizes = sizes_of(n)
    assert len(sizes) <= 9 and (sizes >= 100).all()
    assert not len(sizes) or (sizes[-1] == n and (np.diff(sizes) > 0).all())


def test_words_become_numbers_the_same_on_both_sides() -> None:
    """Unseen and null words are NaN; a number array is as many columns as it is long."""
    left, right = matrices(
        {"w": np.array(["b", "a", None], dtype=object), "v": np.arange(6.0).reshape(3, 2)},
        {"w": np.array(["a", "z"], dtype=object), "v": np.zeros((2, 2))},
    )
    assert left.shape == (3, 3) and right.shape == (2, 3)
    assert left[:2, 0].tolist() == [1.0, 0.0] and np.isnan(left[2, 0])
    assert right[0, 0] == 0.0 and np.isnan(right[1, 0])


def test_the_same_rows_give_the_same_outputs() -> None:
    """Bit for bit: evidence of a rehearsal must repeat."""
    columns, truth = labelled(400)
    one, two = (fits(columns, truth, columns, BINARY, BRIER) for _ in range(2))
    assert all((a == b).all() for x, y in zip(one.outputs, two.outputs, strict=True) for a, b in zip(x, y, strict=True))
    assert len(one.outputs[0]) == 3 and len(one.outputs[-1]) == 1


@pytest.mark.parametrize(
    ("kind", "name", "truth"),
    [
        ("binary", "log_loss", np.r_[np.zeros(395), np.ones(5)]),
        ("multiclass", "log_loss", np.r_[np.zeros(200), np.ones(190), np.full(10, 2)]),
        ("regression", "absolute_error", np.linspace(0, 5, 400)),
        ("regression", "quantile_loss_0.9", np.linspace(0, 5, 400)),
        ("forecast", "squared_error", np.linspace(0, 5, 400)),
    ],
)
def test_every_kind_is_fitted_and_answers(kind: Any, name: str, truth: Array) -> None:
    """Few rows of a class, three classes, numbers: outputs of the right shape, and probabilities that are never 0."""
    columns, _ = labelled(400)
    classes = tuple(range(int(truth.max()) + 1)) if kind in ("binary", "multiclass") else ()
    found = fits(columns, truth, columns, Signature(BINARY.columns, kind, classes), metrics.get(name, kind))
    for output in (one for of_size in found.outputs for one in of_size):
        assert output.shape == ((400, len(classes)) if classes else (400,))
        assert not classes or ((output > 0).all() and np.allclose(output.sum(axis=1), 1.0))


# --- the word on the goal


def test_a_goal_beyond_the_noise_is_out_of_reach_of_any_model() -> None:
    found = said(0.05)
    assert found.verdict == "out_of_reach" and "out of reach of any model" in found.sentence
    assert found.numbers["noise"]["lower"] > 0.05


def test_a_goal_that_the_quick_model_has_is_reached() -> None:
    found = said(0.24)
    assert found.verdict == "reached" and found.numbers["rows_needed"]["rows"] == 8_000


def test_a_goal_between_takes_a_number_of_rows() -> None:
    """More than there are, and the law says of that number what was asked for."""
    at_last = said(None).numbers["curve"]
    here, ten = at_last["points"][-1]["value"], at_last["more"][1]["value"]
    found = said((here + ten) / 2)
    needed = found.numbers["rows_needed"]
    assert found.verdict == "reachable" and 8_000 < needed["rows"] < 80_000
    assert needed["lower"] >= 8_000
    law = found.numbers["curve"]["law"]
    assert law["a"] + law["b"] * needed["rows"] ** -law["c"] == pytest.approx((here + ten) / 2, rel=1e-3)


def test_a_goal_that_was_missed_takes_more_rows_than_missed_it() -> None:
    """Wherever the smooth curve crosses it: the guess lies in its own interval, and not below the largest size."""
    curve: Any = SimpleNamespace(
        points=[SimpleNamespace(n_rows=8_000)], law=(0.1, 1.0, 0.5), rows_for=lambda wanted: (7_000.0, 6_000.0, 7_500.0)
    )
    told: list[str] = []
    verdict, _, needed = step._with_rows(curve, 0.11, 0.11, BRIER, told, 8_000)
    assert verdict == "reachable" and needed == {"rows": 8_000.0, "lower": 8_000.0, "upper": 8_000.0}
    assert "about 8,000 rows" in told[0]


def test_a_goal_below_the_curve_and_above_the_noise_takes_another_model() -> None:
    """Without twins nothing but the curve can say it."""
    columns, truth = labelled(8_000)
    columns["day"] = columns["day"] + np.random.default_rng(2).uniform(0, 1e-3, 8_000)
    asked, answers = labelled(3_000, seed=1)
    floor = Reference("prior", 0.25)
    found = expect(Sample(columns, truth, asked, answers, None, 8_000), BINARY, BRIER, floor, 0.01)
    assert found.verdict == "out_of_reach" and "this kind of model" in found.sentence
    assert found.numbers["noise"]["value"] is None and "twin" in found.sentence


def test_warns_of_a_goal_that_a_rule_reaches_and_of_one_that_people_do_not() -> None:
    assert "no better than the floor" in said(0.26).sentence
    assert "better than people: the desk reach 0.21" in said(0.2, people=[Reference("the desk", 0.21)]).sentence


def test_without_a_goal_it_says_so() -> None:
    found = said(None)
    assert found.verdict == "no_goal" and found.numbers["rows_needed"] is None


def test_few_rows_are_not_enough_data() -> None:
    found = said(0.15, n=500)
    assert found.verdict == "not_enough_data" and "Not enough data" in found.sentence
    assert found.numbers["curve"]["more"] == [] and len(found.numbers["curve"]["points"]) == 3


@pytest.mark.parametrize("n", [20, 99, 100])
def test_hardly_any_rows_have_a_floor_all_the_same(n: int) -> None:
    """No size of 100 rows, or one: no curve, and no crash."""
    found = said(0.1, n=n)
    assert found.verdict == "not_enough_data" and "Floor (prior of the training rows)" in found.sentence
    assert len(found.numbers["curve"]["points"]) == n // 100
    json.dumps(found.numbers, allow_nan=False)


def test_nothing_to_learn_puts_the_goal_out_of_reach() -> None:
    """Labels without any tie to the features: whatever the curve does, it does not go below the prior."""
    columns, _ = labelled(4_000)
    random = np.random.default_rng(77)  # another stream than that of the features
    asked, _ = labelled(3_000, seed=1)
    one = Sample(columns, random.integers(0, 2, 4_000), asked, random.integers(0, 2, 3_000), None, 4_000)
    found = expect(one, BINARY, BRIER, Reference("prior", 0.25), 0.2)
    assert found.verdict == "out_of_reach" and found.numbers["noise"]["value"] == pytest.approx(0.25, abs=0.005)


@pytest.mark.parametrize("name", ["roc_auc", "accuracy", "f1"])
def test_a_metric_that_is_better_when_higher_rises(name: str) -> None:
    """The curve is in the metric's own values, whether it is a mean of row losses or not; its interval is ordered."""
    metric = metrics.get(name, "binary")
    found = expect(sample(6_000), BINARY, metric, Reference("prior", 0.5), 0.99)
    curve = found.numbers["curve"]
    assert curve["points"][-1]["value"] > curve["points"][0]["value"]
    assert all(one["lower"] <= one["value"] <= one["upper"] for one in [*curve["points"], *curve["more"]])
    assert found.verdict in ("out_of_reach", "not_enough_data")


def test_the_evidence_is_json_and_the_same_twice() -> None:
    """Bit for bit, without NaN: it goes to the ledger."""
    one, two = (json.dumps(said(0.2, n=2_000).numbers, allow_nan=False) for _ in range(2))
    assert one == two


@given(st.sampled_from(["brier", "accuracy", "roc_auc"]), st.floats(0.0, 1.0))
def test_value_and_loss_are_inverse(name: str, value: float) -> None:
    metric = metrics.get(name, "binary")
    assert value_of(loss_of(value, metric), metric) == pytest.approx(value)


def test_progress_ends_at_one() -> None:
    shares: list[float] = []
    said(None, n=1_000, progress=shares.append)
    assert shares == sorted(shares) and shares[-1] == 1.0
