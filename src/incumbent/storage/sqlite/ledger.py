"""The Ledger on SQLite: one file of its own, so that polling it never waits for traffic. All else is `sql.ledger`."""

from pathlib import Path

from incumbent.config import Store
from incumbent.storage.sql.ledger import SqlLedger
from incumbent.storage.sqlite.database import Database


def open_ledger(folder: Path, store: Store) -> SqlLedger:
    """The ledger in `folder` (`ledger.db`), made when it is not there. Errors as `database.Database` raises them."""
    return SqlLedger(Database(folder, "ledger", store))
