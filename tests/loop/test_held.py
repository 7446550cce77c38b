"""A verdict of the gate stands against a version until it is judged again, or overridden with a reason."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from incumbent.config import Store
from incumbent.errors import DecisionRefused
from incumbent.loop import held, promote
from incumbent.records import Evidence, Signature, Version
from incumbent.storage.base import Ledger
from incumbent.storage.sqlite import open_ledger

WHO: dict[str, Any] = {"at": 5, "actor": "test"}


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """v1 is the incumbent, v2 is registered."""
    opened = open_ledger(tmp_path, Store())
    for name in ("v1", "v2"):
        version = Version(name, "rule", f"manifest-{name}", Signature((), "binary", (0, 1)))
        promote.register(opened, promote.roles(opened.events()), version, **WHO)
    promote.promote(opened, promote.roles(opened.events()), "v1", reason="first", **WHO)
    yield opened
    opened.close()


def judged(ledger: Ledger, verdict: str, mode: str = "enforce", version: str = "v2") -> int:
    evidence = Evidence("gate", version, verdict, f"{verdict}: {version}", 5, "v1", {"mode": mode, "rules": []})
    return promote.record(ledger, evidence, actor="test").sequence


def stands(ledger: Ledger) -> int | None:
    found = held.verdict(ledger.events(), "v2")
    return found and found.sequence


def test_nobody_is_held_who_was_not_judged(ledger: Ledger) -> None:
    held.settle(ledger, promote.roles(ledger.events()), "v2", overrides=False, reason="it is good", **WHO)
    assert stands(ledger) is None


@pytest.mark.parametrize("verdict", ["hold", "not_enough_data"])
def test_a_verdict_against_a_version_refuses_a_promotion_by_hand(ledger: Ledger, verdict: str) -> None:
    """The refusal names the verdict, the event, and both ways out; nothing is appended."""
    sequence = judged(ledger, verdict)
    before = ledger.sequence()
    with pytest.raises(DecisionRefused) as refused:
        held.settle(ledger, promote.roles(ledger.events()), "v2", overrides=False, reason="it is good", **WHO)
    for words in (verdict.replace("_", " "), f"event {sequence}", "--override", "incumbent gate v2"):
        assert words in str(refused.value)
    assert ledger.sequence() == before


def test_an_override_names_the_verdict_and_needs_a_reason(ledger: Ledger) -> None:
    """Without a reason nothing is appended; with one, the event says which verdict is not followed."""
    sequence = judged(ledger, "hold")
    with pytest.raises(DecisionRefused, match="reason"):
        held.settle(ledger, promote.roles(ledger.events()), "v2", overrides=True, reason="  ", **WHO)
    held.settle(ledger, promote.roles(ledger.events()), "v2", overrides=True, reason="the holdout was broken", **WHO)
    last = ledger.events()[-1]
    assert (last.type, last.data) == ("Overridden", {"version": "v2", "verdict": "hold", "decision": sequence})
    said = promote.sentence(last)
    assert said == f"The verdict hold about v2 (event {sequence}) was overridden: the holdout was broken."
    assert stands(ledger) is None


def test_a_later_verdict_takes_the_place_of_an_earlier_one(ledger: Ledger) -> None:
    """Held, then shipped: free. Overridden, then held again: held. What is said of others does not count."""
    judged(ledger, "hold")
    judged(ledger, "ship")
    assert stands(ledger) is None
    judged(ledger, "hold")
    held.settle(ledger, promote.roles(ledger.events()), "v2", overrides=True, reason="because", **WHO)
    again = judged(ledger, "hold")
    assert stands(ledger) == again
    judged(ledger, "ship", version="v1")
    assert stands(ledger) == again


def test_a_dry_run_and_a_gate_that_is_off_hold_nobody(ledger: Ledger) -> None:
    judged(ledger, "hold", "dry_run")
    assert stands(ledger) is None
    judged(ledger, "off", "off")
    assert stands(ledger) is None


def test_an_override_of_nothing_is_refused(ledger: Ledger) -> None:
    with pytest.raises(DecisionRefused, match="nothing to override"):
        held.settle(ledger, promote.roles(ledger.events()), "v2", overrides=True, reason="because", **WHO)


def test_the_incumbent_itself_is_left_to_promote(ledger: Ledger) -> None:
    """Promoting the incumbent is refused for its own reason, and no override is written before."""
    judged(ledger, "hold", version="v1")
    held.settle(ledger, promote.roles(ledger.events()), "v1", overrides=True, reason="because", **WHO)
    assert ledger.events()[-1].type == "GateDecided"
