"""Step 1 for a project: fit what must be beaten, register it, and put it where it stays.

In: the project's labelled rows. Out: the step's evidence, kept on the ledger, and the best naive rule as the baseline.
The rules and their scores are `steps.baseline`'s.
"""

from typing import TYPE_CHECKING, Any

from incumbent.loop import promote
from incumbent.records import Micros
from incumbent.runtimes.rule import Rule
from incumbent.steps import StepResult
from incumbent.steps import baseline as step

if TYPE_CHECKING:
    from incumbent.project.project import Project


class Baseline:
    """`project.baseline()`: what must be beaten."""

    def __init__(self, project: "Project") -> None:
        self.project = project

    def __call__(self, rows: Any = None, *, now: Micros | None = None) -> StepResult:
        """Fit every naive rule that suits the task; register the best, which is the baseline from then on and the
        first incumbent where there is none."""
        project = self.project
        now = project.clock() if now is None else now
        known = project.known(rows, now)
        signature = project.signature(known)
        train, held_out = project.gate.split(known)
        task = project.config.task
        found = step.fit(
            train.columns(signature),
            train.truth(signature),
            signature,
            project.metric,
            task,
            held_out=(held_out.columns(signature), held_out.truth(signature), held_out.blocks()),
            at=now,
        )
        best = found.proposals[0]
        refit = step.fit(
            known.columns(signature),
            known.truth(signature),
            signature,
            project.metric,
            task,
            only=best.description,
            at=now,
        ).proposals[0]
        version = project.register(
            Rule(refit.predictor, signature), known, description=best.description, recipe=best.recipe, now=now
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
