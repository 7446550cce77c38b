"""Keep n answering processes, one ticker and one keeper alive, behind one socket.

In: a project and an address. Out: a server that ends with SIGTERM or Ctrl-C, after its processes finished what they
took. Answers nothing itself, and loads nothing that answers.

    a process that dies        is started again: at once, then after 0.5, 1, 2 … 30 s while it keeps dying
    one that cannot start      three times in a row, while no other answers: the supervisor ends with its error
    SIGTERM, Ctrl-C            the ticker ends, the answering processes finish, then the supervisor leaves with code 0
    SIGHUP                     new answering processes start; once they answer, the old ones finish and leave
    the supervisor is killed   its processes notice (`lifeline`), finish and leave
"""

import json
import logging
import os
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from incumbent import config as configuration
from incumbent.errors import ConfigError, IncumbentError
from incumbent.loop.meter import Meter
from incumbent.server import lifeline
from incumbent.server.listening import (
    KEPT_VARIABLE,
    NUMBERS_VARIABLE,
    SLOT_VARIABLE,
    announcer,
    environment,
    guarded,
    listening,
    refuse_open_address,
    url_of,
)
from incumbent.server.numbers import Numbers

KEEPER = "from incumbent.server.keeping import main; main()"
CODE = "from incumbent.server.answering import main; main()"
MOST_STARTS = 3
FIRST_BACK_OFF_S = 0.5
LAST_BACK_OFF_S = 30.0
STEADY_S = 30.0
"""A process that lived for so long is started again at once when it dies."""
PATIENCE_S = 60.0
"""How long answering processes may finish what they took: their own two limits (30 s for answers, 20 s for shadows),
and some more."""

_LOGGER = logging.getLogger("incumbent.supervisor")


class NotServing(IncumbentError):
    """No answering process could be started; the message holds what the last one said."""


@dataclass
class Child:
    """One process that is kept alive. `speaks` is the pipe through which it says that it is ready."""

    name: str
    kind: str
    starts: "Callable[[Child], subprocess.Popen[bytes]]"
    slot: str = ""
    process: "subprocess.Popen[bytes] | None" = None
    speaks: IO[bytes] | None = None
    ready: bool = False
    leaving: bool = False
    started_at: float = 0.0
    not_before: float = 0.0
    back_off: float = 0.0
    failed_starts: int = 0
    said: dict[str, Any] = field(default_factory=dict)

    def start(self, now: float) -> None:
        self.said, self.ready, self.started_at = {}, False, now
        self.process = self.starts(self)

    def listen(self) -> None:
        """Take what it said, if it said anything."""
        if self.speaks is None:
            return
        line = self.speaks.readline()
        if line:
            self.said = json.loads(line)
        if self.said.get("ready"):
            self.ready, self.failed_starts = True, 0

    def close(self) -> None:
        if self.speaks is not None:
            self.speaks.close()
            self.speaks = None

    def wait_before_next(self, now: float) -> None:
        """It died: when may it start again?"""
        if self.ready and now - self.started_at >= STEADY_S:
            self.back_off = 0.0
        self.not_before = now + self.back_off
        self.back_off = min(max(FIRST_BACK_OFF_S, 2 * self.back_off), LAST_BACK_OFF_S)


def supervise(
    folder: str | Path,
    *,
    host: str = "127.0.0.1",
    port: int = 8080,
    clock: str = "wall",
    insecure: bool = False,
    json_line: bool = False,
    workers: int = 1,
    ticker: Sequence[str] | None = None,
    log_format: str = "text",
    ready: Callable[[str], None] | None = None,
) -> None:
    """Serve a project with `workers` answering processes until SIGTERM or Ctrl-C.

    `ticker` is the command that ticks (None: nothing does). `ready` hears the URL once, when every answering process
    can answer (default: one line on standard output). Raises ConfigError for an address that others can reach without
    a token or `insecure`, or one that is taken; NotServing (or ConfigError) when no process could be started.
    """
    refuse_open_address(host, insecure, lambda: guarded(folder))
    with ExitStack() as held:
        listener = held.enter_context(listening(host, port))
        numbers = Path(held.enter_context(tempfile.TemporaryDirectory(prefix="incumbent-numbers-")))
        settings = {**environment(folder, clock, host, insecure), NUMBERS_VARIABLE: str(numbers)}
        keeper = None
        if clock == "wall" and not configuration.load(folder).store.url:
            settings[KEPT_VARIABLE] = "1"
            keeper = [sys.executable, "-c", KEEPER, str(folder), log_format]
        supervisor = Supervisor(listener, settings, numbers, workers, ticker, keeper, log_format)
        url = url_of(host, listener.getsockname()[1])
        say = ready or announcer(json_line)
        supervisor.run(lambda: say(url))


class Supervisor:
    """See the module. `run` is called once."""

    def __init__(
        self,
        listener: socket.socket,
        settings: dict[str, str],
        numbers: Path,
        workers: int,
        ticker: Sequence[str] | None,
        keeper: Sequence[str] | None,
        log_format: str,
    ) -> None:
        self._listener, self._settings, self._log_format = listener, settings, log_format
        self._numbers = Numbers(Meter(), folder=numbers, slot="supervisor")
        self._workers, self._generation = workers, 0
        self._lifeline, self._alive = os.pipe()
        self._selector = selectors.DefaultSelector()
        self._asked: list[int] = []
        self._coming: list[Child] = []
        self._ticker = [] if ticker is None else [Child("the ticker", "ticker", self._ticking(ticker))]
        self._keeper = [] if keeper is None else [Child("the keeper", "keeper", self._ticking(keeper))]
        self._answering = self._new_answering()

    def run(self, ready: Callable[[], None]) -> None:
        """Until SIGTERM or Ctrl-C; `ready` is called when every answering process answers for the first time."""
        try:
            with _signals(self._selector, self._asked):
                said = False
                while not {signal.SIGTERM, signal.SIGINT} & set(self._asked):
                    self._look()
                    if not said and all(child.ready for child in self._answering):
                        said = True
                        ready()
                    self._wait()
                self._end()
        finally:
            self._kill()
            for descriptor in (self._lifeline, self._alive):
                os.close(descriptor)
            self._selector.close()

    # --- one look

    def _look(self) -> None:
        if signal.SIGHUP in self._asked:
            self._asked.remove(signal.SIGHUP)
            self._renew()
        now = time.monotonic()
        for child in self._all():
            if child.process is not None and child.process.poll() is not None:
                self._died(child, now)
            elif child.process is None and now >= child.not_before:
                child.start(now)
        if self._coming and all(child.ready for child in self._coming):
            self._change()

    def _wait(self) -> None:
        """Until somebody speaks, a signal comes, or a start is due."""
        due = [child.not_before for child in self._all() if child.process is None]
        self._hear(max(0.0, min(due) - time.monotonic()) if due else None)

    def _hear(self, timeout: float | None) -> None:
        for key, _ in self._selector.select(timeout):
            if isinstance(key.data, Child):
                self._heard(key.data)
            else:
                key.data()

    def _heard(self, child: Child) -> None:
        assert child.speaks is not None
        self._selector.unregister(child.speaks)
        child.listen()
        child.close()

    def _died(self, child: Child, now: float) -> None:
        assert child.process is not None
        if child.speaks is not None:
            self._heard(child)
        code, child.process = child.process.returncode, None
        if child.leaving:
            self._answering.remove(child)
            return
        if child.kind == "answering" and not child.ready:
            self._could_not_start(child, code)
        else:
            _LOGGER.warning("%s ended unasked (%s) and is started again", child.name, _how(code))
        child.wait_before_next(now)
        child.ready = False
        self._numbers.meter.count("restarts", child.kind)
        self._numbers.publish(living=False)

    def _could_not_start(self, child: Child, code: int) -> None:
        child.failed_starts += 1
        why = child.said.get("error", f"it ended before it could answer ({_how(code)})")
        _LOGGER.error("%s could not start (%d in a row): %s", child.name, child.failed_starts, why)
        hopeless = child.said.get("exit_code") == ConfigError.exit_code
        if child in self._coming and (hopeless or child.failed_starts >= MOST_STARTS):
            _LOGGER.error("the new processes could not start, the old ones go on answering")
            self._stop(self._coming)
            self._coming = []
        elif not any(one.ready for one in self._answering) and (hopeless or child.failed_starts >= MOST_STARTS):
            raise (ConfigError if hopeless else NotServing)(f"{child.name} could not start: {why}")

    # --- SIGHUP

    def _renew(self) -> None:
        if self._coming or any(child.leaving for child in self._answering):
            _LOGGER.warning("processes are being renewed already: this SIGHUP changes nothing")
            return
        self._coming = self._new_answering()

    def _change(self) -> None:
        old, new = self._answering, self._coming
        for child in old:
            child.leaving = True
            if child.process is not None:
                child.process.terminate()
        self._answering = [child for child in old if child.process is not None] + new
        self._coming = []

    def _new_answering(self) -> list[Child]:
        """Two generations never share a slot: the older one is still writing its numbers."""
        first = (self._generation % 2) * self._workers + 1
        self._generation += 1
        return [
            Child(f"answering process {slot}", "answering", self._start_answering, str(slot))
            for slot in range(first, first + self._workers)
        ]

    # --- starting and ending

    def _start_answering(self, child: Child) -> "subprocess.Popen[bytes]":
        ours, theirs = os.pipe()
        try:
            told = [self._listener.fileno(), self._lifeline, theirs]
            process = _spawn(
                [sys.executable, "-c", CODE, *map(str, told), self._log_format],
                {**self._settings, SLOT_VARIABLE: child.slot},
                told,
            )
        finally:
            os.close(theirs)
        child.speaks = os.fdopen(ours, "rb")
        self._selector.register(child.speaks, selectors.EVENT_READ, child)
        return process

    def _ticking(self, command: Sequence[str]) -> Callable[[Child], "subprocess.Popen[bytes]"]:
        def start(child: Child) -> "subprocess.Popen[bytes]":
            child.ready = True  # it says nothing
            return _spawn(command, {lifeline.VARIABLE: str(self._lifeline)}, [self._lifeline])

        return start

    def _all(self) -> list[Child]:
        return [*self._answering, *self._coming, *self._ticker, *self._keeper]

    def _end(self) -> None:
        """The ticker first: what it would still decide is nobody's to follow."""
        self._stop(self._ticker)
        self._stop([*self._answering, *self._coming])
        self._stop(self._keeper)

    def _stop(self, children: Sequence[Child]) -> None:
        """End them in order; whoever has no more patience (a second Ctrl-C) ends them at once."""
        for child in children:
            if child.process is not None:
                child.process.terminate()
        until = time.monotonic() + PATIENCE_S
        while left := [child for child in children if child.process is not None and child.process.poll() is None]:
            if time.monotonic() >= until or self._asked.count(signal.SIGINT) > 1:
                _LOGGER.error("%s did not end in time and was killed", ", ".join(child.name for child in left))
                break
            self._hear(max(0.0, until - time.monotonic()))
        for child in children:
            self._forget(child)

    def _forget(self, child: Child) -> None:
        if child.process is not None:
            child.process.kill()  # nothing happens to one that ended
            child.process.wait()
            child.process = None
        if child.speaks is not None:
            self._selector.unregister(child.speaks)
            child.close()

    def _kill(self) -> None:
        """Nothing is left behind, whatever went wrong."""
        for child in self._all():
            self._forget(child)


@contextmanager
def _signals(selector: selectors.BaseSelector, asked: list[int]) -> Iterator[None]:
    """Signals wake the selector and are noted in `asked`. SIGHUP is left alone on a terminal: there it means that the
    terminal is gone."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.setblocking(False)
    numbers = [signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, *([] if _on_terminal() else [signal.SIGHUP])]
    before = {number: signal.signal(number, _noted(asked)) for number in numbers}
    woken = signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
    selector.register(ours, selectors.EVENT_READ, lambda: ours.recv(4096))
    try:
        yield
    finally:
        selector.unregister(ours)
        signal.set_wakeup_fd(woken)
        for number, handler in before.items():
            signal.signal(number, handler)
        ours.close()
        theirs.close()


def _noted(asked: list[int]) -> Callable[[int, Any], None]:
    def note(number: int, _: Any) -> None:
        if number != signal.SIGCHLD:  # it wakes, and is seen in the child itself
            asked.append(number)

    return note


def _on_terminal() -> bool:
    return sys.stdin is not None and sys.stdin.isatty()


def _spawn(command: Sequence[str], settings: dict[str, str], descriptors: Sequence[int]) -> "subprocess.Popen[bytes]":
    """A child in a group of its own: Ctrl-C is for the supervisor, which ends its children in order."""
    return subprocess.Popen(
        command,
        env={**os.environ, **settings},
        pass_fds=descriptors,
        stdin=subprocess.DEVNULL,
        process_group=0,
    )


def _how(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"
