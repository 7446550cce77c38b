"""What changes the Log: predictions, shadows, outcomes and losses arrive, in any order.

In: a connection inside a transaction, and records. Out: rows. Whatever makes an output meet a label marks it in the
table `unscored`; `put_losses` takes the mark away. So the work that is due is always a short list, never a search.
"""

import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from itertools import chain
from operator import attrgetter

from incumbent.errors import IdReused
from incumbent.records import Label, Outcome, Shadow
from incumbent.storage.base import OutcomeCounts, PredictionRow
from incumbent.storage.sqlite.schema import NEVER
from incumbent.storage.values import json_ids, json_text, label, label_text, packed, same_label

LABEL = "label"
Given = Mapping[tuple[str, str], tuple[int, int]]
"""(id, version) → (prediction, outcome): which label a loss is about to be computed for."""

_INSERT_PREDICTIONS = f"INSERT INTO prediction ({', '.join(PredictionRow._fields)}) VALUES "
_VALUES = f"({', '.join('?' * len(PredictionRow._fields))})"
_ROWS_A_STATEMENT = 64
"""Each statement lets go of the interpreter once, and a thread that computes gets it then, for 5 ms: beside such a
thread 64 rows took 75 ms with a statement a row, and .23 ms with one statement."""

_SERVED = attrgetter("served_by", "fallback_reason")
_TALLY = """INSERT INTO tally (served_by, fallback_reason, rows) VALUES (?, ?, ?)
    ON CONFLICT DO UPDATE SET rows = rows + excluded.rows"""
_INSERT_OUTCOME = """INSERT INTO outcome (prediction, id, name, value, known_at, replaced_at)
    VALUES (?, ?, ?, ?, ?, ?)"""
_INSERT_LOSS = f"""INSERT OR REPLACE INTO loss (at, prediction, version, outcome, served, known_at, replaced_at, loss)
    SELECT p.at, p.arrival, :version, o.arrival, p.served_by = :version, o.known_at, o.replaced_at, :loss
    FROM prediction p JOIN outcome o ON o.arrival = :outcome WHERE p.arrival = :prediction AND o.name = '{LABEL}'"""
_SCORED = f"""DELETE FROM unscored WHERE prediction = :prediction AND version = :version
    AND EXISTS (SELECT 1 FROM outcome WHERE arrival = :outcome AND replaced_at = {NEVER})"""


def keep_rows(connection: sqlite3.Connection, rows: Sequence[PredictionRow]) -> None:
    """Insert predictions and let the outcomes that waited for them join. IdReused for an id that is there."""
    try:
        for i in range(0, len(rows), _ROWS_A_STATEMENT):
            some = rows[i : i + _ROWS_A_STATEMENT]
            connection.execute(_insert(len(some)), list(chain.from_iterable(some)))
    except sqlite3.IntegrityError as error:
        if error.sqlite_errorname != "SQLITE_CONSTRAINT_UNIQUE":
            raise
        raise IdReused(
            f"the id {_reused(connection, rows)!r} is in the log already (or twice in this call); expected a "
            "new one. Nothing of this call was kept: ask `find` first."
        ) from None
    for (version, reason), count in Counter(map(_SERVED, rows)).items():
        connection.execute(_TALLY, (version, reason or "", count))
    _join_pending(connection, rows)


def keep_shadows(connection: sqlite3.Connection, shadows: Sequence[Shadow]) -> None:
    """Insert shadows of known predictions; what a version said first counts, be it served or shadow."""
    found = connection.execute(
        "SELECT id, at, arrival, served_by FROM prediction WHERE id IN (SELECT value FROM json_each(?))",
        [json_ids({shadow.id for shadow in shadows})],
    )
    known = {id: rest for id, *rest in found}
    rows = []
    for shadow in shadows:
        if shadow.id in known and known[shadow.id][2] != shadow.version:
            at, prediction, _ = known[shadow.id]
            output = None if shadow.output is None else packed(shadow.output)
            rows.append((at, prediction, shadow.version, output, shadow.error, shadow.latency_us))
    connection.executemany("INSERT OR IGNORE INTO shadow VALUES (?, ?, ?, ?, ?, ?)", rows)
    _mark_shadows(connection, {prediction for _, prediction, _ in known.values()})


def keep_outcomes(connection: sqlite3.Connection, outcomes: Sequence[Outcome]) -> OutcomeCounts:
    """Insert those outcomes that say something new, and count what became of each."""
    ids = json_ids({outcome.id for outcome in outcomes})
    known = _predictions(connection, ids)
    current = _current(connection, ids)
    counts = {"accepted": 0, "pending": 0, "repeated": 0, "corrected": 0}
    fresh: list[tuple[int | None, str | None, str, str, int, int]] = []
    labelled: list[int] = []
    for outcome in outcomes:
        key = (outcome.id, outcome.name)
        value, prediction = label_text(outcome.value), known.get(outcome.id)
        if key in current and same_label(current[key], outcome.value):
            counts["repeated"] += 1
            continue
        if key in current:
            connection.executemany(_INSERT_OUTCOME, fresh)
            fresh.clear()
            _replace(connection, prediction, outcome)
        counts["corrected" if key in current else "pending" if prediction is None else "accepted"] += 1
        current[key] = outcome.value
        waits_as = outcome.id if prediction is None else None
        fresh.append((prediction, waits_as, outcome.name, value, outcome.known_at, NEVER))
        if prediction is not None and outcome.name == LABEL:
            labelled.append(prediction)
    connection.executemany(_INSERT_OUTCOME, fresh)
    _mark(connection, labelled)
    return OutcomeCounts(**counts)


def keep_losses(connection: sqlite3.Connection, losses: Iterable[tuple[str, str, int]], given: Given) -> None:
    """Keep losses for the label each was given for. A row that was corrected meanwhile stays unscored."""
    rows = []
    for id, version, loss in losses:
        key = given.get((id, version)) or _latest_label(connection, id)
        if key is not None:
            rows.append({"prediction": key[0], "outcome": key[1], "version": version, "loss": loss})
    connection.executemany(_INSERT_LOSS, rows)
    connection.executemany(_SCORED, rows)


@cache
def _insert(rows: int) -> str:
    return _INSERT_PREDICTIONS + ", ".join([_VALUES] * rows)


def _reused(connection: sqlite3.Connection, predictions: Sequence[PredictionRow]) -> str | None:
    """The first id that is there before this call (the rows of this call are undone only later), or twice in it."""
    seen: set[str] = set()
    for prediction in predictions:
        if prediction.id in seen:
            return prediction.id
        seen.add(prediction.id)
    connection.execute("ROLLBACK")
    there = _predictions(connection, json_ids(seen))
    return next((prediction.id for prediction in predictions if prediction.id in there), None)


def _join_pending(connection: sqlite3.Connection, predictions: Sequence[PredictionRow]) -> None:
    if connection.execute("SELECT 1 FROM outcome WHERE prediction IS NULL LIMIT 1").fetchone() is None:
        return
    ids = json_ids(prediction.id for prediction in predictions)
    waiting = connection.execute(
        """SELECT p.arrival, o.name, o.arrival FROM outcome o JOIN prediction p ON p.id = o.id
           WHERE o.prediction IS NULL AND o.id IN (SELECT value FROM json_each(?))""",
        [ids],
    ).fetchall()
    connection.executemany(
        "UPDATE outcome SET prediction = ?, id = NULL WHERE arrival = ?",
        [(prediction, outcome) for prediction, _, outcome in waiting],
    )
    _mark(connection, [prediction for prediction, name, _ in waiting if name == LABEL])


def _predictions(connection: sqlite3.Connection, ids: str) -> dict[str, int]:
    found = connection.execute(
        "SELECT id, arrival FROM prediction WHERE id IN (SELECT value FROM json_each(?))", [ids]
    )
    return dict(found.fetchall())


def _current(connection: sqlite3.Connection, ids: str) -> dict[tuple[str, str], Label]:
    """What counts now, by id and name, of predictions that came and of ids that wait for theirs."""
    found = connection.execute(
        f"""SELECT p.id, o.name, o.value FROM prediction p JOIN outcome o ON o.prediction = p.arrival
            WHERE p.id IN (SELECT value FROM json_each(:ids)) AND o.replaced_at = {NEVER}
            UNION ALL
            SELECT o.id, o.name, o.value FROM outcome o
            WHERE o.prediction IS NULL AND o.id IN (SELECT value FROM json_each(:ids)) AND o.replaced_at = {NEVER}""",
        {"ids": ids},
    )
    return {(id, name): label(value) for id, name, value in found}


def _replace(connection: sqlite3.Connection, prediction: int | None, outcome: Outcome) -> None:
    """Say of everything that arrived before `outcome` that it counts only until `outcome` was known."""
    change = "SET replaced_at = min(replaced_at, ?)"
    if prediction is None:
        connection.execute(
            f"UPDATE outcome {change} WHERE prediction IS NULL AND id = ? AND name = ?",
            [outcome.known_at, outcome.id, outcome.name],
        )
        return
    connection.execute(
        f"UPDATE outcome {change} WHERE prediction = ? AND name = ?", [outcome.known_at, prediction, outcome.name]
    )
    if outcome.name == LABEL:
        connection.execute(
            f"""UPDATE loss {change} WHERE prediction = ?
                AND at = (SELECT at FROM prediction WHERE arrival = ?)""",
            [outcome.known_at, prediction, prediction],
        )


def _mark(connection: sqlite3.Connection, labelled: Sequence[int]) -> None:
    """A new label came: every output for these predictions needs a loss."""
    if not labelled:
        return
    connection.execute(
        """INSERT OR IGNORE INTO unscored SELECT arrival, served_by FROM prediction
           WHERE arrival IN (SELECT value FROM json_each(?))""",
        [json_text(labelled)],
    )
    connection.execute(
        """INSERT OR IGNORE INTO unscored SELECT s.prediction, s.version
           FROM prediction p JOIN shadow s ON s.at = p.at AND s.prediction = p.arrival
           WHERE p.arrival IN (SELECT value FROM json_each(?)) AND s.output IS NOT NULL""",
        [json_text(labelled)],
    )


def _mark_shadows(connection: sqlite3.Connection, predictions: Iterable[int]) -> None:
    """Shadows came: those whose prediction has a label already, and that have no loss for it, need one."""
    connection.execute(
        f"""INSERT OR IGNORE INTO unscored SELECT s.prediction, s.version
            FROM prediction p
            JOIN outcome o ON o.prediction = p.arrival AND o.name = '{LABEL}' AND o.replaced_at = {NEVER}
            JOIN shadow s ON s.at = p.at AND s.prediction = p.arrival
            WHERE p.arrival IN (SELECT value FROM json_each(?)) AND s.output IS NOT NULL
            AND NOT EXISTS (SELECT 1 FROM loss l WHERE l.at = p.at AND l.prediction = p.arrival
                            AND l.version = s.version AND l.outcome = o.arrival)""",
        [json_text(list(predictions))],
    )


def _latest_label(connection: sqlite3.Connection, id: str) -> tuple[int, int] | None:
    found: tuple[int, int] | None = connection.execute(
        f"""SELECT p.arrival, o.arrival FROM prediction p JOIN outcome o ON o.prediction = p.arrival
            WHERE p.id = ? AND o.name = '{LABEL}' AND o.replaced_at = {NEVER}""",
        [id],
    ).fetchone()
    return found
