"""Quantiles of timings with bounds that need no distribution."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from incumbent.errors import DataError
from incumbent.stats import latency


def test_the_rank_of_the_upper_bound_is_the_published_one() -> None:
    """p99 of 2,000: the 1988th; it takes 299 timings before any bound exists."""
    assert latency.upper_rank(2000, 0.99) == 1988
    assert latency.upper_rank(298, 0.99) is None
    assert latency.upper_rank(299, 0.99) == 299


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 3000), st.floats(0.01, 0.99))
def test_ranks_are_the_smallest_that_hold(n: int, q: float) -> None:
    """P(X_(k) above the quantile) ≥ .95 at k and not at k - 1; the lower rank mirrors it."""
    k = latency.upper_rank(n, q)
    if k is None:
        assert stats.binom.cdf(n - 1, n, q) < 0.95
        return
    assert stats.binom.cdf(k - 1, n, q) >= 0.95 - 1e-12
    assert k == 1 or stats.binom.cdf(k - 2, n, q) < 0.95
    below = latency.lower_rank(n, q)
    assert below is None or below <= k


def test_the_upper_bound_of_p99_covers() -> None:
    """1,000 samples of 500 heavy-tailed timings: the bound is too low in at most the limit of 5 %."""
    draws = np.random.default_rng(1).lognormal(size=(1000, 500))
    truth = math.exp(stats.norm.ppf(0.99))
    missed = sum(latency.quantile(row, 0.99).upper < truth for row in draws)
    assert 0 < missed <= stats.binom.ppf(0.999, 1000, 0.05)


def test_too_few_timings_have_no_upper_bound() -> None:
    """Ten timings: the quantiles are shown, the bound is infinite."""
    summary = latency.summarise(np.arange(1.0, 11.0))
    assert (summary.n, summary.p50_ms, summary.p99_ms, summary.p99_upper_ms) == (10, 5.0, 10.0, math.inf)


@pytest.mark.parametrize("timings", [[], [math.nan], [-1.0], [[1.0]]])
def test_unusable_timings_are_refused(timings: list[float]) -> None:
    """No value, NaN, negative, a table."""
    with pytest.raises((DataError, ValueError)):
        latency.summarise(timings)
