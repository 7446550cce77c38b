"""The Ledger on PostgreSQL: whoever appends holds a lock that others wait for. All else is `sql.ledger`."""

from incumbent.config import Store
from incumbent.storage.postgres.database import Database
from incumbent.storage.sql.ledger import SqlLedger


def open_ledger(url: str, schema: str, store: Store) -> SqlLedger:
    """The ledger in a schema, made when it is not there. Errors as `database.Database` raises them."""
    return SqlLedger(Database(url, schema, "ledger", store))
