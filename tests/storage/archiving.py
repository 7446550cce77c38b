"""A child that moves or deletes old rows, and is killed at its n-th step: `archiving.py FOLDER WHAT N`.

A step is each change that others can see: a file under its name, a committed transaction, a deleted file.
"""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from incumbent.checks.storage.leaving import SIGNATURES
from incumbent.checks.storage.opened import T0
from incumbent.config import Store
from incumbent.records import DAY
from incumbent.storage.base import Log
from incumbent.storage.sql import leaving
from incumbent.storage.sqlite import open_log
from incumbent.storage.sqlite.database import Connection

GONE = [f"{i}" for i in range(0, 400, 3)]


def act(log: Log, what: str) -> None:
    """What the child does, and whoever comes after it."""
    if what == "archive":
        log.archive_day("2013-04-01", T0, T0 + DAY, SIGNATURES)
        log.archive_day("2013-04-02", T0 + DAY, T0 + 2 * DAY, SIGNATURES)
    elif what == "erase":
        log.erase(GONE)
    else:
        log.drop_before(T0 + DAY)


def dying(step: Callable[..., Any], left: list[int]) -> Callable[..., Any]:
    """The step, after which the process dies when none is left."""

    def stepped(*arguments: Any, **named: Any) -> Any:
        found = step(*arguments, **named)
        left[0] -= 1
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)
        return found

    return stepped


if __name__ == "__main__":
    folder, what, steps = Path(sys.argv[1]), sys.argv[2], [int(sys.argv[3])]
    log = open_log(folder, Store())
    leaving.PAUSE_S = 0.0
    leaving.ROWS_A_FILE, leaving.FEWEST, leaving.MOST = 150, 20, 20
    os.replace = dying(os.replace, steps)
    Path.unlink = dying(Path.unlink, steps)  # type: ignore[method-assign]

    class Committing:
        """A connection that dies after a commit."""

        def __init__(self, connection: Connection) -> None:
            self._connection = connection

        def __getattr__(self, name: str) -> Any:
            return getattr(self._connection, name)

        def execute(self, text: str, *rest: Any) -> Any:
            run = dying(self._connection.execute, steps) if text == "COMMIT" else self._connection.execute
            return run(text, *rest)

    log._file._writer = Committing(log._file._writer)  # type: ignore[assignment]
    act(log, what)
