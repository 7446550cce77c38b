"""The front of the log: what was appended is found by everybody, survives a killed process, and is kept once."""

import os
import resource
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

import pytest

from incumbent.checks.storage import LogChecks
from incumbent.config import Store
from incumbent.errors import IdReused, StoreFull, StoreLocked
from incumbent.loop.log import Ids
from incumbent.records import Outcome, Prediction
from incumbent.storage import journal
from incumbent.storage.base import PredictionRow, row_of
from incumbent.storage.journaled import Journaled, in_front
from incumbent.storage.sqlite import open_log

new_id = Ids()


journaled = partial(in_front, partial(open_log, store=Store()))
"""Importable in a child process, which knows no tests."""


class TestJournaled(LogChecks):
    """A journal in front changes nothing of the contract."""

    def opener(self):  # type: ignore[no-untyped-def]
        return journaled

    @contextmanager
    def occupied(self, folder: Path) -> Iterator[None]:
        with closing(sqlite3.connect(folder / "log.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            yield
            other.execute("ROLLBACK")


def rows(count: int, at: int = 1_000_000) -> list[PredictionRow]:
    return [row_of(Prediction(new_id(at), at, {"x": i}, "v1", "v1", (0.25, 0.75))) for i in range(count)]


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Journaled]:
    log = journaled(tmp_path)
    yield log
    log.close()


def test_new_rows_are_found_at_once_by_everybody(log: Journaled, tmp_path: Path) -> None:
    """By this object and by another process's; each row once, in its order."""
    some = rows(5)
    log.append_new(some[:2])
    log.append_new(some[2:])
    other = journaled(tmp_path)
    assert set(other.find([row.id for row in some])) == {row.id for row in some}
    assert log.totals().predictions == other.totals().predictions == 5
    other.close()


def test_an_outcome_finds_a_row_that_lies_in_the_journal(log: Journaled) -> None:
    """It is accepted, not pending."""
    (row,) = rows(1)
    log.append_new([row])
    assert log.append_outcomes([Outcome(row.id, 1, 2_000_000)]).accepted == 1


def test_an_id_of_our_own_that_comes_again_is_looked_for_in_the_journal(log: Journaled) -> None:
    """A call that must not wait says so; one that may finds it."""
    (row,) = rows(1)
    log.append_new([row])
    with pytest.raises(StoreLocked):
        log.append_rows([row], 0.0)
    with pytest.raises(IdReused):
        log.append_rows([row])


def test_a_mover_that_was_killed_moves_nothing_twice(log: Journaled, tmp_path: Path) -> None:
    """It had moved the rows, and could not say so: they are found by their ids."""
    some = rows(4)
    log.append_new(some)
    assert log.move() == 4
    (tmp_path / "journal" / "positions.json").unlink()
    log.append_new(rows(1))
    log.move()
    assert log.totals().predictions == 5


CHILD = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_journal import journaled, rows
log = journaled(Path(sys.argv[1]))
while True:
    some = rows(3)
    log.append_new(some)
    print("\\n".join(row.id for row in some), flush=True)
"""


@pytest.mark.parametrize("after", [1, 50, 400])
def test_what_a_killed_process_acknowledged_is_there_once(tmp_path: Path, after: int) -> None:
    """Kill -9 in mid-write: every row that it told of is in the log, exactly once."""
    command = [sys.executable, "-c", CHILD, str(tmp_path), str(Path(__file__).parent)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    told = [child.stdout.readline().strip() for _ in range(after)]
    child.kill()
    told += [line.strip() for line in child.stdout.read().splitlines()]
    child.stdout.close()
    child.wait()
    log = journaled(tmp_path)
    there = [row.prediction.id for page in log.scan() for row in page]
    assert len(there) == len(set(there))
    assert {id for id in told if len(id) == 36} <= set(there)
    assert journal.paths(tmp_path / "journal") == []
    log.close()


def test_a_torn_end_is_passed_over(log: Journaled, tmp_path: Path) -> None:
    """The last record of a killed process is half there: it was never acknowledged."""
    log.append_new(rows(2))
    (path,) = journal.paths(tmp_path / "journal")
    whole = path.read_bytes()
    log._journal.close()
    path.write_bytes(whole + whole[:-7])
    assert log.move() == 2
    assert not path.exists()
    assert log.totals().predictions == 2


def test_a_changed_record_is_kept_aside(log: Journaled, tmp_path: Path) -> None:
    """The disk changed it: what came before is moved, and the file stays for whoever wants to look."""
    log.append_new(rows(2))
    (path,) = journal.paths(tmp_path / "journal")
    whole = path.read_bytes()
    log._journal.close()
    path.write_bytes(whole + whole[:-1] + bytes([whole[-1] ^ 1]))
    assert log.move() == 2
    assert path.with_suffix(".damaged").exists()
    assert log.move() == 0


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """The operating system refuses every byte beyond `size` of any file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_keeps_nothing_of_the_call_and_all_before(log: Journaled, tmp_path: Path) -> None:
    """StoreFull, no torn record left behind; with room again the next rows follow."""
    log.append_new(rows(3))
    (path,) = journal.paths(tmp_path / "journal")
    size = path.stat().st_size
    with files_of_at_most(size + 100), pytest.raises(StoreFull, match="nothing of this call was kept"):
        log.append_new(rows(10))
    assert path.stat().st_size == size
    log.append_new(rows(2))
    assert log.totals().predictions == 5


def test_a_large_file_is_followed_by_a_new_one(log: Journaled, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The old one is deleted when it was read."""
    monkeypatch.setattr(journal, "LARGEST", 100)
    log.append_new(rows(2))
    log.append_new(rows(2))
    assert len(journal.paths(tmp_path / "journal")) == 2
    assert log.totals().predictions == 4
    assert len(journal.paths(tmp_path / "journal")) == 1


def test_a_flush_serves_what_was_appended_before_it(log: Journaled, monkeypatch: pytest.MonkeyPatch) -> None:
    """One call of the operating system, and none when nothing came since."""
    flushed: list[int] = []
    monkeypatch.setattr(os, "fdatasync", flushed.append)
    log.append_new(rows(1))
    log.append_new(rows(1))
    log._journal.sync()
    log._journal.sync()
    assert len(flushed) == 1
