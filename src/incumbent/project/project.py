"""Project: versions, and the steps that judge them.

In: a folder with incumbent.toml and the user's code. Out: versions, evidence and decisions, all of them on the ledger.
Every judgement is a step's; every move is one of `loop.promote`'s verbs. What runs on live traffic is in `trials`,
what runs on a cadence in `upkeep`.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from incumbent import config as configuration
from incumbent.clock import wall
from incumbent.config import Config
from incumbent.errors import ConfigError, DataError, NotEnoughData
from incumbent.loop import promote
from incumbent.loop.fold import roles as fold
from incumbent.project.code import Code, open_code
from incumbent.project.rows import Rows, read
from incumbent.project.trials import Live
from incumbent.project.upkeep import Upkeep
from incumbent.records import DAY, Evidence, Json, Micros, Roles, Signature, Version
from incumbent.runtimes import artefact, frames
from incumbent.runtimes.base import Columns, Floats, Predictor, checked, n_rows
from incumbent.runtimes.rule import Rule
from incumbent.stats import drift, metrics
from incumbent.steps import Proposal, StepResult, baseline, gate, speed
from incumbent.storage.opening import Facts, open_facts


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
                self.facts.blobs, version.manifest, self.config.versions, self._known_pickles()
            )
        return self._opened[name]

    def rows(self, now: Micros | None = None) -> Rows:
        """What `load` gives, without the labels that were not known before `now`."""
        if self.code is None:
            raise ConfigError("task.code is not set: there is no load() to ask for rows. Pass rows, or write one.")
        return self.read(self.code.load(until=now), now)

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
        return self.metric.row_loss(self.predict(name, columns), truth)

    # --- versions

    def register(
        self,
        model: Any,
        rows: Any = None,
        *,
        description: str = "",
        recipe: str = "external",
        parent: str | None = None,
        runtime: str = "sklearn",
        now: Micros | None = None,
    ) -> Version:
        """Store a fitted estimator (or a `Rule`) as the next version.

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
            runtime="rule" if isinstance(model, Rule) else runtime,
            signature=signature,
            sample=columns,
            versions=self.config.versions,
            profile=_profile(trained.columns(signature), signature),
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
            self.facts.ledger, self.roles(), lambda version: self._prove(version), at=now, actor=self.actor,
            reason=reason, evidence=evidence,
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
            train.columns(signature), train.truth(signature), signature, self.metric, task,
            held_out=(held_out.columns(signature), held_out.truth(signature), held_out.blocks()), at=now,
        )
        best = found.proposals[0]
        refit = baseline.fit(
            known.columns(signature), known.truth(signature), signature, self.metric, task, only=best.description,
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
            self.promote(version.name, "the first incumbent: the best naive rule", now=now)
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

        Rows that the version was trained on (`trained_until`) are left out where there is a time; without one the
        verdict may flatter it, and the evidence says so.
        """
        now = self.clock() if now is None else now
        version, roles = self.version(name), self.roles()
        reference = roles.incumbent if roles.incumbent != name else roles.previous
        if reference is None:
            raise DataError("there is no incumbent to compare with: run `incumbent baseline` first.")
        _, held_out = self.split(self.known(rows, now))
        unseen = held_out.between((version.trained_until or -1) + 1, None) if self.config.task.time else held_out
        if len(unseen):
            held_out = unseen
        evidence = self._compare(held_out, self.predict(name, held_out.columns(version.signature)), name, reference, now)
        if not len(unseen) or not self.config.task.time:
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
            code.fit(name, known.training_frame()), known, description=said, recipe=code.recipe(name),
            parent=self.roles().incumbent, now=now,
        )

    def judge_recipe(
        self, recipe: str, known: Rows, now: Micros, *, refresh: bool = False, holdout: Rows | None = None
    ) -> Evidence:
        """The gate's evidence about a recipe: a fit without the held-out rows against the incumbent on them.

        `holdout` replaces the rows that are judged on (the same rows as they were served, for instance).
        """
        roles = self.roles()
        if roles.incumbent is None:
            raise DataError("there is no incumbent to compare with: run `incumbent baseline` first.")
        train, held_out = self.split(known, self.config.retrain.holdout_days if refresh else None)
        signature = self.signature(known)
        sibling = Native(self._code().fit(recipe, train.training_frame()), signature, train)
        judged = held_out if holdout is None else holdout
        output = checked(sibling.predict(judged.columns(signature)), signature, len(judged))
        subject = f"{recipe} without the last {_days(judged)} days" if self.config.task.time else f"{recipe} (held out)"
        return self._compare(judged, output, subject, roles.incumbent, now, refresh=refresh)

    def _compare(
        self, rows: Rows, output: Floats, subject: str, reference: str, now: Micros, *, refresh: bool = False
    ) -> Evidence:
        signature = self.version(reference).signature
        truth = rows.truth(signature)
        columns, blocks = rows.columns(signature), rows.blocks()
        if refresh and self.metric.row_loss is not None:
            losses = self.losses(reference, columns, truth), self.metric.row_loss(output, truth)
            return gate.not_shown_worse(*losses, blocks, self.config.gate, subject, reference, now)
        return gate.judge_outputs(
            self.metric, truth, self.predict(reference, columns), output, blocks, self.config.gate, subject, reference,
            now,
        )

    # --- inside

    def _code(self) -> Code:
        if self.code is None:
            raise ConfigError("task.code is not set: there is no train() to call. Write one, and name its file.")
        return self.code

    def _prove(self, version: Version) -> None:
        self._opened.pop(version.name, None)
        self.predictor(version.name)

    def _known_pickles(self) -> list[str]:
        return [version.manifest for version in self.roles().versions.values()]


def _days(rows: Rows) -> int:
    return max(1, round((int(rows.at[-1]) - int(rows.at[0])) / DAY))


def _spread(rows: Rows, most: int) -> Rows:
    """At most `most` rows, evenly over all of them."""
    if len(rows) <= most:
        return rows
    mask = np.zeros(len(rows), dtype=np.bool_)
    mask[np.linspace(0, len(rows) - 1, most).astype(int)] = True
    return rows.where(mask)


def _profile(columns: Columns, signature: Signature) -> dict[str, Json]:
    """The counts of each column of the training rows, for drift and for `why`."""
    texts = {column.name for column in signature.columns if column.type == "string"}
    return {
        name: drift.profile(name, values, kind="category" if name in texts else "numeric").to_dict()
        for name, values in columns.items()
    }
