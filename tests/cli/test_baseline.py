"""`incumbent baseline`: the table, the picture, and whether a score is good, with a project and without."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from parcels import write
from said import Command

from incumbent.project import open_project

NOW = "2024-02-10T00:00:00+00:00"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(tmp_path / "parcels")


@pytest.fixture
def weather(tmp_path: Path) -> Path:
    """A year and a half of a weekly season."""
    generator, days = np.random.default_rng(0), np.arange(500)
    temp = 10 + 5 * np.sin(2 * np.pi * days / 7) + generator.normal(size=500)
    at = pd.date_range("2020-01-01", periods=500).strftime("%Y-%m-%d")
    path = tmp_path / "weather.csv"
    pd.DataFrame({"date": at, "temp": temp}).to_csv(path, index=False)
    return path


def test_the_table_marks_the_best_rule_and_says_what_each_is(command: Command, folder: Path) -> None:
    """Small models stand in their place by value, named as what they are; perfect is in the title."""
    code, out, _ = command("baseline", "-p", folder, "--now", NOW)
    assert code == 0 and "perfect is 0" in out
    marked = [line for line in out.splitlines() if "→" in line]
    assert len(marked) == 1 and "rate by depot" in marked[0]
    assert any("logistic regression" in line and "small model, for comparison" in line for line in out.splitlines())
    assert "Best of 4 naive rules: rate by depot" in out
    assert out.splitlines()[-1] == "v1 (rate by depot) is the baseline and the first incumbent"
    again = command("baseline", "-p", folder, "--now", NOW)[1]
    assert again.splitlines()[-1] == "v2 (rate by depot) is the baseline behind the incumbent v1"


def test_the_dashboard_has_its_picture_at_once(command: Command, folder: Path) -> None:
    """Drawn into the store, where the page finds it."""
    command("baseline", "-p", folder, "--now", NOW)
    drawn = (folder / ".incumbent").rglob("*")
    assert any(b"What must be beaten, the best on top" in path.read_bytes() for path in drawn if path.is_file())


@pytest.mark.parametrize(
    ("name", "begins"), [("rules.svg", b"<svg"), ("rules.png", b"\x89PNG"), ("rules.html", b"<!DOCTYPE html>")]
)
def test_a_picture_is_written_in_each_format(
    command: Command, folder: Path, tmp_path: Path, name: str, begins: bytes
) -> None:
    code, _, _ = command("baseline", "-p", folder, "--now", NOW, "--picture", tmp_path / name)
    assert code == 0 and (tmp_path / name).read_bytes().startswith(begins)


def test_a_picture_of_another_kind_is_refused_at_once(command: Command, folder: Path, tmp_path: Path) -> None:
    """Before anything is fitted or registered."""
    code, _, err = command("baseline", "-p", folder, "--picture", tmp_path / "rules.gif")
    assert code == 2 and ".svg, .png, .html" in err
    with open_project(folder) as project:
        assert project.roles().versions == {}


@pytest.mark.parametrize(("score", "code", "word"), [(0.05, 0, "better than"), (0.9, 1, "worse than")])
def test_a_score_is_answered_in_one_sentence_and_by_the_exit_code(
    command: Command, folder: Path, score: float, code: int, word: str
) -> None:
    """Nothing is registered by asking."""
    found, out, _ = command("baseline", "-p", folder, "--now", NOW, "--score", score)
    assert found == code
    assert f"brier {score} is {word} the best naive rule" in out.splitlines()[-1]
    assert "Warning: a logistic regression reaches" in out
    with open_project(folder) as project:
        assert project.roles().versions == {}


def test_a_bare_file_will_do(command: Command, weather: Path, tmp_path: Path) -> None:
    """Worse than last week and better than yesterday: both are said. No store is left behind."""
    code, out, _ = command("baseline", "--data", weather, "--target", "temp", "--score", 2.0, "--metric", "mae")
    assert code == 1
    assert "· kind: forecast" in out and "· time: date" in out
    answer = out.splitlines()[-1]
    assert "of mean of 2 seasons (season 7) (95 %" in answer and "of last value (95 %" in answer
    assert "above" in answer and "below" in answer
    assert {path.name for path in tmp_path.iterdir()} == {"weather.csv"}


def test_a_bare_file_as_json(command: Command, weather: Path) -> None:
    """One document: the answer and the rules; without a score the rules alone."""
    arguments = ("baseline", "--data", weather, "--target", "temp", "--json")
    code, out, _ = command(*arguments, "--score", 0.1)
    found = json.loads(out)
    assert code == 0 and found["answer"]["verdict"] == "better"
    assert found["answer"]["numbers"]["best"]["rule"] == found["rules"][0]["subject"]
    code, out, _ = command(*arguments)
    assert code == 0 and json.loads(out) == found["rules"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--score", "-1"), "did you mean 1?"),
        (("--metric", "accuracy"), "accuracy is for binary"),
        (("--time", "noon"), "--time noon: no such column"),
    ],
)
def test_what_cannot_be_is_refused(command: Command, weather: Path, options: tuple[str, ...], words: str) -> None:
    """In one paragraph, without a stack trace."""
    code, out, err = command("baseline", "--data", weather, "--target", "temp", *options)
    assert code in (2, 4) and out == "" and words in err and "Traceback" not in err


def test_options_of_a_bare_file_are_no_options_of_a_project(command: Command, folder: Path, weather: Path) -> None:
    """A project says its target in incumbent.toml; a file needs one named."""
    code, _, err = command("baseline", "-p", folder, "--target", "late")
    assert code == 2 and "--target: only with --data" in err
    code, _, err = command("baseline", "--data", weather)
    assert code == 2 and "--data needs --target" in err


def test_a_system_in_place_is_the_first_incumbent_by_its_name(command: Command, tmp_path: Path) -> None:
    """The table has versions and kinds, and the last lines say who answers, why, and what does not."""
    folder = write(tmp_path / "parcels", '[baseline]\ncolumns = ["weight", "serial"]\ncallables = ["constant"]\n',
                   kind="regression", target="hours", metric="absolute_error")  # fmt: skip
    code = folder / "task.py"
    code.write_text(code.read_text() + "\n\ndef constant(rows):\n    return np.full(len(rows), 20.0)\n")
    code_, out, _ = command("baseline", "-p", folder, "--now", NOW, "--incumbent", "weight")
    assert code_ == 0
    lines = out.splitlines()
    for words in (("v2", "column weight as it is", "a column that you named"),
                  ("v4", "function constant", "reference: it is not served")):  # fmt: skip
        assert any(all(word in line for word in words) for line in lines)
    assert "v4 (function constant) is a reference: to let it answer" in out
    assert "is the baseline, behind the first incumbent v2: the system in place (column weight as it is)" in lines[-1]
    assert "as --incumbent says: it answers until another is shown better" in lines[-1]
    rules = json.loads(command("baseline", "-p", folder, "--now", NOW, "--json")[1])
    told = {one["subject"]: one["numbers"] for one in rules}
    assert (told["function constant"]["version"], told["function constant"]["kind"]) == ("v4", "reference")
    assert told["column serial as it is"]["answers_new_rows"] is True
    again = command("baseline", "-p", folder, "--now", NOW, "--incumbent", "weight")
    assert again[0] == 2 and "v2 is the incumbent already" in again[2]


def test_an_incumbent_is_named_only_where_something_is_registered(
    command: Command, folder: Path, weather: Path
) -> None:
    """Not beside a score, not beside a bare file; and not by a name that nobody has."""
    refused = [
        (("-p", folder, "--score", 0.1), "not with --score"),
        (("--data", weather, "--target", "temp"), "not with --data"),
        (("-p", folder, "--now", NOW), "'old' is no system of [baseline]"),
    ]
    for options, words in refused:
        code, _, err = command("baseline", *options, "--incumbent", "old")
        assert code == 2 and words in err
