"""Estimates of another policy are right on the average, their intervals hold, and weights tell what they are worth.

Simulations are seeded; their limits are binomial, or a number of standard errors of the simulation itself.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from incumbent.stats import offpolicy
from incumbent.stats.offpolicy import Estimate

Floats = npt.NDArray[np.float64]
LOGGED = np.array([0.5, 0.3, 0.2])
NEW = np.array([0.1, 0.3, 0.6])


@dataclass(frozen=True)
class Bandit:
    """Drawn rows of a bandit with three actions: the reward is a coin whose chance depends on action and context."""

    features: Floats
    actions: npt.NDArray[np.int64]
    rewards: Floats
    weights: Floats
    truth: float


def draw(seed: int, n: int = 2_000) -> Bandit:
    """Rows of the logged policy, and the true value of the new one."""
    rng = np.random.default_rng(seed)
    features = rng.uniform(-1.0, 1.0, (n, 1))
    actions = rng.choice(3, n, p=LOGGED)
    chance = np.array([0.2, 0.3, 0.4])
    rewards = (rng.random(n) < chance[actions] + 0.15 * features[:, 0]).astype(float)
    return Bandit(features, actions, rewards, (NEW / LOGGED)[actions], float(NEW @ chance))


def by_model(of: Bandit) -> Estimate:
    logged, new = offpolicy.cross_fitted(of.rewards, of.actions, NEW, of.features)
    return offpolicy.doubly_robust(of.rewards, of.weights, logged, new)


ESTIMATORS: dict[str, Callable[[Bandit], Estimate]] = {
    "inverse propensity": lambda of: offpolicy.inverse_propensity(of.rewards, of.weights),
    "self-normalised": lambda of: offpolicy.self_normalised(of.rewards, of.weights),
    "doubly robust": by_model,
}


@pytest.fixture(scope="module")
def drawn() -> dict[str, list[Estimate]]:
    """Each estimator on the same 400 logs."""
    logs = [draw(seed) for seed in range(400)]
    return {name: [estimate(of) for of in logs] for name, estimate in ESTIMATORS.items()}


@pytest.mark.parametrize("name", ESTIMATORS)
def test_an_estimate_is_right_on_the_average(drawn: dict[str, list[Estimate]], name: str) -> None:
    """The mean of 400 estimates lies within three of its standard errors of the truth."""
    values = np.array([one.value for one in drawn[name]])
    assert abs(values.mean() - draw(0).truth) < 3.0 * values.std() / np.sqrt(len(values))


@pytest.mark.parametrize("name", ESTIMATORS)
def test_an_interval_holds_the_truth_as_often_as_it_says(drawn: dict[str, list[Estimate]], name: str) -> None:
    """95 % of 400 intervals, within the bounds of the binomial law; the standard error is that of the estimates."""
    truth = draw(0).truth
    held = sum(one.lower <= truth <= one.upper for one in drawn[name])
    low, high = binom.ppf([0.005, 0.995], len(drawn[name]), 0.95)
    assert low <= held <= high
    spread = np.std([one.value for one in drawn[name]])
    assert np.mean([one.standard_error for one in drawn[name]]) == pytest.approx(spread, rel=0.12)


def test_a_good_model_makes_the_estimate_quieter(drawn: dict[str, list[Estimate]]) -> None:
    """Doubly robust varies less than inverse propensity on the same logs."""
    by_name = {name: np.var([one.value for one in found]) for name, found in drawn.items()}
    assert by_name["doubly robust"] < 0.8 * by_name["inverse propensity"]


def test_a_wrong_model_does_no_lasting_harm() -> None:
    """With right probabilities a model that expects 5 of everything is unbiased still."""
    found = []
    for seed in range(200):
        of = draw(seed)
        found.append(offpolicy.doubly_robust(of.rewards, of.weights, np.full(2_000, 5.0), np.full(2_000, 5.0)).value)
    assert abs(np.mean(found) - of.truth) < 3.0 * np.std(found) / np.sqrt(len(found))


def test_a_difference_knows_that_the_rows_are_the_same() -> None:
    """Half of the rows' luck is shared by both policies: the difference is surer than of two independent logs."""
    of = draw(1)
    new, logged = offpolicy.self_normalised(of.rewards, of.weights), offpolicy.mean(of.rewards)
    difference = new.minus(logged)
    assert difference.value == pytest.approx(new.value - logged.value)
    assert difference.standard_error < np.hypot(new.standard_error, logged.standard_error)
    assert new.minus(new).standard_error == 0.0


def test_differences_hold_their_level() -> None:
    """The interval of the gain over the logged policy holds the true gain in 95 % of 400 logs."""
    chance = np.array([0.2, 0.3, 0.4])
    gain, held = float((NEW - LOGGED) @ chance), 0
    for seed in range(400):
        of = draw(seed)
        found = offpolicy.self_normalised(of.rewards, of.weights).minus(offpolicy.mean(of.rewards))
        held += found.lower <= gain <= found.upper
    low, high = binom.ppf([0.005, 0.995], 400, 0.95)
    assert low <= held <= high


def test_rows_of_one_unit_are_one_witness() -> None:
    """Each row ten times over, as one unit: the same standard error, and the same effective sample size."""
    of = draw(2, 500)
    groups = np.repeat(np.arange(500), 10)
    rewards, weights = np.repeat(of.rewards, 10), np.repeat(of.weights, 10)
    once = offpolicy.self_normalised(of.rewards, of.weights)
    assert offpolicy.self_normalised(rewards, weights, groups=groups).standard_error == pytest.approx(
        once.standard_error
    )
    assert offpolicy.self_normalised(rewards, weights).standard_error < 0.4 * once.standard_error
    alone, together = offpolicy.weigh(of.weights), offpolicy.weigh(weights, groups=groups)
    assert together.effective == pytest.approx(alone.effective)
    assert (together.n, together.n_groups) == (5_000, 500)


def test_the_effective_sample_size_of_kong() -> None:
    """Equal weights: all rows. One weight that outweighs all: one row."""
    assert offpolicy.weigh(np.full(50, 3.0)).effective == pytest.approx(50.0)
    assert offpolicy.weigh([1e9, *np.ones(99)]).effective == pytest.approx(1.0, abs=1e-6)
    assert offpolicy.weigh(np.zeros(5)).effective == 0.0


def test_the_mean_weight_tells_what_the_log_cannot_speak_of() -> None:
    """A new policy that does in 40 % of the cases what was never logged has a mean weight of .6."""
    rng = np.random.default_rng(0)
    new = np.array([0.3, 0.3])  # and .4 for an action that is not in the log
    weights = (new / np.array([0.5, 0.5]))[rng.choice(2, 5_000)]
    found = offpolicy.weigh(weights)
    assert found.mean == pytest.approx(0.6) and found.upper < 0.95


@given(
    st.lists(st.tuples(st.floats(-100, 100), st.floats(0.0, 50.0)), min_size=2, max_size=40).filter(
        lambda rows: sum(w for _, w in rows) > 1e-3
    ),
    st.floats(-10, 10),
)
def test_self_normalised_keeps_range_and_shift(rows: list[tuple[float, float]], shift: float) -> None:
    """It stays between the smallest and the largest reward, and moves with them."""
    rewards, weights = (np.array(column) for column in zip(*rows, strict=True))
    found = offpolicy.self_normalised(rewards, weights)
    assert rewards.min() - 1e-6 <= found.value <= rewards.max() + 1e-6
    assert offpolicy.self_normalised(rewards + shift, weights).value == pytest.approx(found.value + shift, abs=1e-6)


@given(st.lists(st.floats(0.0, 1e6), min_size=1, max_size=60))
def test_effective_is_between_none_and_all(weights: list[float]) -> None:
    found = offpolicy.weigh(weights)
    assert 0.0 <= found.effective <= len(weights) + 1e-9


@given(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=60))
def test_the_logged_policy_earns_its_mean(rewards: list[float]) -> None:
    """With weights of 1 every estimator is the plain mean with its standard error."""
    ones = np.ones(len(rewards))
    plain = offpolicy.mean(rewards)
    assert plain.value == pytest.approx(np.mean(rewards), abs=1e-9)
    assert plain.standard_error == pytest.approx(np.std(rewards, ddof=1) / np.sqrt(len(rewards)), abs=1e-9)
    assert offpolicy.self_normalised(rewards, ones).value == pytest.approx(plain.value, abs=1e-9)


def test_a_row_is_not_judged_by_a_model_that_saw_it() -> None:
    """A reward that nothing announces is not announced by the model either, row or unit."""
    rng = np.random.default_rng(0)
    actions, rewards = rng.integers(0, 2, 200), np.zeros(200)
    rewards[17] = 1000.0
    logged, _ = offpolicy.cross_fitted(rewards, actions, np.array([0.5, 0.5]))
    assert logged[17] == pytest.approx(0.0, abs=1e-9)
    groups = np.arange(200) // 10
    logged, _ = offpolicy.cross_fitted(rewards, actions, np.array([0.5, 0.5]), groups=groups)
    assert np.abs(logged[10:20]).max() == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize(
    ("rewards", "weights"), [([1.0], [1.0, 2.0]), ([], []), ([np.nan, 1.0], [1.0, 1.0]), ([1.0, 2.0], [np.inf, 1.0])]
)
def test_what_is_no_column_of_numbers_is_refused(rewards: list[float], weights: list[float]) -> None:
    with pytest.raises(ValueError, match=r"expected finite numbers|one weight a row"):
        offpolicy.inverse_propensity(rewards, weights)


def test_no_weight_and_too_few_groups_are_refused() -> None:
    with pytest.raises(ValueError, match="no row has a weight"):
        offpolicy.self_normalised([1.0, 2.0], [0.0, 0.0])
    with pytest.raises(ValueError, match="one a fold"):
        offpolicy.cross_fitted([1.0, 2.0], np.array([0, 1]), np.array([0.5, 0.5]))
    with pytest.raises(ValueError, match="one estimate a row"):
        offpolicy.doubly_robust([1.0, 2.0], [1.0, 1.0], [0.0], [0.0])
