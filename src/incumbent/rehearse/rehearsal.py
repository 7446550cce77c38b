"""The whole story: onset, live traffic, upkeep, and what it was worth.

In: a project's folder with `load`, `train` and [rehearse]. Out: a Summary; the store, the report and the dashboard's
pictures in the folder given. The project's own store is not touched: the rehearsal works on a copy of its files.
"""

import hashlib
import json
import re
import shutil
import time
import tomllib
from collections.abc import Callable, Mapping
from datetime import datetime
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import numpy as np

from incumbent import config as configuration
from incumbent.errors import ConfigError
from incumbent.loop.sentences import sentence
from incumbent.project import Project, open_project
from incumbent.project.lesson import native_of
from incumbent.project.rows import NEVER, Rows
from incumbent.project.upkeep import Feed
from incumbent.records import DAY, Event, Evidence, Json, Micros, Version, micros, moment
from incumbent.rehearse.client import Server
from incumbent.rehearse.compare import Month, by_month, months, overall
from incumbent.rehearse.replay import HOUR, Traffic, Wire, replay, wire
from incumbent.rehearse.summary import LOOP, PRIOR, SHIPPED, UNTOUCHED, Summary, Totals
from incumbent.rehearse.written import report
from incumbent.report import html
from incumbent.runtimes import frames
from incumbent.runtimes.base import Floats, checked

Say = Callable[[str], None]

DECISIONS = (
    "Promoted", "RolledBack", "TrialStarted", "EnrolmentRaised", "PhaseStarted", "TrialDecided", "GateDecided",
    "RetrainRequested", "RetrainRefused", "AlarmRaised", "WatchStarted", "WatchStopped", "Overridden",
)  # fmt: skip


PROMOTES = {
    "auto": "what a trial or a refresh shows is done at once; nobody is asked",
    "manual": "a person promotes; the rehearsal has nobody, so a trial that is won changes nothing",
}


def rehearse(
    folder: Path,
    out: Path,
    *,
    clean: bool = False,
    say: Say = print,
    progress: Callable[[float], None] = lambda share: None,
) -> tuple[Summary, Server]:
    """Replay the past of the project in `folder`; everything that it writes goes into `out`.

    `clean` leaves the retraining feed whole; `say` is told each decision, `progress` the share done (0-1).
    Returns the summary and the server, still up: stop it, or leave it.
    """
    started = time.perf_counter()
    home = _copy(folder, out)
    rehearsal = Rehearsal(home, clean, say, progress)
    onset = rehearsal.onset()
    server = Server(home, log=out / "server.log")
    try:
        traffic = rehearsal.live(server)
        summary = rehearsal.close(server, traffic, onset, started)
    except BaseException:
        server.stop()
        raise
    (out / "summary.json").write_text(json.dumps(summary.to_dict(), indent=2) + "\n", encoding="utf-8")
    (out / "report.html").write_text(html(report(summary, rehearsal.project)), encoding="utf-8")
    rehearsal.project.draw()
    return summary, server


class Rehearsal:
    """One run: the project's copy, its rows, and what was seen on the way."""

    def __init__(self, home: Path, clean: bool, say: Say, progress: Callable[[float], None]) -> None:
        self.say, self.progress = say, progress
        self.clock: Micros = 0
        self.project: Project = open_project(home, clock=lambda: self.clock, actor="rehearsal")
        self.project.timings_decide = False
        settings = self.project.config
        if self.project.metric.row_loss is None:
            raise ConfigError(f"a rehearsal compares mean row losses, which {settings.task.metric} has not: use brier")
        self.zone = settings.zone
        self.feed = None if clean else _feed(settings)
        say(f"loading the past of {settings.task.name}")
        self.rows = self.project.rows()
        self.since, self.until = self._range()
        self.clock = self.since
        self.shipped: list[tuple[Micros, Floats]] = []
        self.first: Version | None = None
        self.project.upkeep.feed = self.feed

    # --- phases

    def onset(self) -> list[str]:
        """Steps 1, 2 and 4 on the rows known by the first live day."""
        project, now, said = self.project, self.since, []

        def tell(text: str) -> None:
            said.append(text)
            self.say(text)

        tell(f"1 baseline  {project.baseline(now=now).evidence[0].sentence}")
        if project.config.plan.goal is not None:
            tell(f"            {project.expect(now=now).sentence}")
        first, gated = project.train(now=now)
        tell(f"2 gate      {gated.sentence}")
        if first is None:
            return said
        self.first = first
        project.promote(first.name, gated.sentence, evidence=gated, now=now)
        tell(f"4 speed     {project.speed.compiled(first.name)}")
        tell(f"            {project.speed(first.name, now=now).sentence}")
        teacher = project.config.rehearse.teacher
        if teacher:
            student, found = project.distil(teacher, now=now, latency_decides=False)
            for evidence in found:
                tell(f"            {evidence.sentence}{_timed(evidence)}")
            if student is not None:
                project.promote(student.name, found[-1].sentence, evidence=found[-1], now=now)
        promotes = project.config.live.promote
        tell(f'3 live      live.promote = "{promotes}": {PROMOTES[promotes]}')
        tell(
            f"{project.roles().incumbent} is the incumbent; behind it {project.roles().previous}, "
            f"and {project.roles().baseline} is the baseline"
        )
        return said

    def live(self, server: Server) -> Traffic:
        """Every row of [since, until) through HTTP, with a tick each midnight."""
        server.follow(self.project.roles().sequence)
        data = self._wire()
        return replay(
            data,
            server,
            self.since,
            self.until,
            self.zone,
            batch=HOUR if self.project.config.rehearse.batch == "hour" else DAY,
            midnight=lambda at: self._midnight(at, server),
            progress=self._progress,
        )

    def close(self, server: Server, traffic: Traffic, onset: list[str], started: float) -> Summary:
        """Count, compare with the other policies, and write it down."""
        project, settings = self.project, self.project.config
        table = self._months()
        events = [e for e in project.facts.ledger.events() if e.type in DECISIONS]
        decisions = tuple(_decision(event) for event in events)
        totals = self._totals(server, traffic, time.perf_counter() - started)
        return Summary(
            task=settings.task.name,
            metric=project.metric.name,
            since=moment(self.since).astimezone(self.zone).date().isoformat(),
            until=moment(self.until).astimezone(self.zone).date().isoformat(),
            faults=self.feed is not None,
            truth=f"{settings.task.target} rate" if settings.task.kind == "binary" else "mean truth",
            onset=tuple(onset),
            recipes=tuple(self._recipes()),
            months=tuple(table),
            overall=overall(table),
            decisions=decisions,
            refused=tuple(sentence(e) for e in events if e.type in ("RetrainRefused", "RolledBack")),
            trials=tuple(self._trial_tables()),
            broken_feeds=tuple(self._broken(events)),
            speed=tuple(self._speed()),
            totals=totals,
            decisions_digest=_digest(decisions),
        )

    # --- on the way

    def _midnight(self, at: Micros, server: Server) -> None:
        """A tick, once the server has scored every row before it; then wait until its routes follow."""
        project = self.project
        self.clock = at
        server.follow(project.facts.ledger.sequence())
        before = project.facts.ledger.sequence()
        project.upkeep.tick(now=at)
        self._new_recipe(at)
        if project.upkeep.falls_due(at):
            self._always_ship(at)
        if project.facts.ledger.sequence() != before:
            server.follow(project.facts.ledger.sequence())
            for event in project.facts.ledger.events(after=before):
                if event.type in DECISIONS:
                    self.say(f"{moment(at).astimezone(self.zone):%d %b}  {sentence(event)}")

    def _new_recipe(self, at: Micros) -> None:
        """On its day a new recipe is gated and, when it passes, put on trial."""
        project, settings = self.project, self.project.config.rehearse
        if not settings.new_recipe or at != self._day(settings.new_recipe_on):
            return
        version, gated = project.train(settings.new_recipe, project.upkeep.training_rows(at), now=at)
        if version is not None:
            project.live.start(version.name, reason=gated.sentence, now=at)

    def _progress(self, at: Micros, traffic: Traffic) -> None:
        local = moment(at).astimezone(self.zone)
        self.progress((at - self.since) / (self.until - self.since))
        if local.day == 1:
            self.say(f"{local:%d %b}  {traffic.rows:,} rows answered, {traffic.outcomes:,} outcomes posted")

    def _always_ship(self, at: Micros) -> None:
        """What the policy "always ship the retrained" would serve from here on: fitted on what it was fed."""
        project = self.project
        known = project.upkeep.training_rows(at)
        code = project.code
        if code is None:
            return
        signature = project.signature(known)
        frame = known.training_frame()
        model = native_of(code.fit(project.config.retrain.recipe, frame), signature, frame)
        later = self.rows.between(at, self.until)
        self.shipped.append((at, checked(model.predict(later.columns(signature)), signature, len(later))))

    # --- at the end

    def _months(self) -> list[Month]:
        live = self.rows.between(self.since, self.until)
        judged = live.known_at < NEVER
        signature = self.project.version(str(self.project.roles().incumbent)).signature
        known = live.where(judged)
        truth = known.truth(signature)
        outputs = self._outputs(live, judged)
        losses = {}
        for policy, output in outputs.items():
            loss = np.full(len(live), np.nan)
            loss[judged] = self.project.row_loss(output[judged], truth)
            losses[policy] = loss
        whole = np.full(len(live), np.nan)
        whole[judged] = truth
        served = np.asarray(np.isfinite(outputs[LOOP].reshape(len(live), -1)).all(axis=1))
        return by_month(months(live.at, self.zone), served, judged, whole, losses, floor=PRIOR, loop=LOOP)

    def _outputs(self, live: Rows, judged: Any) -> dict[str, Floats]:
        """(n, n_classes) or (n,) of each policy on every live row."""
        project = self.project
        roles = project.roles()
        signature = roles.versions[str(roles.incumbent)].signature
        columns = live.columns(signature)
        found = {LOOP: self._served(live)}
        onset = self.rows.between(None, self.since).labelled(self.since)
        truth = onset.truth(signature)
        if signature.classifies:
            prior = np.bincount(truth, minlength=len(signature.classes)) / len(truth)
            found[PRIOR] = np.tile(prior, (len(live), 1))
        else:
            found[PRIOR] = np.full(len(live), truth.mean())
        if self.first is not None:
            found[UNTOUCHED] = project.predict(self.first.name, columns)
            shipped = found[UNTOUCHED].copy()
            for at, output in self.shipped:
                shipped[live.at >= at] = output
            found[SHIPPED] = shipped
        return found

    def _served(self, live: Rows) -> Floats:
        """What the log says was served for each row; NaN where it says nothing."""
        task = self.project.config.task
        names = live.texts(task.id) if task.id else [f"row-{i}" for i in self._places(live)]
        place = {name: i for i, name in enumerate(names)}
        width = len(self.project.version(str(self.project.roles().incumbent)).signature.classes) or 1
        served = np.full((len(live), width), np.nan)
        for batch in self.project.facts.log.scan(self.since, self.until):
            rows = [place[row.prediction.id] for row in batch]
            served[rows] = [row.prediction.output for row in batch]
        return served if width > 1 else served[:, 0]

    def _places(self, live: Rows) -> list[int]:
        first = int(np.searchsorted(self.rows.at, self.since))
        return list(range(first, first + len(live)))

    def _totals(self, server: Server, traffic: Traffic, seconds: float) -> Totals:
        logged = self.project.facts.log.totals()
        requests = np.array(server.latencies or [0.0]) * 1000
        rows = (
            np.array([r.prediction.latency_us for batch in self.project.facts.log.scan() for r in batch] or [0]) / 1000
        )
        return Totals(
            requests=traffic.requests,
            rows=traffic.rows,
            failed=server.failed,
            lost=traffic.rows - logged.predictions,
            without_version=traffic.without_version,
            outcomes=traffic.outcomes,
            fallbacks=sum(logged.fallbacks.values()),
            request_p50_ms=float(np.quantile(requests, 0.5)),
            request_p99_ms=float(np.quantile(requests, 0.99)),
            row_p50_ms=float(np.quantile(rows, 0.5)),
            row_p99_ms=float(np.quantile(rows, 0.99)),
            seconds=seconds,
        )

    def _recipes(self) -> list[str]:
        """When the loop went over to another recipe: the other policies never do, so the table is to be read so."""
        project, said, last = self.project, [], ""
        versions = project.roles().versions
        for event in project.facts.ledger.events(types=["Promoted"]):
            recipe = versions[event.data["version"]].recipe.split("@")[0]
            if recipe != last:
                day = moment(event.at).astimezone(self.zone).date()
                said.append(f"{day}: the loop serves the recipe {recipe} ({event.data['version']})")
            last = recipe
        return [*said, f"the other policies keep the recipe {project.config.retrain.recipe}"]

    def _broken(self, events: list[Event]) -> list[tuple[str, bool, str]]:
        """(what was broken on purpose, was it caught, how), as the faults file tells its FAULTS: {day: what}."""
        faults: Mapping[str, str] = getattr(self.feed, "__globals__", {}).get("FAULTS", {})
        found = []
        for day, what in faults.items():
            start = self._day(day)
            caught = [e for e in events if e.type == "RetrainRefused" and start <= e.at < start + 7 * DAY]
            how = sentence(caught[0]) if caught else "no refit was refused in the week after"
            found.append((what, bool(caught), how))
        return found

    def _trial_tables(self) -> list[tuple[tuple[str, str, str], ...]]:
        """The last look at each split trial, as a table."""
        last: dict[str, Evidence] = {}
        for event in self.project.facts.ledger.events():
            found = event.data.get("evidence")
            if found and found["step"] == "live" and found["numbers"].get("mode") == "split":
                last[found["numbers"]["trial"]] = Evidence(**found)
        return [tuple(self.project.live.table(evidence)) for evidence in last.values()]

    def _speed(self) -> list[Mapping[str, Json]]:
        events = self.project.facts.ledger.events(types=["EvidenceRecorded"])
        return [{**e.data["evidence"], "measured": dict(e.measured)} for e in events if e.data["step"] == "speed"]

    # --- what is replayed

    def _range(self) -> tuple[Micros, Micros]:
        settings = self.project.config.rehearse
        if not settings.since:
            raise ConfigError(
                "rehearse.since is not set: say from which day on rows are answered live, e.g. 2013-04-01"
            )
        since = self._day(settings.since)
        last = int(self.rows.at[-1]) + 1
        return since, self._day(settings.until) if settings.until else last

    def _day(self, text: str) -> Micros:
        try:
            day = datetime.fromisoformat(text)
        except ValueError:
            raise ConfigError(f"found the day {text!r} in [rehearse], expected an ISO date, e.g. 2013-04-01") from None
        return micros(day.replace(tzinfo=self.zone))

    def _wire(self) -> Wire:
        signature = self.project.version(str(self.project.roles().incumbent)).signature
        features = frames.rows(self.rows.native(), signature.names)
        return wire(self.rows, list(signature.names), features)


def _timed(evidence: Evidence) -> str:
    """The student's timings beside its evidence, which does not mention them: a rehearsal decides on none."""
    timed = [f"{name} p99 {of['p99_ms']:.2g} ms" for name, of in evidence.measured.items() if isinstance(of, Mapping)]
    return f" One row: {', '.join(timed)}." if timed else ""


def _decision(event: Event) -> dict[str, Json]:
    """What repeats of an event: no wall clock, no timing, no hash of an artefact."""
    evidence = event.data.get("evidence") or {}
    return {
        "at": moment(event.at).isoformat(), "type": event.type, "sentence": sentence(event),
        "subject": event.data.get("version") or event.data.get("trial") or event.data.get("cause"),
        "verdict": event.data.get("verdict") or evidence.get("verdict"),
        "numbers": {k: v for k, v in (evidence.get("numbers") or {}).items() if k != "series"},
    }  # fmt: skip


def _digest(decisions: tuple[Mapping[str, Json], ...]) -> str:
    text = json.dumps(decisions, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def _copy(folder: Path, out: Path) -> Path:
    """The project's files in a folder of their own, without its store and without what an earlier rehearsal left."""
    home = out / "project"
    if home.exists():
        shutil.rmtree(home)
    left_out = {folder / configuration.load(folder).store.path, out}

    def ignored(parent: str, names: list[str]) -> list[str]:
        found = {name: Path(parent) / name for name in names}
        return [n for n, path in found.items() if n == "__pycache__" or any(_same(path, one) for one in left_out)]

    shutil.copytree(folder, home, ignore=ignored)
    settings = home / configuration.FILE_NAME
    settings.write_text(without_database(settings.read_text(encoding="utf-8")), encoding="utf-8")
    return home


def without_database(text: str) -> str:
    """The settings without `store.url`: a rehearsal never writes to the project's own database.

    >>> print(without_database("[store]\\nurl = 'postgresql://host/db'"))
    [store]
    # (a rehearsal has its own store) url = 'postgresql://host/db'
    """
    if not tomllib.loads(text).get("store", {}).get("url"):
        return text
    changed = re.sub(r"(?m)^(\s*(?:store\.)?url\s*=)", r"# (a rehearsal has its own store) \1", text)
    if tomllib.loads(changed).get("store", {}).get("url"):
        raise ConfigError("store.url cannot be left out of the rehearsal's settings; expected it on a line of its own")
    return changed


def _same(one: Path, other: Path) -> bool:
    return one.resolve() == other.resolve()


def _feed(settings: configuration.Config) -> Feed | None:
    """The file that breaks what retraining is fed, if the project names one."""
    if not settings.rehearse.faults:
        return None
    path = settings.folder / settings.rehearse.faults
    spec = spec_from_file_location("incumbent_faults", path)
    if spec is None or spec.loader is None or not path.is_file():
        raise ConfigError(f"rehearse.faults = {settings.rehearse.faults!r}: no Python file {path}")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    if not callable(getattr(module, "feed", None)):
        raise ConfigError(f"{path}: no function feed(rows, now), expected one that returns the rows as they are fed")
    feed: Feed = module.feed
    return feed
