"""The Ledger on SQLite: `storage.base.Ledger` on one file, with triggers that refuse to change or drop an event.

In: what happened. Out: Events, each with the hash of the one before. Also keeps the leases (who may tick).
"""

import json
import time
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from incumbent.config import Store
from incumbent.errors import DataError, LedgerConflict, StoreDamaged
from incumbent.records import SECOND, Event, Json, Micros
from incumbent.storage.sqlite import schema
from incumbent.storage.sqlite.database import Database

FIRST_HASH = "0" * 64

_COLUMNS = "sequence, type, at, recorded_at, actor, reason, data, measured, previous_hash, hash"


class SqliteLedger:
    """See `storage.base.Ledger`."""

    def __init__(self, folder: Path, store: Store) -> None:
        self._database = Database(folder, schema.LEDGER, store)

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
        with self._database.writing() as connection:
            last = connection.execute("SELECT sequence, hash FROM event ORDER BY sequence DESC LIMIT 1").fetchone()
            sequence, previous = last or (0, FIRST_HASH)
            if expected is not None and expected != sequence:
                raise LedgerConflict(
                    f"the ledger's last event is number {sequence}, expected {expected}: somebody else appended first. "
                    "Read it again and decide anew."
                )
            unhashed = (sequence + 1, type, at, time.time_ns() // 1000, actor, reason, *texts, previous)
            event = _event((*unhashed, ""))
            row = (*unhashed, digest(event))
            connection.execute(f"INSERT INTO event ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
        return _event(row)

    def events(self, after: int = 0, types: Sequence[str] = ()) -> list[Event]:
        chosen = f"AND type IN ({', '.join('?' * len(types))})" if types else ""
        query = f"SELECT {_COLUMNS} FROM event WHERE sequence > ? {chosen} ORDER BY sequence"
        with self._database.reading() as connection:
            return [_event(row) for row in connection.execute(query, [after, *types])]

    def sequence(self) -> int:
        with self._database.reading() as connection:
            (last,) = connection.execute("SELECT max(sequence) FROM event").fetchone()
        return last or 0

    def verify(self) -> int:
        previous, count = FIRST_HASH, 0
        for count, event in enumerate(self.events(), start=1):
            if event.sequence != count:
                raise StoreDamaged(f"{self._database.path}: event {count} is missing; after it comes {event.sequence}.")
            if event.previous_hash != previous or event.hash != digest(event):
                raise StoreDamaged(
                    f"{self._database.path}: event {count} ({event.type}) does not match its hash, or the event before "
                    "it was changed. Compare with a backup."
                )
            previous = event.hash
        return count

    def lease(self, name: str, holder: str, seconds: float) -> bool:
        now = time.time_ns() // 1000
        with self._database.writing() as connection:
            taken = connection.execute(
                """INSERT INTO lease (name, holder, until) VALUES (?, ?, ?)
                   ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until
                   WHERE lease.holder = excluded.holder OR lease.until <= ?""",
                [name, holder, now + int(seconds * SECOND), now],
            )
            return taken.rowcount == 1

    def release(self, name: str, holder: str) -> None:
        with self._database.writing() as connection:
            connection.execute("DELETE FROM lease WHERE name = ? AND holder = ?", [name, holder])

    def close(self) -> None:
        self._database.close()


def open_ledger(folder: Path, store: Store) -> SqliteLedger:
    """The ledger in `folder` (`ledger.db`), made when it is not there. Errors as `database.Database` raises them."""
    return SqliteLedger(folder, store)


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


def _event(row: tuple[Any, ...]) -> Event:
    sequence, type, at, recorded_at, actor, reason, data, measured, previous_hash, hash = row
    return Event(
        sequence, type, at, recorded_at, actor, reason, json.loads(data), json.loads(measured), previous_hash, hash
    )
