"""The write-ahead log is flushed when asked, once for many, and does not grow for ever."""

import errno
import os
import shutil
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from threading import Event, Lock

import pytest

from incumbent.checks.storage.opened import labels, learnt, predicted, shadowed
from incumbent.config import Store
from incumbent.errors import StorageError
from incumbent.records import Review
from incumbent.storage.base import row_of
from incumbent.storage.sqlite import SqliteLog, open_log, wal

WIDE = {f"column {i}": "x" * 50 for i in range(100)}
FSYNC = Store(durability="fsync")


@pytest.fixture
def log(tmp_path: Path) -> Iterator[SqliteLog]:
    """A log whose acknowledged rows survive a power cut."""
    log = open_log(tmp_path, FSYNC)
    yield log
    log.close()


class Flushes:
    """Stands in for fdatasync: counts, and keeps a copy of what a power cut would have left."""

    def __init__(self, folder: Path, copies: Path) -> None:
        self.folder, self.copies, self.count = folder, copies, 0

    def __call__(self, descriptor: int) -> None:
        found, path = os.fstat(descriptor), self.folder / "log.db-wal"
        assert (found.st_ino, found.st_dev) == (path.stat().st_ino, path.stat().st_dev)
        self.count += 1
        copy = self.copies / str(self.count)
        copy.mkdir(parents=True)
        for name in ("log.db", "log.db-wal"):
            shutil.copy(self.folder / name, copy / name)

    def ids(self) -> set[str]:
        """The predictions in the files as they were flushed last."""
        log = open_log(self.copies / str(self.count), Store())
        try:
            return set(labels(log))
        finally:
            log.close()


@pytest.fixture
def flushes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Flushes:
    flushes = Flushes(tmp_path, tmp_path / "copies")
    monkeypatch.setattr(wal, "_fdatasync", flushes)
    return flushes


def test_what_is_acknowledged_was_flushed(log: SqliteLog, flushes: Flushes) -> None:
    """Each call of `append` flushes the WAL with its rows in it; `append_rows` leaves that to `sync`."""
    for id in ("a", "b"):
        log.append([predicted(id)])
        assert id in flushes.ids()
    log.append_rows([row_of(predicted("c"))])
    assert flushes.count == 2
    log.sync()
    assert flushes.ids() == {"a", "b", "c"}


def test_everything_else_that_is_kept_is_flushed_too(log: SqliteLog, flushes: Flushes) -> None:
    """Outcomes, shadows, losses, reviews: one flush a call."""
    log.append([predicted("a")])
    log.append_shadows([shadowed("a")])
    log.append_outcomes([learnt("a")])
    log.put_losses([(each.id, each.version, 1) for each in log.unscored()])
    log.append_reviews([Review("a", 0, "v1", "audit", 0.02, "p1")])
    assert flushes.count == 5


@pytest.mark.parametrize("durability", ["commit", "behind"])
def test_nobody_waits_for_the_disk_who_did_not_ask(tmp_path: Path, flushes: Flushes, durability: str) -> None:
    """With another durability nothing is flushed."""
    log = open_log(tmp_path, Store(durability=durability))  # type: ignore[arg-type]
    log.append([predicted("a")])
    log.append_outcomes([learnt("a")])
    log.close()
    assert flushes.count == 0


def test_one_flush_serves_all_that_came_meanwhile(log: SqliteLog, monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight calls that come while one runs share the next one: two in all."""
    running, go_on, count = Event(), Event(), []

    def slow(descriptor: int) -> None:
        count.append(descriptor)
        running.set()
        assert go_on.wait(30)

    monkeypatch.setattr(wal, "_fdatasync", slow)
    with ThreadPoolExecutor(9) as pool:
        first = pool.submit(log.sync)
        assert running.wait(30)
        others = [pool.submit(log.sync) for _ in range(8)]
        waiting = log._database._wal._sync._changed._waiters  # type: ignore[attr-defined]
        while len(waiting) < 8:
            pass
        assert not any(each.done() for each in (first, *others))
        go_on.set()
        for each in (first, *others):
            each.result(30)
    assert len(count) == 2


def test_a_flush_that_failed_is_made_good(log: SqliteLog, flushes: Flushes, monkeypatch: pytest.MonkeyPatch) -> None:
    """The caller hears of it. The system may now take the pages for flushed: the next call writes all of them to the
    database, and flushes that, before it says that anything is safe."""

    def failing(descriptor: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(wal, "_fdatasync", failing)
        with pytest.raises(StorageError, match=r"Input/output error.*power cut"):
            log.append([predicted("a")])
    assert (log._database.path.with_name("log.db-wal")).stat().st_size > 0
    log.sync()
    assert (log._database.path.with_name("log.db-wal")).stat().st_size == 0
    assert flushes.ids() == {"a"}


def test_a_wal_that_was_made_anew_is_the_one_that_is_flushed(tmp_path: Path, flushes: Flushes) -> None:
    """Every connection closed in between: the file is another, and so is the descriptor."""
    for id in ("a", "b"):
        log = open_log(tmp_path, FSYNC)
        log.append([predicted(id)])
        log.close()
        assert not (tmp_path / "log.db-wal").exists()
    assert flushes.ids() == {"a", "b"}


def wal_bytes(log: SqliteLog) -> int:
    """How large the WAL is."""
    return log._database.path.with_name("log.db-wal").stat().st_size


def test_tidying_keeps_the_wal_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer that never stops, with `tidy` now and then: the WAL is written from its start again."""
    monkeypatch.setattr(wal, "RESTART_PAGES", 50)
    log = open_log(tmp_path, Store())
    largest = 0
    for batch in range(60):
        log.append([predicted(f"{batch} {row}", features=WIDE) for row in range(10)])
        if batch % 5 == 4:
            log.tidy()
        largest = max(largest, wal_bytes(log))
    assert largest < 2_000_000
    assert log.totals().predictions == 600
    log.close()


def test_a_reader_does_not_stop_the_tidying_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While somebody reads an old view, the WAL cannot start again, nobody waits, and afterwards it does."""
    monkeypatch.setattr(wal, "RESTART_PAGES", 50)
    log = open_log(tmp_path, Store())
    log.append([predicted("a")])
    with log._database.reading() as session:
        assert session.driver.execute("SELECT count(*) FROM prediction").fetchone() == (1,)
        log.append([predicted(f"{row}", features=WIDE) for row in range(100)])
        log.tidy()
        assert session.driver.execute("SELECT count(*) FROM prediction").fetchone() == (1,)
    before = wal_bytes(log)
    log.tidy()
    log.append([predicted("b")])
    assert wal_bytes(log) == before
    log.close()


def test_a_wal_that_nobody_tidies_has_an_end(tmp_path: Path) -> None:
    """Above 256 MB a writer empties it itself."""
    log = open_log(tmp_path, Store())
    with log._database.writing() as session:
        assert session.driver.execute("PRAGMA wal_autocheckpoint").fetchone() == (65_536,)
        session.driver.execute("PRAGMA wal_autocheckpoint = 100")
    for batch in range(40):
        log.append([predicted(f"{batch} {row}", features=WIDE) for row in range(10)])
    assert wal_bytes(log) < 1_500_000
    log.close()


def test_grouped_runs_never_overlap() -> None:
    """And each caller's run began after its call."""
    inside, ran = Lock(), []

    def work() -> None:
        assert inside.acquire(blocking=False)
        ran.append(len(asked))
        inside.release()

    asked: list[int] = []
    grouped = wal.Grouped(work)

    def ask(n: int) -> None:
        asked.append(n)
        before = len(asked)
        grouped()
        assert ran[-1] >= before or max(ran) >= before

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(ask, range(400)))
    assert 1 <= len(ran) <= 400


def test_an_old_reader_by_hand_may_read_along(tmp_path: Path) -> None:
    """The file stays a plain SQLite database."""
    log = open_log(tmp_path, Store())
    log.append([predicted("a")])
    with closing(sqlite3.connect(tmp_path / "log.db")) as by_hand:
        assert by_hand.execute("SELECT id FROM prediction").fetchall() == [("a",)]
    log.close()
