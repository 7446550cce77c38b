"""A look back says better or worse only where the log can bear it, and refuses with what would do where it cannot."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from incumbent.records import Evidence
from incumbent.steps.live import lookback as step
from incumbent.steps.live.lookback import Logged

Floats = npt.NDArray[np.float64]
CHANCE = np.array([0.2, 0.3, 0.4])


def logged(seed: int, logged: Floats, new: Floats, n: int = 4_000, chance: Floats = CHANCE, **more: Any) -> Logged:
    """A log of three actions whose rewards are coins, and the weights of a new policy."""
    rng = np.random.default_rng(seed)
    actions = rng.choice(3, n, p=logged)
    rewards = (rng.random(n) < chance[actions]).astype(float)
    return Logged(rewards, (new / logged)[actions], **more)


def looked(of: Logged) -> Evidence:
    return step.lookback(of, subject="new", reference="old", at=0, reward="click")


EVEN = np.array([1 / 3, 1 / 3, 1 / 3])
THIRD = np.array([0.1, 0.2, 0.7])


def test_a_better_policy_is_shown_better() -> None:
    """More of the action that earns most: better; its losses, where lower is better: worse."""
    evidence = looked(logged(0, EVEN, THIRD))
    found = evidence.numbers["lookback"]
    assert evidence.verdict == "better" and found["estimator"] == "self-normalised"
    assert found["difference"]["lower"] > 0.0 and found["value"]["value"] == pytest.approx(0.36, abs=0.04)
    assert looked(logged(0, EVEN, THIRD, lower_is_better=True)).verdict == "worse"


def test_a_worse_policy_is_shown_worse() -> None:
    evidence = looked(logged(0, EVEN, np.array([0.9, 0.1, 0.0])))
    assert evidence.verdict == "worse" and evidence.sentence.endswith("worse.")


def test_equal_policies_are_told_apart_as_seldom_as_the_interval_says() -> None:
    """Actions that earn the same: of 400 looks back at most as many as 5 % allow find one better."""
    same = np.full(3, 0.3)
    verdicts = [looked(logged(seed, EVEN, THIRD, 1_000, same)).verdict for seed in range(400)]
    assert sum(one != "not_enough_data" for one in verdicts) <= binom.ppf(0.99, 400, 0.05)


def test_an_interval_that_holds_zero_says_so_and_what_would_do() -> None:
    """The estimate is told all the same."""
    evidence = looked(logged(0, EVEN, THIRD, 500, np.full(3, 0.3)))
    found = evidence.numbers["lookback"]
    assert evidence.verdict == "not_enough_data" and found["refused"] == []
    assert "not enough data to say which is better" in evidence.sentence
    assert "rows show a difference of 10%" in evidence.sentence
    assert found["difference"]["lower"] < 0.0 < found["difference"]["upper"]


@pytest.mark.parametrize(
    ("of", "said"),
    [
        (logged(0, np.array([0.004, 0.498, 0.498]), np.array([0.98, 0.01, 0.01])), "effective sample size"),
        (logged(0, EVEN, THIRD, 90), "expected 100"),
        (logged(0, EVEN, np.array([0.3, 0.3, 0.2])), "never logged"),
        (logged(0, EVEN, 2 * EVEN), "the probabilities are not those of this log"),
        (logged(0, EVEN, THIRD, chance=np.full(3, 0.002)), "expected 20"),
        (logged(0, EVEN, THIRD, chance=np.zeros(3)), "Log until there are some"),
        (logged(0, EVEN, np.zeros(3)), "nothing that was logged"),
    ],
)
def test_what_the_log_cannot_bear_is_refused(of: Logged, said: str) -> None:
    """No estimate is told: not in the sentence, not in the numbers."""
    evidence = looked(of)
    found = evidence.numbers["lookback"]
    assert evidence.verdict == "not_enough_data" and "cannot be said" in evidence.sentence
    assert said in evidence.sentence
    assert found["refused"] and "value" not in found and "estimates" not in found


def test_more_rows_are_named_where_they_would_do() -> None:
    """90 rows that are worth 60: about 150 would be worth 100. Where the share is too small, none would."""
    few = looked(logged(0, EVEN, THIRD, 90))
    wanted = int(few.sentence.split("About ")[1].split(" rows")[0].replace(",", ""))
    assert wanted == np.ceil(90 * 100 / few.numbers["lookback"]["effective"])
    one_sided = looked(logged(1, np.array([0.002, 0.499, 0.499]), np.array([0.98, 0.01, 0.01]), 40_000))
    assert "More rows like these will not do" in one_sided.sentence


def test_units_are_counted_where_there_are_some() -> None:
    """Of 400 units with 100 rows each half are of the new policy: that is enough, though not 1 % of the rows."""
    arm = np.repeat(np.arange(400) % 2 == 0, 100)
    rewards = np.random.default_rng(0).normal(size=40_000)
    evidence = looked(Logged(rewards, arm / 0.5, groups=np.repeat(np.arange(400), 100)))
    assert evidence.numbers["lookback"]["effective"] == 200 and evidence.numbers["lookback"]["refused"] == []


def test_what_was_never_logged_may_earn_anything() -> None:
    """3 % of the new policy was never logged and would have earned nothing: nothing is said of which is better, though
    what was logged alone would say so. The interval holds the truth."""
    rng = np.random.default_rng(0)
    n = 200_000
    hard = rng.random(n) < 0.03  # where the two part ways, nothing is earned by either
    rewards = np.where(hard, 0.0, (rng.random(n) < 0.5).astype(float))
    evidence = looked(Logged(rewards, np.where(hard, 0.0, 1.0)))
    found = evidence.numbers["lookback"]
    assert found["mean_weight"][2] < 1.0 and found["lacking"] == pytest.approx(0.03, abs=0.002)
    assert evidence.verdict == "not_enough_data"
    assert found["difference"]["value"] > 2 * found["difference"]["standard_error"]
    assert found["difference"]["lower"] <= 0.0


def test_a_model_makes_it_doubly_robust() -> None:
    """Where estimates are given, theirs is the headline, and the interval is narrower where they are good."""
    rng = np.random.default_rng(3)
    actions = rng.choice(3, 4_000, p=EVEN)
    level = np.array([1.0, 5.0, 9.0])
    rewards = level[actions] + rng.normal(size=4_000)
    weights = (THIRD / EVEN)[actions]
    plain = looked(Logged(rewards, weights)).numbers["lookback"]
    expected = level[actions], np.full(4_000, THIRD @ level)
    helped = looked(Logged(rewards, weights, expected=expected)).numbers["lookback"]
    assert helped["estimator"] == "doubly robust"
    assert helped["value"]["standard_error"] < 0.5 * plain["value"]["standard_error"]
    assert helped["value"]["lower"] <= THIRD @ level <= helped["value"]["upper"]


def test_against_another_policy_on_the_same_rows() -> None:
    """Two arms of a split, each with its own weights: the difference is that of the arms."""
    rng = np.random.default_rng(4)
    arm = rng.random(2_000) < 0.5
    rewards = rng.normal(1.0, 0.2, 2_000) + 0.1 * arm
    evidence = looked(Logged(rewards, arm / 0.5, against=~arm / 0.5))
    found = evidence.numbers["lookback"]
    assert evidence.verdict == "better"
    assert found["difference"]["value"] == pytest.approx(rewards[arm].mean() - rewards[~arm].mean())
    assert found["effective"] == arm.sum()


@given(st.integers(1, 60), st.floats(0.02, 1.0), st.integers(0, 3))
def test_a_refusal_follows_its_rule(rows: int, heavy: float, seed: int) -> None:
    """Whatever the weights: below 100 effective rows nothing is ever said."""
    rng = np.random.default_rng(seed)
    weights = np.where(rng.random(rows * 20) < heavy, rng.exponential(1 / heavy, rows * 20), 0.0)
    rewards = rng.integers(0, 2, rows * 20).astype(float)
    evidence = looked(Logged(rewards, weights))
    if evidence.numbers["lookback"]["effective"] < 100:
        assert evidence.verdict == "not_enough_data" and "estimates" not in evidence.numbers["lookback"]


def test_two_logs_side_by_side() -> None:
    """Each on rows of its own: better, worse, too few rewards."""
    rng = np.random.default_rng(0)
    low, high = ((rng.random(4_000) < chance).astype(float) for chance in (0.2, 0.3))

    def beside(new: Floats, old: Floats) -> Evidence:
        return step.side_by_side(new, old, subject="new", reference="old", at=0)

    assert (beside(high, low).verdict, beside(low, high).verdict) == ("better", "worse")
    few = beside(low, np.array([1.0] + [0.0] * 4_000))
    assert few.verdict == "not_enough_data" and "expected 20" in few.sentence
    assert beside(low[:2_000], low[2_000:]).numbers["lookback"]["refused"] == []
