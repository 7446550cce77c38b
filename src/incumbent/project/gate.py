"""Step 2 for a project: which rows are held out, and is a version or a recipe better than the incumbent on them?

In: the project's labelled rows, a registered version or the name of a recipe. Out: the gate's evidence, kept on the
ledger. What the rules say is `steps.gate`'s.
"""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from incumbent.errors import DataError
from incumbent.loop import promote
from incumbent.project.lesson import native_of
from incumbent.project.rows import Rows
from incumbent.records import DAY, Evidence, Micros, Version
from incumbent.runtimes.base import Floats, checked
from incumbent.steps import gate as step

if TYPE_CHECKING:
    from incumbent.project.project import Project


class Gate:
    """`project.gate("v7")`: is it better than the incumbent on the same held-out rows?"""

    def __init__(self, project: "Project") -> None:
        self.project = project

    def __call__(
        self, name: str, rows: Any = None, *, against: str | None = None, now: Micros | None = None
    ) -> Evidence:
        """Is a registered version better than the incumbent on the same held-out rows?

        Rows that the version was trained on (`trained_until`) are left out where there is a time. Where none is left,
        its recipe is judged by a fit without them; a version without a recipe is judged on rows that may flatter it,
        and the evidence says so. `against` names measured people (a version or a study) to compare with on their rows.
        """
        project = self.project
        if against is not None:
            return project.people.gate(name, against, now=now)
        now = project.clock() if now is None else now
        version, roles = project.version(name), project.roles()
        reference = roles.incumbent if roles.incumbent != name else roles.previous
        if reference is None:
            raise DataError("there is no incumbent to compare with: run `incumbent baseline` first.")
        _, held_out = self.split(project.known(rows, now))
        unseen = held_out.between((version.trained_until or -1) + 1, None) if project.config.task.time else held_out
        recipe = version.recipe.split("@")[0]
        judged_by_recipe = project.code is not None and project.code.has(recipe) and reference == roles.incumbent
        if len(unseen) and project.config.task.time:
            output = project.predict(name, unseen.columns(version.signature))
            evidence = self.compare(unseen, output, name, reference, now)
        elif judged_by_recipe:
            evidence = replace(self.recipe(recipe, project.known(rows, now), now), subject=name)
        else:
            output = project.predict(name, held_out.columns(version.signature))
            evidence = self.compare(held_out, output, name, reference, now)
            said = f"{evidence.sentence} Its rows may have been trained on, which flatters {name}."
            evidence = replace(evidence, sentence=said)
        promote.record(project.facts.ledger, evidence, actor=project.actor)
        return evidence

    def split(self, rows: Rows, days: int | None = None) -> tuple[Rows, Rows]:
        """Training and held-out rows: the latest rows are held out, and training knows only what was known then."""
        project = self.project
        settings = project.config.gate
        train, held_out = step.split(
            rows.at if project.config.task.time else None,
            rows.known_at,
            share=settings.holdout,
            days=settings.holdout_days if days is None else days,
            zone=project.config.task.timezone or "UTC",
        )
        return rows.where(train), rows.where(held_out)

    def train(
        self, recipe: str | None = None, rows: Any = None, *, now: Micros | None = None
    ) -> tuple[Version | None, Evidence]:
        """Gate a recipe on a fit that leaves out the latest rows; on `ship`, register the refit on all rows.

        The version's evidence names the recipe; what did not ship is on the ledger, not among the versions.
        """
        project = self.project
        now = project.clock() if now is None else now
        name = recipe or project.config.retrain.recipe
        known = project.known(rows, now)
        evidence = self.recipe(name, known, now)
        promote.record(project.facts.ledger, evidence, actor=project.actor)
        if evidence.verdict != "ship" and project.config.gate.mode == "enforce":
            return None, evidence
        return project.fit(name, known, now=now), evidence

    def recipe(
        self, recipe: str, known: Rows, now: Micros, *, refresh: bool = False, holdout: Rows | None = None
    ) -> Evidence:
        """The gate's evidence about a recipe: a fit without the held-out rows against the incumbent on them.

        `holdout` replaces the rows that are judged on (the same rows as they were served, for instance).
        """
        project = self.project
        incumbent = project.incumbent()
        train, held_out = self.split(known, project.config.retrain.holdout_days if refresh else None)
        signature = project.signature(known)
        frame = train.training_frame()
        sibling = native_of(project.written().fit(recipe, frame), signature, frame)
        judged = held_out if holdout is None else holdout
        output = checked(sibling.predict(judged.columns(signature)), signature, len(judged))
        left_out = f"without the last {_days(judged)} days" if project.config.task.time else "(held out)"
        against = self.reference(incumbent, train, judged)
        return self.compare(
            judged, output, f"{recipe} {left_out}", incumbent, now, refresh=refresh, against=against
        )

    def reference(self, name: str, train: Rows, judged: Rows) -> Floats | None:
        """What a reference says of rows that it was trained on: refitted without them, so that nobody is flattered.

        None where it never saw them (then it answers itself), or where its recipe is gone.
        """
        project = self.project
        version = project.version(name)
        recipe = version.recipe.split("@")[0]
        saw = not project.config.task.time or (version.trained_until or -1) >= int(judged.at[0])
        if not saw or project.code is None or not project.code.has(recipe):
            return None
        frame = train.training_frame()
        return native_of(project.code.fit(recipe, frame), version.signature, frame).predict(
            judged.columns(version.signature)
        )

    def compare(
        self,
        rows: Rows,
        output: Floats,
        subject: str,
        reference: str,
        now: Micros,
        *,
        refresh: bool = False,
        against: Floats | None = None,
    ) -> Evidence:
        """The gate's evidence: `output` against what the reference says of the same rows (`against` where given)."""
        project = self.project
        signature = project.version(reference).signature
        truth, blocks = rows.truth(signature), rows.blocks()
        said = project.predict(reference, rows.columns(signature)) if against is None else against
        if refresh and project.metric.row_loss is not None:
            losses = project.row_loss(said, truth), project.row_loss(output, truth)
            return step.not_shown_worse(*losses, blocks, project.config.gate, subject, reference, now)
        settings = project.config.gate
        return step.judge_outputs(project.metric, truth, said, output, blocks, settings, subject, reference, now)


def _days(rows: Rows) -> int:
    return 1 + (int(rows.at[-1]) - int(rows.at[0])) // DAY
