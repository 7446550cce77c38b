"""The sums of a trial in plain Python: rows, or sums by unit, in; `TrialSums` out. Slow, and easy to read."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from incumbent.records import Arm, Micros
from incumbent.storage.base import ArmSums, Mark, Moments, SumMeasure, SumPlan, TrialSums, UnitSum

ONE = 1_000_000_000


@dataclass(frozen=True)
class Row:
    """One answer of a trial. `outcomes` by name, `loss` of what was served; None: no label came. `matured`: its window
    is closed."""

    unit: str
    arm: Arm
    loss: float | None = None
    outcomes: Mapping[str, float] = field(default_factory=dict)
    failed: bool = False
    slow: bool = False
    matured: bool = True


def of_rows(
    rows: Sequence[Row], plan: SumPlan, now: Micros = 0, before: Mapping[str, float] | None = None
) -> TrialSums:
    """`before`: a unit's mean loss before the trial, where it has one."""
    arms: dict[Arm, ArmSums] = {arm: _arm([r for r in rows if r.arm == arm], plan, before or {}) for arm in _arms(rows)}
    units: dict[str, list[Arm]] = {}
    for row in rows:
        units.setdefault(row.unit, []).append(row.arm)
    times = [len(seen) for seen in units.values()]
    both = sum(len(set(seen)) > 1 for seen in units.values())
    return TrialSums(Mark(now, len(rows), len(rows)), arms, both, times.count(1), times.count(2))


def of_units(units: Iterable[UnitSum], now: Micros = 0) -> TrialSums:
    """From sums by unit: each unit's rows have matured."""
    listed = list(units)
    arms: dict[Arm, ArmSums] = {}
    for arm in dict.fromkeys(one.arm for one in listed):
        own = [one for one in listed if one.arm == arm]
        labelled = [one for one in own if one.labelled]
        arms[arm] = ArmSums(
            units=len(own), rows=sum(one.rows for one in own), failed=sum(one.failed for one in own),
            units_failed=sum(one.failed > 0 for one in own), matured=sum(one.rows for one in own),
            labelled=sum(one.labelled for one in own), labelled_units=len(labelled),
            moments={
                "loss": moments([(one.labelled, one.loss) for one in labelled]),
                "matured": moments([(1, one.labelled * ONE) for one in own if one.rows]),
            },
        )  # fmt: skip
    seen: dict[str, int] = {}
    for one in listed:
        seen[one.unit] = seen.get(one.unit, 0) + 1
    rows = [one.rows for one in listed]
    return TrialSums(Mark(now), arms, sum(n > 1 for n in seen.values()), rows.count(1), rows.count(2))


def moments(pairs: Sequence[tuple[int, int]], before: Sequence[int | None] | None = None) -> Moments:
    """Of (size, total) by unit, and what is known of each from before."""
    known = [None] * len(pairs) if before is None else list(before)
    n = x = y = xx = yy = xy = z = zz = xz = yz = 0
    for (size, total), covariate in zip(pairs, known, strict=True):
        c = covariate or 0
        n, x, y, xx, yy, xy = n + 1, x + size, y + total, xx + size**2, yy + total**2, xy + size * total
        z, zz, xz, yz = z + c, zz + c**2, xz + size * c, yz + total * c
    return Moments(n, x, y, xx, yy, xy, z, zz, xz, yz, sum(one is not None for one in known))


def _arms(rows: Sequence[Row]) -> list[Arm]:
    return list(dict.fromkeys(row.arm for row in rows))


def _arm(rows: Sequence[Row], plan: SumPlan, before: Mapping[str, float]) -> ArmSums:
    by_unit: dict[str, list[Row]] = {}
    for row in rows:
        by_unit.setdefault(row.unit, []).append(row)
    labelled = [row for row in rows if row.matured and row.loss is not None]
    return ArmSums(
        units=len(by_unit), rows=len(rows), failed=sum(r.failed for r in rows),
        units_failed=len({r.unit for r in rows if r.failed}), slow=sum(r.slow for r in rows),
        units_slow=len({r.unit for r in rows if r.slow}), matured=sum(r.matured for r in rows),
        labelled=len(labelled), labelled_units=len({r.unit for r in labelled}),
        moments={one.name: _moments(one, by_unit, before) for one in plan.measures},
    )  # fmt: skip


def _moments(measure: SumMeasure, by_unit: Mapping[str, list[Row]], before: Mapping[str, float]) -> Moments:
    pairs, known = [], []
    for unit, rows in by_unit.items():
        closed = [row for row in rows if row.matured]
        size, total = _unit(measure, closed)
        if size:
            pairs.append((size, total))
            known.append(round(before[unit] * ONE) if unit in before else None)
    return moments(pairs, known)


def _unit(measure: SumMeasure, rows: Sequence[Row]) -> tuple[int, int]:
    """Size and total of one unit, as `config.Measure` says."""
    values = [value for row in rows if (value := _value(row, measure.outcome)) is not None]
    if measure.of == "count":
        return int(bool(rows)), sum(value != 0 for value in values) * ONE
    capped = [value if measure.cap is None else max(-measure.cap, min(measure.cap, value)) for value in values]
    if measure.of == "ratio":
        return sum(_value(row, measure.over) or 0 for row in rows), sum(capped)
    return len(values) if measure.of == "mean" else int(bool(rows)), sum(capped)


def _value(row: Row, outcome: str) -> int | None:
    value = row.loss if outcome == "loss" else row.outcomes.get(outcome)
    return None if value is None else round(value * ONE)
