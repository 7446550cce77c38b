"""The Log contract on SQLite (see `storage.base`): predictions, shadows, outcomes, losses, reviews.

Rows have an integer key of their own and a unique text id. `work` lists the outputs that wait for a loss, so that
finding them never scans the log. Losses are summed as whole units and billionths apart: a 64-bit sum cannot overflow.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from incumbent.config import Store
from incumbent.errors import IdReused
from incumbent.records import Label, Micros, Outcome, Prediction, Review, Shadow
from incumbent.storage.base import BlockSum, LoggedRow, OutcomeCounts, PeriodSum, Scored, Totals, UnitSum
from incumbent.storage.connection import Database, text

SCHEMA = """
CREATE TABLE predictions (
    seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, at INTEGER NOT NULL, unit TEXT, trial TEXT,
    phase INTEGER NOT NULL, arm TEXT, version TEXT NOT NULL, served_by TEXT NOT NULL, fallback_reason TEXT,
    latency_us INTEGER NOT NULL, propensity REAL NOT NULL, features TEXT NOT NULL, output TEXT NOT NULL
);
CREATE INDEX predictions_at ON predictions (at);
CREATE INDEX predictions_trial ON predictions (trial, phase) WHERE trial IS NOT NULL;
CREATE TABLE shadows (
    prediction INTEGER NOT NULL, version TEXT NOT NULL, output TEXT, error TEXT, latency_us INTEGER NOT NULL,
    PRIMARY KEY (prediction, version)
) WITHOUT ROWID;
CREATE INDEX shadows_version ON shadows (version, prediction);
CREATE TABLE outcomes (
    revision INTEGER PRIMARY KEY, id TEXT NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL,
    known_at INTEGER NOT NULL, prediction INTEGER
);
CREATE INDEX outcomes_id ON outcomes (id, name);
CREATE INDEX outcomes_prediction ON outcomes (prediction, name, known_at);
CREATE INDEX outcomes_pending ON outcomes (id) WHERE prediction IS NULL;
CREATE TABLE losses (
    prediction INTEGER NOT NULL, version TEXT NOT NULL, loss INTEGER NOT NULL, PRIMARY KEY (prediction, version)
) WITHOUT ROWID;
CREATE TABLE work (
    prediction INTEGER NOT NULL, version TEXT NOT NULL, PRIMARY KEY (prediction, version)
) WITHOUT ROWID;
CREATE TABLE reviews (
    prediction INTEGER PRIMARY KEY, id TEXT NOT NULL, at INTEGER NOT NULL, version TEXT NOT NULL, reason TEXT NOT NULL,
    propensity REAL NOT NULL, policy TEXT NOT NULL, reviewer TEXT
);
CREATE INDEX reviews_at ON reviews (at);
"""

LABEL = "label"
_CHUNK = 500  # ids in one query
_ROW = (
    "p.id, p.at, p.unit, p.trial, p.phase, p.arm, p.version, p.served_by, p.fallback_reason, p.latency_us, "
    "p.propensity, p.features, p.output"
)
# The label of a prediction as it was known before :known: the revision that came last among those.
_LABEL = """(SELECT {what} FROM outcomes o WHERE o.prediction = p.seq AND o.name = 'label' AND o.known_at < :known
             ORDER BY o.revision DESC LIMIT 1)"""
_KNOWN = "EXISTS (SELECT 1 FROM outcomes o WHERE o.prediction = p.seq AND o.name = 'label' AND o.known_at < :known)"
_PLACES = "SELECT id, seq FROM predictions WHERE id IN ({})"
_FOREVER = 2**63 - 1

_floats = msgspec.json.Decoder(tuple[float, ...])
_value = msgspec.json.Decoder()


class SqliteLog:
    """The log of one project in one file."""

    def __init__(self, path: Path, store: Store) -> None:
        self._database = Database(path, store, SCHEMA)

    # --- writing

    def append(self, predictions: Sequence[Prediction]) -> None:
        rows = [
            (p.id, p.at, p.unit, p.trial, p.phase, p.arm, p.version, p.served_by, p.fallback_reason, p.latency_us,
             p.propensity, text(p.features), text(p.output))
            for p in predictions
        ]  # fmt: skip
        try:
            with self._database.writing() as connection:
                connection.executemany(
                    "INSERT INTO predictions (id, at, unit, trial, phase, arm, version, served_by, fallback_reason, "
                    "latency_us, propensity, features, output) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)",
                    rows,
                )
                _join_pending(connection, [p.id for p in predictions])
        except sqlite3.IntegrityError as error:
            there = self.find([p.id for p in predictions])
            first = next((p.id for p in predictions if p.id in there), "an id")
            raise IdReused(f"{first!r} is in the log already, or twice in this batch; nothing was kept") from error

    def append_shadows(self, shadows: Sequence[Shadow]) -> None:
        rows = [(s.version, None if s.output is None else text(s.output), s.error, s.latency_us, s.id) for s in shadows]
        with self._database.writing() as connection:
            connection.executemany(
                "INSERT OR IGNORE INTO shadows (prediction, version, output, error, latency_us) "
                "SELECT seq, ?, ?, ?, ? FROM predictions WHERE id = ?",
                rows,
            )
            connection.executemany(
                "INSERT OR IGNORE INTO work SELECT p.seq, ? FROM predictions p JOIN outcomes o ON o.prediction = p.seq "
                "AND o.name = 'label' WHERE p.id = ? "
                "AND NOT EXISTS (SELECT 1 FROM losses l WHERE l.prediction = p.seq AND l.version = ?)",
                [(s.version, s.id, s.version) for s in shadows if s.output is not None],
            )

    def append_outcomes(self, outcomes: Sequence[Outcome]) -> OutcomeCounts:
        counts = {"accepted": 0, "pending": 0, "repeated": 0, "corrected": 0}
        rows, labelled = [], []
        with self._database.writing() as connection:
            ids = list(dict.fromkeys(o.id for o in outcomes))
            places = _by_id(connection, _PLACES, ids)
            latest: dict[tuple[str, str], str] = {}
            for chunk in _chunks(ids):
                marks = ",".join("?" * len(chunk))
                for id, name, value in connection.execute(
                    f"SELECT id, name, value FROM outcomes WHERE id IN ({marks}) ORDER BY revision", chunk
                ):
                    latest[id, name] = value
            for outcome in outcomes:
                value, key, place = text(outcome.value), (outcome.id, outcome.name), places.get(outcome.id)
                before = latest.get(key)
                if before == value:
                    counts["repeated"] += 1
                    continue
                latest[key] = value
                counts["corrected" if before is not None else "accepted" if place is not None else "pending"] += 1
                rows.append((outcome.id, outcome.name, value, outcome.known_at, place))
                if outcome.name == LABEL and place is not None:
                    labelled.append(place)
            connection.executemany(
                "INSERT INTO outcomes (id, name, value, known_at, prediction) VALUES (?,?,?,?,?)", rows
            )
            _to_score(connection, labelled)
        return OutcomeCounts(**counts)

    def put_losses(self, losses: Sequence[tuple[str, str, int]]) -> None:
        with self._database.writing() as connection:
            places = _by_id(connection, _PLACES, [id for id, _, _ in losses])
            rows = [(places[id], version, loss) for id, version, loss in losses if id in places]
            connection.executemany("INSERT OR REPLACE INTO losses VALUES (?,?,?)", rows)
            connection.executemany(
                "DELETE FROM work WHERE prediction = ? AND version = ?", [(place, version) for place, version, _ in rows]
            )

    def append_reviews(self, reviews: Sequence[Review]) -> None:
        with self._database.writing() as connection:
            connection.executemany(
                "INSERT OR IGNORE INTO reviews (prediction, id, at, version, reason, propensity, policy, reviewer) "
                "SELECT seq, id, ?, ?, ?, ?, ?, ? FROM predictions WHERE id = ?",
                [(r.at, r.version, r.reason, r.propensity, r.policy, r.reviewer, r.id) for r in reviews],
            )

    # --- reading rows

    def find(self, ids: Sequence[str]) -> dict[str, Prediction]:
        found = {}
        for chunk in _chunks(list(dict.fromkeys(ids))):
            marks = ",".join("?" * len(chunk))
            for row in self._database.read(f"SELECT {_ROW} FROM predictions p WHERE id IN ({marks})", chunk):
                found[row[0]] = _prediction(row)
        return found

    def unscored(self, limit: int = 100_000) -> list[Scored]:
        label = _LABEL.format(what="o.value")
        rows = self._database.read(
            f"SELECT p.id, w.version, CASE WHEN p.served_by = w.version THEN p.output ELSE s.output END, {label} "
            "FROM work w JOIN predictions p ON p.seq = w.prediction "
            "LEFT JOIN shadows s ON s.prediction = w.prediction AND s.version = w.version LIMIT :limit",
            {"known": _FOREVER, "limit": limit},
        )
        return [
            Scored(id, version, _floats.decode(output), _value.decode(label)) for id, version, output, label in rows
        ]

    def scan(
        self,
        since: Micros | None = None,
        until: Micros | None = None,
        known_before: Micros | None = None,
        labelled: bool | None = None,
        batch: int = 10_000,
    ) -> Iterator[list[LoggedRow]]:
        wanted = "" if labelled is None else f" AND {'' if labelled else 'NOT '}{_KNOWN}"
        sql = (
            f"SELECT p.at, p.seq, {_LABEL.format(what='o.value')}, {_LABEL.format(what='o.known_at')}, {_ROW} "
            "FROM predictions p WHERE (p.at, p.seq) > (:at, :seq) AND p.at >= :since AND p.at < :until"
            f"{wanted} ORDER BY p.at, p.seq LIMIT :batch"
        )
        values = {"since": _low(since), "until": _high(until), "known": _high(known_before), "batch": batch,
                  "at": _low(since) - 1, "seq": 0}  # fmt: skip
        while True:
            rows = self._database.read(sql, values)
            if rows:
                values |= {"at": rows[-1][0], "seq": rows[-1][1]}
                yield [_logged(row) for row in rows]
            if len(rows) < batch:
                return

    def reviews(self, since: Micros | None = None, open_only: bool = False, limit: int = 1000) -> list[Review]:
        wanted = f" AND NOT {_KNOWN}" if open_only else ""
        rows = self._database.read(
            "SELECT r.id, r.at, r.version, r.reason, r.propensity, r.policy, "
            f"{_LABEL.format(what='o.value')}, r.reviewer FROM reviews r JOIN predictions p ON p.seq = r.prediction "
            f"WHERE r.at >= :since{wanted} ORDER BY r.at DESC, r.prediction DESC LIMIT :limit",
            {"since": _low(since), "known": _FOREVER, "limit": limit},
        )
        return [_review(row) for row in rows]

    # --- reading sums

    def unit_sums(
        self, trial: str, phase: int, matured_before: Micros, known_before: Micros, window: Micros
    ) -> list[UnitSum]:
        rows = self._database.read(
            f"""
            SELECT unit, arm, SUM(matured), SUM(matured AND loss IS NOT NULL), SUM(failed),
                   {_sum('CASE WHEN matured THEN loss END')}
            FROM (SELECT COALESCE(p.unit, p.id) AS unit, p.arm AS arm, p.at + :window <= :matured AS matured,
                         p.fallback_reason IS NOT NULL AS failed,
                         CASE WHEN EXISTS (SELECT 1 FROM outcomes o WHERE o.prediction = p.seq AND o.name = 'label'
                                           AND o.known_at < :known AND o.known_at <= p.at + :window)
                              THEN l.loss END AS loss
                  FROM predictions p LEFT JOIN losses l ON l.prediction = p.seq AND l.version = p.served_by
                  WHERE p.trial = :trial AND p.phase = :phase)
            GROUP BY unit, arm ORDER BY unit, arm
            """,
            {"trial": trial, "phase": phase, "matured": matured_before, "known": known_before, "window": window},
        )
        return [
            UnitSum(unit, arm, seen, labelled, failed, _whole(*loss)) for unit, arm, seen, labelled, failed, *loss in rows
        ]

    def block_sums(
        self,
        reference: str,
        candidate: str,
        block: Micros,
        since: Micros,
        until: Micros,
        known_before: Micros,
        offset: Micros = 0,
    ) -> list[BlockSum]:
        rows = self._database.read(
            f"""
            SELECT (p.at + :offset) / :block AS block, COUNT(*), {_sum('r.loss')}, {_sum('c.loss')}
            FROM predictions p JOIN losses r ON r.prediction = p.seq AND r.version = :reference
            JOIN losses c ON c.prediction = p.seq AND c.version = :candidate
            WHERE p.at >= :since AND p.at < :until AND {_KNOWN} GROUP BY block ORDER BY block
            """,
            {"offset": offset, "block": block, "reference": reference, "candidate": candidate, "since": since,
             "until": until, "known": known_before},
        )  # fmt: skip
        return [BlockSum(row[0], row[1], _whole(*row[2:4]), _whole(*row[4:6])) for row in rows]

    def period_sums(
        self, period: Micros, since: Micros, until: Micros, known_before: Micros, offset: Micros = 0
    ) -> list[PeriodSum]:
        rows = self._database.read(
            f"""
            SELECT period, COUNT(*), COUNT(loss), {_sum('loss')}
            FROM (SELECT (p.at + :offset) / :period AS period, CASE WHEN {_KNOWN} THEN l.loss END AS loss
                  FROM predictions p LEFT JOIN losses l ON l.prediction = p.seq AND l.version = p.served_by
                  WHERE p.at >= :since AND p.at < :until)
            GROUP BY period ORDER BY period
            """,
            {"period": period, "since": since, "until": until, "known": known_before, "offset": offset},
        )
        return [PeriodSum(period, seen, labelled, _whole(*loss)) for period, seen, labelled, *loss in rows]

    def shadow_failures(self, version: str, since: Micros) -> tuple[int, int]:
        row = self._database.read(
            "SELECT COUNT(s.error), COUNT(*) FROM shadows s JOIN predictions p ON p.seq = s.prediction "
            "WHERE s.version = ? AND p.at >= ?",
            (version, since),
        )[0]
        return int(row[0]), int(row[1])

    def totals(self) -> Totals:
        read = self._database.read
        first, last = read("SELECT MIN(at), MAX(at) FROM predictions")[0]
        outcomes, pending = read("SELECT COUNT(*), COUNT(*) - COUNT(prediction) FROM outcomes")[0]
        shadows, errors = read("SELECT COUNT(*), COUNT(error) FROM shadows")[0]
        served: dict[str, int] = {}
        fallbacks: dict[str, int] = {}
        for version, reason, rows in read(
            "SELECT served_by, fallback_reason, COUNT(*) FROM predictions GROUP BY served_by, fallback_reason"
        ):
            served[version] = served.get(version, 0) + rows
            if reason is not None:
                fallbacks[reason] = fallbacks.get(reason, 0) + rows
        return Totals(sum(served.values()), outcomes, pending, shadows, errors, first, last, fallbacks, served)

    def close(self) -> None:
        self._database.close()


# --- what several writers share


def _join_pending(connection: sqlite3.Connection, ids: Sequence[str]) -> None:
    """Give outcomes that came before their prediction their place."""
    if connection.execute("SELECT 1 FROM outcomes WHERE prediction IS NULL LIMIT 1").fetchone() is None:
        return
    waiting = _by_id(connection, "SELECT id, 1 FROM outcomes WHERE prediction IS NULL AND id IN ({})", ids)
    places = _by_id(connection, _PLACES, list(waiting))
    connection.executemany(
        "UPDATE outcomes SET prediction = ? WHERE id = ? AND prediction IS NULL", [(v, k) for k, v in places.items()]
    )
    labelled = [
        place for place in places.values()
        if connection.execute("SELECT 1 FROM outcomes WHERE prediction = ? AND name = 'label'", (place,)).fetchone()
    ]  # fmt: skip
    _to_score(connection, labelled)


def _to_score(connection: sqlite3.Connection, places: Sequence[int]) -> None:
    """Every output of these rows waits for a loss (again, when the label was corrected)."""
    rows = [(place,) for place in places]
    connection.executemany("INSERT OR IGNORE INTO work SELECT seq, served_by FROM predictions WHERE seq = ?", rows)
    connection.executemany(
        "INSERT OR IGNORE INTO work SELECT prediction, version FROM shadows "
        "WHERE prediction = ? AND output IS NOT NULL",
        rows,
    )


def _by_id(connection: sqlite3.Connection, sql: str, ids: Sequence[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for chunk in _chunks(ids):
        found.update(connection.execute(sql.format(",".join("?" * len(chunk))), chunk).fetchall())
    return found


def _chunks(ids: Iterable[str]) -> Iterator[list[str]]:
    rest = iter(ids)
    while chunk := list(islice(rest, _CHUNK)):
        yield chunk


def _sum(loss: str) -> str:
    """Two sums whose parts cannot overflow; `_whole` joins them."""
    return f"COALESCE(SUM(({loss}) / 1000000000), 0), COALESCE(SUM(({loss}) % 1000000000), 0)"


def _whole(units: int, billionths: int) -> int:
    return int(units) * 1_000_000_000 + int(billionths)


def _low(at: Micros | None) -> Micros:
    return -(2**62) if at is None else at


def _high(at: Micros | None) -> Micros:
    return _FOREVER if at is None else at


def _prediction(row: tuple[Any, ...]) -> Prediction:
    id, at, unit, trial, phase, arm, version, served_by, reason, latency, propensity, features, output = row
    return Prediction(id, at, _value.decode(features), version, served_by, _floats.decode(output), unit, trial, phase,
                      arm, propensity, reason, latency)  # fmt: skip


def _review(row: tuple[Any, ...]) -> Review:
    id, at, version, reason, propensity, policy, label, reviewer = row
    said = None if label is None else _value.decode(label)
    return Review(id, at, version, reason, propensity, policy, said, reviewer)


def _logged(row: tuple[Any, ...]) -> LoggedRow:
    _, _, label, known_at, *rest = row
    value: Label | None = None if label is None else _value.decode(label)
    return LoggedRow(_prediction(tuple(rest)), value, known_at)
