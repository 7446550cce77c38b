"""Is a challenger promoted that is as good, and one that is better? Two arms of units that count once each."""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from incumbent.config import Live
from incumbent.stats import sequential
from incumbent.steps.live.simulating import looking
from incumbent.steps.live.simulating.looking import Floats
from incumbent.steps.live.simulating.scenarios import Found, Generator, Question, Scenario

ALPHA = Live().alpha
UNITS, LOOKS = 20_000, 200
PEEKS_FROM = 10
EFFECT = 0.1
"""The planned effect in standard deviations: 2,474 units at a fixed horizon."""
POWER, MEAN_STOP, MEAN_STOP_TWICE = 0.8, 1.25, 0.45


def all_of() -> Sequence[Scenario]:
    equal = [
        _promoted(f"aa-{p:g}", f"equal, {100 * p:g} % of 20,000 units have a loss", partial(shares, p))
        for p in (0.02, 0.1, 0.5)
    ]
    tails = [
        _promoted(f"aa-{name}", f"equal, {words}, looks from n = {PEEKS_FROM}", partial(peeking, name))
        for name, words in (
            ("chi2", "χ²₁ losses"),
            ("lognormal", "lognormal losses (σ 1.5)"),
            ("zero-inflated", "95 % of losses are 0"),
            ("t3-squared", "squared t₃ losses"),
        )
    ]
    return [*equal, *tails, _power("power", "as much better as planned", 1.0, MEAN_STOP),
            _power("power-twice", "twice as much better as planned", 2.0, MEAN_STOP_TWICE)]  # fmt: skip


def _promoted(name: str, title: str, draw: Callable[[Generator], Found]) -> Scenario:
    asked = Question("promoted", "promoted", ALPHA, naive="z")
    return Scenario(name, title, draw, (asked,), "z at every look")


def _power(name: str, title: str, times: float, stop: float) -> Scenario:
    return Scenario(
        name,
        title,
        partial(better, times),
        (
            Question("promoted", "promoted", POWER, at_most=False, naive="fixed"),
            Question("ended after", "ended", stop, "mean", unit="× fixed", naive="fixed_n"),
        ),
        "one look",
    )


def shares(p: float, g: Generator) -> Found:
    """Two arms with the same share of losses, looked at every 100 units."""
    return _asked((g.uniform(size=UNITS) < p).astype(np.float64), g, looking.ends(UNITS, LOOKS), looking.DECISION)


def peeking(law: str, g: Generator) -> Found:
    """Heavy tails (squared t₃ has no variance), a look every 10 units from the first 10 on, no least number."""
    return _asked(LAWS[law](g, UNITS), g, np.arange(PEEKS_FROM, UNITS + 1, 10), 2)


def better(times: float, g: Generator) -> Found:
    """Normal losses, a gain of `times` the planned one, looks every percent of the largest number of units."""
    fixed = sequential.fixed_horizon_n(EFFECT, 1.0, alpha=ALPHA)
    most = sequential.n_max(fixed)
    challenger = g.uniform(size=most) < 0.5
    losses = g.normal(size=most) - times * EFFECT * challenger
    arms = looking.split(losses, challenger, np.append(looking.ends(most, 100), fixed))
    bounds = arms.bounds(ALPHA, most / 2, "lower")
    at = looking.first(arms.n[:-1], ((bounds.lower > 0.0) & (arms.least() >= looking.DECISION))[:-1])
    fixed_says = looking.z_bounds(bounds, ALPHA).lower[-1] > 0.0
    return {"promoted": at < np.inf, "ended": min(at, most) / fixed, "fixed": float(fixed_says), "fixed_n": 1.0}


def _asked(losses: Floats, g: Generator, at: looking.Integers, least: int) -> Found:
    """Dealt at random to two arms: is either rule ever above 0?"""
    arms = looking.split(losses, g.uniform(size=len(losses)) < 0.5, at)
    bounds, ready = arms.bounds(ALPHA, len(losses) / 2, "lower"), arms.least() >= least
    naive = looking.z_bounds(bounds, ALPHA).lower
    return {"promoted": bool((ready & (bounds.lower > 0.0)).any()), "z": bool((ready & (naive > 0.0)).any())}


def chi2(g: Generator, n: int) -> Floats:
    return g.chisquare(1, n)


def lognormal(g: Generator, n: int) -> Floats:
    return g.lognormal(0.0, 1.5, n)


def zero_inflated(g: Generator, n: int) -> Floats:
    return (g.uniform(size=n) < 0.05) * g.exponential(1.0, n)


def t3_squared(g: Generator, n: int) -> Floats:
    return np.asarray(g.standard_t(3, n) ** 2, dtype=np.float64)


LAWS = {"chi2": chi2, "lognormal": lognormal, "zero-inflated": zero_inflated, "t3-squared": t3_squared}
