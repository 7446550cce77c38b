"""The write-ahead log of one SQLite file: flushed when asked, and emptied beside the traffic.

In: the path of a database that is open elsewhere, in WAL mode with synchronous NORMAL. Out: `sync` (what was committed
is on the disk) and `tidy` (the log is copied into the database, so that it does not grow). Knows no table.

Why NORMAL and one fdatasync of the WAL say the same as FULL. https://sqlite.org/pragma.html#pragma_synchronous: in WAL
mode NORMAL keeps the file whole and may lose the last commits in a power cut; FULL adds one sync of the WAL after each
commit, and nothing else. All else stands in both: a new WAL's header (and its name in the folder) is flushed before
frames follow it, a checkpoint flushes the WAL before it touches the database, and the database before the WAL may be
written from its start again. (FULL would also pad the last sector, but only where SQLite was built to believe that a
power cut damages bytes beside those being written, which is not the default.) So a commit is either in the WAL, which
the fdatasync flushes whoever wrote it, or in a database that was flushed. What it buys: commits need not wait for the
disk one by one, and one flush serves all that were made before it.

The descriptor that is flushed is our own, on the WAL: SQLite's locks lie on the database and on the shared memory, and
closing *their* descriptors would drop them. It stays the right one: the WAL is made anew only after the last connection
has closed, and ours is open. (Asking for the inode at each flush made a flush take 146 us in place of 94: since Linux
6.13 a file whose times were looked at has them written more finely, and so more often.)
"""

import os
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Literal

from incumbent.errors import StorageError, StoreLocked

RESTART_PAGES = 4_000
"""16 MB: a longer WAL is written from its start again, for which writers have to wait; a shorter one is only copied."""
KEPT_BYTES = 64 * 2**20
"""A WAL that grew beyond this is cut when it is written from its start again."""

_fdatasync = getattr(os, "fdatasync", os.fsync)  # macOS and Windows have only fsync
_BINARY = getattr(os, "O_BINARY", 0)
_RETRY_S = 0.005


class Wal:
    """Flushes and empties. Threads may share it; each process has its own."""

    def __init__(self, path: Path, connect: Callable[[], sqlite3.Connection], writing: threading.Lock) -> None:
        """`path` of the database, `connect` opens it; whoever holds `writing` is the only writer of this process."""
        self._path = path.with_name(f"{path.name}-wal")
        self._connect = connect
        self._writing = writing
        self._tidying = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._descriptor: int | None = None
        self._suspect = False
        self._closed = False
        self._sync = Grouped(self._flush)

    def sync(self) -> None:
        """Flush what was committed before this call."""
        self._sync()

    def tidy(self) -> None:
        """Copy what is committed into the database, while others write. Only a WAL that has grown holds writers up: for
        the moment in which the last pages are copied and flushed."""
        if not self._tidying.acquire(blocking=False):
            return
        try:
            if not self._closed and self._checkpointed("PASSIVE")[1] > RESTART_PAGES:
                with self._writing:
                    self._checkpointed("RESTART")
        finally:
            self._tidying.release()

    def cut(self, wait_s: float) -> None:
        """Copy everything into the database and leave an empty file, waiting for those who read."""
        deadline = time.monotonic() + wait_s
        while True:
            with self._tidying, self._writing:
                busy, _, _ = self._checkpointed("TRUNCATE")
            if not busy:
                return
            if time.monotonic() > deadline:
                raise StoreLocked(
                    f"{self._path} could not be emptied within store.lock_timeout_s = {wait_s:g} s: somebody reads the "
                    "log. Try again when they have ended; what was deleted is in that file until then."
                )
            time.sleep(_RETRY_S)

    def close(self) -> None:
        """Give back connection and descriptor. Twice is fine."""
        with self._tidying:
            self._closed = True
            if self._connection is not None:
                self._connection.close()
                self._connection = None
        if self._descriptor is not None:
            with suppress(OSError):
                os.close(self._descriptor)
            self._descriptor = None

    def _checkpointed(self, mode: Literal["PASSIVE", "RESTART", "TRUNCATE"]) -> tuple[int, int, int]:
        """(was somebody in the way?, pages in the WAL, pages copied)."""
        if self._connection is None:
            self._connection = self._connect()
        found: tuple[int, int, int] = self._connection.execute(f"PRAGMA wal_checkpoint({mode})").fetchone()
        return found

    def _flush(self) -> None:
        """fdatasync. After one that failed, the system may call pages clean that never reached the disk; then only a
        checkpoint, which writes everything once more and elsewhere, makes the promise good again."""
        try:
            if self._suspect:
                self._rewrite()
            _fdatasync(self._opened())
        except OSError as error:
            self._suspect = True
            raise StorageError(
                f"{self._path} cannot be flushed to the disk ({error.strerror}): what was written last may not survive "
                "a power cut. Look at the disk; the next call writes it once more."
            ) from error

    def _rewrite(self) -> None:
        with self._tidying, self._writing:
            busy, pages, copied = self._checkpointed("TRUNCATE")
        if busy or pages != copied:
            raise OSError(0, "others use the store while it is written once more")
        self._suspect = False

    def _opened(self) -> int:
        if self._descriptor is None:
            self._descriptor = os.open(self._path, os.O_RDWR | _BINARY)
        return self._descriptor


class Grouped:
    """Work that serves everybody who asked before it began: a call that comes while it runs waits for the next run."""

    def __init__(self, work: Callable[[], None]) -> None:
        self._work = work
        self._changed = threading.Condition()
        self._begun = 0
        self._done = 0
        self._running = False

    def __call__(self) -> None:
        """Return when a run that began after this call has ended well; the error of a run goes to the caller that ran
        it, and each of the others then runs it again."""
        with self._changed:
            wanted = self._begun + 1
            while self._running and self._done < wanted:
                self._changed.wait()
            if self._done >= wanted:
                return
            self._running = True
            self._begun += 1
            number = self._begun
        try:
            self._work()
        except BaseException:
            self._end(self._done)
            raise
        self._end(number)

    def _end(self, done: int) -> None:
        with self._changed:
            self._done = done
            self._running = False
            self._changed.notify_all()
