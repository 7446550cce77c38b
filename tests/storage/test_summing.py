"""The arithmetic of a trial's sums: what is added can be taken away."""

from hypothesis import given
from hypothesis import strategies as st

from incumbent.storage.base import SumMeasure, SumPlan
from incumbent.storage.summing import Fold, Totals, Unit, amount, unit_of
from incumbent.storage.values import json_text, json_value, label_text

PLAN = SumPlan("t", 1, 0, 10, 100, measures=(SumMeasure("loss"), SumMeasure("v", "v", "count")))
CELLS = st.dictionaries(
    st.sampled_from(["incumbent", "challenger"]),
    st.lists(st.integers(-(2**70), 2**70), min_size=9, max_size=9).map(lambda rest: [1 + abs(rest[0]), *rest]),
)


@given(known=st.integers(0, 3), loss=st.integers(-(2**70), 2**70), cells=CELLS)
def test_a_unit_that_is_taken_away_leaves_nothing(known: int, loss: int, cells: dict[str, list[int]]) -> None:
    """Whatever it is; and it comes back from its text as it was."""
    unit, totals, fold = Unit(0, 5, known, loss, cells), Totals(), Fold(PLAN)
    assert unit_of(json_value(json_text(unit.kept()))) == unit
    fold.count(totals, unit, 1)
    assert bool(totals.arms) == bool(cells)
    fold.count(totals, unit, -1)
    assert not any(number for total in totals.arms.values() for number in total)
    assert (totals.both_arms, totals.once, totals.twice) == (0, 0, 0)


NUMBERS = st.one_of(st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False, allow_infinity=False), st.booleans())


@given(value=NUMBERS)
def test_an_amount_is_the_number_in_its_units(value: float) -> None:
    """Within half a unit (or what a double can hold), never beyond 9.2e9, and of its sign."""
    found = amount(label_text(value))
    assert found is not None and abs(found) <= 9_200_000_000 * 10**9
    if abs(value) <= 9_000_000_000:
        assert abs(found - value * 10**9) <= 0.5 + abs(value) * 10**9 * 2**-52
