"""What leaves the Log: the features of old days for Parquet, old rows and single ones for good.

In: a Database and the folder of the Parquet files. Out: rows and files, changed in short transactions with a pause
after each, so that whoever appends waits for some milliseconds at most.

A kill at any point loses nothing. A file is whole before its row in `archive` names it; only then do the rows lose
their features; and until `emptied` says that all of them have, the next call goes on with it. A file that no row names
is what a killed call left, and goes. A row is erased together with the name of the file that it was in: one transaction
names a file without it, and the old one goes after.
"""

import secrets
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from sqlalchemy import Delete, bindparam, delete, exists, func, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert  # SQLite takes the same text

from incumbent.errors import MissingExtra, StorageError, StoreDamaged, StoreLocked
from incumbent.records import Micros, Signature
from incumbent.storage.base import Gone, PredictionRow
from incumbent.storage.files import make_folder
from incumbent.storage.sql import pairs, tables, trials
from incumbent.storage.sql.session import Database, Row, Session, among
from incumbent.storage.sql.tables import LABEL, NEVER
from incumbent.storage.values import checked_id

if sys.platform != "win32":  # where one process serves
    from fcntl import LOCK_EX, LOCK_NB, flock

ROWS_A_FILE = 100_000
TURN_S = 0.004
"""How long one transaction may take, about."""
PAUSE_S = 0.01
"""After each, so that others come in: SQLite hands its lock to whoever asks first, and they ask every 5 ms."""
FEWEST, MOST = 10, 2_000

p, o = tables.prediction.alias("p"), tables.outcome.alias("o")
archive, prediction, outcome, review, tally = (
    tables.archive, tables.prediction, tables.outcome, tables.review, tables.tally
)  # fmt: skip
SAID = {"responses": tables.response, "adjudications": tables.adjudication}
"""What people said of an item, which may be the id of a row."""

_OLDEST = (
    select(p.c.at)
    .with_hint(p, "INDEXED BY prediction_at", "sqlite")
    .where(p.c.at >= bindparam("since"), p.c.archived.is_(None))
    .order_by(p.c.at)
    .limit(1)
)
_WHOLE = (
    select(*(p.c[name] for name in PredictionRow._fields), o.c.value, o.c.known_at, p.c.arrival)
    .select_from(
        p.outerjoin(o, (o.c.prediction == p.c.arrival) & (o.c.name == LABEL) & (o.c.replaced_at == NEVER))
    )
    .with_hint(p, "INDEXED BY prediction_at", "sqlite")
    .where(p.c.at >= bindparam("since"), p.c.at < bindparam("until"), p.c.archived.is_(None))
    .where((p.c.at > bindparam("since")) | (p.c.arrival > bindparam("after")))
    .order_by(p.c.at, p.c.arrival)
    .limit(bindparam("batch"))
)
_NAME = (
    insert(archive)
    .values(file=bindparam("file"), until=bindparam("until"), emptied=bindparam("emptied"))
    .returning(archive.c.number)
)
_STAYING = [column.name for column in prediction.c if column.name not in ("features", "archived")]
_STILL_WHOLE = select(*(p.c[name] for name in _STAYING)).where(among(p.c.id, "ids"), p.c.archived.is_(None))
_PUT_BACK = insert(prediction).values({column.name: bindparam(column.name) for column in prediction.c})
_EMPTIED = update(archive).where(archive.c.number == bindparam("which")).values(emptied=1)
_FILES = select(archive.c.number, archive.c.file, archive.c.until, archive.c.emptied).order_by(archive.c.number)
_RENAME = update(archive).where(archive.c.number == bindparam("which")).values(file=bindparam("now"))
_UNNAME = delete(archive).where(archive.c.number == bindparam("which"))

_OLDER = (
    select(p.c.arrival)
    .with_hint(p, "INDEXED BY prediction_at", "sqlite")
    .where(p.c.at < bindparam("before"))
    .order_by(p.c.at)
    .limit(bindparam("batch"))
)
_OLD_PENDING = (
    select(outcome.c.arrival)
    .where(outcome.c.prediction.is_(None), outcome.c.known_at < bindparam("before"))
    .limit(bindparam("batch"))
)
_OLD_REVIEWS = select(review.c.arrival).where(review.c.at < bindparam("before")).limit(bindparam("batch"))
_OLD_SAID = {
    what: select(table.c.arrival).where(table.c.at < bindparam("before")).limit(bindparam("batch"))
    for what, table in SAID.items()
}
_SAID_OF = {what: select(table.c.arrival).where(among(table.c.item, "ids")) for what, table in SAID.items()}
_PENDING_OF = select(outcome.c.arrival).where(outcome.c.prediction.is_(None), among(outcome.c.id, "ids"))
_REVIEWS_OF = select(review.c.arrival).where(among(review.c.id, "ids"))
_ARRIVALS = select(p.c.arrival, p.c.archived).where(among(p.c.id, "ids"))

_THEIRS = select(p.c.at, p.c.arrival).where(among(p.c.arrival, "arrivals"))
_SERVED = (
    select(p.c.served_by, p.c.fallback_reason, func.count())
    .where(among(p.c.arrival, "arrivals"))
    .group_by(p.c.served_by, p.c.fallback_reason)
)
_UNTALLIED = insert(tally).values(
    slot=0, served_by=bindparam("version"), fallback_reason=bindparam("reason"), rows=bindparam("less")
)
_UNTALLY = _UNTALLIED.on_conflict_do_update(
    index_elements=["slot", "served_by", "fallback_reason"], set_={"rows": tally.c.rows + _UNTALLIED.excluded.rows}
)
_HANGING: Mapping[str, Delete] = {
    "shadows": delete(tables.shadow).where(tuple_(tables.shadow.c.at, tables.shadow.c.prediction).in_(_THEIRS)),
    "losses": delete(tables.loss).where(tuple_(tables.loss.c.at, tables.loss.c.prediction).in_(_THEIRS)),
    "unscored": delete(tables.unscored).where(among(tables.unscored.c.prediction, "arrivals")),
    "outcomes": delete(outcome).where(among(outcome.c.prediction, "arrivals")),
    "reviews": delete(review).where(
        exists().where(p.c.id == review.c.id, among(p.c.arrival, "arrivals"))
    ),
    "predictions": delete(prediction).where(among(prediction.c.arrival, "arrivals")),
}
"""In this order: what hangs on a prediction goes before it."""
_BY_ARRIVAL = {
    "outcomes": delete(outcome).where(among(outcome.c.arrival, "arrivals")),
    "reviews": delete(review).where(among(review.c.arrival, "arrivals")),
    **{what: delete(table).where(among(table.c.arrival, "arrivals")) for what, table in SAID.items()},
}

files_query = _FILES


@dataclass(frozen=True, slots=True)
class File:
    """A file that the store names."""

    number: int
    name: str
    until: Micros
    emptied: bool


class Leaving:
    """See `storage.base.Log`: the methods of the same names."""

    def __init__(self, database: Database, days: Path | None) -> None:
        self._database = database
        self._days = days
        self._one = threading.Lock()

    def oldest_whole(self, since: Micros | None = None) -> Micros | None:
        with self._database.reading() as session:
            found = session.row(_OLDEST, since=-NEVER - 1 if since is None else since)
        return None if found is None else int(found[0])

    def archive_day(self, day: str, since: Micros, until: Micros, signatures: Mapping[str, Signature]) -> int:
        moved = 0
        with self._alone() as days:
            self._finish(days)
            for rows in self._whole(since, until):
                name = f"{_folder(day)}/part-{secrets.token_hex(8)}.parquet"
                parquet().write(days / name, [_day_row(row) for row in rows], signatures)
                for copy in _copies(days, day):  # what it holds is in two places now
                    copy.unlink()
                self._empty(self._named(name, until), [row[0] for row in rows])
                moved += len(rows)
        if moved:
            self._database.give_back()
        return moved

    def copy_day(self, day: str, since: Micros, until: Micros, signatures: Mapping[str, Signature]) -> int:
        copied = 0
        with self._alone() as days:
            for number, rows in enumerate(self._whole(since, until)):
                path = days / _folder(day) / f"copy-{number}.parquet"
                parquet().write(path, [_day_row(row) for row in rows], signatures)
                copied += len(rows)
            left = -(-copied // ROWS_A_FILE)
            for copy in _copies(days, day)[left:]:
                copy.unlink()
        return copied

    def drop_before(self, before: Micros) -> Gone:
        gone = Gone()
        with self._alone() as days:
            self._finish(days)
            for rows in self._in_turns(_OLDER, before=before):
                gone += rows
            for what, query in (("outcomes", _OLD_PENDING), ("reviews", _OLD_REVIEWS), *_OLD_SAID.items()):
                for rows in self._in_turns(query, what, before=before):
                    gone += rows
            old = [file for file in self.files() if file.until <= before]
            with self._database.writing() as session:
                session.run_all(_UNNAME, [{"which": file.number} for file in old])
            if old or gone != Gone():
                self._clean(days, copies=True)
            trials.swept(self._database)
        if gone != Gone():
            self._database.give_back()
        return gone

    def erase(self, ids: Sequence[str]) -> Gone:
        ids = [checked_id(id) for id in dict.fromkeys(ids)]
        gone = Gone()
        with self._alone() as days:
            self._finish(days)
            with self._database.reading() as session:
                found = session.rows(_ARRIVALS, ids=session.listed(ids))
            for number in {archived for _, archived in found if archived is not None}:
                there = [arrival for arrival, archived in found if archived == number]
                gone += self._erased_from(days, number, there, ids)
            gone += self._deleted([arrival for arrival, archived in found if archived is None])
            with self._database.writing(alone=True) as session:
                for what, query in (("outcomes", _PENDING_OF), ("reviews", _REVIEWS_OF), *_SAID_OF.items()):
                    arrivals = [arrival for (arrival,) in session.rows(query, ids=session.listed(ids))]
                    gone += _delete_by_arrival(session, what, arrivals)
            trials.swept(self._database)
            self._clean(days, copies=True)
        return gone

    def files(self) -> list[File]:
        """Every file that the store names."""
        with self._database.reading() as session:
            return [File(number, name, until, bool(emptied)) for number, name, until, emptied in session.rows(_FILES)]

    # --- Parquet

    def _whole(self, since: Micros, until: Micros) -> Iterator[list[Row]]:
        bounds = {"since": since, "until": until, "after": -1, "batch": ROWS_A_FILE}
        while True:
            with self._database.reading() as session:
                rows = session.rows(_WHOLE, **bounds)
            if rows:
                yield rows
            if len(rows) < ROWS_A_FILE:
                return
            bounds |= {"since": rows[-1][1], "after": rows[-1][-1]}

    def _named(self, name: str, until: Micros) -> int:
        with self._database.writing() as session:
            ((number,),) = session.rows(_NAME, file=name, until=until, emptied=0)
            return int(number)

    def _empty(self, number: int, ids: Sequence[str]) -> None:
        """Take the features of these rows, which are in the file, out of the store.

        A row is deleted and put back without them: SQLite joins pages that were emptied by a DELETE, and never those
        in which an UPDATE made rows shorter."""

        def take(session: Session, some: Sequence[str]) -> None:
            rows = session.rows(_STILL_WHOLE, ids=session.listed(some))
            session.run(_HANGING["predictions"], arrivals=session.listed([row[0] for row in rows]))
            lighter = {"features": "", "archived": number}
            session.run_all(_PUT_BACK, [dict(zip(_STAYING, row, strict=True)) | lighter for row in rows])

        self._turns(ids, take)
        with self._database.writing() as session:
            session.run(_EMPTIED, which=number)

    def _finish(self, days: Path) -> None:
        """Go on with what a killed call began, and take away what it left."""
        for file in self.files():
            if not file.emptied:
                self._empty(file.number, _ids_in(days / file.name))
        self._clean(days)

    def _clean(self, days: Path, copies: bool = False) -> None:
        """Delete files that the store does not name, copies only where asked. That it does not name them must be on
        the disk before: a power cut that took it back would leave rows without their features."""
        named = {file.name for file in self.files()}
        there = [*days.glob("day=*/*.parquet"), *days.glob("day=*/.*")]
        left = [path for path in there if path.relative_to(days).as_posix() not in named]
        left = [path for path in left if copies or not path.name.startswith("copy-")]
        if left:
            self._database.sync()
        for path in left:
            path.unlink(missing_ok=True)
        for folder in days.glob("day=*"):
            with suppress(OSError):
                folder.rmdir()

    def _erased_from(self, days: Path, number: int, arrivals: Sequence[int], ids: Sequence[str]) -> Gone:
        """Write a file anew without some rows, and delete them with its old name, in one transaction."""
        (old,) = [file for file in self.files() if file.number == number]
        name = f"{Path(old.name).parent.as_posix()}/part-{secrets.token_hex(8)}.parquet"
        try:
            left = parquet().write_without(days / old.name, days / name, ids)
        except FileNotFoundError:  # it was lost: what is erased needs it no more
            return self._deleted(arrivals)
        with self._database.writing(alone=True) as session:
            gone = _delete(session, arrivals)
            if left:
                session.run(_RENAME, which=number, now=name)
            else:
                session.run(_UNNAME, which=number)
        return gone

    @contextmanager
    def _alone(self) -> Iterator[Path]:
        """The folder of the files, while no other process or thread changes it."""
        if self._days is None:
            raise StorageError("this log was opened without a folder for Parquet files; open it with one.")
        if not self._one.acquire(blocking=False):
            raise _at_it(self._days)
        try:
            with (make_folder(self._days) / ".lock").open("a") as lock:
                if sys.platform != "win32":
                    try:
                        flock(lock.fileno(), LOCK_EX | LOCK_NB)
                    except OSError:
                        raise _at_it(self._days) from None
                yield self._days
        finally:
            self._one.release()

    # --- in short transactions

    def _in_turns(self, query: Any, what: str = "predictions", **bounds: Any) -> Iterator[Gone]:
        """Delete what a query finds, some at a time, until it finds nothing."""
        while True:
            with self._database.reading() as session:
                arrivals = [row[0] for row in session.rows(query, batch=MOST, **bounds)]
            if not arrivals:
                return
            yield self._deleted(arrivals, what)

    def _deleted(self, arrivals: Sequence[int], what: str = "predictions") -> Gone:
        gone = Gone()

        def take(session: Session, some: Sequence[int]) -> None:
            nonlocal gone
            gone += _delete(session, some) if what == "predictions" else _delete_by_arrival(session, what, some)

        self._turns(arrivals, take, alone=True)
        return gone

    def _turns(
        self, items: Sequence[Any], take: Callable[[Session, Sequence[Any]], None], alone: bool = False
    ) -> None:
        """Take all items, as many in a transaction as fit into TURN_S."""
        with self._database.reading() as session:
            session.compile(_STILL_WHOLE, _PUT_BACK, _SERVED, _UNTALLY, *_HANGING.values(), *_BY_ARRIVAL.values())
        size, place = min(50, MOST), 0
        while place < len(items):
            some = items[place : place + size]
            with self._database.writing(alone=alone) as session:
                began = time.perf_counter()
                take(session, some)
            took = time.perf_counter() - began  # with its commit
            place += len(some)
            size = max(FEWEST, min(MOST, int(size * min(1.5, TURN_S / max(took, 1e-6)))))
            time.sleep(PAUSE_S)


def parquet() -> ModuleType:
    """What writes and reads the files, whose package is an extra: loaded only where there are some."""
    try:
        return import_module("incumbent.storage.parquet")
    except ModuleNotFoundError as error:
        if error.name != "duckdb":
            raise
        raise MissingExtra("duckdb", "all", "features of old days in Parquet (log.archive_days)") from error


def _ids_in(path: Path) -> list[str]:
    try:
        found: list[str] = parquet().ids(path)
        return found
    except FileNotFoundError:
        raise StoreDamaged(f"{path} is gone, and rows need it. Bring it back from a backup.") from None


def _delete(session: Session, arrivals: Sequence[int]) -> Gone:
    """Delete predictions and what hangs on them, and count them out of the tally."""
    those = session.listed(arrivals)
    trials.taken(session, arrivals)
    pairs.touched(session, arrivals)
    less = [
        {"version": version, "reason": reason or "", "less": -rows}
        for version, reason, rows in session.rows(_SERVED, arrivals=those)
    ]
    counts = {name: session.run(statement, arrivals=those) for name, statement in _HANGING.items()}
    session.run_all(_UNTALLY, less)
    trials.lowered(session)
    del counts["unscored"]
    return Gone(**counts)


def _delete_by_arrival(session: Session, what: str, arrivals: Sequence[int]) -> Gone:
    gone = Gone(**{what: session.run(_BY_ARRIVAL[what], arrivals=session.listed(arrivals))})
    trials.lowered(session)
    return gone


def _day_row(row: Row) -> Any:
    *kept, label, known_at, _ = row
    return parquet().DayRow(PredictionRow._make(kept), label, known_at)


def _folder(day: str) -> str:
    return f"day={day}"


def _copies(days: Path, day: str) -> list[Path]:
    return sorted((days / _folder(day)).glob("copy-*.parquet"), key=lambda path: int(path.stem.split("-")[1]))


def _at_it(days: Path) -> StoreLocked:
    return StoreLocked(f"another process is moving or deleting old rows ({days}); wait for it, or stop it.")
