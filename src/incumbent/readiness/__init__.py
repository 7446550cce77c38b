"""How ready for production is this project? The ML Test Score, computed from recorded facts.

In: the stored facts and the settings. Out: a card of 28 lines in four groups; its score is the smallest of the four
sums. What no fact can show, a person may attest with a reason: half a point for 180 days. Appends nothing itself.

    rubric    the 28 tests in our own words, and how each is earned
    reading   what the tests look at, read once
    found     what the facts show for each test
"""

from collections.abc import Sequence
from dataclasses import dataclass

from incumbent.config import Config
from incumbent.loop.delivered import Delivered, delivered
from incumbent.loop.fold import roles as fold
from incumbent.readiness.found import BY_HAND, FOUND
from incumbent.readiness.reading import known
from incumbent.readiness.rubric import BY_ID, GROUPS, TESTS, Test, band
from incumbent.records import DAY, Event, Json, Micros
from incumbent.storage.base import Totals
from incumbent.storage.opening import Facts

__all__ = ["BY_ID", "EXPIRES", "GROUPS", "Card", "Line", "card"]

EXPIRES: Micros = 180 * DAY
"""How long a person's word counts."""


@dataclass(frozen=True, slots=True)
class Line:
    """One test: its points (0, 0.5 or 1), what was found, and who attested it until when (None: nobody)."""

    test: Test
    points: float
    found: str
    attested_by: str | None = None
    attested_until: Micros | None = None


@dataclass(frozen=True, slots=True)
class Card:
    """The 28 lines, and what they come to: the sum of each group (0 to 7), the smallest of them, and what it means."""

    lines: tuple[Line, ...]

    @property
    def groups(self) -> dict[str, float]:
        return {group: sum(line.points for line in self.lines if line.test.group == group) for group in GROUPS}

    @property
    def score(self) -> float:
        return min(self.groups.values())

    @property
    def band(self) -> str:
        return band(self.score)

    def to_dict(self) -> dict[str, Json]:
        """The card as JSON values: what `doctor --json` and the page's twin hold."""
        lines: list[Json] = [
            {
                "id": line.test.id, "group": line.test.group, "says": line.test.says, "points": line.points,
                "found": line.found, "earn": line.test.earn, "attested_only": line.test.attested,
                "attested_by": line.attested_by, "attested_until": line.attested_until,
            }
            for line in self.lines
        ]  # fmt: skip
        groups: list[Json] = [
            {"group": group, "name": GROUPS[group], "points": points, "of": 7} for group, points in self.groups.items()
        ]
        return {"score": self.score, "band": self.band, "groups": groups, "lines": lines}


def card(
    config: Config,
    facts: Facts,
    now: Micros,
    events: Sequence[Event] | None = None,
    totals: Totals | None = None,
    told: Delivered | None = None,
) -> Card:
    """The card at `now`, which decides whose word still counts; ages are those at the last logged answer.

    `events`, `totals` and `told` (what is delivered) spare reading them again.
    """
    events = facts.ledger.events() if events is None else events
    totals = facts.log.totals() if totals is None else totals
    roles = fold(events)
    told = delivered(config, events, roles, facts.log, totals) if told is None else told
    seen = known(config, facts, events, roles, totals, told)
    words = {event.data["test"]: event for event in events if event.type == "Attested" and event.at + EXPIRES > now}
    lines = []
    for test in TESTS:
        points, said = FOUND[test.id](seen) if test.id in FOUND else (0.0, "no fact that is recorded shows it")
        word = words.get(test.id)
        if word is None:
            lines.append(Line(test, points, said))
            continue
        until = word.at + EXPIRES
        attested = f"{word.actor}: {word.reason}"
        lines.append(Line(test, max(points, BY_HAND), attested if points < BY_HAND else said, word.actor, until))
    return Card(tuple(lines))
