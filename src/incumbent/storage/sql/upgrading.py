"""From an older revision to this release's, by alembic.

In: a connection inside a transaction that its body has begun, a part, the revision that was found. Out: the part at
this release's revision, or an error and nothing changed. alembic is imported here only: opening a store needs none.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext, RevisionStep
from alembic.script import ScriptDirectory

from incumbent.storage.sql.tables import REVISIONS

MIGRATIONS = Path(__file__).parent / "migrations"


@dataclass(frozen=True, slots=True)
class Upgraded:
    """What was upgraded: the place, its revision before and now, and where a copy of it as it was lies, if there is."""

    place: str
    before: str
    now: str
    copy: str = ""


def scripts(part: str) -> ScriptDirectory:
    """The revisions of a part."""
    return ScriptDirectory(str(MIGRATIONS), version_locations=[str(MIGRATIONS / part)])


@contextmanager
def adopted(dialect: str, driver: Any, begin: str) -> Iterator[sqlalchemy.Connection]:
    """The driver's connection as one of SQLAlchemy, inside one transaction that the statement `begin` begins."""
    engine = sqlalchemy.create_engine(f"{dialect}://", creator=lambda: driver, poolclass=sqlalchemy.pool.StaticPool)
    with engine.connect() as connection, connection.begin():
        driver.execute(begin)
        yield connection


def upgrade(connection: sqlalchemy.Connection, part: str, found: str) -> None:
    """Run the revisions after `found`, inside the transaction that the caller has begun."""
    known = scripts(part)

    def steps(revision: Any, _: MigrationContext) -> list[RevisionStep]:
        return list(known._upgrade_revs(REVISIONS[part], revision))

    options = {"fn": steps, "version_table": f"{part}_version", "transactional_ddl": False}
    context = MigrationContext.configure(connection, opts=options)
    if not context.get_current_heads():
        context.stamp(known, found)
    with Operations.context(context):
        context.run_migrations()


def older(found: str | None, part: str) -> bool:
    """Did an older release write it?"""
    return found is not None and found.isdigit() and int(found) < int(REVISIONS[part])
