"""What a split knows grows with its days as the log says: ramp, window, closing units; and beyond the log."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from incumbent.config import Live
from incumbent.records import DAY
from incumbent.stats.sequential import UnitSums
from incumbent.steps.live import growth
from incumbent.steps.live.growth import Growth, Rows

AT_ONCE = Live(enrol=(1.0,), window_hours=0.0)


def grown(days: int, a_day: int = 40, units: int | None = None, unit_days: float = 28.0, seed: int = 0) -> Growth:
    """Rows of so many days: of units that return (`units` of them), or each of a new one."""
    rng = np.random.default_rng(seed)
    n = days * a_day
    at = (np.arange(n) * DAY) // a_day
    unit = np.arange(n) if units is None else rng.integers(0, units, n)
    effect = rng.normal(size=n + 60)[unit] if units is not None else 0.0
    loss = rng.normal(size=n) + effect
    all_of = np.ones(n, dtype=bool)
    return growth.of(at, unit, loss, Rows(all_of, all_of), 0, float(days), unit_days)


def test_the_variance_of_a_unit_is_that_of_the_sequential_tests() -> None:
    """Day by day sums end where `UnitSums` ends on the same rows."""
    rng = np.random.default_rng(1)
    unit = rng.integers(0, 60, 400)
    loss = rng.normal(size=400) + unit / 20
    at = np.arange(400) * (10 * DAY) // 400
    all_of = np.ones(400, dtype=bool)
    found = growth.of(at, unit, loss, Rows(all_of, all_of), 0, 10.0, 28.0)
    sums = UnitSums.of(np.bincount(unit, loss), np.bincount(unit).astype(float))
    assert found.unit_variance == pytest.approx(sums.variance)
    assert found.in_split(10.0, AT_ONCE).standard_error == pytest.approx(math.sqrt(4 * sums.variance / 60), rel=0.02)


def test_a_label_counts_inside_its_window_only() -> None:
    """Late, missing and not yet closed: none of these counts, and only the last has not matured."""
    at = np.array([0, 0, 0, 90])
    known = np.array([9, 10, np.iinfo(np.int64).max, 91])
    loss = np.array([1.0, 1.0, np.nan, 1.0])
    rows = growth.matured(at, known, loss, now=95, window=10)
    assert rows.matured.tolist() == [True, True, True, False]
    assert rows.counts.tolist() == [True, False, False, False]


def test_new_units_go_on_coming_beyond_the_log() -> None:
    """Twice the days, twice the rows and units, and a standard error smaller by √2."""
    found = grown(14)
    once, twice = found.in_split(14.0, AT_ONCE), found.in_split(28.0, AT_ONCE)
    assert twice.labelled == pytest.approx(2 * once.labelled) and twice.units == pytest.approx(2 * once.units)
    assert twice.standard_error == pytest.approx(once.standard_error / math.sqrt(2), rel=0.1)


def test_units_that_return_add_rows_and_little_knowledge() -> None:
    """With 30 units all known after a few days, a month says hardly more than a fortnight."""
    found = grown(14, units=30)
    once, twice = found.in_split(14.0, AT_ONCE), found.in_split(28.0, AT_ONCE)
    assert twice.units == pytest.approx(once.units) == pytest.approx(15.0)
    assert twice.standard_error > 0.8 * once.standard_error


def test_a_closed_unit_adds_nothing() -> None:
    """Thirty units that close after five days: day 14 knows what day 6 knew, and so do days beyond the log."""
    found = grown(14, units=30, unit_days=5.0)
    assert found.rows[14] == pytest.approx(found.rows[7], rel=0.02)
    assert found.in_split(90.0, AT_ONCE).labelled == pytest.approx(found.rows[14] / 2, rel=0.02)


def test_the_ramp_and_the_window_take_their_days() -> None:
    """Half of the units from the start and half two days later, labels a day later: 50 % of day 9 and 50 % of day 7."""
    found = grown(14)
    seen = found.in_split(10.0, Live(enrol=(0.5, 1.0), ramp_hours=48.0, window_hours=24.0))
    assert seen.labelled == pytest.approx((0.5 * found.rows[9] + 0.5 * found.rows[7]) / 2)
    assert found.in_split(1.0, Live(window_hours=24.0)).standard_error == math.inf


def test_a_third_arm_costs_a_third_of_the_units() -> None:
    found = grown(14)
    two = found.in_split(14.0, AT_ONCE)
    three = found.in_split(14.0, Live(enrol=(1.0,), window_hours=0.0, third_arm=True))
    assert three.labelled == pytest.approx(two.labelled * 2 / 3)
    assert three.standard_error == pytest.approx(two.standard_error * math.sqrt(1.5))


@given(st.integers(3, 20), st.integers(5, 40), st.booleans(), st.integers(0, 5))
def test_more_days_never_hold_less(days: int, a_day: int, returning: bool, seed: int) -> None:
    """Rows and units grow with the days, inside the log and beyond it."""
    found = grown(days, a_day, 20 if returning else None, unit_days=6.0, seed=seed)
    seen = [found.in_split(float(day), Live()) for day in range(1, 80, 3)]
    assert all(a.labelled <= b.labelled + 1e-9 for a, b in pairwise(seen))
    assert all(a.units <= b.units + 1e-9 for a, b in pairwise(seen))


def test_blocks_pair_only_rows_that_both_have() -> None:
    """The other version's loss is missing on one row, which then counts for neither."""
    at, loss = np.array([0, 1, 10]), np.array([1.0, 2.0, 3.0])
    counts = np.ones(3, dtype=bool)
    other = np.array([0.5, np.nan, 1.0])
    blocks = growth.blocks(at, loss, Rows(counts, counts), 5, other)
    assert [(one.block, one.rows) for one in blocks] == [(0, 1), (2, 1)]
    assert [one.loss_reference - one.loss_candidate for one in blocks] == [500_000_000, 2_000_000_000]
