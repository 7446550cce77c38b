"""Paired sums by block of time, of which only those blocks are read again in which a loss changed.

In: a Database, two versions, a range of time, a mark. Out: `BlockSum`s. What is kept of a block are its sums when all
of its labels are known, and from which mark on they hold; at an earlier one it is read as it was. Whoever puts a loss,
corrects a label or deletes a row says so of its block (`touched`), in the same transaction.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Select, bindparam, delete, exists, func, null, select, true, update
from sqlalchemy.dialects.postgresql import insert  # SQLite takes the same text

from incumbent.records import Micros
from incumbent.storage.base import BlockSum, Mark
from incumbent.storage.sql import tables
from incumbent.storage.sql.session import Database, Session, among
from incumbent.storage.sql.sums import halves, joined
from incumbent.storage.sql.tables import LABEL, NEVER
from incumbent.storage.values import json_text, json_value

KEPT = 8
"""Of so many questions the sums are kept."""

p, o, s = tables.prediction.alias("p"), tables.outcome.alias("o"), tables.shadow.alias("s")
r, c = tables.loss.alias("r"), tables.loss.alias("c")
pair_sum, pair_block = tables.pair_sum, tables.pair_block


def _number(name: str) -> ColumnElement[int]:
    return bindparam(name, type_=BigInteger)


def _block(at: ColumnElement[int], moved: ColumnElement[int], block: ColumnElement[int]) -> ColumnElement[int]:
    """Rounded down: the databases' own division rounds towards zero."""
    return (at + moved - ((at + moved) % block + block) % block) // block


def _pairs(when: ColumnElement[bool], slow: bool) -> Select[Any]:
    """The pairs of a range by block, and what says from which mark on their sums hold."""
    place = _block(r.c.at, _number("offset"), _number("block")).label("k")
    above = s.c.latency_us > _number("budget_us") if slow else null().is_not(None)
    rows = r.join(
        c,
        (c.c.at == r.c.at)
        & (c.c.prediction == r.c.prediction)
        & (c.c.version == bindparam("candidate"))
        & (c.c.outcome == r.c.outcome),
    )
    if slow:
        rows = rows.outerjoin(
            s, (s.c.at == r.c.at) & (s.c.prediction == r.c.prediction) & (s.c.version == bindparam("candidate"))
        )
    return (
        select(
            place,
            func.count().filter(when),
            *(half.filter(when) for of in (r, c) for half in halves(of.c.loss)),
            func.count().filter(when & (r.c.loss != c.c.loss)),
            func.count().filter(when & above),
            func.max(r.c.known_at),
            func.max(r.c.replaced_at).filter(r.c.replaced_at < NEVER),
            func.max(r.c.prediction),
            func.max(r.c.outcome),
        )
        .select_from(rows)
        .where(r.c.at >= _number("since"), r.c.at < _number("until"), r.c.version == bindparam("reference"))
        .group_by(place)
        .order_by(place)
    )


_CORRECTED_BY_THEN = exists().where(
    o.c.prediction == r.c.prediction,
    o.c.name == LABEL,
    o.c.arrival > r.c.outcome,
    o.c.arrival <= _number("outcomes"),
    o.c.known_at < _number("now"),
)
_WITHIN = (
    (r.c.prediction <= _number("predictions"))
    & (r.c.outcome <= _number("outcomes"))
    & (r.c.known_at < _number("now"))
    & ((r.c.replaced_at >= _number("now")) | ~_CORRECTED_BY_THEN)
)
_AT_MARK = {slow: _pairs(true(), slow).where(_WITHIN) for slow in (False, True)}
_IN_THE_END = {slow: _pairs(r.c.replaced_at == NEVER, slow) for slow in (False, True)}
_CORRECTED_PLACE = _block(r.c.at, _number("offset"), _number("block")).label("k")
_CORRECTIONS = (
    select(_CORRECTED_PLACE, func.max(o.c.arrival))
    .select_from(r.join(o, (o.c.prediction == r.c.prediction) & (o.c.name == LABEL)))
    .where(r.c.at >= _number("since"), r.c.at < _number("until"), r.c.version == bindparam("reference"))
    .where(r.c.replaced_at < NEVER)
    .group_by(_CORRECTED_PLACE)
)

_SUM = select(pair_sum.c.number, pair_sum.c.first).where(pair_sum.c.plan == bindparam("plan"))
_NUMBERS = select(pair_sum.c.number).order_by(pair_sum.c.number)
_BEGIN = (
    insert(pair_sum).values({column.name: bindparam(column.name) for column in pair_sum.c}).on_conflict_do_nothing()
)
_READ = update(pair_sum).where(pair_sum.c.number == bindparam("which")).values(first=bindparam("from_"))
_END = [
    delete(table).where(column == bindparam("which"))
    for table, column in ((pair_sum, pair_sum.c.number), (pair_block, pair_block.c.sum))
]
_BLOCKS = (
    select(pair_block.c.block, pair_block.c.touched, pair_block.c.state)
    .where(pair_block.c.sum == bindparam("of"))
    .where(pair_block.c.block >= _number("low"), pair_block.c.block < _number("high"))
    .order_by(pair_block.c.block)
)
_FILL = (
    insert(pair_block)
    .values(sum=bindparam("of"), block=bindparam("number"), touched=0, state=bindparam("now"))
    .on_conflict_do_nothing()
)
_KEEP = (
    update(pair_block)
    .where(pair_block.c.sum == bindparam("of"), pair_block.c.block == bindparam("number"))
    .where(pair_block.c.touched == bindparam("seen"))
    .values(state=bindparam("now"))
)
_TOUCHED = (
    select(
        pair_sum.c.number,
        _block(p.c.at, pair_sum.c.moved, pair_sum.c.block).label("k"),
        bindparam("once", 1, type_=BigInteger),
        null(),
    )
    .distinct()
    .select_from(pair_sum.join(p, true()))
    .where(among(p.c.arrival, "predictions"))
    .order_by(pair_sum.c.number, "k")
)
_TOUCH = insert(pair_block).from_select(["sum", "block", "touched", "state"], _TOUCHED)
_TOUCH = _TOUCH.on_conflict_do_update(
    index_elements=["sum", "block"], set_={"touched": pair_block.c.touched + 1, "state": null()}
)


@dataclass(frozen=True, slots=True)
class Asked:
    """What `Log.pair_sums` was asked."""

    reference: str
    candidate: str
    block: Micros
    since: Micros
    until: Micros
    mark: Mark
    offset: Micros
    budget_us: int | None

    @property
    def low(self) -> int:
        """The first block that lies in the range as a whole."""
        return -(-(self.since + self.offset) // self.block)

    @property
    def high(self) -> int:
        """The block after the last one that does."""
        return (self.until + self.offset) // self.block

    @property
    def key(self) -> str:
        """What the kept sums depend on."""
        return json_text([self.reference, self.candidate, self.block, self.offset, self.budget_us, self.low])

    def begins(self, block: int) -> Micros:
        """When a block begins."""
        return block * self.block - self.offset

    def bounds(self, since: Micros, until: Micros) -> dict[str, Any]:
        """Of a query over a range."""
        slow = {} if self.budget_us is None else {"budget_us": self.budget_us}
        return {"reference": self.reference, "candidate": self.candidate, "block": self.block, "offset": self.offset,
                "since": since, "until": until, **slow}  # fmt: skip


def pair_sums(database: Database, asked: Asked) -> list[BlockSum]:
    """`Log.pair_sums`."""
    if asked.low >= asked.high:
        with database.reading() as session:
            return _at_mark(session, asked, asked.since, asked.until)
    while True:
        with database.reading() as session:
            found = session.row(_SUM, plan=asked.key)
            if found and found[1] == asked.low:
                blocks, fresh = _whole(session, asked, found[0])
                blocks += _at_mark(session, asked, asked.since, asked.begins(asked.low))
                blocks += _at_mark(session, asked, asked.begins(asked.high), asked.until)
                break
            filled = [] if found is None else _in_the_end(session, asked, asked.begins(asked.low), NEVER)
        if found is None:
            _begin(database, asked)
        else:
            with database.writing() as session:
                session.run_all(_FILL, [{"of": found[0], "number": one[0], "now": json_text(one)} for one in filled])
                session.run(_READ, which=found[0], from_=asked.low)
    if fresh:
        with database.writing() as session:
            session.run_all(_KEEP, fresh)
    return sorted(blocks, key=lambda one: one.block)


def touched(session: Session, predictions: Sequence[int]) -> None:
    """Something about the losses of these predictions changes: their blocks have to be read again."""
    if predictions and session.row(_NUMBERS):
        session.run(_TOUCH, predictions=session.listed(predictions))


def _begin(database: Database, asked: Asked) -> None:
    """From now on it is said which blocks are touched. Nobody is writing at this moment who does not know it."""
    with database.writing(alone=True) as session:
        numbers = [number for (number,) in session.rows(_NUMBERS)]
        number = max([time.time_ns() // 1000, *(number + 1 for number in numbers)])
        session.run(_BEGIN, number=number, plan=asked.key, block=asked.block, moved=asked.offset, first=NEVER)
        for old in numbers[: max(0, len(numbers) + 1 - KEPT)]:
            for statement in _END:
                session.run(statement, which=old)


def _whole(session: Session, asked: Asked, number: int) -> tuple[list[BlockSum], list[dict[str, Any]]]:
    """The blocks that lie in the range as a whole, and what is new to be kept of them."""
    kept = session.rows(_BLOCKS, of=number, low=asked.low, high=asked.high)
    states = {block: json_value(text) for block, _, text in kept if text is not None}
    seen = {block: touched for block, touched, text in kept if text is None}
    fresh = []
    for first, last in _runs(sorted(seen)):
        found = {one[0]: one for one in _in_the_end(session, asked, asked.begins(first), asked.begins(last + 1))}
        for block in range(first, last + 1):
            states[block] = found.get(block, [block, 0, 0, 0, 0, 0, -NEVER, 0, 0])
            fresh.append({"of": number, "number": block, "seen": seen[block], "now": json_text(states[block])})
    sums, early = [], []
    for block, state in sorted(states.items()):
        if _holds(state, asked.mark):
            sums.append(BlockSum(*state[:6]))
        else:
            early.append(block)
    for first, last in _runs(early):
        sums += _at_mark(session, asked, asked.begins(first), asked.begins(last + 1))
    return [one for one in sums if one.rows], fresh


def _holds(state: Sequence[int], mark: Mark) -> bool:
    known, prediction, outcome = state[6:]
    return mark.now > known and mark.predictions >= prediction and mark.outcomes >= outcome


def _runs(numbers: Sequence[int]) -> list[tuple[int, int]]:
    """Neighbours together.

    >>> _runs([1, 2, 3, 7, 9, 10])
    [(1, 3), (7, 7), (9, 10)]
    """
    runs: list[tuple[int, int]] = []
    for number in numbers:
        if runs and runs[-1][1] == number - 1:
            runs[-1] = (runs[-1][0], number)
        else:
            runs.append((number, number))
    return runs


def _in_the_end(session: Session, asked: Asked, since: Micros, until: Micros) -> list[list[int]]:
    """What is kept of blocks: their sums, and from when, which prediction and which outcome on they hold."""
    bounds = asked.bounds(since, until)
    later = {"since": since, "until": until, "block": asked.block, "offset": asked.offset}
    corrections: dict[int, int] = dict(session.rows(_CORRECTIONS, **later, reference=asked.reference))
    kept = []
    for block, rows, *sums, disagree, slow, known, replaced, prediction, outcome in session.rows(
        _IN_THE_END[asked.budget_us is not None], **bounds
    ):
        from_when = known if replaced is None else max(known, replaced)
        outcome = max(outcome, corrections.get(block, 0))
        kept.append([block, rows, joined(*sums[:2]), joined(*sums[2:]), disagree, slow, from_when, prediction, outcome])
    return kept


def _at_mark(session: Session, asked: Asked, since: Micros, until: Micros) -> list[BlockSum]:
    if since >= until:
        return []
    mark = {"now": asked.mark.now, "predictions": asked.mark.predictions, "outcomes": asked.mark.outcomes}
    found = session.rows(_AT_MARK[asked.budget_us is not None], **asked.bounds(since, until), **mark)
    return [
        BlockSum(block, rows, joined(*sums[:2]), joined(*sums[2:4]), *sums[4:6]) for block, rows, *sums in found
    ]
