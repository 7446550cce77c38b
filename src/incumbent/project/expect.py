"""What may be expected of a project: the step "expect" on its rows, kept on the ledger.

In: the project's labelled rows, the goal of the plan or another. Out: the evidence. Registers nothing and needs no
baseline on the ledger: it fits the naive rules again on the same rows. What is computed is `steps.baseline.expect`'s.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from incumbent.loop import promote
from incumbent.project.rows import Rows
from incumbent.records import Evidence, Micros
from incumbent.steps import baseline
from incumbent.steps.baseline import expect as step

if TYPE_CHECKING:
    from incumbent.project.project import Project

SEED = 0


def expect(
    project: "Project",
    rows: Any = None,
    *,
    goal: float | None = None,
    now: Micros | None = None,
    progress: Callable[[float], None] = lambda share: None,
) -> Evidence:
    """See `Project.expect`."""
    now = project.clock() if now is None else now
    known = project.known(rows, now)
    signature = project.signature(known)
    train, held_out = project.gate.split(known)
    most = step.MOST_HELD if project.metric.is_mean else step.MOST_HELD_WHOLE
    some, asked = _some(train, step.MOST_ROWS), _some(held_out, most)
    columns, truth = some.columns(signature), some.truth(signature)
    held, held_truth, blocks = asked.columns(signature), asked.truth(signature), asked.blocks()
    rules = baseline.fit(
        columns, truth, signature, project.metric, project.config.task, held_out=(held, held_truth, blocks), at=now
    )
    best = rules.evidence[0]
    floor = step.Reference(best.subject, *(best.numbers[key] for key in ("value", "lower", "upper")))
    sample = step.Sample(columns, truth, held, held_truth, blocks, len(train))
    evidence = step.expect(
        sample, signature, project.metric, floor, project.config.plan.goal if goal is None else goal,
        _people(project), at=now, progress=progress,
    )  # fmt: skip
    promote.record(project.facts.ledger, evidence, actor=project.actor)
    return evidence


def _some(rows: Rows, most: int) -> Rows:
    """At most `most` rows by pure chance (seeded), in the order of time."""
    if len(rows) <= most:
        return rows
    return rows.at_places(np.sort(np.random.default_rng(SEED).permutation(len(rows))[:most]))


def _people(project: "Project") -> Sequence[step.Reference]:
    """What people reach, where they were measured: the latest evidence of step 1 about them."""
    events = project.facts.ledger.events(types=["EvidenceRecorded"])
    found = {}
    for event in events:
        told = event.data.get("evidence") or {}
        numbers = told.get("numbers", {})
        if told.get("step") == "baseline" and numbers.get("rule") == "people" and numbers.get("value") is not None:
            found[told["subject"]] = step.Reference(
                told["subject"], numbers["value"], numbers.get("lower"), numbers.get("upper")
            )
    return list(found.values())
