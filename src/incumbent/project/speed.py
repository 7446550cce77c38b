"""Step 4 for a project: time a version in the path of an answer, and distil a teacher that is too slow.

In: a registered version, or the recipe of a teacher. Out: evidence, kept on the ledger, and the student where it is
good enough. What is measured and taught is `steps.speed`'s.
"""

import time
from typing import TYPE_CHECKING, Any

import msgspec

from incumbent.loop import promote
from incumbent.project.lesson import Lesson, native_of
from incumbent.records import DAY, Evidence, Json, Micros, Version
from incumbent.runtimes import artefact
from incumbent.runtimes import signature as signatures
from incumbent.runtimes.base import Columns, Floats, Predictor, checked
from incumbent.stats.latency import LatencySummary
from incumbent.steps import speed as step
from incumbent.steps.speed.distil import answers

if TYPE_CHECKING:
    from incumbent.project.project import Project


class Speed:
    """`project.speed()`: does it answer inside its budget? `project.distil(teacher)`: make one that does."""

    def __init__(self, project: "Project") -> None:
        self.project = project

    def __call__(self, name: str | None = None, *, now: Micros | None = None) -> Evidence:
        """Time single rows of a version (default: the incumbent) in the path of an answer: parse, columns, predict,
        check. The budget is `plan.latency_budget_ms`."""
        project = self.project
        now = project.clock() if now is None else now
        version = project.version(name or project.incumbent())
        golden = artefact.golden_rows(project.facts.blobs, version.manifest)
        latency = self.timed(project.predictor(version.name), golden)
        evidence = step.judge(latency, project.config.plan.latency_budget_ms, version.name, now)
        promote.record(project.facts.ledger, evidence, actor=project.actor)
        return evidence

    def compiled(self, name: str) -> str:
        """Whether a version has a compiled twin, and how equal it was proved; or why it has none."""
        project = self.project
        found = artefact.manifest(project.facts.blobs, project.version(name).manifest)["compile"]
        if found.get("made"):
            kind = {"twin.linear.json": "linear", "twin.lightgbm.json": "LightGBM"}.get(found.get("part"), "ONNX")
            within = f"{found['max_difference']:.1g}"
            return f"{name} is served by its {kind} twin, equal to within {within} on its own rows."
        return f"{name} is served as it was fitted: {found.get('reason') or 'rules need no twin'}."

    def distil(
        self,
        teacher: str,
        rows: Any = None,
        *,
        now: Micros | None = None,
        folds: int = 3,
        latency_decides: bool = True,
    ) -> tuple[Version | None, list[Evidence]]:
        """Distil the recipe `teacher` to a student that answers inside the budget; register it when it is good enough.

        Evidence, in this order: the teacher's latency, the student against the teacher (does it keep the gain?), and
        the student against the incumbent on the same held-out rows (the gate). The student is registered when the
        gate ships it, inside its budget; soft targets come from `folds` fits of the teacher on other stretches of
        time, the logged traffic, where there is any, is the transfer set. `latency_decides` False (a rehearsal): the
        student's timings are reported and decide nothing, so that decisions repeat on any machine.
        """
        project = self.project
        now = project.clock() if now is None else now
        known = project.known(rows, now)
        train, held_out = project.gate.split(known)
        lesson = Lesson.teach(project.written(), teacher, train, held_out, project.signature(known), folds)
        seen = step.HeldOut(
            lesson.held_columns, lesson.held_truth, held_out.blocks(),
            baseline=project.predict(str(project.roles().baseline), lesson.held_columns), teacher=lesson.held_teacher,
        )  # fmt: skip
        row = signatures.to_rows({k: v[:50] for k, v in lesson.held_columns.items()}, lesson.signature)
        budget = project.config.plan.latency_budget_ms
        slow = step.judge(self.timed(lesson.teacher, row, few=True), budget, teacher, now)
        result = step.distil(
            lesson.columns, lesson.truth, lesson.soft, lesson.signature, project.metric, project.config.speed, seen,
            teacher=teacher, baseline=str(project.roles().baseline), at=now, transfer=self._transfer(lesson, now),
            budget_ms=budget if latency_decides else 0.0,
            time_it=lambda student: self.timed(self._served(student, lesson), row),
        )  # fmt: skip
        found, proposal = result.evidence[0], result.proposals[0]
        output = answers(proposal.predictor, lesson.held_columns, lesson.signature)
        against = project.gate.reference(project.incumbent(), train, held_out)
        subject = f"student of {teacher}"
        gated = project.gate.compare(held_out, output, subject, project.incumbent(), now, against=against)
        for evidence in (slow, found, gated):
            promote.record(project.facts.ledger, evidence, actor=project.actor)
        inside = not any(
            check["verdict"] == "hold" and "budget" in check["sentence"] for check in found.numbers["checks"]
        )
        if gated.verdict != "ship" or not inside:
            return None, [slow, found, gated]
        columns, soft = lesson.everything()
        student = step.student(
            columns, soft, lesson.signature, rounds=proposal.facts["rounds"], leaves=proposal.facts["leaves"]
        )
        version = project.register(
            student, known, description=proposal.description, recipe=f"distil:{project.written().recipe(teacher)}",
            parent=project.incumbent(), now=now,
        )  # fmt: skip
        return version, [slow, found, gated]

    def timed(self, predictor: Predictor, rows: list[dict[str, Json]], *, few: bool = False) -> LatencySummary:
        """Single rows, one after another; a slow teacher (`few`) is timed 300 times, which just bounds its p99."""
        project = self.project
        bodies = [msgspec.json.encode(row) for row in rows]

        def one(i: int) -> Floats:
            features = msgspec.json.decode(bodies[i % len(bodies)])
            return checked(predictor.predict(signatures.to_columns([features], predictor.signature)),
                           predictor.signature, 1)  # fmt: skip

        n = min(300, project.config.speed.timings) if few else project.config.speed.timings
        return step.measure(one, n, time.perf_counter_ns)

    def _served(self, estimator: Any, lesson: Lesson) -> Predictor:
        """The estimator as it would be served: its proved twin, or itself."""
        project = self.project
        sample = {name: values[-2_000:] for name, values in lesson.held_columns.items()}
        return artefact.served(native_of(estimator, lesson.signature), sample, project.config.versions)

    def _transfer(self, lesson: Lesson, now: Micros) -> tuple[Columns, Floats] | None:
        """Logged rows since the training rows, with the teacher's answers; None while there is no traffic."""
        project = self.project
        logged = project.upkeep.logged(now, labelled=None)
        if logged is None:
            return None
        recent = logged.between(now - 90 * DAY, now)
        columns = recent.columns(lesson.signature)
        return columns, lesson.teacher.predict(columns)
