"""The Ledger on SQL: `storage.base.Ledger`, on a table with triggers that refuse to change or drop an event.

In: what happened. Out: Events, each with the hash of the one before. Also keeps the leases (who may tick). Whoever
appends is alone, so that there are no gaps; times are those of the store's clock.
"""

import json
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

from sqlalchemy import bindparam, delete, func, or_, select
from sqlalchemy.dialects.postgresql import insert  # SQLite takes the same text: ON CONFLICT is PostgreSQL's own

from incumbent.errors import DataError, LedgerConflict, StoreDamaged
from incumbent.records import SECOND, Event, Json, Micros
from incumbent.storage.sql.session import Database, Row, among
from incumbent.storage.sql.tables import event, lease

FIRST_HASH = "0" * 64

_LAST = select(event.c.sequence, event.c.hash).order_by(event.c.sequence.desc()).limit(1)
_SEQUENCE = select(func.max(event.c.sequence))
_INSERT = insert(event)
_EVENTS = select(event).where(event.c.sequence > bindparam("after")).order_by(event.c.sequence)
_EVENTS_OF_TYPES = _EVENTS.where(among(event.c.type, "types"))

_NEW_LEASE = insert(lease).values({column.name: bindparam(column.name) for column in lease.c})
_TAKE = _NEW_LEASE.on_conflict_do_update(
    index_elements=["name"],
    set_={"holder": _NEW_LEASE.excluded.holder, "until": _NEW_LEASE.excluded.until},
    where=or_(lease.c.holder == _NEW_LEASE.excluded.holder, lease.c.until <= bindparam("now")),
)
_RELEASE = delete(lease).where(lease.c.name == bindparam("called"), lease.c.holder == bindparam("by"))


class SqlLedger:
    """See `storage.base.Ledger`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def append(
        self,
        type: str,
        *,
        at: Micros,
        actor: str,
        reason: str,
        data: Mapping[str, Json] | None = None,
        measured: Mapping[str, Json] | None = None,
        expected: int | None = None,
    ) -> Event:
        texts = canonical(data or {}), canonical(measured or {})
        with self._database.writing(alone=True) as session:
            sequence, previous = session.row(_LAST) or (0, FIRST_HASH)
            if expected is not None and expected != sequence:
                raise LedgerConflict(
                    f"the ledger's last event is number {sequence}, expected {expected}: somebody else appended first. "
                    "Read it again and decide anew."
                )
            now = self._database.now(session)
            unhashed = (sequence + 1, type, at, now, actor, reason, *texts, previous)
            row = (*unhashed, digest(_event((*unhashed, ""))))
            session.run(_INSERT, **dict(zip(event.c.keys(), row, strict=True)))
        return _event(row)

    def events(self, after: int = 0, types: Sequence[str] = ()) -> list[Event]:
        with self._database.reading() as session:
            if types:
                found = session.rows(_EVENTS_OF_TYPES, after=after, types=session.listed(list(types)))
            else:
                found = session.rows(_EVENTS, after=after)
        return [_event(row) for row in found]

    def sequence(self) -> int:
        with self._database.reading() as session:
            ((last,),) = session.rows(_SEQUENCE)
        return last or 0

    def verify(self) -> int:
        previous, count = FIRST_HASH, 0
        place = self._database.place
        for count, found in enumerate(self.events(), start=1):
            if found.sequence != count:
                raise StoreDamaged(f"{place}: event {count} is missing; after it comes {found.sequence}.")
            if found.previous_hash != previous or found.hash != digest(found):
                raise StoreDamaged(
                    f"{place}: event {count} ({found.type}) does not match its hash, or the event before it was "
                    "changed. Compare with a backup."
                )
            previous = found.hash
        return count

    def lease(self, name: str, holder: str, seconds: float) -> bool:
        with self._database.writing(alone=True) as session:
            now = self._database.now(session)
            return session.run(_TAKE, name=name, holder=holder, until=now + int(seconds * SECOND), now=now) == 1

    def release(self, name: str, holder: str) -> None:
        with self._database.writing(alone=True) as session:
            session.run(_RELEASE, called=name, by=holder)

    def close(self) -> None:
        self._database.close()


def canonical(value: Any) -> str:
    """The one JSON text of a value: sorted keys, no spaces, UTF-8.

    >>> canonical({"b": 1, "a": [True, None, "é"]})
    '{"a":[true,null,"é"],"b":1}'
    """
    try:
        return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise DataError(f"an event cannot hold this: {error}; expected finite values that JSON can write.") from None


def digest(event: Event) -> str:
    """The hash that an event ought to have: sha256 over everything in it and the hash of the event before."""
    fields = [event.previous_hash, event.sequence, event.type, event.at, event.recorded_at, event.actor, event.reason,
              event.data, event.measured]
    return sha256(canonical(fields).encode()).hexdigest()


def _event(row: Row) -> Event:
    sequence, type, at, recorded_at, actor, reason, data, measured, previous_hash, hash = row
    return Event(
        sequence, type, at, recorded_at, actor, reason, json.loads(data), json.loads(measured), previous_hash, hash
    )
