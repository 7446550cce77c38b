"""Log and Ledger as SQLite files in the folder of the store: `log.db` and `ledger.db`."""

from pathlib import Path

from incumbent.config import Store
from incumbent.storage.sqlite_ledger import SqliteLedger
from incumbent.storage.sqlite_log import SqliteLog


def open_log(folder: Path, store: Store) -> SqliteLog:
    """The log in `folder`, made when it is not there. SchemaMismatch when another release wrote it."""
    return SqliteLog(folder / "log.db", store)


def open_ledger(folder: Path, store: Store) -> SqliteLedger:
    """The ledger in `folder`, made when it is not there. SchemaMismatch when another release wrote it."""
    return SqliteLedger(folder / "ledger.db", store)
