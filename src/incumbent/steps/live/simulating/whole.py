"""A split trial from its first unit to its verdict: the gain, two guardrails and the split itself, through `verdict`.

In: a made-up trial of four weeks. Out: the verdict it ends with, and what a z test at every look would have done. A
label counts a day after its unit came, so that what a look has seen and what has matured are not the same.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from incumbent.config import Live
from incumbent.stats import sequential
from incumbent.stats.sequential import LookBounds
from incumbent.stats.share import log_e_rates_below
from incumbent.steps.live import verdict as verdicts
from incumbent.steps.live.guardrails import ERROR_PRIOR, LATENCY_PRIOR
from incumbent.steps.live.simulating import looking
from incumbent.steps.live.simulating.looking import Bools, Floats, Integers
from incumbent.steps.live.simulating.scenarios import Found, Generator, Question, Scenario
from incumbent.steps.live.verdict import Guardrail, Reading

LIVE = Live(latency_budget_ms=50.0)
A_DAY = 10
"""Looks a day."""
LOSS, EFFECT = 0.2, 0.02
"""Share of units with a loss, and the planned gain: 9,900 units at a fixed horizon, 19,800 at most."""
ERRORS, LATE = 0.001, 0.02
BROKEN = 0.46


def all_of() -> Sequence[Scenario]:
    promoted, back = Question("promoted", "promoted", LIVE.alpha, naive="z"), LIVE.alpha_roll_back
    every = "z at every look"
    unseen = "no check of the split"
    return [
        Scenario("whole-equal", "equal", partial(trial, 0.0, 1.0),
                 (promoted, Question("rolled back", "rolled_back", back, naive="z_back")), every),
        Scenario("whole-better", "better as planned", partial(trial, EFFECT, 1.0),
                 (Question("promoted", "promoted", 0.8, at_most=False, naive="z"),
                  Question("rolled back", "rolled_back", back, naive="z_back")), every),
        Scenario("whole-worse", "worse by as much", partial(trial, -EFFECT, 1.0),
                 (Question("promoted", "promoted", 0.0, naive="z"),
                  Question("rolled back", "rolled_back", naive="z_back")), every),
        Scenario("whole-failing", "better as planned, 5 × the failures", partial(trial, EFFECT, 5.0),
                 (Question("promoted", "promoted", 0.1, naive="z"),), every),
        Scenario("whole-broken", "equal, its worst units are lost: 46 %",
                 partial(broken, BROKEN),
                 (Question("invalid", "invalid", 0.5, at_most=False, naive="blind_invalid"),
                  Question("promoted", "promoted", naive="blind")), unseen),
    ]  # fmt: skip


def trial(effect: float, failures: float, g: Generator) -> Found:
    """A trial of the planned size, of a challenger that gains `effect` and fails `failures` times as often."""
    challenger = g.uniform(size=_units()) < 0.5
    losses = (g.uniform(size=len(challenger)) < LOSS - effect * challenger).astype(np.float64)
    failed = g.uniform(size=len(challenger)) < ERRORS * np.where(challenger, failures, 1.0)
    return _judged(losses, challenger, failed, g)


def broken(share: float, g: Generator) -> Found:
    """Of the challenger's units so many are lost that it has `share` of the rest, and so many of them with a loss that
    it looks as good as planned: what happens where the log of a slow answer is cut off."""
    challenger = g.uniform(size=_units()) < 0.5
    losses = (g.uniform(size=len(challenger)) < LOSS).astype(np.float64)
    lost = 1.0 - share / (1.0 - share)
    bad = (LOSS - (LOSS - EFFECT) * (1.0 - lost)) / lost  # share of the lost that have a loss
    chance = np.where(losses > 0.0, lost * bad / LOSS, lost * (1.0 - bad) / (1.0 - LOSS))
    gone = g.uniform(size=len(challenger)) < chance
    stay = ~(challenger & gone)
    failed = g.uniform(size=int(stay.sum())) < ERRORS
    return _judged(losses[stay], challenger[stay], failed, g)


def _units() -> int:
    return sequential.n_max(sequential.fixed_horizon_n(EFFECT, math.sqrt(LOSS * (1.0 - LOSS)), alpha=LIVE.alpha))


def _judged(losses: Floats, challenger: Bools, failed: Bools, g: Generator) -> Found:
    """Units come evenly until a day before the deadline."""
    late = g.uniform(size=len(losses)) < LATE
    came = looking.ends(len(losses), (LIVE.max_days - 1) * A_DAY)
    exposed, matured = np.append(came, np.full(A_DAY, len(losses))), np.append(np.zeros(A_DAY, np.int64), came)
    arms = looking.split(losses, challenger, matured)
    counts = [(looking.upto(challenger, at), at.astype(np.float64)) for at in (exposed, matured)]
    seen = counts[0][0]
    guards = []
    for name, hit, prior, tolerated in (
        ("errors", failed, ERROR_PRIOR, LIVE.tolerated_rate),
        ("latency", late, LATENCY_PRIOR, LIVE.tolerated_slow),
    ):
        ones, both = (looking.upto(part, exposed) for part in (hit & challenger, hit))
        guards.append(Counted(name, prior, tolerated, ones, both, ones, seen).guardrails(LIVE, of=2))
    days, p = np.arange(1, len(exposed) + 1) // A_DAY, split_p(*counts)
    ended, blind = (
        verdict_of(readings(arms, _units() / 2, list(zip(*guards, strict=True)), known, days, LIVE), LIVE)
        for known in (p, np.ones(len(p)))
    )
    bounds = arms.bounds(LIVE.alpha, _units() / 2, "lower")
    z = first_of(np.where(arms.least() >= LIVE.min_labels, arms.n, 0.0), bounds, LIVE)
    return {
        "promoted": ended == "promote", "rolled_back": ended == "roll_back", "invalid": ended == "invalid",
        "blind": blind == "promote", "blind_invalid": blind == "invalid", **z,
    }  # fmt: skip


def readings(
    arms: looking.Arms,
    n_star: float,
    guards: Sequence[tuple[Guardrail, ...]],
    p: Floats,
    days: Integers,
    live: Live,
) -> Iterator[Reading]:
    """What each look reads: bounds from its first valid one on, guardrails, what is missing."""
    lower = arms.bounds(live.alpha, n_star, "lower")
    upper, harm = (arms.bounds(alpha, n_star, "upper").upper for alpha in (live.alpha, live.alpha_roll_back / 2))
    least = arms.least()
    for i, guard in enumerate(guards):
        known = least[i] >= looking.FIRST_LOOK
        yield Reading(
            estimate=float(lower.estimate[i]),
            lower=float(lower.lower[i]) if known else -math.inf,
            upper=float(upper[i]) if known else math.inf,
            harm_upper=float(harm[i]) if known else math.inf,
            days=int(days[i]),
            split_p=float(p[i]),
            guardrails=guard,
            missing=() if least[i] >= live.min_labels else ("labelled rows more",),
        )


def verdict_of(looks: Iterator[Reading], live: Live) -> str:
    """The verdict that ends the trial: the first that is not to go on."""
    for reading in looks:
        word, _ = verdicts.verdict(reading, live)
        if word != "continue":
            return word
    return "continue"


@dataclass(frozen=True, slots=True)
class Counted:
    """A guardrail's counts at each look: units with an event, of the challenger (`hit`) and of both arms; the
    challenger's answers, and those of them with an event. `prior`: its strength in events."""

    name: str
    prior: float
    tolerated: float
    hit: Floats
    both: Floats
    events: Floats
    answers: Floats

    def guardrails(self, live: Live, of: int) -> list[Guardrail]:
        """One of `of` at each look: harm at its part of the rollback budget; cleared by the share test at the margin,
        or by the challenger's own rate."""
        x1, x0 = self.hit.astype(np.int64), (self.both - self.hit).astype(np.int64)
        harm = sequential.log_e_shares(x1, x0, 0.5, self.prior) >= -math.log(live.alpha_roll_back / 2 / of)
        below = sequential.log_e_shares_below(x1, x0, 0.5, self.prior, live.harm_margin)
        few = log_e_rates_below(self.tolerated, self.events.astype(np.int64), self.answers.astype(np.int64))
        cleared = np.maximum(below, few) >= -math.log(live.alpha)
        return [Guardrail(self.name, bool(h), bool(c), "as drawn") for h, c in zip(harm, cleared, strict=True)]


def split_p(*counts: tuple[Floats, Floats]) -> Floats:
    """The smallest p so far, over counts of the challenger's units and of all: those seen, and those with a label."""
    log_bf = np.zeros(len(counts[0][0]))
    for ones, both in counts:
        found = sequential.log_bayes_factors_split(np.column_stack([ones, both - ones]), [0.5, 0.5])
        log_bf = np.maximum(log_bf, found)
    return np.exp(-np.maximum.accumulate(log_bf))


def first_of(n: Floats | Integers, found: LookBounds, live: Live) -> Found:
    """What z tests at every look would have done, promote or roll back, whichever speaks first. No look at n = 0."""
    better = looking.first(n, (n > 0) & (looking.z_bounds(found, live.alpha).lower > live.min_gain))
    worse = looking.first(n, (n > 0) & (looking.z_bounds(found, live.alpha_roll_back / 2).upper < 0.0))
    return {"z": better < worse, "z_back": worse < better}
