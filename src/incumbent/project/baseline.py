"""Step 1 for a project: fit what must be beaten, register it, and put it where it stays.

In: the project's labelled rows. Out: the step's evidence, kept on the ledger, and the best naive rule as the baseline.
The rules and their scores are `steps.baseline`'s; `judged` needs no store, so that a bare file can be asked too.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from incumbent.config import Config
from incumbent.loop import promote
from incumbent.project import references
from incumbent.project.code import Code
from incumbent.project.rows import Rows
from incumbent.records import Evidence, Micros, Signature
from incumbent.runtimes.base import Columns
from incumbent.runtimes.rule import Rule
from incumbent.stats.metrics import Metric
from incumbent.steps import Proposal, StepResult, gate
from incumbent.steps import baseline as step
from incumbent.steps.baseline.held import HeldOut, Ints, Origin

if TYPE_CHECKING:
    from incumbent.project.project import Project

Mask = npt.NDArray[np.bool_]


class Baseline:
    """`project.baseline()`: what must be beaten."""

    def __init__(self, project: "Project") -> None:
        self.project = project

    def __call__(self, rows: Any = None, *, now: Micros | None = None) -> StepResult:
        """Fit every naive rule that suits the task; register the best, which is the baseline from then on and the
        first incumbent where there is none. What the project names in `[baseline]` is scored beside them.

        Raises DataError when rows or labels cannot be used, or when a system that is named gives no usable answer.
        """
        project = self.project
        now = project.clock() if now is None else now
        known = project.known(rows, now)
        signature = project.signature(known)
        found, best = judged(known, signature, project.metric, project.code, now=now, keep=project.facts.blobs.put)
        version = project.register(
            Rule(best.predictor, signature), known, description=best.description, recipe=best.recipe, now=now
        )
        for evidence in found.evidence:
            promote.record(project.facts.ledger, evidence, actor=project.actor)
        promote.set_baseline(
            project.facts.ledger,
            project.roles(),
            version.name,
            at=now,
            actor=project.actor,
            reason=found.evidence[0].sentence,
        )
        if project.roles().incumbent is None:
            project.promote(version.name, "the best naive rule", now=now)
        return found

    def score(self, value: float, rows: Any = None, *, now: Micros | None = None) -> tuple[Evidence, StepResult]:
        """Is that good? A score that somebody has, beside the naive rules on the held-out rows. Registers nothing, and
        asks no system. Raises ConfigError for a score that no prediction can have."""
        project = self.project
        step.refuse_impossible(value, project.metric)
        now = project.clock() if now is None else now
        known = project.known(rows, now)
        found, _ = judged(known, project.signature(known), project.metric, None, now=now)
        return step.judge(value, found.evidence, project.metric, now), found


def judged(
    known: Rows,
    signature: Signature,
    metric: Metric,
    code: Code | None,
    *,
    now: Micros = 0,
    keep: references.Keep | None = None,
) -> tuple[StepResult, Proposal]:
    """What the step finds on labelled rows, and its best rule fitted on all of them.

    `keep` takes the answers of systems that are asked, as bytes, and returns their hash; None: no system is asked.
    """
    config = known.config
    train, held = split(known)
    columns, truth = known.columns(signature), known.truth(signature)
    asked = known.where(held)
    judged_on = HeldOut(
        _part(columns, held), truth[_run(held)], asked.blocks(), series_of(asked), origins(asked, config)
    )
    beside = () if keep is None else references.collect(asked, signature, code, keep)
    found = step.fit(
        _part(columns, train), truth[_run(train)], signature, metric, config.task, judged_on,
        settings=config.baseline, references=beside, at=now,
    )  # fmt: skip
    best = step.fit(
        columns, truth, signature, metric, config.task,
        settings=config.baseline, only=found.proposals[0].description, at=now,
    ).proposals[0]  # fmt: skip
    return found, best


def split(known: Rows) -> tuple[Mask, Mask]:
    """The gate's own split, as two masks: baseline and candidate are judged on the same rows."""
    config = known.config
    return gate.split(
        known.at if config.task.time else None,
        known.known_at,
        share=config.gate.holdout,
        days=config.gate.holdout_days,
        zone=config.task.timezone or "UTC",
    )


def series_of(rows: Rows) -> Ints | None:
    """(n,) which series each row belongs to, from 0; None where there is one."""
    if not rows.config.task.series:
        return None
    names = rows.frame[rows.config.task.series].to_list()
    places = {name: i for i, name in enumerate(dict.fromkeys(names))}
    return np.fromiter(map(places.__getitem__, names), dtype=np.int64, count=len(names))


def origins(held: Rows, config: Config) -> tuple[Origin, ...]:
    """Points in time that cut a forecast's held-out stretch into stretches of equally many steps."""
    if config.task.kind != "forecast" or not config.task.time or not len(held):
        return ()
    steps = np.unique(held.at)
    stretches = [part for part in np.array_split(steps, config.baseline.origins) if len(part)]
    found = []
    for part in stretches:
        rows = np.flatnonzero((held.at >= part[0]) & (held.at <= part[-1]))
        found.append(Origin(rows, np.flatnonzero((held.at < part[0]) & (held.known_at < part[0]))))
    return tuple(found)


def _part(columns: Columns, mask: Mask) -> dict[str, npt.NDArray[Any]]:
    rows = _run(mask)
    return {name: values[rows] for name, values in columns.items()}


def _run(mask: Mask) -> slice | Mask:
    """A mask without gaps as a slice: nothing is copied then."""
    chosen = np.flatnonzero(mask)
    if len(chosen) and chosen[-1] - chosen[0] + 1 == len(chosen):
        return slice(int(chosen[0]), int(chosen[-1]) + 1)
    return mask
