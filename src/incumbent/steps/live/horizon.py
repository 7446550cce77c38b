"""How long is the trial? Where its bounds are tightest, and how many units at most it waits for.

In: the counts of the first look at which a bound is valid. Out: `Horizon`, which stays for the whole phase: bounds that
are tuned anew at each look hold at none. Decides nothing.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from incumbent.config import Live
from incumbent.records import DAY, Micros, Trial
from incumbent.stats import sequential
from incumbent.steps.live.gain import Gain
from incumbent.storage.base import TrialSums

LEAST_UNITS = 100


@dataclass(frozen=True, slots=True)
class Horizon:
    """`n_star`: the n at which the bounds are tightest, half of what is planned; None before the first valid look.
    `n_max`: the n at which an undecided trial stops; None: it waits for the deadline."""

    n_star: float | None = None
    n_max: int | None = None


def known(past: Mapping[str, Any]) -> Horizon:
    """What was fixed at an earlier look of the phase."""
    return Horizon(past.get("n_star"), past.get("n_max"))


def fixed(
    smallest_effect: float,
    alpha: float,
    gain: Gain,
    reachable: float,
    planned: int | None = None,
    least: int = LEAST_UNITS,
) -> Horizon:
    """Fix it. `reachable` is how many units (or blocks) may come until the deadline.

    With a smallest effect n_max is twice the sample that a test at one planned look needs to show it (one-sided
    `alpha`, power .8), which keeps that power; `planned` takes its place.
    """
    most = planned
    if most is None and smallest_effect > 0.0 and gain.unit_variance > 0.0:
        deviation = math.sqrt(gain.unit_variance)
        wanted = sequential.fixed_horizon_n(smallest_effect, deviation, alpha=alpha, share=None)
        most = max(sequential.n_max(wanted), least)
    aimed = reachable if planned is None else planned
    return Horizon(max(min(aimed, most or aimed), least) / 2, most)


def reachable(trial: Trial, sums: TrialSums, live: Live, now: Micros) -> int:
    """Units of both arms at the end, were all enrolled: as many as go on coming, or as there are, whichever is less.

    How many there are: those seen and f1²/(2·f2) unseen, with f1 units seen once and f2 twice (Chao,
    Scandinavian Journal of Statistics 11, 1984). Units that return are soon all known; requests never are.
    """
    elapsed = max((now - trial.phase_started_at) / DAY, 1 / 24)
    seen = sum(arm.units for arm in sums.arms.values())
    coming = seen * max(live.max_days / elapsed, 1.0)
    there = seen + sums.once**2 / (2 * max(sums.twice, 1))
    return math.ceil(min(coming, there) * (1.0 - trial.called) / trial.enrolled)
