"""Several answering processes behind one socket: they start, die, are replaced and leave in order."""

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from incumbent.loop import tokens
from incumbent.records import DAY
from incumbent.server.supervising import STEADY_S, Child

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at processes through /proc")

WAIT_S = 60.0
ROW = {"rows": [{"features": {"hour": 5}}]}


def until(found: Callable[[], Any]) -> None:
    limit = time.monotonic() + WAIT_S
    while not found():
        assert time.monotonic() < limit, f"not within {WAIT_S:g} s"
        time.sleep(0.02)


def alive(pid: int) -> bool:
    """Is there such a process, and is it no zombie?"""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def children(pid: int) -> list[int]:
    """The processes whose parent it is."""
    return [int(found) for found in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def command_of(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text()


class Supervised:
    """`incumbent serve` as a person starts it."""

    def __init__(self, folder: Path, *options: str, ready: bool = True, **environment: str) -> None:
        command = [sys.executable, "-m", "incumbent", "serve", "-p", str(folder), "--port", "0", "--json", *options]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONWARNINGS": "error", **environment},
        )
        if ready:
            assert self.process.stdout is not None
            line = self.process.stdout.readline()
            assert line, self.process.communicate()[1].decode()
            self.said: dict[str, Any] = json.loads(line)
            self.url: str = self.said["url"]

    @property
    def answering(self) -> set[int]:
        return {pid for pid in children(self.process.pid) if "answering" in command_of(pid)}

    def end(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        """(exit code, what it wrote to standard error)."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        said = self.process.communicate(timeout=WAIT_S)[1].decode()
        return self.process.returncode, said

    def status(self) -> int:
        """Of a prediction over a connection of its own; 0 when none was had."""
        try:
            return httpx.post(f"{self.url}/v1/predict", json=ROW, timeout=WAIT_S).status_code
        except httpx.TransportError:
            return 0


@pytest.fixture
def supervise(site: Any) -> Iterator[Callable[..., Supervised]]:
    started: list[Supervised] = []

    def supervises(*options: str, **more: Any) -> Supervised:
        started.append(Supervised(site.folder, *options, **more))
        return started[-1]

    yield supervises
    for each in started:
        each.end(signal.SIGKILL)


def test_it_answers_with_several_processes_and_leaves_in_order(site: Any, supervise: Any) -> None:
    """The ready line comes once all answer; SIGTERM ends all of them with code 0 and not one word."""
    server = supervise("--workers", "2", "--no-tick")
    assert server.said["pid"] == server.process.pid
    pids = server.answering
    assert len(pids) == 2
    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(lambda _: server.status(), range(40))) == {200}
    assert server.end() == (0, "")
    assert not any(map(alive, pids))
    assert site.facts.log.totals().predictions == 40


def test_a_kept_connection_is_quick(supervise: Any) -> None:
    """Without TCP_NODELAY each answer but the first takes 40 ms, the quickest too, whichever process accepted."""
    server = supervise("--workers", "2", "--no-tick")
    for _ in range(4):
        with httpx.Client(base_url=server.url) as http:
            took = []
            for _ in range(20):
                started = time.perf_counter()
                assert http.post("/v1/predict", json=ROW).status_code == 200
                took.append(time.perf_counter() - started)
        assert min(took[1:]) < 0.03


def test_a_process_that_dies_is_started_again(supervise: Any) -> None:
    """The other one answers meanwhile, it is logged and counted, and no counter goes backwards."""
    server = supervise("--workers", "2", "--no-tick", "--log-format", "json")
    for _ in range(10):
        assert server.status() == 200

    def metric(name: str) -> float:
        text = httpx.get(f"{server.url}/metrics").text
        return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith(name))

    counted = 'incumbent_requests_total{path="/v1/predict",status="200"}'
    until(lambda: metric(counted) == 10)
    before = server.answering
    os.kill(min(before), signal.SIGKILL)
    until(lambda: len(server.answering) == 2 and server.answering != before)
    for _ in range(10):
        assert server.status() == 200
    until(lambda: metric("incumbent_processes") == 2)
    until(lambda: metric(counted) == 20)
    assert metric('incumbent_restarts_total{process="answering"}') == 1
    code, said = server.end()
    (line,) = said.splitlines()
    found = json.loads(line)
    assert (code, found["level"], found["logger"]) == (0, "warning", "incumbent.supervisor")
    assert "ended unasked (SIGKILL) and is started again" in found["message"]


def test_a_killed_supervisor_leaves_nobody_behind(site: Any, supervise: Any) -> None:
    """Answering processes, ticker and keeper notice that it is gone, finish, and free the port."""
    server = supervise("--workers", "2")
    until(lambda: len(children(server.process.pid)) == 4)
    pids = children(server.process.pid)
    assert server.status() == 200
    os.kill(server.process.pid, signal.SIGKILL)
    until(lambda: not any(map(alive, pids)))
    host, port = server.url.removeprefix("http://").split(":")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, int(port)), timeout=WAIT_S)


def test_the_keeper_moves_rows_into_the_log(site: Any, supervise: Any) -> None:
    """Beside the answers, and again after it was killed."""
    server = supervise("--workers", "1", "--no-tick")

    def keepers() -> list[int]:
        return [pid for pid in children(server.process.pid) if "keeping" in command_of(pid)]

    def kept() -> int:
        with sqlite3.connect(site.config.store_path / "log.db") as log:
            return int(log.execute("SELECT count(*) FROM prediction").fetchone()[0])

    assert server.status() == 200
    until(lambda: kept() == 1)
    (before,) = keepers()
    os.kill(before, signal.SIGKILL)
    until(lambda: keepers() and keepers() != [before])
    assert server.status() == 200
    until(lambda: kept() == 2)


def test_the_ticker_is_started_again(supervise: Any) -> None:
    """There is exactly one, and it is counted apart."""
    server = supervise("--workers", "1")

    def tickers() -> list[int]:
        return [pid for pid in children(server.process.pid) if "upkeep" in command_of(pid)]

    until(lambda: len(tickers()) == 1)
    (before,) = tickers()
    os.kill(before, signal.SIGKILL)
    until(lambda: len(tickers()) == 1 and tickers() != [before])
    assert 'incumbent_restarts_total{process="ticker"} 1.0' in httpx.get(f"{server.url}/metrics").text
    code, said = server.end()
    assert code == 0 and "the ticker ended unasked (SIGKILL) and is started again" in said


def test_sighup_renews_the_processes_under_load(supervise: Any) -> None:
    """New ones answer before the old ones leave: no request fails, and each is another process afterwards."""
    server = supervise("--workers", "2", "--no-tick")
    before = server.answering
    stop: list[bool] = []
    answers: list[int] = []

    def hammer(_: int) -> None:
        while not stop:
            answers.append(server.status())

    with ThreadPoolExecutor(4) as threads:
        futures = [threads.submit(hammer, i) for i in range(4)]
        server.process.send_signal(signal.SIGHUP)
        until(lambda: len(server.answering) == 2 and not server.answering & before)
        stop.append(True)
        for future in futures:
            future.result()
    assert set(answers) == {200}
    assert server.end() == (0, "")


def test_a_process_that_cannot_start_ends_the_supervisor_with_its_error(site: Any, supervise: Any) -> None:
    """After three starts in a row; what the process said is what the supervisor says, with its exit code."""
    site.facts.close()
    for path in (site.folder / ".incumbent").glob("log.db*"):
        path.unlink()
    (site.folder / ".incumbent" / "log.db").write_bytes(b"this is no database" * 1000)
    server = supervise("--workers", "1", "--no-tick", ready=False)
    code, said = server.end(0)
    assert code == 4
    assert "could not start (3 in a row)" in said
    assert "NotServing: answering process 1 could not start: StoreDamaged" in said
    assert "Traceback" not in said


def test_a_wrong_setting_ends_it_at_once(site: Any, supervise: Any) -> None:
    """A second start would not mend it: exit code 2."""
    server = supervise("--workers", "2", "--clock", "sun", "--no-tick", ready=False)
    code, said = server.end(0)
    assert code == 2 and "expected wall or replay" in said and "3 in a row" not in said


def test_an_address_that_is_taken_is_said_at_once(site: Any, supervise: Any) -> None:
    """Before any process is started."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        server = supervise("--port", str(taken.getsockname()[1]), ready=False)
        code, said = server.end(0)
    assert code == 2 and "choose another --port" in said


def test_every_process_learns_of_a_token(site: Any, supervise: Any) -> None:
    """Within a poll, whichever process answers."""
    server = supervise("--workers", "2", "--no-tick")
    assert server.status() == 200
    tokens.add(site.facts.ledger, "shop", ["read"], at=DAY, actor="test")
    until(lambda: [server.status() for _ in range(8)] == [401] * 8)


def test_without_a_supervisor_one_process_answers(supervise: Any) -> None:
    """--workers 0: what a rehearsal drives, and Windows has."""
    server = supervise("--workers", "0", "--no-tick")
    assert server.status() == 200 and children(server.process.pid) == []
    assert server.end() == (0, "")


@pytest.mark.parametrize(
    ("options", "found"),
    [(("--workers", "-1"), "expected 0 or more"), (("--workers", "2", "--clock", "replay"), "at most 1")],
)
def test_a_number_of_processes_that_cannot_be(supervise: Any, options: tuple[str, ...], found: str) -> None:
    """Exit code 2, with what was expected."""
    code, said = supervise(*options, ready=False).end(0)
    assert code == 2 and found in said


def test_a_process_that_keeps_dying_is_started_less_and_less_often() -> None:
    """At once the first time, then after 0.5, 1, 2 … 30 s; one that lived for long is started at once again."""
    child = Child("one", "answering", starts=lambda _: pytest.fail("not started here"))
    waits = []
    for now in range(1000, 10_000, 1000):
        child.started_at, child.ready = now - STEADY_S / 2, True
        child.wait_before_next(now)
        waits.append(child.not_before - now)
    assert waits == [0, 0.5, 1, 2, 4, 8, 16, 30, 30]
    child.started_at = 20_000 - STEADY_S
    child.wait_before_next(20_000)
    assert child.not_before == 20_000


def test_a_process_that_never_answered_is_not_steady() -> None:
    """However long its start took."""
    child = Child("one", "answering", starts=lambda _: pytest.fail("not started here"), back_off=4.0)
    child.wait_before_next(1000.0)
    assert (child.not_before, child.back_off) == (1004.0, 8.0)
