"""Log and Ledger in two SQLite files of one folder.

    open_log(folder, store)     log.db: predictions, outcomes, shadows, losses, reviews
    open_ledger(folder, store)  ledger.db: events and leases (a file of its own: polling it never waits for traffic)

`database` says how a file is opened, written and read, `wal` how its write-ahead log is flushed and emptied; `log` is
the hot insert. What is kept, and every other statement, stands in `storage.sql`, the contracts in `storage.base`.

Durability. `commit` is WAL with synchronous NORMAL: what was committed survives a killed process; a power cut may
take back the last commits, and leaves the file whole. `fsync` flushes the WAL before anything is acknowledged: the
ledger with synchronous FULL, commit by commit; the log with one flush for all that was committed before it (see `wal`).
`behind` is the same as `commit` here: what makes it quick is that the caller answers before it calls. (synchronous
OFF would save only the fsync of a checkpoint, and a power cut could leave a damaged file.)
"""

from incumbent.storage.sqlite.ledger import open_ledger
from incumbent.storage.sqlite.log import DAYS, SqliteLog, open_log

__all__ = ["DAYS", "SqliteLog", "open_ledger", "open_log"]
