"""Metrics that are no mean of row losses, compared through what each row does to them: held against the bootstrap."""

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from incumbent.errors import DataError
from incumbent.stats import compare, metrics
from incumbent.stats.influence import influence, influence_difference, knows

Floats = npt.NDArray[np.float64]
NAMES = ["roc_auc", "average_precision", "f1"]
N = 1_200
DRAW = np.random.default_rng(0)
TRUTH = (DRAW.random(N) < 0.25).astype(int)


def outputs(signal: float, decimals: int = 2) -> Floats:
    """Scores with ties."""
    p = np.round(1 / (1 + np.exp(-(signal * (TRUTH - 0.5) + DRAW.normal(size=N)))), decimals)
    return np.column_stack([1 - p, p])


OLD, NEW = outputs(0.8), outputs(1.4)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("blocks", [None, np.arange(N) // 20])
def test_the_bootstrap_says_the_same(name: str, blocks: npt.NDArray[np.int64] | None) -> None:
    """The same gain, and a standard error within 12 % of that of 600 resamples (four of its own standard errors)."""
    metric = metrics.get(name, "binary")
    ours = influence_difference(metric, TRUTH, OLD, NEW, blocks=blocks)
    drawn = compare.bootstrap_difference(metric, TRUTH, OLD, NEW, blocks=blocks, n_resamples=600)
    assert ours.gain == drawn.gain and ours.mean_candidate == metric.value(NEW, TRUTH)
    assert ours.standard_error == pytest.approx(drawn.standard_error, rel=0.12)


@pytest.mark.parametrize("name", NAMES)
def test_influences_sum_to_nothing_and_predict_what_a_row_does(name: str) -> None:
    """Leaving a row out moves the value by about minus its influence over n: the jackknife agrees."""
    metric = metrics.get(name, "binary")
    found = influence(metric, OLD, TRUTH)
    assert abs(found.rows.mean()) < 1e-12
    some = np.arange(0, N, 40)
    without = [metric.value(np.delete(OLD, i, axis=0), np.delete(TRUTH, i)) for i in some]
    moved = (found.value - np.array(without)) * (N - 1)
    np.testing.assert_allclose(moved, found.rows[some], atol=0.02 * np.abs(found.rows).max())


def test_many_classes_and_roots() -> None:
    """f1 of three classes and rmse: the jackknife again."""
    truth = DRAW.integers(0, 3, 600)
    p = DRAW.dirichlet(np.ones(3), 600) + 0.5 * np.eye(3)[truth]
    p /= p.sum(axis=1, keepdims=True)
    y = DRAW.normal(size=600)
    cases = [(metrics.get("f1", "multiclass"), p, truth), (metrics.get("rmse", "regression"), y + 0.3, y * 0.9)]
    for metric, said, actual in cases:
        found = influence(metric, said, actual)
        without = [metric.value(np.delete(said, i, axis=0), np.delete(actual, i)) for i in range(0, 600, 20)]
        moved = (found.value - np.array(without)) * 599
        np.testing.assert_allclose(moved, found.rows[::20], atol=0.02 * np.abs(found.rows).max())


def test_delong_on_a_case_by_hand() -> None:
    """Two positives, two negatives, one pair the wrong way round: .75, placements 1, .5, .5 and 1."""
    said = [[0.9, 0.1], [0.6, 0.4], [0.65, 0.35], [0.2, 0.8]]
    found = influence(metrics.get("roc_auc", "binary"), said, [0, 0, 1, 1])
    assert found.value == 0.75
    assert found.rows.tolist() == [0.5, -0.5, -0.5, 0.5]


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(NAMES), st.integers(0, 10_000), st.booleans())
def test_a_version_against_itself_is_exactly_zero(name: str, seed: int, blocked: bool) -> None:
    """No width, no gain; and swapping two versions mirrors the gain."""
    g = np.random.default_rng(seed)
    truth, p, q = g.integers(0, 2, 60), g.uniform(size=60).round(1), g.uniform(size=60).round(1)
    truth[:2] = 0, 1
    a, b = (np.column_stack([1 - one, one]) for one in (p, q))
    blocks = np.arange(60) // 5 if blocked else None
    metric = metrics.get(name, "binary")
    same = influence_difference(metric, truth, a, a, blocks=blocks)
    assert (same.gain, same.lower, same.upper, same.standard_error) == (0.0, 0.0, 0.0, 0.0)
    there, back = (influence_difference(metric, truth, *pair, blocks=blocks) for pair in ((a, b), (b, a)))
    assert there.gain == -back.gain and there.lower == pytest.approx(-back.upper)


def test_a_rare_class_widens_the_bound() -> None:
    """Three positives among 1,000 rows: Student's t with two degrees of freedom, not 999."""
    g = np.random.default_rng(3)
    truth = np.zeros(1_000, dtype=int)
    truth[:3] = 1
    a, b = (np.column_stack([1 - p, p]) for p in g.uniform(size=(2, 1_000)))
    found = influence_difference(metrics.get("roc_auc", "binary"), truth, a, b)
    assert (found.gain - found.lower) / found.standard_error >= 2.9
    truth[1:3] = 0
    alone = influence_difference(metrics.get("roc_auc", "binary"), truth, a, b)
    assert alone.lower == -math.inf


def test_what_is_undefined_is_refused() -> None:
    """One class only, no positive row, other rows on the two sides."""
    ones = np.ones(10, dtype=int)
    half = np.full((10, 2), 0.5)
    with pytest.raises(DataError, match="both classes"):
        influence_difference(metrics.get("roc_auc", "binary"), ones, half, half)
    with pytest.raises(DataError, match="positive"):
        influence_difference(metrics.get("average_precision", "binary"), ones * 0, half, half)
    with pytest.raises(DataError):
        influence_difference(metrics.get("f1", "binary"), ones, half, half[:5])
    assert not knows(metrics.get("brier", "binary"))
