"""`incumbent gate` in continuous integration: files for every verdict, exit codes, and a ledger that stays true."""

import json
from pathlib import Path
from xml.etree import ElementTree as Xml

import pytest
from parcels import write
from said import Command

from incumbent.ci import places
from incumbent.project import open_project

FULL = Path("/dev/full")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project without any version."""
    return write(tmp_path / "parcels")


def events(folder: Path) -> list[str]:
    with open_project(folder) as project:
        return [event.type for event in project.facts.ledger.events()]


def results(path: Path) -> list[str]:
    """What became of each test case of a JUnit file."""
    return [case[0].tag if len(case) else "passed" for case in Xml.parse(path).iter("testcase")]


@pytest.mark.parametrize(
    ("settings", "arguments", "code", "verdict", "result"),
    [
        ("", ["--train"], 0, "ship", ["passed"] * 3),
        ("", ["--train", "--recipe", "train_useless"], 1, "hold", ["passed", "failure", "passed"]),
        ("[gate]\nmin_rows = 5000\n", ["--train"], 3, "not_enough_data", ["skipped", "passed", "passed"]),
        ("", ["--train", "--recipe", "train_nothing"], 4, "error", ["error"]),
        ("", ["--candidate", "v99"], 4, "error", ["error"]),
        ("", ["v1", "--train"], 2, "error", ["error"]),
        ("", ["--train", "--now", "yesterday"], 2, "error", ["error"]),
    ],
)
def test_every_verdict_writes_every_file(
    command: Command, tmp_path: Path, settings: str, arguments: list[str], code: int, verdict: str, result: list[str]
) -> None:
    """Exit code, JSON, JUnit and the lines for a shell agree, and no output is missing."""
    folder, out = write(tmp_path / "parcels", settings), tmp_path / "gate"
    assert command("gate", *arguments, "-p", folder, "--out", out)[0] == code
    assert sorted(path.name for path in out.iterdir()) == sorted([*places.NAMES.values(), "picture.png"])
    assert json.loads((out / "gate.json").read_text())["verdict"] == verdict
    assert results(out / "junit.xml") == result
    assert f"INCUMBENT_VERDICT={verdict}\n" in (out / "gate.env").read_text()


def test_the_json_file_is_what_json_prints(command: Command, folder: Path, tmp_path: Path) -> None:
    _, out, _ = command("gate", "--train", "-p", folder, "--json", "--json-file", tmp_path / "g.json")
    assert json.loads(out) == json.loads((tmp_path / "g.json").read_text())


def test_a_candidate_by_name_is_the_argument(command: Command, folder: Path) -> None:
    command("gate", "--train", "-p", folder)
    code, out, _ = command("gate", "--candidate", "v2", "-p", folder, "--json")
    assert (code, json.loads(out)["subject"]) == (0, "v2")
    assert command("gate", "v2", "--candidate", "v2", "-p", folder)[0] == 0
    code, _, err = command("gate", "v2", "--candidate", "v1", "-p", folder)
    assert code == 2 and "name one version" in err


def test_lacking_data_may_be_allowed_and_stays_a_verdict(command: Command, tmp_path: Path) -> None:
    """Exit 0 instead of 3; what holds is not let through by it."""
    folder = write(tmp_path / "few", "[gate]\nmin_rows = 5000\n")
    code, out, _ = command("gate", "--train", "-p", folder, "--allow-not-enough-data", "--json")
    assert (code, json.loads(out)["verdict"], json.loads(out)["version"]) == (0, "not_enough_data", None)
    useless = write(tmp_path / "useless")
    assert command("gate", "--train", "--recipe", "train_useless", "-p", useless, "--allow-not-enough-data")[0] == 1


# --- a store without an incumbent


def test_on_an_empty_store_the_baseline_comes_first_and_it_is_said(
    command: Command, folder: Path, tmp_path: Path
) -> None:
    """A fresh checkout: the candidate is compared with the best naive rule, and every output says so."""
    code, out, err = command("gate", "--train", "-p", folder, "--out", tmp_path / "g")
    assert code == 0 and out.startswith("SHIP: ") and "the baseline came first" in err
    for name in ("summary.md", "gate.json", "report.html", "junit.xml"):
        assert "the baseline came first" in (tmp_path / "g" / name).read_text(), name
    assert events(folder)[-2:] == ["GateDecided", "VersionRegistered"]
    assert "the baseline came first" not in command("gate", "--train", "-p", folder)[2]


def test_no_baseline_refuses_an_empty_store(command: Command, folder: Path) -> None:
    """Where there must be an incumbent, a store that was not fetched is an error."""
    code, _, err = command("gate", "--train", "--no-baseline", "-p", folder)
    assert code == 4 and "fetch the store that holds it, or run `incumbent baseline` first" in err
    assert events(folder) == []


# --- the service at hand


def test_on_github_the_step_summary_and_the_outputs_are_written(
    command: Command, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    summary, outputs = tmp_path / "summary", tmp_path / "outputs"
    service = {"CI": "true", "GITHUB_ACTIONS": "true", "GITHUB_WORKSPACE": tmp_path, "GITHUB_STEP_SUMMARY": summary,
               "GITHUB_OUTPUT": outputs}  # fmt: skip
    for name, value in service.items():
        monkeypatch.setenv(name, str(value))
    assert command("gate", "--train", "-p", folder)[0] == 0
    assert summary.read_text().startswith("### 🟢 Ship: train without")
    assert outputs.read_text() == "verdict=ship\nversion=v2\nreference=v1\n"
    assert (tmp_path / "incumbent-gate" / "report.html").exists()


def test_no_ci_writes_nothing(
    command: Command, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", "true")
    monkeypatch.chdir(tmp_path)
    command("gate", "--train", "--no-ci", "-p", folder)
    assert not (tmp_path / "incumbent-gate").exists()


# --- a path that cannot be written


def test_a_wrong_path_costs_no_training_and_leaves_the_ledger_alone(
    command: Command, folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    code, _, err = command("gate", "--train", "-p", folder, "--junit", tmp_path / "file" / "j.xml")
    assert code == 4 and "could not be written" in err
    assert events(folder) == []


@pytest.mark.skipif(not FULL.exists(), reason="a device that is always full is Linux's")
def test_a_full_disk_is_an_error_and_the_verdict_stands(command: Command, folder: Path, tmp_path: Path) -> None:
    """Exit 4 although it ships; what is on the ledger is what a gate without files leaves there."""
    command("baseline", "-p", folder)
    before = events(folder)
    code, out, err = command("gate", "--train", "-p", folder, "--summary", FULL, "--junit", tmp_path / "j.xml")
    assert code == 4 and out.startswith("SHIP: ") and "/dev/full could not be written" in err
    assert results(tmp_path / "j.xml") == ["passed"] * 3
    assert events(folder)[len(before) :] == ["GateDecided", "VersionRegistered"]


@pytest.mark.skipif(not FULL.exists(), reason="a device that is always full is Linux's")
def test_an_error_keeps_its_exit_code_where_it_cannot_be_written_either(command: Command, tmp_path: Path) -> None:
    """Both are said: what went wrong, and what could not be written about it."""
    code, _, err = command("gate", "--train", "-p", tmp_path, "--summary", FULL)
    assert code == 2 and "incumbent.toml: no such file" in err and "/dev/full could not be written" in err
