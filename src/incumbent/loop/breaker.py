"""Is a version that keeps failing spared, and for how long?

In: how each call of one version went. Out: whether to call it now. Time is an injected monotonic clock. Knows no engine
and no trial: whoever asks the version asks its breaker first, and reports.
"""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

WINDOW_S = 30.0
LEAST_CALLS = 20
FAILING_SHARE = 0.5
IN_A_ROW = 5
OPEN_S = 30.0
PROBES = 3
LATCH_OPENINGS = 3
LATCH_S = 600.0

State = Literal["closed", "open", "half_open", "latched"]


@dataclass(slots=True)
class Breaker:
    """Remembers how a version's latest calls went, and says whether to call it.

    Windows only, no lifetime rate: over 30 s and at least 20 calls it opens at half of them failed, and at 5
    failures in a row. After 30 s open, one probe at a time: 3 good ones close it, a bad one opens it again.
    The third opening inside 10 minutes latches it: it stays shut until `reset`, and the trial of its version
    is over. (Unless it does not latch: its version asks another machine, which may come back.)
    """

    clock: Callable[[], float] = time.monotonic
    latches: bool = True
    _seconds: deque[list[int]] = field(default_factory=deque)  # [second, calls, failures]
    _openings: deque[float] = field(default_factory=deque)
    _in_a_row: int = 0
    _opened: float | None = None
    _probing: bool = False
    _good_probes: int = 0
    _latched: bool = False

    @property
    def state(self) -> State:
        """closed: it is called; open: it is not; half_open: one probe is; latched: never again."""
        if self._latched:
            return "latched"
        if self._opened is None:
            return "closed"
        return "half_open" if self.clock() - self._opened >= OPEN_S else "open"

    def allows(self) -> bool:
        """May the version be called now? Half-open, one caller hears yes until it reports."""
        if self._opened is None:  # a latched one stays opened
            return True
        if self.state != "half_open" or self._probing:
            return False
        self._probing = True
        return True

    def report(self, succeeded: bool) -> None:
        """How the call went that `allows` let pass."""
        if self._opened is not None:
            self._probed(succeeded)
            return
        now = self.clock()
        second = int(now)
        if not self._seconds or self._seconds[-1][0] != second:
            self._seconds.append([second, 0, 0])
            while self._seconds[0][0] <= second - WINDOW_S:
                self._seconds.popleft()
        self._seconds[-1][1] += 1
        if succeeded:
            self._in_a_row = 0
            return
        self._seconds[-1][2] += 1
        self._in_a_row += 1
        calls, failed = (sum(each[i] for each in self._seconds) for i in (1, 2))
        if self._in_a_row >= IN_A_ROW or (calls >= LEAST_CALLS and failed >= FAILING_SHARE * calls):
            self._open(now)

    def reset(self) -> None:
        """Forget everything, the latch too: the version was loaded anew."""
        self._seconds.clear()
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
            self._seconds.clear()
            self._in_a_row = 0

    def _open(self, now: float) -> None:
        self._opened, self._probing, self._good_probes = now, False, 0
        self._openings.append(now)
        while self._openings[0] <= now - LATCH_S:
            self._openings.popleft()
        self._latched = self._latched or (self.latches and len(self._openings) >= LATCH_OPENINGS)
