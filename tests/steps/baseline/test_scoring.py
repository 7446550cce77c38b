"""Rolling origins, several series, references: what the held-out values are made of."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from incumbent import config
from incumbent.errors import DataError
from incumbent.records import Column, Signature
from incumbent.stats import metrics
from incumbent.steps import StepResult, baseline
from incumbent.steps.baseline import HeldOut, Origin, Reference

Array = npt.NDArray[Any]
LAGS = Signature((Column("lag_1", "number"), Column("lag_2", "number")), "forecast")
MAE = metrics.get("absolute_error", "forecast")
TASK = config.Task("t", "forecast", "y", "absolute_error", lags=2)


def lagged(series: Array) -> tuple[dict[str, Array], Array]:
    return {"lag_1": series[1:-1], "lag_2": series[:-2]}, series[2:]


def test_rules_are_fitted_again_at_each_origin() -> None:
    """A null lag is filled with the mean of what is known by then: 0 at the first origin, 8 times 10 later on."""
    train, y = lagged(np.zeros(10))
    held = {"lag_1": np.full(16, np.nan), "lag_2": np.full(16, np.nan)}
    truth = np.full(16, 10.0)
    first, second = np.arange(8), np.arange(8, 16)
    origins = (Origin(first, np.array([], dtype=np.int64)), Origin(second, first))
    found = baseline.fit(train, y, LAGS, MAE, TASK, HeldOut(held, truth, None, None, origins))
    last = next(e for e in found.evidence if e.subject == "last value")
    assert last.numbers["origins"] == [10.0, 5.0]  # the mean of 8 zeros and 8 tens is 5
    assert last.numbers["value"] == 7.5
    once = baseline.fit(train, y, LAGS, MAE, TASK, HeldOut(held, truth))
    assert next(e for e in once.evidence if e.subject == "last value").numbers["value"] == 10.0


def two_series(scale: float) -> StepResult:
    """A calm series where the mean of two is better, and one `scale` times as large where it is worse."""
    generator = np.random.default_rng(0)
    calm = 5 + generator.normal(size=402)
    walk = scale * generator.normal(size=402).cumsum()
    parts = [lagged(calm), lagged(walk)]
    columns = {k: np.concatenate([p[0][k] for p in parts]) for k in ("lag_1", "lag_2")}
    y = np.concatenate([p[1] for p in parts])
    series = np.repeat([0, 1], 400)
    return baseline.fit(columns, y, LAGS, MAE, TASK, HeldOut(columns, y, None, series))


def test_the_scaled_loss_is_the_mean_over_series() -> None:
    """However large one series is, its share of the last value's loss counts once."""
    small, large = two_series(1.0), two_series(1_000.0)
    each = [{e.subject: e.numbers["scaled"] for e in found.evidence} for found in (small, large)]
    scaled = [one["mean of the last 2 values"] for one in each]
    assert scaled[0] == pytest.approx(scaled[1])
    raw = {e.subject: e.numbers["value"] for e in large.evidence}
    assert raw["mean of the last 2 values"] / raw["last value"] != pytest.approx(scaled[1], rel=0.05)


def test_the_last_value_is_called_wrong_where_another_rule_leaves_far_less() -> None:
    """White noise around a level: the mean of two values is better than the last one."""
    generator = np.random.default_rng(1)
    train, held = lagged(generator.normal(size=600)), lagged(generator.normal(size=600))
    found = baseline.fit(*train, LAGS, MAE, TASK, HeldOut(*held))
    assert found.evidence[0].subject == "mean of the last 2 values"
    assert [w["trap"] for w in found.evidence[0].numbers["warnings"]] == ["last_value", "simple"]
    assert 0.75 < found.evidence[0].numbers["scaled"] < 0.95  # sqrt(3/4) = .866


def referred(output: Array, rows: Array | None = None) -> StepResult:
    signature = Signature((Column("x", "number"),), "regression")
    y = np.arange(40.0)
    task, metric = config.Task("t", "regression", "y", "absolute_error"), metrics.get("absolute_error", "regression")
    held = HeldOut({"x": y * 0}, y)
    return baseline.fit(
        {"x": y * 0}, y, signature, metric, task, held, references=(Reference("old system", output, rows, {"k": 1}),)
    )


def test_a_reference_is_scored_and_never_proposed() -> None:
    """It is the best of all, has rank 1, and still the best rule comes first."""
    found = referred(np.arange(40.0) + 0.5)
    assert found.evidence[0].verdict == "best" and found.evidence[0].numbers["rank"] == 2
    reference = found.evidence[-1]
    assert (reference.subject, reference.verdict, reference.numbers["rank"]) == ("old system", "reference", 1)
    assert reference.numbers["value"] == 0.5 and reference.numbers["k"] == 1
    assert "old system" not in {p.description for p in found.proposals}


def test_a_reference_may_have_answered_some_rows() -> None:
    """Its value is that of the rows it was asked about, and the evidence says how many."""
    found = referred(np.array([3.0, 9.0]), np.array([2, 7]))
    assert (found.evidence[-1].numbers["value"], found.evidence[-1].numbers["n_rows"]) == (1.5, 2)


@pytest.mark.parametrize("output", [np.arange(39.0), np.full(40, np.nan)])
def test_a_reference_that_does_not_suit_is_an_error(output: Array) -> None:
    """It names the reference: rows that lack, answers that are no numbers."""
    with pytest.raises(DataError, match="old system"):
        referred(output)
