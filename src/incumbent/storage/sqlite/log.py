"""The Log on SQLite: the hot insert on one file, and its upkeep. All else is `sql.log`.

The hot insert is one statement for up to 64 rows, written for the driver: each statement lets go of the interpreter
once, and a thread that computes gets it then, for 5 ms. Beside such a thread 64 rows took 75 ms with a statement a row,
and .23 ms with one statement.
"""

import sqlite3
from collections import Counter
from collections.abc import Sequence
from functools import cache
from itertools import chain
from operator import attrgetter
from pathlib import Path

from sqlalchemy import bindparam, null, select, update

from incumbent.config import Store
from incumbent.storage.base import PredictionRow
from incumbent.storage.sql import arrivals
from incumbent.storage.sql.log import SqlLog
from incumbent.storage.sql.session import Session, among
from incumbent.storage.sql.tables import LABEL, outcome, prediction
from incumbent.storage.sqlite.database import Database
from incumbent.storage.values import check_ids

_INSERT_ROWS = f"INSERT INTO prediction ({', '.join(PredictionRow._fields)}) VALUES "
_VALUES = f"({', '.join('?' * len(PredictionRow._fields))})"
_ROWS_A_STATEMENT = 64
DAYS = "days"
"""The folder of the Parquet files, beside `log.db`."""

_served = attrgetter("served_by", "fallback_reason")
_TALLY = """INSERT INTO tally (slot, served_by, fallback_reason, rows) VALUES (0, ?, ?, ?)
    ON CONFLICT DO UPDATE SET rows = rows + excluded.rows"""

_SOMETHING_WAITS = "SELECT 1 FROM outcome WHERE prediction IS NULL LIMIT 1"
_WAITING = (
    select(prediction.c.arrival, outcome.c.name, outcome.c.arrival)
    .join(prediction, prediction.c.id == outcome.c.id)
    .where(outcome.c.prediction.is_(None), among(outcome.c.id, "ids"))
)
_JOIN = (
    update(outcome).where(outcome.c.arrival == bindparam("which")).values(prediction=bindparam("joined"), id=null())
)


class SqliteLog(SqlLog):
    """See `storage.base.Log`."""

    prompt = True

    def __init__(self, folder: Path, store: Store) -> None:
        self._file = Database(folder, "log", store, tidied=True)
        super().__init__(self._file, store.durability == "fsync", folder / DAYS)

    def append_rows(self, rows: Sequence[PredictionRow], wait_s: float | None = None) -> None:
        check_ids([row[0] for row in rows])
        try:
            with self._file.writing(wait_s) as session:
                _keep_rows(session, rows)
        except arrivals.IdTaken:
            raise arrivals.reused(self._file, rows) from None

    def sync(self) -> None:
        self._file.sync()

    def tidy(self) -> None:
        self._file.tidy()


def open_log(folder: Path, store: Store) -> SqliteLog:
    """The log in `folder` (`log.db`), made when it is not there. Errors as `database.Database` raises them."""
    return SqliteLog(folder, store)


def _keep_rows(session: Session, rows: Sequence[PredictionRow]) -> None:
    """Insert predictions, tally them, and let the outcomes that waited for them join."""
    execute = session.driver.execute
    try:
        for i in range(0, len(rows), _ROWS_A_STATEMENT):
            some = rows[i : i + _ROWS_A_STATEMENT]
            execute(_insert(len(some)), list(chain.from_iterable(some)))
    except sqlite3.IntegrityError as error:
        if error.sqlite_errorname != "SQLITE_CONSTRAINT_UNIQUE":
            raise
        raise arrivals.IdTaken from None
    for (version, reason), count in Counter(map(_served, rows)).items():
        execute(_TALLY, (version, reason or "", count))
    if execute(_SOMETHING_WAITS).fetchone() is not None:
        _join(session, rows)


def _join(session: Session, rows: Sequence[PredictionRow]) -> None:
    waiting = session.rows(_WAITING, ids=session.listed([row.id for row in rows]))
    session.run_all(_JOIN, [{"joined": prediction, "which": outcome} for prediction, _, outcome in waiting])
    arrivals.mark(session, [prediction for prediction, name, _ in waiting if name == LABEL])


@cache
def _insert(rows: int) -> str:
    return _INSERT_ROWS + ", ".join([_VALUES] * rows)
