"""Project: versions, and the steps that judge them.

In: a folder with incumbent.toml and the user's code. Out: versions, evidence and decisions, all of them on the ledger.
Every judgement is a step's; every move is one of `loop.promote`'s verbs. What runs on live traffic is in `trials`,
what runs on a cadence in `upkeep`.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from incumbent import charts
from incumbent import config as configuration
from incumbent.clock import wall
from incumbent.config import Config
from incumbent.errors import ConfigError, DataError
from incumbent.loop import keep, promote
from incumbent.loop.fold import roles as fold
from incumbent.loop.log import privacy
from incumbent.project.code import Code, open_code
from incumbent.project.lesson import Lesson, native_of
from incumbent.project.reasons import case
from incumbent.project.rows import Rows, read
from incumbent.project.trials import Live
from incumbent.project.upkeep import Upkeep
from incumbent.records import DAY, Evidence, Json, Micros, Roles, Signature, Version
from incumbent.runtimes import artefact, frames, schema
from incumbent.runtimes import signature as signatures
from incumbent.runtimes.base import Columns, Floats, Predictor, checked, n_rows
from incumbent.runtimes.rule import Rule
from incumbent.stats import drift, metrics
from incumbent.stats.latency import LatencySummary
from incumbent.steps import StepResult, baseline, gate, speed
from incumbent.steps.live import why
from incumbent.steps.speed.distil import answers
from incumbent.storage.opening import Facts, open_facts
from incumbent.storage.pictures import Pictures

WEEK: Micros = 7 * DAY


def open_project(folder: str | Path = ".", *, clock: Callable[[], Micros] = wall, actor: str = "python") -> "Project":
    """Open the project in `folder`. `clock` gives the task time; `actor` is who the ledger says acted.

    Raises ConfigError when incumbent.toml or the code file is missing or wrong.
    """
    settings = configuration.load(folder)
    return Project(settings, open_facts(settings), open_code(settings), clock, actor)


def create(folder: str | Path, text: str, *, code: str = "") -> "Project":
    """Write `incumbent.toml` (its text) and, where given, the code file into `folder`, and open it.

    Raises ConfigError when there is a project already, or when the text is not valid; nothing is written then.
    """
    home = Path(folder)
    settings = configuration.parse(text, home)
    if (home / configuration.FILE_NAME).exists():
        raise ConfigError(f"{home / configuration.FILE_NAME} is there already: open it, or choose another folder.")
    home.mkdir(parents=True, exist_ok=True)
    (home / configuration.FILE_NAME).write_text(text, encoding="utf-8")
    if code and settings.task.code:
        (home / settings.task.code).write_text(code, encoding="utf-8")
    return open_project(home)


class Project:
    """One task: its configuration, its facts, its code. Use as a context manager, or call `close`."""

    def __init__(
        self, config: Config, facts: Facts, code: Code | None, clock: Callable[[], Micros] = wall, actor: str = "python"
    ) -> None:
        self.config, self.facts, self.code, self.clock, self.actor = config, facts, code, clock, actor
        self.metric = metrics.get(config.task.metric, config.task.kind)
        self.live = Live(self)
        self.upkeep = Upkeep(self)
        self._opened: dict[str, Predictor] = {}
        self._loaded: tuple[Micros | None, Rows] | None = None  # a refit asks for the same rows several times

    def __enter__(self) -> "Project":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        self.facts.close()

    # --- what there is

    def roles(self) -> Roles:
        """Who holds which place now."""
        return fold(self.facts.ledger.events())

    def version(self, name: str) -> Version:
        """A registered version; UnknownVersion names those that there are."""
        return promote.known(self.roles(), name)

    def predictor(self, name: str) -> Predictor:
        """A version, loaded and proved on its golden rows (kept for the life of this object)."""
        if name not in self._opened:
            version = self.version(name)
            self._opened[name] = artefact.open_version(
                self.facts.blobs, version.manifest, self.config.versions, self._known_manifests()
            )
        return self._opened[name]

    def rows(self, now: Micros | None = None) -> Rows:
        """What `load` gives, without the labels that were not known before `now`."""
        if self.code is None:
            raise ConfigError("task.code is not set: there is no load() to ask for rows. Pass rows, or write one.")
        if self._loaded is None or self._loaded[0] != now:
            self._loaded = (now, self.read(self.code.load(until=now), now))
        return self._loaded[1]

    def read(self, rows: Any, now: Micros | None = None) -> Rows:
        """Rows of this task from any DataFrame."""
        found = rows if isinstance(rows, Rows) else read(rows, self.config)
        return found if now is None else found.between(None, now)

    def predict(self, name: str, columns: Columns) -> Floats:
        """What a version says of these rows, in this process: (n_rows, n_classes) or (n_rows,)."""
        predictor = self.predictor(name)
        return checked(predictor.predict(columns), predictor.signature, n_rows(columns))

    def losses(self, name: str, columns: Columns, truth: np.ndarray[Any, Any]) -> Floats:
        """Row losses of a version, (n_rows,)."""
        return self.row_loss(self.predict(name, columns), truth)

    def row_loss(self, output: Floats, truth: Any) -> Floats:
        """(n_rows,) of the task's metric. ConfigError where it is no mean of row losses (roc_auc, f1)."""
        if self.metric.row_loss is None:
            raise ConfigError(f"{self.metric.name} is no mean of row losses: this needs one that is, e.g. brier")
        return self.metric.row_loss(output, truth)

    # --- versions

    def register(
        self,
        model: Any,
        rows: Any = None,
        *,
        description: str = "",
        recipe: str = "external",
        parent: str | None = None,
        runtime: str | None = None,
        now: Micros | None = None,
    ) -> Version:
        """Store a fitted estimator (a LightGBM Booster, the bytes of an ONNX model, a `Rule`) as the next version.

        `rows` are the rows that it was trained on: they give the signature, the golden rows, the profile and the
        sample on which a compiled twin is proved equal. Raises DataError for rows that cannot be used and
        ArtefactRefused for a model that cannot be stored safely.
        """
        now = self.clock() if now is None else now
        trained = self.rows(now).labelled(now) if rows is None else self.read(rows)
        if not len(trained):
            raise DataError("found no labelled row, expected the rows that the model was trained on")
        signature = model.signature if isinstance(model, Rule) else self.signature(trained)
        roles = self.roles()
        sample = _spread(trained, 4_000)
        columns = sample.columns(signature)
        saved = artefact.save(
            self.facts.blobs,
            model,
            runtime=runtime or artefact.runtime_of(model),
            signature=signature,
            sample=columns,
            versions=self.config.versions,
            profile=_profile(trained.columns(signature), signature),
            schema=schema.of(trained.training_frame()).to_json(),
            facts={"n_rows": len(trained), "since": int(trained.at[0]), "until": int(trained.at[-1]), "recipe": recipe},
        )
        version = Version(
            name=promote.next_version(roles),
            runtime=saved.runtime,
            manifest=saved.manifest,
            signature=signature,
            serves=saved.serves,
            recipe=recipe,
            parent=parent,
            trained_until=int(trained.at[-1]) if self.config.task.time else None,
            n_rows=len(trained),
            description=description,
        )
        promote.register(self.facts.ledger, roles, version, at=now, actor=self.actor, reason=description)
        return version

    def signature(self, rows: Rows) -> Signature:
        """The signature of the incumbent, or what these rows show when there is none yet."""
        roles = self.roles()
        if roles.incumbent:
            return roles.versions[roles.incumbent].signature
        return frames.infer_signature(rows.native(), self.config.task)

    def promote(self, name: str, reason: str, *, evidence: Evidence | None = None, now: Micros | None = None) -> None:
        """Make a version the incumbent; the one before stays loaded behind it."""
        self.predictor(name)
        now = self.clock() if now is None else now
        promote.promote(
            self.facts.ledger, self.roles(), name, at=now, actor=self.actor, reason=reason, evidence=evidence
        )

    def rollback(self, reason: str, *, evidence: Evidence | None = None, now: Micros | None = None) -> None:
        """Take the incumbent back: what was served before it answers again, once it repeated its golden rows."""
        now = self.clock() if now is None else now
        promote.roll_back(
            self.facts.ledger,
            self.roles(),
            lambda version: self._prove(version),
            at=now,
            actor=self.actor,
            reason=reason,
            evidence=evidence,
        )

    # --- what is kept

    def archive(self, *, until: date | None = None, copy: bool = False, now: Micros | None = None) -> keep.Archived:
        """Move the features of the days before `until` (None: as log.archive_days says) to Parquet; `copy` writes the
        rest there too, and moves none of it."""
        now = self.clock() if now is None else now
        return keep.move(
            self.facts, self.roles().versions, self.config, until, copied=copy, now=now, actor=self.actor
        )[0]

    def forget(
        self, *, unit: str | None = None, id: str | None = None, reason: str = "", now: Micros | None = None
    ) -> keep.Forgotten:
        """Erase a unit, as requests name it, or one id, wherever the store holds it."""
        private = privacy(self.config.task.private, self.config.task.unit, self.config.store_path)
        return keep.forget(
            self.facts,
            self.roles().versions,
            self.config,
            unit=unit,
            id=id,
            hashed=private.hashed if private.unit else None,
            at=self.clock() if now is None else now,
            actor=self.actor,
            reason=reason,
        )

    # --- step 1

    def baseline(self, rows: Any = None, *, now: Micros | None = None) -> StepResult:
        """Fit every naive rule that suits the task; register the best, which is the baseline from then on and the
        first incumbent where there is none."""
        now = self.clock() if now is None else now
        known = self.known(rows, now)
        signature = self.signature(known)
        train, held_out = self.split(known)
        task = self.config.task
        found = baseline.fit(
            train.columns(signature),
            train.truth(signature),
            signature,
            self.metric,
            task,
            held_out=(held_out.columns(signature), held_out.truth(signature), held_out.blocks()),
            at=now,
        )
        best = found.proposals[0]
        refit = baseline.fit(
            known.columns(signature),
            known.truth(signature),
            signature,
            self.metric,
            task,
            only=best.description,
            at=now,
        ).proposals[0]
        version = self.register(
            Rule(refit.predictor, signature), known, description=best.description, recipe=best.recipe, now=now
        )
        for evidence in found.evidence:
            promote.record(self.facts.ledger, evidence, actor=self.actor)
        promote.set_baseline(
            self.facts.ledger, self.roles(), version.name, at=now, actor=self.actor, reason=found.evidence[0].sentence
        )
        if self.roles().incumbent is None:
            self.promote(version.name, "the best naive rule", now=now)
        return found

    # --- step 2

    def known(self, rows: Any, now: Micros) -> Rows:
        """Labelled rows: those given, or what `load` gives with the labels known before `now`."""
        return (self.rows(now) if rows is None else self.read(rows)).labelled(now)

    def split(self, rows: Rows, days: int | None = None) -> tuple[Rows, Rows]:
        """Training and held-out rows: the latest rows are held out, and training knows only what was known then."""
        settings = self.config.gate
        train, held_out = gate.split(
            rows.at if self.config.task.time else None,
            rows.known_at,
            share=settings.holdout,
            days=settings.holdout_days if days is None else days,
            zone=self.config.task.timezone or "UTC",
        )
        return rows.where(train), rows.where(held_out)

    def gate(self, name: str, rows: Any = None, *, now: Micros | None = None) -> Evidence:
        """Is a registered version better than the incumbent on the same held-out rows?

        Rows that the version was trained on (`trained_until`) are left out where there is a time. Where none is left,
        its recipe is judged by a fit without them; a version without a recipe is judged on rows that may flatter it,
        and the evidence says so.
        """
        now = self.clock() if now is None else now
        version, roles = self.version(name), self.roles()
        reference = roles.incumbent if roles.incumbent != name else roles.previous
        if reference is None:
            raise DataError("there is no incumbent to compare with: run `incumbent baseline` first.")
        _, held_out = self.split(self.known(rows, now))
        unseen = held_out.between((version.trained_until or -1) + 1, None) if self.config.task.time else held_out
        recipe = version.recipe.split("@")[0]
        judged_by_recipe = self.code is not None and self.code.has(recipe) and reference == roles.incumbent
        if len(unseen) and self.config.task.time:
            output = self.predict(name, unseen.columns(version.signature))
            evidence = self._compare(unseen, output, name, reference, now)
        elif judged_by_recipe:
            evidence = replace(self.judge_recipe(recipe, self.known(rows, now), now), subject=name)
        else:
            output = self.predict(name, held_out.columns(version.signature))
            evidence = self._compare(held_out, output, name, reference, now)
            said = f"{evidence.sentence} Its rows may have been trained on, which flatters {name}."
            evidence = replace(evidence, sentence=said)
        promote.record(self.facts.ledger, evidence, actor=self.actor)
        return evidence

    def train(
        self, recipe: str | None = None, rows: Any = None, *, now: Micros | None = None
    ) -> tuple[Version | None, Evidence]:
        """Gate a recipe on a fit that leaves out the latest rows; on `ship`, register the refit on all rows.

        The version's evidence names the recipe; what did not ship is on the ledger, not among the versions.
        """
        now = self.clock() if now is None else now
        name = recipe or self.config.retrain.recipe
        known = self.known(rows, now)
        evidence = self.judge_recipe(name, known, now)
        promote.record(self.facts.ledger, evidence, actor=self.actor)
        if evidence.verdict != "ship" and self.config.gate.mode == "enforce":
            return None, evidence
        return self.fit(name, known, now=now), evidence

    def fit(
        self, recipe: str | None = None, rows: Any = None, *, description: str = "", now: Micros | None = None
    ) -> Version:
        """Fit a recipe on every labelled row and register the result. Judges nothing."""
        now = self.clock() if now is None else now
        name = recipe or self.config.retrain.recipe
        known = self.known(rows, now)
        said = description or f"{name} on {len(known):,} rows"
        code = self._code()
        return self.register(
            code.fit(name, known.training_frame()),
            known,
            description=said,
            recipe=code.recipe(name),
            parent=self.roles().incumbent,
            now=now,
        )

    def judge_recipe(
        self, recipe: str, known: Rows, now: Micros, *, refresh: bool = False, holdout: Rows | None = None
    ) -> Evidence:
        """The gate's evidence about a recipe: a fit without the held-out rows against the incumbent on them.

        `holdout` replaces the rows that are judged on (the same rows as they were served, for instance).
        """
        incumbent = self.incumbent()
        train, held_out = self.split(known, self.config.retrain.holdout_days if refresh else None)
        signature = self.signature(known)
        frame = train.training_frame()
        sibling = native_of(self._code().fit(recipe, frame), signature, frame)
        judged = held_out if holdout is None else holdout
        output = checked(sibling.predict(judged.columns(signature)), signature, len(judged))
        subject = f"{recipe} without the last {_days(judged)} days" if self.config.task.time else f"{recipe} (held out)"
        against = self._reference(incumbent, train, judged)
        return self._compare(judged, output, subject, incumbent, now, refresh=refresh, against=against)

    def _reference(self, name: str, train: Rows, judged: Rows) -> Floats | None:
        """What a reference says of rows that it was trained on: refitted without them, so that nobody is flattered.

        None where it never saw them (then it answers itself), or where its recipe is gone.
        """
        version = self.version(name)
        recipe = version.recipe.split("@")[0]
        saw = not self.config.task.time or (version.trained_until or -1) >= int(judged.at[0])
        if not saw or self.code is None or not self.code.has(recipe):
            return None
        frame = train.training_frame()
        return native_of(self.code.fit(recipe, frame), version.signature, frame).predict(
            judged.columns(version.signature)
        )

    def _compare(
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
        signature = self.version(reference).signature
        truth, blocks = rows.truth(signature), rows.blocks()
        said = self.predict(reference, rows.columns(signature)) if against is None else against
        if refresh and self.metric.row_loss is not None:
            losses = self.row_loss(said, truth), self.row_loss(output, truth)
            return gate.not_shown_worse(*losses, blocks, self.config.gate, subject, reference, now)
        return gate.judge_outputs(self.metric, truth, said, output, blocks, self.config.gate, subject, reference, now)

    # --- step 4

    def speed(self, name: str | None = None, *, now: Micros | None = None) -> Evidence:
        """Time single rows of a version (default: the incumbent) in the path of an answer: parse, columns, predict,
        check. The budget is `plan.latency_budget_ms`."""
        now = self.clock() if now is None else now
        version = self.version(name or self.incumbent())
        latency = self._time(self.predictor(version.name), self._golden(version))
        evidence = speed.judge(latency, self.config.plan.latency_budget_ms, version.name, now)
        promote.record(self.facts.ledger, evidence, actor=self.actor)
        return evidence

    def compiled(self, name: str) -> str:
        """Whether a version has a compiled twin, and how equal it was proved; or why it has none."""
        found = artefact.manifest(self.facts.blobs, self.version(name).manifest)["compile"]
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
        now = self.clock() if now is None else now
        known = self.known(rows, now)
        train, held_out = self.split(known)
        lesson = Lesson.teach(self._code(), teacher, train, held_out, self.signature(known), folds)
        seen = speed.HeldOut(
            lesson.held_columns, lesson.held_truth, held_out.blocks(),
            baseline=self.predict(str(self.roles().baseline), lesson.held_columns), teacher=lesson.held_teacher,
        )  # fmt: skip
        row = signatures.to_rows({k: v[:50] for k, v in lesson.held_columns.items()}, lesson.signature)
        budget = self.config.plan.latency_budget_ms
        slow = speed.judge(self._time(lesson.teacher, row, few=True), budget, teacher, now)
        result = speed.distil(
            lesson.columns, lesson.truth, lesson.soft, lesson.signature, self.metric, self.config.speed, seen,
            teacher=teacher, baseline=str(self.roles().baseline), at=now, transfer=self._transfer(lesson, now),
            budget_ms=budget if latency_decides else 0.0,
            time_it=lambda student: self._time(self._served(student, lesson), row),
        )  # fmt: skip
        found, proposal = result.evidence[0], result.proposals[0]
        output = answers(proposal.predictor, lesson.held_columns, lesson.signature)
        against = self._reference(self.incumbent(), train, held_out)
        gated = self._compare(held_out, output, f"student of {teacher}", self.incumbent(), now, against=against)
        for evidence in (slow, found, gated):
            promote.record(self.facts.ledger, evidence, actor=self.actor)
        inside = not any(
            check["verdict"] == "hold" and "budget" in check["sentence"] for check in found.numbers["checks"]
        )
        if gated.verdict != "ship" or not inside:
            return None, [slow, found, gated]
        columns, soft = lesson.everything()
        student = speed.student(
            columns, soft, lesson.signature, rounds=proposal.facts["rounds"], leaves=proposal.facts["leaves"]
        )
        version = self.register(
            student, known, description=proposal.description, recipe=f"distil:{self._code().recipe(teacher)}",
            parent=self.incumbent(), now=now,
        )  # fmt: skip
        return version, [slow, found, gated]

    def _time(self, predictor: Predictor, rows: list[dict[str, Json]], *, few: bool = False) -> LatencySummary:
        """Single rows, one after another; a slow teacher (`few`) is timed 300 times, which just bounds its p99."""
        bodies = [msgspec.json.encode(row) for row in rows]

        def one(i: int) -> Floats:
            features = msgspec.json.decode(bodies[i % len(bodies)])
            return checked(predictor.predict(signatures.to_columns([features], predictor.signature)),
                           predictor.signature, 1)  # fmt: skip

        n = min(300, self.config.speed.timings) if few else self.config.speed.timings
        return speed.measure(one, n, time.perf_counter_ns)

    def _served(self, estimator: Any, lesson: Lesson) -> Predictor:
        """The estimator as it would be served: its proved twin, or itself."""
        sample = {name: values[-2_000:] for name, values in lesson.held_columns.items()}
        return artefact.served(native_of(estimator, lesson.signature), sample, self.config.versions)

    def _transfer(self, lesson: Lesson, now: Micros) -> tuple[Columns, Floats] | None:
        """Logged rows since the training rows, with the teacher's answers; None while there is no traffic."""
        logged = self.upkeep.logged(now, labelled=None)
        if logged is None:
            return None
        recent = logged.between(now - 90 * DAY, now)
        columns = recent.columns(lesson.signature)
        return columns, lesson.teacher.predict(columns)

    def _golden(self, version: Version) -> list[dict[str, Json]]:
        stored = artefact.manifest(self.facts.blobs, version.manifest)["golden"]
        rows: list[dict[str, Json]] = msgspec.json.decode(self.facts.blobs.get(stored))["rows"]
        return rows

    # --- why it broke

    def why(self, *, days: int = 14, now: Micros | None = None) -> why.Report:
        """Why are the latest `days` of the log worse than what was before? Checks in order, causes by their share.

        Raises NotEnoughData when the log holds no labelled rows on one of the two sides.
        """
        now = self.clock() if now is None else now
        return why.why(case(self, days, now), now)

    # --- pictures

    def draw(self, *, now: Micros | None = None) -> None:
        """Draw the dashboard's pictures and keep them in the store, where the pages find them."""
        now = self.clock() if now is None else now
        totals = self.facts.log.totals()
        weeks = []
        if totals.first_at is not None and totals.last_at is not None:
            weeks = self.facts.log.period_sums(WEEK, totals.first_at, totals.last_at + 1, now)
        drawn = charts.dashboard(self.config, self.facts.ledger.events(), weeks)
        Pictures(self.config.store_path, self.facts.blobs).put_all(drawn, now)

    # --- inside

    def incumbent(self) -> str:
        name = self.roles().incumbent
        if name is None:
            raise DataError("there is no incumbent yet: run `incumbent baseline` first.")
        return name

    def _code(self) -> Code:
        if self.code is None:
            raise ConfigError("task.code is not set: there is no train() to call. Write one, and name its file.")
        return self.code

    def _prove(self, version: Version) -> None:
        self._opened.pop(version.name, None)
        self.predictor(version.name)

    def _known_manifests(self) -> list[str]:
        """What our own ledger vouches for: only these may bring a pickle, and only where versions.pickle is set."""
        return [version.manifest for version in self.roles().versions.values()]


def _days(rows: Rows) -> int:
    return 1 + (int(rows.at[-1]) - int(rows.at[0])) // DAY


def _spread(rows: Rows, most: int) -> Rows:
    """At most `most` rows, evenly over all of them."""
    if len(rows) <= most:
        return rows
    mask = np.zeros(len(rows), dtype=np.bool_)
    mask[np.linspace(0, len(rows) - 1, most).astype(int)] = True
    return rows.where(mask)


def _profile(columns: Columns, signature: Signature) -> dict[str, Json]:
    """The counts of each column of the training rows, for drift and for `why`; number arrays have none."""
    texts = {column.name for column in signature.columns if column.type == "string"}
    return {
        name: drift.profile(name, values, kind="category" if name in texts else "numeric").to_dict()
        for name, values in columns.items()
        if values.ndim == 1
    }
