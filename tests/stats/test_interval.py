"""Intervals of one value: they hold the truth as often as they say, by every way that they are made."""

import numpy as np
import numpy.typing as npt
import pytest

from incumbent.errors import DataError
from incumbent.stats import metrics
from incumbent.stats.interval import MOST_GROUPS, measured

Array = npt.NDArray[np.float64]


def scored(generator: np.random.Generator, n: int) -> tuple[Array, npt.NDArray[np.int64]]:
    """Normal scores one standard deviation apart, as probabilities."""
    truth = generator.integers(0, 2, n)
    positive = 1 / (1 + np.exp(-(generator.normal(size=n) + truth)))
    return np.column_stack([1 - positive, positive]), truth


AREA = 0.7602499389065233
"""The normal distribution function at 1/√2: the area under the curve of two normals one deviation apart."""


@pytest.mark.parametrize(
    ("name", "true"), [("roc_auc", AREA), ("brier", None), ("average_precision", None), ("f1", None)]
)
def test_nineteen_in_twenty_intervals_hold_the_true_value(name: str, true: float | None) -> None:
    """200 samples of 300 rows; the true value is known, or that of half a million rows."""
    metric, generator = metrics.get(name, "binary"), np.random.default_rng(0)
    wanted = metric.value(*scored(generator, 500_000)) if true is None else true
    inside = 0
    for _ in range(200):
        found = measured(metric, *scored(generator, 300))
        assert found.lower is not None and found.upper is not None and found.lower <= found.value <= found.upper
        inside += found.lower <= wanted <= found.upper
    assert inside >= 178  # coverage .95: fewer than 178 of 200 has a chance below .001


def test_r2_covers_too() -> None:
    """Numbers: of a signal as large as the noise, r2 is one half."""
    metric, generator, inside = metrics.get("r2", "regression"), np.random.default_rng(1), 0
    for _ in range(200):
        signal = generator.normal(size=300)
        found = measured(metric, signal, signal + generator.normal(size=300))
        assert found.losses is not None and found.lower is not None and found.upper is not None
        inside += found.lower <= 0.5 <= found.upper
    assert inside >= 178


@pytest.mark.parametrize("name", ["roc_auc", "f1"])
def test_blocks_widen_what_depends_on_them(name: str) -> None:
    """Each row ten times is no more than each row once: with blocks the interval says so."""
    outputs, truth = scored(np.random.default_rng(2), 200)
    tenfold, often = np.repeat(outputs, 10, axis=0), np.repeat(truth, 10)
    metric, blocks = metrics.get(name, "binary"), np.repeat(np.arange(200), 10)
    once, blocked = measured(metric, outputs, truth), measured(metric, tenfold, often, blocks)
    alone = measured(metric, tenfold, often)
    widths = [float(m.upper or 0) - float(m.lower or 0) for m in (once, blocked, alone)]
    assert blocked.n_blocks == 200
    assert widths[1] == pytest.approx(widths[0], rel=0.35)
    assert widths[2] < 0.6 * widths[1]


def test_a_constant_score_has_no_spread() -> None:
    """An area of one half, however large the sample: nothing is sorted by it."""
    _, truth = scored(np.random.default_rng(3), 100)
    found = measured(metrics.get("roc_auc", "binary"), np.full((100, 2), 0.5), truth)
    assert (found.value, found.lower, found.upper) == (0.5, 0.5, 0.5)


def test_one_block_has_no_interval() -> None:
    """Rows of one day say nothing of the next one."""
    outputs, truth = scored(np.random.default_rng(4), 100)
    for name in ("brier", "roc_auc", "f1"):
        found = measured(metrics.get(name, "binary"), outputs, truth, np.zeros(100, dtype=np.int64))
        assert (found.lower, found.upper, found.n_blocks) == (None, None, 1), name


def test_no_interval_where_leaving_a_group_out_leaves_no_value() -> None:
    """Rank metrics need both classes: with one positive row the jackknife has nothing to say."""
    outputs, _ = scored(np.random.default_rng(5), MOST_GROUPS)
    truth = (np.arange(MOST_GROUPS) == 3).astype(np.int64)
    found = measured(metrics.get("average_precision", "binary"), outputs, truth)
    assert found.lower is None


def test_no_value_is_an_error() -> None:
    """One class only has no area."""
    with pytest.raises(DataError, match="both classes"):
        measured(metrics.get("roc_auc", "binary"), np.full((5, 2), 0.5), np.zeros(5, dtype=np.int64))


def test_the_order_of_rows_without_blocks_is_no_matter_for_the_area() -> None:
    """Sorted or shuffled, the same interval."""
    outputs, truth = scored(np.random.default_rng(6), 500)
    order = np.argsort(truth, kind="stable")
    metric = metrics.get("roc_auc", "binary")
    first, second = measured(metric, outputs, truth), measured(metric, outputs[order], truth[order])
    assert (first.lower, first.upper) == pytest.approx((second.lower, second.upper))
