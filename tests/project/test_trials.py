"""Trials of a project: who may start one, what stops it, what a verdict does."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from parcels import day, traffic, write

from incumbent.errors import DecisionRefused, LedgerConflict, UnknownVersion
from incumbent.loop import promote
from incumbent.project import Project, open_project
from incumbent.project import trials as module
from incumbent.records import Decision, Evidence

BUSY = '[live]\nmin_days = 3\nwindow_hours = 48\n'
AUTO = BUSY + 'promote = "auto"\n'


def trying(folder: Path, more: str = "", **settings: Any) -> Project:
    """A project with the prior in its place and a model behind the gate: v1 answers, v2 wants to."""
    project = open_project(write(folder, more, **settings), clock=lambda: day(40), actor="test")
    project.baseline()
    assert project.train()[0] is not None
    return project


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    with trying(tmp_path) as found:
        yield found


def test_a_shadow_scores_every_row(project: Project) -> None:
    """The default mode is a shadow of the whole traffic."""
    trial = project.live.start("v2", reason="it passed the gate")
    assert (trial.mode, trial.enrolled, trial.challenger, trial.incumbent) == ("shadow", 1.0, "v2", "v1")
    assert project.roles().incumbent == "v1"


def test_a_split_starts_with_its_first_step(project: Project) -> None:
    """Two of a hundred units take part at first, whatever number was not named."""
    assert project.live.start("v2", mode="split", reason="a test").enrolled == 0.02


def test_a_third_arm_takes_a_third(tmp_path: Path) -> None:
    """Where it is asked for: a third each; a shadow has no arms."""
    with trying(tmp_path, "[live]\nthird_arm = true\n") as project:
        assert project.live.start("v2", reason="a test").called == 0.0
        project.live.stop("a split now")
        shares = project.live.start("v2", mode="split", reason="a test").shares
        assert list(shares) == ["challenger", "incumbent", "called"]
        assert list(shares.values()) == pytest.approx([1 / 3] * 3)


def test_caps_are_fixed_at_the_start(tmp_path: Path) -> None:
    """A declared one; later settings change it for the next trial."""
    more = '[live]\nmode = "split"\n[[live.measure]]\nname = "revenue"\ncap = 250.0\n'
    with trying(tmp_path, more) as project:
        assert project.live.start("v2", reason="a test").caps == {"revenue": 250.0}
        assert project.roles().trial.caps == {"revenue": 250.0}  # type: ignore[union-attr]


def test_a_shadow_is_refused_where_another_measure_decides(tmp_path: Path) -> None:
    more = '[live]\nmode = "split"\n[[live.measure]]\nname = "revenue"\nrole = "primary"\n'
    with trying(tmp_path, more) as project, pytest.raises(DecisionRefused, match="revenue is primary"):
        project.live.start("v2", mode="shadow", reason="a test")


def test_more_units_may_be_enrolled_by_hand(project: Project) -> None:
    """Upwards only, in the same phase; a shadow scores every row anyway."""
    project.live.start("v2", mode="split", reason="a test")
    trial = project.live.enrol(0.3, "it looks well")
    assert (trial.enrolled, trial.phase) == (0.3, 1)
    assert project.facts.ledger.events()[-1].reason == "it looks well"
    with pytest.raises(DecisionRefused, match="EnrolmentLowered"):
        project.live.enrol(0.1, "too much")
    project.live.stop("a shadow now")
    project.live.start("v2", mode="shadow", reason="a test")
    with pytest.raises(DecisionRefused, match="a shadow scores every row"):
        project.live.enrol(1.0, "more")


def test_a_lower_share_needs_a_new_phase(project: Project) -> None:
    """With a reason and a new salt; what came before leaves the decision. A shadow begins again too."""
    first = project.live.start("v2", mode="split", enrolled=0.5, reason="a test")
    with pytest.raises(DecisionRefused, match="reason"):
        project.live.phase(0.1, " ")
    second = project.live.phase(0.1, "half was too much", now=day(41))
    assert (second.phase, second.enrolled, second.phase_started_at) == (2, 0.1, day(41))
    assert second.salt != first.salt
    assert project.live.phase(None, "again", now=day(42)).enrolled == 0.1
    assert project.live.look(now=day(43)).numbers["days"] == 1
    project.live.stop("a shadow now", now=day(43))
    project.live.start("v2", mode="shadow", reason="a test", now=day(43))
    with pytest.raises(DecisionRefused, match="a shadow scores every row"):
        project.live.phase(0.5, "less")
    assert project.live.phase(None, "the feed was broken", now=day(44)).phase == 2


def test_latency_is_a_guardrail_where_the_plan_has_a_budget(tmp_path: Path) -> None:
    """live.latency_budget_ms comes first; a rehearsal decides nothing on latency."""

    def guarded(project: Project) -> list[str]:
        return [one["name"] for one in project.live.look().numbers["guardrails"]]

    with trying(tmp_path, "[plan]\nlatency_budget_ms = 20.0\n") as project:
        project.live.start("v2", reason="a test")
        assert guarded(project) == ["errors", "latency"]
        project.timings_decide = False
        assert guarded(project) == ["errors"]


def test_one_trial_at_a_time(project: Project) -> None:
    """A second trial is refused while the first one runs."""
    project.live.start("v2", reason="a test")
    other = project.fit("train_again")
    with pytest.raises(DecisionRefused, match="trial"):
        project.live.start(other.name, reason="a test")


def test_nobody_is_tried_against_itself(project: Project) -> None:
    with pytest.raises(DecisionRefused):
        project.live.start("v1", reason="a test")


def test_an_unknown_version_is_not_tried(project: Project) -> None:
    with pytest.raises(UnknownVersion):
        project.live.start("v7", reason="a test")


def test_no_shadow_where_the_label_depends_on_the_answer(tmp_path: Path) -> None:
    """What a shadow would have caused is not known."""
    with (
        trying(tmp_path, "[live]\nlabel_depends_on_prediction = true\n") as project,
        pytest.raises(DecisionRefused, match="split"),
    ):
        project.live.start("v2", mode="shadow", reason="a test")


def test_no_split_without_somebody_to_assign(tmp_path: Path) -> None:
    folder = write(tmp_path)
    text = (folder / "incumbent.toml").read_text()
    (folder / "incumbent.toml").write_text(text.replace('unit = "customer"\n', ""))
    with open_project(folder, clock=lambda: day(40)) as project:
        project.baseline()
        project.train()
        with pytest.raises(DecisionRefused, match=r"task\.unit"):
            project.live.start("v2", mode="split", reason="a test")


def test_a_look_needs_a_trial(project: Project) -> None:
    with pytest.raises(DecisionRefused, match="no trial runs"):
        project.live.look()


def test_a_look_changes_nothing(project: Project) -> None:
    project.live.start("v2", reason="a test")
    before = project.facts.ledger.sequence()
    evidence = project.live.look()
    assert evidence.verdict == "continue"
    assert project.facts.ledger.sequence() == before
    assert project.live.table(evidence)[0][1:] == ("Test group (challenger)", "Control (incumbent)")


def test_a_trial_can_be_stopped_by_hand(project: Project) -> None:
    """The incumbent stays, the reason is on the ledger, and the next trial may start."""
    project.live.start("v2", reason="a test")
    project.live.stop("changed our mind")
    assert project.roles().trial is None
    assert project.facts.ledger.events()[-1].reason == "changed our mind"
    assert project.live.start("v2", reason="again").name


def test_a_shadow_that_wins_is_promoted_where_that_is_automatic(tmp_path: Path) -> None:
    """Paired rows show the model better than the prior; the ledger holds the evidence."""
    with trying(tmp_path, AUTO, per_day=192) as project:
        project.live.start("v2", reason="a test")
        for number in range(40, 54):
            traffic(project, day(number), day(number + 1), told=day(60))
            decisions = project.live.act(day(number + 1))
            if project.roles().trial is None:
                break
        promoted = project.facts.ledger.events(types=["Promoted"])[-1]
    assert decisions[0].verdict == "promote"
    assert promoted.data["version"] == "v2"
    assert promoted.data["evidence"]["numbers"]["lower"] > 0
    assert promoted.at - day(40) >= 3 * (day(1) - day(0))


def test_a_shadow_that_wins_waits_for_a_person_otherwise(tmp_path: Path) -> None:
    """live.promote = manual: the verdict stands, the trial runs on, the incumbent stays."""
    with trying(tmp_path, BUSY, per_day=192) as project:
        project.live.start("v2", reason="a test")
        for number in range(40, 54):
            traffic(project, day(number), day(number + 1), told=day(60))
        (decision,) = project.live.act(day(56))
        assert decision.verdict == "promote" and decision.action is None
        assert project.roles().incumbent == "v1"
        assert project.roles().trial is not None


# --- what others do meanwhile

Act = Callable[[], object]


def finds(monkeypatch: pytest.MonkeyPatch, project: Project, verdict: str, meanwhile: Act, **numbers: Any) -> None:
    """Each look at the trial finds this; `meanwhile` is done during the first."""
    judge, left = project.live._judge, [meanwhile]

    def look(under: Any, now: int) -> Evidence:
        found = judge(under, now)
        if left:
            left.pop()()
        return replace(found, verdict=verdict, numbers={**found.numbers, **numbers})

    monkeypatch.setattr(project.live, "_judge", look)


def types(project: Project, after: int) -> list[str]:
    return [event.type for event in project.facts.ledger.events(after=after)]


def test_a_trial_that_was_stopped_during_its_look_is_not_promoted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A person's stop came first: the ticker folds again, and finds no trial."""
    with trying(tmp_path, AUTO) as project:
        project.live.start("v2", reason="a test")
        before = project.facts.ledger.sequence()
        finds(monkeypatch, project, "promote", lambda: project.live.stop("we do not want it"))
        assert project.live.act(day(44)) == []
        assert types(project, before) == ["TrialDecided"]
        assert project.roles().incumbent == "v1"


def test_a_trial_that_was_stopped_during_the_proof_is_not_promoted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Proving golden rows takes its time."""
    with trying(tmp_path, AUTO) as project:
        project.live.start("v2", reason="a test")
        finds(monkeypatch, project, "promote", lambda: None)
        monkeypatch.setattr(project, "_proved", lambda name: project.live.stop("harm"))
        assert project.live.act(day(44)) == []
        assert project.roles().incumbent == "v1"


def test_a_new_phase_is_not_raised_to_the_old_phases_next_step(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A person went down to 2 % while the look at 10 % allowed 50 %."""
    project.live.start("v2", mode="split", enrolled=0.1, reason="a test")
    allowed = {"enrolled_since": 0, "rows": {"challenger": 500, "incumbent": 500}, "split": {"p": 1.0}}
    judge, left = project.live._judge, [lambda: project.live.phase(0.02, "less risk", now=day(43))]

    def look(under: Any, now: int) -> Evidence:
        found = judge(under, now)
        if not left:
            return found
        left.pop()()
        return replace(found, verdict="continue", numbers={**found.numbers, **allowed})

    monkeypatch.setattr(project.live, "_judge", look)
    (decision,) = project.live.act(day(44))
    trial = project.roles().trial
    assert decision.action is None
    assert trial is not None and (trial.phase, trial.enrolled) == (2, 0.02)


def test_an_undisturbed_look_raises_enrolment(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """The look that is recorded just before is the ticker's own event."""
    project.live.start("v2", mode="split", enrolled=0.1, reason="a test")
    before = project.facts.ledger.sequence()
    rows = {"challenger": 500, "incumbent": 500}
    finds(monkeypatch, project, "continue", lambda: None, enrolled_since=0, rows=rows, split={"p": 1.0})
    assert [one.action for one in project.live.act(day(44))] == ["EnrolmentRaised"]
    assert types(project, before) == ["EvidenceRecorded", "EnrolmentRaised"]


def watching(project: Project, monkeypatch: pytest.MonkeyPatch, verdict: str, meanwhile: Act) -> int:
    """v3 replaced v2, which is watched; the first look finds this verdict, and `meanwhile` is done during it."""
    project.promote("v2", "it ships")
    project.promote(project.fit("train_again").name, "newer")
    project.live.watch("v2", day(40))
    judge, left = project.live._judge_watch, [meanwhile]

    def look(*of: Any) -> Evidence:
        found = judge(*of)
        if not left:
            return found
        left.pop()()
        return replace(found, verdict=verdict)

    monkeypatch.setattr(project.live, "_judge_watch", look)
    return project.facts.ledger.sequence()


def test_a_watch_takes_nobody_else_back(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """A person rolled v3 back during the look: v2, which answers again, stays."""
    before = watching(project, monkeypatch, "roll_back", lambda: project.rollback("errors"))
    assert project.live.act(day(41)) == []
    assert types(project, before) == ["RolledBack"]
    assert project.roles().incumbent == "v2"


def test_a_watch_lets_nobody_else_go(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """v3 was replaced too, and is watched instead, since the look that ended the days of v2."""

    def newest() -> None:
        project.promote(project.fit("train").name, "newest", now=day(79))
        project.live.watch("v3", day(79))

    watching(project, monkeypatch, "stop", newest)
    assert project.live.act(day(80)) == []
    assert project.roles().watch == "v3"


def test_a_watch_ends_after_its_days(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """The look that is recorded just before is the ticker's own event."""
    before = watching(project, monkeypatch, "stop", lambda: None)
    assert [one.action for one in project.live.act(day(80))] == ["WatchStopped"]
    assert types(project, before) == ["EvidenceRecorded", "WatchStopped"]


def test_a_ledger_that_never_stands_still_is_a_conflict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is decided, and it is said; the next turn decides."""
    with trying(tmp_path, AUTO) as project:
        project.live.start("v2", reason="a test")
        finds(monkeypatch, project, "promote", lambda: None)

        def noise(name: str) -> None:
            promote.alarm(project.facts.ledger, "noise", at=day(44), actor="else", reason="again")

        monkeypatch.setattr(project, "_proved", noise)
        with pytest.raises(LedgerConflict, match="Nothing was changed"):
            project.upkeep.look(now=day(44))
        assert len(project.facts.ledger.events(types=["AlarmRaised"])) == module.ROUNDS
        assert project.roles().incumbent == "v1"
        monkeypatch.setattr(project, "_proved", lambda name: None)
        assert [one.action for one in project.upkeep.look(now=day(44))] == ["Promoted"]


def test_a_promotion_by_hand_notices_what_came_during_the_proof(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its trial was ended for harm meanwhile."""
    project.live.start("v2", reason="a test")
    monkeypatch.setattr(project, "_proved", lambda name: project.live.stop("harm"))
    with pytest.raises(LedgerConflict, match=r"harm.*Nothing was changed"):
        project.promote("v2", "I know")
    assert project.roles().incumbent == "v1"


# --- what a decision still owes


def dies(*of: Any, **more: Any) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("promotes", ["auto", "manual"])
def test_a_shadow_that_won_goes_on_to_a_split(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, promotes: str
) -> None:
    """By itself, whoever promotes; at the next tick where the process died in between; once."""
    with trying(tmp_path, f'[live]\nmode = "both"\npromote = "{promotes}"\n') as project:
        project.live.start("v2", reason="a test")
        before = project.facts.ledger.sequence()
        with monkeypatch.context() as patch:
            finds(patch, project, "promote", lambda: None)
            patch.setattr(project.live, "_start", dies)
            with pytest.raises(KeyboardInterrupt):
                project.live.act(day(44))
        assert types(project, before) == ["TrialDecided"]
        project.live.act(day(45))
        assert types(project, before) == ["TrialDecided", "TrialStarted"]
        trial = project.roles().trial
        assert trial is not None and (trial.mode, trial.challenger, trial.started_at) == ("split", "v2", day(45))
        project.live.stop("enough")
        project.live.act(day(46))
        assert project.roles().trial is None and project.roles().incumbent == "v1"


def test_a_split_that_cannot_start_is_said_at_each_tick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rest of the tick is done."""
    with trying(tmp_path, '[live]\nmode = "both"\n') as project:
        project.live.start("v2", reason="a test")
        finds(monkeypatch, project, "promote", lambda: None)

        def refuses(name: str) -> None:
            raise DecisionRefused("its engine is gone")

        monkeypatch.setattr(project, "predictor", refuses)
        said: list[Decision] = []
        for number in (44, 45):
            said.extend(project.live.act(day(number)))
        assert [one.action for one in said] == ["TrialDecided", None, None]
        assert said[-1].reason == "The split of v2 cannot start: its engine is gone"


def test_no_split_is_owed_after_another_promotion(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The shadow was won against an incumbent that is gone."""
    with trying(tmp_path, '[live]\nmode = "both"\n') as project:
        project.live.start("v2", reason="a test")
        with monkeypatch.context() as patch:
            finds(patch, project, "promote", lambda: None)
            patch.setattr(project.live, "_start", dies)
            with pytest.raises(KeyboardInterrupt):
                project.live.act(day(44))
        project.promote(project.fit("train_again").name, "something else", now=day(44))
        assert project.live.act(day(45)) == []
        assert project.roles().trial is None


def test_a_watch_that_did_not_start_starts_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the process died after the promotion; once, and not after its days."""
    with trying(tmp_path, AUTO + "[retrain]\nwatch_days = 10\n") as project:
        project.promote("v2", "it ships", now=day(40))
        assert project.live.act(day(41)) == []  # the baseline, and by hand: nobody is watched
        project.live.start(project.fit("train_again").name, reason="a test", now=day(42))
        with monkeypatch.context() as patch:
            finds(patch, project, "promote", lambda: None)
            patch.setattr(project.live, "_watch", dies)
            with pytest.raises(KeyboardInterrupt):
                project.live.act(day(44))
        assert project.roles().incumbent == "v3" and project.roles().watch is None
        before = project.facts.ledger.sequence()
        project.live.act(day(54))
        assert types(project, before) == []
        project.live.act(day(45))
        assert project.roles().watch == "v2" and types(project, before) == ["WatchStarted"]
        project.live.act(day(45))
        assert types(project, before) == ["WatchStarted"]
