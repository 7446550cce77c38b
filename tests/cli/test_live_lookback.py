"""`incumbent live lookback`: a file without a project, a version on the project's log, and what is refused."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from parcels import day, traffic, write
from said import Command, refused

from incumbent.project import open_project


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Items that earn .2 and .5; the new policy shows the second nine times of ten."""
    rng = np.random.default_rng(0)
    item = rng.integers(0, 2, 3_000)
    rows = pd.DataFrame({
        "item": np.array(["a", "b"])[item], "click": (rng.random(3_000) < np.array([0.2, 0.5])[item]).astype(int),
        "chance": 0.5, "new": np.array([0.1, 0.9])[item], "old": np.array([0.9, 0.1])[item],
    })  # fmt: skip
    rows.to_csv(tmp_path / "log.csv", index=False)
    return tmp_path / "log.csv"


COLUMNS = ("--reward", "click", "--propensity", "chance")


def test_a_file_in_words(command: Command, log: Path) -> None:
    """Verdict, weights and each estimator; exit code 0 for better, 1 for worse."""
    code, out, err = command("live", "lookback", log, *COLUMNS, "--policy", "new")
    assert (code, err) == (0, "")
    for words in ("BETTER: new would have had a mean click of 0.4", "effective sample size", "expected 1",
                  "self-normalised", "inverse propensity", "log had"):  # fmt: skip
        assert words in out, words
    assert command("live", "lookback", log, *COLUMNS, "--policy", "old")[0] == 1


def test_a_log_that_cannot_bear_it_leaves_with_3(command: Command, log: Path) -> None:
    """It says why, what would do, and no estimate."""
    rows = pd.read_csv(log)
    rows.head(90).to_csv(log, index=False)
    code, out, _ = command("live", "lookback", log, *COLUMNS, "--policy", "new")
    assert code == 3 and out.startswith("NOT ENOUGH DATA: what new would have earned cannot be said")
    assert "rows like these would do" in out and "self-normalised" not in out


def test_two_logs(command: Command, log: Path) -> None:
    """What was measured comes first and decides the exit code."""
    other = log.with_name("other.csv")
    rows = pd.read_csv(log)
    rows[(rows["item"] == "b") | (rows.index % 9 == 0)].to_csv(other, index=False)
    code, out, _ = command("live", "lookback", log, *COLUMNS, "--action", "item", "--new", other, "--json")
    measured, looked = json.loads(out)
    assert code == 0 and measured["verdict"] == looked["verdict"] == "better"
    _, out, _ = command("live", "lookback", log, *COLUMNS, "--action", "item", "--new", other)
    assert out.index("side by side") < out.index("Looked back for")


def test_a_wrong_cell_and_a_wrong_column(command: Command, log: Path) -> None:
    """Row, column, value and what was expected; or the columns that there are."""
    rows = pd.read_csv(log)
    rows.loc[2, "chance"] = 0.0
    rows.to_csv(log, index=False)
    asked = ("live", "lookback", log, *COLUMNS)
    refused(command(*asked, "--policy", "new"), 4, "row 2, column 'chance': found 0.0, expected", "above 0")
    refused(command(*asked, "--policy", "newer"), 4, "column 'newer': no such column", "found item, click")
    refused(command("live", "lookback", log.with_name("none.csv"), *COLUMNS, "--policy", "new"), 4, "none.csv")


def test_wrong_options(command: Command, log: Path, tmp_path: Path) -> None:
    """Each refusal names the option that is lacking, or one too many."""
    asked = ("live", "lookback", log, *COLUMNS)
    refused(command("live", "lookback"), 2, "LOG file", "--version")
    refused(command("live", "lookback", log, "--policy", "new"), 2, "--reward and --propensity")
    refused(command(*asked), 2, "--policy COLUMN", "--new FILE")
    refused(command(*asked, "--policy", "new", "--new", log), 2, "one of the two")
    refused(command(*asked, "--new", log), 2, "--action")
    refused(command(*asked, "--policy", "new", "--action", "item"), 2, "--action", "only with --new")
    refused(command(*asked, "--new", log, "--action", "item", "--model", "old"), 2, "--model", "only with --policy")
    refused(command(*asked, "--policy", "new", "--model", "old"), 2, "go together")
    refused(command(*asked, "--policy", "new", "--version", "v2"), 2, "--version")
    refused(command("live", "lookback", "--version", "v2", "--reward", "click", "-p", tmp_path), 2, "--reward")


def test_a_version_on_the_log_of_its_split(command: Command, tmp_path: Path) -> None:
    """Fifty customers are too few to say anything; the JSON says how many they are worth."""
    folder = write(tmp_path / "parcels", '[live]\nmode = "split"\nwindow_hours = 48\nenrol = [1.0]\n')
    at = ("--now", "2024-02-25T00:00:00+00:00")
    with open_project(folder, clock=lambda: day(55), actor="test") as project:
        project.baseline(now=day(40))
        project.train(now=day(40))
        project.live.start("v2", mode="split", reason="a test", now=day(40))
        traffic(project, day(40), day(55))
    code, out, _ = command("live", "lookback", "--version", "v2", "-p", folder, *at, "--json")
    (found,) = json.loads(out)
    assert code == 3 and found["subject"] == "v2" and found["reference"] == "v1"
    assert found["numbers"]["lookback"]["units"] == 50
    _, out, _ = command("live", "lookback", "--version", "v2", "-p", folder, *at)
    assert "50 units are worth" in out
    refused(command("live", "lookback", "--version", "v2", "--outcome", "x", "-p", folder, *at), 4, "loss or label")
