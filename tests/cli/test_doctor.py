"""`incumbent doctor`: what is open, the card, a person's word, and exit codes for CI."""

import json
from pathlib import Path

import pytest
from said import Command, refused

from incumbent.project import Project
from incumbent.runtimes import artefact

PLAN = (
    '[plan]\nbeat = "a"\nship_when = "b"\nfall_back_on = "c"\nlatency_budget_ms = 5\nretrain = "d"\n'
    'reviewers = ["e"]\ngoal = 0.2\n'
)


def answered(folder: Path, plan: str = PLAN) -> None:
    with (folder / "incumbent.toml").open("a") as file:
        file.write(plan)


def test_it_finds_what_is_open(command: Command, project: Project, folder: Path) -> None:
    """The plan's unanswered questions are open; what stands is ok. Exit 1 while something is open."""
    code, out, _ = command("doctor", "-p", folder, "--json")
    found = {one["check"]: one for one in json.loads(out)["checks"]}
    assert code == 1
    assert not found["plan: beat"]["ok"] and "[plan] beat" in found["plan: beat"]["do"]
    assert all(one["ok"] for name, one in found.items() if not name.startswith("plan: "))
    assert {"v1 repeats its golden rows", "v2 repeats its golden rows", "plan: goal"} <= set(found)
    assert "OPEN" in command("doctor", "-p", folder)[1]


def test_a_whole_project_exits_0_whatever_its_score(command: Command, project: Project, folder: Path) -> None:
    """The card informs; only --at-least makes it fail."""
    answered(folder)
    code, out, _ = command("doctor", "-p", folder)
    assert code == 0, out
    assert "Score " in out and "Features and data" in out and "of 7" in out
    assert command("doctor", "-p", folder, "--at-least", "0")[0] == 0
    assert command("doctor", "-p", folder, "--at-least", "6.5")[0] == 1


def test_the_card_tells_what_the_log_holds(command: Command, project: Project, folder: Path) -> None:
    told = json.loads(command("doctor", "-p", folder, "--json")[1])["readiness"]
    lines = {line["id"]: line for line in told["lines"]}
    assert told["score"] == min(group["points"] for group in told["groups"])
    assert lines["infrastructure-debuggable"]["points"] == 1.0
    assert "480 answers are in the log" in lines["infrastructure-debuggable"]["found"]
    assert lines["infrastructure-validated"]["points"] == 1.0


def test_a_person_attests_and_the_ledger_keeps_it(
    command: Command, project: Project, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a point under the person's name, an event with its reason; nothing without a reason or for no test."""
    monkeypatch.setenv("INCUMBENT_ACTOR", "ada")
    refused(command("doctor", "-p", folder, "--attest", "model-fair"), 2, "--reason")
    refused(command("doctor", "-p", folder, "--attest", "model-fare", "-r", "x"), 2, "did you mean 'model-fair'?")
    _, out, said = command("doctor", "-p", folder, "--attest", "model-fair", "-r", "errors by age compared", "--json")
    (line,) = (line for line in json.loads(out)["readiness"]["lines"] if line["id"] == "model-fair")
    assert (line["points"], line["attested_by"]) == (0.5, "ada") and "errors by age" in line["found"]
    assert "A person attests that model-fair holds: errors by age compared." in " ".join(said.split())
    (event,) = json.loads(command("log", "-p", folder, "-n", "1", "--json")[1])
    assert (event["type"], event["actor"], event["data"]) == ("Attested", "ada", {"test": "model-fair"})


def test_the_plans_cadence_must_be_the_tickers(command: Command, project: Project, folder: Path) -> None:
    """The project's ticker refits every 10 days: a plan that says a month is open, one that says 10 days is not."""
    for said, ok in (("1 month", False), ("every 10 days", True), ("when it rains", None)):
        text = (folder / "incumbent.toml").read_text().partition("[plan]")[0]
        (folder / "incumbent.toml").write_text(text + PLAN.replace('"d"', f'"{said}"'))
        found = {one["check"]: one["ok"] for one in json.loads(command("doctor", "-p", folder, "--json")[1])["checks"]}
        assert found.get("the plan's cadence is the ticker's") is ok


def test_libraries_that_changed_and_made_no_difference_are_named(
    command: Command, project: Project, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The golden rows decide: a version that repeats them loads, and the change is said."""
    now = artefact.libraries()
    monkeypatch.setattr(artefact, "libraries", lambda: now | {"numpy": "99.0"})
    _, out, _ = command("doctor", "-p", folder, "--json")
    found = {one["check"]: one for one in json.loads(out)["checks"]}["v2 repeats its golden rows"]
    assert found["ok"] and found["found"] == f"yes, though since then changed: numpy {now['numpy']} → 99.0"
