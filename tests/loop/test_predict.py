"""The first version in order that answers in time and in shape wins; a breaker spares the one that keeps failing."""

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from incumbent.errors import BadOutput, EngineDied, PredictError, PredictTimeout
from incumbent.loop.predict import SLOW_CALLS, SLOW_S, Block, Breaker, Chain, Group, Lane
from incumbent.records import Column, Signature
from incumbent.runtimes.base import Columns, Floats
from incumbent.runtimes.table import Table

SIGNATURE = Signature((Column("x", "number"),), "binary", (0, 1))


@dataclass
class Clock:
    """A monotonic clock that moves when it is told to."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Scripted:
    """An engine that raises the next error of its script, and answers `p` when the script is at its end."""

    version: str
    p: float = 0.5
    script: list[PredictError] = field(default_factory=list)
    signature: Signature = SIGNATURE
    calls: int = 0
    prompt: bool = True
    seen: list[list[float]] = field(default_factory=list)
    before: Callable[[], None] = lambda: None

    def predict(self, columns: Columns, deadline_ms: float) -> Floats:
        self.calls += 1
        self.before()
        self.seen.append(next(iter(columns.values())).tolist())
        if self.script:
            raise self.script.pop(0)
        n = len(next(iter(columns.values())))
        return np.column_stack([np.full(n, 1 - self.p), np.full(n, self.p)])

    def close(self) -> None:
        return None


class Asking:
    """A chain over engines, and what became of each group of rows: (version, reason, p) a caller."""

    def __init__(self, *engines: Any, deadline_ms: float = 100, clock: Callable[[], float] | None = None) -> None:
        self.clock = clock or Clock()
        self.chain = Chain(deadline_ms, self._served, self._failed, self.clock)
        self.lanes: dict[str, Lane] = {engine.version: self.chain.lane(engine) for engine in engines}
        self.said: dict[str, tuple[str, str | None, float]] = {}
        self.failed: list[Group] = []

    def ask(self, order: tuple[str, ...], *callers: str, block: Block | None = None) -> None:
        """One row for each caller, all in one group."""
        callers = callers or ("a", "b")
        texts = [f'{{"x": {i}}}' for i in range(len(callers))]
        columns = Table(np.arange(float(len(callers))).reshape(-1, 1), ("x",))
        whole = block or Block(SIGNATURE, columns, texts)
        places = [0] * len(callers)
        self.chain.submit(Group(whole, callers, places, [None] * len(callers), order, self.lanes, self.clock()))

    def _served(self, group: Group, output: Floats, version: str) -> None:
        for caller, row in zip(group.callers, output.tolist(), strict=True):
            self.said[caller] = (version, group.reason, row[1])

    def _failed(self, group: Group) -> None:
        self.failed.append(group)


def test_the_first_that_answers_serves() -> None:
    """No fallback, no reason; the others are not even asked."""
    first, second = Scripted("v2", 0.9), Scripted("v1", 0.1)
    asking = Asking(first, second)
    asking.ask(("v2", "v1"))
    assert asking.said == {"a": ("v2", None, 0.9), "b": ("v2", None, 0.9)}
    assert second.calls == 0


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (PredictError("v3 raised ValueError"), "error"),
        (PredictTimeout("late"), "timeout"),
        (BadOutput("nan"), "bad_output"),
        (EngineDied("gone"), "died"),
    ],
)
def test_each_failure_has_its_reason(error: PredictError, reason: str) -> None:
    """The next in order answers, and the reason is that of the version that was asked first."""
    late = PredictTimeout("late too")
    asking = Asking(Scripted("v3", script=[error]), Scripted("v2", script=[late]), Scripted("v1"))
    asking.ask(("v3", "v2", "v1"), "a")
    assert asking.said == {"a": ("v1", reason, 0.5)}


def test_an_engine_that_raises_anything_is_a_failure_of_its_version() -> None:
    """Nobody's request hears a KeyError of somebody's model."""

    def breaks() -> None:
        raise KeyError("x")

    asking = Asking(Scripted("v2", before=breaks), Scripted("v1"))
    asking.ask(("v2", "v1"), "a")
    assert asking.said == {"a": ("v1", "error", 0.5)}


def test_one_odd_row_spoils_no_others_answer() -> None:
    """A batch that fails is asked again for each caller; who still fails gets the fallback alone."""
    engine = Scripted("v2", script=[PredictError("on the batch"), PredictError("on a alone")])
    asking = Asking(engine, Scripted("v1"))
    asking.ask(("v2", "v1"), "a", "b", "c")
    assert {caller: said[:2] for caller, said in asking.said.items()} == {
        "a": ("v1", "error"), "b": ("v2", None), "c": ("v2", None),
    }  # fmt: skip
    assert engine.seen == [[0.0, 1.0, 2.0], [0.0], [1.0], [2.0]]


def test_a_version_that_is_not_loaded_is_passed_over() -> None:
    """Its fallback answers, and says why."""
    asking = Asking(Scripted("v1"))
    asking.ask(("v2", "v1"), "a")
    assert asking.said["a"][:2] == ("v1", "not_loaded")


def test_when_nobody_answers_every_reason_is_named() -> None:
    """What each version said is there for the server's log."""
    asking = Asking(Scripted("v1", script=[BadOutput("NaN in row 0")]))
    asking.ask(("v2", "v1"), "a")
    assert asking.failed[0].said == ["v2: it could not be loaded", "v1: NaN in row 0"]


def test_an_open_breaker_spares_the_version() -> None:
    """After 5 failures in a row the version is not called for 30 seconds; then one probe is."""
    clock = Clock()
    engine = Scripted("v2", script=[PredictError("no")] * 5)
    asking = Asking(engine, Scripted("v1"), clock=clock)
    reasons = []
    for _ in range(8):
        asking.ask(("v2", "v1"), "a")
        reasons.append(asking.said["a"][1])
    assert reasons == ["error"] * 5 + ["breaker_open"] * 3
    assert engine.calls == 5
    clock.now += 30
    asking.ask(("v2", "v1"), "a")
    assert asking.said["a"][0] == "v2"


def test_a_half_open_breaker_lets_one_caller_through_at_a_time() -> None:
    """A batch is no probe: the first caller's rows are, and a bad one sends all others to the fallback."""
    clock = Clock()
    engine = Scripted("v2", script=[PredictError("no")] * 6)
    asking = Asking(engine, Scripted("v1"), clock=clock)
    for _ in range(5):
        asking.ask(("v2", "v1"), "a")
    clock.now += 30
    asking.ask(("v2", "v1"), "a", "b", "c")
    assert engine.seen[5:] == [[0.0]]
    assert {caller: said[1] for caller, said in asking.said.items()} == {
        "a": "error", "b": "breaker_open", "c": "breaker_open",
    }  # fmt: skip


def test_a_row_that_a_version_does_not_take_is_a_failure_of_that_version() -> None:
    """Another version's columns are converted anew, and what cannot be becomes a fallback, not an exception."""
    strict = Signature((Column("y", "number", nullable=False),), "binary", (0, 1))
    asking = Asking(Scripted("v2", signature=strict), Scripted("v1"))
    asking.ask(("v2", "v1"), "a")
    assert asking.said["a"][:2] == ("v1", "error")


def test_columns_are_picked_or_converted() -> None:
    """A version with fewer columns gets a part of ours, one with more reads them from the row itself."""
    texts = ['{"x": 1.0, "y": "a"}', '{"x": 2.0, "y": "b"}', '{"x": 3.0}']
    block = Block(SIGNATURE, Table(np.array([[1.0], [2.0], [3.0]]), ("x",)), texts)
    assert block.picked([0, 2])["x"].tolist() == [1.0, 3.0]
    more = Signature((Column("y", "string"), Column("x", "number")), "binary", (0, 1))
    found = block.of(more, [0, 2])
    assert (found["y"].tolist(), found["x"].tolist()) == (["a", None], [1.0, 3.0])
    none = Signature((), "binary", (0, 1))
    assert block.of(none) == {}


# --- versions that are not asked on the loop


class Gate:
    """Holds an engine's thread until the test lets it go."""

    def __init__(self) -> None:
        self.entered, self.open = threading.Semaphore(0), threading.Semaphore(0)

    def __call__(self) -> None:
        self.entered.release()
        assert self.open.acquire(timeout=10)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.001)


def test_a_batch_is_what_came_while_the_last_one_was_answered() -> None:
    """A slow version never holds the loop: it is asked for one row, then for all that waited, at once."""

    async def run() -> None:
        gate = Gate()
        slow = Scripted("v2", prompt=False, before=gate)
        asking = Asking(slow, Scripted("v1"))
        asking.ask(("v2", "v1"), "first")
        for caller in ("b", "c", "d"):
            asking.ask(("v2", "v1"), caller)
        asking.ask(("v1",), "quick")
        assert asking.said == {"quick": ("v1", None, 0.5)}
        gate.open.release(2)
        await until(lambda: len(asking.said) == 5)
        assert slow.seen == [[0.0], [0.0, 0.0, 0.0]]
        asking.lanes["v2"].close()

    asyncio.run(run())


def test_what_waits_too_long_for_a_busy_version_goes_to_the_next() -> None:
    """After half of the deadline; the batch that runs may still come in time."""

    async def run() -> None:
        gate, clock = Gate(), Clock()
        asking = Asking(Scripted("v2", prompt=False, before=gate), Scripted("v1"), clock=clock)
        asking.ask(("v2", "v1"), "first")
        asking.ask(("v2", "v1"), "second")
        clock.now += 0.06  # of 0.1
        gate.open.release(2)
        await until(lambda: len(asking.said) == 2)
        assert asking.said["first"][:2] == ("v2", None)
        assert asking.said["second"][:2] == ("v1", "timeout")
        asking.lanes["v2"].close()

    asyncio.run(run())


def test_who_is_asked_again_alone_has_no_fresh_deadline() -> None:
    """A call that failed for all took its time; who then waits for half of the deadline in all goes to the next."""

    async def run() -> None:
        clock = Clock()

        def takes() -> None:
            clock.now += 0.04  # of 0.1

        slow = Scripted("v2", prompt=False, script=[PredictError("on the batch")], before=takes)
        asking = Asking(slow, Scripted("v1"), clock=clock)
        asking.ask(("v2", "v1"), "a", "b", "c")
        await until(lambda: len(asking.said) == 3)
        assert {caller: said[:2] for caller, said in asking.said.items()} == {
            "a": ("v2", None), "b": ("v1", "timeout"), "c": ("v1", "timeout"),
        }  # fmt: skip
        asking.lanes["v2"].close()

    asyncio.run(run())


def test_a_slow_version_that_fails_passes_its_rows_on() -> None:
    """Each caller that waited in its batch is answered by the next version."""

    async def run() -> None:
        slow = Scripted("v2", prompt=False, script=[EngineDied("gone")])
        asking = Asking(slow, Scripted("v1"))
        asking.ask(("v2", "v1"), "a", "b")
        await until(lambda: len(asking.said) == 2)
        assert {said[:2] for said in asking.said.values()} == {("v1", "died")}
        asking.lanes["v2"].close()

    asyncio.run(run())


def test_a_prompt_version_that_turns_out_slow_gets_a_thread() -> None:
    """After a few slow calls in a row, so that it holds up nobody but itself."""

    async def run() -> None:
        clock = Clock()

        def slows() -> None:
            clock.now += 2 * SLOW_S

        engine = Scripted("v2", before=slows)
        asking = Asking(engine, clock=clock)
        for i in range(SLOW_CALLS):
            assert asking.lanes["v2"].prompt
            asking.ask(("v2",), f"{i}")
        assert not asking.lanes["v2"].prompt
        asking.ask(("v2",), "later")
        assert "later" not in asking.said
        await until(lambda: "later" in asking.said)
        asking.lanes["v2"].close()

    asyncio.run(run())


# --- the breaker alone


def called(breaker: Breaker, good: bool) -> None:
    assert breaker.allows()
    breaker.report(good)


def test_half_of_twenty_calls_open_it() -> None:
    """Failures that alternate with successes never are 5 in a row: the share opens it, not before 20 calls."""
    breaker = Breaker(Clock())
    for i in range(19):
        called(breaker, good=i % 2 == 1)
        assert breaker.state == "closed"
    called(breaker, good=True)
    assert breaker.state == "closed"  # 10 of 20 failed, but the last call was good
    called(breaker, good=False)
    assert breaker.state == "open"  # 11 of 21


def test_the_window_forgets() -> None:
    """Failures older than 30 s do not count: there is no lifetime rate."""
    clock = Clock()
    breaker = Breaker(clock)
    for _ in range(4):
        for i in range(12):
            called(breaker, good=i % 3 != 0)
        clock.now += 31
    for i in range(18):
        called(breaker, good=i % 2 == 0)
    assert breaker.state == "closed"


def test_exactly_one_probe_at_a_time() -> None:
    """Half-open: the second caller is turned away until the first has reported."""
    clock = Clock()
    breaker = Breaker(clock)
    for _ in range(5):
        called(breaker, good=False)
    assert not breaker.allows()
    clock.now += 30
    assert breaker.allows()
    assert not breaker.allows()
    breaker.report(True)
    assert breaker.allows()


def test_three_good_probes_close_it() -> None:
    """Two are not enough, and one failure opens it again."""
    clock = Clock()
    breaker = Breaker(clock)
    for _ in range(5):
        called(breaker, good=False)
    clock.now += 30
    called(breaker, good=True)
    called(breaker, good=True)
    assert breaker.state == "half_open"
    called(breaker, good=True)
    assert breaker.state == "closed"


def test_a_bad_probe_opens_it_again() -> None:
    """Two good probes before it count for nothing."""
    clock = Clock()
    breaker = Breaker(clock)
    for _ in range(5):
        called(breaker, good=False)
    clock.now += 30
    for good in (True, True, False):
        called(breaker, good)
    assert breaker.state == "open"


def test_the_third_opening_in_ten_minutes_latches() -> None:
    """It stays shut, however long one waits, until the version is loaded anew."""
    clock = Clock()
    breaker = Breaker(clock)
    for _ in range(5):
        called(breaker, good=False)
    for _ in range(2):
        clock.now += 30
        called(breaker, good=False)
    clock.now += 100_000
    assert breaker.state == "latched"
    assert not breaker.allows()
    breaker.reset()
    assert breaker.allows()


def test_a_version_that_asks_another_machine_never_latches() -> None:
    """However often it opens: the other machine may be back."""
    clock = Clock()
    breaker = Breaker(clock, latches=False)
    for _ in range(5):
        called(breaker, good=False)
    for _ in range(9):
        clock.now += 30
        called(breaker, good=False)
    assert breaker.state == "open"
    clock.now += 30
    for _ in range(3):
        called(breaker, good=True)
    assert breaker.state == "closed"


def test_three_openings_in_more_than_ten_minutes_do_not_latch() -> None:
    """The openings are counted in a window too."""
    clock = Clock()
    breaker = Breaker(clock)
    for _ in range(5):
        called(breaker, good=False)
    for _ in range(4):
        clock.now += 301
        called(breaker, good=False)
    assert breaker.state == "open"
