"""Project: versions, and the steps that judge them.

In: a folder with incumbent.toml and the user's code. Out: versions, evidence and decisions, all of them on the ledger.
Every judgement is a step's; every move is one of `loop.promote`'s verbs. The five steps are rooms of their own:
`baseline` (and `people`), `gate`, `trials`, `speed`, `upkeep`.
"""

from collections.abc import Callable
from datetime import date
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from incumbent import charts, drawing
from incumbent import config as configuration
from incumbent.clock import wall
from incumbent.config import Config
from incumbent.engines.contained import Contained, open_predictor
from incumbent.errors import ConfigError, DataError, IncumbentError
from incumbent.loop import erase, held, keep, promote
from incumbent.loop.fold import roles as fold
from incumbent.loop.log import privacy
from incumbent.project import asking, segmenting
from incumbent.project.baseline import Baseline
from incumbent.project.bringing import bring, export
from incumbent.project.code import Code, open_code
from incumbent.project.expect import expect
from incumbent.project.gate import Gate
from incumbent.project.people import People
from incumbent.project.reasons import case
from incumbent.project.registering import register
from incumbent.project.rows import Rows, read
from incumbent.project.speed import Speed
from incumbent.project.trials import Live
from incumbent.project.upkeep import Upkeep
from incumbent.records import DAY, Evidence, Micros, Roles, Signature, Version
from incumbent.runtimes import frames
from incumbent.runtimes.artefact import GoldenGap
from incumbent.runtimes.base import Columns, Floats, Predictor, checked, n_rows
from incumbent.stats import metrics
from incumbent.steps.live import why
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
        self.baseline = Baseline(self)
        self.people = People(self)
        self.gate = Gate(self)
        self.live = Live(self)
        self.speed = Speed(self)
        self.upkeep = Upkeep(self)
        self.timings_decide = True  # not in a rehearsal, whose decisions must repeat on any machine
        self._opened: dict[str, Predictor] = {}
        self._loaded: tuple[Micros | None, Rows] | None = None  # a refit asks for the same rows several times

    def __enter__(self) -> "Project":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        for predictor in self._opened.values():
            if isinstance(predictor, Contained):
                predictor.close()
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
            self._opened[name] = open_predictor(self.config, self.version(name).manifest)
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
        trust: bool = False,
        now: Micros | None = None,
    ) -> Version:
        """Store a fitted model (an estimator, a Booster, a torch.nn.Module, the bytes of an ONNX model, a `Rule`) as
        the next version; or what lies at a path (`bringing.bring`), where `trust` is your word for what can run code.

        `rows` are the rows that it was trained on: they give the signature, the golden rows, the profile and the
        sample on which a compiled twin is proved equal. Raises DataError for rows that cannot be used and
        ArtefactRefused for a model that cannot be stored safely.
        """
        if isinstance(model, str | PathLike):
            return bring(
                self, Path(model), rows, trust=trust, description=description, recipe=recipe, parent=parent, now=now
            )
        return register(
            self, model, rows, description=description, recipe=recipe, parent=parent, runtime=runtime, now=now
        )

    def export(self, name: str, folder: str | Path, form: str = "folder") -> Path:
        """Write a version into a new folder, to register it elsewhere: plain files, or an MLflow model (`mlflow`)."""
        return export(self, name, Path(folder), form)

    def train(
        self, recipe: str | None = None, rows: Any = None, *, now: Micros | None = None
    ) -> tuple[Version | None, Evidence]:
        """Gate a recipe, and register it when it ships: see `Gate.train`."""
        return self.gate.train(recipe, rows, now=now)

    def expect(
        self,
        rows: Any = None,
        *,
        goal: float | None = None,
        now: Micros | None = None,
        progress: Callable[[float], None] = lambda share: None,
    ) -> Evidence:
        """Floor, ceiling, the learning curve of a quick model, and whether the goal (default: plan.goal) is in reach.

        The evidence goes to the ledger. `progress` is told the share done (0-1).
        """
        return expect(self, rows, goal=goal, now=now, progress=progress)

    def distil(
        self,
        teacher: str,
        rows: Any = None,
        *,
        now: Micros | None = None,
        folds: int = 3,
        latency_decides: bool = True,
    ) -> tuple[Version | None, list[Evidence]]:
        """Distil a teacher to a student that answers inside the budget: see `Speed.distil`."""
        return self.speed.distil(teacher, rows, now=now, folds=folds, latency_decides=latency_decides)

    def signature(self, rows: Rows) -> Signature:
        """The signature of the incumbent, or what these rows show when there is none yet."""
        roles = self.roles()
        if roles.incumbent:
            return roles.versions[roles.incumbent].signature
        return frames.infer_signature(rows.native(), self.config.task)

    def promote(
        self,
        name: str,
        reason: str,
        *,
        evidence: Evidence | None = None,
        override: bool = False,
        now: Micros | None = None,
        roles: Roles | None = None,
    ) -> None:
        """Make a version the incumbent; the one before stays loaded behind it.

        Without evidence it is a person's decision: a verdict of the gate that stands against the version refuses it,
        unless `override` says on the ledger that it is not followed. `roles` are those that were judged (None: the
        present ones): LedgerConflict where anything came after them, during the proof of the version too.
        """
        roles = self.roles() if roles is None else roles
        promote.promotable(roles, name)
        now = self.clock() if now is None else now
        gap = self._proved(name)
        if evidence is None:
            roles = held.settle(
                self.facts.ledger, roles, name, overrides=override, at=now, actor=self.actor, reason=reason
            )
        promote.promote(self.facts.ledger, roles, name, at=now, actor=self.actor, reason=reason, evidence=evidence)
        asking.alarm(self, name, gap, now)

    def rollback(
        self,
        reason: str,
        *,
        evidence: Evidence | None = None,
        now: Micros | None = None,
        roles: Roles | None = None,
    ) -> None:
        """Take the incumbent back: what was served before it answers again, once it repeated its golden rows. `roles`
        as in `promote`."""
        now = self.clock() if now is None else now
        gaps: dict[str, GoldenGap | None] = {}
        promote.roll_back(
            self.facts.ledger,
            self.roles() if roles is None else roles,
            lambda version: gaps.update({version.name: self._prove(version)}),
            at=now,
            actor=self.actor,
            reason=reason,
            evidence=evidence,
        )
        for name, gap in gaps.items():
            asking.alarm(self, name, gap, now)

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
    ) -> erase.Forgotten:
        """Erase a unit, as requests name it, or one id, wherever the store holds it."""
        private = privacy(self.config.task.private, self.config.task.unit, self.config.store_path)
        return erase.forget(
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

    def fit(
        self, recipe: str | None = None, rows: Any = None, *, description: str = "", now: Micros | None = None
    ) -> Version:
        """Fit a recipe on every labelled row and register the result. Judges nothing."""
        now = self.clock() if now is None else now
        name = recipe or self.config.retrain.recipe
        known = self.known(rows, now)
        said = description or f"{name} on {len(known):,} rows"
        code = self.written()
        return self.register(
            code.fit(name, known.training_frame()),
            known,
            description=said,
            recipe=code.recipe(name),
            parent=self.roles().incumbent,
            now=now,
        )

    def known(self, rows: Any, now: Micros) -> Rows:
        """Labelled rows: those given, or what `load` gives with the labels known before `now`."""
        return (self.rows(now) if rows is None else self.read(rows)).labelled(now)

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
        pictures = Pictures(self.config.store_path, self.facts.blobs)
        before = {name: one.at for name, one in pictures.index().items()}
        pictures.put_all(charts.dashboard(self.config, self.facts.ledger.events(), weeks, before), now)
        pictures.put_all(self._segments(now), now)

    def _segments(self, now: Micros) -> dict[str, bytes]:
        """Find the gain by segments where it is due, keep it, and draw it."""
        past = segmenting.due(self, now)
        if past is None:
            return {}
        try:
            found = segmenting.find(self, past, now)
        except IncumbentError:
            segmenting.keep(self, past, None, now)  # what fails is not tried again at every tick
            raise
        segmenting.keep(self, past, found, now)
        if not found or not found["segments"]:
            return {}
        both = drawing.both(charts.segments(found))
        return {f"segments-{past.name}.{theme}": drawn for theme, drawn in both.items()}

    # --- inside

    def incumbent(self) -> str:
        name = self.roles().incumbent
        if name is None:
            raise DataError("there is no incumbent yet: run `incumbent baseline` first.")
        return name

    def written(self) -> Code:
        if self.code is None:
            raise ConfigError("task.code is not set: there is no train() to call. Write one, and name its file.")
        return self.code

    def _prove(self, version: Version) -> GoldenGap | None:
        before = self._opened.pop(version.name, None)
        if isinstance(before, Contained):
            before.close()
        return self._proved(version.name)

    def _proved(self, name: str) -> GoldenGap | None:
        """It loads and repeats its golden rows; one behind an address answers them, in whatever way (the gap)."""
        self.predictor(name)
        return asking.gap(self, name) if asking.is_remote(self.version(name)) else None
