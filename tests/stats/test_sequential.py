"""Sequences and e-values: published check values, error rates at every look, power."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats
from scipy.special import gammaln

from incumbent.stats import sequential
from incumbent.stats.sequential import UnitSums


@pytest.mark.parametrize(
    ("x1", "x0", "pi", "k", "expected"),
    [
        (8, 0, 0.5, 10, 2.319412802868782),
        (40, 20, 0.5, 100, 1.6605339126524274),
        (6, 10, 0.1, 10, 2.9761545827693405),
    ],
)
def test_share_test_reproduces_its_check_values(
    x1: int, x0: int, pi: float, k: float, expected: float
) -> None:
    """One-sided ln E, to 1e-11."""
    assert sequential.log_e_share(x1, x0, pi, k) == pytest.approx(expected, abs=1e-11)


def test_split_test_reproduces_its_check_values() -> None:
    """ln BF of a broken and of a healthy 50/50 split."""
    assert sequential.log_bayes_factor_split([9463, 7681], [0.5, 0.5]) == pytest.approx(
        86.20560050464519, abs=1e-9
    )
    assert sequential.log_bayes_factor_split([53, 47], [0.5, 0.5]) == pytest.approx(
        -0.031299214388084806, abs=1e-9
    )


@pytest.mark.parametrize(("one_sided", "margin"), [(True, 1.0), (False, 1.0), (True, 2.0)])
def test_share_test_is_the_integral_over_its_prior(one_sided: bool, margin: float) -> None:
    """The closed form equals numeric integration of likelihood ratio times the (truncated) Beta prior."""
    x1, x0, pi, k = 12, 7, 0.3, 20.0
    null = margin * pi / (margin * pi + 1 - pi)
    prior = stats.beta(k * null, k * (1 - null))
    start = null if one_sided else 0.0

    def ratio(theta: float) -> float:
        return float(prior.pdf(theta) * (theta / null) ** x1 * ((1 - theta) / (1 - null)) ** x0)

    area, _ = integrate.quad(ratio, start, 1.0, epsabs=1e-12)
    expected = math.log(area / (prior.sf(null) if one_sided else 1.0))
    assert sequential.log_e_share(x1, x0, pi, k, one_sided, margin) == pytest.approx(expected, abs=1e-6)


@settings(max_examples=20, deadline=None)
@given(st.floats(0.05, 0.95), st.floats(1, 200), st.integers(0, 60), st.booleans())
def test_e_values_have_mean_one_under_the_null(pi: float, k: float, n: int, one_sided: bool) -> None:
    """Summed over all outcomes of n events, the expectation is 1: what makes every look valid."""
    x1 = np.arange(n + 1)
    log_e = np.array([sequential.log_e_share(int(x), n - int(x), pi, k, one_sided) for x in x1])
    assert float(np.sum(stats.binom.pmf(x1, n, pi) * np.exp(log_e))) == pytest.approx(1.0, rel=1e-6)


def test_no_harm_mirrors_the_harm_test() -> None:
    """Shown not to be twice as bad: few events in the challenger; not shown where it has twice as many."""
    assert sequential.log_e_share_below(20, 40, 0.5, 50, margin=2.0) > math.log(20)
    assert sequential.log_e_share_below(80, 40, 0.5, 50, margin=2.0) < 0
    assert sequential.log_e_share_below(7, 9, 0.5, 50) == sequential.log_e_share(9, 7, 0.5, 50)


def test_share_test_survives_extreme_counts() -> None:
    """All events in one arm: no NaN, the right sign."""
    assert sequential.log_e_share(10**6, 0, 0.5, 10) > 1e5
    assert sequential.log_e_share(0, 10**6, 0.5, 10) == -math.inf
    assert sequential.log_e_share(0, 0, 0.5, 10) == 0.0


def test_half_width_by_hand() -> None:
    """The formulas, written out once more."""
    n, error, alpha, n_star = 4000, 0.01, 0.05, 10_000
    spent = -2 * math.log(alpha)
    rho = math.sqrt((spent + math.log(spent + 1)) / n_star)
    assert sequential.tuning(n_star, alpha=alpha, side="two") == pytest.approx(rho)
    grown = n * rho**2 + 1
    expected = (
        error * math.sqrt(n) * math.sqrt(2 * grown / (n**2 * rho**2) * math.log(math.sqrt(grown) / alpha))
    )
    assert sequential.half_width(n, error, alpha=alpha, n_star=n_star, side="two") == pytest.approx(expected)
    spent = -2 * math.log(2 * alpha)
    rho = math.sqrt((spent + math.log(spent + 1)) / n_star)
    grown = n * rho**2 + 1
    expected = (
        error
        * math.sqrt(n)
        * math.sqrt(2 * grown / (n**2 * rho**2) * math.log(1 + math.sqrt(grown) / (2 * alpha)))
    )
    assert sequential.half_width(n, error, alpha=alpha, n_star=n_star, side="lower") == pytest.approx(
        expected
    )


@pytest.mark.parametrize("side", ["two", "lower"])
def test_the_sequence_is_tightest_near_its_planned_n(side: sequential.Side) -> None:
    """Relative to the fixed-n error, the width has its minimum within a factor 2 of n_star."""
    ns = np.geomspace(100, 100_000, 61)
    widths = [sequential.half_width(n, 1.0, alpha=0.05, n_star=5000, side=side) for n in ns]
    assert 2500 <= ns[int(np.argmin(widths))] <= 10_000


def test_sides_bound_one_side_only() -> None:
    """The other bound is infinite; one unit says nothing."""
    lower = sequential.mean_sequence(1000, 0.5, 1.0, alpha=0.05, n_star=1000, side="lower")
    upper = sequential.mean_sequence(1000, 0.5, 1.0, alpha=0.05, n_star=1000, side="upper")
    assert lower.upper == math.inf and upper.lower == -math.inf
    assert 0.5 - lower.lower == pytest.approx(upper.upper - 0.5)
    alike = sequential.paired_sequence(UnitSums.of([0.5] * 200), alpha=0.05, n_star=100, side="two")
    assert (alike.lower, alike.upper) == (-math.inf, math.inf)
    same = sequential.paired_sequence(UnitSums.of([0.0] * 200), alpha=0.05, n_star=100, side="two")
    assert (same.lower, same.upper) == (0.0, 0.0)
    one = sequential.paired_sequence(UnitSums.of([0.3]), alpha=0.05, n_star=100, side="two")
    assert (one.lower, one.upper) == (-math.inf, math.inf)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.floats(-5, 5), st.integers(1, 9)), min_size=4, max_size=40), st.integers(2, 38))
def test_unit_sums_add_up(units: list[tuple[float, int]], cut: int) -> None:
    """Two halves summed are the whole, and its mean and variance are those of the rows."""
    y, x = np.array([u[0] for u in units]), np.array([float(u[1]) for u in units])
    cut = min(cut, len(units) - 2)
    whole = UnitSums.of(y, x)
    parts = UnitSums.of(y[:cut], x[:cut]) + UnitSums.of(y[cut:], x[cut:])
    assert parts.n == whole.n and parts.sum_xy == pytest.approx(whole.sum_xy, abs=1e-9)
    assert whole.mean == pytest.approx(y.sum() / x.sum())
    expected = np.sum((y - whole.mean * x) ** 2) / (len(y) - 1) / x.mean() ** 2
    assert whole.variance == pytest.approx(expected, abs=1e-9)


def looks(values: np.ndarray[tuple[int, int], np.dtype[np.float64]], every: int) -> tuple[np.ndarray, ...]:  # type: ignore[type-arg]
    """n, mean and variance of each row's prefix at every look."""
    n = np.arange(every, values.shape[1] + 1, every)
    mean = np.cumsum(values, axis=1)[:, n - 1] / n
    variance = (np.cumsum(values**2, axis=1)[:, n - 1] / n - mean**2) * n / (n - 1)
    return n, mean, variance


@pytest.mark.parametrize("law", ["normal", "exponential", "rare"])
def test_paired_sequence_seldom_errs_at_any_of_many_looks(law: str) -> None:
    """A/A, 97 looks from n=400 to 10,000, one-sided 5 %: below the limit; a z test at each look > 20 %."""
    generator = np.random.default_rng(11)
    draw = {
        "normal": lambda size: generator.normal(size=size),
        "exponential": lambda size: 1.0 - generator.exponential(size=size),
        "rare": lambda size: 0.05 - (generator.uniform(size=size) < 0.05),
    }[law]
    runs = 400
    n, mean, variance = (each[..., 3:] for each in looks(draw((runs, 10_000)), 100))
    width = np.array([sequential.half_width(float(k), 1.0, alpha=0.05, n_star=5000, side="lower") for k in n])
    error = np.sqrt(variance / n)
    wrong = int(np.any(mean - width * error > 0, axis=1).sum())
    assert wrong <= stats.binom.ppf(0.999, runs, 0.05)
    assert np.any(mean - 1.645 * error > 0, axis=1).mean() > 0.2


def test_split_trial_keeps_its_level_and_its_power() -> None:
    """20 looks up to twice the fixed n: false promotion below the limit of 5 %, power at the planned effect
    ≥ .78.
    """
    generator = np.random.default_rng(12)
    effect, deviation, runs = 0.1, 1.0, 200
    fixed = sequential.fixed_horizon_n(effect, deviation)
    n_max = sequential.n_max(fixed)
    per_look, promoted = n_max // 40, {0.0: 0, effect: 0}
    for gain in promoted:
        for _ in range(runs):
            arms = [UnitSums(0, 0, 0, 0, 0, 0), UnitSums(0, 0, 0, 0, 0, 0)]
            for _look in range(20):
                arms[0] += UnitSums.of(generator.normal(1.0, deviation, per_look))
                arms[1] += UnitSums.of(generator.normal(1.0 - gain, deviation, per_look))
                bounds = sequential.difference_sequence(*arms, alpha=0.05, n_star=n_max / 2, side="lower")
                if bounds.lower > 0:
                    promoted[gain] += 1
                    break
    assert promoted[0.0] <= stats.binom.ppf(0.999, runs, 0.05)
    assert promoted[effect] >= stats.binom.ppf(0.001, runs, 0.82)


def test_the_split_check_seldom_alarms_and_finds_a_broken_split() -> None:
    """1,000 looks on a fair split: p ≤ .01 in at most the limit of 1 %; 55:45 is found by 2,500 units in
    the median.
    """
    generator = np.random.default_rng(13)
    runs, every = 300, 50
    n = np.arange(1, 201) * every

    def first_alarm(share: float, threshold: float) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        ones = np.cumsum(generator.binomial(every, share, size=(runs, 200)), axis=1)
        k = 500.0
        log_bf = (
            gammaln(2 * k)
            - 2 * gammaln(k)
            + gammaln(k + ones)
            + gammaln(k + n - ones)
            - gammaln(2 * k + n)
            + n * math.log(2)
        )
        last = sequential.log_bayes_factor_split([int(ones[0, -1]), int(n[-1] - ones[0, -1])], [0.5, 0.5])
        assert log_bf[0, -1] == pytest.approx(last, abs=1e-7)
        alarmed = log_bf >= -math.log(threshold)
        return np.where(alarmed.any(axis=1), n[alarmed.argmax(axis=1)], np.inf)

    assert np.isfinite(first_alarm(0.5, 0.01)).sum() <= stats.binom.ppf(0.999, runs, 0.01)
    assert np.median(first_alarm(0.55, 0.001)) <= 2500


def test_p_value_over_looks_never_rises() -> None:
    """The smallest 1/e so far, at most 1."""
    assert sequential.always_valid_p([]) == 1.0
    assert sequential.always_valid_p([-3.0]) == 1.0
    assert (
        sequential.always_valid_p([5.0, 0.0])
        == sequential.always_valid_p([5.0])
        == pytest.approx(math.exp(-5))
    )


@pytest.mark.parametrize(
    "call",
    [
        lambda: sequential.log_e_share(-1, 0, 0.5, 10),
        lambda: sequential.log_e_share(1, 0, 1.0, 10),
        lambda: sequential.log_bayes_factor_split([1, 2], [0.5, 0.6]),
        lambda: sequential.tuning(0, alpha=0.05, side="two"),
        lambda: sequential.tuning(10, alpha=0.6, side="lower"),
        lambda: sequential.tuning(10, alpha=0.05, side="left"),  # type: ignore[arg-type]
        lambda: sequential.fixed_horizon_n(0.0, 1.0),
        lambda: UnitSums.of([]).mean,
        lambda: UnitSums.of([1.0], [1.0, 2.0]),
        lambda: UnitSums.of([math.nan]),
    ],
)
def test_impossible_arguments_are_refused(call: object) -> None:
    """Never a NaN or a quiet zero."""
    with pytest.raises(ValueError, match=r"expected|found|no mean|side|must|finite"):
        call()  # type: ignore[operator]


# --- many looks at once: one formula


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(st.floats(-5, 5), st.floats(-5, 5)), min_size=3, max_size=40),
    st.sampled_from(["two", "lower", "upper"]),
)
def test_looks_at_once_are_the_looks_one_by_one(
    units: list[tuple[float, float]], side: sequential.Side
) -> None:
    """Bounds of a split and of pairs, at every look, to the byte: from no unit to all of them."""
    losses, ends = np.array(units), np.arange(len(units) + 1)
    arms = [sequential.LookSums.of_units(losses[:, i], ends) for i in (0, 1)]
    level = {"alpha": 0.05, "n_star": 20.0, "side": side}
    split = sequential.difference_bounds(arms[0], arms[1], **level)  # type: ignore[arg-type]
    pairs = sequential.paired_bounds(arms[0], **level)  # type: ignore[arg-type]
    assert (split.lower[0], split.upper[0], pairs.lower[0], pairs.upper[0]) == (-math.inf, math.inf) * 2
    for look in range(1, len(ends)):
        sums = [UnitSums(look, look, arm.sum_y[look], look, arm.sum_yy[look], arm.sum_y[look]) for arm in arms]
        for found, one in (
            (split, sequential.difference_sequence(sums[0], sums[1], **level)),  # type: ignore[arg-type]
            (pairs, sequential.paired_sequence(sums[0], **level)),  # type: ignore[arg-type]
        ):
            at_look = (found.estimate[look], found.lower[look], found.upper[look], found.standard_error[look])
            assert at_look == (one.estimate, one.lower, one.upper, one.standard_error)


def test_sums_of_looks_are_those_of_the_units_before() -> None:
    """A look after k units holds the sums of exactly these."""
    losses = np.random.default_rng(3).exponential(size=50)
    found = sequential.LookSums.of_units(losses, np.array([7, 20, 50]))
    for look, k in enumerate((7, 20, 50)):
        one = UnitSums.of(losses[:k])
        assert (found.n[look], found.means[look]) == (k, pytest.approx(one.mean))
        assert found.variances[look] == pytest.approx(one.variance) == pytest.approx(losses[:k].var(ddof=1))


def test_events_and_units_at_many_looks_are_those_at_one() -> None:
    """Share tests above and below, and the split check, by arrays and by single counts, to the byte."""
    x1, x0 = np.array([0, 3, 40, 900]), np.array([0, 9, 20, 850])
    for margin in (1.0, 2.0):
        above = sequential.log_e_shares(x1, x0, 0.3, 10.0, margin=margin).tolist()
        below = sequential.log_e_shares_below(x1, x0, 0.3, 50.0, margin).tolist()
        for i in range(4):
            assert above[i] == sequential.log_e_share(int(x1[i]), int(x0[i]), 0.3, 10.0, margin=margin)
            assert below[i] == sequential.log_e_share_below(int(x1[i]), int(x0[i]), 0.3, 50.0, margin)
    counts = np.column_stack([x1, x0])
    found = sequential.log_bayes_factors_split(counts, [0.4, 0.6]).tolist()
    assert found == [sequential.log_bayes_factor_split(row, [0.4, 0.6]) for row in counts.tolist()]
    with pytest.raises(ValueError, match="expected counts"):
        sequential.log_e_shares(np.array([1, -1]), np.array([1, 1]), 0.5, 10.0)
    with pytest.raises(ValueError, match="for each arm"):
        sequential.log_bayes_factors_split(np.array([[1, -1]]), [0.5, 0.5])
