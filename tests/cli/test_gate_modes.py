"""`incumbent gate` and `incumbent promote` at the terminal: modes, overrides, plans, simulations."""

import json
from pathlib import Path

import pytest
from parcels import day, write
from said import Command

from incumbent.project import open_project


def made(folder: Path, more: str = "") -> Path:
    """v1 is the baseline, v2 the incumbent, v3 knows nothing."""
    with open_project(write(folder, more), clock=lambda: day(60), actor="test") as project:
        project.baseline(now=day(40))
        project.promote(project.fit("train", now=day(40)).name, "first", now=day(40))
        project.fit("train_useless", now=day(50))
    return folder


def test_an_override_is_said_and_opens_the_door(command: Command, tmp_path: Path) -> None:
    """Held: exit 1, promotion refused with 2; override: exit 0, and log and promotion say so."""
    folder = made(tmp_path)
    assert command("gate", "v3", "-p", folder)[0] == 1
    code, out, err = command("promote", "v3", "-r", "I like it", "-p", folder)
    assert (code, out) == (2, "") and "the gate says hold about v3" in err and "--override" in err
    code, _, err = command("gate", "v3", "--override", "-p", folder)
    assert code == 2 and "reason" in err
    code, out, _ = command("gate", "v3", "--override", "-r", "the holdout was broken", "-p", folder)
    assert code == 0 and out.startswith("The verdict hold about v3 (event ") and "the holdout was broken" in out
    assert command("promote", "v3", "-r", "I like it", "-p", folder)[0] == 0
    assert "was overridden: the holdout was broken" in command("log", "-p", folder)[1]


def test_promote_overrides_in_one_go(command: Command, tmp_path: Path) -> None:
    folder = made(tmp_path)
    command("gate", "v3", "-p", folder)
    assert command("promote", "v3", "--override", "-r", "I like it", "-p", folder)[0] == 0
    types = [event["type"] for event in json.loads(command("log", "-p", folder, "--json")[1])]
    assert types[-2:] == ["Overridden", "Promoted"]
    code, _, err = command("promote", "v2", "--override", "-r", "back", "-p", folder)
    assert code == 2 and "nothing to override" in err


@pytest.mark.parametrize(("mode", "word"), [("dry_run", "HOLD"), ("off", "OFF")])
def test_a_gate_that_decides_nothing_leaves_with_0_and_warns(
    command: Command, tmp_path: Path, mode: str, word: str
) -> None:
    """The verdict (or that there is none) is printed; standard error says that nobody is held."""
    folder = made(tmp_path, f'[gate]\nmode = "{mode}"\n')
    code, out, err = command("gate", "v3", "-p", folder)
    assert code == 0 and out.startswith(f"{word}: v3")
    assert f"WARNING: gate.mode = {mode}: this gate holds nobody back" in err
    code, out, _ = command("gate", "--train", "--recipe", "train_useless", "-p", folder)
    assert code == 0 and "registered as v4" in out


def test_a_plan_is_a_table_or_json(command: Command, tmp_path: Path) -> None:
    folder = made(tmp_path)
    code, out, _ = command("gate", "--plan", "-p", folder)
    assert code == 0 and "smallest gain" in out and "of a candidate as unlike v2 as:" in out
    found = json.loads(command("gate", "--plan", "-p", folder, "--json")[1])
    assert {one["like"] for one in found} == {"v1", "v3"}
    assert found[0]["rows"][1]["rows"] == pytest.approx(4 * found[0]["rows"][0]["rows"], rel=0.01)


def test_a_simulation_is_a_table_or_json(command: Command) -> None:
    """No project is needed; the same seed prints the same."""
    code, out, _ = command("gate", "simulate", "--runs", 30, "--seed", 1)
    assert code == 0 and "1 point better, n = 5,000" in out and "MISSED" not in out
    assert command("gate", "simulate", "--runs", 30, "--seed", 1)[1] == out
    found = json.loads(command("gate", "simulate", "--runs", 30, "--json")[1])
    assert all(one["holds"] for one in found) and len(found) > 15


def test_a_simulation_on_own_losses(command: Command, tmp_path: Path) -> None:
    """Equal candidates as unlike the incumbent as the others are: the project's own days and losses."""
    folder = made(tmp_path)
    code, out, _ = command("gate", "simulate", "--own", "--runs", 50, "-p", folder)
    assert code == 0 and "equal, as unlike v2 as v1 is" in out and "as v3 is" in out


def test_a_simulation_that_misses_a_limit_exits_1(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """A scenario that must hardly ever ship and always does."""
    from incumbent.steps.gate import scenarios

    draw = next(one for one in scenarios.all_of() if one.name.startswith("better in the mean")).draw
    monkeypatch.setattr(scenarios, "all_of", lambda: [scenarios.Scenario("broken", draw, 0.05)])
    code, out, _ = command("gate", "simulate", "--runs", 20)
    assert code == 1 and "MISSED" in out
