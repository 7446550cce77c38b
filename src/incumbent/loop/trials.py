"""Which trials were there, and how did each go? A fold over the ledger.

In: events in order. Out: one `Past` a trial, the oldest first, with its phases, their enrolment and its end. Who holds
which place is another fold (`loop.fold`). Judges nothing.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from incumbent.records import Event, Json, Micros

TYPES = ("TrialStarted", "EnrolmentRaised", "PhaseStarted", "TrialDecided", "Promoted", "RolledBack")


@dataclass(frozen=True, slots=True)
class Step:
    """From `at` on `enrolled` (0-1) of the units took part, in this phase; who said so, and why."""

    at: Micros
    phase: int
    enrolled: float
    actor: str
    reason: str


@dataclass(frozen=True, slots=True)
class Past:
    """A trial as it was started (`trial`: the fields of `records.Trial`, with phase and enrolment as they are now),
    and how it went. `verdict` is None while it runs; "stopped" where a person ended it."""

    trial: dict[str, Json]
    reason: str
    actor: str
    steps: tuple[Step, ...] = ()
    verdict: str | None = None
    ended_at: Micros | None = None
    ended: str = field(default="")

    @property
    def name(self) -> str:
        return str(self.trial["name"])

    @property
    def runs(self) -> bool:
        return self.verdict is None


def trials(events: Iterable[Event]) -> dict[str, Past]:
    """Every trial by its name, the oldest first. Events of other types are passed over."""
    found: dict[str, Past] = {}
    for event in events:
        data: Any = event.data
        if event.type == "TrialStarted":
            found[data["trial"]["name"]] = _started(event)
        elif event.type in TYPES and data.get("trial") in found:
            found[data["trial"]] = _moved(found[data["trial"]], event)
    return found


def _started(event: Event) -> Past:
    trial = dict(event.data["trial"])
    first = Step(event.at, trial.get("phase", 1), trial.get("enrolled", 1.0), event.actor, event.reason)
    return Past(trial, event.reason, event.actor, (first,))


def _moved(past: Past, event: Event) -> Past:
    data: Any = event.data
    if event.type not in ("EnrolmentRaised", "PhaseStarted"):
        verdict = {"TrialDecided": data.get("verdict"), "Promoted": "promote", "RolledBack": "roll_back"}[event.type]
        won = event.type != "Promoted" or data["version"] == past.trial["challenger"]
        return replace(past, verdict=verdict if won else "stop", ended_at=event.at, ended=event.reason)
    changed = {key: data[key] for key in ("enrolled", "phase") if key in data}
    if event.type == "PhaseStarted":
        changed["phase_started_at"] = event.at
    trial = {**past.trial, **changed}
    step = Step(event.at, trial.get("phase", 1), trial["enrolled"], event.actor, event.reason)
    return replace(past, trial=trial, steps=(*past.steps, step))
