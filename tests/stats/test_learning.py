"""The power law through a learning curve: found again where it holds, refused where it does not, honest beyond."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from incumbent.stats.learning import Curve, curve, fit, power_law, resampled, rows_for

SIZES = np.array([125, 250, 500, 1_000, 2_000, 4_000, 8_000])


def drawn(law: tuple[float, float, float], seed: int, *, blocks: int = 40, noise: float = 0.02) -> Curve:
    """A curve of three models a size on 40 blocks of 25 rows: what a block adds to all sizes, and noise of its own."""
    random = np.random.default_rng(seed)
    rows = np.full(blocks, 25.0)
    shared = random.normal(0.0, noise, blocks)
    true = power_law(np.array([law]), SIZES)[0]
    sums = [
        np.array([rows * (loss + shared + random.normal(0.0, noise / 4, blocks)) for _ in range(3)]) for loss in true
    ]
    means = np.array([one.mean(axis=0).sum() / rows.sum() for one in sums])
    return curve(SIZES, means, resampled(sums, rows, 200, seed), blocks)


@given(
    a=st.floats(0.0, 1.0),
    b=st.floats(0.5, 20.0),
    c=st.floats(0.2, 1.2),
)
def test_an_exact_law_is_found_again(a: float, b: float, c: float) -> None:
    """Least squares of losses that lie on a law foretells ten times the rows to a hundredth of the fall."""
    true = np.array([[a, b, c]])
    losses = power_law(true, SIZES)
    found = fit(SIZES, losses)
    fall = float(losses[0, 0] - losses[0, -1])
    assert (found >= 0.0).all()
    assert float(power_law(found, 80_000)[0]) == pytest.approx(float(power_law(true, 80_000)[0]), abs=0.01 * fall)


def test_no_part_of_a_law_is_negative() -> None:
    """Losses that fall faster than any law end at a = 0, not below."""
    found = fit(SIZES, np.linspace(1.0, 0.0, len(SIZES))[None, :])
    assert found[0, 0] >= 0.0 and found[0, 1] >= 0.0


def test_the_interval_of_ten_times_the_rows_covers_the_truth() -> None:
    """The 95 % interval at ten times the largest size holds the true loss in at least 86 % of 200 curves: the binomial
    99.9 % bound of 95 % is 180 of 200; 8 rows of slack are left for the bootstrap of 40 blocks."""
    law = (0.10, 1.5, 0.45)
    truth = float(power_law(np.array([law]), 80_000)[0])
    inside = shown = 0
    for seed in range(200):
        found = drawn(law, seed).at(80_000)
        if found is not None:
            shown += 1
            inside += found.lower <= truth <= found.upper
    assert shown >= 190
    assert inside >= 0.86 * shown


def test_what_is_shared_by_all_sizes_cancels_in_the_gain() -> None:
    """Blocks that are hard for every size widen the interval of the level, and hardly that of the gain."""
    found = drawn((0.10, 1.5, 0.45), 3, noise=0.05)
    level, along = found.at(16_000), found.along(16_000)
    assert level is not None and along is not None
    assert along.upper - along.lower < 0.5 * (level.upper - level.lower)


def test_a_flat_curve_is_flat() -> None:
    """Where nothing is learnt from more rows no law is read off: 5 % are by chance, more than 12 of 100 are not."""
    words = [drawn((0.3, 0.0, 0.5), seed).verdict for seed in range(100)]
    assert words.count("flat") >= 88


def test_a_step_is_no_law() -> None:
    """Losses that stay, then drop at once, are not drawn on."""
    random = np.random.default_rng(0)
    means = np.array([0.30, 0.30, 0.30, 0.30, 0.10, 0.30, 0.10])
    boot = means + random.normal(0, 1e-4, (200, 7))
    found = curve(SIZES, means, boot, 40)
    assert found.verdict == "not_enough_data" and "does not fit" in found.why
    assert found.at(80_000) is None and found.rows_for(0.2) is None and found.asymptote is None


@pytest.mark.parametrize(("n_sizes", "blocks"), [(4, 40), (7, 1), (1, 40)])
def test_too_few_sizes_or_blocks_are_not_enough(n_sizes: int, blocks: int) -> None:
    sizes = SIZES[-n_sizes:]
    means = 1.0 / np.sqrt(sizes)
    found = curve(sizes, means, np.tile(means, (50, 1)), blocks)
    assert found.verdict == "not_enough_data" and str(n_sizes) in found.why
    assert [point.n_rows for point in found.points] == sizes.tolist()


def test_rows_for_a_loss_are_where_the_law_reaches_it() -> None:
    """And infinite below its end."""
    laws = np.array([[0.1, 2.0, 0.5]])
    rows = float(rows_for(laws, 0.12)[0])
    assert float(power_law(laws, round(rows))[0]) == pytest.approx(0.12, rel=1e-4)
    assert math.isinf(rows_for(laws, 0.1)[0])


def test_the_rows_that_a_loss_takes_are_inside_their_interval() -> None:
    found = drawn((0.10, 1.5, 0.45), 5, noise=0.005).rows_for(0.115)
    assert found is not None
    guess, lower, upper = found
    assert lower <= guess <= upper and 8_000 < guess < 1e6
