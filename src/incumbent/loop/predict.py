"""Ask a version inside its deadline; if it fails, is late or answers nonsense, the next one answers.

In: engines by name, the order in which to ask, columns. Out: Served, or Unanswered.
Every version has a breaker, so that one that keeps failing is not waited for. Time is an injected monotonic
clock.
"""

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from incumbent.engines.base import Engine
from incumbent.errors import PredictError, RowError
from incumbent.records import Json, Signature
from incumbent.runtimes.base import Columns, Floats
from incumbent.runtimes.signature import to_columns

WINDOW_S = 30.0
LEAST_CALLS = 20
FAILING_SHARE = 0.5
IN_A_ROW = 5
OPEN_S = 30.0
PROBES = 3
LATCH_OPENINGS = 3
LATCH_S = 600.0

ColumnsFor = Callable[[Engine], Columns]
State = Literal["closed", "open", "half_open", "latched"]


@dataclass(frozen=True, slots=True)
class Served:
    """The answer to a group of rows. `fallback_reason`: why the first one asked did not answer, or None.

    `latency_us` is what the whole chain took, fallbacks included.
    """

    output: Floats
    served_by: str
    fallback_reason: str | None
    latency_us: int


@dataclass(slots=True)
class Breaker:
    """Remembers how a version's latest calls went, and says whether to call it.

    Windows only, no lifetime rate: over 30 s and at least 20 calls it opens at half of them failed, and at 5
    failures in a row. After 30 s open, one probe at a time: 3 good ones close it, a bad one opens it again.
    The third opening inside 10 minutes latches it: it stays shut until `reset`, and the trial of its version
    is over.
    """

    clock: Callable[[], float] = time.monotonic
    _calls: deque[tuple[float, bool]] = field(default_factory=deque)
    _openings: deque[float] = field(default_factory=deque)
    _in_a_row: int = 0
    _opened: float | None = None
    _probing: bool = False
    _good_probes: int = 0
    _latched: bool = False

    @property
    def state(self) -> State:
        if self._latched:
            return "latched"
        if self._opened is None:
            return "closed"
        return "half_open" if self.clock() - self._opened >= OPEN_S else "open"

    def allows(self) -> bool:
        """May the version be called now? Half-open, one caller hears yes until it reports."""
        state = self.state
        if state == "half_open" and not self._probing:
            self._probing = True
            return True
        return state == "closed"

    def report(self, succeeded: bool) -> None:
        """How the call went that `allows` let pass."""
        if self._opened is not None:
            self._probed(succeeded)
            return
        now = self.clock()
        self._calls.append((now, succeeded))
        while self._calls and self._calls[0][0] <= now - WINDOW_S:
            self._calls.popleft()
        self._in_a_row = 0 if succeeded else self._in_a_row + 1
        failed = sum(1 for _, good in self._calls if not good) if not succeeded else 0
        often = len(self._calls) >= LEAST_CALLS and failed >= FAILING_SHARE * len(self._calls)
        if not succeeded and (often or self._in_a_row >= IN_A_ROW):
            self._open(now)

    def reset(self) -> None:
        """Forget everything, the latch too: the version was loaded anew."""
        self._calls.clear()
        self._openings.clear()
        self._in_a_row = self._good_probes = 0
        self._opened, self._probing, self._latched = None, False, False

    def _probed(self, succeeded: bool) -> None:
        self._probing = False
        if not succeeded:
            self._open(self.clock())
            return
        self._good_probes += 1
        if self._good_probes >= PROBES:
            self._opened = None
            self._calls.clear()
            self._in_a_row = 0

    def _open(self, now: float) -> None:
        self._opened, self._probing, self._good_probes = now, False, 0
        self._openings.append(now)
        while self._openings[0] <= now - LATCH_S:
            self._openings.popleft()
        self._latched = self._latched or len(self._openings) >= LATCH_OPENINGS


class Chain:
    """Asks engines in order. Keeps one breaker a version; used by one thread at a time."""

    def __init__(self, deadline_ms: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.deadline_ms = deadline_ms
        self.breakers: dict[str, Breaker] = {}
        self._clock = clock

    def predict(self, engines: Mapping[str, Engine], order: Sequence[str], columns: ColumnsFor) -> Served:
        """The first answer in `order`. `columns` gives an engine its columns (versions may differ in them).

        A failure, a breaker that is open (`breaker_open`) or an engine that could not be opened
        (`not_loaded`) passes the rows on. Raises Unanswered naming every reason when nobody answered.
        """
        started = self._clock()
        reasons: list[str] = []
        said: list[str] = []
        for name in order:
            try:
                output = self.ask(engines, name, columns)
            except PredictError as error:
                reasons.append(error.reason if type(error) is not Passed else error.why)
                said.append(f"{name}: {error}")
                continue
            took = round((self._clock() - started) * 1e6)
            return Served(output, name, reasons[0] if reasons else None, took)
        raise Unanswered("no version answered: " + "; ".join(said))

    def ask(self, engines: Mapping[str, Engine], name: str, columns: ColumnsFor) -> Floats:
        """Ask one version, through its breaker; PredictError when it does not answer."""
        engine = engines.get(name)
        if engine is None:
            raise Passed("not_loaded", "it could not be loaded")
        breaker = self.breaker(name)
        if not breaker.allows():
            raise Passed("breaker_open", f"its breaker is {breaker.state} after failures")
        try:
            output = engine.predict(columns(engine), self.deadline_ms)
        except BaseException:
            breaker.report(False)
            raise
        breaker.report(True)
        return output

    def breaker(self, name: str) -> Breaker:
        """The breaker of a version, closed when it is new."""
        return self.breakers.setdefault(name, Breaker(self._clock))


@dataclass(frozen=True, slots=True)
class Features:
    """Rows as any engine takes them: picked from the incumbent's columns, or converted anew."""

    signature: Signature
    columns: Columns
    rows: Sequence[Mapping[str, Json]]
    picked: Sequence[int]

    def of(self, engine: Engine) -> Columns:
        if not _covers(self.signature, engine.signature):
            try:
                return to_columns([self.rows[i] for i in self.picked], engine.signature)
            except RowError as error:
                raise PredictError(f"{engine.version} does not take this row: {error}") from error
        if len(self.picked) == len(self.rows):
            return {name: self.columns[name] for name in engine.signature.names}
        index = np.asarray(self.picked)
        return {name: self.columns[name][index] for name in engine.signature.names}


def _covers(ours: Signature, theirs: Signature) -> bool:
    """Are all of their columns among ours, with the same type, and null only where they take null?"""
    if ours is theirs or ours.columns is theirs.columns:
        return True
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


class Unanswered(PredictError):
    """Nobody in the chain answered. The message holds what each said, which is for the log alone."""
