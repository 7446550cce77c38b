"""The Ledger contract on SQLite (see `storage.base`): one table that is only ever appended to, and the leases."""

import hashlib
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from incumbent.config import Store
from incumbent.errors import LedgerConflict, StoreDamaged
from incumbent.records import Event, Json, Micros
from incumbent.storage.connection import Database, canonical

GENESIS = "0" * 64

SCHEMA = """
CREATE TABLE events (
    sequence INTEGER PRIMARY KEY, type TEXT NOT NULL, at INTEGER NOT NULL, recorded_at INTEGER NOT NULL,
    actor TEXT NOT NULL, reason TEXT NOT NULL, data TEXT NOT NULL, measured TEXT NOT NULL,
    previous_hash TEXT NOT NULL, hash TEXT NOT NULL
);
CREATE INDEX events_type ON events (type, sequence);
CREATE TABLE leases (name TEXT PRIMARY KEY, holder TEXT NOT NULL, until REAL NOT NULL);
"""

_COLUMNS = "sequence, type, at, recorded_at, actor, reason, data, measured, previous_hash, hash"


class SqliteLedger:
    """An append-only list of events in one file."""

    def __init__(self, path: Path, store: Store) -> None:
        self._database = Database(path, store, SCHEMA)

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
        facts, timings = dict(data or {}), dict(measured or {})
        with self._database.writing() as connection:
            last = connection.execute("SELECT sequence, hash FROM events ORDER BY sequence DESC LIMIT 1").fetchone()
            sequence, previous = last or (0, GENESIS)
            if expected is not None and expected != sequence:
                raise LedgerConflict(
                    f"the ledger has {sequence} events and {expected} were expected: somebody else appended first; "
                    "read it again and decide anew"
                )
            recorded = time.time_ns() // 1000
            digest = _hash(previous, sequence + 1, type, at, recorded, actor, reason, facts, timings)
            row = (sequence + 1, type, at, recorded, actor, reason, canonical(facts).decode(),
                   canonical(timings).decode(), previous, digest)  # fmt: skip
            connection.execute(f"INSERT INTO events ({_COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?,?)", row)
        return _event(row)

    def events(self, after: int = 0, types: Sequence[str] = ()) -> list[Event]:
        chosen = f" AND type IN ({','.join('?' * len(types))})" if types else ""
        sql = f"SELECT {_COLUMNS} FROM events WHERE sequence > ?{chosen} ORDER BY sequence"
        return [_event(row) for row in self._database.read(sql, (after, *types))]

    def sequence(self) -> int:
        found = self._database.read("SELECT MAX(sequence) FROM events")[0][0]
        return int(found or 0)

    def verify(self) -> int:
        previous, events = GENESIS, self.events()
        for number, e in enumerate(events, start=1):
            found = _hash(previous, number, e.type, e.at, e.recorded_at, e.actor, e.reason, e.data, e.measured)
            if (e.sequence, e.previous_hash, e.hash) != (number, previous, found):
                raise StoreDamaged(
                    f"event {number} of the ledger does not match its hash: it, or one before it, was changed; "
                    "restore the ledger from a backup"
                )
            previous = e.hash
        return len(events)

    def lease(self, name: str, holder: str, seconds: float) -> bool:
        now = time.time()
        with self._database.writing() as connection:
            found = connection.execute("SELECT holder, until FROM leases WHERE name = ?", (name,)).fetchone()
            if found and found[0] != holder and found[1] > now:
                return False
            connection.execute("INSERT OR REPLACE INTO leases VALUES (?, ?, ?)", (name, holder, now + seconds))
        return True

    def release(self, name: str, holder: str) -> None:
        with self._database.writing() as connection:
            connection.execute("DELETE FROM leases WHERE name = ? AND holder = ?", (name, holder))

    def close(self) -> None:
        self._database.close()


def _event(row: tuple[Json, ...]) -> Event:
    sequence, type, at, recorded, actor, reason, data, measured, previous, digest = row
    return Event(sequence, type, at, recorded, actor, reason, msgspec.json.decode(data), msgspec.json.decode(measured),
                 previous, digest)  # fmt: skip


def _hash(previous: str, *fields: Json) -> str:
    return hashlib.sha256(canonical([previous, *fields])).hexdigest()
