"""A decision of the ticker owes its second event; a person's owes none."""

from typing import Any

import pytest

from incumbent.config import Live, Retrain
from incumbent.project import owing
from incumbent.records import DAY, Event, Roles

ROLES = Roles(9, ("v1", "v2", "v3"), "v1")
REFRESH: dict[str, Any] = {"step": "gate", "numbers": {"mode": "enforce"}}
WON: dict[str, Any] = {"step": "live", "numbers": {"mode": "split"}}
CAME_BACK: dict[str, Any] = {"step": "live", "numbers": {"mode": "watch"}}
REQUESTED = ("RetrainRequested", {"cause": "cadence"})


def told(*found: tuple[str, dict[str, Any]], at: int = 0) -> list[Event]:
    return [Event(i, type, at, at, "test", "", data, {}, "", "") for i, (type, data) in enumerate(found, 1)]


def promoted(replaces: str | None = "v2", **more: Any) -> tuple[str, dict[str, Any]]:
    return "Promoted", {"version": "v3", "replaces": replaces, **more}


def watched(events: list[Event], now: int = DAY) -> str | None:
    return owing.watch(events, ROLES, Retrain(watch_days=28), now)


def test_a_refresh_and_a_trial_owe_a_watch_for_its_days() -> None:
    for events in (told(REQUESTED, promoted(evidence=REFRESH)), told(promoted(evidence=WON))):
        assert watched(events, 28 * DAY - 1) == "v2"
        assert watched(events, 28 * DAY) is None
        assert owing.watch(events, ROLES, Retrain(watch_days=0), 0) is None


@pytest.mark.parametrize(
    "events",
    [
        told(promoted()),
        told(promoted(evidence=REFRESH)),
        told(promoted(evidence=REFRESH), REQUESTED),
        told(promoted(evidence=CAME_BACK)),
        told(promoted("v1", evidence=WON)),
        told(promoted(None, evidence=WON)),
        told(promoted(evidence=WON), ("WatchStarted", {"version": "v2"})),
        told(promoted(evidence=WON), ("WatchStopped", {"version": "v2"})),
        told(promoted(evidence=WON), ("RolledBack", {"version": "v3"})),
        [],
    ],
)
def test_nothing_else_owes_a_watch(events: list[Event]) -> None:
    """By hand, by the gate alone, before a refit, out of a watch; the baseline, nobody; watched or taken back since."""
    assert watched(events) is None


def decided(mode: str = "shadow", verdict: str = "promote", reference: str = "v3") -> tuple[str, dict[str, Any]]:
    look = {"step": "live", "subject": "v4", "verdict": verdict, "sentence": "It is better.", "at": 5,
            "reference": reference, "numbers": {"mode": mode}}  # fmt: skip
    return "TrialDecided", {"trial": "t1", "challenger": "v4", "verdict": verdict, "evidence": look}


def test_a_shadow_that_won_owes_a_split() -> None:
    """Under live.mode = both."""
    won = owing.split(told(decided()), ROLES, Live(mode="both"))
    assert won is not None and (won.subject, won.sentence) == ("v4", "It is better.")
    assert owing.split(told(decided()), ROLES, Live(mode="shadow")) is None


@pytest.mark.parametrize(
    "events",
    [
        told(decided("split")),
        told(decided(verdict="stop")),
        told(decided(reference="v2")),
        told(decided(), ("TrialStarted", {})),
        told(("TrialDecided", {"trial": "t1", "challenger": "v4", "verdict": "promote"})),
        [],
    ],
)
def test_nothing_else_owes_a_split(events: list[Event]) -> None:
    """A split, no winner, another incumbent, a trial that followed, a verdict without evidence."""
    assert owing.split(events, ROLES, Live(mode="both")) is None
