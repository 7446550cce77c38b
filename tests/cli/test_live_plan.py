"""`incumbent live plan`: traffic, labels, gains and days in words, as JSON and as a picture."""

import json
from pathlib import Path

import pytest
from parcels import day, traffic, write
from said import Command, refused

from incumbent.project import open_project

AT = "2024-02-25T00:00:00+00:00"  # day 55


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The prior answered from day 40 to day 55; v2 wants its place."""
    folder = write(tmp_path_factory.mktemp("plan") / "parcels", "[live]\nwindow_hours = 36\n")
    with open_project(folder, clock=lambda: day(55), actor="test") as project:
        project.baseline(now=day(40))
        project.train(now=day(40))
        traffic(project, day(40), day(55))
    return folder


def test_a_plan_in_words(command: Command, served: Path) -> None:
    """Days, gains, what was paired, the warning of late labels and what to do; exit code 0."""
    code, out, err = command("live", "plan", "v2", "-p", served, "--now", AT, "--effect", "0.05")
    assert (code, err) == (0, "")
    for words in ("48 rows a day", "inside 36 hours", "The losses of v2 and v1 have a correlation of", "28 days",
                  "To show a gain of 0.05 takes a split", "live.window_hours = 36", "Recommended: shadow"):  # fmt: skip
        assert words in out, words


def test_a_plan_as_json_and_as_a_picture(command: Command, served: Path, tmp_path: Path) -> None:
    """One document; the picture has the words of its axes."""
    picture = tmp_path / "plan.svg"
    code, out, err = command("live", "plan", "-p", served, "--now", AT, "--json", "--picture", picture)
    found = json.loads(out)
    assert (code, found["verdict"], found["subject"]) == (0, "shadow", "v2")
    assert [one["days"] for one in found["numbers"]["plan"]["gains"]] == [7, 14, 28]
    assert "drew" in err and "smallest gain in brier" in picture.read_text(encoding="utf-8")


def test_a_short_log_leaves_with_3(command: Command, served: Path, tmp_path: Path) -> None:
    """It says what would do, and draws nothing."""
    picture = tmp_path / "plan.svg"
    code, out, _ = command("live", "plan", "-p", served, "--now", "2024-02-12T00:00:00+00:00", "--picture", picture)
    assert code == 3 and not picture.exists()
    assert out.startswith("NOT ENOUGH DATA: a trial of v2 cannot be planned yet") and "ask again in" in out


def test_wrong_options(command: Command, served: Path) -> None:
    """A gain of nothing, a picture of no known kind, the incumbent, an unknown version."""
    refused(command("live", "plan", "-p", served, "--effect", "0"), 2, "--effect 0", "above 0")
    refused(command("live", "plan", "-p", served, "--picture", "plan.gif"), 2, "plan.gif", ".svg")
    refused(command("live", "plan", "v1", "-p", served, "--now", AT), 2, "v1 is the incumbent")
    refused(command("live", "plan", "v9", "-p", served, "--now", AT), 4, "'v9'", "v1, v2")
