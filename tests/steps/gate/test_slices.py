"""No part of the rows may lose, and a part that is missing or small never ships."""

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

from incumbent.config import Gate, Slice
from incumbent.records import Evidence
from incumbent.steps import gate

SETTINGS = Gate(suspicious_if_better_by=0.0, min_slice_size=100)
Floats = npt.NDArray[np.float64]


def rows(gains: dict[str, float], n: int = 400, seed: int = 0) -> tuple[Floats, Floats, list[str]]:
    """Losses of two versions, the candidate better by so much in each part of `n` rows."""
    g = np.random.default_rng(seed)
    names = [name for name in gains for _ in range(n)]
    base = g.uniform(size=len(names))
    return base, base - np.array([gains[name] for name in names]) + g.normal(0.0, 0.05, len(names)), names


def judged(gains: dict[str, float], *slices: Slice, n: int = 400, **more: Any) -> Evidence:
    old, new, names = rows(gains, n)
    columns = more.pop("columns", {"depot": gate.labels(names)})
    return gate.judge(old, new, None, replace(SETTINGS, slice=slices, **more), "v2", "v1", 0, columns=columns)


def line(found: Evidence, rule: str) -> dict[str, Any]:
    (one,) = [one for one in found.numbers["rules"] if one["rule"] == rule]
    return dict(one)


def test_a_part_that_loses_holds_a_candidate_that_gains_in_the_mean() -> None:
    """The mean ships, the north loses a tenth: held, and the line names it."""
    found = judged({"north": -0.1, "south": 0.1, "east": 0.1}, Slice("depot", no_worse_than=0.01))
    assert line(found, "better_by")["verdict"] == "ship"
    assert line(found, "no_worse_than (depot = north)")["verdict"] == "hold"
    assert line(found, "no_worse_than (depot = south)")["verdict"] == "ship"
    assert found.verdict == "hold" and "depot = north" in found.sentence


def test_every_part_inside_its_margin_ships() -> None:
    """The sentence counts the other rules that are met, and does not list them."""
    found = judged({"north": 0.02, "south": 0.02}, Slice("depot", no_worse_than=0.02))
    assert found.verdict == "ship" and "2 other rules are met" in found.sentence


def test_a_named_part_may_have_to_gain() -> None:
    """`better_by` for one value, the others unasked."""
    slices = Slice("depot", "north", better_by=0.05)
    assert judged({"north": 0.1, "south": 0.01}, slices).verdict == "ship"
    assert judged({"north": 0.01, "south": 0.1}, slices).verdict == "hold"


def test_a_missing_column_holds() -> None:
    """What was to be watched is not there: never shipped."""
    found = judged({"north": 0.1}, Slice("carrier", no_worse_than=0.01))
    assert found.verdict == "hold" and "no column 'carrier'" in found.sentence


def test_a_missing_or_small_value_is_not_enough_data() -> None:
    """No row, or too few of them, say how many would do."""
    missing = judged({"north": 0.1}, Slice("depot", "west", no_worse_than=0.01))
    small = judged({"north": 0.1}, Slice("depot", "north", no_worse_than=0.01, min_slice_size=500))
    for found, least in ((missing, 100), (small, 500)):
        assert (found.verdict, found.numbers["rows_needed"]) == ("not_enough_data", least)


def test_small_values_are_judged_together() -> None:
    """Each too small by itself: one line for them all, so that nobody hides in small parts."""
    names = [f"d{i % 20}" for i in range(800)]
    g = np.random.default_rng(1)
    base = g.uniform(size=800)
    settings = replace(SETTINGS, slice=(Slice("depot", no_worse_than=0.01),))
    columns = {"depot": gate.labels(names)}
    found = gate.judge(base, base + 0.1, None, settings, "v2", "v1", 0, columns=columns)
    assert line(found, "no_worse_than (depot: 20 smaller values together)")["verdict"] == "hold"


def test_a_few_small_values_do_not_stand_in_the_way() -> None:
    """Where large values carry the column, what is left over in tiny ones is no line of its own."""
    old, new, names = rows({"north": 0.1, "south": 0.1})
    names[:5] = ["odd"] * 5
    settings = replace(SETTINGS, slice=(Slice("depot", no_worse_than=0.01),))
    found = gate.judge(old, new, None, settings, "v2", "v1", 0, columns={"depot": gate.labels(names)})
    assert found.verdict == "ship" and sum(one["slice"] is not None for one in found.numbers["rules"]) == 2


def test_an_id_is_no_slice() -> None:
    """Hundreds of values hold, and the sentence says what to do."""
    names = [str(i) for i in range(800)]
    old, new, _ = rows({"north": 0.1, "south": 0.1})
    settings = replace(SETTINGS, slice=(Slice("serial", no_worse_than=0.01),))
    found = gate.judge(old, new, None, settings, "v2", "v1", 0, columns={"serial": gate.labels(names)})
    assert found.verdict == "hold" and "800 values" in found.sentence


def test_numbers_booleans_and_nulls_are_values() -> None:
    """3 and 3.0 are one, null and NaN are one; a TOML value finds them."""
    found = gate.labels([3, 3.0, None, float("nan"), True, "x"])
    assert found.names == ("3", "(null)", "true", "x")
    assert found.codes.tolist() == [0, 0, 1, 1, 2, 3]


def test_many_slices_do_not_raise_the_chance_of_a_false_pass() -> None:
    """Ten parts, each worse by exactly the margin: all must hold, so they pass together hardly ever."""
    passed = 0
    for seed in range(200):
        old, new, names = rows({f"d{i}": -0.01 for i in range(10)}, n=100, seed=seed)
        settings = replace(SETTINGS, no_worse_than=0.02, slice=(Slice("depot", no_worse_than=0.01),))
        columns = {"depot": gate.labels(names)}
        passed += gate.judge(old, new, None, settings, "v2", "v1", 0, columns=columns).verdict == "ship"
    assert passed <= stats.binom.ppf(1 - 1e-4, 200, 0.05)


def test_slices_of_a_metric_without_row_loss() -> None:
    """roc_auc by part; a part with one class only lacks data."""
    from incumbent.stats import metrics

    g = np.random.default_rng(3)
    truth = g.integers(0, 2, 1_000)
    names = ["north"] * 500 + ["south"] * 500

    def ranked(signal: float) -> Floats:
        p = 1 / (1 + np.exp(-(signal * (truth - 0.5) + g.normal(size=1_000))))
        return np.column_stack([1 - p, p])

    auc, settings = metrics.get("roc_auc", "binary"), replace(SETTINGS, slice=(Slice("depot", no_worse_than=0.05),))
    old, new, columns = ranked(0.5), ranked(2.0), {"depot": gate.labels(names)}
    assert gate.judge_outputs(auc, truth, old, new, None, settings, "v2", "v1", 0, columns=columns).verdict == "ship"
    truth = np.where(np.arange(1_000) < 500, truth, 1)
    found = gate.judge_outputs(auc, truth, old, new, None, settings, "v2", "v1", 0, columns=columns)
    assert line(found, "no_worse_than (depot = south)")["verdict"] == "not_enough_data"
