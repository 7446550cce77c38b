"""A store that the first release wrote is refused, upgraded when asked, and then like any other."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from incumbent.checks.storage.opened import HOUR, T0, labels, predicted, score
from incumbent.config import Config, Store, Task
from incumbent.errors import SchemaMismatch, StorageError
from incumbent.storage.base import Totals
from incumbent.storage.opening import upgrade_facts
from incumbent.storage.sql import upgrading
from incumbent.storage.sql.tables import LOG, REVISIONS
from incumbent.storage.sqlite import open_ledger, open_log
from incumbent.storage.sqlite.upgrading import upgrade

IMPATIENT = Store(lock_timeout_s=0.05)
HERE = Path(__file__).parent


def first_release(folder: Path, *parts: str) -> None:
    """The files of a store that the first release wrote, with three predictions and three events."""
    folder.mkdir(parents=True, exist_ok=True)
    for part in parts or ("log", "ledger"):
        with closing(sqlite3.connect(folder / f"{part}.db")) as connection:
            connection.executescript((HERE / f"first_release_{part}.sql").read_text())
            connection.execute("PRAGMA journal_mode = WAL")


def columns(path: Path) -> dict[str, list[tuple[str, str, int]]]:
    """What SQLite makes of each table: names, affinities, keys; and of each index."""
    with closing(sqlite3.connect(path)) as connection:
        names = connection.execute("SELECT name, type FROM sqlite_master WHERE name NOT LIKE 'sqlite_%' ORDER BY name")
        found = {}
        for name, kind in names.fetchall():
            rows = connection.execute(f"PRAGMA {'table' if kind == 'table' else 'index'}_info({name})").fetchall()
            if kind == "table":
                found[name] = [(row[1], affinity(row[2]), row[5]) for row in rows]
            elif kind == "index":
                found[name] = [(row[2], "", 0) for row in rows]
        return found


def affinity(declared: str) -> str:
    """BIGINT is an INTEGER to SQLite, DOUBLE a REAL."""
    return {"BIGINT": "INTEGER", "DOUBLE": "REAL", "FLOAT": "REAL"}.get(declared, declared)


def test_an_older_log_is_refused_until_it_is_upgraded(tmp_path: Path) -> None:
    """The message names the command; the file stays as it is."""
    first_release(tmp_path)
    before = (tmp_path / "log.db").read_bytes()
    with pytest.raises(SchemaMismatch, match=r"revision 0001, expected 0005.*incumbent doctor --upgrade"):
        open_log(tmp_path, IMPATIENT)
    assert (tmp_path / "log.db").read_bytes() == before


def test_an_upgraded_log_holds_what_it_held(tmp_path: Path) -> None:
    """Rows, labels, losses, the work that is left, counts; and it goes on."""
    first_release(tmp_path)
    done = upgrade(tmp_path, "log", IMPATIENT)
    assert done is not None and (done.before, done.now) == ("0001", "0005")
    log = open_log(tmp_path, IMPATIENT)
    assert labels(log) == {"a": 0, "b": 1, "c": None} and labels(log, T0 + 11)["a"] == 1
    assert [(each.id, each.version) for each in log.unscored()] == [("a", "v1"), ("a", "v2"), ("b", "v2")]
    assert [each.loss for each in log.period_sums(HOUR, T0, T0 + HOUR, T0 + 11)] == [7]
    assert log.totals() == Totals(3, 2, 1, 2, 1, T0, T0 + 6, {"timeout": 2}, {"v1": 2, "v2": 1})
    log.append([predicted("z", served_by="v2", fallback_reason="timeout"), predicted("new")])
    score(log)
    assert labels(log)["z"] == 0
    assert log.totals().served == {"v1": 3, "v2": 2} and log.totals().fallbacks == {"timeout": 3}
    log.close()


def test_an_upgraded_file_is_like_a_new_one(tmp_path: Path) -> None:
    """The same tables, columns, keys and indexes."""
    first_release(tmp_path / "old")
    upgrade(tmp_path / "old", "log", IMPATIENT)
    open_log(tmp_path / "new", IMPATIENT).close()
    assert columns(tmp_path / "old" / "log.db") == columns(tmp_path / "new" / "log.db")


def test_a_copy_of_the_file_as_it_was_is_kept(tmp_path: Path) -> None:
    """Whole, beside it; the name of an earlier copy is not used again."""
    first_release(tmp_path)
    (tmp_path / "log.revision-0001.db").write_text("an earlier copy")
    done = upgrade(tmp_path, "log", IMPATIENT)
    assert done is not None and done.copy == str(tmp_path / "log.revision-0001-2.db")
    with closing(sqlite3.connect(done.copy)) as copy:
        assert copy.execute("PRAGMA user_version").fetchone() == (1,)
        assert copy.execute("SELECT count(*) FROM prediction").fetchone() == (3,)
    assert (tmp_path / "log.revision-0001.db").read_text() == "an earlier copy"


def test_the_ledger_of_the_first_release_is_read_as_it_is(tmp_path: Path) -> None:
    """Its tables did not change; its chain goes on."""
    first_release(tmp_path, "ledger")
    assert upgrade(tmp_path, "ledger", IMPATIENT) is None
    ledger = open_ledger(tmp_path, IMPATIENT)
    assert ledger.append("Noted", at=T0, actor="a", reason="b").sequence == ledger.verify() == 4
    ledger.close()


def test_the_whole_store_of_a_project_is_upgraded(tmp_path: Path) -> None:
    """Once; there is nothing to do then, nor where there is no store."""
    task = Task(name="a", kind="binary", target="y", metric="brier")
    config = Config(task=task, store=Store(path="store", lock_timeout_s=0.05), folder=tmp_path)
    assert upgrade_facts(config) == []
    first_release(tmp_path / "store")
    assert [Path(each.place).name for each in upgrade_facts(config)] == ["log.db"]
    assert upgrade_facts(config) == []


@pytest.mark.parametrize("opener", [open_log, lambda folder, store: upgrade(folder, "log", store)])
def test_a_newer_store_is_refused(tmp_path: Path, opener: Callable[[Path, Store], object]) -> None:
    """By opening and by upgrading; the file stays as it is."""
    open_log(tmp_path, IMPATIENT).close()
    with closing(sqlite3.connect(tmp_path / "log.db")) as by_hand, by_hand:
        by_hand.execute("UPDATE log_version SET version_num = '0099'")
    with pytest.raises(SchemaMismatch, match=r"revision 0099, expected 0005: a newer release.*no way back"):
        opener(tmp_path, IMPATIENT)
    with closing(sqlite3.connect(tmp_path / "log.db")) as by_hand:
        assert by_hand.execute("SELECT version_num FROM log_version").fetchall() == [("0099",)]


def test_a_store_in_use_is_not_upgraded(tmp_path: Path) -> None:
    """Somebody writes: StorageError, and nothing has changed."""
    first_release(tmp_path)
    with closing(sqlite3.connect(tmp_path / "log.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageError, match=r"as it was.*Stop whatever uses it"):
            upgrade(tmp_path, "log", IMPATIENT)
    assert upgrade(tmp_path, "log", IMPATIENT) is not None


def test_an_upgrade_that_fails_half_way_changes_nothing(tmp_path: Path) -> None:
    """Its last step cannot be done: the table that its first step made is gone again."""
    first_release(tmp_path)
    with closing(sqlite3.connect(tmp_path / "log.db")) as by_hand:
        by_hand.execute("DROP INDEX prediction_served")
    before = columns(tmp_path / "log.db")
    with pytest.raises(StorageError, match=r"prediction_served.*as it was"):
        upgrade(tmp_path, "log", IMPATIENT)
    assert columns(tmp_path / "log.db") == before


@pytest.mark.parametrize("part", ["log", "ledger"])
def test_the_last_revision_is_the_one_that_is_read(part: str) -> None:
    """What the tables say and what the folder of revisions holds."""
    assert upgrading.scripts(part).get_current_head() == REVISIONS[part]
    assert "prediction" in LOG.tables


def test_an_upgraded_log_can_give_space_back(tmp_path: Path) -> None:
    """As one that was made by this release."""
    first_release(tmp_path)
    upgrade(tmp_path, "log", IMPATIENT)
    with closing(sqlite3.connect(tmp_path / "log.db")) as connection:
        assert connection.execute("PRAGMA auto_vacuum").fetchone() == (2,)
