"""One SQLite file: how it is opened, written by one at a time, and read by many.

In: a folder, a Schema, the [store] settings. Out: connections inside `writing()` (one transaction, all or nothing)
and `reading()`. Every error of the driver becomes one of ours here, and only here. Knows no table.
"""

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn

from incumbent.config import Store
from incumbent.errors import (
    DataError,
    IncumbentError,
    SchemaMismatch,
    StorageError,
    StoreDamaged,
    StoreFull,
    StoreLocked,
)
from incumbent.storage.files import make_folder
from incumbent.storage.sqlite.schema import VERSION, Schema

Connection = sqlite3.Connection

_RETRY_S = 0.005
_CHECKPOINT_PAGES = 4000  # 16 MB of WAL: a quarter of the checkpoints of the default


class Database:
    """A file in WAL mode. Threads may share it; so may processes, each with its own Database."""

    def __init__(self, folder: Path, schema: Schema, store: Store) -> None:
        """Open the file, and make it when it is not there.

        Raises SchemaMismatch for a file of another release, StoreDamaged for one that is no database, StoreLocked,
        StoreFull, and StorageError where the folder cannot be written.
        """
        self.path = make_folder(folder) / schema.file
        self._store = store
        self._lock = threading.Lock()
        self._idle: list[Connection] = []
        self._closed = False
        self._writer = self._opened(schema)

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction: committed at the end of the block, undone when anything is raised inside."""
        with self._lock:
            self._refuse_closed()
            connection = self._writer
            try:
                connection.execute("BEGIN IMMEDIATE")
                yield connection
                connection.execute("COMMIT")
            except BaseException as error:
                if connection.in_transaction:  # SQLite has undone it by itself where the disk was full
                    with suppress(sqlite3.Error):
                        connection.execute("ROLLBACK")
                self._raise_ours(error)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """One unchanging view of the file for the length of the block; writers do not wait for it."""
        self._refuse_closed()
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = self._connected()
        try:
            connection.execute("BEGIN")
            yield connection
        except BaseException as error:
            self._raise_ours(error)
        finally:
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            self._idle.append(connection)
            if self._closed:
                self._close_idle()

    def close(self) -> None:
        """Give back the connections. Twice is fine; a call that still reads gives its own back when it ends."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._writer.close()
            self._close_idle()

    def _close_idle(self) -> None:
        while self._idle:
            self._idle.pop().close()

    def _refuse_closed(self) -> None:
        if self._closed:
            raise StorageError(f"{self.path} was closed; open it again.")

    def _opened(self, schema: Schema) -> Connection:
        """The writing connection. Two processes that make the file at once get in each other's way where SQLite does
        not wait by itself (the change to WAL), so that is tried again."""
        deadline = time.monotonic() + self._store.lock_timeout_s
        while True:
            connection = self._connected()
            try:
                _make(connection, schema, self.path)
                return connection
            except BaseException as error:
                connection.close()
                if not isinstance(self._ours(error), StoreLocked) or time.monotonic() > deadline:
                    self._raise_ours(error)
                time.sleep(_RETRY_S)

    def _connected(self) -> Connection:
        try:
            connection = sqlite3.connect(
                self.path, timeout=self._store.lock_timeout_s, isolation_level=None, check_same_thread=False
            )
            connection.execute(f"PRAGMA synchronous = {'FULL' if self._store.durability == 'fsync' else 'NORMAL'}")
            connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
            return connection
        except sqlite3.Error as error:
            self._raise_ours(error)

    def _raise_ours(self, error: BaseException) -> NoReturn:
        ours = self._ours(error)
        if ours is error:
            raise error
        raise ours from error

    def _ours(self, error: BaseException) -> BaseException:
        """The error of this package that an error of the driver stands for; any other error is itself."""
        if isinstance(error, OverflowError | UnicodeEncodeError):
            return DataError(f"a value that no store can keep: {error}; expected 64-bit integers and valid Unicode.")
        if not isinstance(error, sqlite3.Error):
            return error
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        return _BY_CODE.get(code, _unexpected)(self, error)

    @property
    def waited(self) -> float:
        """Seconds that a call waits for another process."""
        return self._store.lock_timeout_s


def _make(connection: Connection, schema: Schema, path: Path) -> None:
    """Make the tables in a new file, and refuse a file of another version."""
    if _version(connection) == VERSION:
        return
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("BEGIN IMMEDIATE")
    found = _version(connection)
    if found == VERSION:  # another process was quicker
        connection.execute("ROLLBACK")
        return
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if found or tables:
        connection.execute("ROLLBACK")
        raise SchemaMismatch(
            f"{path} has schema version {found}, expected {VERSION}: another release of incumbent wrote it. "
            "Use that release, or name another folder in store.path."
        )
    for statement in schema.statements:
        connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {VERSION}")
    connection.execute("COMMIT")


def _version(connection: Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _full(database: Database, error: sqlite3.Error) -> IncumbentError:
    return StoreFull(
        f"the disk that holds {database.path} is full ({error}); nothing of this call was kept, what was acknowledged "
        "stays. Free some space."
    )


def _locked(database: Database, error: sqlite3.Error) -> IncumbentError:
    return StoreLocked(
        f"{database.path} was held by another process for longer than store.lock_timeout_s = {database.waited:g} s "
        f"({error}). Look which one it is, or wait longer."
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
    sqlite3.SQLITE_BUSY: _locked,
    sqlite3.SQLITE_LOCKED: _locked,
    sqlite3.SQLITE_CORRUPT: _damaged,
    sqlite3.SQLITE_NOTADB: _damaged,
    sqlite3.SQLITE_READONLY: _unwritable,
    sqlite3.SQLITE_CANTOPEN: _unwritable,
    sqlite3.SQLITE_PERM: _unwritable,
}
