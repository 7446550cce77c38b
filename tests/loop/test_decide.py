"""Each decision is a pure function of evidence, roles and settings; old evidence decides nothing."""

from dataclasses import replace
from typing import Any

import pytest

from incumbent.config import Config, Gate, Live, Retrain, Task
from incumbent.loop import decide
from incumbent.records import DAY, Evidence, Roles, Trial

TASK = Task("late", "binary", "late", "brier")
AUTO = Config(TASK, live=Live(promote="auto"), retrain=Retrain(auto_refresh=True))
MANUAL = Config(TASK)
RUNNING = Trial("t7", "v2", "v1", "split", started_at=0, enrolled=0.1)
ROLES = Roles(9, ("v0", "v1"), "v0", "v0", RUNNING)
IDLE = replace(ROLES, trial=None)


def look(verdict: str, **numbers: Any) -> Evidence:
    """A look at trial t7 after two days; by default with traffic enough for the next step."""
    usual = {
        "trial": "t7",
        "phase": 1,
        "enrolled_since": 0,
        "rows": {"challenger": 150, "incumbent": 140},
        "split": {"p": 1.0},
    }
    return Evidence("live", "v2", verdict, f"look: {verdict}.", 2 * DAY, "v1", {**usual, **numbers})


def gated(verdict: str = "ship", **numbers: Any) -> Evidence:
    return Evidence("gate", "v2", verdict, f"gate: {verdict}.", DAY, "v1", numbers)


@pytest.mark.parametrize("verdict", ["invalid", "roll_back", "stop"])
def test_a_final_verdict_ends_the_trial_and_the_incumbent_stays(verdict: str) -> None:
    """All of them are TrialDecided, with the look's own sentence as the reason."""
    decision = decide.trial(look(verdict), ROLES, AUTO)
    assert (decision.action, decision.verdict, decision.reason) == (
        "TrialDecided",
        verdict,
        f"look: {verdict}.",
    )


def test_promotion_is_automatic_only_where_the_settings_say_so() -> None:
    """Otherwise nothing is done, and the reason names the setting."""
    assert decide.trial(look("promote"), ROLES, AUTO).promotes
    manual = decide.trial(look("promote"), ROLES, MANUAL)
    assert manual.action is None and "live.promote = manual" in manual.reason


@pytest.mark.parametrize("promotes", ["auto", "manual"])
def test_a_shadow_that_wins_goes_on_to_a_split_whoever_promotes(promotes: Any) -> None:
    """Under live.mode = both: starting a split promotes nobody. The split itself waits for whoever promotes."""
    config = Config(TASK, live=Live(mode="both", promote=promotes))
    decision = decide.trial(look("promote"), replace(ROLES, trial=replace(RUNNING, mode="shadow")), config)
    assert (decision.action, decision.verdict) == ("TrialDecided", "promote")
    assert decision.reason == "look: promote. It goes on to a split."
    assert decide.trial(look("promote"), ROLES, config).promotes == (promotes == "auto")


@pytest.mark.parametrize(
    "roles",
    [
        IDLE,
        replace(ROLES, trial=replace(RUNNING, phase=2)),
        replace(ROLES, trial=replace(RUNNING, name="t8")),
    ],
)
def test_evidence_about_another_trial_or_phase_decides_nothing(roles: Roles) -> None:
    """The trial ended, or began again, while the evidence was made."""
    assert decide.trial(look("promote"), roles, AUTO).action is None


def test_the_enrolled_share_goes_up_one_step_when_nothing_speaks_against_it() -> None:
    """From 10 % to 50 %, the next of live.enrol."""
    assert decide.trial(look("continue"), ROLES, AUTO).action == "EnrolmentRaised"
    assert decide.next_enrolment(look("continue"), RUNNING, AUTO.live) == 0.5


@pytest.mark.parametrize(
    "evidence",
    [
        look("continue", enrolled_since=2 * DAY - 1),
        look("continue", rows={"challenger": 99, "incumbent": 500}),
        look("continue", split={"p": 0.005}),
        look("stop"),
    ],
)
def test_the_enrolled_share_stays(evidence: Evidence) -> None:
    """Too soon, too few rows in an arm, a suspect split, a trial that ends."""
    assert decide.next_enrolment(evidence, RUNNING, AUTO.live) is None


def test_a_shadow_and_a_full_split_have_no_next_step() -> None:
    """Everybody takes part already."""
    assert decide.next_enrolment(look("continue"), replace(RUNNING, mode="shadow"), AUTO.live) is None
    assert decide.next_enrolment(look("continue"), replace(RUNNING, enrolled=1.0), AUTO.live) is None


def test_a_candidate_that_passed_the_gate_goes_on_trial_where_there_is_traffic() -> None:
    """Without traffic it takes its place, where that is automatic or the place is empty."""
    assert decide.gate(gated(), IDLE, AUTO, traffic=True).action == "TrialStarted"
    assert decide.gate(gated(), IDLE, AUTO, traffic=False).promotes
    assert decide.gate(gated(), IDLE, MANUAL, traffic=False).action is None
    assert decide.gate(gated(), Roles(), MANUAL, traffic=False).promotes


def test_a_candidate_waits_for_the_trial_that_runs() -> None:
    """One trial at a time."""
    decision = decide.gate(gated(), ROLES, AUTO, traffic=True)
    assert decision.action is None and "trial t7 is running" in decision.reason


@pytest.mark.parametrize("verdict", ["hold", "not_enough_data"])
def test_the_gate_holds_unless_it_is_told_only_to_report(verdict: str) -> None:
    """dry_run lets it pass and says so."""
    assert decide.gate(gated(verdict), IDLE, AUTO, traffic=True).action is None
    dry = replace(AUTO, gate=Gate(mode="dry_run"))
    decision = decide.gate(gated(verdict), IDLE, dry, traffic=True)
    assert decision.action == "TrialStarted" and decision.reason.startswith(
        "gate.mode = dry_run lets it pass"
    )


def refreshed(config: Config = AUTO, **changes: Any) -> Any:
    evidence = changes.pop("gated", gated("hold", gain=-0.001, upper=0.002))
    return decide.refresh(evidence, changes.pop("roles", IDLE), config, refit="v3", **changes)


def test_a_refresh_is_promoted_at_once_when_its_recipe_is_not_shown_worse() -> None:
    """It need not be shown better: the gate said hold, with an upper bound above 0. Or there is no bound
    yet."""
    decision = refreshed()
    assert decision.promotes and decision.subject == "v3" and "not shown worse" in decision.reason
    assert refreshed(gated=gated("not_enough_data", gain=0.0, upper=None)).promotes
    assert refreshed(MANUAL).action is None


def test_a_refresh_is_refused_on_broken_rows_a_worse_recipe_or_a_harmful_record() -> None:
    """Each with its reason, and RetrainRefused as the event."""
    harmful = Evidence("live", "train", "roll_back", "Refreshes of train are shown harmful.", DAY)
    for decision, reason in (
        (refreshed(problems=["distance looks like kilometres"]), "distance looks like kilometres"),
        (refreshed(gated=gated("hold", gain=-0.02, upper=-0.01)), "shown worse on the last days"),
        (refreshed(record=harmful), "shown harmful"),
        (refreshed(gated=gated("not_enough_data")), "could not be compared"),
    ):
        assert decision.action == "RetrainRefused" and reason in decision.reason
    assert refreshed(record=replace(harmful, verdict="continue")).promotes


def test_a_refresh_that_was_gated_against_another_incumbent_is_gated_again() -> None:
    """The comparison was with v1, and v5 answers by now."""
    decision = refreshed(roles=replace(IDLE, stack=("v1", "v5")))
    assert decision.action is None and "gate it again" in decision.reason


def test_the_watch_shadow_comes_back_when_it_is_shown_better() -> None:
    """By rollback where it is right behind the incumbent, by promotion where it is not; else it is let go in
    time."""

    def watched(verdict: str) -> Evidence:
        return Evidence("live", "v0", verdict, "watched.", DAY, "v1")

    assert decide.watch(watched("roll_back"), IDLE).action == "RolledBack"
    assert decide.watch(watched("roll_back"), replace(IDLE, stack=("v0", "v4", "v1"))).action == "Promoted"
    assert decide.watch(watched("stop"), IDLE).action == "WatchStopped"
    assert decide.watch(watched("continue"), IDLE).action is None
    assert decide.watch(watched("roll_back"), replace(IDLE, stack=("v0", "v4"))).action is None
