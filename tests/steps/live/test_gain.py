"""What one arm gains on another: ratios by the delta method, and CUPED, against numpy, scipy and least squares."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from summing import ONE, moments

from incumbent.steps.live.gain import LEAST_KNOWN, Gain, gain, mean
from incumbent.storage.base import Moments

Floats = npt.NDArray[Any]


def sums(y: Floats, x: Floats | None = None, z: Floats | None = None, unit: int = 1) -> Moments:
    """Moments of totals y, sizes x (in `unit`) and covariates z (NaN: not known)."""
    sizes = np.ones(len(y)) if x is None else x
    known = None if z is None else [None if np.isnan(one) else round(one * ONE) for one in z]
    return moments([(round(s * unit), round(t * ONE)) for s, t in zip(sizes, y, strict=True)], known)


def test_a_mean_of_units_has_the_standard_error_of_welchs_test() -> None:
    """Size 1 a unit: the difference over its standard error is Welch's t."""
    rng = np.random.default_rng(1)
    one, other = rng.normal(0.3, 0.1, 80), rng.normal(0.35, 0.2, 120)
    found = gain(sums(one), sums(other), larger_is_better=False)
    welch = stats.ttest_ind(other, one, equal_var=False)
    assert found.n == 200 and found.removed is None
    assert found.estimate == pytest.approx(other.mean() - one.mean())
    assert found.estimate / np.sqrt(found.variance) == pytest.approx(welch.statistic)


def test_the_variance_of_a_ratio_is_that_of_its_linearised_units() -> None:
    """((y - ratio·x)/mean x) a unit, for counts as sizes and for another outcome as size."""
    rng = np.random.default_rng(2)
    for unit, draw in ((1, lambda n: rng.integers(1, 9, n).astype(float)), (ONE, lambda n: rng.gamma(3, 1, n))):
        arms = [(x, x * rng.normal(2, 0.5, len(x))) for x in (draw(300), draw(250))]
        found = gain(
            *(sums(y, x, unit=unit) for x, y in arms), larger_is_better=True, counts=unit == 1
        )
        ratios = [y.sum() / x.sum() for x, y in arms]
        parts = [np.var((y - r * x) / x.mean(), ddof=1) / len(x) for (x, y), r in zip(arms, ratios, strict=True)]
        assert found.estimate == pytest.approx(ratios[0] - ratios[1])
        assert found.variance == pytest.approx(sum(parts))
        assert mean(sums(arms[0][1], arms[0][0], unit=unit), counts=unit == 1) == pytest.approx(ratios[0])


def test_nothing_cancels_where_the_mean_is_huge() -> None:
    """Losses of 9e9 that differ by 1e-6: floats would find a variance of 0, or below."""
    alike = moments([(1, 9 * 10**18 + 1_000 * (i % 2)) for i in range(100)])
    found = gain(alike, alike, larger_is_better=False)
    assert found.estimate == 0.0
    assert found.variance == pytest.approx(2 * np.var(np.arange(100) % 2 / 1e6, ddof=1) / 100)


def test_cuped_is_the_coefficient_of_least_squares() -> None:
    """y on arm and covariate, arms of one size: the same difference and slope, and (nearly) its standard error."""
    rng = np.random.default_rng(3)
    n = 2_000
    z = rng.beta(2, 8, (2, n))
    y = 0.1 + 0.7 * z + rng.normal(0, 0.05, (2, n)) - np.array([[0.004], [0.0]])
    found = gain(sums(y[0], z=z[0]), sums(y[1], z=z[1]), larger_is_better=False)
    design = np.column_stack([np.ones(2 * n), np.repeat([1.0, 0.0], n), z.ravel()])
    fit, residual, *_ = np.linalg.lstsq(design, y.ravel(), rcond=None)
    error = np.sqrt(residual[0] / (2 * n - 3) * np.linalg.inv(design.T @ design)[1, 1])
    assert found.estimate == pytest.approx(-fit[1])
    assert found.slope == pytest.approx(fit[2])
    assert np.sqrt(found.variance) == pytest.approx(error, rel=0.01)
    assert found.removed == pytest.approx(np.corrcoef(z[0], y[0])[0, 1] ** 2, abs=0.03)


def test_cuped_of_a_ratio_works_on_its_linearised_units() -> None:
    """By hand: the residuals less slope times the centred covariate."""
    rng = np.random.default_rng(4)
    arms = []
    for n, shift in ((400, -0.02), (300, 0.0)):
        x, z = rng.integers(1, 6, n).astype(float), rng.normal(0.3, 0.1, n)
        arms.append((x, x * (z + shift + rng.normal(0, 0.05, n)), z))
    found = gain(*(sums(y, x, z) for x, y, z in arms), larger_is_better=False)
    linear = [(y - y.sum() / x.sum() * x) / x.mean() for x, y, _ in arms]
    shared = [np.cov(r, z)[0, 1] / len(z) for r, (_, _, z) in zip(linear, arms, strict=True)]
    spread = [np.var(z, ddof=1) / len(z) for _, _, z in arms]
    slope = sum(shared) / sum(spread)
    plain = arms[1][1].sum() / arms[1][0].sum() - arms[0][1].sum() / arms[0][0].sum()
    left = [np.var(r - slope * z, ddof=1) / len(z) for r, (_, _, z) in zip(linear, arms, strict=True)]
    assert found.estimate == pytest.approx(plain - slope * (arms[1][2].mean() - arms[0][2].mean()))
    assert found.variance == pytest.approx(sum(left))
    assert found.slope == pytest.approx(slope)


def test_no_covariate_no_adjustment() -> None:
    """None known, too few known in one arm, all alike, or switched off: the plain difference."""
    rng = np.random.default_rng(5)
    y, z = rng.normal(size=(2, 200)), rng.normal(size=(2, 200))
    plain = gain(sums(y[0]), sums(y[1]), larger_is_better=True)
    few = np.where(np.arange(200) < LEAST_KNOWN - 1, z[1], np.nan)
    for left, right, adjust in (
        (sums(y[0], z=z[0]), sums(y[1], z=few), True),
        (sums(y[0], z=np.full(200, 0.5)), sums(y[1], z=np.full(200, 0.5)), True),
        (sums(y[0], z=z[0]), sums(y[1], z=z[1]), False),
    ):
        assert gain(left, right, larger_is_better=True, adjust=adjust) == plain
    assert plain.removed is None


@given(seed=st.integers(0, 2**32 - 1), sizes=st.tuples(st.integers(50, 90), st.integers(50, 90)))
def test_cuped_never_widens(seed: int, sizes: tuple[int, int]) -> None:
    """Whatever the covariate, in arms of any size; and both directions are mirror images."""
    rng = np.random.default_rng(seed)
    arms = [sums(rng.normal(size=n), rng.integers(1, 5, n).astype(float), rng.normal(size=n)) for n in sizes]
    plain = gain(*arms, larger_is_better=True, adjust=False)
    found = gain(*arms, larger_is_better=True)
    assert found.removed is not None and 0.0 <= found.removed <= 1.0
    assert found.variance <= plain.variance
    mirrored = gain(*arms, larger_is_better=False)
    assert (mirrored.estimate, mirrored.variance) == (-found.estimate, found.variance)


def test_before_anything_is_known_nothing_is_claimed() -> None:
    """No unit, one unit, sizes that sum to nothing: an infinite variance."""
    one = moments([(1, ONE)])
    for left, right in ((Moments(), Moments()), (one, Moments()), (one, one)):
        assert gain(left, right, larger_is_better=True).variance == np.inf
    assert np.isnan(gain(Moments(), one, larger_is_better=True).estimate)
    assert mean(Moments()) is None
    assert Gain(4, 0.1, 0.5).unit_variance == 2.0
