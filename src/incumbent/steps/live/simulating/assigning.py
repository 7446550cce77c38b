"""Does assignment keep its promises? 100,000 units through the function that answers requests, in several trials.

In: that function (`loop.route`, handed over: steps and loop are strangers). Out: how many units changed their arm, and
how far shares are from what was meant, in standard errors.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from incumbent.records import Arm, Routes, Trial
from incumbent.steps.live.simulating.looking import Bools, Integers
from incumbent.steps.live.simulating.scenarios import Found, Generator, Question, Scenario

UNITS, MOST_TRIALS = 100_000, 10
STEPS = (0.02, 0.1, 0.5, 1.0)
WITHIN = 4.0

Assign = Callable[[Routes], Callable[[str], Arm | None]]
"""From a snapshot of the routes to the arm of a unit; None: it takes no part."""


def all_of(assign: Assign) -> Sequence[Scenario]:
    within = partial(Question, limit=1.0, at_most=False)
    return [
        Scenario(
            "assignment", "100,000 units, .02, .1, .5, 1 enrolled", partial(raised, assign),
            (
                Question("somebody changed arm", "moved", 0.0, naive="naive_moved"),
                within("arm within 4 s.e.", "arm"),
                within("enrolled within 4 s.e.", "enrolled"),
                within("enrolment tells no arm", "independent"),
                within("trials independent", "apart", naive="naive_apart"),
            ),
            "drawn anew, one salt", MOST_TRIALS,
        ),
    ]  # fmt: skip


def raised(assign: Assign, g: Generator) -> Found:
    """One trial raised step by step, and another with the same units."""
    units = [f"unit-{i}" for i in range(UNITS)]
    name, other = (f"exp-{number}" for number in g.choice(10**9, 2, replace=False))
    arms = [_arms(assign, name, share, units) for share in STEPS]
    last, beside = arms[-1], _arms(assign, other, 1.0, units)
    moved = sum(int(((before >= 0) & (after != before)).sum()) for before, after in itertools.pairwise(arms))
    taking = [step >= 0 for step in arms]
    return {
        "moved": moved > 0,
        "naive_moved": bool((g.integers(0, 2, UNITS) != g.integers(0, 2, UNITS)).any()),
        "arm": all(_within(step[part] == 1, 0.5) for step, part in zip(arms, taking, strict=True)),
        "enrolled": all(_within(part, share) for part, share in zip(taking[:-1], STEPS, strict=False)),
        "independent": all(_within((last == 1)[part], 0.5) for one in taking[:-1] for part in (one, ~one)),
        "apart": _within(last == beside, 0.5) and _within((last == beside)[taking[0]], 0.5),
        "naive_apart": _within(last == last, 0.5),
    }  # fmt: skip


def _arms(assign: Assign, name: str, enrolled: float, units: Sequence[str]) -> Integers:
    """1 challenger, 0 incumbent, -1 not enrolled."""
    arm_of = assign(Routes(1, "v1", ("v1",), Trial(name, "v2", "v1", "split", 0, enrolled=enrolled)))
    codes = {"challenger": 1, "incumbent": 0, None: -1}
    return np.array([codes[arm_of(unit)] for unit in units], dtype=np.int64)


def _within(one: Bools, share: float) -> bool:
    """Is the share of ones within 4 standard errors? By chance it is not once in 15,000 times."""
    return bool(abs(float(one.mean()) - share) <= WITHIN * math.sqrt(share * (1.0 - share) / len(one)))
