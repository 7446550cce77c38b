"""The Ledger contract on PostgreSQL, and that the tables themselves refuse to forget."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from incumbent.checks.storage import LedgerChecks
from incumbent.checks.storage.opened import InSchema, schema_of
from incumbent.storage.base import Ledger
from incumbent.storage.postgres import open_ledger


class TestPostgresLedger(LedgerChecks):
    """Everything that the contract says."""

    @pytest.fixture(autouse=True)
    def served(self, server: Any) -> None:
        """By a real server."""
        self.url = server.url

    def opener(self) -> Callable[[Path], Ledger]:
        return InSchema(open_ledger, self.url)

    def tamper(self, folder: Path, sequence: int, reason: str | None) -> None:
        event = f"{schema_of(folder)}.event"
        with psycopg.connect(self.url) as connection:
            connection.execute(f"ALTER TABLE {event} DISABLE TRIGGER USER")
            if reason is None:
                connection.execute(f"DELETE FROM {event} WHERE sequence = %s", [sequence])
            else:
                connection.execute(f"UPDATE {event} SET reason = %s WHERE sequence = %s", [reason, sequence])


@pytest.mark.parametrize("change", ["UPDATE {} SET reason = ''", "DELETE FROM {}", "TRUNCATE {}"])
def test_the_table_refuses_to_change_an_event(server: Any, tmp_path: Path, change: str) -> None:
    """Whoever connects by hand is told so."""
    ledger = InSchema(open_ledger, server.url)(tmp_path)
    ledger.append("Noted", at=0, actor="a", reason="b")
    refused = pytest.raises(psycopg.errors.RaiseException, match="only grows")
    with refused, psycopg.connect(server.url) as by_hand:
        by_hand.execute(change.format(f"{schema_of(tmp_path)}.event"))
    assert ledger.verify() == 1
    ledger.close()
