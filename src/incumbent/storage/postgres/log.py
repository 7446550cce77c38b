"""The Log on PostgreSQL: the hot insert, in one round trip. All else is `sql.log`.

The statements travel together (pipeline mode), prepared by the driver: lock, insert, tally, and let the outcomes that
waited join. Rows travel as one array a column, so that one statement serves any number of them.
"""

import secrets
from collections import Counter
from collections.abc import Sequence
from operator import attrgetter
from pathlib import Path

import psycopg

from incumbent.config import Store
from incumbent.storage.base import PredictionRow
from incumbent.storage.postgres.database import Connection, Database
from incumbent.storage.sql import arrivals
from incumbent.storage.sql.log import SqlLog
from incumbent.storage.values import check_ids

_TYPES = [
    "text", "bigint", "text", "text", "text", "bytea", "text", "text", "bigint", "text", "float8", "text", "bigint",
]  # fmt: skip
_INSERT = f"""INSERT INTO prediction ({", ".join(PredictionRow._fields)})
    SELECT * FROM unnest({", ".join(f"%b::{type}[]" for type in _TYPES)})"""
_served = attrgetter("served_by", "fallback_reason")
_TALLY = """INSERT INTO tally (slot, served_by, fallback_reason, rows) VALUES (%s, %s, %s, %s)
    ON CONFLICT (slot, served_by, fallback_reason) DO UPDATE SET rows = tally.rows + excluded.rows"""
_SLOTS = 64
"""A tally row is locked until its transaction has ended; writers with slots of their own do not meet there."""
_JOIN = """WITH joined AS (
        UPDATE outcome o SET prediction = p.arrival, id = NULL FROM prediction p
        WHERE o.prediction IS NULL AND o.id = ANY(%(ids)s) AND p.id = o.id
        RETURNING p.arrival, p.served_by, o.name)
    INSERT INTO unscored (prediction, version) SELECT arrival, served_by FROM joined WHERE name = 'label'
    ON CONFLICT DO NOTHING"""


class PostgresLog(SqlLog):
    """See `storage.base.Log`."""

    prompt = False

    def __init__(self, url: str, schema: str, store: Store, days: Path | None = None) -> None:
        self._server = Database(url, schema, "log", store)
        self._slot = secrets.randbelow(_SLOTS)
        super().__init__(self._server, False, days)

    def append_rows(self, rows: Sequence[PredictionRow], wait_s: float | None = None) -> None:
        check_ids([row[0] for row in rows])
        try:
            self._keep(rows, wait_s)
        except arrivals.IdTaken:
            raise arrivals.reused(self._server, rows) from None

    def sync(self) -> None:
        """The server has flushed every commit that it acknowledged."""
        with self._server.connected():
            pass

    def tidy(self) -> None:
        """The server's own autovacuum does it."""
        with self._server.connected():
            pass

    def _keep(self, rows: Sequence[PredictionRow], wait_s: float | None) -> None:
        with self._server.connected() as connection:
            try:
                with connection.pipeline():
                    self._send(connection, rows, wait_s)
            except BaseException as error:
                connection.close()  # what the driver takes for prepared was lost with the pipeline
                if isinstance(error, psycopg.errors.UniqueViolation):
                    raise arrivals.IdTaken from None
                self._server.raise_ours(error, wait_s)

    def _send(self, connection: Connection, rows: Sequence[PredictionRow], wait_s: float | None) -> None:
        for statement in self._server.begin(wait_s, alone=False).split("; "):
            connection.execute(statement)
        if rows:
            connection.execute(_INSERT, [list(column) for column in zip(*rows, strict=True)])
        for (version, reason), count in sorted(Counter(map(_served, rows)).items(), key=str):
            connection.execute(_TALLY, (self._slot, version, reason or "", count))
        connection.execute(_JOIN, {"ids": [row[0] for row in rows]})
        connection.execute("COMMIT")


def open_log(url: str, schema: str, store: Store, days: Path | None = None) -> PostgresLog:
    """The log in a schema, made when it is not there; `days` is the folder of its Parquet files. Errors as
    `database.Database` raises them."""
    return PostgresLog(url, schema, store, days)
