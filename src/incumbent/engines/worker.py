"""Run a predictor in a child process, which may hang, crash, leak or print nonsense: no request fails by it.

In: how to open a version (a function and arguments that a spawned child can import). Out: an Engine. A child
that is late or gone is killed and started again at once, then after 0.5, 1, 2 … 30 seconds as long as it
keeps failing; while it starts, calls raise EngineDied and the fallback answers. The child has one thread (a
forest's 200 trees on one row: 7.7 ms with one job, 23-48 ms with all), and a limit of memory: what it takes beside what
it had when it was opened. The child sees to its address space, we look at its resident memory after a call (11 us), at
most every 5 ms.
"""

import os
import signal
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any

from incumbent import errors
from incumbent.engines.child import MEGABYTE, answer, memory_of
from incumbent.engines.exchange import Exchange, exchange
from incumbent.errors import EngineDied, OutOfMemory, PredictError, PredictTimeout, VersionError
from incumbent.records import Signature
from incumbent.runtimes.base import Columns, Floats, checked
from incumbent.runtimes.table import Table, n_rows

START_S = 60.0
_FIRST_BACK_OFF_S = 0.5
_LAST_BACK_OFF_S = 30.0
_LOOK_S = 0.005
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
_environment = threading.Lock()

Pipe = Connection  # of (columns) one way and (word, …) the other


class Worker:
    """A version in a child process.

    `opens(*arguments)` is called in the child and returns the Predictor: both must be importable and
    picklable. Raises the child's own VersionError when the version cannot be opened, EngineDied when the
    child is not ready within `start_s`. `memory_mb` is what it may take beside what it had when it was ready (0: no
    limit; Linux only). `comes_back`: it may fail for an hour and be well again (it asks another machine), so that its
    breaker never latches.
    """

    prompt = False

    def __init__(
        self,
        version: str,
        opens: Callable[..., Any],
        arguments: tuple[Any, ...] = (),
        *,
        start_s: float = START_S,
        memory_mb: int = 0,
        comes_back: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.version, self.comes_back = version, comes_back
        self._target = (opens, arguments, memory_mb)
        self._memory_mb, self._most_resident, self._look_at = memory_mb, 0, 0.0
        self._start_s, self._clock = start_s, clock
        self._process: SpawnProcess | None = None
        self._pipe: Pipe[Any, Any] | None = None
        self._exchange: Exchange | None = None
        self._asked = 0
        self.ailing = False
        self._ready = False
        self._started_at = self._not_before = 0.0
        self._back_off = 0.0
        self._start()
        try:
            self.signature: Signature = self._await_ready(start_s)
        except BaseException:
            self.close()
            raise

    @property
    def pid(self) -> int | None:
        """The child's process id; None while there is none."""
        return self._process.pid if self._process else None

    def predict(self, columns: Columns, deadline_ms: float) -> Floats:
        """See `Engine`."""
        pipe = self._running()
        try:
            _bound(pipe, deadline_ms / 1e3)
            pipe.send(self._sent(columns))
            if not pipe.poll(deadline_ms / 1e3):
                raise TimeoutError
            word, said = pipe.recv()
        except (BlockingIOError, TimeoutError):
            late = self.late(deadline_ms)
            self.mend()
            raise late from None
        except (EOFError, OSError) as error:
            self.mend()
            raise self._gone() from error
        try:
            return self._heard(word, said, n_rows(columns))
        finally:
            if self.ailing:
                self.mend()

    def begin(self, columns: Columns) -> int | None:
        """See `Waited`."""
        if self._exchange is None or not self._ready:
            return None
        try:
            if not self._exchange.send(self._sent(columns)):
                return None
        except OSError as error:
            self.ailing = True
            raise self._gone() from error
        self._asked = n_rows(columns)
        return self._exchange.fileno()

    def end(self) -> Floats | None:
        """See `Waited`."""
        assert self._exchange is not None
        try:
            message = self._exchange.receive()
            if message is None:
                return None
            word, said = message
        except (EOFError, OSError, TypeError, ValueError) as error:  # the last two: not a pair
            self.ailing = True
            raise self._gone() from error
        return self._heard(word, said, self._asked)

    def late(self, deadline_ms: float) -> PredictTimeout:
        """See `Waited`."""
        self.ailing = True
        return PredictTimeout(f"{self.version} did not answer within {deadline_ms:g} ms: its process was killed")

    def mend(self) -> None:
        """Kill the child. The first time start another at once, later after a pause that doubles."""
        self.close()
        self._not_before = self._clock() + self._back_off
        self._back_off = min(max(2 * self._back_off, _FIRST_BACK_OFF_S), _LAST_BACK_OFF_S)
        if self._not_before <= self._clock():
            self._start()

    def close(self) -> None:
        """Kill the child. Twice is fine."""
        process, pipe, exchange = self._process, self._pipe, self._exchange
        self._process = self._pipe = self._exchange = None
        self._ready = self.ailing = False
        if exchange is not None:
            exchange.close()
        if pipe is not None:
            pipe.close()
        if process is not None:
            _kill(process)
            process.join()  # not closed: multiprocessing joins what it knows of again when the interpreter ends

    def _sent(self, columns: Columns) -> Columns:
        return columns if isinstance(columns, Table) else {name: columns[name] for name in self.signature.names}

    def _gone(self) -> EngineDied:
        return EngineDied(f"the process of {self.version} is gone; it is started again")

    def _heard(self, word: str, said: Any, rows: int) -> Floats:
        """What the child said of so many rows, checked; or raise what is wrong with it."""
        if word == "error":
            raise PredictError(f"{self.version} raised {said}")
        self._refuse_growth(word == "memory")
        self._back_off = 0.0
        return checked(said, self.signature, rows)

    def _refuse_growth(self, failed: bool) -> None:
        """A child that took more memory than it may is ailing, whether its own allocation failed or we find it
        grown."""
        at = self._clock()
        if not failed and at < self._look_at:
            return
        self._look_at = at + _LOOK_S
        now = memory_of(self.pid or 0) if self._memory_mb else None
        if not failed and (now is None or now[1] <= self._most_resident):
            return
        found = "had no memory left" if failed or now is None else f"has {now[1] / MEGABYTE:,.0f} MB"
        before = f"{self._most_resident / MEGABYTE - self._memory_mb:,.0f} MB"
        self.ailing = True
        raise OutOfMemory(
            f"the process of {self.version} {found}, expected at most {self._memory_mb} MB (versions.memory_mb) beside "
            f"the {before} that it had when it was opened; it is started again"
        )

    def _running(self) -> "Pipe[Any, Any]":
        """The pipe of a child that is ready; else move the restart on and raise EngineDied."""
        now = self._clock()
        if self._pipe is None and now >= self._not_before:
            self._start()
        if self._pipe is not None and not self._ready:
            self._look(now)
        if self._pipe is None or not self._ready:
            raise EngineDied(f"the process of {self.version} is being started again")
        return self._pipe

    def _look(self, now: float) -> None:
        try:
            self._await_ready(0.0)
        except PredictTimeout:
            if now - self._started_at > self._start_s:
                self.mend()
        except (PredictError, VersionError):
            self.mend()

    def _await_ready(self, seconds: float) -> Signature:
        assert self._pipe is not None
        try:
            if not self._pipe.poll(seconds):
                raise PredictTimeout(f"the process of {self.version} was not ready within {self._start_s:g} s")
            word, *said = self._pipe.recv()
        except (EOFError, OSError) as error:
            raise EngineDied(f"the process of {self.version} ended while it opened the version") from error
        if word == "refused":
            raise _refusal(*said)
        self._ready = True
        if self._memory_mb and (now := memory_of(self.pid or 0)) is not None:
            self._most_resident = now[1] + self._memory_mb * MEGABYTE
        signature: Signature = said[0]
        return signature

    def _start(self) -> None:
        context = get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(
            target=answer, args=(theirs, *self._target), daemon=True, name=f"incumbent {self.version}"
        )
        with _environment, _variables(_ONE_THREAD):
            process.start()
        theirs.close()
        self._process, self._pipe, self._ready, self._started_at = process, ours, False, self._clock()
        self._exchange = exchange(ours)


def _bound(pipe: "Pipe[Any, Any]", seconds: float) -> None:
    """A child that reads nothing must not hold up who writes to it (many rows fill the pipe), nor one that stops in
    the middle of an answer who reads it."""
    if sys.platform == "win32":
        return
    limit = struct.pack("@ll", int(seconds), int(seconds % 1 * 1e6) or 1)
    with socket.socket(fileno=os.dup(pipe.fileno())) as ours:
        ours.setblocking(True)  # uvloop made it another when it watched it
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)


def _kill(process: SpawnProcess) -> None:
    """The child and whatever it started: it leads a group of its own."""
    with suppress(OSError, AttributeError):  # it was waited for already; Windows has no groups
        assert process.pid is not None
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)  # nobody else has its number
        os.killpg(process.pid, signal.SIGKILL)
    process.kill()


def _refusal(name: str, text: str) -> Exception:
    """The child's error as the same class here, where it is one of ours."""
    kind = getattr(errors, name, None)
    if isinstance(kind, type) and issubclass(kind, VersionError | errors.StorageError):
        return kind(text)
    return VersionError(f"it cannot be opened: {name}: {text}")


@contextmanager
def _variables(values: dict[str, str]) -> Iterator[None]:
    """Set environment variables for the child that is started meanwhile."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
