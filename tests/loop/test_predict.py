"""The first version in order that answers in time and in shape wins; a breaker spares the one that keeps failing."""

import asyncio
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from incumbent.errors import BadOutput, EngineDied, PredictError, PredictTimeout
from incumbent.loop.predict import SLOW_CALLS, SLOW_S, Block, Call, Chain, Group, Lane
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
        callers = group.callers if len(group.callers) > 1 else group.callers * len(group)
        for caller, row in zip(callers, output.tolist(), strict=True):
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


@pytest.mark.parametrize("opened_by", ["the call that runs", "calls before"])
def test_however_many_wait_for_a_version_that_is_spared_all_are_answered(opened_by: str) -> None:
    """2,000 groups, each refused by itself: by the next version, in their order, and on a stack that does not grow."""

    async def run() -> None:
        gate = Gate()
        slow = Scripted("v2", prompt=False, before=gate, script=[EngineDied("gone")])
        asking = Asking(slow, Scripted("v1"))
        lane = asking.lanes["v2"]
        asking.ask(("v2", "v1"), "first")
        callers = [f"{i}" for i in range(2_000)]
        for caller in callers:
            asking.ask(("v2", "v1"), caller)
        for _ in range(4 if opened_by == "the call that runs" else 5):
            lane.breaker.report(False)
        gate.open.release()
        await until(lambda: len(asking.said) == 2_001)
        assert list(asking.said) == ["first", *callers]
        assert {asking.said[caller][:2] for caller in callers} == {("v1", "breaker_open")}
        assert (slow.calls, len(lane.waiting), lane.busy) == (1, 0, False)
        lane.close()

    asyncio.run(run())


# --- asked and not heard


class Calling(Asking):
    """The same, with what each call said: (reason, p) a caller, and how long it took."""

    def __init__(self, *engines: Any, deadline_ms: float = 100, clock: Callable[[], float] | None = None) -> None:
        super().__init__(*engines, deadline_ms=deadline_ms, clock=clock)
        self.chain = Chain(deadline_ms, self._served, self._failed, self.clock, self._heard)
        self.lanes = {engine.version: self.chain.lane(engine) for engine in engines}
        self.heard: dict[str, tuple[str | None, float | None]] = {}
        self.took_s: list[float] = []

    def _heard(self, call: Call, output: Floats | None) -> None:
        (caller,) = call.callers
        self.heard[caller] = call.reason, None if output is None else output[0, 1]
        self.took_s.append(call.took_s)
        assert caller not in self.said, "the incumbent is asked after it"

    def call(self, *callers: str) -> None:
        """One row for each caller: v3 is called, v2 (and then v1) answers."""
        columns = Table(np.arange(float(len(callers))).reshape(-1, 1), ("x",))
        block = Block(SIGNATURE, columns, [f'{{"x": {i}}}' for i in range(len(callers))])
        none = [None] * len(callers)
        group = Group(block, callers, [0] * len(callers), none, ("v2", "v1"), self.lanes, self.clock())
        self.chain.call(group, "v3")


def test_who_is_called_is_asked_and_another_answers() -> None:
    """Each caller by itself, with what it said; the answer and its reason are the incumbent's."""
    called = Scripted("v3", 0.9)
    asking = Calling(called, Scripted("v2", 0.2))
    asking.call("a", "b")
    assert asking.heard == {"a": (None, 0.9), "b": (None, 0.9)}
    assert asking.said == {"a": ("v2", None, 0.2), "b": ("v2", None, 0.2)}
    assert called.seen == [[0.0], [1.0]]


def test_several_rows_of_one_caller_are_one_call() -> None:
    """Also where they came in a batch with others' rows."""
    called = Scripted("v3", 0.9)
    asking = Calling(called, Scripted("v2", 0.2))
    asking.call("a", "a", "b")
    asking.call("c", "c")
    assert called.seen == [[0.0, 1.0], [2.0], [0.0, 1.0]]
    assert set(asking.said) == {"a", "b", "c"}


@pytest.mark.parametrize(
    ("error", "reason"),
    [(PredictError("no"), "error"), (PredictTimeout("late"), "timeout"), (BadOutput("nan"), "bad_output")],
)
def test_a_call_that_fails_is_no_fallback(error: PredictError, reason: str) -> None:
    """The reason is the call's; one odd row is one caller's alone; the incumbent has none."""
    asking = Calling(Scripted("v3", 0.9, script=[error]), Scripted("v2", 0.2))
    asking.call("a", "b")
    assert asking.heard == {"a": (reason, None), "b": (None, 0.9)}
    assert asking.said == {"a": ("v2", None, 0.2), "b": ("v2", None, 0.2)}


def test_who_is_not_loaded_or_spared_is_not_called() -> None:
    """And the incumbent's own failure is its own: the next in order answers with its reason."""
    asking = Calling(Scripted("v2", script=[PredictTimeout("late")]), Scripted("v1", 0.1))
    asking.call("a")
    assert (asking.heard, asking.said) == ({"a": ("not_loaded", None)}, {"a": ("v1", "timeout", 0.1)})
    failing = Calling(Scripted("v3", script=[PredictError("no")] * 5), Scripted("v2"))
    for i in range(6):
        failing.call(f"{i}")
    assert failing.heard["5"] == ("breaker_open", None) and failing.said["5"] == ("v2", None, 0.5)


def test_a_call_is_waited_for_during_half_of_the_deadline() -> None:
    """Whether it runs or waits for its turn; then nobody listens, and what it says later is nobody's."""
    gate = Gate()

    async def run() -> None:
        slow = Scripted("v3", 0.9, prompt=False, before=gate)
        asking = Calling(slow, Scripted("v2", 0.2), deadline_ms=400, clock=time.monotonic)
        asking.call("runs")
        await until(lambda: slow.calls == 1)
        asking.call("waits")
        await until(lambda: len(asking.said) == 2)
        assert asking.said == {"runs": ("v2", None, 0.2), "waits": ("v2", None, 0.2)}
        assert asking.heard == {"runs": ("timeout", None), "waits": ("timeout", None)}
        assert all(took >= 0.2 - 0.005 for took in asking.took_s)
        gate.open.release(2)
        asking.ask(("v3",), "later")
        await until(lambda: "later" in asking.said)
        assert asking.said["later"] == ("v3", None, 0.9) and len(asking.heard) == 2
        assert slow.calls == 2  # the one that waited was not asked any more
        asking.lanes["v3"].close()

    asyncio.run(run())


def test_calls_share_a_batch_with_those_who_are_answered() -> None:
    """One call of the engine for both; each hears what is its own."""
    gate = Gate()

    async def run() -> None:
        engine = Scripted("v3", 0.9, prompt=False, before=gate)
        asking = Calling(engine, Scripted("v2", 0.2), deadline_ms=60_000, clock=time.monotonic)
        asking.ask(("v3",), "first")
        await until(lambda: engine.calls == 1)
        asking.call("called")
        asking.ask(("v3",), "answered")
        gate.open.release(2)
        await until(lambda: len(asking.said) == 3)
        assert engine.calls == 2 and asking.heard == {"called": (None, 0.9)}
        assert (asking.said["called"][0], asking.said["answered"][0]) == ("v2", "v3")
        asking.lanes["v3"].close()

    asyncio.run(run())


class Piped(Scripted):
    """An engine whose answer comes through a pipe that the loop watches."""

    ailing = False

    def begin(self, columns: Columns) -> int | None:
        self.reads, self.writes = os.pipe()
        os.write(self.writes, b"0.25")
        return self.reads

    def end(self) -> Floats | None:
        p = float(os.read(self.reads, 10))
        return np.array([[1 - p, p]])

    def late(self, deadline_ms: float) -> PredictTimeout:
        return PredictTimeout("late")

    def mend(self) -> None:
        return None


def test_a_lane_that_is_left_is_watched_no_more() -> None:
    """The descriptor of an engine that is closed belongs to somebody else's connection soon."""

    async def ask() -> None:
        engine = Piped("v1", prompt=False)
        asking = Asking(engine)
        asking.ask(("v1",), "a")
        await until(lambda: "a" in asking.said)
        assert asking.said == {"a": ("v1", None, 0.25)}
        asking.lanes["v1"].leave()
        assert not asyncio.get_running_loop().remove_reader(engine.reads)
        for descriptor in (engine.reads, engine.writes):
            os.close(descriptor)

    asyncio.run(ask())
