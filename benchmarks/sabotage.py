"""Challengers that go wrong, on a real server: is each one stopped, for the right reason, and does no request fail?

In: the flights of 2013. A good model is the incumbent; one after the other, eight challengers that somebody broke are
put into a split by aeroplane, while flights are asked for in the order of time, their outcomes are posted as they
become known, and the ticker looks as they come. Then two that are whole are scored in shadow: one as good as the
incumbent, and one that was trained on two more months. Out: for each the verdict, its reason, how much traffic it
touched, and how long that took in the time of the flights. Run (some minutes):

    python benchmarks/sabotage.py                      # all
    python benchmarks/sabotage.py exceptions slow      # some

The server keeps the wall clock, so that deadlines and breakers are real; the ticker takes its time from the log. How
much a challenger touches depends on the machine: flights come as fast as they are answered, some hours of them a
second.
"""

import argparse
import pickle
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from importlib.util import module_from_spec, spec_from_file_location
from itertools import groupby
from pathlib import Path
from types import ModuleType
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

import incumbent
from incumbent.loop import promote
from incumbent.project import Project
from incumbent.project.rows import NEVER
from incumbent.records import DAY, Event, Micros, micros
from incumbent.rehearse.client import RequestFailed, Server
from incumbent.rehearse.replay import HOUR, Wire, wire
from incumbent.runtimes import frames

FLIGHTS = Path(__file__).parents[1] / "examples" / "flights"
BUDGET_MS = 400
SETTINGS = """
[live]
mode = "split"
promote = "auto"
window_hours = 12
enrol = [1.0]
latency_budget_ms = {budget_ms}
[review]
per_day = 0
[versions]
code = true
trust = ["lightgbm.sklearn.LGBMClassifier"]
[serve]
poll_s = 0.2
tick_s = 3600
look_s = 0.2
deadline_ms = {deadline_ms}
"""
ROWS_A_REQUEST = 20
PREDICTOR = '''"""A model with a fault. It repeats its golden rows, {many} at once: where it is served, it fails."""

import pickle, random, time
from pathlib import Path

import numpy as np


class Predictor:
    def __init__(self, folder):
        self.model = pickle.loads(Path(folder, "model.pkl").read_bytes())
        self.draw = random.Random(0)

    def predict(self, rows):
        served = len(rows) < {many}
        rows = self.seen(rows)
        if served:
            self.before()
        said = self.model.predict_proba(rows)
        return self.after(said) if served else said

    def seen(self, rows):
        return rows

    def before(self):
        pass

    def after(self, said):
        return said

{fault}
'''
GOLDEN = 50


@dataclass(frozen=True)
class Sabotage:
    """What is done to a good model, and one of which words the reason of its end must hold. Where time is not the
    fault, the deadline is long and there is no budget: how busy the machine is must not be one."""

    what: str
    reasons: tuple[str, ...]
    fault: str = ""
    flipped: bool = False
    deadline_ms: int = 10_000
    budget_ms: int = 0

    @property
    def settings(self) -> str:
        return SETTINGS.format(deadline_ms=self.deadline_ms, budget_ms=self.budget_ms)


FAILS = ("failed answers", "errors", "failures", "breaker")
WORSE = ("shown worse",)
SABOTAGES = {
    "exceptions": Sabotage("raises for a fifth of its calls", FAILS, """
    def before(self):
        if self.draw.random() < 0.2:
            raise RuntimeError("no such thing")"""),
    "timeouts": Sabotage("hangs for a fifth of its calls", FAILS, """
    def before(self):
        if self.draw.random() < 0.2:
            time.sleep(600)""", deadline_ms=1_000),
    "NaN": Sabotage("answers NaN", FAILS, """
    def after(self, said):
        return np.full_like(said, np.nan)"""),
    "constant": Sabotage("answers a half to everything", WORSE, """
    def seen(self, rows):
        self.rows = len(rows)
        return rows

    def predict(self, rows):
        return np.full((len(rows), 2), 0.5)"""),
    "swapped": Sabotage("two columns are swapped: hour and weekday", WORSE, """
    def seen(self, rows):
        return rows.assign(hour=rows["weekday"], weekday=rows["hour"])"""),
    "x1000": Sabotage("one feature comes in another unit: hour x 1000", WORSE, """
    def seen(self, rows):
        return rows.assign(hour=rows["hour"] * 1000)"""),
    "flipped": Sabotage("was trained on flipped labels", WORSE, flipped=True),
    "slow": Sabotage(f"takes 3 x the budget of {BUDGET_MS} ms", ("latency",), f"""
    def before(self):
        time.sleep({3 * BUDGET_MS / 1e3})""", budget_ms=BUDGET_MS),
}  # fmt: skip
MONTHS = {"equal": ("2013-04-01", "2013-05-01"), "better": ("2013-06-01", "2013-07-01")}


@dataclass(frozen=True)
class Ended:
    """What became of one challenger. `requests` and `rows` are those that were its to answer, `failed` requests that
    were not answered; `took` is in the time of the flights, `seconds` on the wall from the ledger to the routes."""

    name: str
    verdict: str
    reason: str
    requests: int
    rows: int
    failed: int
    fallbacks: int
    took: Micros
    seconds: float


class Flights:
    """The project in a folder, its rows, a server and a ticker; the traffic goes on from where it stopped."""

    def __init__(self, folder: Path, since: str, train_from: str | None = None) -> None:
        self.folder, self.train_from = folder, train_from
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(FLIGHTS / "task.py", folder)
        self.settle(SETTINGS.format(deadline_ms=10_000, budget_ms=0))
        self.task = module_of(folder / "task.py")
        self.now = at(since)
        self.project: Project = incumbent.open(folder)
        self.project.clock = lambda: self.now
        self.rows = self.project.rows()
        self.fitted(0, "the incumbent")
        self.wire = self._wire()
        self.known = np.argsort(self.wire.known_at, kind="stable")
        self.asked = int(np.searchsorted(self.wire.at, self.now))
        self.first = self.asked
        self.told = int(np.searchsorted(self.wire.known_at[self.known], self.now))

    def settle(self, settings: str) -> None:
        """The task of the example with these settings, for the server and the ticker that start next."""
        task, _, _ = (FLIGHTS / "incumbent.toml").read_text().partition("[plan]")
        (self.folder / "incumbent.toml").write_text(task + settings)

    def fitted(self, seed: int, description: str, until: Micros | None = None) -> str:
        """A model of the flights known by then, as the next version; the first one becomes the incumbent."""
        known = self.rows.between(at(self.train_from) if self.train_from else None, until or self.now)
        known = known.labelled(until or self.now)
        model = trained(self.task, known.native(), seed)
        version = self.project.register(model, known, description=description, recipe="train", now=self.now)
        if self.project.roles().incumbent is None:
            promote.promote(
                self.project.facts.ledger, self.project.roles(), version.name, at=self.now, actor="benchmark",
                reason="it is good",
            )  # fmt: skip
        return version.name

    def broken(self, name: str, sabotage: Sabotage) -> str:
        """A challenger with this fault, as a folder of code."""
        known = self.rows.between(at(self.train_from) if self.train_from else None, self.now).labelled(self.now)
        frame = known.native()
        model = trained(self.task, frame.assign(late=1 - frame["late"]) if sabotage.flipped else frame, 1)
        folder = self.folder / "challengers" / name
        folder.mkdir(parents=True)
        (folder / "predictor.py").write_text(PREDICTOR.format(many=GOLDEN, fault=sabotage.fault))
        (folder / "model.pkl").write_bytes(pickle.dumps(model))
        return self.project.register(folder, known, trust=True, description=sabotage.what, now=self.now).name

    def _wire(self) -> Wire:
        version = self.project.version(str(self.project.roles().incumbent))
        features = frames.rows(self.rows.native(), version.signature.names)
        return wire(self.rows, list(version.signature.names), features)

    # --- traffic

    def hour(self, server: Server, a_request: int = ROWS_A_REQUEST) -> list[list[dict[str, Any]]]:
        """An hour of flights, then the outcomes that became known meanwhile; the answers of each request."""
        self.now += HOUR
        end = int(np.searchsorted(self.wire.at, self.now))
        answers = []
        for low in range(self.asked, end, a_request):
            try:
                answers.append(server.predict(self.wire.requests[low : min(end, low + a_request)]))
            except RequestFailed as error:
                print(error, file=sys.stderr)  # counted by the server's client
        self.asked = end
        end = int(np.searchsorted(self.wire.known_at[self.known], self.now))
        outcomes = [
            {"id": self.wire.requests[i]["id"], "value": self.wire.labels[i], "known_at": int(self.wire.known_at[i])}
            for i in self.known[self.told : end].tolist()
            if self.first <= i < self.asked and self.wire.known_at[i] < NEVER
        ]
        self.told = end
        if outcomes:
            server.outcomes(outcomes)
        return answers

    def tried(self, server: Server, name: str, version: str, mode: Any, until: Micros) -> Ended:
        """Traffic with this challenger on trial, until that is decided or the time is up."""
        ledger = self.project.facts.ledger
        self.project.live.start(version, mode=mode, reason=f"{name}: a benchmark", now=self.now)
        server.follow(ledger.sequence())
        began, failed, sequence = self.now, server.failed, ledger.sequence()
        requests = rows = fallbacks = 0
        ended: list[Event] = []
        while not ended and self.now < until:
            for answers in self.hour(server, ROWS_A_REQUEST if mode == "split" else 500):
                its = [answer for answer in answers if answer["version"] == version]
                requests, rows = requests + bool(its), rows + len(its)
                fallbacks += sum(answer["fallback_reason"] is not None for answer in its)
            if mode == "shadow":
                server.follow(0)  # until no shadow waits
            ended = [event for event in ledger.events(after=sequence) if event.type in ("TrialDecided", "Promoted")]
        if not ended:
            self.project.live.stop("the time of the benchmark is up", now=self.now)
        seconds = _seconds(server, ledger.events(after=sequence)[-1])
        verdict, reason = _said(ended)
        failed = server.failed - failed
        return Ended(name, verdict, reason, requests, rows, failed, fallbacks, self.now - began, seconds)

    def close(self) -> None:
        self.project.close()


def _seconds(server: Server, decided: Event) -> float:
    """From the ledger to the routes: how long until the server's own looks at the ledger took the challenger away."""
    while server.status()["trial"] is not None:
        time.sleep(0.005)
    return time.time() - decided.recorded_at / 1e6


def _said(ended: Sequence[Event]) -> tuple[str, str]:
    if not ended:
        return "continue", "undecided when its time was up: the incumbent stays"
    verdict = "promote" if ended[0].type == "Promoted" else str(ended[0].data["verdict"])
    return verdict, ended[0].reason


def module_of(path: Path) -> ModuleType:
    spec = spec_from_file_location("flights_task", path)
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def trained(task: ModuleType, frame: Any, seed: int) -> Any:
    """The example's own pipeline, each tree on four fifths of the rows: so a seed makes another model."""
    model = task.fit(frame.head(200), task.NUMBERS)
    model.set_params(trees__subsample=0.8, trees__subsample_freq=1, trees__random_state=seed)
    return model.fit(frame, frame["late"].astype(int))


def at(day: str) -> Micros:
    return micros(datetime.fromisoformat(day).replace(tzinfo=ZoneInfo("America/New_York")))


@contextmanager
def running(folder: Path) -> Iterator[Server]:
    """A server, and `incumbent upkeep tick --forever` as the supervisor starts it, on the time of the log."""
    command = [sys.executable, "-m", "incumbent", "upkeep", "tick", "-p", str(folder), "--forever", "--clock", "replay"]
    said = folder / "ticker.log"
    with Server(folder, clock="wall") as server, said.open("wb") as log:
        child = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            while not said.stat().st_size:  # its first word: nothing is due
                assert child.poll() is None
                time.sleep(0.02)
            yield server
        finally:
            child.terminate()
            child.wait(60)


def sabotaged(flights: Flights, names: Sequence[str], days: int) -> Iterator[Ended]:
    """Each of these challengers in a split of its own, at most so many days."""
    for settings, group in groupby(names, lambda name: SABOTAGES[name].settings):
        flights.settle(settings)
        with running(flights.folder) as server:
            for name in group:
                version = flights.broken(name, SABOTAGES[name])
                yield flights.tried(server, name, version, "split", flights.now + days * DAY)


def whole(folder: Path, name: str) -> Ended:
    """A model that is whole, in shadow during its month."""
    since, until = MONTHS[name]
    flights = Flights(folder, since if name == "equal" else "2013-04-01")
    try:
        if name == "better":
            flights.now = at(since)
            flights.asked = flights.first = int(np.searchsorted(flights.wire.at, flights.now))
            flights.told = int(np.searchsorted(flights.wire.known_at[flights.known], flights.now))
        version = flights.fitted(1, f"{name}: trained until {since}")
        with running(folder) as server:
            return flights.tried(server, name, version, "shadow", at(until))
    finally:
        flights.close()


def right(ended: Ended) -> bool:
    """Is it what had to come?"""
    if ended.name == "equal":
        return ended.verdict in ("stop", "continue") and not ended.failed
    if ended.name == "better":
        return ended.verdict == "promote" and not ended.failed
    named = any(word in ended.reason for word in SABOTAGES[ended.name].reasons)
    return ended.verdict == "roll_back" and named and not ended.failed


def line(ended: Ended) -> str:
    word = "ok  " if right(ended) else "MISS"
    return (f"{word} {ended.name:10} {ended.verdict:9} after {ended.took / DAY:4.1f} days, "
            f"{ended.requests:4,} requests and {ended.rows:6,} rows of it, {ended.fallbacks:4,} rows fell back, "
            f"{ended.failed} requests failed, {ended.seconds:.2f} s to the routes: {ended.reason}")  # fmt: skip


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("names", nargs="*", help=f"some of {', '.join((*SABOTAGES, *MONTHS))}; default: all")
    chosen = options.parse_args().names or [*SABOTAGES, *MONTHS]
    found = []
    with tempfile.TemporaryDirectory() as folder:
        names = [name for name in chosen if name in SABOTAGES]
        if names:
            flights = Flights(Path(folder, "sabotage"), "2013-04-01")
            for ended in sabotaged(flights, names, 28):
                print(line(ended), flush=True)
                found.append(ended)
            flights.close()
        for name in [name for name in chosen if name in MONTHS]:
            found.append(whole(Path(folder, name), name))
            print(line(found[-1]), flush=True)
    return int(not all(map(right, found)))


if __name__ == "__main__":
    sys.exit(main())
