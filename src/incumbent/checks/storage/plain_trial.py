"""The sums of a trial the long way: every rule of `storage.base` in a loop over lists, at any mark.

In: what arrived, in its order, and a mark that counts it. Out: what every body must say of it. Nothing is carried from
one mark to the next.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from incumbent.records import Arm, Label, Micros, Outcome, Prediction
from incumbent.storage.base import ArmSums, BlockSum, Log, Mark, Moments, SumMeasure, SumPlan, TrialSums

ONE = 10**9


@dataclass
class Arrived:
    """What arrived in a log after `before`; the loss of what was served for the n-th outcome, where it was put."""

    before: Mark = field(default_factory=lambda: Mark(0))
    predictions: list[Prediction] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    losses: dict[int, int] = field(default_factory=dict)

    def append(self, log: Log, rows: Sequence[Prediction]) -> None:
        """Rows come."""
        log.append(rows)
        self.predictions += rows

    def learn(self, log: Log, outcomes: Iterable[Outcome]) -> None:
        """Outcomes come; what says again what counts already does not."""
        for each in outcomes:
            log.append_outcomes([each])
            last = [one for one in self.outcomes if (one.id, one.name) == (each.id, each.name)][-1:]
            if not last or last[0].value != each.value:
                self.outcomes.append(each)

    def settle(self, log: Log) -> None:
        """Every latest label gets its loss."""
        while due := log.unscored():
            log.put_losses([(each.id, each.version, loss_of(each.version, each.label)) for each in due])
        for row in self.predictions:
            labels = [n for n, each in enumerate(self.outcomes) if (each.id, each.name) == (row.id, "label")]
            if labels:
                self.losses.setdefault(labels[-1], loss_of(row.served_by, self.outcomes[labels[-1]].value))

    # --- at a mark

    def sums(self, plan: SumPlan, mark: Mark) -> TrialSums:
        """What `trial_sums_at` gives."""
        there = self.predictions[: mark.predictions - self.before.predictions]
        ours = [p for p in there if (p.trial, p.phase) == (plan.trial, plan.phase) and p.arm is not None]
        units: dict[str, list[Prediction]] = defaultdict(list)
        for p in ours:
            units[p.id if p.unit is None else p.unit].append(p)
        for unit, rows in units.items():
            end = min(p.at for p in rows) + plan.unit_window
            units[unit] = [p for p in rows if p.at < end]
        arms: dict[Arm, ArmSums] = {}
        for arm in ("incumbent", "challenger", "called"):
            cells = {unit: [p for p in rows if p.arm == arm] for unit, rows in units.items()}
            cells = {unit: rows for unit, rows in cells.items() if rows}
            if cells or arm != "called":
                arms[arm] = self.arm(plan, mark, cells, there)
        sizes = [len(rows) for rows in units.values()]
        both = sum(len({p.arm for p in rows}) > 1 for rows in units.values())
        return TrialSums(mark, arms, both, sizes.count(1), sizes.count(2))

    def arm(
        self, plan: SumPlan, mark: Mark, cells: dict[str, list[Prediction]], there: Sequence[Prediction]
    ) -> ArmSums:
        """One arm's."""
        rows = [p for some in cells.values() for p in some]
        matured = [p for p in rows if p.at + plan.window <= mark.now]
        labelled = [p for p in matured if self.labelled(plan, p, mark)]
        failed = [p for p in rows if p.fallback_reason is not None]
        slow = [p for p in rows if plan.budget_us is not None and p.latency_us > plan.budget_us]
        late = [
            each
            for p in matured
            for each in self.outcomes[: mark.outcomes - self.before.outcomes]
            if (each.id, each.name) == (p.id, "label") and each.known_at >= p.at + plan.window
        ]
        hit = [sum(any(p in some for p in rows) for rows in cells.values()) for some in (failed, slow, labelled)]
        moments = {}
        for measure in plan.measures:
            found = []
            for unit, some in cells.items():
                x, y = self.size_and_total(plan, measure, [p for p in some if p in matured], mark)
                found.append((x, y, *self.covariate(plan, unit, there, mark)))
            moments[measure.name] = moments_of(found)
        return ArmSums(len(cells), len(rows), len(failed), hit[0], len(slow), hit[1], len(matured), len(labelled),
                       hit[2], len(late), moments)  # fmt: skip

    def counts(self, id: str, name: str, known_before: Micros, mark: Mark) -> int | None:
        """Which outcome counts: the one that arrived last of those known before."""
        found = [
            n
            for n, each in enumerate(self.outcomes[: mark.outcomes - self.before.outcomes])
            if (each.id, each.name) == (id, name) and each.known_at < known_before
        ]
        return found[-1] if found else None

    def labelled(self, plan: SumPlan, p: Prediction, mark: Mark) -> bool:
        """Does it have a loss? (A label, where the plan has no measure of the loss.)"""
        n = self.counts(p.id, "label", p.at + plan.window, mark)
        of_loss = any("loss" in (measure.outcome, measure.over) for measure in plan.measures)
        return n is not None and (n in self.losses or not of_loss)

    def number(self, plan: SumPlan, p: Prediction, name: str, mark: Mark) -> int | None:
        """An outcome or a loss, in units of 1e-9."""
        n = self.counts(p.id, "label" if name == "loss" else name, p.at + plan.window, mark)
        if n is None:
            return None
        return self.losses.get(n) if name == "loss" else units_of(self.outcomes[n].value)

    def size_and_total(
        self, plan: SumPlan, measure: SumMeasure, rows: Sequence[Prediction], mark: Mark
    ) -> tuple[int, int]:
        """(x, y) of a unit in an arm."""
        found = [self.number(plan, p, measure.outcome, mark) for p in rows]
        there = [each for each in found if each is not None]
        one = 1 if rows else 0
        if measure.of == "count":
            return one, ONE * sum(each != 0 for each in there)
        total = sum(each if measure.cap is None else sorted((-measure.cap, each, measure.cap))[1] for each in there)
        if measure.of == "ratio":
            return sum(self.number(plan, p, measure.over, mark) or 0 for p in rows), total
        return one if measure.of == "sum" else len(there), total

    def covariate(self, plan: SumPlan, unit: str, there: Sequence[Prediction], mark: Mark) -> tuple[int, int]:
        """(z, is it known?)"""
        losses = []
        for p in there:
            outside = (p.trial, p.phase) != (plan.trial, plan.phase)
            if p.unit == unit and outside and plan.started_at - plan.before <= p.at < plan.started_at:
                n = self.counts(p.id, "label", plan.started_at, mark)
                if n in self.losses:
                    losses.append(self.losses[n])
        cap = next((each.cap for each in plan.measures if each.outcome == "loss"), None)
        capped = [each if cap is None else sorted((-cap, each, cap))[1] for each in losses]
        of_loss = any("loss" in (measure.outcome, measure.over) for measure in plan.measures)
        return (sum(capped) // len(capped), 1) if capped and of_loss else (0, 0)

    # --- pairs

    def pairs(self, reference: str, candidate: str, block: Micros, since: Micros, until: Micros, mark: Mark,
              shadowed: dict[str, tuple[str, int]], budget_us: int | None) -> list[BlockSum]:  # fmt: skip
        """What `pair_sums` gives, of rows whose shadow (version, latency) is in `shadowed` and was scored."""
        blocks: dict[int, list[int]] = defaultdict(lambda: [0] * 5)
        for p in self.predictions[: mark.predictions - self.before.predictions]:
            n = self.counts(p.id, "label", mark.now, mark)
            version, latency = shadowed.get(p.id, ("", 0))
            if since <= p.at < until and n in self.losses and {p.served_by, version} == {reference, candidate}:
                first, second = (loss_of(each, self.outcomes[n].value) for each in (reference, candidate))
                slow = version == candidate and budget_us is not None and latency > budget_us
                for place, number in enumerate((1, first, second, first != second, slow)):
                    blocks[p.at // block][place] += number
        return [BlockSum(number, *sums) for number, sums in sorted(blocks.items())]


def loss_of(version: str, label: Label) -> int:
    """A loss of its own for each version; none of 0.5 or less differs for those of the label 0."""
    return 10**8 * (1 + int(version[1:])) * int(label) + 12_345 - 10**10 * (label == 2)


def units_of(value: Label) -> int | None:
    """A number in units of 1e-9."""
    if isinstance(value, str):
        return None
    return round(sorted((-9.2e9, float(value), 9.2e9))[1] * 1e9)


def moments_of(units: Sequence[tuple[int, int, int, int]]) -> Moments:
    """Of (x, y, z, is z known?) of each unit."""
    some = [each for each in units if each[0]]
    found = dict.fromkeys(("x", "y", "xx", "yy", "xy", "z", "zz", "xz", "yz", "known"), 0)
    for x, y, z, known in some:
        values = {"x": x, "y": y, "z": z, "known": known}
        for name in found:
            found[name] += values[name] if name in values else values[name[0]] * values[name[1]]
    return Moments(len(some), **found)
