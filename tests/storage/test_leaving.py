"""What moves or goes for good: killed in the middle, on a full disk, beside traffic, and down to the last byte."""

import resource
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from incumbent.checks.storage.leaving import SIGNATURES, answers, files, holding, query
from incumbent.checks.storage.opened import HOUR, T0, learnt, predicted, score, shadowed
from incumbent.config import Store
from incumbent.errors import StorageError, StoreFull
from incumbent.loop.log import Ids
from incumbent.records import DAY
from incumbent.storage import journal
from incumbent.storage.base import Gone, SumPlan, row_of
from incumbent.storage.journaled import Journaled
from incumbent.storage.sql import leaving
from incumbent.storage.sqlite import SqliteLog, open_log

sys.path.insert(0, str(Path(__file__).parent))
from archiving import GONE, act

SCRIPT = Path(__file__).with_name("archiving.py")
MOST_STEPS = 60
ROWS = 400


@pytest.fixture(autouse=True)
def small_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a day has several."""
    monkeypatch.setattr(leaving, "ROWS_A_FILE", 150)


def filled(folder: Path) -> SqliteLog:
    """A log of two days, labelled, with shadows."""
    log = open_log(folder, Store())
    log.append([predicted(f"{i}", T0 + (i % 2) * DAY + i, features={"hour": i, "origin": "JFK"}) for i in range(ROWS)])
    log.append_outcomes([learnt(f"{i}", i % 2) for i in range(0, ROWS, 2)])
    log.append_shadows([shadowed(f"{i}") for i in range(0, ROWS, 5)])
    score(log)
    return log


def killed(folder: Path, what: str, step: int) -> bool:
    """Run the child; was it killed before it was done?"""
    found = subprocess.run([sys.executable, str(SCRIPT), str(folder), what, str(step)], timeout=60, check=False)
    assert found.returncode in (0, -9)
    return found.returncode == -9


@pytest.mark.slow
@pytest.mark.parametrize("what", ["archive", "erase", "drop"])
def test_whoever_is_killed_loses_nothing_and_is_followed(tmp_path: Path, what: str) -> None:
    """At each of the steps of a run in turn: the log answers, no row is in Parquet twice, and the next run ends what
    this one began; at the end all is as after a run that nobody killed."""
    plain = filled(tmp_path / "plain")
    if what != "archive":
        act(plain, "archive")
    before = answers(plain)
    act(plain, what)
    expected, tidy = answers(plain), files(tmp_path / "plain" / "days")
    plain.close()

    steps = 0
    for step in range(1, MOST_STEPS, 3):
        folder = tmp_path / f"{step}"
        log = filled(folder)
        if what != "archive":
            act(log, "archive")
        log.close()
        if not killed(folder, what, step):
            break
        steps += 1
        log = open_log(folder, Store())
        if what == "archive":
            assert answers(log) == before == expected
        else:
            answers(log)
        act(log, what)
        assert answers(log) == expected
        assert files(folder / "days") == tidy
        rows, ids = query(folder / "days", "SELECT count(*), count(DISTINCT id) FROM {days}")[0]
        assert rows == ids
        if what == "erase":
            assert not {id for (id,) in query(folder / "days", "SELECT id FROM {days}")} & set(GONE)
        log.close()
    assert steps >= 5


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """The operating system refuses every byte beyond `size` of any file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_on_a_full_disk_the_day_stays_in_the_store(tmp_path: Path) -> None:
    """StoreFull, no file left behind, every answer as it was; with room again it moves."""
    log = filled(tmp_path)
    before = answers(log)
    with files_of_at_most(1000), pytest.raises(StoreFull, match="its rows stay as they are"):
        log.archive_day("2013-04-01", T0, T0 + DAY, SIGNATURES)
    assert files(tmp_path / "days") == []
    assert answers(log) == before
    assert log.oldest_whole() == T0
    assert log.archive_day("2013-04-01", T0, T0 + DAY, SIGNATURES) == ROWS // 2
    assert answers(log) == before
    log.close()


def test_without_a_folder_nothing_moves(tmp_path: Path) -> None:
    """A log that was opened without one says so."""
    log = open_log(tmp_path, Store())
    log._leaving._days = None
    with pytest.raises(StorageError, match="without a folder"):
        log.archive_day("2013-04-01", T0, T0 + DAY, SIGNATURES)
    log.close()


def test_space_is_given_back_while_others_have_the_log_open(tmp_path: Path) -> None:
    """Most of the file goes back to the system; the other's next look sees the same rows."""
    log, other = open_log(tmp_path, Store()), open_log(tmp_path, Store())
    some = {f"feature_{i}": i / 7 for i in range(100)}
    log.append([predicted(f"{i}", T0 + i, features=some) for i in range(2000)])
    log.tidy()
    large = (tmp_path / "log.db").stat().st_size
    assert len(other.find(["7"])) == 1
    log.archive_day("2013-04-01", T0, T0 + DAY, SIGNATURES)
    log.tidy()
    assert (tmp_path / "log.db").stat().st_size < large / 4
    assert other.find(["7"])["7"].features == some
    assert sum(path.stat().st_size for path in (tmp_path / "days").glob("*/*.parquet")) < large / 4
    log.close()
    other.close()


def test_appends_go_on_while_a_day_moves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every append of another thread's own connection comes through between two of the short transactions."""
    monkeypatch.setattr(leaving, "ROWS_A_FILE", 100_000)
    log, other = open_log(tmp_path, Store()), open_log(tmp_path, Store(lock_timeout_s=5))
    log.append([predicted(f"{i}", T0 + i) for i in range(3000)])
    done, appended = threading.Event(), 0

    def traffic() -> None:
        nonlocal appended
        while not done.is_set():
            other.append([predicted(f"new {appended}", T0 + 2 * DAY)])
            appended += 1

    thread = threading.Thread(target=traffic)
    thread.start()
    deadline = time.monotonic() + 30
    while not appended and time.monotonic() < deadline:
        time.sleep(0.001)
    before = appended
    assert log.archive_day("2013-04-01", T0, T0 + DAY, SIGNATURES) == 3000
    during = appended - before
    done.set()
    thread.join(30)
    assert during >= 10
    assert log.totals().predictions == 3000 + appended
    log.close()
    other.close()


def test_what_was_added_up_of_an_erased_unit_is_gone(tmp_path: Path) -> None:
    """The running sums of its trial hold its name, and those of a trial before which it was there; others go on."""
    log = open_log(tmp_path, Store())
    log.append([predicted("a", T0, unit="N0secret", trial="t", arm="incumbent"), predicted("b", T0, unit="u")])
    log.append([predicted("c", T0 + DAY, unit="u", trial="s", arm="incumbent")])
    log.append_outcomes([learnt("a", 1, T0)])
    score(log)
    plans = [SumPlan("t", 0, T0, DAY, DAY), SumPlan("s", 0, T0 + DAY, DAY, DAY, before=2 * DAY)]
    for plan in (*plans, SumPlan("s", 0, T0 + DAY, DAY, DAY)):
        log.trial_sums(plan, T0 + 3 * DAY)
    with closing(sqlite3.connect(tmp_path / "log.db")) as other:
        names = "SELECT count(*) FROM trial_unit WHERE unit = 'N0secret'"
        assert other.execute(names).fetchone() == (2,)
        log.erase(["a"])
        assert other.execute(names).fetchone() == (0,)
        assert other.execute("SELECT count(*) FROM trial_sum").fetchone() == (1,)
    log.scrub()
    assert holding(tmp_path, "N0secret") == []
    assert [log.trial_sums(plan, T0 + 3 * DAY).arms["incumbent"].units for plan in plans] == [0, 1]
    log.close()


def test_no_byte_of_what_was_erased_is_left(tmp_path: Path) -> None:
    """Not in the database, nor in its write-ahead log, the journal of a process that goes on, Parquet or a copy."""
    unit, secret = "N0secret", {"tailnum": "N0secret", "hour": 1}
    new_id = Ids()
    log = Journaled(open_log(tmp_path, Store()), tmp_path / "journal", flushed=False)
    mine = [predicted(new_id(T0 + i), T0 + i, unit=unit, features=secret, trial="t") for i in range(40)]
    others = [predicted(new_id(T0 + i), T0 + i, unit=f"u{i}") for i in range(400)]
    log.append_new([row_of(row) for row in [*mine[:20], *others[:200]]])
    log.archive_day("2013-04-01", T0, T0 + 10, SIGNATURES)
    log.append_new([row_of(row) for row in [*mine[20:], *others[200:]]])
    log.copy_day("2013-04-01", T0, T0 + HOUR, SIGNATURES)
    reader = open_log(tmp_path, Store())
    assert reader.find([mine[0].id])
    places = {path.relative_to(tmp_path).parts[0] for path in holding(tmp_path, unit)}
    assert places == {"days", "journal", "log.db-wal"}
    assert log.erase([row.id for row in mine]).predictions == 40
    log.scrub()
    assert holding(tmp_path, unit) == []
    assert holding(tmp_path, mine[3].id) == []
    log.append_new([row_of(predicted(new_id(T0), T0))])
    assert log.totals().predictions == reader.totals().predictions == 401
    (tmp_path / "journal" / "positions.json").unlink()
    assert log.move() == 1
    assert log.totals().predictions == 401
    log.close()
    reader.close()
    assert journal.paths(tmp_path / "journal") == []


def test_scrubbing_waits_for_readers_and_then_says_who_is_in_the_way(tmp_path: Path) -> None:
    """Somebody who reads keeps the old pages alive: StoreLocked, nothing lost."""
    log = open_log(tmp_path, Store(lock_timeout_s=0.05))
    log.append([predicted("a"), predicted("b")])
    with closing(sqlite3.connect(tmp_path / "log.db", isolation_level=None)) as other:
        other.execute("BEGIN")
        other.execute("SELECT count(*) FROM prediction").fetchone()
        assert log.erase(["a"]) == Gone(predictions=1)
        with pytest.raises(StorageError, match="somebody reads"):
            log.scrub()
    log.scrub()
    found: Any = log.find(["a", "b"])
    assert list(found) == ["b"]
    log.close()


def test_no_file_goes_before_it_is_on_the_disk_that_nobody_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a power cut could bring back the name of a file that is gone."""
    log = filled(tmp_path)
    act(log, "archive")
    steps: list[str] = []
    flush, unlink = log._file.sync, Path.unlink
    monkeypatch.setattr(log._file, "sync", lambda: (steps.append("flushed"), flush()))
    monkeypatch.setattr(Path, "unlink", lambda path, missing_ok=False: (steps.append(path.suffix), unlink(path)))
    log.erase(["0"])
    assert steps == ["flushed", ".parquet"]
    log.drop_before(T0 + DAY)
    assert steps == ["flushed", ".parquet", "flushed", ".parquet", ".parquet"]
    log.close()
