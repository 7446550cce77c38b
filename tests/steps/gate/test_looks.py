"""Each further candidate on the same rows is one more chance of luck, and the sentence says so."""

import numpy as np
import pytest

from incumbent.config import Gate
from incumbent.records import Evidence
from incumbent.steps import gate
from incumbent.steps.gate import looks


def judged(count: int, gain: float = 0.02, **settings: int) -> Evidence:
    g = np.random.default_rng(0)
    base = g.uniform(size=2_000)
    new = base - gain + g.normal(0.0, 0.1, 2_000)
    return gate.judge(base, new, None, Gate(**settings), "v2", "v1", 0, looks=count)  # type: ignore[arg-type]


def test_the_first_look_needs_no_words() -> None:
    found = judged(1)
    assert "Look" not in found.sentence and found.numbers["looks"] == 1 and "chance_of_luck" not in found.numbers


def test_a_later_look_says_what_luck_does() -> None:
    """Three candidates at 5 %: 14 % for one of them to pass by luck; the safe level and its bound are numbers."""
    found = judged(3)
    assert "Look 3 at this holdout" in found.sentence and "up to 14%" in found.sentence
    assert "That is many" not in found.sentence
    assert found.numbers["chance_of_luck"] == pytest.approx(1 - 0.95**3)
    assert found.numbers["alpha_of_all_looks"] == pytest.approx(0.05 / 3)
    assert found.numbers["lower_of_all_looks"] < found.numbers["lower"]


def test_many_looks_warn_and_say_whether_it_would_still_pass() -> None:
    """A clear gain survives the level of all looks, a bare one does not; the verdict itself stays."""
    clear, bare = judged(10, 0.02), judged(10, 0.0042)
    assert clear.verdict == bare.verdict == "ship"
    assert "That is many" in clear.sentence and "would still pass" in clear.sentence
    assert "would not pass" in bare.sentence and "fresh rows" in bare.sentence
    assert "That is many" not in judged(10, many_looks=11).sentence


def test_luck_is_luck() -> None:
    """Of ten useless candidates, at least one ships in about 40 % of holdouts: no more than is said."""
    g = np.random.default_rng(1)
    lucky = 0
    for _ in range(200):
        base = g.uniform(size=300)
        lucky += any(
            gate.judge(base, base + g.normal(0.0, 0.1, 300), None, Gate(), "v2", "v1", 0).verdict == "ship"
            for _ in range(10)
        )
    assert 0.25 < lucky / 200 < looks.chance_of_luck(10, 0.05) + 0.14  # four standard errors
