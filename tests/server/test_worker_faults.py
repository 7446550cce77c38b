"""A challenger that runs other people's code may do its worst: no request fails, none waits much longer than the
deadline, and the trial sees each fault in the log."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import pytest

import incumbent
from incumbent.engines import exchange
from incumbent.loop import breaker, fold, promote, route
from incumbent.records import DAY
from incumbent.server.access import Access

for folder in (Path(__file__).parent, Path(__file__).parents[2] / "benchmarks"):
    sys.path.insert(0, str(folder))
misbehaving, sites = import_module("misbehaving"), import_module("sites")

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks, signals and limits of memory")

WAIT_S = 30.0
DEADLINE_MS, PATIENT_MS = 300, 20_000
SETTINGS = f"""
[versions]
pickle = true
memory_mb = 150
[serve]
poll_s = 0.1
deadline_ms = {DEADLINE_MS}
"""
FAULTS = {
    "hangs": {"timeout"},
    "ignores SIGTERM and hangs": {"timeout"},
    "raises": {"error"},
    "leaves": {"died"},
    "exits": {"died"},
    "segmentation fault": {"died"},
    "forks and exits": {"died", "timeout"},  # the forked process holds the pipe
    "wrong shape": {"error", "bad_output"},
    "three classes": {"error", "bad_output"},
    "NaN": {"bad_output"},
    "no probabilities": {"bad_output"},
    "words": {"error"},
    "None": {"error", "bad_output"},
    "wants too much": {"memory"},
}


class Trial:
    """A server whose challenger v3 misbehaves when it is told to."""

    def __init__(self, folder: Path) -> None:
        self.folder = sites.project(folder, SETTINGS)
        with incumbent.open(folder) as project:
            rows = pd.DataFrame({"hour": [5, 6, 7] * 20, "carrier": ["UA", "AA", None] * 20, "late": [0, 1, 0] * 20})
            project.register(misbehaving.Misbehaving(str(folder)), rows)
        self.facts: Any = None
        self.server: Any = None

    def start(self, run: Callable[..., Any], **shares: float) -> None:
        self.server = run(self.folder, guard=Access())
        self.facts = self.server.door.answerer.facts
        self.begin(**shares)
        self.until(lambda: self.served(self.challenged[0]) == ("v3", None))

    def begin(self, **shares: float) -> None:
        roles = fold.roles(self.facts.ledger.events())
        who = {"at": DAY, "actor": "test", "reason": "a test"}
        promote.start_trial(self.facts.ledger, roles, "v3", mode="split", enrolled=1.0, **shares, **who)
        self.until(lambda: self.server.door.answerer.routes.trial is not None)
        routes = self.server.door.answerer.routes
        units = [f"unit-{i}" for i in range(60)]
        self.challenged = [unit for unit in units if route.assign(routes, unit).arm == "challenger"]
        self.called = [unit for unit in units if route.assign(routes, unit).arm == "called"]
        self.others = [unit for unit in units if unit not in self.challenged + self.called]

    def tell(self, fault: str, name: str = "fault") -> None:
        (self.folder / name).write_text(fault)

    def ask(self, unit: str, hour: int = 5) -> dict[str, Any]:
        """One row; it must be answered."""
        row = {"unit": unit, "features": {"hour": hour, "carrier": "UA"}}
        response = httpx.post(f"{self.server.url}/v1/predict", json={"rows": [row]}, timeout=WAIT_S)
        assert response.status_code == 200, response.text
        (found,) = response.json()["predictions"]
        return dict(found)

    def served(self, unit: str, hour: int = 5) -> tuple[str, str | None]:
        found = self.ask(unit, hour)
        return found["served_by"], found["fallback_reason"]

    def until(self, found: Callable[[], bool]) -> None:
        limit = time.monotonic() + WAIT_S
        while not found():
            assert time.monotonic() < limit, f"not within {WAIT_S:g} s"
            time.sleep(0.02)

    def wait_up_to(self, deadline_ms: float) -> None:
        """Long, where a test is not about the deadline: how busy a machine is must not decide it."""
        answerer = self.server.door.answerer
        answerer.chain.deadline_ms = answerer.state.lanes["v3"]._deadline_ms = deadline_ms

    @property
    def breaker(self) -> breaker.Breaker:
        return self.server.door.answerer.chain.breakers["v3"]  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: Any, run_once: Any) -> Trial:
    trial = Trial(tmp_path_factory.mktemp("trial"))
    trial.start(run_once)
    return trial


@pytest.fixture
def trial(shared: Trial) -> Iterator[Trial]:
    """The challenger answers, nothing is held against it, and nobody is in a hurry."""
    shared.wait_up_to(PATIENT_MS)
    yield shared
    shared.wait_up_to(PATIENT_MS)
    shared.tell("")
    shared.tell("", "fault at start")
    engine = shared.server.door.answerer.state.lanes["v3"].engine
    engine._back_off = engine._not_before = 0.0  # the pauses grow to half a minute: nobody waits for them here

    def healed() -> bool:
        shared.breaker.reset()
        return shared.served(shared.challenged[0]) == ("v3", None)

    shared.until(healed)


@pytest.mark.parametrize("fault", list(FAULTS))
def test_no_request_fails_by_a_fault_of_the_challenger(trial: Trial, fault: str) -> None:
    """The fallback answers its rows, which stay in its arm with the reason; the incumbent's rows and health checks are
    answered as ever."""
    deadline_ms = DEADLINE_MS if "timeout" in FAULTS[fault] else PATIENT_MS
    trial.wait_up_to(deadline_ms)
    trial.tell(fault)
    first = trial.ask(trial.challenged[0])
    assert (first["version"], first["served_by"]) == ("v3", "v1")
    assert first["fallback_reason"] in FAULTS[fault]
    with ThreadPoolExecutor(8) as threads:
        theirs = list(threads.map(trial.ask, trial.challenged[:12]))
        ours = list(threads.map(trial.ask, trial.others[:12]))
        health = list(threads.map(lambda path: httpx.get(f"{trial.server.url}{path}", timeout=WAIT_S).status_code,
                                  ["/healthz", "/readyz"] * 4))  # fmt: skip
    assert {each["served_by"] for each in theirs} == {"v1"}
    assert {each["fallback_reason"] for each in theirs} <= FAULTS[fault] | {"died", "breaker_open"}
    assert {(each["served_by"], each["fallback_reason"]) for each in ours} == {("v1", None)}
    assert set(health) == {200}
    kept = trial.facts.log.find([each["id"] for each in (first, *theirs)])
    assert {(row.arm, row.version, row.served_by) for row in kept.values()} == {("challenger", "v3", "v1")}
    assert [kept[each["id"]].fallback_reason for each in theirs] == [each["fallback_reason"] for each in theirs]
    latest_ms = max(row.latency_us for row in kept.values()) / 1e3
    assert latest_ms < 10 * deadline_ms, f"a row waited {latest_ms:.0f} ms, the deadline is {deadline_ms} ms"


def test_what_does_not_leave_at_once_is_waited_for_in_a_thread(trial: Trial, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small batches are waited for on the loop and large ones in a thread, in any order: each gets its own answer."""
    monkeypatch.setattr(exchange, "AT_ONCE", 4_000)
    unit = trial.challenged[0]

    def ask(n: int) -> list[tuple[str, str, str | None]]:
        rows = [{"unit": unit, "features": {"hour": i % 24, "carrier": "UA"}} for i in range(n)]
        found = httpx.post(f"{trial.server.url}/v1/predict", json={"rows": rows}, timeout=WAIT_S).json()["predictions"]
        return [(str(one["probabilities"]), one["served_by"], one["fallback_reason"]) for one in found]

    (alone,) = ask(1)
    with ThreadPoolExecutor(4) as threads:
        seen = list(threads.map(ask, [1, 2_000, 1, 300, 5, 2_000, 1, 1, 700, 1] * 3))
    assert {each[1:] for one in seen for each in one} == {("v3", None)}
    assert {one[0] for one in seen} == {alone}


def test_a_leak_is_bounded(trial: Trial) -> None:
    """50 MB more with each call: the process is replaced before it has 150 MB more than at its start."""
    trial.tell("leaks")
    seen = [trial.served(trial.challenged[0]) for _ in range(4)]
    assert seen[0] == ("v3", None) and ("v1", "memory") in seen


def test_what_it_prints_changes_nothing(trial: Trial) -> None:
    """Neither the answer nor the pipe through which it comes."""
    trial.tell("prints")
    assert [trial.served(trial.challenged[0]) for _ in range(3)] == [("v3", None)] * 3


@pytest.mark.parametrize("at_start", ["slow", "dies"])
def test_a_process_that_does_not_start_again_is_passed_over(trial: Trial, at_start: str) -> None:
    """After a crash it hangs or dies while it opens the version: nobody waits for it."""
    trial.tell(at_start, "fault at start")
    trial.tell("exits")
    seen = [trial.ask(unit) for unit in trial.challenged[:10]]
    assert {each["served_by"] for each in seen} == {"v1"}
    assert {each["fallback_reason"] for each in seen} <= {"died", "breaker_open"}
    for path in ("/healthz", "/readyz"):
        assert httpx.get(f"{trial.server.url}{path}", timeout=WAIT_S).status_code == 200
    kept = trial.facts.log.find([each["id"] for each in seen])
    assert max(row.latency_us for row in kept.values()) / 1e3 < PATIENT_MS
    if at_start == "slow":  # else the hanging child holds up the next test for a minute
        trial.server.door.answerer.state.lanes["v3"].engine.mend()


def test_a_poisonous_row_falls_back_alone(trial: Trial) -> None:
    """Many callers share a batch with a row on which the challenger raises: theirs are answered by the challenger."""
    trial.tell("raises at 13")
    units = trial.challenged[:16]
    for _ in range(5):
        gate = threading.Barrier(len(units))

        def ask(place: int, gate: threading.Barrier = gate) -> tuple[str, str | None]:
            gate.wait(WAIT_S)
            return trial.served(units[place], 13 if place == 3 else 5)

        with ThreadPoolExecutor(len(units)) as threads:
            seen = list(threads.map(ask, range(len(units))))
        assert seen[3] == ("v1", "error")
        assert {each for place, each in enumerate(seen) if place != 3} == {("v3", None)}


def test_the_breaker_opens_probes_closes_and_latches(trial: Trial, monkeypatch: pytest.MonkeyPatch) -> None:
    """Five failures in a row open it, after the pause one probe at a time passes, three good ones close it; the third
    opening is for good, and ends the trial."""
    monkeypatch.setattr(breaker, "OPEN_S", 0.3)
    unit = trial.challenged[0]
    for opening in (1, 2, 3):
        trial.tell("raises")
        assert [trial.served(unit)[1] for _ in range(5)] == ["error"] * 5
        trial.tell("")
        if opening == 3:
            break
        assert trial.served(unit) == ("v1", "breaker_open")
        trial.until(lambda: trial.served(unit) == ("v3", None))
        assert trial.breaker.state == "half_open"
        assert [trial.served(unit) for _ in range(2)] == [("v3", None)] * 2
        assert trial.breaker.state == "closed"
    trial.until(lambda: trial.server.door.answerer.routes.trial is None)
    *_, last = trial.facts.ledger.events()
    assert (last.type, last.actor, last.data["verdict"]) == ("TrialDecided", "breaker", "roll_back")
    assert "breaker of v3 latched" in last.reason
    assert {trial.served(unit) for _ in range(10)} == {("v1", None)}
    trial.begin()  # a person tries again: the version is loaded anew, and nothing is held against it
    trial.until(lambda: trial.served(trial.challenged[0]) == ("v3", None))


def test_a_called_challenger_costs_time_alone(tmp_path: Path, run: Any) -> None:
    """Third arm: whole, it is heard and not served. It hangs: the incumbent answers inside the deadline, also those who
    come while its process is busy, and without a reason; beside them its own arm falls back as ever."""
    trial = Trial(tmp_path)
    trial.start(run, share=1 / 3, called=1 / 3)
    first, *units = trial.called
    trial.wait_up_to(PATIENT_MS)
    heard = trial.ask(first)
    assert (heard["served_by"], heard["fallback_reason"]) == ("v1", None)
    assert heard["probabilities"]["1"] == pytest.approx(0.2)  # the challenger says 0.3
    trial.wait_up_to(8_000)
    trial.tell("hangs")
    with ThreadPoolExecutor(8) as threads:
        challenged = threads.submit(trial.ask, trial.challenged[0])
        called = list(threads.map(trial.ask, units[:6]))
        assert not challenged.done()  # it waits for the whole deadline, they for half of it
        others = list(threads.map(trial.ask, trial.others[:3]))
    assert {(one["version"], one["served_by"]) for one in called + others} == {("v1", "v1")}
    assert {one["fallback_reason"] for one in called + others} == {None}
    assert challenged.result()["served_by"] == "v1" and challenged.result()["fallback_reason"] == "timeout"
    kept = trial.facts.log.find([one["id"] for one in called])
    assert {row.arm for row in kept.values()} == {"called"}
    trial.until(lambda: trial.facts.log.totals().shadows == 1 + len(called))
    assert trial.facts.log.shadow_failures("v3", 0) == (len(called), 1 + len(called))
    told = httpx.get(f"{trial.server.url}/metrics").text
    assert 'incumbent_called_rows_total{result="answered",version="v3"} 1.0' in told
    assert f'incumbent_called_rows_total{{result="timeout",version="v3"}} {len(called)}.0' in told


def test_a_challenger_that_starts_slowly_holds_up_nothing(tmp_path: Path, run: Any) -> None:
    """While its process opens the version, others are answered, the server is healthy and ready, a promotion and a
    rollback are followed, and it ends in order."""
    slow = Trial(tmp_path)
    slow.server = run(slow.folder, guard=Access())
    answerer = slow.server.door.answerer
    ledger = answerer.facts.ledger
    slow.tell("slow", "fault at start")
    who = {"at": DAY, "actor": "test", "reason": "a test"}
    promote.promote(ledger, fold.roles(ledger.events()), "v2", **who)
    slow.until(lambda: answerer.routes.incumbent == "v2")
    promote.start_trial(ledger, fold.roles(ledger.events()), "v3", mode="split", enrolled=1.0, **who)
    slow.until(lambda: len(answerer.openings) > 0)
    for path in ("/healthz", "/readyz", "/v1/status", "/metrics"):
        assert httpx.get(f"{slow.server.url}{path}", timeout=WAIT_S / 2).status_code == 200, path
    assert slow.served("anybody") == ("v2", None)
    promote.decide_trial(ledger, fold.roles(ledger.events()), "stop", **who)
    promote.roll_back(ledger, fold.roles(ledger.events()), proves=lambda _: None, **who)
    slow.until(lambda: slow.served("anybody") == ("v1", None))
    promote.start_trial(ledger, fold.roles(ledger.events()), "v3", mode="split", enrolled=1.0, **who)
    slow.until(lambda: len(answerer.openings) > 0)
    started = time.monotonic()
    slow.server.stop()
    assert time.monotonic() - started < WAIT_S  # its start would have been waited for twice as long
