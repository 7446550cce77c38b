"""Trials of a project: who may start one, what stops it, what a verdict does."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from parcels import day, traffic, write

from incumbent.errors import DecisionRefused, UnknownVersion
from incumbent.project import Project, open_project

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


def test_a_third_arm_where_it_is_asked_for(tmp_path: Path) -> None:
    """`live.third_arm` deals a split in three; a shadow has no arms."""
    with trying(tmp_path, "[live]\nthird_arm = true\n") as project:
        trial = project.live.start("v2", mode="split", reason="a test")
        assert (trial.share, trial.called) == (1 / 3, 1 / 3)
        project.live.stop("a test")
        trial = project.live.start("v2", mode="shadow", reason="a test")
        assert (trial.share, trial.called) == (0.5, 0.0)


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
