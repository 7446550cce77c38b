"""One SQLite file: how it is opened, written by one at a time, and read by many.

In: a folder, `log` or `ledger`, the [store] settings. Out: sessions inside `writing()` (one transaction, all or
nothing) and `reading()`. Every error of the driver becomes one of ours here, and only here. Knows no table. There is
one writing connection a process: it finds its pages in its own cache, and whoever may not wait knows at once that it is
taken.
"""

import sqlite3
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from sqlalchemy import Executable
from sqlalchemy.dialects.sqlite import dialect

from incumbent.config import Store
from incumbent.errors import (
    DataError,
    IncumbentError,
    StorageError,
    StoreDamaged,
    StoreFull,
    StoreLocked,
)
from incumbent.records import Micros
from incumbent.storage.files import make_folder
from incumbent.storage.sql import making
from incumbent.storage.sql.session import Row, Session, Statements
from incumbent.storage.sqlite.wal import KEPT_BYTES, Wal
from incumbent.storage.values import json_text

Connection = sqlite3.Connection

DIALECT = dialect(paramstyle="named")
_STATEMENTS = Statements(DIALECT)

MARKED = 2
"""`user_version` of a file whose revision stands in a table. The first release wrote 1, and no such table."""
FIRST_RELEASE = 1

_RETRY_S = 0.005
_PAUSE_S = 0.01  # longer than that: others come in
_PAGES_A_TURN = 64
_CHECKPOINT_PAGES = 4_000  # 16 MB of WAL: a quarter of the checkpoints of the default
_OVERFULL_PAGES = 65_536  # 256 MB: where `tidy` is called, a writer itself never has to empty the WAL


class SqliteSession(Session):
    """Statements inside one transaction of a file."""

    def listed(self, values: Collection[Any]) -> str:
        return json_text(list(values))


class Database:
    """A file in WAL mode. Threads may share it; so may processes, each with its own Database."""

    def __init__(self, folder: Path, part: str, store: Store, tidied: bool = False) -> None:
        """Open the file of a part, and make it when it is not there. `tidied`: commits do not wait for the disk, and
        the WAL is left alone, because somebody calls `sync` and `tidy`.

        Raises SchemaMismatch for a file of another revision, StoreDamaged for one that is no database, StoreLocked,
        StoreFull, and StorageError where the folder cannot be written.
        """
        self.path = make_folder(folder) / f"{part}.db"
        self._store = store
        self._tidied = tidied
        self._lock = threading.Lock()
        self._idle: list[SqliteSession] = []
        self._closed = False
        self._writer = self._opened(part)
        self._wal = Wal(self.path, partial(self._connected, 0.0), self._lock)

    @property
    def place(self) -> str:
        return str(self.path)

    @contextmanager
    def writing(self, wait_s: float | None = None, alone: bool = False) -> Iterator[SqliteSession]:
        """A transaction: committed at the end of the block, undone when anything is raised inside. Waits for another
        writer, of this process or another, `wait_s` seconds (None: `store.lock_timeout_s`; 0: not at all). A writer of
        SQLite is always alone."""
        deadline = time.monotonic() + self.patience_s(wait_s) if wait_s != 0 else 0.0
        if not self._taken(deadline):
            raise _locked(self, "another thread of this process was writing", wait_s)
        try:
            self._refuse_closed()
            connection = self._writer
            try:
                self._begin(connection, deadline)
                yield SqliteSession(connection, _STATEMENTS)
                connection.execute("COMMIT")
            except BaseException as error:
                if connection.in_transaction:  # SQLite has undone it by itself where the disk was full
                    with suppress(sqlite3.Error):
                        connection.execute("ROLLBACK")
                self._raise_ours(error, wait_s)
        finally:
            self._lock.release()

    def sync(self) -> None:
        """What was committed before this call survives a power cut."""
        self._refuse_closed()
        self._wal.sync()

    def tidy(self) -> None:
        """Empty the WAL beside the traffic."""
        self._refuse_closed()
        try:
            self._wal.tidy()
        except BaseException as error:
            self._raise_ours(error)

    def give_back(self) -> None:
        """Move pages from the end of the file into free ones, some in a transaction, and cut the file there."""
        self._refuse_closed()
        try:
            with closing(self._connected(self._store.lock_timeout_s)) as connection:
                free = _free_pages(connection)
                while free:
                    # As a script: `execute` takes one step of a statement without columns, and a step is a page here.
                    connection.executescript(f"PRAGMA incremental_vacuum({_PAGES_A_TURN})")
                    left = _free_pages(connection)
                    if left >= free:  # a file that an older release made: its free pages are used again
                        return
                    free = left
                    time.sleep(_PAUSE_S)
        except BaseException as error:
            self._raise_ours(error)

    def scrub(self) -> None:
        """Write the file anew, and cut the WAL."""
        self._refuse_closed()
        try:
            with closing(self._connected(self._store.lock_timeout_s)) as connection, self._lock:
                connection.execute("PRAGMA secure_delete = ON")
                connection.execute("VACUUM")
            self._wal.cut(self._store.lock_timeout_s)
        except BaseException as error:
            self._raise_ours(error)

    @contextmanager
    def reading(self) -> Iterator[SqliteSession]:
        """One unchanging view of the file for the length of the block; writers do not wait for it."""
        self._refuse_closed()
        try:
            session = self._idle.pop()
        except IndexError:
            session = SqliteSession(self._connected(self._store.lock_timeout_s), _STATEMENTS)
        try:
            session.driver.execute("BEGIN")
            yield session
        except BaseException as error:
            self._raise_ours(error)
        finally:
            with suppress(sqlite3.Error):
                session.driver.execute("ROLLBACK")
            self._idle.append(session)
            if self._closed:
                self._close_idle()

    def settled(self, statement: Executable) -> Row:
        """Any view will do: rows get their numbers from one writer at a time, in the order of commits."""
        with self.reading() as session:
            (found,) = session.rows(statement)
            return found

    def now(self, session: Session) -> Micros:
        """The clock of this machine: a file is shared on one machine only."""
        return time.time_ns() // 1000

    def close(self) -> None:
        """Give back the connections. Twice is fine; a call that still reads gives its own back when it ends."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._wal.close()
                self._writer.close()
            self._close_idle()

    def _close_idle(self) -> None:
        while self._idle:
            self._idle.pop().driver.close()

    def _refuse_closed(self) -> None:
        if self._closed:
            raise StorageError(f"{self.path} was closed; open it again.")

    def patience_s(self, wait_s: float | None) -> float:
        """How long a call waits for another writer."""
        return self._store.lock_timeout_s if wait_s is None else wait_s

    def _taken(self, deadline: float) -> bool:
        """Did this thread become the one writer of this process?"""
        if self._lock.acquire(blocking=False):
            return True
        left = deadline - time.monotonic()
        return left > 0 and self._lock.acquire(timeout=left)

    def _begin(self, connection: Connection, deadline: float) -> None:
        """Become the one writer of the file. SQLite's own waiting sleeps up to 100 ms between two tries."""
        while True:
            try:
                connection.execute("BEGIN IMMEDIATE")
                return
            except sqlite3.OperationalError as error:
                if _code(error) != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                    raise
            time.sleep(_RETRY_S)

    def _opened(self, part: str) -> Connection:
        """The writing connection. Two processes that make the file at once get in each other's way where SQLite does
        not wait by itself (the change to WAL), so that is tried again."""
        deadline = time.monotonic() + self._store.lock_timeout_s
        while True:
            connection = self._connected(self._store.lock_timeout_s)
            try:
                _make(connection, part, self.path)
                connection.execute("PRAGMA busy_timeout = 0")  # `_begin` waits
                return connection
            except BaseException as error:
                connection.close()
                if not isinstance(self._ours(error), StoreLocked) or time.monotonic() > deadline:
                    self._raise_ours(error)
                time.sleep(_RETRY_S)

    def _connected(self, timeout_s: float) -> Connection:
        try:
            connection = sqlite3.connect(self.path, timeout=timeout_s, isolation_level=None, check_same_thread=False)
            flushed = self._store.durability == "fsync" and not self._tidied
            connection.execute(f"PRAGMA synchronous = {'FULL' if flushed else 'NORMAL'}")
            connection.execute(f"PRAGMA wal_autocheckpoint = {_OVERFULL_PAGES if self._tidied else _CHECKPOINT_PAGES}")
            connection.execute(f"PRAGMA journal_size_limit = {KEPT_BYTES}")
            return connection
        except sqlite3.Error as error:
            self._raise_ours(error)

    def _raise_ours(self, error: BaseException, wait_s: float | None = None) -> NoReturn:
        ours = self._ours(error, wait_s)
        if ours is error:
            raise error
        raise ours from error

    def _ours(self, error: BaseException, wait_s: float | None = None) -> BaseException:
        """The error of this package that an error of the driver stands for; any other error is itself."""
        if isinstance(error, OverflowError | UnicodeEncodeError):
            return DataError(f"a value that no store can keep: {error}; expected 64-bit integers and valid Unicode.")
        if not isinstance(error, sqlite3.Error):
            return error
        code = _code(error)
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return _locked(self, error, wait_s)
        return _BY_CODE.get(code, _unexpected)(self, error)


def _free_pages(connection: Connection) -> int:
    found: tuple[int] = connection.execute("PRAGMA freelist_count").fetchone()
    return found[0]


def _make(connection: Connection, part: str, path: Path) -> None:
    """Make the tables in a new file, and refuse a file of another revision."""
    connection.execute("BEGIN")  # one view: another process may be making the file
    found = revision(connection, part)
    connection.execute("ROLLBACK")
    if found == "":
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # so that space can be given back beside the traffic
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("BEGIN IMMEDIATE")
        found = revision(connection, part)
        if found == "":  # no other process was quicker
            for statement in making.statements(part, DIALECT):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {MARKED}")
            found = revision(connection, part)
            connection.execute("COMMIT")
        else:
            connection.execute("ROLLBACK")
    making.check(str(path), part, found)


def revision(connection: Connection, part: str) -> str | None:
    """The revision of a file: empty where there is nothing in it, None where somebody else's tables are."""
    # First what is always there: it begins the view, which a table that is not found does not.
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    try:
        found = connection.execute(making.revision_query(part)).fetchone()
        return None if found is None else str(found[0])
    except sqlite3.OperationalError as error:
        if _code(error) != sqlite3.SQLITE_ERROR:
            raise
    (mark,) = connection.execute("PRAGMA user_version").fetchone()
    if mark == FIRST_RELEASE:
        return "0001"
    return None if tables or mark else ""


def _code(error: sqlite3.Error) -> int:
    """The primary result code of SQLite."""
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF


def _full(database: Database, error: sqlite3.Error) -> IncumbentError:
    return StoreFull(
        f"the disk that holds {database.path} is full ({error}); nothing of this call was kept, what was acknowledged "
        "stays. Free some space."
    )


def _locked(database: Database, found: object, wait_s: float | None) -> IncumbentError:
    if wait_s == 0:
        return StoreLocked(f"{database.path} is being written to by another ({found}), and this call may not wait.")
    waited = "store.lock_timeout_s = " if wait_s is None else ""
    return StoreLocked(
        f"{database.path} was held by another process for longer than {waited}{database.patience_s(wait_s):g} s "
        f"({found}). Look which one it is, or wait longer."
    )


def _damaged(database: Database, error: sqlite3.Error) -> IncumbentError:
    return StoreDamaged(
        f"{database.path} is no whole SQLite database ({error}). Bring it back from a backup; "
        f"`sqlite3 {database.path.name} .recover` saves what can be read."
    )


def _unwritable(database: Database, error: sqlite3.Error) -> IncumbentError:
    return StorageError(
        f"{database.path} cannot be opened for writing ({error}); expected a folder and files that this user may "
        "write. Change their owner, or name another folder in store.path."
    )


def _unexpected(database: Database, error: sqlite3.Error) -> IncumbentError:
    return StorageError(f"{database.path}: SQLite failed: {error} (a failing disk, or a quota that is used up?)")


_BY_CODE = {
    sqlite3.SQLITE_FULL: _full,
    sqlite3.SQLITE_CORRUPT: _damaged,
    sqlite3.SQLITE_NOTADB: _damaged,
    sqlite3.SQLITE_READONLY: _unwritable,
    sqlite3.SQLITE_CANTOPEN: _unwritable,
    sqlite3.SQLITE_PERM: _unwritable,
}
