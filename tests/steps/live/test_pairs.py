"""Blocks of time: thin ones are joined, and what the blocks of a day share widens the variance."""

import numpy as np
import pytest

from incumbent.records import DAY
from incumbent.stats.metrics import UNITS_PER_ONE as ONE
from incumbent.steps.live import pairs
from incumbent.steps.live.bounds import of_gain
from incumbent.storage.base import BlockSum


@pytest.mark.parametrize("least", [1, 20])
def test_merged_blocks_lose_no_row(least: int) -> None:
    """Thin blocks are joined, sums stay, of every count."""
    rng = np.random.default_rng(5)
    blocks = [
        BlockSum(i, int(rows), int(rows) * 3, int(rows) * 2, int(rows) // 2, 1)
        for i, rows in enumerate(rng.integers(1, 30, 50))
    ]
    merged = pairs.merge(blocks, least)
    for count in ("rows", "loss_reference", "loss_candidate", "disagree", "slow"):
        assert sum(getattr(one, count) for one in merged) == sum(getattr(one, count) for one in blocks)
    assert min(one.rows for one in merged) >= least


def test_the_gain_is_a_mean_a_row_and_large_blocks_weigh_more() -> None:
    """(10 - 4) of 10 rows and (30 - 30) of 30: 6 in 40 rows."""
    blocks = [BlockSum(0, 10, 10 * ONE, 4 * ONE), BlockSum(1, 30, 30 * ONE, 30 * ONE)]
    assert pairs.gain(blocks, DAY).estimate == pytest.approx(6 / 40)
    assert pairs.means(blocks) == {"challenger": pytest.approx(34 / 40), "incumbent": 1.0}
    assert pairs.means([]) == {"challenger": None, "incumbent": None}


def test_what_the_blocks_of_a_day_share_widens_the_variance() -> None:
    """Four blocks a day that are alike are one: the variance of the mean is about four times that of single blocks."""
    gains = np.random.default_rng(1).normal(0, 0.1, 50).repeat(4)
    blocks = [BlockSum(i, 20, round(20 * (1 + g) * ONE), 20 * ONE) for i, g in enumerate(gains)]
    apart = pairs.gain(blocks, DAY)
    together = pairs.gain(blocks, DAY // 4)
    assert together.variance / apart.variance == pytest.approx(4, rel=0.05)
    assert apart.variance == pytest.approx(np.var(gains, ddof=1) / 200, rel=0.01)


def test_a_candidate_that_is_always_wrong_is_bounded() -> None:
    """Every block says the same, so their variance is 0: harm is shown all the same."""
    found = pairs.gain([BlockSum(i, 20 + i, 0, (20 + i) * ONE) for i in range(40)], DAY)
    bounds = of_gain(found, 60.0, alpha=0.05, alpha_harm=0.01)
    assert found.estimate == -1.0 and bounds["harm_upper"] < -0.5
