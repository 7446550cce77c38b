"""The Ledger contract on SQLite, and that the file itself refuses to forget."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from incumbent.checks.storage import LedgerChecks
from incumbent.config import Store
from incumbent.storage.base import Ledger
from incumbent.storage.sqlite import open_ledger


class TestSqliteLedger(LedgerChecks):
    """Everything that the contract says."""

    def opener(self) -> Callable[[Path], Ledger]:
        return partial(open_ledger, store=Store())

    def tamper(self, folder: Path, sequence: int, reason: str | None) -> None:
        with closing(sqlite3.connect(folder / "ledger.db")) as connection, connection:
            connection.execute("DROP TRIGGER event_stays")
            connection.execute("DROP TRIGGER event_kept")
            if reason is None:
                connection.execute("DELETE FROM event WHERE sequence = ?", [sequence])
            else:
                connection.execute("UPDATE event SET reason = ? WHERE sequence = ?", [reason, sequence])


@pytest.mark.parametrize("change", ["UPDATE event SET reason = ''", "DELETE FROM event"])
def test_the_file_refuses_to_change_an_event(tmp_path: Path, change: str) -> None:
    """Whoever opens it by hand is told so."""
    ledger = open_ledger(tmp_path, Store())
    ledger.append("Noted", at=0, actor="a", reason="b")
    refused = pytest.raises(sqlite3.IntegrityError, match="only grows")
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as by_hand, refused:
        by_hand.execute(change)
    assert ledger.verify() == 1
    ledger.close()
