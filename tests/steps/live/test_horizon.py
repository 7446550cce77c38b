"""How long a trial is: tuned once, and at most twice the fixed sample where an effect was named."""

import math

import pytest
from scipy.stats import norm
from summing import of_units

from incumbent.config import Live
from incumbent.records import DAY, Trial
from incumbent.steps.live import horizon
from incumbent.steps.live.gain import Gain
from incumbent.steps.live.horizon import Horizon
from incumbent.storage.base import UnitSum

GAIN = Gain(1_000, 0.01, 0.09 / 1_000)


def test_twice_the_fixed_sample_where_an_effect_is_named() -> None:
    """(1.645 + .842)² .09 / .01² = 5,565 units at one planned look, and twice that at most; tightest at half."""
    fixed = math.ceil((norm.ppf(0.95) + norm.ppf(0.8)) ** 2 * 0.09 / 0.01**2)
    found = horizon.fixed(0.01, 0.05, GAIN, 50_000)
    assert found == Horizon(fixed, 2 * fixed)


def test_the_traffic_tunes_where_none_is_named_or_it_is_out_of_reach() -> None:
    """Without an effect the deadline ends the trial; one that takes longer has its bounds tightest for what comes."""
    assert horizon.fixed(0.0, 0.05, GAIN, 4_000) == Horizon(2_000, None)
    reached = horizon.fixed(0.01, 0.05, GAIN, 4_000)
    assert reached.n_star == 2_000 and reached.n_max is not None and reached.n_max > 4_000


def test_a_plan_takes_the_place_of_both() -> None:
    assert horizon.fixed(0.01, 0.05, GAIN, 4_000, planned=6_000) == Horizon(3_000, 6_000)


def test_a_sample_is_never_below_the_first_look() -> None:
    """An effect so large that ten units would do, and units that are all alike."""
    assert horizon.fixed(1.0, 0.05, GAIN, 50_000) == Horizon(50, 100)
    assert horizon.fixed(0.01, 0.05, Gain(1_000, 0.0, 0.0), 4_000) == Horizon(2_000, None)


def test_units_that_return_are_soon_all_known() -> None:
    """400 seen on the first of 14 days: seen once they go on coming, seen five times they are all there are; a third
    arm takes its share, and who is not enrolled yet will be."""
    trial, live = Trial("t1", "v2", "v1", "split", 0, enrolled=0.5), Live(max_days=14)

    def reachable(rows: int, of: Trial = trial) -> int:
        arms = ("challenger", "incumbent")
        units = [UnitSum(f"u{i}", arms[i % 2], rows, rows, 0, 0) for i in range(400)]
        return horizon.reachable(of, of_units(units), live, DAY)

    assert reachable(1) == 2 * 400 * 14
    assert reachable(5) == 2 * 400
    thirds = Trial("t1", "v2", "v1", "split", 0, share=0.25, called=0.5)
    assert reachable(5, thirds) == pytest.approx(200)


def test_what_was_fixed_stays() -> None:
    assert horizon.known({"n_star": 7.5, "n_max": 15}) == Horizon(7.5, 15)
    assert horizon.known({}) == Horizon()
