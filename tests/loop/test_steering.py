"""A move by hand says what will happen, meets the refusals that doing it would meet, and is one event."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from incumbent.config import Config, parse
from incumbent.errors import DecisionRefused, LedgerConflict, UnknownVersion, VersionError
from incumbent.loop import promote, steering
from incumbent.loop.fold import roles as fold
from incumbent.loop.steering import Move
from incumbent.records import DAY, Column, Evidence, Outcome, Prediction, Signature, Version
from incumbent.storage.opening import Facts, open_facts

TEXT = '[task]\nname="x"\nkind="binary"\ntarget="y"\nmetric="brier"\nunit="user"\n[live]\nmode="split"\n'
SIGNATURE = Signature((Column("hour", "integer"),), "binary", (0, 1))


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return parse(TEXT, tmp_path)


@pytest.fixture
def facts(config: Config) -> Iterator[Facts]:
    """v1 is the incumbent, v2 and v3 are registered."""
    opened = open_facts(config)
    for name in ("v1", "v2", "v3"):
        version = Version(name, "rule", "0" * 64, SIGNATURE)
        promote.register(opened.ledger, fold(opened.ledger.events()), version, at=0, actor="test")
    promote.promote(opened.ledger, fold(opened.ledger.events()), "v1", at=0, actor="test", reason="first")
    yield opened
    opened.close()


class Hand:
    """Somebody who makes moves."""

    def __init__(self, facts: Facts, config: Config) -> None:
        self.facts, self.config = facts, config
        self.proved: list[str] = []

    @property
    def roles(self) -> Any:
        return fold(self.facts.ledger.events())

    def makes(self, move: Move, at: int = DAY) -> Any:
        return steering.make(
            move, self.facts, self.config, lambda one: self.proved.append(one.name), at=at, actor="anna"
        )

    def hears(self, move: Move, at: int = DAY) -> str:
        return steering.foretell(move, self.facts, self.config, at=at)


@pytest.fixture
def hand(facts: Facts, config: Config) -> Hand:
    return Hand(facts, config)


START = Move("start", "to see", version="v2", enrolled=0.1)


def test_each_move_is_foretold_and_is_one_event(hand: Hand) -> None:
    """Foretelling appends nothing; the event has the actor and the reason."""
    story = [
        (START, "10 % of the units will take part. Half of them will be answered by v2", "TrialStarted"),
        (Move("enrol", "well", enrolled=0.5), "50 % of the units will take part in trial t5 instead of 10 %",
         "EnrolmentRaised"),
        (Move("phase", "a fault", enrolled=0.2), "What was seen in phase 1 (2 days) leaves the decision",
         "PhaseStarted"),
        (Move("stop", "enough"), "Trial t5 will end, and v1 will answer everybody", "TrialDecided"),
        (Move("promote", "I know", version="v2"), "v2 will answer in place of v1, which stays loaded behind it",
         "Promoted"),
        (Move("rollback", "errors"), "v2 will be taken back, and v1 will answer again", "RolledBack"),
    ]  # fmt: skip
    for move, said, type in story:
        before = hand.roles.sequence
        assert said in hand.hears(move, 3 * DAY)
        assert hand.roles.sequence == before
        event = hand.makes(move)
        assert (event.type, event.reason, event.actor) == (type, move.reason, "anna")
        assert hand.roles.sequence == before + 1
    assert hand.proved == ["v2", "v2", "v1"]


@pytest.mark.parametrize("verb", steering.NAMES)
@pytest.mark.parametrize("reason", ["", "  \n"])
def test_no_move_is_made_without_a_reason(hand: Hand, verb: Any, reason: str) -> None:
    """Whatever it is; it may be foretold without one."""
    before = hand.roles.sequence
    with pytest.raises(DecisionRefused, match="no reason"):
        hand.makes(Move(verb, reason, version="v2", enrolled=0.5))
    assert hand.roles.sequence == before
    assert hand.hears(Move("start", version="v2"))


def test_a_phase_keeps_the_share_that_it_is_not_told(hand: Hand) -> None:
    """By default only the salt is new."""
    hand.makes(START)
    assert "Phase 2 of trial t5 will begin with 10 % of the units" in hand.hears(Move("phase"))


def test_a_promotion_that_ends_a_trial_says_so(hand: Hand) -> None:
    """The challenger's own has won it, another's ends it."""
    hand.makes(START)
    assert "Trial t5 of v2 ends, won." in hand.hears(Move("promote", version="v2"))
    assert "Trial t5 of v2 ends, without a winner." in hand.hears(Move("promote", version="v3"))


def test_an_override_is_foretold(hand: Hand) -> None:
    """It is an event of its own; without it the verdict stands."""
    held = Evidence("gate", "v2", "hold", "hold: v2 against v1", 5, "v1", {"mode": "enforce", "rules": []})
    promote.record(hand.facts.ledger, held, actor="ci")
    with pytest.raises(DecisionRefused, match="the gate says hold about v2"):
        hand.hears(Move("promote", version="v2"))
    before = hand.roles.sequence
    assert "overridden, which is an event of its own" in hand.hears(Move("promote", version="v2", override=True))
    assert hand.roles.sequence == before


def test_what_would_be_refused_is_refused_when_it_is_foretold(hand: Hand) -> None:
    """In the same words."""
    with pytest.raises(DecisionRefused, match="no trial that runs"):
        hand.hears(Move("stop"))
    with pytest.raises(UnknownVersion):
        hand.hears(Move("start", version="v9"))
    with pytest.raises(DecisionRefused, match="nothing to roll back to"):
        hand.hears(Move("rollback"))
    hand.makes(START)
    for make in (hand.hears, hand.makes):
        with pytest.raises(DecisionRefused, match="EnrolmentLowered"):
            make(Move("enrol", "r", enrolled=0.05))
        with pytest.raises(DecisionRefused, match="expected the one that runs: t5"):
            make(Move("stop", "r", trial="t1"))
        with pytest.raises(DecisionRefused, match="no share of the units"):
            make(Move("enrol", "r"))


def test_a_shadow_has_nobody_to_enrol(hand: Hand) -> None:
    """It scores every row; it can begin again."""
    hand.makes(Move("start", "to see", version="v2", mode="shadow"))
    for verb in ("enrol", "phase"):
        with pytest.raises(DecisionRefused, match="a shadow scores every row"):
            hand.hears(Move(verb, enrolled=0.5))  # type: ignore[arg-type]
    assert hand.hears(Move("phase")).startswith("Phase 2 of trial t5 will begin. What was seen")
    hand.makes(Move("phase", "a feed was broken"))
    assert (hand.roles.trial.phase, hand.roles.trial.enrolled) == (2, 1.0)


MEASURED = '[[live.measure]]\nname = "paid"\nrole = "guardrail"\ncap_at = 0.9\n'


def test_what_will_happen_is_foretold_without_reading_the_log(facts: Facts, tmp_path: Path) -> None:
    """A start fixes what an outcome counts at most, from 28 days of the past; a page that asks reads none of it."""
    facts.log.append([Prediction(f"{n}", DAY // 2, {"hour": n}, "v1", "v1", (0.5, 0.5)) for n in range(100)])
    facts.log.append_outcomes([Outcome(f"{n}", float(n), DAY // 2 + 1, "paid") for n in range(100)])
    config = parse(TEXT + MEASURED, tmp_path)
    ledger_alone = replace(facts, log=object())  # type: ignore[arg-type]
    said = Hand(ledger_alone, config).hears(START)
    assert said == Hand(facts, config).hears(START) and "10 % of the units will take part" in said
    assert Hand(facts, config).makes(START).data["trial"]["caps"] == {"paid": 90.0}


def test_a_version_that_cannot_be_proved_changes_nothing(hand: Hand) -> None:
    """The error passes through, and nothing is appended."""

    def fails(version: Version) -> None:
        raise VersionError(f"{version.name} does not repeat its golden rows")

    for move in (START, Move("promote", "r", version="v2")):
        before = hand.roles.sequence
        with pytest.raises(VersionError):
            steering.make(move, hand.facts, hand.config, fails, at=DAY, actor="anna")
        assert hand.roles.sequence == before


@pytest.mark.parametrize("override", [False, True])
def test_what_happened_during_the_proof_is_noticed(hand: Hand, override: bool) -> None:
    """The trial was ended for harm while its challenger proved itself: nothing is promoted, and the conflict says why.
    An override is this move's own event."""
    if override:
        held = Evidence("gate", "v2", "hold", "hold: v2 against v1", 5, "v1", {"mode": "enforce", "rules": []})
        promote.record(hand.facts.ledger, held, actor="ci")
    hand.makes(START)
    move = Move("promote", "I know", version="v2", override=override)

    def proves(version: Version) -> None:
        promote.decide_trial(
            hand.facts.ledger, hand.roles, "roll_back", at=DAY, actor="breaker", reason="it failed too often"
        )

    before = hand.roles.sequence
    with pytest.raises(LedgerConflict, match=r"it failed too often.*Nothing was changed"):
        steering.make(move, hand.facts, hand.config, proves, at=DAY, actor="anna")
    assert hand.roles.incumbent == "v1"
    assert [one.type for one in hand.facts.ledger.events(after=before)] == ["TrialDecided"]
    assert hand.makes(move).type == "Promoted"


def test_a_rollback_notices_what_happened_during_the_proof(hand: Hand) -> None:
    """Somebody promoted v3 meanwhile: it is not what was to be taken back."""
    hand.makes(Move("promote", "I know", version="v2"))
    with pytest.raises(LedgerConflict, match="the rollback was decided at event 5"):
        steering.make(
            Move("rollback", "errors"), hand.facts, hand.config,
            lambda version: hand.makes(Move("promote", "better", version="v3")), at=DAY, actor="anna",
        )  # fmt: skip
    assert hand.roles.incumbent == "v3"
