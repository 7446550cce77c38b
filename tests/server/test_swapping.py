"""Moves on the ledger and the end of the server, under load: no request fails, and nobody answers who may not."""

import asyncio
import itertools
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from incumbent.loop import fold, promote
from incumbent.records import DAY, Roles
from incumbent.server.listening import listening

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
sites = import_module("sites")

WAIT_S = 60.0
LATE_S = 1.05
"""A second, and the poll of the test's project."""
WHO: dict[str, Any] = {"at": DAY, "actor": "test", "reason": "a test"}


def body(unit: str, id: str | None = None) -> bytes:
    row = {"unit": unit, "features": {"hour": 5, "carrier": "UA"}}
    return json.dumps({"rows": [row if id is None else {**row, "id": id}]}).encode()


def allowed(roles: Roles) -> set[str]:
    """Who may answer as the ledger stands."""
    challenger = {roles.trial.challenger} if roles.trial and roles.trial.mode == "split" else set()
    return {str(roles.incumbent)} | challenger


def moves(ledger: Any, roles: Callable[[], Roles]) -> list[Callable[[], Any]]:
    """Promotions, rollbacks, and a trial whose share is raised until its challenger is promoted."""
    return [
        lambda: promote.promote(ledger, roles(), "v2", **WHO),
        lambda: promote.promote(ledger, roles(), "v3", **WHO),
        lambda: promote.roll_back(ledger, roles(), lambda _: None, **WHO),
        lambda: promote.start_trial(ledger, roles(), "v4", mode="split", enrolled=0.1, **WHO),
        lambda: promote.raise_enrolment(ledger, roles(), 0.5, **WHO),
        lambda: promote.raise_enrolment(ledger, roles(), 1.0, **WHO),
        lambda: promote.start_phase(ledger, roles(), enrolled=0.5, **WHO),
        lambda: promote.decide_trial(ledger, roles(), "stop", **WHO),
        lambda: promote.promote(ledger, roles(), "v4", **WHO),
        lambda: promote.roll_back(ledger, roles(), lambda _: None, **WHO),
        lambda: promote.promote(ledger, roles(), "v1", **WHO),
    ]


def test_moves_under_load_fail_nothing(site: Any, spawn: Any) -> None:
    """64 connections, 22 moves: every answer is a 200 without a fallback, by a version that the ledger allowed at most
    a second and a poll before it left."""
    site.register(0.3), site.register(0.4)
    server = spawn(site.folder)
    stop = asyncio.Event()
    answers: list[tuple[float, float, str, str | None]] = []
    told: list[tuple[float, set[str]]] = [(0.0, allowed(site.roles))]
    wrong: list[Any] = []

    async def hammer(number: int) -> None:
        caller = sites.Caller(server.url)
        for i in itertools.count():
            if stop.is_set():
                break
            sent = time.monotonic()
            said = await caller.post(b"/v1/predict", body(f"user-{number}-{i % 20}"))
            if said.status != 200:
                wrong.append(said)
                break
            (found,) = json.loads(said.body)["predictions"]
            answers.append((sent, time.monotonic(), found["served_by"], found["fallback_reason"]))
        caller.close()

    async def move() -> None:
        ledger = site.facts.ledger
        roles = lambda: fold.roles(ledger.events())  # noqa: E731  what each move reads first
        for each in moves(ledger, roles) * 2:
            before, since = len(answers), time.monotonic()
            while len(answers) < before + 200 or time.monotonic() - since < 0.3:
                assert time.monotonic() - since < WAIT_S and not wrong
                await asyncio.sleep(0.01)
            await asyncio.to_thread(each)
            told.append((time.monotonic(), allowed(roles())))
        stop.set()

    async def both() -> None:
        await asyncio.gather(move(), *(hammer(n) for n in range(64)))

    asyncio.run(both())
    assert wrong == [] and {reason for *_, reason in answers} == {None}
    ends = [at for at, _ in told[1:]] + [float("inf")]
    stale = [
        (served, sent)
        for sent, received, served, _ in answers
        if not any(
            served in who and start <= received and sent - LATE_S <= end
            for (start, who), end in zip(told, ends, strict=True)
        )
    ]
    assert stale == [], f"{len(stale)} of {len(answers)} answers"
    assert {served for *_, served, _ in answers} == {"v1", "v2", "v3", "v4"}
    assert site.facts.log.totals().predictions == len(answers)
    assert server.end() == (0, "")


def test_sigterm_under_load_answers_what_was_taken(site: Any, spawn: Any) -> None:
    """16 connections send while it ends: a request without an answer was never taken, and is not in the log; nothing
    is cut off in the middle. Exit code 0, and not one word."""
    server = spawn(site.folder)
    answered: list[str] = []
    unanswered: list[str] = []
    parts: list[bytes] = []

    async def hammer(number: int) -> None:
        caller = sites.Caller(server.url)
        for i in itertools.count():
            id = f"{number}-{i}"
            try:
                said = await caller.post(b"/v1/predict", body("u", id))
            except ConnectionRefusedError:
                return
            except sites.Ended as error:
                unanswered.append(id)
                parts.append(error.part)
            except OSError:
                unanswered.append(id)
            else:
                assert said.status == 200, said
                answered.append(id)

    async def end() -> None:
        until = time.monotonic() + WAIT_S
        while len(answered) < 500:
            assert time.monotonic() < until
            await asyncio.sleep(0.005)
        os.kill(server.process.pid, signal.SIGTERM)

    async def both() -> None:
        await asyncio.gather(end(), *(hammer(n) for n in range(16)))

    asyncio.run(both())
    assert server.end() == (0, "")
    assert set(parts) <= {b""}
    kept = site.facts.log.find(answered + unanswered)
    assert set(kept) == set(answered)


@pytest.mark.skipif(sys.platform != "linux", reason="looks for the server's end of a connection in /proc")
def test_small_answers_leave_at_once(server: Any) -> None:
    """TCP_NODELAY is set on what the server accepted: without it one connection waits 40 ms for each answer."""
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=WAIT_S) as ours:
        ours.sendall(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n")
        assert ours.recv(65_536).startswith(b"HTTP/1.1 200")
        found = []
        for entry in os.listdir("/proc/self/fd"):
            with suppress(OSError), socket.socket(fileno=os.dup(int(entry))) as other:
                if other.getpeername() == ours.getsockname():
                    found.append(other.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
    assert found == [1]


def test_a_socket_that_is_handed_on_is_tcp_all_the_same() -> None:
    """Each answering process of a supervisor makes its own object of it: asyncio looks at its protocol number."""
    with listening("127.0.0.1", 0) as opened, socket.socket(fileno=os.dup(opened.fileno())) as handed_on:
        assert handed_on.proto == socket.IPPROTO_TCP
