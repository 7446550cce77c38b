"""`incumbent expect`: the table, one document, one page, the ledger, and its exit codes."""

import json
import re
from pathlib import Path

import pytest
from parcels import write
from said import NOW, Command


def test_it_says_what_may_be_expected(command: Command, folder: Path, tmp_path: Path) -> None:
    """Floor, quick model, ceiling, the curve; a page that asks nobody for anything; evidence on the ledger."""
    page = tmp_path / "expect.html"
    code, out, _ = command("expect", "-p", folder, "--now", NOW, "--page", page)
    assert code == 0
    assert "rate by depot" in out and "quick model" in out and "today" in out and "NO GOAL: " in out
    html = page.read_text()
    assert "<svg" in html and "What may be expected of parcels" in html
    assert not re.findall(r"<script|<link[^>]+href=.http|src=.http|@import", html)
    (event,) = json.loads(command("log", "-p", folder, "-n", "1", "--json")[1])
    assert event["type"] == "EvidenceRecorded" and event["data"]["step"] == "expect"


def test_a_goal_out_of_reach_exits_1(command: Command, folder: Path) -> None:
    code, out, _ = command("expect", "-p", folder, "--now", NOW, "--goal", "0.01", "--json")
    found = json.loads(out)
    assert (found["verdict"], code) in (("out_of_reach", 1), ("not_enough_data", 3))
    assert found["numbers"]["goal"] == 0.01


def test_the_plans_goal_is_the_one(command: Command, folder: Path) -> None:
    """And what is delivered stands beside it from then on: in status, held out and live."""
    with (folder / "incumbent.toml").open("a") as file:
        file.write("[plan]\ngoal = 0.3\n")
    code, out, _ = command("expect", "-p", folder, "--now", NOW)
    assert code == 0 and "REACHED" in out and "no better than the floor" in out
    command("baseline", "-p", folder, "--now", NOW)
    command("gate", "--train", "-p", folder, "--now", NOW)
    command("promote", "v2", "-p", folder, "-r", "it ships")
    told = json.loads(command("status", "-p", folder, "--json")[1])["delivered"]
    assert (told["goal"], told["verdict"], told["floor_name"]) == (0.3, "reached", "rate by depot")
    assert 0.1 < told["held_out"] < told["floor"] and told["live"] is None
    shown = command("status", "-p", folder)[1]
    assert "Expected and delivered (brier)" in shown and "reaches the goal" in shown


def test_few_rows_exit_3(command: Command, tmp_path: Path) -> None:
    """The floor is told all the same."""
    few = write(tmp_path / "few", days=14, per_day=24)
    code, out, _ = command("expect", "-p", few, "--goal", "0.15")
    assert code == 3 and "Not enough data" in out and "floor" in out


@pytest.mark.parametrize(
    ("kind", "target", "metric"), [("multiclass", "size", "log_loss"), ("regression", "hours", "rmse")]
)
def test_other_kinds(command: Command, tmp_path: Path, kind: str, target: str, metric: str) -> None:
    other = write(tmp_path / kind, kind=kind, target=target, metric=metric)
    code, out, _ = command("expect", "-p", other, "--json", "--page", tmp_path / "page.html")
    found = json.loads(out)["numbers"]
    assert code == 0 and found["metric"] == metric
    assert found["curve"]["points"][-1]["value"] < found["floor"]["value"]
