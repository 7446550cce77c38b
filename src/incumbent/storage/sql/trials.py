"""Running sums of a trial: from the mark that was reached to the present, step by step.

In: a Database, a plan, a mark. Out: `TrialSums`; what is added up stands in `storage.summing`. A step reads some rows,
outside of any lock, says what they change, and keeps that in one short transaction, if nobody was quicker: then it is
read again. Each state between two steps is the true sum at a mark of its own, so whoever is killed leaves nothing half
done. The first time the rows of the phase are read in their order of time instead, up to a cursor; so they are for a
look at an earlier mark, which keeps its units in memory.

What changes a sum: rows that arrived, rows whose window has closed, outcomes that arrived for rows that had matured.
"""

import hashlib
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, ColumnElement, Select, bindparam, delete, exists, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert  # SQLite takes the same text

from incumbent.records import Micros
from incumbent.storage.base import Mark, SumPlan, TrialSums
from incumbent.storage.sql import tables
from incumbent.storage.sql.session import Database, Session, among
from incumbent.storage.sql.session import Row as Columns
from incumbent.storage.sql.tables import LABEL, NEVER
from incumbent.storage.summing import FIRST, Fold, Row, Said, Totals, Unit, totals_of, unit_of
from incumbent.storage.values import json_text, json_value

KEPT = 3
"""Sums of so many plans are kept, so that two who ask for different ones do not begin anew at each other's call."""
ROWS_A_STEP = 2_000
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


# --- the mark

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

# --- rows

_ROW = (p.c.arrival, p.c.at, func.coalesce(p.c.unit, p.c.id), p.c.arm, p.c.fallback_reason, p.c.latency_us, p.c.trial,
        p.c.phase)  # fmt: skip
_OURS = (p.c.trial == bindparam("trial")) & (p.c.phase == bindparam("phase")) & p.c.arm.is_not(None)
_BEFORE = (p.c.at >= _number("since")) & (p.c.at < _number("until")) & p.c.unit.is_not(None)
_OF_PHASE = (
    select(*_ROW)
    .select_from(p)
    .with_hint(p, "INDEXED BY prediction_trial", "sqlite")
    .where(_OURS, p.c.at > _number("after"), p.c.at <= _number("upto"), p.c.arrival <= _number("predictions"))
)
_OF_UNITS = _OF_PHASE.where(among(func.coalesce(p.c.unit, p.c.id), "units"))
_BY_NUMBER = select(*_ROW).select_from(p).with_hint(p, "NOT INDEXED", "sqlite").where(or_(_OURS, _BEFORE))
_ARRIVED = _BY_NUMBER.where(p.c.arrival > _number("after"), p.c.arrival <= _number("upto"))
_NAMED = _BY_NUMBER.where(among(p.c.arrival, "arrivals"), p.c.arrival <= _number("predictions"))
_CHANGED = (
    select(o.c.prediction)
    .distinct()
    .with_hint(o, "NOT INDEXED", "sqlite")
    .where(o.c.arrival > _number("after"), o.c.arrival <= _number("upto"))
    .where(o.c.prediction.is_not(None), among(o.c.name, "names"))
)
_SCORED_BEFORE = select(l.c.prediction).distinct().where(
    l.c.at > _number("after"), l.c.at <= _number("upto"), l.c.served == 1, l.c.known_at < _number("until")
)


def _nth(at: ColumnElement[int], *where: ColumnElement[bool], backwards: bool = False) -> Select[Any]:
    """The time of the n-th row in a range."""
    query = select(at).where(*where, at > _number("after"), at <= _number("upto"))
    return query.order_by(at.desc() if backwards else at).limit(1).offset(bindparam("n"))


_NTH_OF_PHASE, _NTH_BACK = (
    _nth(p.c.at, _OURS, backwards=back).with_hint(p, "INDEXED BY prediction_trial", "sqlite") for back in (False, True)
)
_NTH_LOSS = _nth(l.c.at)
_SAID = (
    select(o.c.prediction, o.c.arrival, o.c.name, o.c.known_at, o.c.value)
    .with_hint(o, "INDEXED BY outcome_prediction", "sqlite")
    .where(among(o.c.prediction, "arrivals"), o.c.arrival <= _number("outcomes"))
    .order_by(o.c.prediction, o.c.arrival)
)
_LOSSES = (
    select(l.c.prediction, l.c.outcome, l.c.loss)
    .select_from(p.join(l, (l.c.at == p.c.at) & (l.c.prediction == p.c.arrival)))
    .where(among(p.c.arrival, "arrivals"), l.c.served == 1)
)

# --- what is kept

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


class State(NamedTuple):
    """What was reached: the totals at a mark; until the first round is over, of the rows up to `cursor`."""

    mark: Mark
    totals: Totals
    stage: str = ""
    """What is being read for the first time: `before` (rows that tell of units before the trial), `rows`, or nothing"""
    cursor: Micros = FIRST

    def text(self) -> str:
        """As it is kept."""
        mark = [self.mark.now, self.mark.predictions, self.mark.outcomes]
        return json_text([mark, self.totals.kept(), self.stage, self.cursor])


def _state(text: str) -> State:
    mark, totals, stage, cursor = json_value(text)
    return State(Mark(*mark), totals_of(totals), stage, cursor)


@dataclass(frozen=True, slots=True)
class Step:
    """What a step comes to: the state after it, and the units that it changed."""

    state: State
    units: Mapping[str, Unit]


Units = Callable[[Iterable[str]], dict[str, Unit]]
"""Units that were seen before, by name."""


class Summing:
    """The steps of one plan. Reads only."""

    def __init__(self, plan: SumPlan, batch: int) -> None:
        self.fold = Fold(plan)
        self.batch = batch
        self.of = {"trial": plan.trial, "phase": plan.phase}
        self.before = {"since": plan.started_at - max(plan.before, 0), "until": plan.started_at}

    def begin(self, mark: Mark) -> State:
        """Nothing was read yet."""
        if self.fold.plan.before > 0:
            return State(mark, Totals(), "before", self.before["since"] - 1)
        return State(mark, Totals(), "rows", FIRST)

    def step(self, session: Session, state: State, target: Mark, units: Units) -> Step:
        """The next step towards a mark that is not before the state's, but in `now`."""
        if state.stage == "before":
            return self._read_before(session, state, units)
        if state.stage == "rows":
            return self._read_rows(session, state, units)
        if state.mark.predictions < target.predictions:
            return self._arrive(session, state, target, units)
        if state.mark.outcomes < target.outcomes:
            return self._learn(session, state, target, units)
        return self._mature(session, state, target, units)

    # --- the first round

    def _read_before(self, session: Session, state: State, units: Units) -> Step:
        upto = self._nth(session, _NTH_LOSS, state.cursor, self.before["until"] - 1)
        scored = session.rows(_SCORED_BEFORE, after=state.cursor, upto=upto, until=self.before["until"])
        rows = self._named(session, [arrival for (arrival,) in scored], state.mark)
        after = state._replace(cursor=upto)
        if upto == self.before["until"] - 1:
            after = state._replace(stage="rows", cursor=FIRST)
        return self._changed(session, state, after, [row for row in rows if row.arm is None], units)

    def _read_rows(self, session: Session, state: State, units: Units) -> Step:
        upto = self._nth(session, _NTH_OF_PHASE, state.cursor, NEVER, **self.of)
        found = session.rows(
            _OF_PHASE, **self.of, after=state.cursor, upto=upto, predictions=state.mark.predictions
        )
        over = {"stage": "", "cursor": FIRST} if upto == NEVER else {"cursor": upto}
        return self._changed(session, state, state._replace(**over), self._rows(found), units, new=True)

    # --- from one mark to another

    def _arrive(self, session: Session, state: State, target: Mark, units: Units) -> Step:
        upto = min(target.predictions, state.mark.predictions + self.batch)
        found = session.rows(_ARRIVED, **self.of, **self.before, after=state.mark.predictions, upto=upto)
        after = state._replace(mark=Mark(state.mark.now, upto, state.mark.outcomes))
        return self._changed(session, state, after, self._rows(found), units, new=True)

    def _learn(self, session: Session, state: State, target: Mark, units: Units) -> Step:
        upto = min(target.outcomes, state.mark.outcomes + self.batch)
        names = session.listed(self.fold.names)
        changed = session.rows(_CHANGED, after=state.mark.outcomes, upto=upto, names=names)
        rows = self._named(session, [arrival for (arrival,) in changed], state.mark)
        after = state._replace(mark=Mark(state.mark.now, state.mark.predictions, upto))
        return self._changed(session, state, after, rows, units)

    def _mature(self, session: Session, state: State, target: Mark, units: Units) -> Step:
        here, there, window = state.mark.now, target.now, self.fold.plan.window
        low, high = sorted((here - window, there - window))
        query = _NTH_OF_PHASE if there > here else _NTH_BACK
        end = self._nth(session, query, low, high, beyond=there - window, **self.of)
        if there < here and end != there - window:
            end -= 1  # the row itself, too, has not matured then
        low, high = sorted((here - window, end))
        found = session.rows(_OF_PHASE, **self.of, after=low, upto=high, predictions=state.mark.predictions)
        after = state._replace(mark=Mark(end + window, state.mark.predictions, state.mark.outcomes))
        return self._changed(session, state, after, self._rows(found), units)

    # --- rows

    def _nth(
        self, session: Session, query: Select[Any], after: Micros, upto: Micros, beyond: Micros | None = None, **of: Any
    ) -> Micros:
        """Up to where in a range a step may read; `beyond`, by default the end, where fewer rows than a step's are."""
        found = session.row(query, after=after, upto=upto, n=self.batch - 1, **of)
        return int(found[0]) if found else upto if beyond is None else beyond

    def _named(self, session: Session, arrivals: Sequence[int], mark: Mark) -> list[Row]:
        found = session.rows(
            _NAMED, **self.of, **self.before, arrivals=session.listed(arrivals), predictions=mark.predictions
        )
        return self._rows(found)

    def _rows(self, found: Sequence[Columns]) -> list[Row]:
        plan = self.fold.plan
        rows = []
        for arrival, at, unit, arm, reason, latency_us, trial, phase in found:
            ours = trial == plan.trial and phase == plan.phase
            if ours and arm is None:
                continue
            slow = plan.budget_us is not None and latency_us > plan.budget_us
            rows.append(Row(arrival, at, unit, arm if ours else None, int(reason is not None), int(slow)))
        return rows

    def _tell(self, session: Session, rows: Sequence[Row], *marks: Mark) -> None:
        """Fill in what is known of the rows of which it matters."""
        fold, latest = self.fold, max(marks, key=lambda mark: mark.now)
        asked = {row.arrival: row for row in rows if row.arm is None or fold.matured(row.at, latest)}
        if not asked:
            return
        arrivals = session.listed(list(asked))
        losses: dict[tuple[int, int], int] = {}
        if fold.of_loss or fold.plan.before:
            losses = {(row, said): loss for row, said, loss in session.rows(_LOSSES, arrivals=arrivals)}
        outcomes = max(mark.outcomes for mark in marks)
        for row, arrival, name, known_at, value in session.rows(_SAID, arrivals=arrivals, outcomes=outcomes):
            asked[row].said.append(Said(arrival, name, known_at, value, losses.get((row, arrival))))

    # --- what they change

    def _changed(
        self, session: Session, state: State, after: State, rows: Sequence[Row], units: Units, new: bool = False
    ) -> Step:
        """`new`: the rows were not there before; else the part of each changes from one mark to the other."""
        self._tell(session, rows, state.mark, after.mark)
        of_unit: dict[str, list[Row]] = defaultdict(list)
        for row in rows:
            of_unit[row.unit].append(row)
        touched = units(of_unit)
        for name in of_unit:
            touched.setdefault(name, Unit())
        lost = self._lost(session, state, of_unit, touched) if new and not state.stage else {}
        fold, totals = self.fold, after.totals
        for name, some in of_unit.items():
            unit = touched[name]
            fold.count(totals, unit, -1)
            if new:
                self._enter(unit, some, lost.get(name, ()), state.mark)
            for row in some:
                if row.arm is None:
                    self._precede(unit, row, state.mark if not (new or state.stage) else None, after.mark)
                elif row.at < fold.end(unit):
                    if not new:
                        fold.add(unit, row.arm, fold.part(row, state.mark), -1)
                    fold.add(unit, row.arm, fold.part(row, after.mark))
            fold.count(totals, unit, 1)
        return Step(after, touched)

    def _enter(self, unit: Unit, rows: Sequence[Row], lost: Sequence[Row], mark: Mark) -> None:
        """Rows of the phase came: the first of them may be the unit's first, and rows at the other end are lost."""
        ours = [row.at for row in rows if row.arm is not None]
        if not ours:
            return
        fold = self.fold
        for row in lost:
            if row.arm is not None:
                fold.add(unit, row.arm, fold.part(row, mark), -1)
        unit.first = min(unit.first, *ours)
        unit.last = min(max(unit.last, *ours), fold.end(unit) - 1)

    def _precede(self, unit: Unit, row: Row, before: Mark | None, after: Mark) -> None:
        """A row from before the trial came, or what is known of it changed."""
        known, loss = self.fold.before(row, after)
        if before is not None:
            known_then, loss_then = self.fold.before(row, before)
            known, loss = known - known_then, loss - loss_then
        unit.known += known
        unit.loss += loss

    def _lost(
        self, session: Session, state: State, of_unit: Mapping[str, Sequence[Row]], touched: Mapping[str, Unit]
    ) -> dict[str, list[Row]]:
        """Rows that counted until one came that is earlier than the unit's first."""
        lengths = {}
        for name, rows in of_unit.items():
            unit = touched[name]
            first = min((row.at for row in rows if row.arm is not None), default=NEVER)
            if first < unit.first < NEVER and first + self.fold.plan.unit_window <= unit.last:
                lengths[name] = (first + self.fold.plan.unit_window, self.fold.end(unit))
        if not lengths:
            return {}
        after, upto = min(low for low, _ in lengths.values()) - 1, max(high for _, high in lengths.values()) - 1
        found = session.rows(_OF_UNITS, **self.of, after=after, upto=upto, predictions=state.mark.predictions,
                             units=session.listed(list(lengths)))  # fmt: skip
        rows = [row for row in self._rows(found) if lengths[row.unit][0] <= row.at < lengths[row.unit][1]]
        self._tell(session, rows, state.mark)
        lost: dict[str, list[Row]] = defaultdict(list)
        for row in rows:
            lost[row.unit].append(row)
        return lost


# --- the methods of the log


def mark(database: Database, now: Micros, versions: Sequence[str]) -> Mark:
    """`Log.mark`."""
    with database.still() as session:
        ((predictions, outcomes),) = session.rows(_ENDS)
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
                state = _state(text)
                if _reached(state, target):
                    return summing.fold.sums(state.totals, state.mark)
                if _behind(state, target):
                    done = summing.step(session, state, target, _stored(session, number))
                    text = done.state.text()
                else:
                    target = None
        if target is None:
            target = _target(database, summing, _state(found[2]).mark if found else Mark(now), now)
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
        state = _state(text)
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


def _settled(end: Mark, reached: Mark, due: Sequence[Columns]) -> Mark:
    """Where no (prediction, label) that is due is before it. One that was not there when a mark was reached has at
    least one of the two behind that mark."""
    pairs = [(row, said) for row, said in due if row > reached.predictions or said > reached.outcomes]
    outcomes = min([end.outcomes, *(said - 1 for _, said in pairs if said > reached.outcomes)])
    predictions = min([end.predictions, *(row - 1 for row, said in pairs if said <= reached.outcomes)])
    return Mark(end.now, max(predictions, reached.predictions), max(outcomes, reached.outcomes))


def _reached(state: State, target: Mark) -> bool:
    return not state.stage and state.mark == target


def _behind(state: State, target: Mark) -> bool:
    """Is everything that the state has seen before the target? (Else somebody has a later one.)"""
    return state.mark.predictions <= target.predictions and state.mark.outcomes <= target.outcomes


def _begin(database: Database, summing: Summing, key: str, target: Mark) -> None:
    swept(database)
    with database.writing(alone=True) as session:
        numbers = [row[0] for row in session.rows(_SUMS)]
        number = max([time.time_ns() // 1000, *(number + 1 for number in numbers)])  # never one that was there before
        session.run(_BEGIN, number=number, plan=key, **summing.of, **summing.before, step=0,
                    state=summing.begin(target).text())  # fmt: skip
        for old in numbers[: max(0, len(numbers) + 1 - KEPT)]:
            session.run(_END, which=old)


def _kept(database: Database, number: int, step: int, text: str, units: Mapping[str, Unit]) -> bool:
    """Keep a step, unless somebody else took one."""
    rows = [{"of": number, "unit": name, "state": json_text(unit.kept())} for name, unit in units.items()]
    with database.writing() as session:
        if not session.run(_KEEP, which=number, last=step, now=text):
            return False
        session.run_all(_KEEP_UNIT, rows)
        return True
