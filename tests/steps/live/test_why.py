"""Why it got worse: the planted cause is blamed, with its share; nothing is blamed when nothing happened."""

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy.stats import binom

from incumbent.errors import DataError
from incumbent.stats import metrics
from incumbent.stats.profile import profile
from incumbent.steps.live.why import Case, Columns, Labels, Report, why

BRIER = metrics.get("brier", "binary")
HOUR = 3_600_000_000.0
Floats = npt.NDArray[np.float64]


def world(seed: int, n: int = 4000) -> tuple[dict[str, npt.NDArray[Any]], npt.NDArray[np.int64]]:
    """Rows whose truth depends on distance, wind and carrier; `hour` is noise."""
    rng = np.random.default_rng(seed)
    columns: dict[str, npt.NDArray[Any]] = {
        "distance": rng.gamma(4.0, 250.0, n),
        "wind": rng.normal(10.0, 3.0, n),
        "hour": rng.integers(0, 24, n).astype(np.float64),
        "carrier": rng.choice(np.array(["AA", "B6", "UA"], dtype=object), n),
    }
    return columns, (rng.random(n) < predict(columns)[:, 1]).astype(np.int64)


def predict(columns: Columns) -> Floats:
    """The registered artefact: the true probabilities, for what it knows."""
    late = (columns["carrier"] == "B6").astype(np.float64)
    wind = np.nan_to_num(columns["wind"], nan=10.0)
    score = 0.002 * (columns["distance"] - 1000.0) + 0.3 * (wind - 10.0) + late
    p = 1.0 / (1.0 + np.exp(-np.clip(score, -30, 30)))
    return np.column_stack([1.0 - p, p])


PAST, PAST_TRUTH = world(1, 20_000)
PROFILES = {name: profile(name, values) for name, values in PAST.items()}


def case(columns: Columns, truth: npt.NDArray[np.int64], **more: Any) -> Case:
    assert BRIER.row_loss is not None
    past = BRIER.row_loss(predict(PAST), PAST_TRUTH)
    return Case("v3", BRIER, columns, predict(columns), truth, past, PROFILES, predict, **more)


def blamed(report: Report) -> list[tuple[str, str | None]]:
    return [(finding.check, finding.column) for finding in report.blamed]


def test_when_nothing_changed_nothing_is_blamed() -> None:
    """40 clean worlds at 1 %: at most as many blamed as the binomial law allows."""
    reports = []
    for seed in range(100, 140):
        columns, truth = world(seed)
        reports.append(why(case(columns, truth, recomputed=columns), 0))
    assert sum(bool(report.blamed) for report in reports) <= binom.ppf(0.99, 40, 0.02)
    assert {evidence.numbers["check"] for evidence in reports[0].evidence} == {
        "measurement",
        "implementation",
        "preprocessing",
        "drift",
        "rest",
    }


def test_identical_data_blames_nothing() -> None:
    """The very rows of the training."""
    assert not why(case(PAST, PAST_TRUTH, recomputed=PAST), 0).blamed


def test_a_feed_that_changed_its_unit_is_named_by_the_recomputed_rows() -> None:
    """Row by row: km for miles, with nearly all of the drop."""
    columns, truth = world(2)
    served = {**columns, "distance": columns["distance"] * 1.609344}
    report = why(case(served, truth, recomputed=columns), 0)
    assert blamed(report) == [("preprocessing", "distance")]
    assert "km for miles" in report.blamed[0].sentence and "of the drop" in report.blamed[0].sentence
    assert (report.blamed[0].share_of_drop or 0) > 0.7


def test_a_changed_unit_is_found_without_recomputed_rows_too() -> None:
    """From the profile alone: one column drifted, and undoing the unit recovers the drop."""
    columns, truth = world(3)
    served = {**columns, "distance": columns["distance"] * 1.609344}
    report = why(case(served, truth), 0)
    assert blamed(report) == [("drift", "distance")]
    assert (report.blamed[0].share_of_drop or 0) > 0.7


def test_of_two_changed_columns_only_the_one_that_costs_is_blamed() -> None:
    """The hour moved as well, but the artefact does not use it: a notice, ranked behind."""
    columns, truth = world(4)
    served = {**columns, "wind": columns["wind"] + 6.0, "hour": columns["hour"] + 5.0}
    report = why(case(served, truth), 0)
    assert blamed(report) == [("drift", "wind")]
    assert [(f.column, f.verdict) for f in report.findings[:2]] == [("wind", "found"), ("hour", "notice")]
    assert "not shown to cost anything" in report.findings[1].sentence


def test_a_renamed_category_is_named() -> None:
    """B6 is served as b6, which the artefact does not know."""
    columns, truth = world(5, 8000)
    served = {
        **columns,
        "carrier": np.where(columns["carrier"] == "B6", "b6", columns["carrier"]).astype(object),
    }
    report = why(case(served, truth, recomputed=columns), 0)
    assert ("preprocessing", "carrier") in blamed(report)
    assert "'B6' was served as 'b6'" in report.blamed[0].sentence


def test_a_default_for_null_is_named() -> None:
    """A tenth of the winds is missing, and 0 was served in their place."""
    columns, truth = world(6)
    lost = np.random.default_rng(6).random(len(truth)) < 0.1
    recomputed = {**columns, "wind": np.where(lost, np.nan, columns["wind"])}
    report = why(
        case({**columns, "wind": np.where(lost, 0.0, columns["wind"])}, truth, recomputed=recomputed), 0
    )
    assert blamed(report)[0] == ("preprocessing", "wind")
    assert "0 was served for null" in report.blamed[0].sentence


def test_flipped_labels_do_not_blame_the_inputs() -> None:
    """A fifth of the labels is wrong: the inputs are as before, so labels or concept are what is left."""
    columns, truth = world(7)
    flipped = np.where(np.random.default_rng(7).random(len(truth)) < 0.2, 1 - truth, truth)
    report = why(case(columns, flipped, recomputed=columns), 0)
    assert blamed(report) == [("rest", None)]
    assert "labels are wrong" in report.blamed[0].sentence and report.blamed[0].share_of_drop == 1.0


def test_an_artefact_that_answers_differently_is_the_implementation() -> None:
    """What ran was another model: the registered one does not repeat the log, and would have done better."""
    columns, truth = world(8)
    wrong = predict({**columns, "wind": columns["wind"] * 0.0})
    report = why(replace(case(columns, truth), outputs=wrong), 0)
    assert blamed(report) == [("implementation", None)]
    assert (report.blamed[0].share_of_drop or 0) > 0.7


@pytest.mark.parametrize(("tolerance", "verdict"), [(1e-6, "found"), (1e-5, "clean")])
def test_a_compiled_twin_has_its_own_tolerance(tolerance: float, verdict: str) -> None:
    """Differences of 5e-6 are too much for the same code, and nothing for float32."""
    columns, truth = world(9)
    report = why(replace(case(columns, truth), outputs=predict(columns) + 5e-6, tolerance=tolerance), 0)
    assert next(e.verdict for e in report.evidence if e.numbers["check"] == "implementation") == verdict


def test_labels_that_come_less_often_or_later_are_a_matter_of_measurement() -> None:
    """Join rate from 97 to 80 %; median delay from 2 to 5 hours; each named with both figures."""
    columns, truth = world(10)
    rng = np.random.default_rng(10)
    before = Labels(5000, 4850, (rng.exponential(2 * HOUR, 2000)).tolist())
    now = Labels(2000, 1600, (rng.exponential(5 * HOUR, 1000)).tolist())
    report = why(case(columns, truth, labels_before=before, labels_now=now), 0)
    assert blamed(report) == [("measurement", None)] * 2
    assert "80.0% of the rows have a label, before 97.0%" in report.blamed[0].sentence
    same = why(case(columns, truth, labels_before=before, labels_now=Labels(2000, 1945, before.delays)), 0)
    assert not same.blamed


def test_a_broken_split_is_a_matter_of_measurement() -> None:
    """The first thing to look at."""
    columns, truth = world(11)
    report = why(case(columns, truth, split_p=1e-5), 0)
    assert blamed(report) == [("measurement", None)]


def test_what_cannot_be_looked_at_is_said() -> None:
    """No artefact, no profiles, no recomputed rows: each check says what it needs, and nothing is blamed."""
    columns, truth = world(12)
    report = why(replace(case(columns, 1 - truth), profiles={}, predict=None), 0)
    assert not report.blamed
    assert {e.numbers["check"]: e.verdict for e in report.evidence} == dict.fromkeys(
        ("measurement", "implementation", "preprocessing", "drift", "rest"), "not_enough_data"
    )


def test_a_metric_without_row_loss_and_rows_that_do_not_fit_are_errors() -> None:
    """There is no share of a drop in an area under a curve."""
    columns, truth = world(13)
    with pytest.raises(DataError, match="roc_auc is no mean of row losses"):
        why(replace(case(columns, truth), metric=metrics.get("roc_auc", "binary")), 0)
    with pytest.raises(DataError, match="found 3 truths"):
        why(replace(case(columns, truth), truth=truth[:3]), 0)
