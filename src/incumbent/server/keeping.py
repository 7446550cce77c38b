"""The keeper: moves rows from the journals into the log, and empties SQLite's WAL, beside the answering processes.

In: a project's folder. Out: nothing but a tidy store, until SIGTERM or the end of the supervisor. A process of its own,
because a thread of an answering process would take the interpreter from it: the 99th percentile at 64 connections was
22 ms with a thread, and 3 ms with this. It is nice: where there is but one core, answers come first.

    python -c "from incumbent.server.keeping import main; main()" PROJECT FORMAT
"""

import logging
import os
import signal
import sys
import threading
from types import FrameType

from incumbent import config
from incumbent.errors import IncumbentError, StorageError
from incumbent.server import lifeline, tracing
from incumbent.storage.opening import open_log

KEEP_S = 0.5
NICE = 15
"""Where answers take all of the one core there is, it gets some 3 % of it, and rows wait in their journals."""
_LOGGER = logging.getLogger("incumbent.keeper")


def main() -> None:
    """Keep a store tidy."""
    lifeline.hold()
    tracing.log_to_stderr("json" if sys.argv[2] == "json" else "text")
    ended = threading.Event()

    def end(number: int, frame: FrameType | None) -> None:
        ended.set()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(NICE)
    try:
        log = open_log(config.load(sys.argv[1]))
    except IncumbentError as error:
        _LOGGER.error("%s: %s", type(error).__name__, error)
        sys.exit(error.exit_code)
    try:
        while not ended.wait(KEEP_S):
            try:
                log.tidy()
            except StorageError as error:  # a full disk, a locked file: what was acknowledged stays where it is
                _LOGGER.error("the store cannot be kept tidy now: %s", error)
                ended.wait(10 * KEEP_S)
    finally:
        log.close()
