"""`incumbent doctor --upgrade` on SQLite: a copy beside the file first, then one transaction, all or nothing."""

import sqlite3
from contextlib import closing, suppress
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from incumbent.config import Store
from incumbent.errors import StorageError
from incumbent.storage.sql import making, upgrading
from incumbent.storage.sql.tables import REVISIONS
from incumbent.storage.sql.upgrading import Upgraded
from incumbent.storage.sqlite.database import MARKED, revision


def upgrade(folder: Path, part: str, store: Store) -> Upgraded | None:
    """Upgrade the file of a part; None where there is none, or nothing to do.

    Raises SchemaMismatch for one that a newer release wrote, StorageError where it could not be done: then the file is
    as it was.
    """
    path = folder / f"{part}.db"
    if not path.exists():
        return None
    try:
        with closing(_connected(path, store)) as driver:
            with upgrading.adopted("sqlite", driver, "BEGIN IMMEDIATE") as connection:
                found = revision(driver, part)
                if not found or not upgrading.older(found, part):
                    if found != "":
                        making.check(str(path), part, found)
                    return None
                copy = _copied(path, found, store)
                upgrading.upgrade(connection, part, found)
                driver.execute(f"PRAGMA user_version = {MARKED}")
            _let_it_shrink(path, part, store)
        return Upgraded(str(path), found, REVISIONS[part], str(copy))
    except (sqlite3.Error, SQLAlchemyError, OSError) as error:
        raise StorageError(
            f"{path} could not be upgraded ({getattr(error, 'orig', None) or error}); it is as it was. Stop whatever "
            "uses it, make sure that there is space for a copy of it, and try again."
        ) from error


def _copied(path: Path, found: str, store: Store) -> Path:
    """A copy of what is committed, under a name that nothing has yet."""
    endings = ("", *(f"-{n}" for n in range(2, 100)))
    names = [path.with_name(f"{path.stem}.revision-{found}{ending}.db") for ending in endings]
    copy = next(name for name in names if not name.exists())
    with closing(_connected(path, store)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
    return copy


def _let_it_shrink(path: Path, part: str, store: Store) -> None:
    """New logs can give space back while they are in use; an older one has to be written anew for that, once. Where
    that fails (a full disk), its space is used again all the same."""
    if part == "log":
        with closing(_connected(path, store)) as driver, suppress(sqlite3.Error):
            driver.execute("PRAGMA auto_vacuum = INCREMENTAL")
            driver.execute("VACUUM")


def _connected(path: Path, store: Store) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=store.lock_timeout_s, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA synchronous = FULL")
    return connection
