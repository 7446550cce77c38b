"""What the rows of a trial come to: a row's part of its unit, a unit's part of its arm. Exact integers, no store.

In: rows with what is known of them, and a mark. Out: `TrialSums`. Everything is a sum, so what changes between two
marks is taken away as it was and added as it is: nothing of a row is kept but its part of the unit. The rules stand in
`storage.base`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from incumbent.records import Micros
from incumbent.storage.base import ArmSums, Mark, Moments, SumMeasure, SumPlan, TrialSums
from incumbent.storage.values import label

LABEL, LOSS = "label", "loss"
ONE = 10**9
LARGEST = 9_200_000_000
"""Outcomes beyond this count as this: 64 bits hold no more than 9.22e9 in units of 1e-9."""
FIRST, NEVER = -(2**63), 2**63 - 1

ROWS, FAILED, SLOW, MATURED, LABELLED, LATE, MEASURES = range(7)
"""Places in a cell: the sums of a unit's rows in one arm. Then x and y of each measure."""
_HEAD, _MOMENTS = 10, 11
"""A total has the counts of `ArmSums` in their order, then the `Moments` of each measure in theirs."""

Cell = list[int]


class Said(NamedTuple):
    """One outcome of a row, in the order of arrival: its JSON text, and for a label the loss of what was served."""

    arrival: int
    name: str
    known_at: Micros
    value: str
    loss: int | None = None


@dataclass(slots=True)
class Row:
    """A row of the phase (`arm` says which), or one from before the trial that tells of its unit (None)."""

    arrival: int
    at: Micros
    unit: str
    arm: str | None
    failed: int
    slow: int
    said: list[Said] = field(default_factory=list)


@dataclass(slots=True)
class Unit:
    """What is kept of a unit: its first `at` in the phase, a bound of its last that counts, the number and the sum of
    its losses before the trial, and a cell for each arm."""

    first: Micros = NEVER
    last: Micros = FIRST
    known: int = 0
    loss: int = 0
    cells: dict[str, Cell] = field(default_factory=dict)

    def kept(self) -> list[Any]:
        """As JSON can hold it."""
        return [self.first, self.last, self.known, self.loss, self.cells]


@dataclass(slots=True)
class Totals:
    """The sums over units; a total for each arm."""

    arms: dict[str, list[int]] = field(default_factory=dict)
    both_arms: int = 0
    once: int = 0
    twice: int = 0

    def kept(self) -> list[Any]:
        """As JSON can hold it."""
        return [self.arms, self.both_arms, self.once, self.twice]


class Fold:
    """The arithmetic of one plan."""

    def __init__(self, plan: SumPlan) -> None:
        self.plan = plan
        measured = [of for measure in plan.measures for of in (measure.outcome, measure.over) if of]
        self.of_loss = LOSS in measured
        self.before_us = max(plan.before, 0) if self.of_loss else 0
        self.names = sorted({LABEL, *measured} - {LOSS})
        self._cap = next((each.cap for each in plan.measures if each.outcome == LOSS), None)
        self._nothing = [0] * (2 * len(plan.measures))
        self._one_each = [each.of in ("sum", "count") for each in plan.measures]

    # --- a row

    def matured(self, at: Micros, mark: Mark) -> bool:
        """Has the window of a row with this `at` closed?"""
        return at + self.plan.window <= mark.now

    def part(self, row: Row, mark: Mark) -> Cell:
        """What a row of the phase adds to its unit's cell at a mark."""
        cell = [1, row.failed, row.slow, 0, 0, 0, *self._nothing]
        closes = row.at + self.plan.window
        if closes > mark.now:
            return cell
        cell[MATURED] = 1
        counts: dict[str, Said] = {}
        for said in row.said:
            if said.arrival > mark.outcomes:
                break
            if said.known_at < closes:
                counts[said.name] = said
            elif said.name == LABEL:
                cell[LATE] += 1
        labelled = counts.get(LABEL)
        cell[LABELLED] = int(labelled is not None and not (self.of_loss and labelled.loss is None))
        for place, measure in enumerate(self.plan.measures):
            x, y = _measured(measure, counts)
            cell[MEASURES + 2 * place] = x
            cell[MEASURES + 2 * place + 1] = y
        return cell

    def before(self, row: Row, mark: Mark) -> tuple[int, int]:
        """(1, its loss) of a row from before the trial, or (0, 0)."""
        counts = None
        for said in row.said:
            if said.arrival <= mark.outcomes and said.name == LABEL and said.known_at < self.plan.started_at:
                counts = said
        return (0, 0) if counts is None or counts.loss is None else (1, _capped(counts.loss, self._cap))

    # --- a unit

    def end(self, unit: Unit) -> Micros:
        """When a unit's rows cease to count."""
        return unit.first + self.plan.unit_window

    def add(self, unit: Unit, arm: str, part: Cell, sign: int = 1) -> None:
        """Add a part to a unit's cell, or take it away; an empty cell goes."""
        cell = unit.cells.get(arm)
        if cell is None:
            cell = unit.cells[arm] = [0] * (MEASURES + len(self._nothing))
        for place, number in enumerate(part):
            if number:
                cell[place] += sign * number
        if not cell[ROWS]:
            del unit.cells[arm]

    def count(self, totals: Totals, unit: Unit, sign: int) -> None:
        """Add a unit to the totals, or take it away."""
        cells = unit.cells
        if not cells:
            return
        totals.both_arms += sign * (len(cells) > 1)
        rows = sum(cell[ROWS] for cell in cells.values())
        totals.once += sign * (rows == 1)
        totals.twice += sign * (rows == 2)
        z, known = (unit.loss // unit.known, 1) if unit.known else (0, 0)
        for arm, cell in cells.items():
            total = totals.arms.get(arm)
            if total is None:
                total = totals.arms[arm] = [0] * (_HEAD + _MOMENTS * len(self.plan.measures))
            self._count(total, cell, z, known, sign)

    def _count(self, total: list[int], cell: Cell, z: int, known: int, sign: int) -> None:
        rows, failed, slow, matured, labelled, late = cell[:MEASURES]
        head = (1, rows, failed, failed > 0, slow, slow > 0, matured, labelled, labelled > 0, late)
        for place, number in enumerate(head):
            if number:
                total[place] += sign * number
        if not matured:
            return
        for n, one_each in enumerate(self._one_each):
            x, y = 1 if one_each else cell[MEASURES + 2 * n], cell[MEASURES + 2 * n + 1]
            if x:
                _add_moments(total, _HEAD + _MOMENTS * n, x, y, sign)
                if known:
                    _add_covariate(total, _HEAD + _MOMENTS * n, x, y, z, sign)

    # --- all of them

    def sums(self, totals: Totals, mark: Mark) -> TrialSums:
        """What a look needs. Both arms of a trial are there, a third one where it has units."""
        arms: dict[Any, ArmSums] = {}
        for arm in ("incumbent", "challenger", "called"):
            total = totals.arms.get(arm) or [0] * (_HEAD + _MOMENTS * len(self.plan.measures))
            if total[0] or arm != "called":
                moments = {
                    measure.name: Moments(*total[at : at + _MOMENTS])
                    for measure, at in zip(self.plan.measures, range(_HEAD, len(total), _MOMENTS), strict=True)
                }
                counts: list[Any] = total[:_HEAD]
                arms[arm] = replace(ArmSums(*counts), moments=moments)
        return TrialSums(mark, arms, totals.both_arms, totals.once, totals.twice)


def _add_moments(total: list[int], at: int, x: int, y: int, sign: int) -> None:
    total[at] += sign
    total[at + 1] += sign * x
    total[at + 3] += sign * x * x
    if y:
        y_signed = sign * y
        total[at + 2] += y_signed
        total[at + 4] += y_signed * y
        total[at + 5] += y_signed * x


def _add_covariate(total: list[int], at: int, x: int, y: int, z: int, sign: int) -> None:
    z_signed = sign * z
    total[at + 6] += z_signed
    total[at + 7] += z_signed * z
    total[at + 8] += z_signed * x
    total[at + 9] += z_signed * y
    total[at + 10] += sign


def amount(text: str) -> int | None:
    """An outcome in units of 1e-9; None for text.

    >>> amount("0.5"), amount("true"), amount("-1e300"), amount('"late"')
    (500000000, 1000000000, -9200000000000000000, None)
    """
    value = label(text)
    if isinstance(value, str):
        return None
    clipped = max(-LARGEST, min(LARGEST, value))
    return clipped * ONE if isinstance(clipped, int) else round(clipped * 1e9)


def _measured(measure: SumMeasure, counts: Mapping[str, Said]) -> tuple[int, int]:
    """(x, y) of a row that has matured; the x of a sum or a count is its unit's."""
    found = _number(measure.outcome, counts)
    if measure.of == "count":
        return 0, ONE if found else 0
    y = 0 if found is None else _capped(found, measure.cap)
    if measure.of == "ratio":
        return _number(measure.over, counts) or 0, y
    return int(measure.of == "mean" and found is not None), y


def _number(name: str, counts: Mapping[str, Said]) -> int | None:
    said = counts.get(LABEL if name == LOSS else name)
    if said is None:
        return None
    return said.loss if name == LOSS else amount(said.value)


def _capped(number: int, cap: int | None) -> int:
    return number if cap is None else max(-cap, min(cap, number))


def unit_of(kept: Sequence[Any]) -> Unit:
    """The inverse of `Unit.kept`."""
    return Unit(*kept)


def totals_of(kept: Sequence[Any]) -> Totals:
    """The inverse of `Totals.kept`."""
    return Totals(*kept)
