"""Sums at many looks are those of the units so far, however often units come back and whoever they are dealt to."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from incumbent.stats.sequential import LookBounds, UnitSums
from incumbent.steps.live.simulating import looking


@given(
    st.lists(st.tuples(st.integers(0, 6), st.floats(0, 9)), min_size=1, max_size=40),
    st.lists(st.booleans(), min_size=7, max_size=7),
)
def test_units_that_come_back_are_summed_as_units(rows: list[tuple[int, float]], dealt: list[bool]) -> None:
    """At each row, both arms: the sums over each unit's total so far."""
    unit = np.array([one for one, _ in rows])
    losses, challenger = np.array([loss for _, loss in rows]), np.array(dealt)
    arms = looking.growing(unit, losses).arms(challenger, np.arange(len(rows) + 1))
    for k in range(len(rows) + 1):
        for arm, taken in ((arms.challenger, challenger), (arms.incumbent, ~challenger)):
            seen = [u for u in np.unique(unit[:k]) if taken[u]]
            expected = UnitSums.of(
                [losses[:k][unit[:k] == u].sum() for u in seen], [float((unit[:k] == u).sum()) for u in seen]
            )
            for name in ("n", "sum_x", "sum_y", "sum_xx", "sum_yy", "sum_xy"):
                assert getattr(arm, name)[k] == pytest.approx(getattr(expected, name), abs=1e-6), name


def test_a_split_counts_each_unit_once() -> None:
    """Arms at each look by hand."""
    arms = looking.split(np.array([1.0, 2.0, 4.0, 8.0]), np.array([True, False, True, False]), np.array([1, 4]))
    assert arms.challenger.sum_y.tolist() == [1.0, 5.0] and arms.incumbent.sum_yy.tolist() == [0.0, 68.0]
    assert arms.n.tolist() == [1.0, 4.0] and arms.least().tolist() == [0.0, 2.0]


def test_z_bounds_are_those_of_one_look() -> None:
    """1.645 standard errors; what is not known stays without bounds."""
    found = LookBounds(*(np.array(v) for v in ([10.0, 1.0], [0.5, np.nan], [0, 0], [0, 0], [0.1, np.inf])))
    bounds = looking.z_bounds(found, 0.05)
    assert bounds.lower == pytest.approx([0.5 - 0.16449, -np.inf], abs=1e-4)
    assert bounds.upper == pytest.approx([0.5 + 0.16449, np.inf], abs=1e-4)
