"""The user's own log as an A/A trial: its units dealt into two arms again and again, looked at as the ticker looks.

In: rows of the log in their order of time, or blocks of a shadow. Out: scenarios to run. How units differ, how often
they come back, how their losses are spread and how they fail is real; that both arms are equal is known.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from incumbent.config import Live
from incumbent.records import DAY, SECOND, Micros
from incumbent.stats import sequential
from incumbent.steps.live.guardrails import ERROR_PRIOR, LATENCY_PRIOR
from incumbent.steps.live.simulating import looking
from incumbent.steps.live.simulating.blocks import MIN_BLOCKS, bounded
from incumbent.steps.live.simulating.looking import Bools, Floats, Integers
from incumbent.steps.live.simulating.scenarios import Found, Generator, Question, Scenario
from incumbent.steps.live.simulating.whole import Counted, first_of, readings, split_p, verdict_of
from incumbent.steps.live.verdict import Reading
from incumbent.storage.base import BlockSum

HOUR: Micros = 3600 * SECOND
LEAST_UNITS = 4 * looking.FIRST_LOOK
"""Units with a label, so that each arm has 200 in the mean."""
LEAST_BLOCKS = 2 * MIN_BLOCKS


@dataclass(frozen=True, slots=True)
class Rows:
    """Served rows in the order of time (n,): when, of which unit (0, 1, ...), the loss of what was served (NaN: no
    label came inside its window), whether a fallback answered, and whether it was over budget (None: there is none)."""

    at: Integers
    unit: Integers
    loss: Floats
    failed: Bools
    slow: Bools | None = None


def lacks(rows: Rows, live: Live) -> str:
    """What the rows hold too little of for a trial of this kind; empty where they do."""
    labelled = np.isfinite(rows.loss)
    units, n = len(np.unique(rows.unit[labelled])), int(labelled.sum())
    days = (int(rows.at[-1] - rows.at[0]) / DAY) if len(rows.at) else 0.0
    if n < 4 * live.min_labels or units < LEAST_UNITS:
        return (f"{n:,} rows with a label, of {units:,} units; expected at least {4 * live.min_labels:,} rows "
                f"(4 × live.min_labels) of {LEAST_UNITS:,} units")  # fmt: skip
    if days < live.min_days + 1:
        return f"{days:.1f} days of rows; expected more than live.min_days = {live.min_days} and a day"
    return ""


def split(rows: Rows, live: Live) -> Scenario:
    """The log's units, dealt at random into two arms."""
    asked = (
        Question("gain shown", "shown", live.alpha, naive="z"),
        Question("promoted", "promoted", live.alpha, naive="z"),
        Question("rolled back", "rolled_back", live.alpha_roll_back, naive="z_back"),
        Question("invalid", "invalid", 0.002, naive=None),
    )
    units = len(np.unique(rows.unit))
    title = f"split, {units:,} units dealt at random"
    return Scenario("own-split", title, partial(dealt, dealing(rows, live), live), asked, "z at every look")


def shadow(pair: str, blocks: Sequence[BlockSum], block: Micros, live: Live) -> Scenario:
    """A pair's own differences, whole days with their signs flipped: as large, as alike, and equal in the mean."""
    asked = (
        Question("promoted", "promoted", live.alpha, naive="z"),
        Question("rolled back", "rolled_back", live.alpha_roll_back, naive="z_back"),
    )
    title = f"shadow, {len(blocks)} blocks of {pair}, days flipped"
    return Scenario("own-shadow", title, partial(flipped, tuple(blocks), block, live), asked, "z at every block")


@dataclass(frozen=True, slots=True)
class _Events:
    """Rows with an event, and the first such row of each unit."""

    name: str
    prior: float
    tolerated: float
    rows: Bools
    first: Bools


@dataclass(frozen=True, slots=True)
class _Dealing:
    """What does not depend on who is dealt where: rows exposed and labelled rows matured at each look, and the days."""

    unit: Integers
    units: int
    first: Bools
    growing: looking.Growing
    events: tuple[_Events, ...]
    exposed: Integers
    matured: Integers
    days: Integers


def dealing(rows: Rows, live: Live) -> _Dealing:
    """Looks every hour: the ticker looks more often, but what it sees changes when a label matures."""
    units, unit = np.unique(rows.unit, return_inverse=True)
    labelled, window, start = np.isfinite(rows.loss), round(live.window_hours * HOUR), int(rows.at[0])
    until = min(int(rows.at[-1]) + window, start + live.max_days * DAY)
    looks = np.arange(start + HOUR, until + HOUR, HOUR)
    watched = [("errors", ERROR_PRIOR, live.tolerated_rate, rows.failed)]
    if rows.slow is not None:
        watched.append(("latency", LATENCY_PRIOR, live.tolerated_slow, rows.slow))
    return _Dealing(
        unit, len(units), _first(unit, np.ones(len(unit), dtype=np.bool_)),
        looking.growing(unit[labelled], rows.loss[labelled]),
        tuple(_Events(name, prior, tolerated, hit, _first(unit, hit)) for name, prior, tolerated, hit in watched),
        np.searchsorted(rows.at, looks), np.searchsorted(rows.at[labelled] + window, looks, side="right"),
        (looks - start) // DAY,
    )  # fmt: skip


def _first(unit: Integers, hit: Bools) -> Bools:
    """The first row of each unit that is hit.

    >>> _first(np.array([0, 1, 0, 1]), np.array([False, True, True, True])).tolist()
    [False, True, True, False]
    """
    found, at = np.zeros(len(unit), dtype=np.bool_), np.flatnonzero(hit)
    found[at[np.unique(unit[at], return_index=True)[1]]] = True
    return found


def dealt(made: _Dealing, live: Live, g: Generator) -> Found:
    """One deal, and what becomes of it."""
    challenger = g.uniform(size=made.units) < 0.5
    mine = challenger[made.unit]
    arms = made.growing.arms(challenger, made.matured)
    seen = [looking.upto(part, made.exposed) for part in (made.first & mine, made.first)]
    p = split_p((seen[0], seen[1]), (arms.challenger.n, arms.n))
    answers = looking.upto(mine, made.exposed)
    guards = []
    for one in made.events:
        hit, both, events = (
            looking.upto(part, made.exposed) for part in (one.first & mine, one.first, one.rows & mine)
        )
        counted = Counted(one.name, one.prior, one.tolerated, hit, both, events, answers)
        guards.append(counted.guardrails(live, of=len(made.events)))
    n_star = made.units / 2
    ended = verdict_of(readings(arms, n_star, list(zip(*guards, strict=True)), p, made.days, live), live)
    ready = arms.least() >= live.min_labels
    shown = arms.bounds(live.alpha, n_star, "lower")
    return {
        "shown": bool((ready & (shown.lower > live.min_gain)).any()),
        "promoted": ended == "promote", "rolled_back": ended == "roll_back", "invalid": ended == "invalid",
        **first_of(np.where(ready, arms.n, 0.0), shown, live),
    }  # fmt: skip


def flipped(blocks: tuple[BlockSum, ...], block: Micros, live: Live, g: Generator) -> Found:
    """A look after each block. Blocks of a day share their weather, so a day keeps one sign."""
    day = np.unique([one.block // max(round(DAY / block), 1) for one in blocks], return_inverse=True)[1]
    turned = (g.uniform(size=len(blocks)) < 0.5)[day]
    drawn = [_turned(one) if turn else one for one, turn in zip(blocks, turned, strict=True)]
    looks = [bounded(drawn[:n], block, live, len(blocks) / 2) for n in range(MIN_BLOCKS, len(drawn) + 1)]
    ended = verdict_of(
        (
            Reading(one["estimate"], one["lower"], one["upper"], one["harm_upper"], days=live.min_days)
            for one in looks
        ),
        live,
    )
    z = _z(np.array([(one.loss_reference - one.loss_candidate) / max(one.rows, 1) for one in drawn]), live)
    return {"promoted": ended == "promote", "rolled_back": ended == "roll_back", **z}


def _turned(one: BlockSum) -> BlockSum:
    return BlockSum(one.block, one.rows, one.loss_candidate, one.loss_reference)


def _z(gains: Floats, live: Live) -> Found:
    """Whichever z test over the blocks so far speaks first."""
    n = np.arange(MIN_BLOCKS, len(gains) + 1)
    sums = sequential.LookSums.of_units(gains, n)
    found = sequential.paired_bounds(sums, alpha=live.alpha, n_star=len(gains) / 2, side="lower")
    return first_of(n, found, live)
