"""Bounds of a gain: as the sequences of `stats.sequential` give them, and how far off a proof is."""

import math

from hypothesis import given
from hypothesis import strategies as st

from incumbent.stats import sequential
from incumbent.steps.live.bounds import of_gain, units_to_show
from incumbent.steps.live.gain import Gain

GAIN = Gain(2_000, 0.01, 0.09 / 2_000)


def test_bounds_are_those_of_the_sequence() -> None:
    """Two one-sided at alpha, one upper at the part of the rollback."""
    found = of_gain(GAIN, 3_000, alpha=0.05, alpha_harm=0.01)
    error = math.sqrt(GAIN.variance)
    at_5, at_1 = (sequential.half_width(2_000, error, alpha=a, n_star=3_000, side="lower") for a in (0.05, 0.01))
    assert found == {"estimate": 0.01, "lower": 0.01 - at_5, "upper": 0.01 + at_5, "harm_upper": 0.01 + at_1}


def test_before_the_first_valid_look_there_is_no_bound() -> None:
    assert of_gain(GAIN, None, alpha=0.05, alpha_harm=0.01) == {
        "estimate": 0.01, "lower": -math.inf, "upper": math.inf, "harm_upper": math.inf,
    }  # fmt: skip


@given(estimate=st.floats(0.002, 0.2), variance=st.floats(0.01, 1.0), n_star=st.floats(100, 1e5))
def test_so_many_units_more_would_show_it(estimate: float, variance: float, n_star: float) -> None:
    """With them the lower bound is above, with one less it is not."""
    now = Gain(1_000, estimate, variance / 1_000)
    more = units_to_show(now, 0.0, n_star, alpha=0.05)
    if more is None:
        return
    for n, above in ((1_000 + more, True), (1_000 + more - 1, False)):
        then = of_gain(Gain(n, estimate, variance / n), n_star, alpha=0.05, alpha_harm=0.01)
        assert (then["lower"] > 0.0) is above or more == 1


def test_nobody_is_told_of_what_will_not_come() -> None:
    """A gain that is none, or so small that a thousand times the units would not do."""
    assert units_to_show(Gain(1_000, -0.01, 1e-4), 0.0, 500, alpha=0.05) is None
    assert units_to_show(Gain(1_000, 0.01, 1e-4), 0.02, 500, alpha=0.05) is None
    assert units_to_show(Gain(1_000, 1e-6, 1e-2), 0.0, 500, alpha=0.05) is None
