"""Step 2 for a project: which rows are held out, and is a version or a recipe better than the incumbent on them?

In: the project's labelled rows, a registered version or the name of a recipe. Out: the gate's evidence, kept on the
ledger. What the rules say is `steps.gate`'s.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from incumbent.errors import DataError, DecisionRefused, MissingExtra, PredictError, StoreDamaged, VersionError
from incumbent.loop import held, promote
from incumbent.project import asking, planning
from incumbent.project import holdout as asked
from incumbent.project.lesson import native_of
from incumbent.project.rows import Rows
from incumbent.records import DAY, Event, Evidence, Micros, Version
from incumbent.runtimes import artefact
from incumbent.runtimes import signature as signatures
from incumbent.runtimes.base import Floats, checked
from incumbent.stats import metrics
from incumbent.stats.latency import LatencySummary
from incumbent.steps import gate as step

if TYPE_CHECKING:
    from incumbent.project.project import Project

Heard = tuple[Floats, asking.Asked | None]
_LONGEST_ERROR = 200
_NOT_LOADED = (VersionError, StoreDamaged, PredictError, MissingExtra, DataError)


@dataclass(frozen=True, slots=True)
class Against:
    """Who is to be beaten, what is to be said where that is not the incumbent, and what it said of the rows where it
    had to be asked over a network."""

    name: str
    note: str = ""
    instead_of: str | None = None
    heard: Heard | None = None

    def told(self, evidence: Evidence) -> Evidence:
        """The evidence, saying that the baseline stood in for the incumbent."""
        if self.instead_of is None:
            return evidence
        numbers = {**evidence.numbers, "instead_of": self.instead_of}
        return replace(evidence, sentence=f"{evidence.sentence} {self.note}", numbers=numbers)


class Gate:
    """`project.gate("v7")`: is it better than the incumbent on the same held-out rows?"""

    def __init__(self, project: "Project") -> None:
        self.project = project
        for rule in project.config.gate.rule:
            metrics.get(rule.metric, project.config.task.kind)

    def __call__(
        self, name: str, rows: Any = None, *, against: str | None = None, now: Micros | None = None
    ) -> Evidence:
        """Is a registered version better than the incumbent on the same held-out rows?

        Rows that the version was trained on (`trained_until`) are left out where there is a time. Where none is left,
        its recipe is judged by a fit without them; a version without a recipe is judged on rows that may flatter it,
        and the evidence says so. Where the incumbent does not load any more, the baseline stands in for it. `against`
        names measured people (a version or a study) to compare with instead, on the rows of their study.
        """
        project = self.project
        if against is not None:
            return project.people.gate(name, against, now=now)
        now = project.clock() if now is None else now
        evidence = self._judged(name, rows, now) if project.config.gate.mode != "off" else self._off(name, now)
        promote.record(project.facts.ledger, evidence, actor=project.actor)
        return evidence

    def _judged(self, name: str, rows: Any, now: Micros) -> Evidence:
        project = self.project
        version, roles = project.version(name), project.roles()
        _, held_out = self.split(project.known(rows, now))
        unseen = held_out.between((version.trained_until or -1) + 1, None) if project.config.task.time else held_out
        judged = unseen if len(unseen) and project.config.task.time else held_out
        judged = asking.bounded(project, judged, [*self._wanted(name), name])
        against = self.against(name, judged, now)
        recipe = version.recipe.split("@")[0]
        judged_by_recipe = project.code is not None and project.code.has(recipe) and against.name == roles.incumbent
        if not (len(unseen) and project.config.task.time) and judged_by_recipe:
            return replace(self.recipe(recipe, project.known(rows, now), now), subject=name)
        output, answered = asking.of(project, name, judged.columns(version.signature), now)
        latency = self._timed(lambda: project.speed.timed(project.predictor(name), self._golden(version)))
        evidence = against.told(
            self.compare(judged, output, name, against.name, now, latency=latency, heard=against.heard)
        )
        evidence = evidence if answered is None else answered.told(evidence)
        if len(unseen) and project.config.task.time:
            return evidence
        said = f"{evidence.sentence} Its rows may have been trained on, which flatters {name}."
        return replace(evidence, sentence=said)

    def against(self, name: str | None = None, rows: Rows | None = None, now: Micros | None = None) -> Against:
        """Who is to be beaten: the incumbent (the one before, where `name` is it), or the baseline where that does not
        load or does not repeat its golden rows any more, or is behind an address and says nothing of `rows`."""
        project, roles = self.project, self.project.roles()
        if not (wanteds := self._wanted(name)):
            raise DataError("there is no incumbent to compare with: run `incumbent baseline` first.")
        wanted = wanteds[0]
        try:
            project.predictor(wanted)
            return Against(wanted, heard=self._heard(wanted, rows, project.clock() if now is None else now))
        except _NOT_LOADED as error:
            if roles.baseline is None or roles.baseline in (wanted, name):
                raise
            project.predictor(roles.baseline)
            text = " ".join(str(error).split())[:_LONGEST_ERROR]
            note = (
                f"{wanted}, the incumbent, {_failing(error)}, so {roles.baseline}, the baseline, was what had to be "
                f"beaten ({type(error).__name__}: {text.rstrip('.')})."
            )
            return Against(roles.baseline, note, wanted)

    def _wanted(self, name: str | None) -> list[str]:
        """The name of who is to be beaten; none where there is nobody."""
        roles = self.project.roles()
        wanted = roles.incumbent if roles.incumbent != name else roles.previous or roles.baseline
        return [wanted] if wanted is not None and wanted != name else []

    def _heard(self, name: str, rows: Rows | None, now: Micros) -> Heard | None:
        """What a version behind an address says of these rows. Raises DataError where it says nothing."""
        version = self.project.version(name)
        if rows is None or not len(rows) or not asking.is_remote(version):
            return None
        return asking.of(self.project, name, rows.columns(version.signature), now)

    def override(self, name: str, reason: str, *, now: Micros | None = None) -> Event:
        """Say on the ledger that the gate's last verdict about a version is not followed, and why. Promotes nothing.

        DecisionRefused without a reason, or where no verdict stands against the version.
        """
        project = self.project
        now = project.clock() if now is None else now
        project.version(name)
        verdict = held.verdict(project.facts.ledger.events(), name)
        if verdict is None:
            raise DecisionRefused(
                f"found no verdict of the gate against {name}, so there is nothing to override: "
                f"`incumbent gate {name}` asks for one."
            )
        return held.override(project.facts.ledger, verdict, at=now, actor=project.actor, reason=reason)

    def plan(self, rows: Any = None, *, now: Micros | None = None) -> list[step.Plan]:
        """What the held-out rows could show of a candidate at all: see `planning.plan`."""
        return planning.plan(self.project, rows, self.project.clock() if now is None else now)

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

        `holdout` replaces the rows that are judged on (the same rows as they were served, for instance). A `refresh`
        is judged whatever `gate.mode` says: it goes live without a trial.
        """
        project = self.project
        if project.config.gate.mode == "off" and not refresh:
            return self._off(recipe, now)
        train, held_out = self.split(known, project.config.retrain.holdout_days if refresh else None)
        judged = asking.bounded(project, held_out if holdout is None else holdout, self._wanted(None))
        against = self.against(None, judged, now)
        signature = project.signature(known)
        frame = train.training_frame()
        sibling = native_of(project.written().fit(recipe, frame), signature, frame)
        columns = judged.columns(signature)
        output = checked(sibling.predict(columns), signature, len(judged))
        left_out = f"without the last {_days(judged)} days" if project.config.task.time else "(held out)"
        refitted = self.reference(against.name, train, judged)
        sample = {name: values[-2_000:] for name, values in columns.items()}
        latency = self._timed(
            lambda: project.speed.timed(
                artefact.served(sibling, sample, project.config.versions),
                signatures.to_rows({name: values[:50] for name, values in columns.items()}, signature),
            )
        )
        return against.told(
            self.compare(
                judged, output, f"{recipe} {left_out}", against.name, now, refresh=refresh, against=refitted,
                latency=latency, heard=against.heard,
            )
        )  # fmt: skip

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
        latency: LatencySummary | None = None,
        heard: Heard | None = None,
    ) -> Evidence:
        """The gate's evidence: `output` against what the reference says of the same rows (`against`, or what was
        `heard` of it, where given).

        Every rule of `[gate]` is asked; the latency only where an answer was timed for it.
        """
        project = self.project
        settings, signature = project.config.gate, project.version(reference).signature
        truth, blocks = rows.truth(signature), rows.blocks()
        told: asking.Asked | None = None
        if against is None:
            against, told = heard or asking.of(project, reference, rows.columns(signature), now)
        looks = asked.looks(project.facts.ledger.events(types=["GateDecided"]), rows, truth, output)
        if refresh and project.metric.row_loss is not None:
            losses = project.row_loss(against, truth), project.row_loss(output, truth)
            found = step.not_shown_worse(*losses, blocks, settings, subject, reference, now, looks=looks)
            return found if told is None else told.told(found)
        found = step.judge_outputs(
            project.metric, truth, against, output, blocks, settings, subject, reference, now, looks=looks,
            columns=asked.labels(rows, settings), latency=latency,
            budget_ms=settings.latency_p99_ms if latency is not None else 0.0,
        )  # fmt: skip
        return found if told is None else told.told(found)

    def _off(self, subject: str, now: Micros) -> Evidence:
        project = self.project
        return step.unjudged(subject, project.roles().incumbent, project.config.gate, now)

    def _golden(self, version: Version) -> list[dict[str, Any]]:
        return artefact.golden_rows(self.project.facts.blobs, version.manifest)

    def _timed(self, time: Callable[[], LatencySummary]) -> LatencySummary | None:
        """The timing that a budget of the gate asks for; None without one, and in a rehearsal: it must repeat."""
        project = self.project
        return time() if project.config.gate.latency_p99_ms > 0.0 and project.timings_decide else None


def _failing(error: Exception) -> str:
    return "does not answer" if isinstance(error, DataError) else "does not load here"


def _days(rows: Rows) -> int:
    return 1 + (int(rows.at[-1]) - int(rows.at[0])) // DAY
