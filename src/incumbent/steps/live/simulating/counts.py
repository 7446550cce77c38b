"""Is a broken split seen, and a challenger that fails or is late? Counts of units and of events, at every look."""

import math
from collections.abc import Sequence
from functools import partial

import numpy as np
from scipy.special import chdtri, ndtri

from incumbent.config import Live
from incumbent.stats import sequential
from incumbent.steps.live import verdict
from incumbent.steps.live.guardrails import ERROR_PRIOR, LATENCY_PRIOR
from incumbent.steps.live.simulating import looking
from incumbent.steps.live.simulating.looking import Floats, Integers
from incumbent.steps.live.simulating.scenarios import Draw, Found, Generator, Question, Scenario

GUARDRAILS = 2
HARM = Live().alpha_roll_back / 2 / GUARDRAILS
"""The level of each of two guardrails: failures, and answers over budget."""
SPLIT_UNITS, SPLIT_LOOKS = 100_000, 1_000
REQUESTS = 100_000
ERRORS = 0.001
BUDGET_QUANTILE, SLOWER = 0.95, 1.1
SPREADS = (0.3, 0.5)
"""The budget is the incumbent's 95 % quantile; the challenger takes 10 % longer. Latencies are lognormal with these σ:
p99 is 2.0 or 3.2 times the median."""


def all_of() -> Sequence[Scenario]:
    return [
        Scenario(
            "split-even", "an even split, 1,000 looks, 100,000 units", partial(split, 0.5),
            (Question("invalid", "invalid", verdict.SPLIT_INVALID, naive="chi2"),), "χ² at every look",
        ),
        _found("split-52", "52:48", partial(split, 0.52), "invalid", 12_000, "units", "χ² at every look"),
        _found("split-55", "55:45", partial(split, 0.55), "invalid", 2_500, "units", "χ² at every look"),
        Scenario(
            "errors-even", "both fail in .1 % of 100,000 requests", partial(errors, ERRORS, REQUESTS),
            (Question("rolled back", "rolled_back", Live().alpha_roll_back / 2, naive="z"),),
            "z at every failure",
        ),
        *(
            _found(f"errors-{rate:g}", f"fails in {100 * rate:g} % instead of .1 %",
                   partial(errors, rate, n), "rolled back", most, "requests", "z at every failure")
            for rate, most, n in ((0.005, 10_000, REQUESTS), (0.02, 2_000, REQUESTS // 5), (0.2, 200, REQUESTS // 50))
        ),
        Scenario(
            "late-even", "both over budget in 5 % of 100,000 requests", partial(late, 1.0, SPREADS[0], REQUESTS),
            (Question("rolled back", "rolled_back", Live().alpha_roll_back / 2, naive="z"),),
            "z at every late answer",
        ),
        *(
            _found(f"late-{spread:g}", f"10 % slower, budget at p95, σ = {spread:g}",
                   partial(late, SLOWER, spread, REQUESTS // 2), "rolled back", 6_000, "requests",
                   "z at every late answer")
            for spread in SPREADS
        ),
    ]  # fmt: skip


def _found(name: str, title: str, draw: Draw, what: str, limit: float, unit: str, naive: str) -> Scenario:
    return Scenario(name, title, draw, (Question(f"{what} after", "after", limit, "median", unit=unit,
                                                 naive="z_after"),), naive)  # fmt: skip


def split(share: float, g: Generator) -> Found:
    """Units that fall to the challenger with this share, where half is meant; a look every 100 units."""
    every = SPLIT_UNITS // SPLIT_LOOKS
    n = np.arange(1, SPLIT_LOOKS + 1) * every
    ours = np.cumsum(g.binomial(every, share, SPLIT_LOOKS))
    log_bf = sequential.log_bayes_factors_split(np.column_stack([ours, n - ours]), [0.5, 0.5])
    after = looking.first(n, log_bf >= -math.log(verdict.SPLIT_INVALID))
    naive = looking.first(n, (2.0 * ours - n) ** 2 / n >= chdtri(1, verdict.SPLIT_INVALID))
    return {"invalid": after < np.inf, "after": after, "chi2": naive < np.inf, "z_after": naive}


def errors(rate: float, requests: int, g: Generator) -> Found:
    """Requests of an even split; the incumbent fails in .1 %, the challenger at `rate`. Looked at after each failure,
    which is where the evidence changes upwards."""
    challenger = g.uniform(size=requests) < 0.5
    return _events(challenger, g.uniform(size=requests) < np.where(challenger, rate, ERRORS), ERROR_PRIOR)


def late(times: float, spread: float, requests: int, g: Generator) -> Found:
    """Lognormal latencies; the challenger's are `times` as long. The budget is the incumbent's 95 % quantile."""
    challenger = g.uniform(size=requests) < 0.5
    budget = spread * float(ndtri(BUDGET_QUANTILE))
    logarithm = g.normal(0.0, spread, requests) + math.log(times) * challenger
    return _events(challenger, logarithm > budget, LATENCY_PRIOR)


def _events(challenger: looking.Bools, hit: looking.Bools, prior: float) -> Found:
    at = np.flatnonzero(hit)
    ones = np.cumsum(challenger[at], dtype=np.int64)
    log_e = sequential.log_e_shares(ones, np.arange(1, len(at) + 1) - ones, 0.5, prior)
    after = looking.first(at + 1, log_e >= -math.log(HARM))
    z = looking.first(at + 1, _z_of_rates(challenger, at, ones) > float(ndtri(1.0 - HARM)))
    return {"rolled_back": after < np.inf, "after": after, "z": z < np.inf, "z_after": z}


def _z_of_rates(challenger: looking.Bools, at: Integers, ones: Integers) -> Floats:
    """The pooled z of two shares, at each event; 0 before 5 events."""
    n, k = at + 1.0, np.arange(1, len(at) + 1)
    n1 = np.maximum(np.cumsum(challenger)[at], 1.0)
    n0 = np.maximum(n - n1, 1.0)
    pooled = k / n
    error = np.sqrt(np.maximum(pooled * (1.0 - pooled), 1e-12) * (1.0 / n1 + 1.0 / n0))
    return np.where(k >= 5, (ones / n1 - (k - ones) / n0) / error, 0.0)
