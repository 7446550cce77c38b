"""`incumbent baseline people` on a small project: what it prints, its exit codes, one JSON document where asked."""

import json
from pathlib import Path
from typing import Any

import pytest
from parcels import day, write

from incumbent.cli import run
from incumbent.loop import study
from incumbent.project import Project, open_project

NOW = "2024-02-10T00:00:00+00:00"  # day 40


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project with a baseline and a model."""
    write(tmp_path / "parcels")
    with project(tmp_path / "parcels") as opened:
        opened.baseline(now=day(40))
        opened.fit("train", now=day(40))
    return tmp_path / "parcels"


def project(folder: Path) -> Project:
    return open_project(folder, clock=lambda: day(40), actor="test")


def call(capsys: pytest.CaptureFixture[str], folder: Path, *arguments: str) -> tuple[int, str, str]:
    capsys.readouterr()
    code = run(["baseline", "people", *arguments, "--project", str(folder)])
    said = capsys.readouterr()
    return code, said.out, said.err


def answers(folder: Path, wrong_every: int) -> None:
    """Ann and Ben label everything; each answer whose number can be divided by that is wrong."""
    with project(folder) as opened:
        of = opened.people.study()
        rows = study.rows_of(opened.facts.blobs, of.rows)
        gold = json.loads(opened.facts.blobs.get(of.gold))["labels"]
        number = 0
        for who in ("ann", "ben") * 2:
            while (slot := study.next_slot(opened.facts.ledger, opened.facts.log, of, rows.items, who)) is not None:
                item, number = rows.items[slot.item], number + 1
                assert item is not None
                truth = int(gold[slot.item] or 0)
                value: Any = 1 - truth if number % wrong_every == 0 else truth
                stores = opened.facts.ledger, opened.facts.log
                study.answer(*stores, of, item, slot, who, value, at=day(40), took_us=10**6)


def test_a_study_from_the_draw_to_the_verdict(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Draw, look, finish, result; the second draw goes on with the first."""
    code, out, _ = call(capsys, folder, "--rows", "300", "--twice", "0.1", "--now", NOW, "--no-serve", "--reviewer",
                        "ann", "--reviewer", "ben")  # fmt: skip
    assert (code, out.strip()) == (0, "study s1: 300 rows, 30 of them twice, 0 labels so far")
    code, out, _ = call(capsys, folder, "--rows", "9", "--no-serve", "--json")
    assert (json.loads(out)["rows"], json.loads(out)["reviewers"]) == (300, ["ann", "ben"])
    code, out, _ = call(capsys, folder, "status")
    assert code == 0 and "0 of 330 labels" in out and "nothing to hold them against" in out
    answers(folder, wrong_every=2)
    code, out, _ = call(capsys, folder, "status", "--json")
    told = json.loads(out)
    assert (told["done"], told["measured"]["gold"]) == (330, "labels")
    code, out, _ = call(capsys, folder, "finish", "--now", NOW)
    assert code == 0 and "v3: people of study s1: accuracy" in out
    assert "1,000 rows take 0.3 hours" in out and "Krippendorff's alpha" in out
    code, out, _ = call(capsys, folder, "result", "v2", "--now", NOW)
    assert code == 0 and "AUTOMATE: v2 against people (v3)" in out
    code, out, _ = call(capsys, folder, "result", "v2", "--now", NOW, "--json")
    assert json.loads(out)["verdict"] == "automate"


def test_the_exit_code_is_that_of_the_verdict(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """1 for a model that is shown worse, 3 where rows are too few, with how many would do."""
    call(capsys, folder, "--rows", "500", "--now", NOW, "--no-serve")
    answers(folder, wrong_every=1000)
    code, out, _ = call(capsys, folder, "result", "v2", "--now", NOW)
    assert code == 1 and "NOT YET: v2" in out and "shown worse than people" in out
    call(capsys, folder, "finish", "--now", NOW)
    call(capsys, folder, "--rows", "20", "--now", NOW, "--no-serve")
    answers(folder, wrong_every=1000)
    code, out, _ = call(capsys, folder, "result", "v2", "--now", NOW)
    assert code == 3 and "rows are too few" in out and "would do" in out


def test_a_published_figure(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Needs its number of rows; becomes a version that nobody may promote."""
    code, out, err = call(capsys, folder, "--published", "0.5", "--n", "1000", "--source", "a paper", "--now", NOW)
    assert (code, out.strip()) == (0, "v3: people as published: accuracy 0.5 on 1,000 rows (a paper)"), err
    assert call(capsys, folder, "result", "v2", "--now", NOW)[0] == 0
    code, _, err = call(capsys, folder, "--published", "0.5")
    assert code == 2 and "both --published and --n" in err
    assert run(["promote", "v3", "--reason", "people are good", "--project", str(folder)]) == 4
    assert "a reference to compare with" in capsys.readouterr().err


def test_the_gate_takes_people_for_the_incumbent(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """On the rows of their study."""
    call(capsys, folder, "--rows", "500", "--now", NOW, "--no-serve")
    answers(folder, wrong_every=2)
    call(capsys, folder, "finish", "--now", NOW)
    assert run(["gate", "v2", "--against", "v3", "--now", NOW, "--project", str(folder)]) == 0
    assert "SHIP: v2 against v3" in capsys.readouterr().out
    assert run(["gate", "--train", "--against", "v3", "--project", str(folder)]) == 2


@pytest.mark.parametrize(("text", "class_"), [("late", "late"), ("3", 3), ("true", True), ("0.5", 0.5), ("01", "01")])
def test_a_class_is_read_as_a_value_where_it_is_one(text: str, class_: Any) -> None:
    """Everything else is text."""
    from incumbent.cli.people import _label

    assert (_label(text), type(_label(text))) == (class_, type(class_))


def test_nobody_was_measured_yet(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each command says what comes first."""
    for command in ("status", "finish", "result"):
        code, out, err = call(capsys, folder, command)
        assert (code, out) == (4, "") and "incumbent baseline people" in err
