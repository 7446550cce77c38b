"""The sums of a Log the long way: from lists, by the words of `storage.base`, with no index and no SQL.

In: a story (records in the order in which they arrived). Out: what every body must say of it. Slow and obvious on
purpose. The loss that a story gives an output is `loss_of`, which depends on version and label.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random

from incumbent.checks.storage.opened import HOUR, T0, learnt, predicted, shadowed
from incumbent.records import SECOND, Arm, Label, Micros, Outcome, Prediction, Shadow
from incumbent.storage.base import BlockSum, Log, LoggedRow, PeriodSum, UnitSum

FOREVER: Micros = 2**62


@dataclass
class Story:
    """What arrived, and the losses that were put."""

    predictions: list[Prediction] = field(default_factory=list)
    shadows: list[Shadow] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    losses: dict[tuple[str, str, Outcome], int] = field(default_factory=dict)

    def label(self, id: str, bound: Micros) -> Outcome | None:
        """The label that counts at a bound: the one that arrived last, of those known before it."""
        known = [each for each in self.outcomes if each.id == id and each.name == "label" and each.known_at < bound]
        return known[-1] if known else None

    def unscored(self) -> dict[tuple[str, str, Outcome], int]:
        """The losses that are due: each output and the label that arrived last, where there is no loss for the two."""
        due: dict[tuple[str, str, Outcome], int] = {}
        for p in self.predictions:
            label = self.label(p.id, FOREVER)
            versions = {p.served_by} | {s.version for s in self.shadows if s.id == p.id and s.output}
            due |= {(p.id, v, label): loss_of(v, label.value) for v in versions if label is not None}
        return {key: loss for key, loss in due.items() if key not in self.losses}

    def loss(self, prediction: Prediction, version: str, bound: Micros) -> int | None:
        """The loss that was put for a version and the label that counts at a bound."""
        label = self.label(prediction.id, bound)
        return None if label is None else self.losses.get((prediction.id, version, label))

    def between(self, since: Micros, until: Micros) -> list[Prediction]:
        """Predictions in the order of (at, arrival); sorting keeps the arrival."""
        return sorted((p for p in self.predictions if since <= p.at < until), key=lambda p: p.at)

    def rows(self, since: Micros, until: Micros, known_before: Micros) -> Iterator[LoggedRow]:
        """What `scan` gives."""
        for prediction in self.between(since, until):
            label = self.label(prediction.id, known_before)
            yield LoggedRow(prediction, label.value if label else None, label.known_at if label else None)

    def unit_sums(self, trial: str, phase: int, matured: Micros, known: Micros, window: Micros) -> list[UnitSum]:
        """What `unit_sums` gives, sorted by unit and arm."""
        cells: dict[tuple[str, Arm], list[int]] = defaultdict(lambda: [0, 0, 0, 0])
        for p in self.predictions:
            if (p.trial, p.phase) != (trial, phase) or p.arm is None:
                continue
            cell = cells[p.id if p.unit is None else p.unit, p.arm]
            cell[2] += p.fallback_reason is not None
            if p.at + window <= matured:
                loss = self.loss(p, p.served_by, min(known, p.at + window))
                cell[0] += 1
                cell[1] += loss is not None
                cell[3] += loss or 0
        return [UnitSum(unit, arm, *sums) for (unit, arm), sums in sorted(cells.items())]

    def block_sums(
        self, reference: str, candidate: str, block: Micros, since: Micros, until: Micros, known: Micros, offset: Micros
    ) -> list[BlockSum]:
        """What `block_sums` gives."""
        cells: dict[int, list[int]] = defaultdict(lambda: [0, 0, 0])
        for p in self.between(since, until):
            first, second = self.loss(p, reference, known), self.loss(p, candidate, known)
            if first is not None and second is not None:
                cell = cells[(p.at + offset) // block]
                cell[0] += 1
                cell[1] += first
                cell[2] += second
        return [BlockSum(number, *sums) for number, sums in sorted(cells.items())]

    def period_sums(
        self, period: Micros, since: Micros, until: Micros, known: Micros, offset: Micros
    ) -> list[PeriodSum]:
        """What `period_sums` gives."""
        cells: dict[int, list[int]] = defaultdict(lambda: [0, 0, 0])
        for p in self.between(since, until):
            cell = cells[(p.at + offset) // period]
            loss = self.loss(p, p.served_by, known)
            cell[0] += 1
            cell[1] += loss is not None
            cell[2] += loss or 0
        return [PeriodSum(number, *sums) for number, sums in sorted(cells.items())]


def loss_of(version: str, label: Label) -> int:
    """A loss that no other version and no other label has; large, so that sums of a few leave 64 bits."""
    return 2**60 * int(version[1:]) + 7 * int(label) + 3


def told(seed: int, log: Log, steps: int = 120) -> Story:
    """Tell a log a random story: rows in batches, shadows, early, late, repeated and corrected outcomes, and losses
    that are computed now and then, and at the end."""
    random, story = Random(seed), Story()
    ids = [f"row {i}" for i in range(steps)]
    unsaid = list(ids)
    for _ in range(steps):
        match random.randrange(4):
            case 0 if unsaid:
                batch = [_predicted(random, unsaid.pop()) for _ in range(min(len(unsaid), random.randint(1, 4)))]
                log.append(batch)
                story.predictions += batch
            case 1 if story.predictions:
                row = random.choice(story.predictions)
                said = shadowed(row.id, random.choice(["v1", "v2", "v3"]), random.choice([(0.5, 0.5), None]))
                log.append_shadows([said])
                if said.version not in {row.served_by} | {s.version for s in story.shadows if s.id == row.id}:
                    story.shadows.append(said)
            case 2:
                batch_of = [_learnt(random, random.choice(ids)) for _ in range(random.randint(1, 6))]
                log.append_outcomes(batch_of)
                for each in batch_of:
                    last = [o for o in story.outcomes if (o.id, o.name) == (each.id, each.name)][-1:]
                    if not last or last[0].value != each.value:
                        story.outcomes.append(each)
            case 3:
                settle(log, story)
    settle(log, story)
    return story


def settle(log: Log, story: Story) -> None:
    """Put the losses that are due, a few at a time; the log must list exactly those."""
    due = story.unscored()
    listed = {(each.id, each.version, each.label) for each in log.unscored()}
    assert listed == {(id, version, label.value) for id, version, label in due}
    while some := log.unscored(7):
        log.put_losses([(each.id, each.version, loss_of(each.version, each.label)) for each in some])
    story.losses |= due


def _predicted(random: Random, id: str) -> Prediction:
    served_by = random.choice(["v1", "v2"])
    return predicted(
        id,
        at=T0 + random.randrange(20) * HOUR // 4,
        unit=random.choice(["ann", "bob", None]),
        trial=random.choice(["t", "other", None]),
        phase=random.choice([1, 2]),
        arm=random.choice(["incumbent", "challenger"]),
        version="v2",
        served_by=served_by,
        fallback_reason=None if served_by == "v2" else "timeout",
    )


def _learnt(random: Random, id: str) -> Outcome:
    """Of few rows, so that many are corrected; never twice known at the same time with the same value."""
    known_at = T0 + random.randrange(-2, 24) * HOUR // 4 + random.randrange(1000) * SECOND // 1000
    return learnt(id, random.randrange(2), known_at)
