"""Step 1 for a project: fit what must be beaten, register it, and put it where it stays.

In: the project's labelled rows. Out: the step's evidence, kept on the ledger, the best naive rule as the baseline, and
a version for each system that is in place (`existing`).
The rules and their scores are `steps.baseline`'s; `judged` needs no store, so that a bare file can be asked too.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from incumbent.config import Config
from incumbent.errors import DecisionRefused
from incumbent.loop import promote
from incumbent.project import existing
from incumbent.project.rows import Rows
from incumbent.records import Evidence, Micros, Signature, Version
from incumbent.runtimes.base import Columns
from incumbent.runtimes.rule import Rule
from incumbent.stats.metrics import Metric
from incumbent.steps import Proposal, StepResult, gate
from incumbent.steps import baseline as step
from incumbent.steps.baseline.held import HeldOut, Ints, Origin, Reference

if TYPE_CHECKING:
    from incumbent.project.project import Project

Mask = npt.NDArray[np.bool_]


class Baseline:
    """`project.baseline()`: what must be beaten."""

    def __init__(self, project: "Project") -> None:
        self.project = project

    def __call__(self, rows: Any = None, *, incumbent: str = "", now: Micros | None = None) -> StepResult:
        """Fit every naive rule that suits the task; register the best, which is the baseline from then on and the
        first incumbent where there is none. What the project names in `[baseline]` is scored beside them, and
        registered too, each system as a version of its own.

        `incumbent` (default: `baseline.incumbent`) names the system that is the first incumbent instead. Raises
        DataError when rows or labels cannot be used, or when a system that is named gives no usable answer, ConfigError
        where the system that is wanted cannot answer, DecisionRefused where there is an incumbent; nothing is
        registered then.
        """
        project = self.project
        now = project.clock() if now is None else now
        first = project.roles().incumbent is None
        if incumbent and not first:
            raise DecisionRefused(
                f"{project.roles().incumbent} is the incumbent already, so {incumbent} cannot be the first: "
                "`incumbent promote` changes who answers."
            )
        known = project.known(rows, now)
        signature = project.signature(known)
        systems: tuple[existing.System, ...] = ()

        def asked(held: Rows) -> tuple[Reference, ...]:
            nonlocal systems
            systems = existing.collect(project, known, held, signature, now)
            return tuple(system.said for system in systems if system.said is not None)

        found, best = judged(known, signature, project.metric, asked, now=now)
        wanted = incumbent or project.config.baseline.incumbent
        system = existing.chosen(systems, wanted) if first and wanted else None
        version = self._best(best, signature, known, systems, now)
        same = [replace(one, version=version) if _is_rule(one, best) else one for one in systems]
        systems = existing.entered(project, tuple(same), now)
        found = _named(found, version, systems)
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
        if system is not None:
            name = next(one.version.name for one in systems if one.subject == system.subject)
            by = "--incumbent" if incumbent else "baseline.incumbent"
            reason = f"the system in place ({system.subject}), as {by} says: it answers until another is shown better"
            project.promote(name, reason, now=now)
        elif first:
            project.promote(version.name, "the best naive rule", now=now)
        return found

    def _best(
        self, best: Proposal, signature: Signature, known: Rows, systems: tuple[existing.System, ...], now: Micros
    ) -> Version:
        """The best rule as a version: anew on all rows, unless it is a column that is a version already."""
        column = next((one for one in systems if _is_rule(one, best)), None)
        if column is not None and column.version.name:
            return column.version
        recipe = best.recipe if column is None else column.version.recipe
        rule = Rule(best.predictor, signature)
        return self.project.register(rule, known, description=best.description, recipe=recipe, now=now)

    def score(self, value: float, rows: Any = None, *, now: Micros | None = None) -> tuple[Evidence, StepResult]:
        """Is that good? A score that somebody has, beside the naive rules on the held-out rows. Registers nothing, and
        asks no system. Raises ConfigError for a score that no prediction can have."""
        project = self.project
        step.refuse_impossible(value, project.metric)
        now = project.clock() if now is None else now
        known = project.known(rows, now)
        found, _ = judged(known, project.signature(known), project.metric, now=now)
        return step.judge(value, found.evidence, project.metric, now), found


def judged(
    known: Rows,
    signature: Signature,
    metric: Metric,
    asks: Callable[[Rows], tuple[Reference, ...]] | None = None,
    *,
    now: Micros = 0,
) -> tuple[StepResult, Proposal]:
    """What the step finds on labelled rows, and its best rule fitted on all of them.

    `asks` says what other systems say of the held-out rows; None: none is asked.
    """
    config = known.config
    train, held = split(known)
    columns, truth = known.columns(signature), known.truth(signature)
    asked = known.where(held)
    judged_on = HeldOut(
        _part(columns, held), truth[_run(held)], asked.blocks(), series_of(asked), origins(asked, config)
    )
    beside = () if asks is None else asks(asked)
    found = step.fit(
        _part(columns, train), truth[_run(train)], signature, metric, config.task, judged_on,
        settings=config.baseline, references=beside, at=now,
    )  # fmt: skip
    best = step.fit(
        columns, truth, signature, metric, config.task,
        settings=config.baseline, only=found.proposals[0].description, at=now,
    ).proposals[0]  # fmt: skip
    return found, best


def _is_rule(system: existing.System, rule: Proposal) -> bool:
    """Is a system that the project names this very rule?"""
    return system.said is None and system.subject == rule.description


def _named(found: StepResult, best: Version, systems: tuple[existing.System, ...]) -> StepResult:
    """The evidence with the version that each of them is, where it is one, and its kind."""
    versions = {system.subject: (system.version, system.note) for system in systems}
    versions.setdefault(found.evidence[0].subject, (best, ""))
    named = (_with_version(one, *versions.get(one.subject, (None, ""))) for one in found.evidence)
    return replace(found, evidence=tuple(named))


def _with_version(evidence: Evidence, version: Version | None, note: str) -> Evidence:
    if version is None:
        return evidence
    asked = [{**one, "version": version.name} for one in evidence.numbers.get("asked", [])]
    told = {"version": version.name, "kind": version.runtime, "answers_new_rows": version.answers, "note": note}
    more = told | ({"asked": asked} if asked else {})
    return replace(evidence, numbers={**evidence.numbers, **more})


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
