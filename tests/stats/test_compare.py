"""The paired comparison: bounds, blocks, bootstrap, planning."""

import math
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from incumbent.errors import DataError
from incumbent.stats import compare, metrics

finite = st.floats(-100, 100)


def test_iid_rows_give_the_paired_t_test() -> None:
    """The same bound as scipy's one-sided paired t interval."""
    generator = np.random.default_rng(1)
    reference, candidate = generator.exponential(size=40), generator.exponential(size=40)
    result = compare.paired(reference, candidate)
    expected = stats.ttest_rel(reference, candidate, alternative="greater").confidence_interval(0.95)
    assert result.lower == pytest.approx(expected.low)
    assert result.gain == pytest.approx((reference - candidate).mean())
    assert result.method == "rows, t"


@settings(max_examples=50, deadline=None)
@given(st.lists(finite, min_size=1, max_size=40), st.integers(1, 5))
def test_a_version_compared_with_itself_differs_by_exactly_zero(losses: list[float], n_blocks: int) -> None:
    """Gain, bounds and error are 0, with blocks or without."""
    blocks = np.arange(len(losses)) % n_blocks
    for labels in (None, blocks):
        result = compare.paired(losses, losses, blocks=labels)
        assert (result.gain, result.lower, result.upper, result.standard_error) == (0.0, 0.0, 0.0, 0.0)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(finite, finite, st.integers(0, 4)), min_size=2, max_size=40), st.randoms())
def test_the_order_of_the_rows_does_not_change_a_bit(
    rows: list[tuple[float, float, int]], shuffler: object
) -> None:
    """Exactly rounded sums: the same rows shuffled give the same result."""
    shuffled = list(rows)
    shuffler.shuffle(shuffled)  # type: ignore[attr-defined]
    first, second = (
        compare.paired(*np.array(each)[:, :2].T, blocks=np.array(each)[:, 2]) for each in (rows, shuffled)
    )
    assert first == second


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(finite, finite), min_size=2, max_size=40))
def test_swapping_the_versions_mirrors_the_result(rows: list[tuple[float, float]]) -> None:
    """gain → -gain, lower → -upper."""
    a, b = np.array(rows).T
    there, back = compare.paired(a, b), compare.paired(b, a)
    assert (there.gain, there.lower, there.upper) == (-back.gain, -back.upper, -back.lower)


def test_blocks_of_one_row_are_rows() -> None:
    """With every row its own block the ratio method is the t test; blocks' sums give the same."""
    generator = np.random.default_rng(2)
    a, b = generator.normal(size=20), generator.normal(size=20)
    rows, blocks = compare.paired(a, b), compare.paired(a, b, blocks=np.arange(20))
    assert blocks.lower == pytest.approx(rows.lower)
    assert blocks.n_blocks == 20


def test_sums_of_blocks_give_what_the_rows_give() -> None:
    """A store hands over sizes and sums; the result is that of the rows."""
    generator = np.random.default_rng(3)
    days = generator.integers(0, 35, 500)
    a, b = generator.normal(1, 1, 500), generator.normal(0.9, 1, 500)
    sizes, sum_a, sum_b = (np.bincount(days, weights=w) for w in (np.ones(500), a, b))
    rows, sums = compare.paired(a, b, blocks=days), compare.paired_sums(sizes, sum_a, sum_b)
    assert sums.lower == pytest.approx(rows.lower)
    assert sums.method == rows.method == "blocks, t"


def test_blocks_use_students_t() -> None:
    """29 blocks, gains that are not skewed: t with 28 degrees of freedom."""
    a = np.random.default_rng(4).normal(size=10)[np.arange(290) % 10] + np.arange(290) // 10
    b = np.zeros(290)
    result = compare.paired(a, b, blocks=np.arange(290) // 10)
    assert result.method == "blocks, t"
    assert (result.gain - result.lower) / result.standard_error == pytest.approx(stats.t.ppf(0.95, 28))


def test_too_few_rows_say_nothing() -> None:
    """One row, one block or four equal rows: infinite bounds, never a confident zero-width interval."""
    assert compare.paired([1.0], [0.5]).lower == -math.inf
    assert compare.paired([1.0, 2.0], [0.5, 1.0], blocks=["a", "a"]).upper == math.inf
    assert compare.paired([1.0] * 4, [0.0] * 4).lower == -math.inf
    assert compare.paired([1.0] * 5, [0.0] * 5).lower == 1.0


@pytest.mark.parametrize(
    ("a", "b", "says"),
    [
        ([], [], "at least one row"),
        ([1.0], [1.0, 2.0], "same rows"),
        ([math.nan], [1.0], "reference loss is nan"),
        ([1.0], [math.inf], "candidate loss is inf in row 0"),
    ],
)
def test_unusable_losses_are_refused(a: list[float], b: list[float], says: str) -> None:
    """NaN and inf name the column and the row."""
    with pytest.raises(DataError, match=says):
        compare.paired(a, b)


def test_the_lower_bound_covers_at_its_level() -> None:
    """False "better" in 2,000 A/A comparisons of 60 skewed rows: at most the binomial 99.9 % limit of 5 %."""
    generator = np.random.default_rng(5)
    draws = generator.exponential(size=(2000, 2, 60))
    false = sum(compare.paired(a, b).lower > 0 for a, b in draws)
    assert false <= stats.binom.ppf(0.999, 2000, 0.05)


def test_blocks_hold_the_level_where_rows_depend_on_each_other() -> None:
    """A day effect shared by its rows: row by row about a third is false, day by day at most the limit of 5
    %.
    """
    generator = np.random.default_rng(6)
    days = np.repeat(np.arange(20), 20)
    false_rows = false_blocks = 0
    for _ in range(500):
        loss = np.repeat(generator.normal(size=20), 20) + generator.normal(size=400)
        false_rows += compare.paired(loss, np.zeros(400)).lower > 0
        false_blocks += compare.paired(loss, np.zeros(400), blocks=days).lower > 0
    assert false_blocks <= stats.binom.ppf(0.999, 500, 0.05)
    assert false_rows > 100


def test_rows_needed_gives_the_planned_power() -> None:
    """The n from a pilot shows the effect in about 80 % of new samples."""
    generator = np.random.default_rng(7)
    pilot = compare.paired(generator.normal(0.1, 1, 4000), np.zeros(4000))
    n = compare.rows_needed(pilot, 0.1)
    shown = sum(compare.paired(generator.normal(0.1, 1, n), np.zeros(n)).lower > 0 for _ in range(500))
    assert 0.72 * 500 <= shown <= 0.88 * 500
    assert compare.rows_needed_for_discordance(0.08, 0.01) == pytest.approx(6.2 * 0.08 / 0.01**2, rel=0.01)
    with pytest.raises(ValueError, match="above 0"):
        compare.rows_needed(pilot, 0.0)


def test_the_bootstrap_sees_a_better_auc_and_repeats_itself() -> None:
    """Same seed, same bytes; a version against itself is exactly 0; a clear gain is shown."""
    generator = np.random.default_rng(8)
    truth = generator.integers(0, 2, 300)
    good = 1 / (1 + np.exp(-(2.0 * truth - 1 + generator.normal(size=300))))
    noise = generator.uniform(size=300)
    better, worse = (np.column_stack([1 - p, p]) for p in (good, noise))
    auc = metrics.get("roc_auc", "binary")
    result = compare.bootstrap_difference(auc, truth, worse, better, seed=1, n_resamples=200)
    assert result == compare.bootstrap_difference(auc, truth, worse, better, seed=1, n_resamples=200)
    assert 0 < result.lower < result.gain < result.upper
    same = compare.bootstrap_difference(auc, truth, better, better, n_resamples=50)
    assert (same.gain, same.lower, same.upper) == (0.0, 0.0, 0.0)


def test_the_bootstrap_of_blocks_is_wider_where_rows_repeat() -> None:
    """Each row ten times: blocks see through it."""
    generator = np.random.default_rng(9)
    truth = np.repeat(generator.integers(0, 2, 40), 10)
    scores = np.repeat(generator.uniform(size=(2, 40)), 10, axis=1)
    a, b = (np.column_stack([1 - p, p]) for p in scores)
    auc = metrics.get("roc_auc", "binary")
    rows = compare.bootstrap_difference(auc, truth, a, b, n_resamples=200)
    blocks = compare.bootstrap_difference(auc, truth, a, b, blocks=np.arange(400) // 10, n_resamples=200)
    assert blocks.standard_error > 2 * rows.standard_error


def test_a_bootstrap_that_is_mostly_undefined_says_nothing() -> None:
    """One positive among ten rows: a third of the resamples have none."""
    truth = np.array([1] + [0] * 9)
    outputs = np.column_stack([np.linspace(0, 1, 10), np.linspace(1, 0, 10)])
    result = compare.bootstrap_difference(
        metrics.get("roc_auc", "binary"), truth, outputs, outputs[::-1], n_resamples=100
    )
    assert (result.lower, result.upper) == (-math.inf, math.inf)


def test_days_follow_the_zone_through_summer_time() -> None:
    """March in Berlin by the hour: every day has 24 hours, but for the 31st, when the clock goes forward,
    which has 23.
    """
    hours = np.arange(np.datetime64("2013-02-28T23", "h"), np.datetime64("2013-03-31T22", "h"))
    days = compare.day_blocks(hours, "Europe/Berlin")
    assert days[0] == datetime(2013, 3, 1, tzinfo=UTC).timestamp() // 86400
    assert np.bincount(days - days[0]).tolist() == [24] * 30 + [23]
    with pytest.raises(DataError, match="NaT"):
        compare.day_blocks(np.array(["2013-01-01", "NaT"], "M8[m]"))


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 400), st.integers(1, 60), st.integers(1, 40))
def test_season_blocks_are_whole_and_never_short(n_rows: int, season: int, min_rows: int) -> None:
    """Every block but the last is whole seasons, none is short unless it is the only one."""
    labels = compare.season_blocks(n_rows, season, min_rows=min_rows)
    sizes = np.bincount(labels)
    assert labels.tolist() == sorted(labels.tolist())
    assert all(size % season == 0 for size in sizes[:-1])
    assert len(sizes) == 1 or min(sizes) >= min_rows


def test_gains_with_a_long_bad_tail_are_bounded_further_away() -> None:
    """Rare large losses, equal in the mean: by t alone 16 % of 200-row holdouts call them better, by ours about 4."""
    generator = np.random.default_rng(11)
    false = alone = 0
    for _ in range(400):
        loss = (generator.random(200) < 0.05) * generator.exponential(size=200)
        found = compare.paired(np.full(200, 0.05), loss)
        false += found.lower > 0
        alone += found.gain > stats.t.ppf(0.95, 199) * found.standard_error
    assert false <= stats.binom.ppf(1 - 1e-4, 400, 0.05) < alone


def test_days_that_go_together_widen_the_bound_and_never_narrow_it() -> None:
    """A correlation of .3 from day to day: without it 11 % are false, with it about 6; unordered blocks ignore it."""
    generator = np.random.default_rng(12)
    false = 0
    for _ in range(400):
        series = np.zeros(40)
        for i in range(1, 40):
            series[i] = 0.3 * series[i - 1] + generator.normal()
        ordered = compare.paired(series[10:], np.zeros(30), blocks=np.arange(30), ordered=True)
        plain = compare.paired(series[10:], np.zeros(30), blocks=np.arange(30))
        assert ordered.standard_error >= plain.standard_error
        false += ordered.lower > 0
    assert false <= stats.binom.ppf(1 - 1e-4, 400, 0.06)


def test_the_smallest_gain_is_the_one_whose_rows_are_these() -> None:
    """rows_needed of the smallest gain is the number of rows, as it should be; none where nothing is shown."""
    generator = np.random.default_rng(13)
    found = compare.paired(generator.normal(size=3_000), np.zeros(3_000))
    least = compare.smallest_gain(found)
    assert least is not None
    assert compare.rows_needed(found, least) == pytest.approx(3_000, rel=0.01)
    assert compare.smallest_gain(compare.paired([1.0], [0.0])) is None


def test_another_level_moves_the_bound() -> None:
    """lower_at(alpha) is the bound itself, and lies lower for a smaller alpha."""
    generator = np.random.default_rng(14)
    found = compare.paired(generator.exponential(size=300), generator.exponential(size=300))
    assert found.lower_at(0.05) == found.lower and found.lower_at(0.005) < found.lower
