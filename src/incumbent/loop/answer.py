"""Answer requests: the one way in for the server, for scoring and for Python.

In: rows, outcomes and the ledger that other processes append to. Out: answers that are in the log before they leave.
Composes route, predict, log and shadow; `follow` keeps the state that it answers with, as the ledger moves. Decides
nothing.

Everything on the path of an answer happens on one event loop, so nothing waits for a thread to be scheduled. What
arrives between two turns of the loop is one batch: one pass of checks, one call of each version, one commit. There is
no timer and nothing to tune: a quiet server answers a row at once, a busy one many rows for the price of one commit.
"""

import asyncio
import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import repeat
from typing import Literal

import numpy as np

from incumbent.clock import wall
from incumbent.config import Config
from incumbent.engines.base import Engine
from incumbent.engines.opening import OpenEngine
from incumbent.errors import RowError
from incumbent.loop import asked as rows_asked
from incumbent.loop import log, outcome, predict, route, shadow
from incumbent.loop.asked import Asked, Unanswered
from incumbent.loop.follow import Follower, State
from incumbent.loop.meter import Meter
from incumbent.loop.opening import Openings
from incumbent.records import SECOND, Answer, Micros, Outcome, Request, Routes, Shadow
from incumbent.runtimes.base import Columns, Floats
from incumbent.stats import metrics
from incumbent.storage.base import OutcomeCounts, PredictionRow
from incumbent.storage.opening import Facts

Clock = Literal["wall", "replay"]
_LOGGER = logging.getLogger("incumbent")
REPLAY_DEADLINE_MS = 60_000.0
"""A rehearsal reports latency and decides nothing on it: what it decides must not depend on how busy a machine is."""
CHUNK = 256
"""Rows of large requests that one turn takes, so that single rows pass between two chunks."""


class Answerer:
    """Answers requests of one project, on one event loop.

    `clock` is "wall", or "replay": then time comes from the requests, nothing is ahead of the clock, and no
    shadow row is dropped. Call `follow` once before the first request, then again and again; call `shadow`
    after answers. `ask` is for callers on the loop; `answer` is for Python, one caller at a time.
    """

    def __init__(
        self,
        config: Config,
        facts: Facts,
        open_engine: OpenEngine,
        clock: Clock = "wall",
        *,
        now: Callable[[], Micros] = wall,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.config, self.facts, self.clock = config, facts, clock
        self.counts: Counter[str] = Counter()
        self.meter = Meter()
        self.now, self.new_id = now, log.Ids()
        self.waiting = 0
        """Rows that were taken and not answered yet."""
        self._deadline_ms = config.serve.deadline_ms if clock == "wall" else REPLAY_DEADLINE_MS
        self.chain = predict.Chain(self._deadline_ms, self._served, self._unanswered, monotonic, self._called)
        self.queue = shadow.Queue(None if clock == "replay" else shadow.MOST_ROWS)
        self.shadows_wait: Callable[[], None] = lambda: None
        """Called on the loop when there is something for `shadow` to score."""
        self._monotonic = monotonic
        self._window = int(config.live.window_hours * 3600 * SECOND)
        self._metric = metrics.get(config.task.metric, config.task.kind)
        self._private = log.privacy(config.task.private, config.task.unit, config.store_path)
        self.writer = log.Writer(facts.log, config.store.durability, self._private, self._settled, self.meter.committed)
        self._arrived: list[Asked] = []
        self._large: deque[tuple[Asked, int]] = deque()
        self._answered: list[Asked] = []
        self._scheduled = False
        self._idle: asyncio.Event | None = None
        self._calling, self._settling, self._shadowing = (threading.Lock() for _ in range(3))
        self._follower = Follower(
            facts.ledger, open_engine, self.chain, self._shadowing, lets_go=clock == "wall", now=now,
            monotonic=monotonic,
        )  # fmt: skip

    @property
    def state(self) -> State:
        return self._follower.state

    @property
    def routes(self) -> Routes | None:
        return self.state.routes

    @property
    def openings(self) -> Openings:
        """Versions that are being opened."""
        return self._follower.openings

    @property
    def ready(self) -> bool:
        """Is at least one version of the chain loaded and proved?"""
        state = self.state
        return state.routes is not None and any(name in state.lanes for name in state.routes.chain)

    # --- requests

    def answer(self, requests: Sequence[Request]) -> list[Answer]:
        """Answers in the order of the requests, logged. All or none. For Python: it runs a loop of its own.

        Raises RowError for a row that is wrong (nothing is assigned or logged), IdReused for an id that came
        with other features, PredictError when no version answered, StorageError when the answer could not be
        kept.
        """
        (result,) = self.answer_each([requests])
        if isinstance(result, Exception):
            raise result
        return result

    def answer_each(self, groups: Sequence[Sequence[Request]]) -> list[list[Answer] | Exception]:
        """Answer several callers' requests as one batch. A wrong group gets its error, the others answers."""
        with self._calling:
            loop = self._follower.loop
            if loop is None or loop.is_closed():
                loop = self._follower.loop = asyncio.new_event_loop()
            return loop.run_until_complete(self._answer_each(groups))

    async def _answer_each(self, groups: Sequence[Sequence[Request]]) -> list[list[Answer] | Exception]:
        taken = [self._ask_requests(group) for group in groups]
        found = await asyncio.gather(*taken, return_exceptions=True)
        return [each.answers() if isinstance(each, Asked) else each for each in found]  # type: ignore[misc]

    async def _ask_requests(self, requests: Sequence[Request]) -> Asked:
        state = self.state
        signature = state.signature  # PredictError where there is none
        assert signature is not None
        return await self.ask(rows_asked.of_requests(requests, state, state.reader))

    def ask(self, asked: Asked) -> "asyncio.Future[Asked]":
        """Take rows; the future is the same object with its answers, or raises its error. Call it on the loop."""
        future: asyncio.Future[Asked] = asyncio.get_running_loop().create_future()

        def done(asked: Asked) -> None:
            if future.done():
                return  # the caller went away
            if asked.error is None:
                future.set_result(asked)
            else:
                future.set_exception(asked.error)

        self.take(asked, done)
        return future

    def take(self, asked: Asked, done: Callable[[Asked], None]) -> None:
        """Take rows; `done` hears on the loop that they are answered and logged, or of the `error` that ended them.

        Raises RowError at once for a time ahead of the clock. Call it on the loop.
        """
        if self.clock == "wall":
            ahead = self.config.serve.max_ahead_s
            rows_asked.refuse_ahead(asked.ats, self.now() + int(ahead * SECOND), ahead, "at")
        if not asked.ids:
            done(asked)
            return
        if self.config.task.unit and None in asked.units:
            rows_asked.name_units(asked, self.config.task.unit)
        asked.done = done
        asked.started = self._monotonic()
        asked.state.open += 1
        self.waiting += len(asked.ids)
        if len(asked.ids) > CHUNK:
            self._large.append((asked, 0))
        else:
            self._arrived.append(asked)
        if not self._scheduled:
            self._follower.loop = loop = asyncio.get_running_loop()
            self._scheduled = True
            loop.call_soon(self._turn)

    async def drained(self) -> None:
        """Wait until everything that was taken is answered and written."""
        while self.waiting or not self.writer.idle:
            self._idle = asyncio.Event()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._idle.wait(), 0.05)

    def _turn(self) -> None:
        """One batch: whatever arrived since the last one."""
        self._scheduled = True
        arrived, self._arrived = self._arrived, []
        parts: list[tuple[Asked, int, int]] = [(asked, 0, len(asked.ids)) for asked in arrived]
        if self._large:
            asked, start = self._large.popleft()
            end = min(start + CHUNK, len(asked.ids))
            parts.append((asked, start, end))
            if end < len(asked.ids) and asked.error is None:
                self._large.appendleft((asked, end))
        for state in {part[0].state: None for part in parts}:  # two where the routes changed meanwhile
            its = [part for part in parts if part[0].state is state]
            try:
                self._batch(state, its)
            except Exception as error:  # a mistake of ours: nobody waits for ever
                _LOGGER.exception("a batch could not be answered")
                for asked, _, _ in its:
                    self._fail(asked, error)
        self._write()
        self._scheduled = False
        if self._large or self._arrived:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._turn)

    def _batch(self, state: State, parts: list[tuple[Asked, int, int]]) -> None:
        """Check, assign and ask for rows of one state."""
        block = self._block(state, parts)
        if block is None:  # somebody's row is wrong after all: whose?
            parts = [part for part in parts if self._passes(state, part)]
            if not parts:
                return
            block = self._block(state, parts)
            assert block is not None
        routes = state.routes
        assert routes is not None
        callers, places, units = _rows_of(parts)
        started = parts[0][0].started
        if state.router.alone is not None:
            assigned = [state.router.alone] * len(places)
            order = route.order(routes, routes.incumbent)
            self.chain.submit(predict.Group(block, callers, places, assigned, order, state.lanes, started))
            return
        assigned = list(map(state.router.assign, units))
        called = state.router.calls
        for version, picked in _by_version(assigned, called is not None).items():
            order = route.order(routes, version or routes.incumbent)
            if len(picked) == len(places):
                group = predict.Group(block, callers, places, assigned, order, state.lanes, started)
            else:
                whose = callers if len(callers) == 1 else [callers[k] for k in picked]
                of = whose, [places[k] for k in picked], [assigned[k] for k in picked]
                group = predict.Group(block, *of, order, state.lanes, started, picked)
            if version is None and called is not None:
                self.chain.call(group, called)
            else:
                self.chain.submit(group)

    def _block(self, state: State, parts: list[tuple[Asked, int, int]]) -> predict.Block | None:
        if len(parts) == 1:
            asked, start, end = parts[0]
            whole = end - start == len(asked.ids)
            values = asked.values if whole else asked.values[start:end]
            texts = asked.texts if whole else asked.texts[start:end]
        else:
            values = [value for asked, start, end in parts for value in asked.values[start:end]]
            texts = [text for asked, start, end in parts for text in asked.texts[start:end]]
        columns = state.reader.columns(values)
        return None if columns is None else predict.Block(state.signature, columns, texts)

    def _passes(self, state: State, part: tuple[Asked, int, int]) -> bool:
        """Read the rows of one part with care; what is wrong in them ends their request."""
        asked, start, end = part
        if asked.error is not None:
            return False
        try:
            numbers = range(start, end)
            asked.values[start:end] = state.reader.read_with_care(asked.features()[start:end], numbers)
            return True
        except RowError as error:
            self._fail(asked, error)
            return False

    def _served(self, group: predict.Group, output: Floats, version: str) -> None:
        """A version answered a group: the rows that the log shall keep."""
        latency = round((self._monotonic() - group.started) * 1e6)
        reason = group.reason
        packed, outputs = _packed(output), output.reshape(len(group), -1).tolist()
        if len(group.callers) == 1:
            self._served_one(group, packed, outputs, version, latency)
        else:
            rows = zip(group.callers, group.places, group.assigned, packed, outputs, strict=True)
            for asked, i, to, content, said in rows:
                asked.rows[i] = PredictionRow(
                    asked.ids[i], asked.ats[i], asked.texts[i], to.version, version, content, asked.units[i],
                    to.trial, to.phase, to.arm, to.propensity, reason, latency,
                )  # fmt: skip
                asked.outputs[i] = said
                asked.left -= 1
                if not asked.left:
                    self._answered.append(asked)
        self.meter.served(version, len(group), latency / 1e6, group.assigned[0].version, reason)
        if reason is not None:
            self.counts[f"fallback:{reason}"] += len(group)
        if self._answered and not self._scheduled:  # a thread's lane answered; a turn writes by itself
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._write_soon)

    def _served_one(
        self, group: predict.Group, packed: list[bytes], outputs: list[list[float]], version: str, latency: int
    ) -> None:
        """The same for rows of one caller: column by column, which is four times quicker for many."""
        asked: Asked = group.callers[0]
        places = group.places
        ids, ats, texts, units = (
            [column[i] for i in places] for column in (asked.ids, asked.ats, asked.texts, asked.units)
        )
        versions, *trial = zip(*group.assigned, strict=True)
        same = repeat(version), repeat(group.reason), repeat(latency)
        kept = zip(ids, ats, texts, versions, same[0], packed, units, *trial, *same[1:], strict=False)
        for i, row, said in zip(places, map(PredictionRow._make, kept), outputs, strict=True):
            asked.rows[i] = row
            asked.outputs[i] = said
        asked.left -= len(places)
        if not asked.left:
            self._answered.append(asked)

    def _called(self, call: predict.Call, output: Floats | None) -> None:
        """A challenger said something of rows that the incumbent answers; their log shall have it, as a shadow's."""
        (asked,), version, took = call.callers, call.order[0], round(call.took_s * 1e6)
        said = [None] * len(call) if output is None else list(map(tuple, output.reshape(len(call), -1).tolist()))
        rows = zip(call.places, said, strict=True)
        asked.called = (asked.called or []) + [Shadow(asked.ids[i], version, one, call.reason, took) for i, one in rows]
        self.meter.count("called_rows", version, call.reason or "answered", by=len(call))

    def _unanswered(self, group: predict.Group) -> None:
        error = Unanswered("no version answered: " + "; ".join(group.said))
        for asked in dict.fromkeys(group.callers):
            self._fail(asked, error)

    def _write_soon(self) -> None:
        """After a thread's lane answered; what arrived meanwhile is answered in the same turn."""
        if self._arrived or self._large:
            self._turn()
        else:
            self._scheduled = False
            self._write()

    def _write(self) -> None:
        if self._answered:
            answered, self._answered = self._answered, []
            self.writer.write(answered)

    def _settled(self, batch: list[Asked]) -> None:
        """The rows of these requests are kept (or not): the answers leave."""
        rows = no_unit = 0
        shadowed = False
        for asked in batch:
            if asked.error is not None:
                self._fail(asked, asked.error)
                continue
            rows += len(asked.ids)
            if asked.state.router.alone is None:  # a split runs
                no_unit += asked.units.count(None)
            shadowed = shadowed or bool(asked.state.routes.shadows or asked.called)
            self._end(asked)
        self.counts["rows"] += rows
        if no_unit:
            self.counts["unit_missing"] += no_unit
            self.meter.count("rows_without_unit", by=no_unit)
        if shadowed:
            self._shadow_later([asked for asked in batch if asked.error is None])

    def _fail(self, asked: Asked, error: Exception) -> None:
        if asked.left < 0:
            return  # it ended before
        asked.error, asked.left = error, -1
        self._end(asked)

    def _end(self, asked: Asked) -> None:
        """Count a request out, and tell its caller."""
        self.waiting -= len(asked.ids)
        asked.state.open -= 1
        if not asked.state.open and self._follower.retired:
            self._follower.give_back()
        if not self.waiting and self._idle is not None:
            self._idle.set()
        done = asked.done
        del asked.done  # the two would hold each other until the next collection
        done(asked)

    def _shadow_later(self, batch: list[Asked]) -> None:
        for asked in batch:
            shadows, said = asked.state.routes.shadows, asked.called or ()
            if shadows or said:
                rows = {one.id for one in said}
                kept = [(row.id, row.served_by) for row in asked.rows if shadows or row.id in rows]
                ids, served = zip(*kept, strict=True)
                self.queue.put(shadow.Answered(ids, served, shadows, _Later(asked).of, said))
        self.shadows_wait()

    # --- what comes later

    def receive(self, outcomes: Sequence[Outcome]) -> OutcomeCounts:
        """Keep outcomes and compute the losses that they settle. Raises RowError or StorageError."""
        if self.clock == "wall":
            ahead = self.config.serve.max_ahead_s
            known = [each.known_at for each in outcomes]
            rows_asked.refuse_ahead(known, self.now() + int(ahead * SECOND), ahead, "known_at")
        counts = outcome.receive(self.facts.log, outcomes, self.state.signature, self._window)
        self.counts["outcomes"] += len(outcomes)
        self.counts["late_outcomes"] += counts.late
        self.meter.count("late_outcomes", by=counts.late)
        self._settle()
        return counts

    def shadow(self) -> int:
        """Score the batches that wait longest with the shadows of their routes; their rows, 0 when none waits."""
        with self._shadowing:
            batch = self.queue.take()
            if batch is None:
                return 0
            kept = False
            try:
                said = shadow.score(batch, self.state.shadows, self._deadline_ms)
                self.facts.log.append_shadows(said)
                self._settle()
                kept = True
            finally:
                self.queue.done(batch, kept)
            return len(batch.ids)

    def _settle(self) -> None:
        with self._settling:
            outcome.settle(self.facts.log, self.state.signature, self._metric)

    # --- the ledger

    def follow(self) -> bool:
        """Follow what was appended to the ledger (`Follower.look`). True if it changed. Call it from a thread."""
        return self._follower.look()

    def leave(self) -> None:
        """The end is near: `follow` waits for no version any more."""
        self._follower.leave()

    def close(self) -> None:
        """Give back engines and threads, after `drained`. The stores belong to the caller."""
        self.leave()
        self.writer.close()
        self._follower.close()
        loop = self._follower.loop
        if loop is not None and not loop.is_running() and not loop.is_closed():
            loop.close()


class _Later:
    """Columns of an answered request for its shadows, made when they are asked for."""

    __slots__ = ("_asked",)

    def __init__(self, asked: Asked) -> None:
        self._asked = asked

    def of(self, engine: Engine) -> Columns:
        asked = self._asked
        columns = asked.state.reader.columns(asked.values)
        assert columns is not None  # they passed before they were answered
        return predict.Block(asked.signature, columns, asked.texts).of(engine.signature)


def _rows_of(parts: list[tuple[Asked, int, int]]) -> tuple[list[Asked], Sequence[int], Sequence[str | None]]:
    """(callers, places, units) of the rows of some parts; one caller alone stands once."""
    if len(parts) == 1:
        asked, start, end = parts[0]
        return [asked], range(start, end), asked.units[start:end]
    if all(end - start == 1 for _, start, end in parts):
        return [part[0] for part in parts], [part[1] for part in parts], [part[0].units[part[1]] for part in parts]
    rows = [(asked, i) for asked, start, end in parts for i in range(start, end)]
    return [asked for asked, _ in rows], [i for _, i in rows], [asked.units[i] for asked, i in rows]


def _by_version(assigned: Sequence[route.Assignment], calls: bool) -> dict[str | None, list[int]]:
    """The places of the rows of each version. `calls`: under None those of the third arm, where a challenger is called
    before the incumbent answers."""
    found: dict[str | None, list[int]] = {}
    for place, each in enumerate(assigned):
        version = None if calls and each.arm == "called" else each.version
        found.setdefault(version, []).append(place)
    return found


def _packed(output: Floats) -> list[bytes]:
    """Each row as little-endian doubles, as the log keeps it (`storage.values.packed`)."""
    content = output.astype("<f8", copy=False).tobytes()
    packed: list[bytes] = np.frombuffer(content, f"V{len(content) // len(output)}").tolist()
    return packed
