"""Intervals of shares: published values, coverage at one look and at every look."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from incumbent.stats import share


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_intervals_agree_with_scipy(case: tuple[int, int]) -> None:
    """Wilson two-sided, Clopper-Pearson one-sided on each side (scipy's two-sided at 2·alpha)."""
    events, n = case
    result = stats.binomtest(events, n)
    wilson, exact = share.wilson(events, n), share.clopper_pearson(events, n)
    assert (wilson.lower, wilson.upper) == pytest.approx(
        tuple(result.proportion_ci(0.95, "wilson")), abs=1e-9
    )
    assert (exact.lower, exact.upper) == pytest.approx(tuple(result.proportion_ci(0.90, "exact")), abs=1e-9)


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 2000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_a_bound_for_every_look_is_wider_than_for_one(case: tuple[int, int]) -> None:
    """The sequence lies above the one-look bound, at most at 1."""
    events, n = case
    assert share.clopper_pearson(events, n).upper <= share.upper_rate_sequence(events, n) <= 1.0


@pytest.mark.parametrize("rate", [0.005, 0.1])
def test_the_upper_sequence_holds_at_every_look(rate: float) -> None:
    """200 runs of 100 looks: the bound falls below the rate in at most the limit of 5 %."""
    generator = np.random.default_rng(1)
    runs, every = 200, 50
    events = np.cumsum(generator.binomial(every, rate, size=(runs, 100)), axis=1)
    n = np.arange(1, 101) * every
    wrong = 0
    for run in events:
        late = [i for i in range(100) if run[i] / n[i] < rate]
        wrong += any(
            share.upper_rate_sequence(int(run[i]), int(n[i])) < rate for i in late[:: max(1, len(late) // 8)]
        )
    assert wrong <= stats.binom.ppf(0.999, runs, 0.05)


def test_no_events_reach_a_tolerated_rate() -> None:
    """Half a percent is shown by about 1,200 rows without an event at alpha .01, and no rows show nothing."""
    assert share.upper_rate_sequence(0, 1200, alpha=0.01) <= 0.005
    assert share.upper_rate_sequence(0, 600, alpha=0.01) > 0.005
    assert share.upper_rate_sequence(0, 0) == share.upper_rate_sequence(7, 7) == 1.0


def test_a_clustered_share_is_no_surer_than_its_rows() -> None:
    """Rows that say as much as rows by themselves have Wilson's interval; those that say less have a wider one."""
    plain = share.wilson(90, 100)
    same = share.clustered(0.9, 100, 10_000, 0.0)
    assert (same.lower, same.upper) == (pytest.approx(plain.lower), pytest.approx(plain.upper))
    wider = share.clustered(0.9, 100, 20, 0.06)
    assert wider.lower < plain.lower and wider.upper > plain.upper
    assert share.clustered(0.9, 100, 5, 0.06).lower < wider.lower
    assert share.clustered(1.0, 100, 20, 0.0).lower == pytest.approx(share.wilson(20, 20).lower)


@pytest.mark.parametrize(("events", "n", "alpha"), [(-1, 5, 0.05), (6, 5, 0.05), (0, 0, 0.05), (1, 5, 1.0)])
def test_impossible_counts_are_refused(events: int, n: int, alpha: float) -> None:
    """The message says what was found."""
    with pytest.raises(ValueError, match=r"expected|alpha"):
        share.wilson(events, n, alpha=alpha)


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, max(n // 50, 1)), st.just(n))))
def test_a_rate_is_excluded_where_the_bound_lies_below_it(case: tuple[int, int]) -> None:
    """The array test at a tolerated rate says the same as the bound that is searched for."""
    events, n = case
    for rate in (0.005, 0.02, 0.3):
        if events / n < rate:
            (log_e,) = share.log_e_rates_below(rate, np.array([events]), np.array([n]))
            bound = share.upper_rate_sequence(events, n, alpha=0.05)
            assert (log_e >= -np.log(0.05)) == (bound <= rate) or bound == pytest.approx(rate, abs=1e-9)
