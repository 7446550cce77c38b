"""A real server on a real socket, over a project with two rules as versions."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from incumbent import config
from incumbent.asgi import around
from incumbent.loop import fold, promote
from incumbent.records import DAY, Column, Roles, Signature, Version
from incumbent.runtimes import artefact
from incumbent.runtimes.rule import Rule
from incumbent.server.access import Access
from incumbent.server.door import Door
from incumbent.server.serving import open_door, serve
from incumbent.storage.opening import open_facts

TOML = """
[task]
name = "flights"
kind = "binary"
target = "late"
metric = "brier"
[store]
lock_timeout_s = 0.3
[serve]
poll_s = 0.05
max_body_mb = 0.5
max_rows = 500
"""
SIGNATURE = Signature((Column("hour", "integer"), Column("carrier", "string")), "binary", (0, 1))


class Site:
    """A project in a folder, which the test moves along by writing its ledger."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "incumbent.toml").write_text(TOML)
        self.config = config.load(folder)
        self.facts = open_facts(self.config)

    @property
    def roles(self) -> Roles:
        return fold.roles(self.facts.ledger.events())

    def register(self, late: float) -> str:
        """A prior with this probability as the next version; its name."""
        rule = Rule({"rule": "prior", "probabilities": [1 - late, late]}, SIGNATURE)
        sample = {"hour": np.arange(3.0), "carrier": np.array(["UA", "AA", None], dtype=object)}
        saved = artefact.save(
            self.facts.blobs, rule, runtime="rule", signature=SIGNATURE, sample=sample, versions=self.config.versions
        )
        name = promote.next_version(self.roles)
        version = Version(name, saved.runtime, saved.manifest, SIGNATURE, saved.serves)
        promote.register(self.facts.ledger, self.roles, version, at=DAY, actor="test")
        return name

    def lead(self, name: str) -> None:
        promote.promote(self.facts.ledger, self.roles, name, at=DAY, actor="test", reason="a test")

    def split(self, name: str, enrolled: float) -> None:
        promote.start_trial(
            self.facts.ledger, self.roles, name, at=DAY, actor="test", mode="split", enrolled=enrolled, reason="a test"
        )

    def shadow(self, name: str) -> None:
        promote.start_trial(self.facts.ledger, self.roles, name, at=DAY, actor="test", mode="shadow", reason="a test")


class Running:
    """A server in a thread of this process, and its door. `guard` puts the edge around it."""

    def __init__(self, folder: Path, clock: str = "wall", guard: Access | None = None) -> None:
        self.door: Door = open_door(folder, clock)
        app: Any = self.door
        if guard is not None:
            app = around(self.door, guard)
        self._stop, ready, urls = threading.Event(), threading.Event(), []

        def say(url: str) -> None:
            urls.append(url)
            ready.set()

        self._thread = threading.Thread(
            target=serve,
            args=(folder,),
            kwargs={"port": 0, "clock": clock, "app": app, "ready": say, "stop": self._stop},
        )
        self._thread.start()
        assert ready.wait(30)
        self.url: str = urls[0]
        self.http = httpx.Client(base_url=self.url, timeout=30)

    def stop(self) -> None:
        self.http.close()
        self._stop.set()
        self._thread.join(60)
        assert not self._thread.is_alive()


class Child:
    """A server in a process of its own."""

    CODE = "import sys; from incumbent.server.serving import serve; serve(sys.argv[1], port=0, json_line=True)"

    def __init__(self, folder: Path, **environment: str) -> None:
        command = [sys.executable, "-W", "error", "-c", self.CODE, str(folder)]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, **environment}
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.process.communicate()[1].decode()
        self.url: str = json.loads(line)["url"]

    def end(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        """(exit code, what it wrote to standard error)."""
        if self.process.poll() is None:
            os.kill(self.process.pid, number)
        said = self.process.communicate(timeout=60)[1].decode()
        return self.process.returncode, said


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """v1 (20 % late) is the incumbent, v2 (60 %) is registered."""
    site = Site(tmp_path)
    site.lead(site.register(0.2))
    site.register(0.6)
    yield site
    site.facts.close()


@pytest.fixture
def run() -> Iterator[Callable[..., Running]]:
    yield from _running()


@pytest.fixture(scope="module")
def run_once() -> Iterator[Callable[..., Running]]:
    """The same for servers that serve a whole file of tests."""
    yield from _running()


def _running() -> Iterator[Callable[..., Running]]:
    started: list[Running] = []

    def runs(folder: Path, clock: str = "wall", guard: Access | None = None) -> Running:
        started.append(Running(folder, clock, guard))
        return started[-1]

    yield runs
    for running in started:
        running.stop()


@pytest.fixture
def spawn() -> Iterator[Callable[..., Child]]:
    started: list[Child] = []

    def spawns(folder: Path, **environment: str) -> Child:
        started.append(Child(folder, **environment))
        return started[-1]

    yield spawns
    for child in started:
        child.end(signal.SIGKILL)


@pytest.fixture
def server(site: Site, run: Callable[..., Running]) -> Running:
    return run(site.folder)


@pytest.fixture
def server_with_edge(site: Site, run: Callable[..., Running]) -> Running:
    """With everything that `incumbent.asgi` puts around the door."""
    return run(site.folder, guard=Access())
