"""What makes a trial lie, drawn as it is said; and the one trap that nobody can set up."""

from dataclasses import asdict, fields
from typing import Any

import numpy as np
import pytest

from incumbent.config import Live
from incumbent.loop import fold
from incumbent.records import Event, Trial
from incumbent.steps.live.simulating import traps


def test_nobody_can_raise_the_split() -> None:
    """No setting holds the arms' share, and what raises the enrolled share leaves it and the salt alone, whatever else
    an event might claim."""
    assert not {one.name for one in fields(Live)} & {"share", "shares", "split", "arms"}
    started = Trial("t1", "v2", "v1", "split", 0, enrolled=0.02)
    events = [Event(1, "TrialStarted", 0, 0, "test", "", {"trial": asdict(started)}, {}, "", "")]
    for number, enrolled in enumerate((0.1, 0.5, 1.0), start=2):
        data: dict[str, Any] = {"trial": "t1", "enrolled": enrolled, "share": 0.9}
        events.append(Event(number, "EnrolmentRaised", number, number, "test", "", data, {}, "", ""))
    trial = fold.roles(events).trial
    assert trial is not None and (trial.enrolled, trial.share, trial.salt) == (1.0, 0.5, started.salt)


def test_a_window_that_closes_too_soon_lies_more() -> None:
    """Half of the mean delay: most of the challenger's good news is out, and nearly each trial is rolled back. Five
    times: hardly any (at most 2 %; binomial limits at 1e-4 of 40 runs are 30 and 6)."""
    back = dict.fromkeys((0.5, 5.0), 0)
    for number in range(40):
        for factor in back:
            back[factor] += traps.delayed(factor, np.random.default_rng([7, number]))["rolled_back"]
    assert back[0.5] > 30 and back[5.0] <= 6


@pytest.mark.parametrize("draw", [traps.ramped, traps.users, traps.failing])
def test_a_draw_repeats_with_its_seed(draw: Any) -> None:
    """And says something of both rules."""
    one, two = (draw(np.random.default_rng(5)) for _ in range(2))
    assert one == two and set(one) == {"promoted", "naive"}
