"""A plan says what a trial could show, in days: its power is what it says, and it refuses where the log is short."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.stats import binom

from incumbent.config import Live
from incumbent.records import DAY, Evidence
from incumbent.stats import metrics, sequential
from incumbent.stats.sequential import UnitSums
from incumbent.steps.live import growth, plan
from incumbent.steps.live.growth import Rows
from incumbent.steps.live.plan import BLOCK, HOUR, NEVER, Pairs, Traffic

METRIC = metrics.get("squared_error", "regression")
LIVE = Live(window_hours=12.0)


def traffic(days: float = 28.0, a_day: int = 400, delay_hours: float = 2.0, labelled: float = 0.9) -> Traffic:
    """A new unit each row, losses with mean 1 and deviation .5, labels that mostly come in two hours."""
    rng = np.random.default_rng(0)
    n = int(days * a_day)
    at = (np.arange(n) * DAY) // a_day
    known = np.where(rng.random(n) < labelled, at + (rng.exponential(delay_hours, n) * HOUR).astype(np.int64), NEVER)
    loss = np.where(known < NEVER, rng.normal(1.0, 0.5, n), np.nan)
    return Traffic(0, at, known, np.arange(n), loss)


def planned(rows: Traffic | None = None, live: Live = LIVE, days: float = 28.0, **more: Any) -> Evidence:
    rows = traffic(days) if rows is None else rows
    return plan.plan(rows, live, METRIC, int(days * DAY), incumbent="v1", **more)


def pairs(rows: Traffic, correlation: float) -> Pairs:
    """The losses of a version whose losses go with those that are there."""
    rng = np.random.default_rng(1)
    noise = rng.normal(0.0, 0.5, len(rows.at))
    other = 1.0 + correlation * (rows.loss - 1.0) + np.sqrt(1 - correlation**2) * noise
    counts = np.isfinite(rows.loss)
    return Pairs("replay", growth.blocks(rows.at, rows.loss, Rows(counts, counts), BLOCK, other))


def test_the_smallest_gain_of_a_split_is_that_of_its_standard_error() -> None:
    """Enrolled at once, 27.5 days of 360 labelled rows: 3.516 times √(4·.25/9,900), and as a share of the loss."""
    found = planned(live=Live(window_hours=12.0, enrol=(1.0,))).numbers["plan"]
    (month,) = [one for one in found["gains"] if one["days"] == 28]
    assert month["split"] == pytest.approx(3.516 * np.sqrt(4 * 0.25 / (27.5 * 360)), rel=0.03)
    assert month["split_share"] == pytest.approx(month["split"], rel=0.02)


def test_the_ramp_costs_days() -> None:
    """In steps of 2, 10, 50 and 100 % a week shows much less than with everybody enrolled at once."""
    at_once, ramped = (planned(live=one).numbers["plan"]["gains"][0]["split"]
                       for one in (Live(window_hours=12.0, enrol=(1.0,)), LIVE))  # fmt: skip
    assert ramped > 1.15 * at_once


def test_the_power_is_what_the_plan_says() -> None:
    """Trials with the smallest gain of a fortnight, looked at each day: promoted in time in 80 % of the cases."""
    live, runs = Live(window_hours=12.0, enrol=(1.0,)), 400
    found = planned(live=live).numbers["plan"]
    (gain,) = [one["split"] for one in found["gains"] if one["days"] == 14]
    rng = np.random.default_rng(2)
    a_day, won = 180, 0
    for _ in range(runs):
        challenger, incumbent = rng.normal(1.0 - gain, 0.5, (13, a_day)), rng.normal(1.0, 0.5, (13, a_day))
        n_star = 13 * a_day  # half of all that come
        for day in range(2, 14):
            sums = [UnitSums.of(arm[:day].ravel()) for arm in (incumbent, challenger)]
            bounds = sequential.difference_sequence(*sums, alpha=live.alpha, n_star=n_star, side="lower")
            if bounds.lower > 0.0:
                won += 1
                break
    assert won >= binom.ppf(0.01, runs, 0.8)


def test_correlated_losses_make_a_shadow_quick() -> None:
    """A correlation of .8 leaves a fifth of the variance of two: ten times fewer rows than in a split."""
    rows = traffic()
    evidence = planned(rows, pairs=pairs(rows, 0.8), candidate="v2")
    found = evidence.numbers["plan"]
    assert evidence.verdict == "shadow" and found["pairs"]["source"] == "replay"
    assert found["pairs"]["correlation"][0] == pytest.approx(0.8, abs=0.08)
    assert found["rows_ratio"] == pytest.approx([10.0, 10.0], rel=0.3)
    week, *longer = found["gains"]
    assert week["shadow"] == [None, None], "6.5 days hold 26 blocks of six hours, and a bound needs 30"
    assert longer and all(one["shadow"][0] < one["split"] for one in longer)


def test_without_pairs_a_range_is_assumed_and_said() -> None:
    """From .2 to .85: 2.5 to 13 times fewer rows, and two ends for each gain."""
    found = planned(effect=0.05).numbers["plan"]
    assert found["pairs"] == {"source": "assumed", "correlation": [0.2, 0.85]}
    assert found["rows_ratio"] == pytest.approx([2.5, 13.3], rel=0.05)
    assert all(one["shadow"][0] < one["shadow"][1] for one in found["gains"][1:])
    assert found["effect"]["shadow_days"][0] <= found["effect"]["shadow_days"][1]


def test_the_days_of_an_effect_are_those_of_its_smallest_gain() -> None:
    """The gain of day 28 takes 28 days; half of it takes longer, beyond the log too."""
    first = planned().numbers["plan"]
    (gain,) = [one["split"] for one in first["gains"] if one["days"] == 28]
    assert planned(effect=gain).numbers["plan"]["effect"]["split_days"] == 28
    assert 80 < planned(effect=gain / 2).numbers["plan"]["effect"]["split_days"] < 125
    assert planned(effect=gain / 100).numbers["plan"]["effect"]["split_days"] is None


def test_the_effect_is_live_smallest_effect_where_none_is_named() -> None:
    assert planned(live=replace(LIVE, smallest_effect=0.2)).numbers["plan"]["effect"]["gain"] == 0.2
    assert planned().numbers["plan"]["effect"] is None


def test_a_promotion_waits_for_its_least_days() -> None:
    """However large the gain."""
    assert planned(effect=5.0).numbers["plan"]["effect"]["split_days"] == LIVE.min_days


def test_a_gain_must_be_above_the_one_that_promotes() -> None:
    """`live.min_gain` adds to what can be shown, and a smaller effect is never promoted."""
    plain, asked = (planned(live=replace(LIVE, min_gain=gain)).numbers["plan"] for gain in (0.0, 0.1))
    assert asked["gains"][0]["split"] == pytest.approx(plain["gains"][0]["split"] + 0.1)
    below = planned(live=replace(LIVE, min_gain=0.1), effect=0.05).numbers["plan"]
    assert below["effect"]["split_days"] is None
    assert any("live.min_gain" in warning for warning in below["warnings"])


def test_late_labels_are_warned_of_with_the_window_that_would_do() -> None:
    """A mean delay of 10 hours: 30 % come after 12 hours, 95 % inside 30."""
    found = planned(traffic(delay_hours=10.0)).numbers["plan"]
    assert found["labels"]["late"] == pytest.approx(np.exp(-1.2), abs=0.02)
    assert found["labels"]["would_do_hours"] == pytest.approx(10 * np.log(20), abs=1.5)
    assert "live.window_hours" in found["warnings"][0]
    assert planned().numbers["plan"]["warnings"] == []


def test_a_label_that_depends_on_the_answer_needs_a_split() -> None:
    evidence = planned(live=replace(LIVE, label_depends_on_prediction=True))
    assert evidence.verdict == "split" and "label depends" in evidence.sentence


def test_without_a_unit_there_is_only_a_shadow() -> None:
    assert planned(assigns=False).verdict == "shadow"
    both = planned(assigns=False, live=replace(LIVE, label_depends_on_prediction=True))
    assert both.verdict == "split" and "task.unit" in both.numbers["plan"]["warnings"][0]


def test_a_gain_with_good_and_bad_days_is_counted_by_a_shadow_alone() -> None:
    """The rows of a day share their weather: a version that is better on some days and worse on others shows its gain
    by days alone, and a split, which compares rows of the same days, would claim too much. It is said."""
    rows = traffic()
    weather = np.random.default_rng(3).normal(0.0, 5e8, 28)
    blocks = [replace(one, loss_candidate=one.loss_candidate + int(one.rows * weather[one.block // 4]))
              for one in pairs(rows, 0.8).blocks]  # fmt: skip
    evidence = planned(rows, pairs=Pairs("replay", blocks))
    found = evidence.numbers["plan"]
    assert evidence.verdict == "shadow" and "varies from day to day" in evidence.sentence
    assert found["rows_ratio"][0] < 1.0 and found["gains"][2]["shadow"][0] > found["gains"][2]["split"]


def test_a_louder_challenger_makes_a_split_longer() -> None:
    """Losses that vary twice as much in the challenger's arm: the mean of both variances is 2.5 times as large."""
    rows = traffic()
    alike, loud = pairs(rows, 0.8), pairs(rows, 0.8)
    loud = Pairs("replay", [replace(one, loss_candidate=2 * one.loss_candidate - one.rows * metrics.UNITS_PER_ONE)
                            for one in loud.blocks])  # fmt: skip
    plain, more = (planned(rows, pairs=of).numbers["plan"]["gains"][2]["split"] for of in (alike, loud))
    assert more == pytest.approx(np.sqrt(2.5) * plain, rel=0.1)


@pytest.mark.parametrize(
    ("rows", "days", "said"),
    [
        (traffic(1.0), 1.0, "ask again in 2.5 days"),
        (traffic(10.0, labelled=0.01), 10.0, "at this pace in"),
        (traffic(10.0, labelled=0.0), 10.0, "send more outcomes"),
    ],
)
def test_a_short_log_is_not_enough_data(rows: Traffic, days: float, said: str) -> None:
    """And it says what would do."""
    evidence = planned(rows, days=days)
    assert evidence.verdict == "not_enough_data"
    assert said in evidence.sentence


def test_few_days_are_said() -> None:
    """Weekdays differ."""
    assert "weekdays" in planned(days=5.0).numbers["plan"]["warnings"][0]
