"""Ask a version inside its deadline; if it fails, is late or answers nonsense, the next one answers.

In: groups of rows, each with the order in which to ask, and lanes by name. Out: what was served, or that nobody
answered. Each version has a lane: its own queue, its own batch, and a breaker, so that one that keeps failing is not
waited for. Time is an injected monotonic clock.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import msgspec

from incumbent.engines.base import Engine, Waited
from incumbent.errors import EngineDied, PredictError, PredictTimeout, RowError
from incumbent.loop.breaker import Breaker, State
from incumbent.records import Signature
from incumbent.runtimes.base import Columns, Floats
from incumbent.runtimes.signature import to_columns
from incumbent.runtimes.table import joined, take

MOST_ROWS = 5_000
"""Rows that a thread's lane takes at once."""
SLOW_S = 0.025
SLOW_CALLS = 3
"""A prompt engine that took longer than SLOW_S in so many calls in a row would hold up everybody: it gets a thread."""

_LOGGER = logging.getLogger("incumbent")
_decode = msgspec.json.Decoder().decode


class Block:
    """Accepted rows of one batch: their columns in our signature, and their texts for whoever has another one."""

    __slots__ = ("columns", "signature", "texts")

    def __init__(self, signature: Signature, columns: Columns, texts: Sequence[str]) -> None:
        self.signature, self.columns, self.texts = signature, columns, texts

    def picked(self, picked: Sequence[int] | None) -> Columns:
        """The columns of some rows; None: all of them."""
        return self.columns if picked is None else take(self.columns, picked)

    def of(self, signature: Signature, picked: Sequence[int] | None = None) -> Columns:
        """The columns of some rows as another signature has them. PredictError when a row does not fit it."""
        if _covers(self.signature, signature):
            ours = self.picked(picked)
            return {name: ours[name] for name in signature.names}
        texts = self.texts if picked is None else [self.texts[i] for i in picked]
        try:
            return to_columns([_decode(text) for text in texts], signature)
        except RowError as error:
            raise PredictError(f"it does not take this row: {error}") from error


class Group:
    """Rows of one batch that ask the same versions in the same order (`Call`: one that is asked and not heard).

    Row k is row `places[k]` of the request `callers[k]`; one caller alone stands once. `picked` are their places in the
    block (None: all of them, in order), `assigned` one assignment a row. `order` is whom to ask, `place` who is asked
    now, `since` since when it waits for that one; `reason` is why the first one did not answer. `alone` says that its
    rows shall share a call with nobody's.
    """

    __slots__ = (
        "alone", "assigned", "block", "callers", "lanes", "order", "picked", "place", "places", "reason", "said",
        "since", "started",
    )  # fmt: skip

    def __init__(
        self,
        block: Block,
        callers: Sequence[Any],
        places: Sequence[int],
        assigned: Sequence[Any],
        order: tuple[str, ...],
        lanes: Mapping[str, "Lane"],
        started: float,
        picked: Sequence[int] | None = None,
    ) -> None:
        self.block, self.callers, self.places, self.assigned = block, callers, places, assigned
        self.order, self.lanes = order, lanes
        self.started, self.picked = started, picked
        self.place = 0
        self.reason: str | None = None
        self.said: list[str] = []
        self.alone = False
        self.since: float | None = None

    answers: "Group | None" = None  # no slots of theirs: two more to fill for each group
    """Of a `Call` the group that goes on after it; None: this one is answered."""
    over: bool = False
    """Of a `Call`: nobody listens to what a version says of it any more."""

    def pass_on(self, error: PredictError) -> None:
        """The version that was asked did not answer: the next one's turn."""
        self.said.append(f"{self.order[self.place]}: {error}")
        if self.reason is None:
            self.reason = error.why if isinstance(error, Passed) else error.reason
        self.place += 1
        self.since = None

    def __len__(self) -> int:
        return len(self.places)

    def split(self) -> list["Group"]:
        """A group for each caller; empty when there is one caller alone."""
        parts = self.by_caller()
        return parts if len(parts) > 1 else []

    def by_caller(self) -> list["Group"]:
        """A group for each caller, who stands once in it."""
        if len(self.callers) == 1:
            return [self]
        rows: dict[int, list[int]] = {}
        for k, asked in enumerate(self.callers):
            rows.setdefault(id(asked), []).append(k)
        return [self._part(each) for each in rows.values()]

    def _part(self, rows: list[int]) -> "Group":
        picked = rows if self.picked is None else [self.picked[k] for k in rows]
        places, assigned = [self.places[k] for k in rows], [self.assigned[k] for k in rows]
        caller = self.callers[rows[0]]
        part = Group(self.block, [caller], places, assigned, self.order, self.lanes, self.started, picked)
        part.place, part.reason, part.said, part.alone = self.place, self.reason, list(self.said), True
        part.since = self.since
        return part


class Call(Group):
    """Rows of one caller for which a version is asked while another one answers them (`answers`): what it says, or that
    it fails, costs them time and nothing else.

    `began` is when it was asked, `took_s` how long it was waited for: at most half of the deadline.
    """

    __slots__ = ("answers", "began", "over", "timer", "took_s")

    def __init__(self, answers: Group, version: str, now: float) -> None:
        of = answers.block, answers.callers, answers.places, answers.assigned
        super().__init__(*of, (version,), answers.lanes, answers.started, answers.picked)
        self.answers, self.over = answers, False
        self.began, self.took_s = now, 0.0
        self.timer: asyncio.TimerHandle | None = None

    def end(self, now: float) -> None:
        """Whatever came of it, it is over."""
        self.over, self.took_s = True, now - self.began
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None


class _Flight(NamedTuple):
    """What a process was asked for: whose rows, who hears of it, and when nobody waits any more."""

    groups: Sequence[Group]
    done: Callable[..., None]
    timer: asyncio.TimerHandle


class Lane:
    """One version in this process: its engine, its breaker, and the groups that wait for it.

    An engine that is `prompt` is asked on the spot. Any other is asked for whatever came while the last batch was being
    answered: one in a process of its own is waited for on the loop, as a connection is, where that can be; else a
    thread waits. A prompt engine that turns out to be slow gets a thread too.
    """

    def __init__(self, engine: Engine, breaker: Breaker, deadline_ms: float, clock: Callable[[], float]) -> None:
        self.engine, self.breaker = engine, breaker
        self.prompt = engine.prompt
        self.waiting: deque[tuple[Group, float]] = deque()
        self.busy = self._starting = False
        self._deadline_ms, self._clock = deadline_ms, clock
        self._same: Signature | None = None
        self._slow = 0
        self._thread: ThreadPoolExecutor | None = None
        self._waited = engine if isinstance(engine, Waited) else None
        self._watched: int | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._flight: _Flight | None = None
        self._done: Callable[..., None] | None = None

    @property
    def rows(self) -> int:
        """Rows that wait for its thread."""
        return sum(len(group) for group, _ in self.waiting)

    def ask(self, group: Group) -> Floats:
        """Ask the engine on the spot, through its breaker; PredictError when it does not answer."""
        columns = self._columns(group)
        if not self.breaker.allows():
            raise Passed("breaker_open", f"its breaker is {self.breaker.state} after failures")
        return self._report(self._call(columns, self._deadline_ms))

    def start(self, done: Callable[["Lane", Sequence[Group], Floats | PredictError], None]) -> None:
        """Ask for what waits, in the thread; `done` hears of it on the loop. Nothing happens while a batch runs.

        Groups that are refused here (by an open breaker, say) are told at once, one after the other: `done` starts the
        lane again, which returns while this goes on. Two frames a group would reach the end of the stack."""
        self._done = done
        if self._starting:
            return
        self._starting = True
        try:
            while self._next():
                self._begin(done)
        finally:
            self._starting = False

    def _next(self) -> bool:
        """Is there a group to ask for, and nothing that runs?"""
        while self.waiting and self.waiting[0][0].over:
            self.waiting.popleft()
        return bool(self.waiting) and not self.busy

    def _begin(self, done: Callable[["Lane", Sequence[Group], Floats | PredictError], None]) -> None:
        groups, oldest = self._taken()
        try:
            columns = joined([self._columns(group) for group in groups])
            if not self.breaker.allows():
                raise Passed("breaker_open", f"its breaker is {self.breaker.state} after failures")
        except PredictError as error:
            done(self, groups, error)
            return
        left_ms = max(self._deadline_ms - (self._clock() - oldest) * 1e3, self._deadline_ms / 2)
        self.busy = True
        if self._waited is None or not self._fly(self._waited, columns, left_ms, groups, done):
            self._unwatch()  # the thread reads the same pipe
            self._beside(lambda: self._call(columns, left_ms), lambda said: self._finished(groups, said, done))

    def leave(self) -> None:
        """The loop looks at the engine no more. Called on the loop, before `close`: a descriptor that is closed while
        it is watched belongs to somebody else's connection soon."""
        if self._flight is not None:
            self._flight.timer.cancel()
            self._flight = None
        self._unwatch()

    def close(self) -> None:
        """Give back the engine and the thread."""
        if self._thread is not None:
            self._thread.shutdown(wait=False)
        self.engine.close()

    def _columns(self, group: Group) -> Columns:
        """The rows of a group as the engine takes them. Comparing two signatures costs 8 us, so it is done once."""
        block = group.block
        if block.signature is self._same:
            return block.picked(group.picked)
        if block.signature.columns == self.engine.signature.columns:
            self._same = block.signature
            return block.picked(group.picked)
        return block.of(self.engine.signature, group.picked)

    def _fly(
        self, engine: Waited, columns: Columns, left_ms: float, groups: Sequence[Group], done: Callable[..., None]
    ) -> bool:
        """Ask an engine that the loop can wait for. False where a thread has to."""
        loop = asyncio.get_running_loop()
        self._flight = _Flight(groups, done, loop.call_later(left_ms / 1e3, self._late, engine, left_ms))
        try:
            watched = engine.begin(columns)
        except PredictError as error:
            self._landed(engine, error)
            return True
        if watched is None:
            self._flight.timer.cancel()
            self._flight = None
            return False
        if watched != self._watched:
            loop.add_reader(watched, self._readable, engine)
            self._watched, self._loop = watched, loop
        return True

    def _readable(self, engine: Waited) -> None:
        """The answer, or that the other side is gone, which is heard at once, also while nothing is asked."""
        try:
            said: Floats | PredictError | None = engine.end()
        except PredictError as error:
            said = error
        if said is not None:
            self._landed(engine, said)

    def _late(self, engine: Waited, left_ms: float) -> None:
        self._landed(engine, engine.late(left_ms))

    def _landed(self, engine: Waited, said: Floats | PredictError) -> None:
        """Tell who waits. An ailing engine stays busy until a thread has mended it."""
        flight, self._flight = self._flight, None
        if flight is not None:
            flight.timer.cancel()
        engine.ailing = engine.ailing or flight is None
        if engine.ailing:
            self._unwatch()
            self.busy = True
            self._beside(lambda: _mend(engine), lambda _: self._mended())
            if flight is not None:
                self._tell(flight.groups, said, flight.done)
        elif flight is not None:
            self._finished(flight.groups, said, flight.done)

    def _unwatch(self) -> None:
        if self._watched is not None and self._loop is not None and not self._loop.is_closed():
            self._loop.remove_reader(self._watched)
        self._watched = None

    def _mended(self) -> None:
        self.busy = False
        if self._done is not None:
            self.start(self._done)

    def _beside(self, asks: Callable[[], Any], then: Callable[[Any], None]) -> None:
        """Do what may wait in the lane's thread; `then` hears of it on the loop."""
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"incumbent-{self.engine.version}")
        loop = asyncio.get_running_loop()
        running = self._thread.submit(asks)
        running.add_done_callback(lambda it: loop.call_soon_threadsafe(then, it.result()))

    def _finished(self, groups: Sequence[Group], said: Floats | PredictError, done: Callable[..., None]) -> None:
        self.busy = False
        self._tell(groups, said, done)

    def _tell(self, groups: Sequence[Group], said: Floats | PredictError, done: Callable[..., None]) -> None:
        self.breaker.report(not isinstance(said, PredictError))
        done(self, groups, said)

    def _call(self, columns: Columns, left_ms: float) -> Floats | PredictError:
        started = self._clock()
        try:
            output: Floats | PredictError = self.engine.predict(columns, left_ms)
        except PredictError as error:
            output = error
        except Exception as error:  # an engine's own mistake is a failure of its version like any other
            output = PredictError(f"{self.engine.version} raised {type(error).__name__}: {error}")
        self._slow = self._slow + 1 if self._clock() - started > SLOW_S else 0
        if self._slow >= SLOW_CALLS:
            self.prompt = False
        return output

    def _report(self, said: Floats | PredictError) -> Floats:
        self.breaker.report(not isinstance(said, PredictError))
        if isinstance(said, PredictError):
            raise said
        return said

    def _taken(self) -> tuple[list[Group], float]:
        """What waits, up to MOST_ROWS, and since when. A half-open breaker gets one caller's rows alone."""
        group, oldest = self.waiting.popleft()
        groups, rows = [group], len(group)
        if self.breaker.state == "half_open" and (parts := group.split()):
            self.waiting.extendleft((part, oldest) for part in reversed(parts[1:]))
            return parts[:1], oldest
        while (
            self.breaker.state == "closed"
            and not group.alone
            and self.waiting
            and not self.waiting[0][0].alone
            and rows + len(self.waiting[0][0]) <= MOST_ROWS
        ):
            group, _ = self.waiting.popleft()
            if not group.over:
                groups.append(group)
                rows += len(group)
        return groups, oldest


def _mend(engine: Waited) -> None:
    try:
        engine.mend()
    except Exception:  # no process can be started now: it is tried again when the version is asked next
        _LOGGER.warning("a process could not be started again", exc_info=True)


class Chain:
    """Asks versions in the order of each group until one answers. Keeps one breaker a version, for good.

    `served(group, output, version)` and `failed(group)` hear what became of it, and `called(call, output)` what a
    version said that was called and not heard (None where it failed: `call.reason`). All of it runs on one thread;
    `clock` is monotonic, in seconds.
    """

    def __init__(
        self,
        deadline_ms: float,
        served: Callable[[Group, Floats, str], None],
        failed: Callable[[Group], None],
        clock: Callable[[], float] = time.monotonic,
        called: Callable[[Call, Floats | None], None] = lambda call, output: None,
    ) -> None:
        self.deadline_ms = deadline_ms
        self.breakers: dict[str, Breaker] = {}
        self._served, self._failed, self._called, self._clock = served, failed, called, clock

    def lane(self, engine: Engine) -> Lane:
        """A lane for an engine that was just opened; its breaker starts anew."""
        breaker = self.breakers.setdefault(engine.version, Breaker(self._clock))
        breaker.reset()
        breaker.latches = not getattr(engine, "comes_back", False)
        return Lane(engine, breaker, self.deadline_ms, self._clock)

    def state_of(self, name: str) -> State:
        """How the breaker of a version stands."""
        return self.breakers[name].state if name in self.breakers else "closed"

    def submit(self, group: Group) -> None:
        """Ask the next version in order, and the one after it where it fails."""
        while group.place < len(group.order):
            name = group.order[group.place]
            lane = group.lanes.get(name)
            if lane is None:
                group.pass_on(Passed("not_loaded", "it could not be loaded"))
                continue
            if not lane.prompt:
                if group.since is None:  # else it was asked before, with others: it has no fresh deadline
                    group.since = self._clock()
                lane.waiting.append((group, group.since))
                if isinstance(group, Call):
                    self._bound(group)
                lane.start(self._done)
                return
            if lane.breaker.state == "half_open" and (parts := group.split()):
                for part in parts:
                    self.submit(part)
                return
            try:
                output = lane.ask(group)
            except PredictError as error:
                if self._one_by_one(group, error, together=False):
                    return
                continue
            self._answered(group, output, name)
            return
        if isinstance(group, Call):
            self._over(group, None)
        else:
            self._failed(group)

    def call(self, group: Group, version: str) -> None:
        """Ask a version for rows that another one answers: they go on when it answered or failed, and after half of the
        deadline in any case (an engine on the loop cannot be interrupted), so that the answer keeps inside it."""
        for part in group.by_caller():
            part.alone = False
            self.submit(Call(part, version, self._clock()))

    def _answered(self, group: Group, output: Floats, version: str) -> None:
        if isinstance(group, Call):
            self._over(group, output)
        else:
            self._served(group, output, version)

    def _bound(self, call: Call) -> None:
        if call.timer is None:
            call.timer = asyncio.get_running_loop().call_later(self.deadline_ms / 2e3, self._give_up, call)

    def _give_up(self, call: Call) -> None:
        call.timer = None
        call.pass_on(PredictTimeout(f"{call.order[0]} was waited for during half of the deadline"))
        self._over(call, None)

    def _over(self, call: Call, output: Floats | None) -> None:
        if not call.over:
            call.end(self._clock())
            self._called(call, output)
            assert call.answers is not None
            self.submit(call.answers)

    def _one_by_one(self, group: Group, error: PredictError, together: bool) -> bool:
        """A version that raised on a batch is asked again for each caller, so that one odd row spoils no other's
        answer; one that is late or gone is not. `together` says that other groups were in the same call. True when it
        is asked again; else the group passes on."""
        parts = group.split()
        if not parts and together:
            group.alone, parts = True, [group]
        if not parts or isinstance(error, Passed | PredictTimeout | EngineDied):
            group.pass_on(error)
            return False
        for part in parts:
            self.submit(part)
        return True

    def _done(self, lane: Lane, groups: Sequence[Group], said: Floats | PredictError) -> None:
        if isinstance(said, PredictError):
            for group in groups:
                if not group.over and not self._one_by_one(group, said, together=len(groups) > 1):
                    self.submit(group)
            self._expire(lane)
        else:
            start = 0
            for group in groups:
                self._answered(group, said[start : start + len(group)], lane.engine.version)
                start += len(group)
            self._expire(lane)
        lane.start(self._done)

    def _expire(self, lane: Lane) -> None:
        """Who waited half the deadline for a busy version would be late with it: the next one's turn."""
        latest = self._clock() - self.deadline_ms / 2e3
        while lane.waiting and lane.waiting[0][1] < latest:
            group, _ = lane.waiting.popleft()
            if group.over:
                continue
            group.pass_on(PredictTimeout(f"{lane.engine.version} was busy for half of its deadline"))
            self.submit(group)


def _covers(ours: Signature, theirs: Signature) -> bool:
    """Are all of their columns among ours, with the same type, and null only where they take null?"""
    known = {column.name: column for column in ours.columns}
    return all(
        c.name in known and c.type == known[c.name].type and (c.nullable or not known[c.name].nullable)
        for c in theirs.columns
    )


class Passed(PredictError):
    """A version that was not asked at all: `why` is the fallback reason."""

    def __init__(self, why: str, message: str) -> None:
        super().__init__(message)
        self.why = why
