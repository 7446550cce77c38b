"""What the Log adds up: losses by unit, by block of time, by period, and the counts over everything.

In: a session that reads, and bounds. Out: integers. A loss counts at a bound B when its label does:
`known_at < B <= replaced_at` (see `tables`). Sums of losses are taken in two halves of 32 bits, because one loss may
be as large as 64 bits hold, and SQLite's own sum would overflow; Python's integers do not.
"""

import math
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Double, bindparam, case, cast, func, literal_column, or_, select

from incumbent.records import Micros
from incumbent.stats.metrics import UNITS_PER_ONE
from incumbent.storage.base import BlockSum, PeriodSum, Totals, UnitSum
from incumbent.storage.sql import tables
from incumbent.storage.sql.session import Session
from incumbent.storage.sql.tables import NEVER
from incumbent.storage.values import label

p, l, r, c = (tables.prediction.alias("p"), *(tables.loss.alias(name) for name in "lrc"))  # noqa: E741 (as in SQL)
shadow, outcome, tally = tables.shadow, tables.outcome, tables.tally


_32: ColumnElement[int] = literal_column("32")
_LOW_32: ColumnElement[int] = literal_column("4294967295")


def _number(name: str) -> ColumnElement[int]:
    return bindparam(name, type_=BigInteger)


def halves(column: ColumnElement[int]) -> tuple[ColumnElement[Any], ColumnElement[Any]]:
    return func.sum(column.op(">>")(_32)), func.sum(column.op("&")(_LOW_32))


def _block(at: ColumnElement[int]) -> ColumnElement[int]:
    """at + offset divided by the length of a block, rounded down: the databases' own division rounds towards zero."""
    moved, block = at + _number("offset"), _number("block")
    return (moved - (moved % block + block) % block) // block


_CLOSES = p.c.at + _number("window")
_MATURED = _number("matured_before") >= _CLOSES
_UNIT = func.coalesce(p.c.unit, p.c.id).label("who")
_UNIT_SUMS = (
    select(
        _UNIT,
        p.c.arm,
        func.count().filter(_MATURED),
        func.count(l.c.loss),
        func.count(p.c.fallback_reason),
        *halves(l.c.loss),
    )
    .select_from(
        p.outerjoin(
            l,
            (l.c.at == p.c.at)
            & (l.c.prediction == p.c.arrival)
            & (l.c.served == 1)
            & _MATURED
            & (l.c.known_at < _number("known_before"))
            & (l.c.known_at < _CLOSES)
            & or_(l.c.replaced_at >= _number("known_before"), l.c.replaced_at >= _CLOSES),
        )
    )
    .with_hint(p, "INDEXED BY prediction_trial", "sqlite")
    .where(p.c.trial == bindparam("trial"), p.c.phase == bindparam("phase"))
    .group_by(_UNIT, p.c.arm)
    .order_by(_UNIT, p.c.arm)
)

_RANGE = _block(r.c.at).label("k")
_BLOCK_SUMS = (
    select(_RANGE, func.count(), *halves(r.c.loss), *halves(c.c.loss))
    .join(
        c,
        (c.c.at == r.c.at)
        & (c.c.prediction == r.c.prediction)
        & (c.c.version == bindparam("candidate"))
        & (c.c.outcome == r.c.outcome),
    )
    .where(r.c.at >= bindparam("since"), r.c.at < bindparam("until"), r.c.version == bindparam("reference"))
    .where(r.c.known_at < bindparam("known_before"), r.c.replaced_at >= bindparam("known_before"))
    .group_by(_RANGE)
    .order_by(_RANGE)
)

_PERIOD = _block(p.c.at).label("k")
_PERIOD_ROWS = (
    select(_PERIOD, func.count())
    .select_from(p)
    .with_hint(p, "INDEXED BY prediction_at", "sqlite")
    .where(p.c.at >= bindparam("since"), p.c.at < bindparam("until"))
    .group_by(_PERIOD)
    .order_by(_PERIOD)
)
_PERIOD_OF_LOSS = _block(l.c.at).label("k")
_PERIOD_LOSSES = (
    select(_PERIOD_OF_LOSS, func.count(), *halves(l.c.loss))
    .select_from(l)
    .where(l.c.at >= bindparam("since"), l.c.at < bindparam("until"), l.c.served == 1)
    .where(l.c.known_at < bindparam("known_before"), l.c.replaced_at >= bindparam("known_before"))
    .group_by(_PERIOD_OF_LOSS)
)

_IS_NUMBER = func.substr(outcome.c.value, 1, 1) != '"'
_NUMBER = case(
    (outcome.c.value == "true", 1.0), (outcome.c.value == "false", 0.0), (_IS_NUMBER, cast(outcome.c.value, Double))
)
_NUMBERS = (
    select(outcome.c.value)
    .select_from(p.join(outcome, outcome.c.prediction == p.c.arrival))
    .where(p.c.at >= bindparam("since"), outcome.c.name == bindparam("name"))
    .where(outcome.c.known_at < bindparam("known_before"), outcome.c.replaced_at >= bindparam("known_before"))
    .where(_IS_NUMBER)
)
_LOSSES = (
    select(l.c.loss)
    .where(l.c.at >= bindparam("since"), l.c.served == 1)
    .where(l.c.known_at < bindparam("known_before"), l.c.replaced_at >= bindparam("known_before"))
)
_SIZES = {
    of: (
        found.with_only_columns(func.count()),
        found.order_by(func.abs(number).desc()).limit(1).offset(_number("larger")),
    )
    for of, found, number in (("loss", _LOSSES, l.c.loss), ("outcome", _NUMBERS, _NUMBER))
}

_SHADOW_FAILURES = (
    select(func.count(shadow.c.error), func.count())
    .select_from(shadow)
    .where(shadow.c.at >= bindparam("since"), shadow.c.at < bindparam("until"))
    .where(shadow.c.version == bindparam("version"))
)
_LAST_OUTCOME = select(func.max(outcome.c.arrival))
_TALLY = (
    select(tally.c.served_by, tally.c.fallback_reason, func.sum(tally.c.rows))
    .group_by(tally.c.served_by, tally.c.fallback_reason)
    .having(func.sum(tally.c.rows) != 0)
    .order_by(tally.c.served_by, tally.c.fallback_reason)
)
_COUNTED = select(func.count()).select_from(outcome).where(outcome.c.replaced_at == NEVER)
_TOTALS = select(
    _COUNTED.where(outcome.c.prediction.is_not(None)).scalar_subquery(),
    _COUNTED.where(outcome.c.prediction.is_(None)).scalar_subquery(),
    select(func.min(p.c.at)).scalar_subquery(),
    select(func.max(p.c.at)).scalar_subquery(),
    select(func.count()).select_from(shadow).scalar_subquery(),
    select(func.count(shadow.c.error)).scalar_subquery(),
)


def unit_sums(session: Session, **bounds: Any) -> list[UnitSum]:
    """`Log.unit_sums`; `bounds` are its arguments by name."""
    return [
        UnitSum(unit, arm, rows, labelled, failed, joined(high, low))
        for unit, arm, rows, labelled, failed, high, low in session.rows(_UNIT_SUMS, **bounds)
    ]


def block_sums(session: Session, **bounds: Any) -> list[BlockSum]:
    """`Log.block_sums`; `bounds` are its arguments by name."""
    return [
        BlockSum(block, rows, joined(*halves[:2]), joined(*halves[2:]))
        for block, rows, *halves in session.rows(_BLOCK_SUMS, **bounds)
    ]


def period_sums(session: Session, known_before: Micros, **bounds: Any) -> list[PeriodSum]:
    """`Log.period_sums`; `bounds` are its arguments by name, the period as `block`."""
    losses = {period: rest for period, *rest in session.rows(_PERIOD_LOSSES, known_before=known_before, **bounds)}
    sums = []
    for period, rows in session.rows(_PERIOD_ROWS, **bounds):
        labelled, high, low = losses.get(period, (0, 0, 0))
        sums.append(PeriodSum(period, rows, labelled, joined(high, low)))
    return sums


def size(session: Session, name: str, share: float, since: Micros, known_before: Micros) -> tuple[int, float]:
    """`Log.size`."""
    named = {} if name == "loss" else {"name": name}
    counts, ordered = _SIZES["loss" if name == "loss" else "outcome"]
    ((rows,),) = session.rows(counts, since=since, known_before=known_before, **named)
    if not rows:
        return 0, 0.0
    larger = rows - 1 - math.ceil((rows - 1) * share)
    ((found,),) = session.rows(ordered, larger=larger, since=since, known_before=known_before, **named)
    return rows, abs(found / UNITS_PER_ONE if name == "loss" else float(label(found)))


def last_outcome(session: Session) -> int:
    """`Log.last_outcome`."""
    ((last,),) = session.rows(_LAST_OUTCOME)
    return int(last or 0)


def shadow_failures(session: Session, version: str, since: Micros, until: Micros) -> tuple[int, int]:
    """`Log.shadow_failures`."""
    ((failed, all_calls),) = session.rows(_SHADOW_FAILURES, version=version, since=since, until=until)
    return failed, all_calls


def totals(session: Session) -> Totals:
    """`Log.totals`."""
    served: dict[str, int] = {}
    fallbacks: dict[str, int] = {}
    for version, reason, rows in session.rows(_TALLY):
        served[version] = served.get(version, 0) + int(rows)
        if reason:
            fallbacks[reason] = fallbacks.get(reason, 0) + int(rows)
    ((outcomes, pending, first_at, last_at, shadows, shadow_errors),) = session.rows(_TOTALS)
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


def joined(high: Any, low: Any) -> int:
    """The sum of integers from the sums of their halves (PostgreSQL gives those as decimals).

    >>> joined(sum(n >> 32 for n in (-5, 2**62)), sum(n & 4294967295 for n in (-5, 2**62))) == 2**62 - 5
    True
    """
    return (int(high or 0) << 32) + int(low or 0)
