"""One SQLite file: opened, its schema checked, its errors in our words.

Each store has one connection, used under a lock: SQLite has one writer anyway, and reads are short.
"""

import json
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from incumbent.config import Store
from incumbent.errors import SchemaMismatch, StorageError, StoreDamaged, StoreFull, StoreLocked

SCHEMA = 1
# What SQLite does with each commit: WAL with NORMAL survives a killed process, FULL a power cut, OFF leaves the
# order of writes to the operating system (a killed process loses nothing, a power cut may damage the file).
SYNCHRONOUS = {"commit": "NORMAL", "fsync": "FULL", "behind": "OFF"}


class Database:
    """A SQLite file in WAL mode with the tables of `schema`. Safe from several threads and processes."""

    def __init__(self, path: Path, store: Store, schema: str) -> None:
        self.path = path
        self._lock = threading.RLock()
        with self._named():
            self._connection = sqlite3.connect(
                path, timeout=store.lock_timeout_s, isolation_level=None, check_same_thread=False, cached_statements=256
            )
            run = self._connection.execute
            run(f"PRAGMA busy_timeout = {int(store.lock_timeout_s * 1000)}")
            run("PRAGMA journal_mode = WAL")
            run(f"PRAGMA synchronous = {SYNCHRONOUS[store.durability]}")
            run("PRAGMA temp_store = MEMORY")
            run("PRAGMA cache_size = -65536")
            self._prepare(schema)

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction: all of it or nothing."""
        with self._lock, self._named():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def read(self, sql: str, values: Sequence[Any] | dict[str, Any] = ()) -> list[tuple[Any, ...]]:
        """All rows of one query."""
        with self._lock, self._named():
            return self._connection.execute(sql, values).fetchall()

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    def _prepare(self, schema: str) -> None:
        found = self._connection.execute("PRAGMA user_version").fetchone()[0]
        if found == SCHEMA:
            return
        if found:
            raise SchemaMismatch(
                f"{self.path} has schema {found}, this release writes {SCHEMA}: "
                f"{'install a newer incumbent' if found > SCHEMA else 'open it with the release that wrote it'}"
            )
        self._connection.executescript(f"BEGIN IMMEDIATE; {schema} PRAGMA user_version = {SCHEMA}; COMMIT;")

    @contextmanager
    def _named(self) -> Iterator[None]:
        """SQLite's errors as ours."""
        try:
            yield
        except sqlite3.ProgrammingError as error:
            raise StorageError(f"{self.path}: {error}") from error
        except sqlite3.OperationalError as error:
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            if code == sqlite3.SQLITE_FULL:
                raise StoreFull(f"no space left for {self.path}: free some, and try again; nothing is lost") from error
            if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                raise StoreLocked(f"{self.path}: another process holds it longer than store.lock_timeout_s") from error
            if code == sqlite3.SQLITE_IOERR:
                raise StoreFull(f"{self.path} could not be written ({error}): is the disk full?") from error
            raise StorageError(f"{self.path}: {error}") from error
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.IntegrityError):
                raise
            raise StoreDamaged(f"{self.path}: {error}; restore it from a backup") from error


def text(value: Any) -> str:
    """Compact JSON text."""
    return msgspec.json.encode(value).decode()


def canonical(value: Any) -> bytes:
    """JSON with sorted keys and no spaces: the same value gives the same bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
