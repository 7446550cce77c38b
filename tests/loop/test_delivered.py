"""What was expected beside what is delivered: read from events and the log, nothing guessed."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from incumbent.config import Config, parse
from incumbent.loop import promote
from incumbent.loop.delivered import Delivered, delivered, gated
from incumbent.loop.fold import roles as fold
from incumbent.records import DAY, Column, Evidence, Outcome, Prediction, Signature, Version
from incumbent.stats.metrics import UNITS_PER_ONE
from incumbent.storage.opening import Facts, open_facts

TEXT = '[task]\nname = "t"\nkind = "binary"\ntarget = "y"\nmetric = "accuracy"\n'
SIGNATURE = Signature((Column("x", "number"),), "binary", (0, 1))


@pytest.fixture
def facts(tmp_path: Path) -> Iterator[Facts]:
    found = open_facts(parse(TEXT, tmp_path))
    yield found
    found.close()


def read(facts: Facts, config: Config) -> Delivered:
    events = facts.ledger.events()
    return delivered(config, events, fold(events), facts.log)


def register(facts: Facts, name: str, at: int, recipe: str = "train@1") -> Version:
    version = Version(name, "sklearn", name * 8, SIGNATURE, recipe=recipe)
    promote.register(facts.ledger, fold(facts.ledger.events()), version, at=at, actor="a")
    return version


def gate(facts: Facts, subject: str, at: int, loss: float) -> None:
    evidence = Evidence("gate", subject, "ship", f"ship: {subject}", at, "v1", {"loss_candidate": loss})
    promote.record(facts.ledger, evidence, actor="a")


def put_in_office(facts: Facts, name: str, at: int) -> None:
    promote.promote(facts.ledger, fold(facts.ledger.events()), name, at=at, actor="a", reason="test")


def answer(facts: Facts, name: str, at: int, loss: float) -> None:
    id = f"{name}-{at}"
    facts.log.append([Prediction(id, at, {"x": 1.0}, name, name, (0.5, 0.5))])
    facts.log.append_outcomes([Outcome(id, 1, at)])
    facts.log.unscored()
    facts.log.put_losses([(id, name, round(loss * UNITS_PER_ONE))])


def test_an_empty_store_has_a_goal_at_most(facts: Facts, tmp_path: Path) -> None:
    found = read(facts, parse(TEXT + "[plan]\ngoal = 0.9\n", tmp_path))
    assert (found.goal, found.incumbent, found.live, found.held_out, found.expected_at) == (0.9, None, None, None, None)
    assert found.reaches(found.live) is None


def test_values_are_the_metrics_own(facts: Facts, tmp_path: Path) -> None:
    """An accuracy of held-out and live rows is one minus the mean loss, and higher reaches the goal."""
    gate(facts, "train (held out)", 1, 0.2)
    register(facts, "v2", 2)
    put_in_office(facts, "v2", 3)
    answer(facts, "v2", 10, 0.0)
    answer(facts, "v2", 11, 1.0)
    found = read(facts, parse(TEXT + "[plan]\ngoal = 0.75\n", tmp_path))
    assert (found.held_out, found.live, found.live_rows) == (0.8, 0.5, 2)
    assert (found.reaches(found.held_out), found.reaches(found.live)) == (True, False)


def test_live_is_the_incumbents_own_and_recent(facts: Facts, tmp_path: Path) -> None:
    """Answers before it came into office, and older than 28 days, are not its latest."""
    for name in ("v1", "v2"):
        register(facts, name, 1)
    put_in_office(facts, "v1", 2)
    answer(facts, "v1", 3, 1.0)
    put_in_office(facts, "v2", 4)
    answer(facts, "v2", 5, 1.0)
    assert read(facts, parse(TEXT, tmp_path)).live_rows == 1
    answer(facts, "v2", 5 + 40 * DAY, 0.0)
    found = read(facts, parse(TEXT, tmp_path))
    assert (found.live, found.live_rows) == (1.0, 1)


@pytest.mark.parametrize(
    ("subject", "recipe", "before", "about"),
    [
        ("train without the last 14 days", "train@1", True, True),
        ("train without the last 14 days", "train@1", False, False),
        ("train_big (held out)", "train@1", True, False),
        ("student of teacher", "distil:teacher@1", True, True),
        ("v2", "external", False, True),
    ],
)
def test_the_gate_of_a_version(facts: Facts, subject: str, recipe: str, before: bool, about: bool) -> None:
    """About its name at any time; about its recipe before it was registered, and not after."""
    if before:
        gate(facts, subject, 1, 0.3)
    version = register(facts, "v2", 2, recipe)
    if not before:
        gate(facts, subject, 3, 0.3)
    assert (gated(version, facts.ledger.events()) is not None) == about


def test_the_last_expectation_counts(facts: Facts, tmp_path: Path) -> None:
    """Its goal is the one beside which it is set, where the plan has none."""
    for at, goal in ((1, 0.7), (2, 0.8)):
        numbers: dict[str, Any] = {
            "floor": {"name": "prior", "value": 0.6}, "goal": goal, "noise": {"value": 0.95},
            "curve": {"points": [{"value": 0.7}, {"value": 0.72}]},
        }  # fmt: skip
        promote.record(facts.ledger, Evidence("expect", "e", "reachable", "s", at, None, numbers), actor="a")
    found = read(facts, parse(TEXT, tmp_path))
    assert (found.floor, found.quick, found.ceiling, found.goal, found.expected_at) == (0.6, 0.72, 0.95, 0.8, 2)
    assert read(facts, parse(TEXT + "[plan]\ngoal = 0.9\n", tmp_path)).goal == 0.9
