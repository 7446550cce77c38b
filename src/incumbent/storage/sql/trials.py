"""Running sums of a trial: from the mark that was reached to the present, step by step.

In: a Database, a plan, a mark. Out: `TrialSums`. A step reads outside of any lock (`stepping`), and is kept in one
short transaction, if nobody was quicker: then it is read again. Whoever is killed leaves the true sums at an earlier
mark. A look at an earlier mark takes the same steps of the first time, and keeps its units in memory.
"""

import hashlib
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict

from sqlalchemy import BigInteger, ColumnElement, bindparam, delete, exists, func, select, update
from sqlalchemy.dialects.postgresql import insert  # SQLite takes the same text

from incumbent.records import Micros
from incumbent.storage.base import Mark, SumPlan, TrialSums
from incumbent.storage.sql import tables
from incumbent.storage.sql.session import Database, Row, Session, among
from incumbent.storage.sql.stepping import State, Summing, Units, state_of
from incumbent.storage.sql.tables import LABEL
from incumbent.storage.summing import Unit, unit_of
from incumbent.storage.values import json_text, json_value

KEPT = 3
"""Sums of so many plans are kept, so that two who ask for different ones do not begin anew at each other's call."""
ROWS_A_STEP = 1_000
ROWS_A_LOOK = 20_000
"""The same where nothing is written."""
PAUSE_S = 0.01
"""After each step that deletes, so that others come in."""

p, o, l, u = (  # noqa: E741 (one letter a table, as in SQL)
    table.alias(table.name[0]) for table in (tables.prediction, tables.outcome, tables.loss, tables.unscored)
)
trial_sum, trial_unit = tables.trial_sum, tables.trial_unit


def _number(name: str) -> ColumnElement[int]:
    return bindparam(name, type_=BigInteger)


_ENDS = select(
    select(func.coalesce(func.max(p.c.arrival), 0)).scalar_subquery(),
    select(func.coalesce(func.max(o.c.arrival), 0)).scalar_subquery(),
)
_SCORED_SINCE = exists().where(
    l.c.at == p.c.at, l.c.prediction == p.c.arrival, l.c.version == u.c.version, l.c.outcome >= o.c.arrival
)
_DUE = (
    select(p.c.arrival, func.min(o.c.arrival))
    .select_from(u.join(p, p.c.arrival == u.c.prediction).join(o, o.c.prediction == p.c.arrival))
    .where(o.c.name == LABEL, ~_SCORED_SINCE)
    .group_by(p.c.arrival)
)
_DUE_OF_VERSIONS = _DUE.where(among(u.c.version, "versions"))
_DUE_OF_PLAN = _DUE.where(u.c.version == p.c.served_by).where(
    ((p.c.trial == bindparam("trial")) & (p.c.phase == bindparam("phase")))
    | ((p.c.at >= _number("since")) & (p.c.at < _number("until")))
)

_SUM = select(trial_sum.c.number, trial_sum.c.step, trial_sum.c.state).where(trial_sum.c.plan == bindparam("plan"))
_SUMS = select(trial_sum).order_by(trial_sum.c.number)
_BEGIN = (
    insert(trial_sum).values({column.name: bindparam(column.name) for column in trial_sum.c}).on_conflict_do_nothing()
)
_KEEP = (
    update(trial_sum)
    .where(trial_sum.c.number == bindparam("which"), trial_sum.c.step == bindparam("last"))
    .values(step=bindparam("last") + 1, state=bindparam("now"))
)
_END = delete(trial_sum).where(trial_sum.c.number == bindparam("which"))
_UNITS = select(trial_unit.c.unit, trial_unit.c.state).where(
    trial_unit.c.sum == bindparam("of"), among(trial_unit.c.unit, "units")
)
_NEW_UNIT = insert(trial_unit).values(sum=bindparam("of"), unit=bindparam("unit"), state=bindparam("state"))
_KEEP_UNIT = _NEW_UNIT.on_conflict_do_update(index_elements=["sum", "unit"], set_={"state": _NEW_UNIT.excluded.state})
_NEXT_SUM = (
    select(trial_unit.c.sum).where(trial_unit.c.sum > bindparam("after")).order_by(trial_unit.c.sum).limit(1)
)
_FIRST_UNITS = (
    select(trial_unit.c.unit)
    .where(trial_unit.c.sum == bindparam("of"))
    .order_by(trial_unit.c.unit)
    .limit(bindparam("batch"))
)
_DROP_UNITS = delete(trial_unit).where(trial_unit.c.sum == bindparam("of"), trial_unit.c.unit <= bindparam("last"))
_PLACES = select(p.c.trial, p.c.phase, p.c.at).where(among(p.c.arrival, "arrivals"))



def mark(database: Database, now: Micros, versions: Sequence[str]) -> Mark:
    """`Log.mark`."""
    predictions, outcomes = database.settled(_ENDS)
    end = Mark(now, int(predictions), int(outcomes))
    if not versions:
        return end
    with database.reading() as session:
        due = session.rows(_DUE_OF_VERSIONS, versions=session.listed(list(versions)))
    return _settled(end, Mark(now), due)


def trial_sums(database: Database, plan: SumPlan, now: Micros) -> TrialSums:
    """`Log.trial_sums`."""
    summing, key = Summing(plan, ROWS_A_STEP), _key(plan)
    target = None
    while True:
        with database.reading() as session:
            found = session.row(_SUM, plan=key)
            if found and target:
                number, step, text = found
                state = state_of(text)
                if _reached(state, target):
                    return summing.fold.sums(state.totals, state.mark)
                if _behind(state, target):
                    done = summing.step(session, state, target, _stored(session, number))
                    text = done.state.text()
                else:
                    target = None
        if target is None:
            target = _target(database, summing, state_of(found[2]).mark if found else Mark(now), now)
        elif not found:
            _begin(database, summing, key, target)
        elif _kept(database, number, step, text, done.units) and _reached(done.state, target):
            return summing.fold.sums(done.state.totals, done.state.mark)


def trial_sums_at(database: Database, plan: SumPlan, mark: Mark) -> TrialSums:
    """`Log.trial_sums_at`."""
    summing = Summing(plan, ROWS_A_LOOK)
    state, kept = summing.begin(mark), dict[str, str]()

    def units(names: Iterable[str]) -> dict[str, Unit]:
        return {name: unit_of(json_value(kept[name])) for name in names if name in kept}

    while state.stage:
        with database.reading() as session:
            step = summing.step(session, state, mark, units)
        state = step.state
        kept.update((name, json_text(unit.kept())) for name, unit in step.units.items())
    return summing.fold.sums(state.totals, mark)


def taken(session: Session, arrivals: Sequence[int]) -> None:
    """These predictions are about to be deleted: sums that they are in begin anew."""
    sums = session.rows(_SUMS)
    if not sums:
        return
    places = session.rows(_PLACES, arrivals=session.listed(arrivals))
    for number, _, trial, phase, since, until, *_ in sums:
        if any((of, part) == (trial, phase) or since <= at < until for of, part, at in places):
            session.run(_END, which=number)


def lowered(session: Session) -> None:
    """Rows were deleted. A file gives the number of the last one again: no sum may think that it has seen it."""
    sums = session.rows(_SUMS)
    if not sums:
        return
    ((predictions, outcomes),) = session.rows(_ENDS)
    for number, *_, step, text in sums:
        state = state_of(text)
        mark = Mark(state.mark.now, min(state.mark.predictions, predictions), min(state.mark.outcomes, outcomes))
        if mark != state.mark:
            session.run(_KEEP, which=number, last=step, now=state._replace(mark=mark).text())


def swept(database: Database) -> None:
    """Delete the units of sums that are not kept any more: they hold names."""
    after = -1
    while True:
        with database.reading() as session:
            found = session.row(_NEXT_SUM, after=after)
            kept = {row[0] for row in session.rows(_SUMS)}
            if found is None:
                return
            (after,) = found
            some = [] if after in kept else session.rows(_FIRST_UNITS, of=after, batch=ROWS_A_STEP)
        if some:
            with database.writing() as session:
                session.run(_DROP_UNITS, of=after, last=some[-1][0])
            after -= 1
            time.sleep(PAUSE_S)


def _key(plan: SumPlan) -> str:
    return hashlib.sha256(json_text(asdict(plan)).encode()).hexdigest()


def _stored(session: Session, number: int) -> Units:
    def units(names: Iterable[str]) -> dict[str, Unit]:
        found = session.rows(_UNITS, of=number, units=session.listed(list(names)))
        return {name: unit_of(json_value(text)) for name, text in found}

    return units


def _target(database: Database, summing: Summing, reached: Mark, now: Micros) -> Mark:
    """The present, before whatever still waits for its loss, and not before what was reached."""
    end = mark(database, now, ())
    if not summing.fold.of_loss:
        return end
    with database.reading() as session:
        due = session.rows(_DUE_OF_PLAN, **summing.of, **summing.before)
    return _settled(end, reached, due)


def _settled(end: Mark, reached: Mark, due: Sequence[Row]) -> Mark:
    """The latest mark for which no (prediction, label) that is due is there: each has one of the two behind it, the
    label where both would do. (One that was there at the mark that was reached counted as it is, once and for all.)

    >>> _settled(Mark(0, 10, 10), Mark(0), [(2, 9), (9, 1)])
    Mark(now=0, predictions=8, outcomes=8)
    """
    new = [(said, row) for row, said in due if row > reached.predictions or said > reached.outcomes]
    marks, predictions = [], end.predictions
    for said, row in sorted(new):  # this label and later ones are behind the mark, and the predictions of earlier ones
        marks.append(Mark(end.now, predictions, said - 1))
        predictions = min(predictions, row - 1)
    marks.append(Mark(end.now, predictions, end.outcomes))
    possible = [
        mark for mark in marks if mark.predictions >= reached.predictions and mark.outcomes >= reached.outcomes
    ]
    return max(possible, key=lambda mark: mark.predictions + mark.outcomes)


def _reached(state: State, target: Mark) -> bool:
    return not state.stage and state.mark == target


def _behind(state: State, target: Mark) -> bool:
    """Is everything that the state has seen before the target? (Else somebody has a later one.)"""
    return state.mark.predictions <= target.predictions and state.mark.outcomes <= target.outcomes


def _begin(database: Database, summing: Summing, key: str, target: Mark) -> None:
    with database.writing() as session:
        numbers = [row[0] for row in session.rows(_SUMS)]
        number = max([time.time_ns() // 1000, *(number + 1 for number in numbers)])  # never one that was there before
        session.run(_BEGIN, number=number, plan=key, **summing.of, **summing.before, step=0,
                    state=summing.begin(target).text())  # fmt: skip
        for old in numbers[: max(0, len(numbers) + 1 - KEPT)]:
            session.run(_END, which=old)
    swept(database)


def _kept(database: Database, number: int, step: int, text: str, units: Mapping[str, Unit]) -> bool:
    """Keep a step, unless somebody else took one."""
    rows = [{"of": number, "unit": name, "state": json_text(unit.kept())} for name, unit in sorted(units.items())]
    with database.writing() as session:
        if not session.run(_KEEP, which=number, last=step, now=text):
            return False
        session.run_all(_KEEP_UNIT, rows)
        return True
