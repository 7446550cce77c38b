"""Pairs that differ: the mistake is named, and noise is not explained away."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from incumbent.errors import DataError
from incumbent.stats import drift, skew

VALUES = np.random.default_rng(0).normal(12.0, 6.0, 200)


@pytest.mark.parametrize(("name", "unit"), list(skew.UNITS.items()))
def test_every_known_unit_is_recovered(name: str, unit: tuple[float, float]) -> None:
    """served = factor·expected + shift gives the unit back, with all pairs explained."""
    factor, shift = unit
    match = skew.explain_pairs(factor * VALUES + shift, VALUES)
    assert (match.explanation, match.factor, match.shift) == ("unit", factor, shift)
    assert match.explained == 1.0 and match.detail.startswith(name)


def test_rounded_units_are_still_recognised() -> None:
    """Fahrenheit served with two decimals."""
    match = skew.explain_pairs(np.round(VALUES * 1.8 + 32, 2), VALUES)
    assert match.detail.startswith("°F for °C")


@pytest.mark.parametrize(
    ("served", "recomputed", "explanation"),
    [
        (VALUES, VALUES, "match"),
        (VALUES * (1 + 1e-8), VALUES, "match"),
        (VALUES + 5.0, VALUES, "shift"),
        (VALUES * 7.7, VALUES, "factor"),
        (np.random.default_rng(1).permutation(VALUES), VALUES, "unexplained"),
        ([0.0] * 8 + [1.0, 2.0], [None] * 8 + [1.0, 2.0], "default_for_null"),
        ([None] * 8 + [1.0, 2.0], [0.0] * 8 + [1.0, 2.0], "null_for_default"),
        ([None] * 8, list(range(8)), "null_for_value"),
        ([math.nan, None], [None, math.nan], "match"),
        ([1.0, 2.0], [2.0, 4.0], "unexplained"),
        (["a", "b"] * 5, ["a", "b"] * 5, "match"),
        (["A", "B", "c"] * 5, ["a", "b", "c"] * 5, "renamed"),
        (["missing"] * 6 + ["a"], [None] * 6 + ["a"], "default_for_null"),
        ([None] * 6 + ["a"], ["x", "y"] * 3 + ["a"], "null_for_value"),
        (["a", "b", "c", "d", "e", "f"], ["b", "c", "d", "e", "f", "a"], "unexplained"),
        (["x"] * 10, ["a", "b"] * 5, "unexplained"),
    ],
)
def test_each_mistake_has_its_name(served: Any, recomputed: Any, explanation: str) -> None:
    """One example of each; too few pairs and shuffled values explain nothing."""
    assert skew.explain_pairs(served, recomputed).explanation == explanation


def test_match_rate_counts_all_pairs_and_explained_the_unequal_ones() -> None:
    """A quarter of the rows in another unit: 75 % match, and the unit explains the rest."""
    served = VALUES.copy()
    served[::4] *= 1000.0
    match = skew.explain_pairs(served, VALUES)
    assert match.match_rate == 0.75 and match.explained == 1.0
    assert match.detail == "thousands: served = 1000 x expected"


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.one_of(st.none(), st.floats(-1e6, 1e6), st.sampled_from(["a", "b"])), min_size=1, max_size=30)
)
def test_a_column_always_matches_itself(column: list[Any]) -> None:
    """Whatever it holds."""
    assert skew.explain_pairs(column, column).match_rate == 1.0


def test_pairs_need_the_same_rows() -> None:
    """Unequal lengths and no rows are refused."""
    with pytest.raises(DataError, match="same rows"):
        skew.explain_pairs([1.0], [])


def suggested(before: Any, now: Any) -> str | None:
    found = skew.suggest_unit(drift.profile("temp", before), drift.profile("temp", now))
    return found.name if found else None


def test_a_unit_is_suggested_from_two_unpaired_samples() -> None:
    """Other rows of the same climate: Fahrenheit before, Celsius now, and back; metres by thousands."""
    generator = np.random.default_rng(2)
    before, now = generator.normal(55, 18, (2, 1000))
    assert suggested(before, (now - 32) / 1.8) == "°C for °F"
    assert suggested((before - 32) / 1.8, now) == "°F for °C"
    assert suggested(generator.gamma(3, 100, 1000), generator.gamma(3, 100, 1000) * 1000) == "thousands"


def test_no_unit_is_suggested_where_the_world_moved_or_stood_still() -> None:
    """The same climate, a warmer season, a constant column."""
    generator = np.random.default_rng(3)
    before = generator.normal(55, 18, 1000)
    assert suggested(before, generator.normal(55, 18, 1000)) is None
    assert suggested(before, generator.normal(75, 9, 1000)) is None
    assert suggested([1.0] * 100, [1000.0] * 100) is None


def test_a_unit_needs_a_profile_on_its_own_bins() -> None:
    """Counts in the reference's bins say nothing once all values lie outside of them."""
    before = drift.profile("x", VALUES)
    with pytest.raises(DataError, match="own bins"):
        skew.suggest_unit(before, drift.count(before, VALUES * 1000))
