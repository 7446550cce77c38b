"""Profiles and drift: counts add up, no change blames nothing, the known traps are found."""

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from incumbent.errors import DataError
from incumbent.stats import drift

cells = st.one_of(st.none(), st.floats(allow_nan=True, allow_infinity=True, width=32), st.integers(-5, 5))


def compared(reference: Any, current: Any, column: str = "x") -> drift.ColumnDrift:
    before = drift.profile(column, reference)
    return drift.compare_profiles([before], [drift.count(before, current)])[0]


@settings(max_examples=50, deadline=None)
@given(st.lists(cells, max_size=60), st.lists(cells, max_size=60), st.lists(cells, max_size=60))
def test_counts_add_up_and_every_cell_is_counted_once(
    reference: list[Any], a: list[Any], b: list[Any]
) -> None:
    """count(a) + count(b) = count(a + b), and the counts sum to the number of cells."""
    profile = drift.profile("x", reference, kind="numeric")
    together = drift.count(profile, [*a, *b])
    summed = drift.count(profile, a) + drift.count(profile, b)
    assert profile.n_rows == len(reference)
    assert together.n_rows == len(a) + len(b)
    assert summed.counts == together.counts
    assert len(together.counts) == len(together.bin_names)
    assert summed.moments.n == together.moments.n
    if abs(together.moments.mean) < 1e6:
        assert summed.moments.mean == pytest.approx(together.moments.mean, abs=1e-6)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.one_of(st.none(), st.sampled_from(["a", "b", "c", "d"])), max_size=60),
    st.lists(st.text(max_size=2)),
)
def test_categories_are_counted_once(reference: list[Any], current: list[str]) -> None:
    """Known, other, unseen and null cover all cells."""
    profile = drift.profile("x", reference, kind="category")
    counted = drift.count(profile, current)
    assert counted.n_rows == len(current)
    assert counted.share("unseen") * len(current) == pytest.approx(
        sum(cell not in profile.categories and cell not in profile.known for cell in current)
    )


@pytest.mark.parametrize(
    "values",
    [[1.5, None, math.nan, math.inf, 2.5, -1.0], ["a", "b", None] * 9, [True, False, None] * 9, [], [None]],
)
def test_profiles_survive_json(values: list[Any]) -> None:
    """Through strict JSON and back: equal, and it still counts."""
    profile = drift.profile("x", values)
    back = drift.Profile.from_dict(json.loads(json.dumps(profile.to_dict(), allow_nan=False)))
    assert back == profile
    assert drift.count(back, values).same_bins(profile)
    with pytest.raises(DataError, match="not a stored profile"):
        drift.Profile.from_dict({"column": "x"})


def test_special_values_have_their_own_bins() -> None:
    """null, NaN, both infinities, below and above are told apart."""
    profile = drift.profile("x", np.linspace(0.0, 1.0, 100))
    counted = drift.count(profile, [None, math.nan, math.inf, -math.inf, -1.0, 2.0, 2.0, 0.5])
    shares = {
        name: round(counted.share(name) * 8) for name in ("null", "NaN", "+inf", "-inf", "below", "above")
    }
    assert shares == {"null": 1, "NaN": 1, "+inf": 1, "-inf": 1, "below": 1, "above": 2}


def test_the_reference_spreads_evenly_over_its_quantile_bins() -> None:
    """2,000 continuous values: 20 bins of 100; half zeros: a bin of their own beside 10."""
    generator = np.random.default_rng(0)
    assert sorted(drift.profile("x", generator.normal(size=2000)).counts)[-20:] == [100] * 20
    rain = np.where(np.arange(2000) % 2 == 0, 0.0, generator.exponential(size=2000))
    profile = drift.profile("rain", rain)
    assert profile.points == (0.0,) and profile.share("= 0") == 0.5
    assert len(profile.edges) == 11


def test_spellings_of_one_category_are_one() -> None:
    """1, 1.0 and "1" are one category; numpy's, Python's and None's nulls are null."""
    profile = drift.profile("x", ["1", "2"] * 50)
    assert drift.count(profile, [1, 1.0, np.int64(1), "1"]).counts[0] == 4
    assert drift.count(profile, [None, math.nan]).share("null") == 1.0


@pytest.mark.parametrize(("n", "m"), [(5000, 2000), (500, 500), (2000, 5000), (20_000, 100)])
def test_no_change_alarms_at_the_nominal_rate(n: int, m: int) -> None:
    """p ≤ .05 in at most the binomial 99.9 % limit of 6 % of 300 unchanged columns, and not never."""
    generator = np.random.default_rng(1)
    p_values = [compared(generator.normal(size=n), generator.normal(size=m)).psi.p_value for _ in range(300)]
    assert 1 <= sum(p <= 0.05 for p in p_values) <= stats.binom.ppf(0.999, 300, 0.06)


@pytest.mark.parametrize("n_categories", [4, 200, 2000])
def test_unchanged_categories_do_not_alarm(n_categories: int) -> None:
    """1,500 rows a side of many categories (with long tails too): at most the limit of 5 %, and no effect
    to speak of.
    """
    generator = np.random.default_rng(2)
    names = np.array([f"c{i}" for i in range(n_categories)])
    weights = 1 / np.arange(1, n_categories + 1) if n_categories == 2000 else np.ones(n_categories)
    weights /= weights.sum()
    drifts = [
        compared(generator.choice(names, 1500, p=weights), generator.choice(names, 1500, p=weights))
        for _ in range(100)
    ]
    assert sum(d.psi.p_value <= 0.05 for d in drifts) <= stats.binom.ppf(0.999, 100, 0.05)
    assert all(d.level == "none" for d in drifts)


def test_a_key_column_and_identical_data_blame_nothing() -> None:
    """New keys are what a key column has; the same rows twice have no effect."""
    generator = np.random.default_rng(3)
    keys = generator.integers(0, 10**9, (2, 2000)).astype(str)
    assert compared(keys[0], keys[1]).level == "none"
    values = generator.normal(size=1000)
    same = compared(values, values)
    assert (same.psi.value, same.level) == (0.0, "none") and same.psi.effect < 0


def test_a_hundred_null_columns_do_not_alarm() -> None:
    """A column that is null on both sides has one bin, no evidence and no effect."""
    before = [drift.profile(f"n{i}", [None] * 500) for i in range(100)]
    drifts = drift.compare_profiles(before, [drift.count(profile, [None] * 300) for profile in before])
    assert all(d.level == "none" and d.psi.p_value == 1.0 for d in drifts)


def test_a_moved_mean_is_found_beside_an_outlier() -> None:
    """N(0,1) against N(1,1) with one 1e6 in the reference."""
    generator = np.random.default_rng(4)
    found = compared(np.append(generator.normal(size=20_000), 1e6), generator.normal(1.0, 1.0, 2000))
    assert found.level == "act"


def test_half_a_column_null_is_found_and_named() -> None:
    """The null bin is the largest shift."""
    values = np.random.default_rng(5).normal(size=1000).tolist()
    found = compared(values, [None if i % 2 else v for i, v in enumerate(values)])
    assert found.level == "act" and found.largest[0].name == "null"
    assert found.largest[0].current == 0.5


def test_nan_in_training_and_null_in_json_are_no_drift() -> None:
    """A missing value comes back from JSON as null."""
    values = np.random.default_rng(6).normal(size=1000).tolist()
    trained = [math.nan if i % 10 == 0 else v for i, v in enumerate(values)]
    served = [None if i % 10 == 0 else v for i, v in enumerate(values)]
    assert compared(trained, served).level == "none"


def test_one_column_times_a_thousand_leads_fifty() -> None:
    """It ranks first, and alone alarms."""
    generator = np.random.default_rng(7)
    before, now = generator.gamma(2.0, size=(2, 50, 800))
    now[17] *= 1000.0
    profiles = [drift.profile(f"c{i}", column) for i, column in enumerate(before)]
    drifts = drift.compare_profiles(profiles, [drift.count(p, v) for p, v in zip(profiles, now, strict=True)])
    assert drifts[0].column == "c17" and drifts[0].level == "act"
    assert {d.level for d in drifts[1:]} == {"none"}


def test_a_sure_but_small_change_is_no_alarm() -> None:
    """A shift of .03 deviations on 100,000 rows is sure, and below notice."""
    generator = np.random.default_rng(8)
    found = compared(generator.normal(size=100_000), generator.normal(0.05, 1, 100_000))
    assert found.p_holm < 0.001 and found.level == "none"


def test_a_new_category_is_unseen() -> None:
    """A tenth of the rows in a category that training never saw."""
    found = compared(["AA", "UA"] * 500, ["AA", "UA"] * 450 + ["ZZ"] * 100)
    assert found.largest[0].name == "unseen" and found.level in ("warn", "act")


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.integers(0, 40), min_size=2, max_size=8), st.lists(st.integers(0, 40), min_size=2, max_size=8)
)
def test_psi_is_never_negative_and_symmetric(a: list[int], b: list[int]) -> None:
    """PSI ≥ 0 and equal in both directions; p lies in 0 to 1."""
    width = min(len(a), len(b))
    a, b = a[:width], b[:width]
    if not sum(a) or not sum(b):
        with pytest.raises(DataError, match="rows on both sides"):
            drift.psi(a, b)
        return
    there, back = drift.psi(a, b), drift.psi(b, a)
    assert there.value >= -1e-15 and 0.0 <= there.p_value <= 1.0
    assert there.value == pytest.approx(back.value)


@pytest.mark.parametrize("draw", ["normal", "poisson", "zero_inflated"])
def test_quantiles_come_back_from_the_counts(draw: str) -> None:
    """Within a bin's width of numpy's, on 5,000 values."""
    generator = np.random.default_rng(9)
    values = {
        "normal": generator.normal(size=5000),
        "poisson": generator.poisson(3, 5000).astype(float),
        "zero_inflated": np.maximum(generator.normal(size=5000), 0.0),
    }[draw]
    levels = [0.1, 0.25, 0.5, 0.75, 0.9]
    found = drift.quantiles(drift.profile("x", values), levels)
    assert found == pytest.approx(np.quantile(values, levels), abs=0.05)


def test_profiles_that_do_not_fit_are_refused() -> None:
    """Other bins, missing columns, text in a numeric column, no numbers at all."""
    a, b = drift.profile("x", np.arange(100.0)), drift.profile("x", np.arange(50.0))
    with pytest.raises(DataError, match="other bins"):
        _ = a + b
    with pytest.raises(DataError, match="other bins"):
        drift.compare_profiles([a], [b])
    with pytest.raises(DataError, match="same columns"):
        drift.compare_profiles([a], [])
    with pytest.raises(DataError, match="holds something else"):
        drift.count(a, ["many"])
    with pytest.raises(DataError, match="no finite numbers"):
        drift.quantiles(drift.profile("x", [None], kind="numeric"), [0.5])
