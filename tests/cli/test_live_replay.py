"""Looking back at the terminal: recorded looks again, and an ended trial with the labels that came since."""

import json
import sqlite3
from pathlib import Path

from parcels import day
from said import Command, refused
from splits import HOUR, answered

from incumbent.project import Project


def tried(project: Project) -> None:
    """A split of one day, looked at every six hours."""
    project.fit("train_again", now=day(45))
    project.live.start("v3", mode="split", enrolled=1.0, reason="a test", now=day(50))
    for step in range(1, 5):
        answered(project, day(50) + (step - 1) * 6 * HOUR, day(50) + step * 6 * HOUR, a_day=200)
        project.live.act(day(50) + step * 6 * HOUR)


def test_recorded_looks_are_repeated(command: Command, project: Project, folder: Path) -> None:
    """Exit 0 where each is the same, 1 where one differs; then the first differences and why are told."""
    tried(project)
    name = project.roles().trial.name  # type: ignore[union-attr]
    code, out, _ = command("live", "replay", "-p", folder)
    assert code == 0 and f"Looks at trial {name}" in out
    assert "4 of 4 recorded looks are repeated to the byte" in out
    (path,) = (folder / ".incumbent").rglob("log.db")
    with sqlite3.connect(path) as log:
        log.execute("UPDATE prediction SET fallback_reason = 'timeout' WHERE trial IS NOT NULL")
    log.close()
    code, out, _ = command("live", "replay", name, "-p", folder)
    assert code == 1 and "0 of 4" in out and "DIFFERS" in out
    assert "nothing on the ledger says why" in out and "more" in out
    assert "0 of 2" in command("live", "replay", "-p", folder, "--last", "2")[1]
    code, out, _ = command("live", "replay", "-p", folder, "--json")
    found = json.loads(out)
    assert code == 1 and [one["look"] for one in found] == [1, 2, 3, 4]
    assert any("numbers.guardrails[errors].events.challenger: 0, now" in part for part in found[0]["differs"])


def test_a_trial_that_was_never_looked_at_is_said(command: Command, project: Project, folder: Path) -> None:
    refused(command("live", "replay", "t99", "-p", folder), 2, "found no recorded look at trial 't99'")


def test_an_ended_trial_is_asked_again(command: Command, project: Project, folder: Path) -> None:
    """What it would say with the labels that came since; one that runs is not over."""
    tried(project)
    refused(command("live", "afterwards", "-p", folder), 2, "still runs")
    project.live.stop("seen", now=day(51))
    code, out, _ = command("live", "afterwards", "-p", folder, "--now", "2024-02-23T00:00:00+00:00")
    assert code == 0 and " was stopped by hand on 2024-02-21; with the " in out and "Test group (challenger)" in out
    found = json.loads(command("live", "afterwards", "-p", folder, "--json")[1])
    assert found["verdict"] == "continue" and found["numbers"]["labelled"]["challenger"] > 50
