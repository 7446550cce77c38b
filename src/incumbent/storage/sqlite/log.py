"""The Log on SQLite: `storage.base.Log`, method by method, on one file.

What arrives is written by `arrivals`, what is added up is read by `sums`; here are the transactions around them, and
the reading of rows.
"""

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from incumbent.config import Store
from incumbent.records import Micros, Outcome, Prediction, Review, Shadow
from incumbent.storage.base import (
    BlockSum,
    LoggedRow,
    OutcomeCounts,
    PeriodSum,
    PredictionRow,
    Scored,
    Totals,
    UnitSum,
    prediction_of,
    row_of,
)
from incumbent.storage.sqlite import arrivals, schema, sums
from incumbent.storage.sqlite.arrivals import LABEL
from incumbent.storage.sqlite.database import Database
from incumbent.storage.sqlite.schema import NEVER
from incumbent.storage.values import check_ids, checked_id, json_ids, label, label_text, unpacked

_PREDICTION = ", ".join(f"p.{name}" for name in PredictionRow._fields)
_FIELDS = len(PredictionRow._fields)

_FIND = f"SELECT {_PREDICTION} FROM prediction p WHERE p.id IN (SELECT value FROM json_each(?))"

_UNSCORED = f"""
    SELECT p.id, u.version, CASE WHEN u.version = p.served_by THEN p.output ELSE s.output END, o.value,
        p.arrival, o.arrival
    FROM unscored u
    JOIN prediction p ON p.arrival = u.prediction
    JOIN outcome o ON o.prediction = p.arrival AND o.name = '{LABEL}' AND o.replaced_at = {NEVER}
    LEFT JOIN shadow s ON s.at = p.at AND s.prediction = p.arrival AND s.version = u.version
    ORDER BY u.prediction, u.version LIMIT ?"""

# A page begins after the last row of the page before, so that no view of the file is held open between two pages.
_SCAN = f"""
    SELECT {_PREDICTION}, o.value, o.known_at, p.arrival
    FROM prediction p INDEXED BY prediction_at
    LEFT JOIN outcome o ON o.prediction = p.arrival AND o.name = '{LABEL}'
        AND o.known_at < :known_before AND o.replaced_at >= :known_before
    WHERE p.at >= :since AND (p.at > :since OR p.arrival > :after) AND p.at < :until {{only}}
    ORDER BY p.at, p.arrival LIMIT :batch"""
_ONLY = {None: "", True: "AND o.arrival IS NOT NULL", False: "AND o.arrival IS NULL"}

_REVIEWS = f"""
    SELECT r.id, r.at, r.version, r.reason, r.propensity, r.policy, coalesce(r.label, o.value), r.reviewer
    FROM review r
    LEFT JOIN prediction p ON p.id = r.id
    LEFT JOIN outcome o ON o.prediction = p.arrival AND o.name = '{LABEL}' AND o.replaced_at = {NEVER}
    WHERE r.at >= :since AND NOT (:open_only AND o.arrival IS NOT NULL)
    ORDER BY r.at DESC, r.arrival DESC LIMIT :limit"""

_FIRST = -(2**63)


class SqliteLog:
    """See `storage.base.Log`."""

    prompt = True

    def __init__(self, folder: Path, store: Store) -> None:
        self._database = Database(folder, schema.LOG, store, tidied=True)
        self._flushed = store.durability == "fsync"
        self._given: dict[tuple[str, str], tuple[int, int]] = {}
        self._given_lock = threading.Lock()

    def append(self, predictions: Sequence[Prediction]) -> None:
        self.append_rows([row_of(prediction) for prediction in predictions])
        self._acknowledge()

    def append_rows(self, rows: Sequence[PredictionRow], wait_s: float | None = None) -> None:
        check_ids([row[0] for row in rows])
        with self._database.writing(wait_s) as connection:
            arrivals.keep_rows(connection, rows)

    def append_new(self, rows: Sequence[PredictionRow], wait_s: float | None = None) -> None:
        self.append_rows(rows, wait_s)

    def sync(self) -> None:
        self._database.sync()

    def tidy(self) -> None:
        self._database.tidy()

    def append_shadows(self, shadows: Sequence[Shadow]) -> None:
        with self._database.writing() as connection:
            arrivals.keep_shadows(connection, shadows)
        self._acknowledge()

    def append_outcomes(self, outcomes: Sequence[Outcome]) -> OutcomeCounts:
        with self._database.writing() as connection:
            counts = arrivals.keep_outcomes(connection, outcomes)
        self._acknowledge()
        return counts

    def find(self, ids: Sequence[str]) -> dict[str, Prediction]:
        with self._database.reading() as connection:
            found = connection.execute(_FIND, [json_ids(ids)]).fetchall()
        return {row[0]: prediction_of(PredictionRow._make(row)) for row in found}

    def unscored(self, limit: int = 100_000) -> list[Scored]:
        with self._database.reading() as connection:
            found = connection.execute(_UNSCORED, [limit]).fetchall()
        with self._given_lock:
            for id, version, _, _, prediction, outcome in found:
                # Of two threads that ask, the older label stands: at worst a row is scored once more.
                self._given.setdefault((id, version), (prediction, outcome))
        return [Scored(id, version, unpacked(output), label(value))
                for id, version, output, value, _, _ in found]

    def put_losses(self, losses: Sequence[tuple[str, str, int]]) -> None:
        with self._given_lock:
            given = {(id, version): self._given[id, version] for id, version, _ in losses
                     if (id, version) in self._given}
        with self._database.writing() as connection:
            arrivals.keep_losses(connection, losses, given)
        self._acknowledge()
        with self._given_lock:
            for key in given:
                self._given.pop(key, None)

    def scan(
        self,
        since: Micros | None = None,
        until: Micros | None = None,
        known_before: Micros | None = None,
        labelled: bool | None = None,
        batch: int = 10_000,
    ) -> Iterator[list[LoggedRow]]:
        query = _SCAN.format(only=_ONLY[labelled])
        bounds = {"since": _FIRST if since is None else since, "after": -1, "until": _end(until),
                  "known_before": _end(known_before), "batch": batch}
        while True:
            with self._database.reading() as connection:
                found = connection.execute(query, bounds).fetchall()
            if found:
                yield [_logged(row) for row in found]
            if len(found) < batch:
                return
            bounds |= {"since": found[-1][1], "after": found[-1][-1]}

    def unit_sums(
        self, trial: str, phase: int, matured_before: Micros, known_before: Micros, window: Micros
    ) -> list[UnitSum]:
        bounds: dict[str, Any] = {"trial": trial, "phase": phase, "matured_before": matured_before,
                                  "known_before": known_before, "window": window}
        with self._database.reading() as connection:
            return sums.unit_sums(connection, bounds)

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
        bounds: dict[str, Any] = {"reference": reference, "candidate": candidate, "block": block, "since": since,
                                  "until": until, "known_before": known_before, "offset": offset}
        with self._database.reading() as connection:
            return sums.block_sums(connection, bounds)

    def period_sums(
        self, period: Micros, since: Micros, until: Micros, known_before: Micros, offset: Micros = 0
    ) -> list[PeriodSum]:
        bounds = {"block": period, "since": since, "until": until, "known_before": known_before, "offset": offset}
        with self._database.reading() as connection:
            return sums.period_sums(connection, bounds)

    def shadow_failures(self, version: str, since: Micros) -> tuple[int, int]:
        with self._database.reading() as connection:
            return sums.shadow_failures(connection, version, since)

    def totals(self) -> Totals:
        with self._database.reading() as connection:
            return sums.totals(connection)

    def append_reviews(self, reviews: Sequence[Review]) -> None:
        with self._database.writing() as connection:
            connection.executemany(
                """INSERT OR IGNORE INTO review (id, at, version, reason, propensity, policy, label, reviewer)
                   VALUES (?, ?, ?, ?, ?, ?, ?, ?)""",
                [(checked_id(r.id), r.at, r.version, r.reason, r.propensity, r.policy,
                  None if r.label is None else label_text(r.label), r.reviewer) for r in reviews],
            )
        self._acknowledge()

    def reviews(self, since: Micros | None = None, open_only: bool = False, limit: int = 1000) -> list[Review]:
        bounds = {"since": _FIRST if since is None else since, "open_only": open_only, "limit": limit}
        with self._database.reading() as connection:
            return [_review(row) for row in connection.execute(_REVIEWS, bounds)]

    def close(self) -> None:
        self._database.close()

    def _acknowledge(self) -> None:
        """What was just committed is as safe as `store.durability` declares."""
        if self._flushed:
            self._database.sync()


def open_log(folder: Path, store: Store) -> SqliteLog:
    """The log in `folder` (`log.db`), made when it is not there. Errors as `database.Database` raises them."""
    return SqliteLog(folder, store)


def _end(bound: Micros | None) -> Micros:
    return NEVER if bound is None else bound


def _logged(row: tuple[Any, ...]) -> LoggedRow:
    value, known_at = row[_FIELDS : _FIELDS + 2]
    prediction = prediction_of(PredictionRow._make(row[:_FIELDS]))
    return LoggedRow(prediction, None if value is None else label(value), known_at)


def _review(row: tuple[Any, ...]) -> Review:
    id, at, version, reason, propensity, policy, value, reviewer = row
    return Review(id, at, version, reason, propensity, policy, None if value is None else label(value), reviewer)
