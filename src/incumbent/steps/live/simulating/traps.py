"""What makes a trial lie: a split that is ramped, users who come back, labels that are late, failures that are dropped.

Each scenario is an A/A trial in which the naive way of counting finds something nevertheless.
"""

from collections.abc import Sequence
from functools import partial

import numpy as np

from incumbent.config import Live
from incumbent.steps.live.simulating import looking
from incumbent.steps.live.simulating.looking import Arms, Bools, Floats
from incumbent.steps.live.simulating.scenarios import Found, Generator, Question, Scenario

ALPHA, HARM = Live().alpha, Live().alpha_roll_back / 2
UNITS, LOOKS = 20_000, 200
STEPS = (0.02, 0.1, 0.5, 1.0)
SPLIT_STEPS = (0.01, 0.05, 0.2, 0.5)
USERS, MEAN_ROWS, LIKENESS = 1_000, 20, 0.2
"""Users, the mean of their requests, and the correlation of one user's losses."""
WINDOWS = ((3.5, Live().alpha), (5.0, Live().alpha_roll_back))
"""Windows in mean delays, and what false rollbacks are held to. After 3.5 of them 3 % of the challenger's good news is
still to come, and none of the incumbent's: a small lie, but a lie. After 5 it is .7 %."""
HARDEST = 0.03


def all_of() -> Sequence[Scenario]:
    return [
        Scenario("ramp", "equal, raised while the loss falls", ramped, (_promoted(),),
                 "the split raised"),
        Scenario("users", "equal, users of 20 requests that are alike", users, (_promoted(),),
                 "by request"),
        *(
            Scenario(f"late-labels-{factor:g}", f"equal, good news later, window {factor:g} × the delay",
                     partial(delayed, factor),
                     (Question("rolled back", "rolled_back", limit, naive="naive"),), "labels so far")
            for factor, limit in WINDOWS
        ),
        Scenario("hardest", "equal, fails on the hardest 3 %", failing, (_promoted(),),
                 "without failures"),
    ]  # fmt: skip


def _promoted() -> Question:
    return Question("promoted", "promoted", ALPHA, naive="naive")


def ramped(g: Generator) -> Found:
    """The loss falls from .5 to .3. Ours raises the enrolled share, half and half; the naive one the challenger's
    share of all, and pools: then most of the challenger's units are late ones."""
    arrived = np.linspace(0.0, 1.0, UNITS)
    losses = (g.uniform(size=UNITS) < 0.5 - 0.2 * arrived).astype(np.float64)
    step = np.minimum((arrived * len(STEPS)).astype(np.int64), len(STEPS) - 1)
    enrolled = g.uniform(size=UNITS) < np.array(STEPS)[step]
    ours = _promotes(_split(losses[enrolled], g.uniform(size=int(enrolled.sum())) < 0.5))
    naive = _promotes(_split(losses, g.uniform(size=UNITS) < np.array(SPLIT_STEPS)[step]))
    return {"promoted": ours, "naive": naive}


def users(g: Generator) -> Found:
    """Each user has a rate of her own (beta, correlation .2) and a number of requests (geometric, mean 20)."""
    strength = (1.0 - LIKENESS) / LIKENESS
    rate = g.beta(0.2 * strength, 0.8 * strength, USERS)
    unit = g.permutation(np.repeat(np.arange(USERS), g.geometric(1.0 / MEAN_ROWS, USERS)))
    losses = (g.uniform(size=len(unit)) < rate[unit]).astype(np.float64)
    challenger = g.uniform(size=USERS) < 0.5
    at = looking.ends(len(unit), LOOKS)
    ours = _promotes(looking.growing(unit, losses).arms(challenger, at), n_star=USERS / 2)
    return {"promoted": ours, "naive": _promotes(looking.split(losses, challenger[unit], at), n_star=len(unit) / 2)}


def delayed(factor: float, g: Generator) -> Found:
    """A bad outcome is known at once, a good one later, the challenger's later still. Ours waits until the window of
    a row is closed, `factor` times the longest mean delay, and counts what came inside it."""
    at, challenger = np.linspace(0.0, 28.0, UNITS), g.uniform(size=UNITS) < 0.5
    losses = (g.uniform(size=UNITS) < 0.3).astype(np.float64)
    mean = np.where(losses > 0.0, 0.05, np.where(challenger, 2.0, 1.0))
    delay, window = g.exponential(mean), factor * 2.0
    looks = np.linspace(28.0 / LOOKS, 28.0 + window, LOOKS)

    inside = delay < window
    matured = np.searchsorted(at[inside] + window, looks, side="right")
    ours = looking.split(losses[inside], challenger[inside], matured)
    known = np.argsort(at + delay, kind="stable")
    so_far = np.searchsorted((at + delay)[known], looks, side="right")
    naive = looking.split(losses[known], challenger[known], so_far)
    return {"rolled_back": _harmed(ours), "naive": _harmed(naive)}


def failing(g: Generator) -> Found:
    """The incumbent answers the rows on which the challenger fails, and they stay in the challenger's arm."""
    hardness = g.exponential(size=UNITS)
    losses = hardness * g.exponential(size=UNITS)
    challenger = g.uniform(size=UNITS) < 0.5
    answered = ~(challenger & (hardness > -np.log(HARDEST)))
    naive = _promotes(_split(losses[answered], challenger[answered]))
    return {"promoted": _promotes(_split(losses, challenger)), "naive": naive}


def _split(losses: Floats, challenger: Bools) -> Arms:
    return looking.split(losses, challenger, looking.ends(len(losses), LOOKS))


def _promotes(arms: Arms, n_star: float = UNITS / 2) -> bool:
    ready = arms.least() >= looking.DECISION
    return bool((ready & (arms.bounds(ALPHA, n_star, "lower").lower > 0.0)).any())


def _harmed(arms: Arms, n_star: float = UNITS / 2) -> bool:
    ready = arms.least() >= looking.FIRST_LOOK
    return bool((ready & (arms.bounds(HARM, n_star, "upper").upper < 0.0)).any())
