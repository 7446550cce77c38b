"""How each trial went, folded from the ledger."""

from incumbent.loop.trials import trials
from incumbent.records import Event, Json


def event(sequence: int, type: str, **data: Json) -> Event:
    return Event(sequence, type, 10 * sequence, 0, "anna", f"reason {sequence}", data, {}, "", "")


def started(sequence: int, name: str) -> Event:
    trial = {"name": name, "challenger": "v2", "incumbent": "v1", "mode": "split", "phase": 1, "enrolled": 0.02}
    return event(sequence, "TrialStarted", trial=trial)


def test_phases_and_their_enrolment() -> None:
    """Each step has its time, its actor and its reason; the trial has those of now."""
    found = trials([
        started(1, "t1"),
        event(2, "EnrolmentRaised", trial="t1", enrolled=0.1),
        event(3, "PhaseStarted", trial="t1", phase=2, enrolled=0.05),
        event(4, "EnrolmentRaised", trial="another", enrolled=1.0),
    ])  # fmt: skip
    (one,) = found.values()
    assert [(step.at, step.phase, step.enrolled) for step in one.steps] == [(10, 1, 0.02), (20, 1, 0.1), (30, 2, 0.05)]
    assert one.steps[2].reason == "reason 3" and one.steps[0].actor == "anna"
    assert (one.trial["phase"], one.trial["enrolled"], one.trial["phase_started_at"]) == (2, 0.05, 30)
    assert one.runs and one.ended_at is None


def test_each_end_has_its_word() -> None:
    """Decided, won, lost because another version was promoted, taken back with the incumbent."""
    found = trials([
        started(1, "a"), event(2, "TrialDecided", trial="a", challenger="v2", verdict="invalid"),
        started(3, "b"), event(4, "Promoted", trial="b", challenger="v2", version="v2"),
        started(5, "c"), event(6, "Promoted", trial="c", challenger="v2", version="v9"),
        started(7, "d"), event(8, "RolledBack", trial="d", challenger="v2", version="v1"),
        event(9, "Promoted", version="v3"),
    ])  # fmt: skip
    ends = {name: (one.verdict, one.ended_at) for name, one in found.items()}
    assert ends == {"a": ("invalid", 20), "b": ("promote", 40), "c": ("stop", 60), "d": ("roll_back", 80)}
    assert found["a"].ended == "reason 2" and not found["a"].runs
