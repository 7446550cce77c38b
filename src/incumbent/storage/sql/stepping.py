"""One step of a trial's sums: which rows to read, and what they change. Reads only.

In: a session, a state and the mark it has to get to. Out: the state after one step, and the units that it changed. Each
state between two steps is the true sum at a mark of its own, so nothing is ever half done. The first time the rows of
the phase are read in their order of time instead, up to a cursor. The arithmetic stands in `storage.summing`.

What changes a sum: rows that arrived, outcomes that arrived for rows that had matured, rows whose window has closed.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, ColumnElement, Select, bindparam, func, or_, select

from incumbent.records import Micros
from incumbent.storage.base import Mark, SumPlan
from incumbent.storage.sql import tables
from incumbent.storage.sql.session import Row as Columns
from incumbent.storage.sql.session import Session, among
from incumbent.storage.sql.tables import NEVER
from incumbent.storage.summing import FIRST, Fold, Row, Said, Totals, Unit, totals_of
from incumbent.storage.values import json_text, json_value

p, o, l = tables.prediction.alias("p"), tables.outcome.alias("o"), tables.loss.alias("l")  # noqa: E741 (as in SQL)


def _number(name: str) -> ColumnElement[int]:
    return bindparam(name, type_=BigInteger)


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


def state_of(text: str) -> State:
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
        self.of: dict[str, Any] = {"trial": plan.trial, "phase": plan.phase}
        self.before = {"since": plan.started_at - self.fold.before_us, "until": plan.started_at}

    def begin(self, mark: Mark) -> State:
        """Nothing was read yet."""
        if self.fold.before_us:
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
        rows = [row for row in rows if row.arm is None or self.fold.matured(row.at, state.mark)]
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
        if fold.of_loss:
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
