"""What the Log adds up: losses by unit, by block of time, by period, and the counts over everything.

In: a connection that reads, and bounds. Out: integers. A loss counts at a bound B when its label does:
`known_at < B <= replaced_at` (see `schema`). Sums of losses are taken in two halves of 32 bits, because one loss may
be as large as 64 bits hold, and SQLite's own sum would overflow; Python's integers do not.
"""

import sqlite3
from typing import Any

from incumbent.records import Micros
from incumbent.storage.base import BlockSum, PeriodSum, Totals, UnitSum
from incumbent.storage.sqlite.schema import NEVER

_UNIT_SUMS = """
    SELECT coalesce(p.unit, p.id) AS who, p.arm, sum(p.at + :window <= :matured_before), count(l.loss),
        sum(p.fallback_reason IS NOT NULL), sum(l.loss >> 32), sum(l.loss & 4294967295)
    FROM prediction p INDEXED BY prediction_trial
    LEFT JOIN loss l ON l.at = p.at AND l.prediction = p.arrival AND l.served
        AND p.at + :window <= :matured_before
        AND l.known_at < min(:known_before, p.at + :window) AND l.replaced_at >= min(:known_before, p.at + :window)
    WHERE p.trial = :trial AND p.phase = :phase
    GROUP BY who, p.arm ORDER BY who, p.arm"""

# at + offset divided by the length of a block, rounded down: SQLite's own division rounds towards zero.
_BLOCK = "(({at} + :offset) - ((({at} + :offset) % :block) + :block) % :block) / :block"

_BLOCK_SUMS = f"""
    SELECT {_BLOCK.format(at="r.at")} AS block, count(*), sum(r.loss >> 32), sum(r.loss & 4294967295),
        sum(c.loss >> 32), sum(c.loss & 4294967295)
    FROM loss r CROSS JOIN loss c
        ON c.at = r.at AND c.prediction = r.prediction AND c.version = :candidate AND c.outcome = r.outcome
    WHERE r.at >= :since AND r.at < :until AND r.version = :reference
        AND r.known_at < :known_before AND r.replaced_at >= :known_before
    GROUP BY block ORDER BY block"""

_PERIOD_ROWS = f"""
    SELECT {_BLOCK.format(at="at")} AS block, count(*) FROM prediction INDEXED BY prediction_at
    WHERE at >= :since AND at < :until GROUP BY block ORDER BY block"""

_PERIOD_LOSSES = f"""
    SELECT {_BLOCK.format(at="at")} AS block, count(*), sum(loss >> 32), sum(loss & 4294967295) FROM loss
    WHERE at >= :since AND at < :until AND served AND known_at < :known_before AND replaced_at >= :known_before
    GROUP BY block"""


def unit_sums(connection: sqlite3.Connection, bounds: dict[str, Any]) -> list[UnitSum]:
    """`Log.unit_sums`; `bounds` are its arguments by name."""
    return [
        UnitSum(unit, arm, rows, labelled, failed, _joined(high, low))
        for unit, arm, rows, labelled, failed, high, low in connection.execute(_UNIT_SUMS, bounds)
    ]


def block_sums(connection: sqlite3.Connection, bounds: dict[str, Any]) -> list[BlockSum]:
    """`Log.block_sums`; `bounds` are its arguments by name."""
    return [
        BlockSum(block, rows, _joined(*halves[:2]), _joined(*halves[2:]))
        for block, rows, *halves in connection.execute(_BLOCK_SUMS, bounds)
    ]


def period_sums(connection: sqlite3.Connection, bounds: dict[str, Any]) -> list[PeriodSum]:
    """`Log.period_sums`; `bounds` are its arguments by name, the period as `block`."""
    losses = {period: rest for period, *rest in connection.execute(_PERIOD_LOSSES, bounds)}
    sums = []
    for period, rows in connection.execute(_PERIOD_ROWS, bounds):
        labelled, high, low = losses.get(period, (0, 0, 0))
        sums.append(PeriodSum(period, rows, labelled, _joined(high, low)))
    return sums


def shadow_failures(connection: sqlite3.Connection, version: str, since: Micros) -> tuple[int, int]:
    """`Log.shadow_failures`."""
    failed, all_calls = connection.execute(
        "SELECT count(error), count(*) FROM shadow WHERE at >= ? AND version = ?", [since, version]
    ).fetchone()
    return failed, all_calls


def totals(connection: sqlite3.Connection) -> Totals:
    """`Log.totals`."""
    served: dict[str, int] = {}
    fallbacks: dict[str, int] = {}
    for version, reason, rows in connection.execute(
        "SELECT served_by, fallback_reason, rows FROM tally ORDER BY served_by, fallback_reason"
    ):
        served[version] = served.get(version, 0) + rows
        if reason:
            fallbacks[reason] = fallbacks.get(reason, 0) + rows
    outcomes, pending, first_at, last_at, shadows, shadow_errors = connection.execute(
        f"""SELECT
            (SELECT count(*) FROM outcome WHERE prediction IS NOT NULL AND replaced_at = {NEVER}),
            (SELECT count(*) FROM outcome WHERE prediction IS NULL AND replaced_at = {NEVER}),
            (SELECT min(at) FROM prediction), (SELECT max(at) FROM prediction),
            (SELECT count(*) FROM shadow), (SELECT count(error) FROM shadow)"""
    ).fetchone()
    return Totals(
        predictions=sum(served.values()),
        outcomes=outcomes,
        pending=pending,
        shadows=shadows,
        shadow_errors=shadow_errors,
        first_at=first_at,
        last_at=last_at,
        fallbacks=fallbacks,
        served=served,
    )


def _joined(high: int | None, low: int | None) -> int:
    """The sum of integers from the sums of their halves.

    >>> _joined(sum(n >> 32 for n in (-5, 2**62)), sum(n & 4294967295 for n in (-5, 2**62))) == 2**62 - 5
    True
    """
    return ((high or 0) << 32) + (low or 0)
