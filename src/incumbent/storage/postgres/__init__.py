"""Log and Ledger in one schema of a PostgreSQL database, for several machines on one store. Needs the extra `postgres`.

    open_log(url, schema, store)     open_ledger(url, schema, store)

`database` says how it is opened, written and read, and what its errors become; `log` is the hot insert. What is kept,
and every other statement, stands in `storage.sql`, the contracts in `storage.base`.

Durability. A commit is as safe as the server makes it, by default flushed to its disk: every `store.durability` is
`fsync` here, and `sync` has nothing left to do.
"""

from incumbent.storage.postgres.ledger import open_ledger
from incumbent.storage.postgres.log import PostgresLog, open_log

__all__ = ["PostgresLog", "open_ledger", "open_log"]
