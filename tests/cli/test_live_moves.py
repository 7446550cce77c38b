"""`incumbent live start`, `enrol`, `phase` and `stop`: what will happen is said before it does, and nothing is done
without a reason."""

from pathlib import Path

import pytest
from parcels import day
from said import Command, refused

from incumbent.project import Project


@pytest.fixture
def split(project: Project) -> str:
    """A version that may be tried on a split by customer."""
    return project.fit("train_again", now=day(45)).name


def test_a_split_is_steered_by_hand(command: Command, split: str, project: Project, folder: Path) -> None:
    """Each move says what it will do on standard error, and what it did on standard output."""
    code, out, err = command(
        "live", "start", split, "-p", folder, "-r", "to see", "--mode", "split", "--enrolled", "0.1"
    )
    assert code == 0 and "10% of the units enrolled" in out and "Half of them will be answered by v3" in err
    code, out, err = command("live", "enrol", "0.5", "-p", folder, "-r", "it goes well")
    assert code == 0 and "now enrols 50 % of the units: it goes well." in out and "Nobody changes arm" in err
    refused(command("live", "enrol", "0.2", "-p", folder, "-r", "less risk"), 2, "live phase 0.2")
    code, out, err = command("live", "phase", "0.2", "-p", folder, "-r", "a feed was broken")
    assert code == 0 and "began phase 2 with 20 % of the units" in out and "leaves the decision" in err
    trial = project.roles().trial
    assert trial is not None and (trial.phase, trial.enrolled) == (2, 0.2)
    code, out, err = command("live", "stop", "-p", folder, "-r", "enough")
    assert code == 0 and "was stopped by hand" in out and "v2 will answer everybody" in err


def test_no_move_without_a_reason(command: Command, split: str, project: Project, folder: Path) -> None:
    """Nothing is appended."""
    before = project.roles().sequence
    refused(command("live", "start", split, "-p", folder), 2, "no reason to start a trial")
    refused(command("live", "enrol", "0.5", "-p", folder), 2, "--reason")
    refused(command("live", "phase", "0.5", "-p", folder, "-r", " "), 2, "no reason to begin a new phase")
    refused(command("live", "enrol", "7", "-p", folder, "-r", "r"), 2, "share")
    assert project.roles().sequence == before
