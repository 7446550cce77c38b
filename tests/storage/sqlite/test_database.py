"""How a SQLite file is opened and shared, and what its errors become."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from threading import Thread

import pytest

from incumbent.checks.storage.children import at_once, open_together
from incumbent.checks.storage.opened import labels, learnt, predicted
from incumbent.config import Store
from incumbent.errors import SchemaMismatch, StorageError, StoreDamaged, StoreFull, StoreLocked
from incumbent.storage.sqlite import SqliteLog, open_ledger, open_log

IMPATIENT = Store(lock_timeout_s=0.05)
WIDE = {f"column {i}": "x" * 50 for i in range(100)}


@pytest.fixture
def log(tmp_path: Path) -> Iterator[SqliteLog]:
    """A log that waits 50 ms for another process."""
    log = open_log(tmp_path, IMPATIENT)
    yield log
    log.close()


@pytest.mark.parametrize(("durability", "synchronous"), [("commit", 1), ("fsync", 2), ("behind", 1)])
def test_durability_is_what_sqlite_was_told(tmp_path: Path, durability: str, synchronous: int) -> None:
    """WAL, with NORMAL (1) or FULL (2); the log's is always NORMAL, because `sync` flushes many commits at once."""
    store = Store(durability=durability)  # type: ignore[arg-type]
    for opened, expected in ((open_log(tmp_path, store), 1), (open_ledger(tmp_path, store), synchronous)):
        with opened._database.writing() as session:
            assert session.driver.execute("PRAGMA synchronous").fetchone() == (expected,)
            assert session.driver.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        opened.close()


def test_somebody_elses_database_is_refused(tmp_path: Path) -> None:
    """A file with tables and no version was never ours; nothing is added to it."""
    with closing(sqlite3.connect(tmp_path / "log.db")) as by_hand:
        by_hand.execute("CREATE TABLE theirs (x)")
    with pytest.raises(SchemaMismatch):
        open_log(tmp_path, IMPATIENT)
    with closing(sqlite3.connect(tmp_path / "log.db")) as by_hand:
        assert by_hand.execute("SELECT name FROM sqlite_master").fetchall() == [("theirs",)]


def test_a_store_that_stays_locked(log: SqliteLog, tmp_path: Path) -> None:
    """StoreLocked after `lock_timeout_s`; reading goes on, and writing when the lock is gone."""
    log.append([predicted("a")])
    with closing(sqlite3.connect(tmp_path / "log.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreLocked, match=r"lock_timeout_s = 0\.05"):
            log.append([predicted("b")])
        assert list(log.find(["a", "b"])) == ["a"]
    log.append([predicted("b")])
    assert log.totals().predictions == 2


def test_a_store_that_is_locked_while_it_is_made(tmp_path: Path) -> None:
    """Opening waits as long as any other call, and no longer."""
    with closing(sqlite3.connect(tmp_path / "log.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StoreLocked):
            open_log(tmp_path, IMPATIENT)
    open_log(tmp_path, IMPATIENT).close()


def test_many_may_make_the_file_at_once(tmp_path: Path) -> None:
    """Four processes open a new folder at the same moment, sixty times: each of them can (without the second try when
    the change to WAL is refused, one opening in twenty could not)."""
    barrier = get_context("spawn").Barrier(4)
    at_once(open_together, *[(partial(open_log, store=Store()), tmp_path, 60, barrier)] * 4)


def test_a_long_reading_holds_up_nobody(log: SqliteLog) -> None:
    """While one thread reads, another writes, and the reader goes on seeing what was there when it began."""
    log.append([predicted("a")])
    with log._database.reading() as session:
        count = partial(session.driver.execute, "SELECT count(*) FROM prediction")
        assert count().fetchone() == (1,)
        writer = Thread(target=log.append, args=([predicted("b")],))
        writer.start()
        writer.join(20)
        assert not writer.is_alive()
        assert count().fetchone() == (1,)
    assert log.totals().predictions == 2


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    """StoreDamaged, for the log and for the ledger."""
    for name, opener in (("log.db", open_log), ("ledger.db", open_ledger)):
        (tmp_path / name).write_bytes(b"this was never a database" * 1000)
        with pytest.raises(StoreDamaged, match=rf"{name} is no whole SQLite database.*backup"):
            opener(tmp_path, IMPATIENT)


def test_a_damaged_page(tmp_path: Path) -> None:
    """Nothing wrong is read: StoreDamaged, wherever the damage lies."""
    open_log(tmp_path, IMPATIENT).close()
    path = tmp_path / "log.db"
    first = path.stat().st_size  # the first pages of the tables, so that the file can be opened at all
    log = open_log(tmp_path, IMPATIENT)
    log.append([predicted(f"{i}", features=WIDE) for i in range(200)])
    log.close()
    whole = path.read_bytes()
    path.write_bytes(whole[:first] + b"\xff" * (len(whole) - first))
    again = open_log(tmp_path, IMPATIENT)
    with pytest.raises(StoreDamaged):
        list(again.scan())
    with pytest.raises(StoreDamaged):
        again.append([predicted("new")])
    again.close()


def test_a_store_that_may_not_grow(log: SqliteLog) -> None:
    """StoreFull: the call changes nothing, what was acknowledged stays, and room makes it go on."""
    log.append([predicted("a")])
    log.append_outcomes([learnt("a", 1)])
    with log._database.writing() as session:
        (pages,) = session.driver.execute("PRAGMA page_count").fetchone()
        session.driver.execute(f"PRAGMA max_page_count = {pages + 5}")
    with pytest.raises(StoreFull, match="what was acknowledged stays"):
        log.append([predicted(f"{i}", features=WIDE) for i in range(100)])
    assert labels(log) == {"a": 1}
    with log._database.writing() as session:
        session.driver.execute("PRAGMA max_page_count = 1000000")
    log.append([predicted(f"{i}", features=WIDE) for i in range(100)])
    assert log.totals().predictions == 101


def test_a_folder_that_cannot_be_opened(tmp_path: Path) -> None:
    """A folder in the place of the file."""
    (tmp_path / "log.db").mkdir()
    with pytest.raises(StorageError, match=r"cannot be opened.*store\.path"):
        open_log(tmp_path, IMPATIENT)
