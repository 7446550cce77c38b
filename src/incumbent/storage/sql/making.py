"""An empty store is made directly, and a store of another revision is refused, in one wording for every body.

In: `log` or `ledger`, and a dialect. Out: the statements that make it at this release's revision. Each part marks its
revision in a table of its own (`log_version`, `ledger_version`), as alembic does, which upgrades older ones.
"""

from sqlalchemy import Column, MetaData, String, Table, select
from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.schema import CreateIndex, CreateTable

from incumbent.errors import SchemaMismatch
from incumbent.storage.sql.tables import METADATA, REVISIONS

_GUARDS = {
    "sqlite": (
        "CREATE TRIGGER event_stays BEFORE UPDATE ON event BEGIN SELECT RAISE(ABORT, 'the ledger only grows'); END",
        "CREATE TRIGGER event_kept BEFORE DELETE ON event BEGIN SELECT RAISE(ABORT, 'the ledger only grows'); END",
    ),
    "postgresql": (
        """CREATE FUNCTION refuse_event_change() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN RAISE EXCEPTION 'the ledger only grows'; END $$""",
        """CREATE TRIGGER event_stays BEFORE UPDATE OR DELETE ON event
            FOR EACH ROW EXECUTE FUNCTION refuse_event_change()""",
        "CREATE TRIGGER event_kept BEFORE TRUNCATE ON event EXECUTE FUNCTION refuse_event_change()",
    ),
}
"""An event can be neither changed nor dropped, whoever connects."""


def version_table(part: str) -> Table:
    """Where the revision of a part is marked."""
    return Table(f"{part}_version", MetaData(), Column("version_num", String(32), primary_key=True))


def table_names(part: str) -> list[str]:
    """Every table of a part."""
    return [*METADATA[part].tables, f"{part}_version"]


def revision_query(part: str) -> str:
    """What finds the revision of a part."""
    return str(select(version_table(part).c.version_num))


def statements(part: str, dialect: Dialect) -> list[str]:
    """What makes an empty part, marked with the revision that it has then."""
    made: list[str] = []
    for table in (*METADATA[part].sorted_tables, version_table(part)):
        made.append(str(CreateTable(table).compile(dialect=dialect)))
        made += [str(CreateIndex(index).compile(dialect=dialect)) for index in sorted(table.indexes, key=str)]
    if part == "ledger":
        made += _GUARDS[dialect.name]
    return [*made, f"INSERT INTO {part}_version (version_num) VALUES ('{REVISIONS[part]}')"]


def check(place: str, part: str, found: str | None) -> None:
    """Refuse a revision that is not this release's."""
    expected = REVISIONS[part]
    if found == expected:
        return
    if found is None:
        raise SchemaMismatch(
            f"{place} holds tables that incumbent did not make; expected an empty place or a {part} of revision "
            f"{expected}. Name another place in [store]."
        )
    if found.isdigit() and int(found) < int(expected):
        raise SchemaMismatch(
            f"{place} has schema revision {found}, expected {expected}: an older release of incumbent wrote it. Stop "
            "what uses it and run `incumbent doctor --upgrade`."
        )
    raise SchemaMismatch(
        f"{place} has schema revision {found}, expected {expected}: a newer release of incumbent wrote it, and "
        "`incumbent doctor --upgrade` goes no way back. Use that release, or name another place in [store]."
    )
