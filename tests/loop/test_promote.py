"""Roles are a fold over the ledger; every move is one event or a refusal that changes nothing."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from incumbent.errors import (
    DecisionRefused,
    GoldenMismatch,
    LedgerConflict,
    NotAnswering,
    StoreDamaged,
    UnknownVersion,
)
from incumbent.loop import promote
from incumbent.records import Column, Event, Evidence, Json, Micros, Roles, Signature, Version

SIGNATURE = Signature(
    (Column("dep_hour", "integer"), Column("carrier", "string", True, ("AA", "B6"))), "binary", (0, 1)
)


class ListLedger:
    """A ledger in a list: what it holds has gone through JSON, as in every store."""

    def __init__(self) -> None:
        self.lines: list[Event] = []

    def append(
        self,
        type: str,
        *,
        at: Micros,
        actor: str,
        reason: str,
        data: Mapping[str, Json] | None = None,
        measured: Mapping[str, Json] | None = None,
        expected: int | None = None,
    ) -> Event:
        if expected is not None and expected != len(self.lines):
            raise LedgerConflict(f"expected {expected}, found {len(self.lines)}")
        kept = json.loads(json.dumps([dict(data or {}), dict(measured or {})], allow_nan=False))
        self.lines.append(Event(len(self.lines) + 1, type, at, at, actor, reason, kept[0], kept[1], "", ""))
        return self.lines[-1]

    def events(self, after: int = 0, types: Sequence[str] = ()) -> list[Event]:
        return [e for e in self.lines[after:] if not types or e.type in types]

    def sequence(self) -> int:
        return len(self.lines)

    def verify(self) -> int:
        return len(self.lines)

    def lease(self, name: str, holder: str, seconds: float) -> bool:
        return True

    def release(self, name: str, holder: str) -> None:
        return None

    def close(self) -> None:
        return None


def proves(version: Version) -> None:
    """A version that loads and repeats its golden rows."""


def version(name: str, **changes: object) -> Version:
    plain = Version(name=name, runtime="sklearn", manifest="ab" * 32, signature=SIGNATURE, n_rows=10)
    return replace(plain, **changes)  # type: ignore[arg-type]


def ledger_of(n: int = 3, promoted: int = 0) -> ListLedger:
    """A ledger with n versions, the first `promoted` of which were promoted one after the other."""
    ledger = ListLedger()
    for i in range(1, n + 1):
        promote.register(ledger, now(ledger), version(f"v{i}"), at=i, actor="ada")
    for i in range(1, promoted + 1):
        promote.promote(ledger, now(ledger), f"v{i}", at=i, actor="ada", reason="shown better")
    return ledger


def now(ledger: ListLedger) -> Roles:
    return promote.roles(ledger.events())


def test_the_last_promoted_is_the_incumbent_and_the_one_before_is_behind_it() -> None:
    """Promoted pushes."""
    roles = now(ledger_of(promoted=2))
    assert (roles.incumbent, roles.previous, roles.sequence) == ("v2", "v1", 5)


def test_a_rollback_brings_back_what_was_served_before() -> None:
    """RolledBack pops, and the event names both versions."""
    ledger = ledger_of(promoted=3)
    event = promote.roll_back(ledger, now(ledger), proves, at=9, actor="ada", reason="errors")
    assert event.data == {"version": "v3", "to": "v2"}
    assert (now(ledger).incumbent, now(ledger).previous) == ("v2", "v1")


def test_previous_skips_a_version_that_was_itself_rolled_back() -> None:
    """v2 was taken back once; after v3 is taken back too, v1 answers, and nothing is behind it."""
    ledger = ledger_of(promoted=2)
    promote.roll_back(ledger, now(ledger), proves, at=9, actor="ada", reason="errors")
    promote.promote(ledger, now(ledger), "v3", at=10, actor="ada", reason="better")
    assert now(ledger).previous == "v1"


def test_a_version_that_was_served_twice_and_taken_back_is_gone_from_the_whole_line() -> None:
    """v1, v2, v1 again, back: v2 answers and v1 (taken back) is not behind it."""
    ledger = ledger_of(promoted=2)
    promote.promote(ledger, now(ledger), "v1", at=9, actor="ada", reason="again")
    promote.roll_back(ledger, now(ledger), proves, at=10, actor="ada", reason="errors")
    assert (now(ledger).incumbent, now(ledger).previous) == ("v2", None)


def test_a_rolled_back_version_returns_by_a_new_promotion() -> None:
    """It is not banned; it needs a new Promoted."""
    ledger = ledger_of(promoted=2)
    promote.roll_back(ledger, now(ledger), proves, at=9, actor="ada", reason="errors")
    promote.promote(ledger, now(ledger), "v2", at=10, actor="ada", reason="repaired")
    assert now(ledger).incumbent == "v2"


def test_a_rollback_needs_the_old_version_to_repeat_its_golden_rows() -> None:
    """What `proves` raises passes through, and nothing is appended."""
    ledger = ledger_of(promoted=2)
    before = ledger.sequence()

    def fails(old: Version) -> None:
        raise GoldenMismatch(f"{old.name} differs in row 3")

    with pytest.raises(GoldenMismatch, match="v1 differs"):
        promote.roll_back(ledger, now(ledger), fails, at=9, actor="ada", reason="errors")
    assert ledger.sequence() == before


def test_two_that_decide_at_once_cannot_both_win() -> None:
    """The second promotion was decided on older roles: LedgerConflict passes through."""
    ledger = ledger_of(promoted=1)
    seen = now(ledger)
    promote.promote(ledger, seen, "v2", at=9, actor="ada", reason="better")
    with pytest.raises(LedgerConflict):
        promote.promote(ledger, seen, "v3", at=9, actor="bob", reason="better")


Refused = Callable[[ListLedger, Roles], Event]
REFUSALS: dict[str, tuple[Refused, str]] = {
    "the incumbent is promoted again": (
        lambda led, r: promote.promote(led, r, "v1", at=9, actor="a", reason="x"),
        "v1 is the incumbent already",
    ),
    "a promotion without reason": (
        lambda led, r: promote.promote(led, r, "v2", at=9, actor="a", reason=" "),
        "no reason for the promotion of v2",
    ),
    "a rollback with nothing behind": (
        lambda led, r: promote.roll_back(led, r, proves, at=9, actor="a", reason="x"),
        "nothing to roll back to",
    ),
    "a name that is taken": (
        lambda led, r: promote.register(led, r, version("v1"), at=9, actor="a"),
        "register this one as v4",
    ),
    "the incumbent against itself": (
        lambda led, r: promote.start_trial(led, r, "v1", at=9, actor="a", mode="shadow"),
        "needs another version",
    ),
    "more than all units": (
        lambda led, r: promote.start_trial(led, r, "v2", at=9, actor="a", mode="split", enrolled=2.0),
        "found enrolled 2",
    ),
    "a share raised without a trial": (
        lambda led, r: promote.raise_enrolment(led, r, 0.5, at=9, actor="a"),
        "no trial that runs",
    ),
    "an override without reason": (
        lambda led, r: promote.override(led, r, "v2", "hold", at=9, actor="a", reason=""),
        "no reason for an override",
    ),
    "a watch on the incumbent": (
        lambda led, r: promote.watch(led, r, "v1", at=9, actor="a"),
        "nothing to watch",
    ),
    "no watch to stop": (
        lambda led, r: promote.stop_watching(led, r, at=9, actor="a"),
        "no version that is watched",
    ),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_what_is_not_allowed_is_refused_and_changes_nothing(name: str) -> None:
    """DecisionRefused says what was found; the ledger is as before."""
    move, message = REFUSALS[name]
    ledger = ledger_of(promoted=1)
    with pytest.raises(DecisionRefused, match=message):
        move(ledger, now(ledger))
    assert ledger.sequence() == 4


def test_a_reference_is_never_incumbent_challenger_or_baseline() -> None:
    """Measured people do not answer new rows."""
    ledger = ledger_of(promoted=1)
    promote.register(
        ledger, now(ledger), version("people", runtime="people", answers=False), at=5, actor="ada"
    )
    roles = now(ledger)
    moves: list[Callable[[], Event]] = [
        lambda: promote.promote(ledger, roles, "people", at=9, actor="a", reason="x"),
        lambda: promote.start_trial(ledger, roles, "people", at=9, actor="a", mode="shadow"),
        lambda: promote.set_baseline(ledger, roles, "people", at=9, actor="a"),
    ]
    for move in moves:
        with pytest.raises(NotAnswering, match="reference"):
            move()
    with pytest.raises(UnknownVersion, match="registered are v1, v2, v3, people"):
        promote.promote(ledger, roles, "v9", at=9, actor="a", reason="x")


def test_a_system_behind_an_address_answers_once_it_is_let() -> None:
    """By an event of its own, or by the promotion, which says it first; once."""
    ledger = ledger_of(promoted=1)
    for name in ("v4", "v5"):
        system = version(name, runtime="endpoint", answers=False, recipe="existing:endpoint:1")
        promote.register(ledger, now(ledger), system, at=5, actor="ada")
    with pytest.raises(NotAnswering, match=r"v4 \(endpoint\) is a reference .*baseline.url_answers = true"):
        promote.start_trial(ledger, now(ledger), "v4", at=9, actor="a", mode="shadow")
    promote.allow(ledger, now(ledger), "v4", at=9, actor="ada", reason="it is in place")
    assert now(ledger).versions["v4"].answers and now(ledger).incumbent == "v1"
    with pytest.raises(DecisionRefused, match="may answer already"):
        promote.allow(ledger, now(ledger), "v4", at=9, actor="ada", reason="again")
    promote.promote(ledger, now(ledger), "v5", at=10, actor="ada", reason="it is in place")
    assert [event.type for event in ledger.events()[-2:]] == ["AnswersAllowed", "Promoted"]
    assert now(ledger).incumbent == "v5" and now(ledger).versions["v5"].answers
    assert promote.sentence(ledger.events()[-2]) == (
        "v5 may answer new rows: it was compared with so far: it is in place."
    )
    promote.register(ledger, now(ledger), version("p", runtime="people", answers=False), at=5, actor="ada")
    with pytest.raises(NotAnswering):
        promote.allow(ledger, now(ledger), "p", at=9, actor="ada", reason="they are nice")


def split_trial() -> ListLedger:
    ledger = ledger_of(promoted=1)
    promote.start_trial(ledger, now(ledger), "v2", at=50, actor="ada", mode="split", enrolled=0.1)
    return ledger


def test_a_trial_knows_its_versions_its_salt_and_since_when_it_runs() -> None:
    """Its name is the number of its line, so that no salt comes twice."""
    trial = now(split_trial()).trial
    assert trial is not None
    assert (trial.challenger, trial.incumbent, trial.salt, trial.phase_started_at) == ("v2", "v1", "t5/1", 50)


def test_a_second_trial_is_refused() -> None:
    """One trial at a time."""
    ledger = split_trial()
    with pytest.raises(DecisionRefused, match="trial t5 of v2 is running"):
        promote.start_trial(ledger, now(ledger), "v3", at=60, actor="ada", mode="shadow")


def test_a_third_arm_leaves_some_to_the_incumbent() -> None:
    """A third each; what would leave nobody is refused."""
    ledger = ledger_of(2, promoted=1)
    start = {"at": 50, "actor": "ada", "mode": "split"}
    with pytest.raises(DecisionRefused, match=r"called 0\.5"):
        promote.start_trial(ledger, now(ledger), "v2", share=0.5, called=0.5, **start)  # type: ignore[arg-type]
    promote.start_trial(ledger, now(ledger), "v2", share=1 / 3, called=1 / 3, **start)  # type: ignore[arg-type]
    trial = now(ledger).trial
    assert trial is not None and trial.called == 1 / 3
    assert trial.shares == pytest.approx({"challenger": 1 / 3, "incumbent": 1 / 3, "called": 1 / 3})


def test_a_challenger_must_take_every_row_of_the_incumbent() -> None:
    """More columns that may be null, wider types and another order are fine; what is not is named, and nothing
    starts."""
    hour, carrier = SIGNATURE.columns
    wide = replace(SIGNATURE, columns=(carrier, Column("wind", "number"), replace(hour, type="number")))
    number = replace(carrier, type="number", categories=None)
    narrow = replace(SIGNATURE, columns=(replace(hour, nullable=False), number))
    ledger = ledger_of(2, promoted=1)
    for name, signature in (("v3", wide), ("v4", narrow)):
        promote.register(ledger, now(ledger), version(name, signature=signature), at=9, actor="ada")
    lines = len(ledger.lines)
    with pytest.raises(DecisionRefused, match="v4 does not take every row that the incumbent v1 takes") as refused:
        promote.start_trial(ledger, now(ledger), "v4", at=9, actor="ada", mode="shadow")
    assert "'dep_hour' may not be null" in str(refused.value) and "'carrier' takes number" in str(refused.value)
    assert len(ledger.lines) == lines
    promote.start_trial(ledger, now(ledger), "v3", at=9, actor="ada", mode="split")
    assert now(ledger).trial is not None


def test_enrolment_is_raised_in_the_same_phase_and_never_lowered_in_it() -> None:
    """The refusal names both shares and both ways out."""
    ledger = split_trial()
    promote.raise_enrolment(ledger, now(ledger), 0.5, at=60, actor="ada")
    trial = now(ledger).trial
    assert trial is not None and (trial.enrolled, trial.phase) == (0.5, 1)
    with pytest.raises(DecisionRefused) as refusal:
        promote.raise_enrolment(ledger, now(ledger), 0.02, at=70, actor="ada")
    assert str(refusal.value) == (
        "EnrolmentLowered: trial t5 has 50 % of the units enrolled, and 2 % was asked for.\n"
        "    Lowering starts a new phase, and the old phase's data leaves the decision: "
        "begin one (`incumbent live phase 0.02 --reason …`), or keep 50 %."
    )


def test_a_new_phase_has_a_new_salt_and_its_own_beginning() -> None:
    """The old phase's data leaves the decision."""
    ledger = split_trial()
    promote.start_phase(ledger, now(ledger), enrolled=0.02, at=90, actor="ada", reason="a bug in the client")
    trial = now(ledger).trial
    assert trial is not None
    assert (trial.salt, trial.enrolled, trial.phase_started_at, trial.started_at) == ("t5/2", 0.02, 90, 50)


def test_a_trial_ends_with_its_decision_and_the_incumbent_stays() -> None:
    """TrialDecided names trial, challenger and verdict."""
    ledger = split_trial()
    event = promote.decide_trial(ledger, now(ledger), "stop", at=90, actor="ada", reason="undecided")
    assert event.data == {"trial": "t5", "challenger": "v2", "verdict": "stop"}
    assert (now(ledger).trial, now(ledger).incumbent) == (None, "v1")


@pytest.mark.parametrize("winner", ["v2", "v3"])
def test_any_new_incumbent_ends_the_trial(winner: str) -> None:
    """The challenger won, or what it was compared with is gone; the event says which trial it ended."""
    ledger = split_trial()
    event = promote.promote(ledger, now(ledger), winner, at=90, actor="ada", reason="better")
    assert (event.data["trial"], event.data["challenger"]) == ("t5", "v2")
    assert now(ledger).trial is None


def test_the_watch_shadow_is_let_go_when_it_is_incumbent_again() -> None:
    """Nobody is scored beside itself."""
    ledger = ledger_of(promoted=2)
    promote.watch(ledger, now(ledger), "v1", at=9, actor="ada")
    assert now(ledger).watch == "v1"
    promote.roll_back(ledger, now(ledger), proves, at=10, actor="ada", reason="shown better")
    assert now(ledger).watch is None


def test_a_version_and_its_evidence_come_back_as_they_were() -> None:
    """Both survive JSON; timings lie in the event's `measured`, not in what must repeat."""
    first = version("v1", parent="v0", trained_until=5, description="all rows")
    assert promote.version_from_dict(json.loads(json.dumps(promote.version_to_dict(first)))) == first
    evidence = Evidence("gate", "v1", "ship", "better", 7, "v0", {"gain": 0.01}, {"seconds": 2.0})
    event = promote.record(ListLedger(), evidence, actor="ada")
    assert (event.type, event.at, event.data["verdict"], event.measured) == (
        "GateDecided",
        7,
        "ship",
        {"seconds": 2.0},
    )
    assert "measured" not in event.data["evidence"]
    assert promote.evidence_from_dict(event.data["evidence"], event.measured) == evidence


def test_folding_a_part_of_the_ledger_as_if_it_were_all_is_an_error() -> None:
    """Events of some types alone would give a sequence number that nobody could compare with."""
    with pytest.raises(StoreDamaged, match="found event 4 after 0"):
        promote.roles(ledger_of(promoted=1).events(types=["Promoted"]))


def test_every_event_is_a_sentence() -> None:
    """Each verb's event reads as one sentence that names its version and ends with the reason."""
    ledger = split_trial()
    promote.raise_enrolment(ledger, now(ledger), 1.0, at=60, actor="ada", reason="no harm after a day")
    promote.start_phase(ledger, now(ledger), enrolled=0.5, at=61, actor="ada", reason="new client")
    promote.decide_trial(ledger, now(ledger), "roll_back", at=62, actor="tick", reason="errors rose")
    promote.override(ledger, now(ledger), "v3", "hold", at=63, actor="ada", reason="the holdout was broken")
    promote.promote(ledger, now(ledger), "v3", at=64, actor="ada", reason="overridden")
    promote.watch(ledger, now(ledger), "v1", at=65, actor="tick")
    promote.stop_watching(ledger, now(ledger), at=66, actor="tick")
    promote.set_baseline(ledger, now(ledger), "v1", at=67, actor="ada")
    promote.roll_back(ledger, now(ledger), proves, at=68, actor="ada", reason="errors")
    promote.request_retrain(ledger, "cadence", at=69, actor="tick")
    promote.refuse_retrain(ledger, "cadence", at=70, actor="tick", reason="a partition is broken")
    promote.alarm(ledger, "broken_feed", at=71, actor="tick", reason="distance looks like kilometres")
    promote.record(ledger, Evidence("live", "v2", "continue", "needs 1,900 labels", 72), actor="tick")
    promote.record(ledger, Evidence("gate", "v2", "hold", "not shown better", 73), actor="tick")
    sentences = [promote.sentence(event) for event in ledger.events(after=3)]
    assert sentences == [
        "v1 was promoted, the first incumbent: shown better.",
        "Trial t5 began: 10 % of the units take part, 50 % of them are answered by v2, the others by v1.",
        "Trial t5 now enrols 100 % of the units: no harm after a day.",
        "Trial t5 began phase 2 with 50 % of the units, dealt anew: new client.",
        "Trial t5 of v2 ended: the challenger does harm: errors rose.",
        "The verdict hold about v3 was overridden: the holdout was broken.",
        "v3 was promoted in place of v1: overridden.",
        "v1 is scored beside the incumbent for a while.",
        "v1 is no longer scored beside the incumbent.",
        "v1 is the baseline: the last to fall back on.",
        "v3 was taken back and v1 answers again: errors.",
        "A retrain is due (cadence).",
        "A retrain (cadence) was refused: a partition is broken.",
        "Alarm (broken_feed): distance looks like kilometres.",
        "Evidence of step live about v2: needs 1,900 labels.",
        "The gate says that v2 is held back: not shown better.",
    ]
    assert promote.sentence(ledger.events()[0]) == "v1 (sklearn, fitted on 10 rows) was registered."
    by_hand = replace(ledger.events()[7], data={"trial": "t5", "challenger": "v2", "verdict": "stopped"})
    assert promote.sentence(by_hand).startswith("Trial t5 of v2 was stopped by hand and the incumbent stays")
    unknown = replace(ledger.events()[0], type="SomethingNew", data={}, reason="")
    assert promote.sentence(unknown) == "SomethingNew (no data)."


MOVES = st.lists(
    st.tuples(
        st.sampled_from(["promote", "roll_back", "start", "raise", "decide", "watch", "unwatch"]),
        st.sampled_from(["v1", "v2", "v3", "v4"]),
    ),
    max_size=40,
)


@settings(max_examples=150, deadline=None)
@given(moves=MOVES)
def test_whatever_is_tried_the_roles_stay_in_order(moves: list[tuple[str, str]]) -> None:
    """Random moves, many refused: the fold agrees with a plain replay of what was served, step by step."""
    ledger = ledger_of(4)
    served: list[str] = []
    for at, (move, name) in enumerate(moves, start=10):
        roles = now(ledger)
        before = roles.sequence
        try:
            _try(ledger, roles, move, name, at)
        except DecisionRefused:
            assert ledger.sequence() == before
            continue
        if move == "promote":
            served = [*served, name]
        if move == "roll_back":
            served = [v for v in served if v != served[-1]]
        roles = now(ledger)
        distinct = list(dict.fromkeys(reversed(served)))
        assert roles.incumbent == (distinct[0] if distinct else None)
        assert roles.previous == (distinct[1] if len(distinct) > 1 else None)
        assert len(set(roles.stack)) == len(roles.stack)
        assert roles.trial is None or roles.trial.incumbent == roles.incumbent != roles.trial.challenger
        assert roles.watch is None or roles.watch != roles.incumbent
        assert roles == promote.roles(ledger.events(after=4), start=promote.roles(ledger.events()[:4]))


def _try(ledger: ListLedger, roles: Roles, move: str, name: str, at: Micros) -> None:
    if move == "promote":
        promote.promote(ledger, roles, name, at=at, actor="a", reason="x")
    elif move == "roll_back":
        promote.roll_back(ledger, roles, proves, at=at, actor="a", reason="x")
    elif move == "start":
        promote.start_trial(ledger, roles, name, at=at, actor="a", mode="split", enrolled=0.1)
    elif move == "raise":
        promote.raise_enrolment(ledger, roles, 0.5, at=at, actor="a")
    elif move == "decide":
        promote.decide_trial(ledger, roles, "stop", at=at, actor="a", reason="x")
    elif move == "watch":
        promote.watch(ledger, roles, name, at=at, actor="a")
    else:
        promote.stop_watching(ledger, roles, at=at, actor="a")
