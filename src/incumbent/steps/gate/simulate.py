"""How often does the gate ship a candidate that it should not, and one that it should?

In: scenarios with known truth, or one's own losses, and a seed. Out: a table: the share that our gate ships with its
interval and its limit, beside two naive rules. The limit allows for the chance of so few runs.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import beta, binom

from incumbent import config
from incumbent.stats import metrics
from incumbent.steps.gate.judging import judge, judge_outputs
from incumbent.steps.gate.rules import SHIP
from incumbent.steps.gate.scenarios import Draw, Floats, Scenario
from incumbent.steps.gate.slices import Labels

RARE = 1e-4
"""A row fails only where its share would come about by chance less often than this."""


@dataclass(frozen=True, slots=True)
class Row:
    """One scenario after `runs` runs, in shares (0-1): ours with its 95 % interval (Clopper & Pearson 1934), the naive.

    `limit` is what the share is held to, at so many runs: at most (`at_most` set) or at least; None: no limit.
    """

    name: str
    runs: int
    share: float
    low: float
    high: float
    not_below: float
    one_point: float
    at_most: float | None
    at_least: float | None
    limit: float | None

    @property
    def holds(self) -> bool:
        """Is the share inside its limit?"""
        if self.limit is None:
            return True
        return self.share <= self.limit if self.at_most is not None else self.share >= self.limit


def run(
    scenarios: Sequence[Scenario], *, runs: int, seed: int, progress: Callable[[float], None] = lambda share: None
) -> list[Row]:
    """Every scenario `runs` times. The same seed gives the same table; each scenario has a stream of its own."""
    streams = np.random.default_rng(seed).spawn(len(scenarios))
    rows = []
    for i, (scenario, generator) in enumerate(zip(scenarios, streams, strict=True)):
        shipped, better, point = np.array(list(_runs(scenario, runs, generator)), dtype=np.int64).sum(axis=0)
        rows.append(_row(scenario, runs, int(shipped), int(better), int(point)))
        progress((i + 1) / len(scenarios))
    return rows


def ours(
    name: str, losses: Floats, other: Floats, blocks: npt.NDArray[np.int64] | None, settings: config.Gate
) -> Scenario:
    """A/A on one's own losses: a candidate as unlike the incumbent as `other` is, and exactly as good in the mean.

    Whole blocks are drawn with replacement (rows, where there are none), so that their sizes, their skewness and what
    rows of a block have in common are the real ones; what blocks have in common with each other is not kept.
    """
    difference = losses - other
    equal = losses - (difference - difference.mean())
    index = np.arange(len(losses)) if blocks is None else np.unique(blocks, return_inverse=True)[1]
    parts = np.split(np.argsort(index, kind="stable"), np.cumsum(np.bincount(index))[:-1])

    def draw(generator: np.random.Generator) -> Draw:
        drawn = generator.integers(0, len(parts), len(parts))
        rows = np.concatenate([parts[part] for part in drawn])
        sizes = [len(parts[part]) for part in drawn]
        return Draw(losses[rows], equal[rows], None if blocks is None else np.repeat(np.arange(len(parts)), sizes))

    asked = config.Gate(
        suspicious_if_better_by=0.0, alpha=settings.alpha, block=settings.block, min_rows=settings.min_rows
    )
    return Scenario(name, draw, settings.alpha, settings=asked, point=0.01 * abs(float(losses.mean())))


def _runs(scenario: Scenario, runs: int, generator: np.random.Generator) -> Iterator[tuple[bool, bool, bool]]:
    """What our gate does, what "the candidate is not below the incumbent" does, and "it is a point better"."""
    for _ in range(runs):
        draw = scenario.draw(generator)
        verdict, gain = _ask(draw, scenario.settings)
        yield verdict == SHIP, gain >= 0.0, gain >= scenario.point


def _ask(draw: Draw, settings: config.Gate) -> tuple[str, float]:
    blocks = None if settings.block == "row" else draw.blocks
    if draw.truth is not None:
        auc = metrics.get("roc_auc", "binary")
        found = judge_outputs(auc, draw.truth, draw.incumbent, draw.candidate, blocks, settings, "v2", "v1", 0)
    else:
        columns = {}
        if draw.slices is not None:
            columns = {"part": Labels(draw.slices, tuple(str(i) for i in range(int(draw.slices.max()) + 1)))}
        found = judge(draw.incumbent, draw.candidate, blocks, settings, "v2", "v1", 0, columns=columns)
    return found.verdict, float(found.numbers["gain"])


def _row(scenario: Scenario, runs: int, shipped: int, better: int, point: int) -> Row:
    low = float(beta.ppf(0.025, shipped, runs - shipped + 1)) if shipped else 0.0
    high = float(beta.ppf(0.975, shipped + 1, runs - shipped)) if shipped < runs else 1.0
    limit = None
    if scenario.at_most is not None:
        limit = float(binom.ppf(1.0 - RARE, runs, scenario.at_most)) / runs
    if scenario.at_least is not None:
        limit = float(binom.ppf(RARE, runs, scenario.at_least)) / runs
    return Row(
        scenario.name, runs, shipped / runs, low, high, better / runs, point / runs,
        scenario.at_most, scenario.at_least, limit,
    )  # fmt: skip
