"""Runs scenarios and holds what was found against the limits.

In: scenarios, how many runs, a seed. Out: one Row a question. Each run has a stream of its own, which follows from
seed, scenario and number of the run: the table does not depend on how many processes made it, nor on which other
scenarios are in it.
"""

import math
import multiprocessing
import os
import signal
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri
from scipy.stats import binom

from incumbent.stats.share import clopper_pearson
from incumbent.steps.live.simulating.looking import Floats
from incumbent.steps.live.simulating.scenarios import Draw, Question, Scenario

SURE = 0.99
"""A share misses its limit where so few runs would bring it about by chance once in 100 tables."""
BATCH = 25

Columns = Mapping[str, Floats]


@dataclass(frozen=True, slots=True)
class Row:
    """What many runs say: a share (0-1), a median or a mean, with its 95 % interval, beside the naive rule's.

    `stated` is the limit of runs without end, `limit` what is held to at so many runs: for a share `stated` and the
    binomial 99 % bound; a median or mean misses `stated` where its whole interval is beyond it. None: no limit.
    """

    scenario: str
    title: str
    what: str
    kind: str
    unit: str
    runs: int
    found: float
    low: float
    high: float
    stated: float | None
    limit: float | None
    at_most: bool
    naive: float | None
    naive_rule: str

    @property
    def holds(self) -> bool:
        """Is what was found inside its limit?"""
        if self.limit is None:
            return True
        nearest = self.found if self.kind == "share" else self.low if self.at_most else self.high
        return nearest <= self.limit if self.at_most else nearest >= self.limit


def run(
    scenarios: Sequence[Scenario],
    *,
    runs: int,
    seed: int,
    processes: int = 1,
    progress: Callable[[float], None] = lambda share: None,
) -> list[Row]:
    """Every scenario `runs` times (or `most` times, where it says so), in so many processes of their own."""
    times = [min(runs, scenario.most or runs) for scenario in scenarios]
    found: dict[tuple[int, int], Columns] = {}
    tasks = [(i, start) for i, n in enumerate(times) for start in range(0, n, _batch(scenarios[i]))]
    for i, start, columns in _done(scenarios, times, tasks, seed, processes):
        found[i, start] = columns
        progress(len(found) / len(tasks))
    rows = []
    for i, scenario in enumerate(scenarios):
        parts = [found[task] for task in tasks if task[0] == i]
        columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        rows += [row(scenario, question, columns) for question in scenario.questions]
    return rows


def processors() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _batch(scenario: Scenario) -> int:
    return 1 if scenario.most else BATCH


def _done(
    scenarios: Sequence[Scenario], times: Sequence[int], tasks: Sequence[tuple[int, int]], seed: int, processes: int
) -> Iterator[tuple[int, int, Columns]]:
    """Each task with what it found, as they are done."""
    asked = {
        (i, start): (scenarios[i].draw, scenarios[i].name, seed, start, min(start + _batch(scenarios[i]), times[i]))
        for i, start in tasks
    }
    if processes == 1:
        yield from ((i, start, some(*asked[i, start])) for i, start in tasks)
        return
    # Spawned: a forked child can hang in a library that has threads. Ctrl-C is for the parent alone.
    spawn = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(min(processes, len(tasks)), spawn, signal.signal, (signal.SIGINT, signal.SIG_IGN))
    try:
        futures = {pool.submit(some, *asked[task]): task for task in tasks}
        for future in as_completed(futures):
            yield (*futures[future], future.result())
    finally:
        pool.shutdown(cancel_futures=True)


def some(draw: Draw, name: str, seed: int, start: int, stop: int) -> Columns:
    """The runs from `start` to `stop` of one scenario: one value a run, by name."""
    key = zlib.crc32(name.encode())
    streams = (np.random.SeedSequence(seed, spawn_key=(key, number)) for number in range(start, stop))
    found = [draw(np.random.default_rng(stream)) for stream in streams]
    return {name: np.array([float(one[name]) for one in found]) for name in found[0]}


def row(scenario: Scenario, question: Question, columns: Columns) -> Row:
    """One question, answered."""
    values = columns[question.of]
    found, low, high = {"share": _share, "median": _median, "mean": _mean}[question.kind](values)
    naive = None
    if question.naive is not None:
        of = columns[question.naive]
        naive = float(np.median(of)) if question.kind == "median" else float(np.mean(of))
    return Row(
        scenario.name, scenario.title, question.what, question.kind, question.unit, len(values), found, low, high,
        question.limit, _limit(question, len(values)), question.at_most, naive,
        scenario.naive if naive is not None else "",
    )  # fmt: skip


def _limit(question: Question, runs: int) -> float | None:
    if question.limit is None or question.kind != "share":
        return question.limit
    return float(binom.ppf(SURE if question.at_most else 1.0 - SURE, runs, question.limit)) / runs


def _share(values: Floats) -> tuple[float, float, float]:
    found = clopper_pearson(int(values.sum()), len(values), alpha=0.025)
    return found.share, found.lower, found.upper


def _median(values: Floats) -> tuple[float, float, float]:
    """With the order statistics between which it lies, whatever the law (David & Nagaraja, Order Statistics, 7.1).
    What was never reached is infinite."""
    n = len(values)
    ordered, rank = np.sort(values), int(binom.ppf(0.025, n, 0.5))
    return float(ordered[(n - 1) // 2]), float(ordered[max(rank - 1, 0)]), float(ordered[min(n - rank, n - 1)])


def _mean(values: Floats) -> tuple[float, float, float]:
    mean = float(values.mean())
    half = float(ndtri(0.975)) * float(values.std(ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else math.inf
    return mean, mean - half, mean + half
