"""A whole trial: guardrails and split as the scalar formulas say, and the first verdict that is not to go on."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from incumbent.config import Live
from incumbent.stats import sequential, share
from incumbent.steps.live.simulating import looking, whole
from incumbent.steps.live.verdict import Guardrail


def test_guardrails_at_many_looks_are_those_at_one() -> None:
    """Harm at its part of the rollback budget; cleared by the share test at the margin, or by the rate by itself."""
    live = Live(alpha=0.05, alpha_roll_back=0.02, harm_margin=2.0)
    g, looks = np.random.default_rng(0), 60
    hit, other = np.cumsum(g.integers(0, 4, looks)), np.cumsum(g.integers(0, 2, looks))
    events, answers = 2 * hit, np.arange(1, looks + 1) * 400
    counted = whole.Counted("errors", 10.0, 0.005, *(one.astype(float) for one in (hit, hit + other, events, answers)))
    found = counted.guardrails(live, of=2)
    assert {one.harm for one in found} == {True, False} and {one.name for one in found} == {"errors"}
    for i, one in enumerate(found):
        x1, x0 = int(hit[i]), int(other[i])
        assert one.harm == (sequential.log_e_share(x1, x0, 0.5, 10.0) >= -math.log(0.005))
        below = sequential.log_e_share_below(x1, x0, 0.5, 10.0, margin=2.0) >= -math.log(0.05)
        rate = share.upper_rate_sequence(int(events[i]), int(answers[i]), alpha=0.05) <= 0.005
        assert one.cleared == (below or rate)


def test_a_rate_that_is_shown_small_clears() -> None:
    """No events at all: the share test waits for ever, the rate does not."""
    none = np.zeros(2)
    found = whole.Counted("errors", 10.0, 0.005, none, none, none, np.array([100.0, 3000.0])).guardrails(Live(), of=2)
    assert [one.cleared for one in found] == [False, True]


def test_the_split_remembers_its_worst_look() -> None:
    """The smallest p so far, over units seen and units with a label."""
    seen = (np.array([50.0, 900.0, 5000.0]), np.array([100.0, 1500.0, 10_000.0]))
    labelled = (np.array([10.0, 100.0, 1000.0]), np.array([20.0, 200.0, 2000.0]))
    p = whole.split_p(seen, labelled)
    assert p[0] <= 1.0 and p[1] < 1e-6 and p[2] == p[1]
    assert p[1] == pytest.approx(math.exp(-sequential.log_bayes_factor_split([900, 600], [0.5, 0.5])))


def read(n: int, **changed: Any) -> list[str]:
    """The verdicts of looks at a trial in which the challenger wins from the start, one look a day."""
    g = np.random.default_rng(1)
    challenger = np.arange(4000) % 2 == 0
    losses = g.normal(1.0, 0.1, 4000) - 0.5 * challenger
    arms = looking.split(losses, challenger, looking.ends(n, 20))
    guards = [(Guardrail("errors"),)] * 20
    looks = whole.readings(arms, 2000.0, guards, np.ones(20), np.arange(1, 21), Live())
    return [whole.verdict_of(iter([replace(look, **changed)]), Live()) for look in looks]


def test_a_trial_waits_for_its_labels_and_its_days() -> None:
    """7 whole days, 200 outcomes an arm; before 100 there is no bound at all."""
    assert read(4000) == ["continue"] * 6 + ["promote"] * 14
    assert read(600) == ["continue"] * 13 + ["promote"] * 7
    assert read(180) == ["continue"] * 20
    assert read(4000, split_p=1e-4) == ["invalid"] * 20


def test_the_first_verdict_ends_a_trial() -> None:
    """One that is invalid on its second look is not promoted on its third; one that never ends goes on."""
    good = whole.Reading(0.1, 0.05, 0.2, 0.2, days=9)
    looks = [replace(good, days=1), replace(good, split_p=1e-9), good]
    assert whole.verdict_of(iter(looks), Live()) == "invalid"
    assert whole.verdict_of(iter(looks[:1]), Live()) == "continue"


def test_whichever_z_test_speaks_first_decides() -> None:
    """A look at n = 0 is none."""
    found = sequential.LookBounds(*(np.array(v) for v in ([9.0] * 3, [1.0, -1.0, 1.0], [0] * 3, [0] * 3, [0.1] * 3)))
    assert whole.first_of(np.array([0, 20, 30]), found, Live()) == {"z": False, "z_back": True}
    assert whole.first_of(np.array([10, 20, 30]), found, Live()) == {"z": True, "z_back": False}


def test_a_broken_split_has_the_share_that_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """46 % of those that stay, and it looks as good as planned: within 5 standard errors."""
    drawn: list[Any] = []
    monkeypatch.setattr(whole, "_judged", lambda *made: drawn.append(made[:2]) or {})
    whole.broken(0.46, np.random.default_rng(3))
    ((losses, challenger),) = drawn
    assert challenger.mean() == pytest.approx(0.46, abs=5 * 0.5 / math.sqrt(len(losses)))
    gap = losses[~challenger].mean() - losses[challenger].mean()
    assert gap == pytest.approx(whole.EFFECT, abs=5 * 0.8 / math.sqrt(len(losses)))
