"""`incumbent doctor --upgrade` on PostgreSQL: one transaction, all or nothing. Take a backup first (`pg_dump`)."""

import psycopg
from sqlalchemy.exc import SQLAlchemyError

from incumbent.config import Store
from incumbent.errors import StorageError
from incumbent.storage.postgres.database import Database
from incumbent.storage.sql import making, upgrading
from incumbent.storage.sql.tables import REVISIONS
from incumbent.storage.sql.upgrading import Upgraded


def upgrade(url: str, schema: str, part: str, store: Store) -> Upgraded | None:
    """Upgrade a part; None where there is none, or nothing to do.

    Raises SchemaMismatch for one that a newer release wrote, StorageError where it could not be done: then it is as it
    was.
    """
    database = Database(url, schema, part, store, made=False)
    try:
        with (
            database.connected() as driver,
            upgrading.adopted("postgresql+psycopg", driver, database.begin(None, alone=True)) as connection,
        ):
            found = database.revision(driver)
            if not found or not upgrading.older(found, part):
                if found != "":
                    making.check(database.place, part, found)
                return None
            upgrading.upgrade(connection, part, found)
        return Upgraded(database.place, found, REVISIONS[part])
    except (psycopg.Error, SQLAlchemyError) as error:
        raise StorageError(
            f"{database.place} could not be upgraded ({database.shown(getattr(error, 'orig', None) or error)}); it is "
            "as it was. Stop whatever uses it, and try again."
        ) from None
    finally:
        database.close()
