"""A schema of an older revision is refused and upgraded in one transaction; a newer one is refused."""

from pathlib import Path
from typing import Any

import psycopg
import pytest

from incumbent.checks.storage.opened import InSchema, labels, learnt, predicted, schema_of
from incumbent.config import Store
from incumbent.errors import SchemaMismatch, StorageError
from incumbent.records import Event
from incumbent.storage.postgres import open_ledger, open_log
from incumbent.storage.postgres.upgrading import upgrade

STORE = Store(lock_timeout_s=0.5)

OLDER = """DROP TABLE trial_sum; DROP TABLE trial_unit; DROP TABLE pair_sum; DROP TABLE pair_block;
    DROP TABLE response; DROP TABLE adjudication; DROP TABLE tally; DROP TABLE archive;
    ALTER TABLE prediction DROP COLUMN archived;
    CREATE INDEX prediction_served ON prediction (served_by, fallback_reason);
    UPDATE log_version SET version_num = '0001'"""
"""What takes a log back to the tables of revision 0001."""


def by_hand(url: str, folder: Path, statements: str) -> None:
    """Change the schema of a folder behind the store's back."""
    with psycopg.connect(url) as connection:
        connection.execute(f"SET search_path TO {schema_of(folder)}")
        connection.execute(statements)


@pytest.fixture
def older(server: Any, tmp_path: Path) -> InSchema[Any]:
    """What opens a log of revision 0001 with two predictions."""
    opener = InSchema(open_log, server.url, STORE)
    log = opener(tmp_path)
    log.append([predicted("a"), predicted("b", fallback_reason="timeout")])
    log.append_outcomes([learnt("a", 1)])
    log.close()
    by_hand(server.url, tmp_path, OLDER)
    return opener


def test_an_older_log_is_refused_and_upgraded(server: Any, older: InSchema[Any], tmp_path: Path) -> None:
    """Then it holds what it held; a second time there is nothing to do, nor where there is no store."""
    with pytest.raises(SchemaMismatch, match=r"revision 0001, expected 0005.*incumbent doctor --upgrade"):
        older(tmp_path)
    done = upgrade(server.url, schema_of(tmp_path), "log", STORE)
    assert done is not None and (done.before, done.now) == ("0001", "0005")
    assert upgrade(server.url, schema_of(tmp_path), "log", STORE) is None
    assert upgrade(server.url, "nowhere", "log", STORE) is None
    log = older(tmp_path)
    assert labels(log) == {"a": 1, "b": None}
    assert (log.totals().served, log.totals().fallbacks) == ({"v1": 2}, {"timeout": 1})
    log.append([predicted("c")])
    assert log.totals().predictions == 3
    log.close()


def test_an_upgrade_that_fails_half_way_changes_nothing(server: Any, older: InSchema[Any], tmp_path: Path) -> None:
    """Its last step cannot be done: the table that its first step made is gone again."""
    by_hand(server.url, tmp_path, "DROP INDEX prediction_served")
    with pytest.raises(StorageError, match=r"prediction_served.*as it was"):
        upgrade(server.url, schema_of(tmp_path), "log", STORE)
    by_hand(server.url, tmp_path, "CREATE INDEX prediction_served ON prediction (served_by, fallback_reason)")
    assert upgrade(server.url, schema_of(tmp_path), "log", STORE) is not None


def test_a_newer_store_is_refused(server: Any, tmp_path: Path) -> None:
    """By opening and by upgrading."""
    opener = InSchema(open_ledger, server.url, STORE)
    ledger = opener(tmp_path)
    event: Event = ledger.append("Noted", at=0, actor="a", reason="b")
    ledger.close()
    by_hand(server.url, tmp_path, "UPDATE ledger_version SET version_num = '0099'")
    with pytest.raises(SchemaMismatch, match="no way back"):
        opener(tmp_path)
    with pytest.raises(SchemaMismatch, match="no way back"):
        upgrade(server.url, schema_of(tmp_path), "ledger", STORE)
    by_hand(server.url, tmp_path, "UPDATE ledger_version SET version_num = '0001'")
    again = opener(tmp_path)
    assert again.events() == [event]
    again.close()
