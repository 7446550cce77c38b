"""A look back at the project's own log: arms of a split, versions that never served, and what is refused."""

from pathlib import Path

import pytest
from parcels import day, traffic, write

from incumbent.errors import DataError, DecisionRefused, NotEnoughData, RowError, UnknownVersion
from incumbent.project import Project, open_project

SPLIT = '[live]\nmode = "split"\nwindow_hours = 48\nenrol = [1.0]\n'
DEPENDS = SPLIT + "label_depends_on_prediction = true\n"


def tried(folder: Path, more: str = SPLIT, *, customers: int = 1_700, start: bool = True) -> Project:
    """v1 (the prior) and v2 (a model) share the customers from day 40 to day 55."""
    write(folder, more, per_day=192)
    code = (folder / "task.py").read_text()
    (folder / "task.py").write_text(code.replace("{i % 50}", f"{{i * 7919 % {customers}}}"))
    project = open_project(folder, clock=lambda: day(55), actor="test")
    project.baseline(now=day(40))
    project.train(now=day(40))
    if start:
        project.live.start("v2", mode="split", reason="a test", now=day(40))
    traffic(project, day(40), day(55))
    return project


def test_the_arm_that_loses_less_is_better(tmp_path: Path) -> None:
    """The model's rows stand for all, each twice; seen from the other arm it is the same, turned round."""
    with tried(tmp_path) as project:
        better, worse = project.live.lookback("v2"), project.live.lookback("v1")
    found = better.numbers["lookback"]
    assert (better.verdict, worse.verdict, better.reference) == ("better", "worse", "v1")
    assert found["reward"] == "loss" and found["lower_is_better"]
    assert found["difference"]["value"] == pytest.approx(-worse.numbers["lookback"]["difference"]["value"])
    assert found["value"]["value"] < found["reference"]["value"]
    assert found["coverage"] == {"v1": pytest.approx(0.97, abs=0.02), "v2": pytest.approx(0.97, abs=0.02)}


def test_the_rows_of_a_customer_are_one_witness(tmp_path: Path) -> None:
    """Fifty customers, however many rows: fewer than a hundred witnesses are refused."""
    with tried(tmp_path, customers=50) as project:
        evidence = project.live.lookback("v2", outcome="label")
    found = evidence.numbers["lookback"]
    assert found["units"] == 50 and 15 < found["effective"] < 35
    assert evidence.verdict == "not_enough_data" and found["refused"]


def test_a_look_back_changes_nothing(tmp_path: Path) -> None:
    with tried(tmp_path) as project:
        before = project.facts.ledger.sequence()
        project.live.lookback("v2")
        assert project.facts.ledger.sequence() == before


def test_a_version_that_never_served_speaks_where_its_class_was_served(tmp_path: Path) -> None:
    """What both arms allow covers all that a third version would serve. The labels here follow from the rows alone, so
    it would have earned what everybody earned, and its interval says so."""
    with tried(tmp_path, DEPENDS) as project:
        third = project.fit("train_again", now=day(40))
        evidence = project.live.lookback(third.name)
        rows = [row for batch in project.facts.log.scan(known_before=day(55), labelled=True) for row in batch]
    found = evidence.numbers["lookback"]
    everybody = sum(float(row.label or 0) for row in rows) / len(rows)
    assert found["reward"] == "label" and evidence.reference == "what was served"
    assert found["mean_weight"][1] < 1.0 < found["mean_weight"][2]
    assert found["value"]["lower"] <= everybody <= found["value"]["upper"]
    assert evidence.verdict == "not_enough_data" and found["refused"] == []


def test_what_was_never_served_cannot_be_looked_back_for(tmp_path: Path) -> None:
    """Without a split only one class of each row was ever served: the other is not known."""
    with tried(tmp_path, DEPENDS, start=False) as project:
        evidence = project.live.lookback("v2")
    assert evidence.verdict == "not_enough_data" and "never logged" in evidence.sentence


def test_where_the_label_does_not_depend_on_the_answer_a_shadow_tells_all(tmp_path: Path) -> None:
    with tried(tmp_path, start=False) as project:
        with pytest.raises(DecisionRefused, match="--mode shadow"):
            project.live.lookback("v2")
        with pytest.raises(DataError, match="loss or label"):
            project.live.lookback("v2", outcome="clicks")
        with pytest.raises(UnknownVersion):
            project.live.lookback("v9")


def test_a_young_split_is_not_enough_data(tmp_path: Path) -> None:
    """No label's window has closed."""
    with tried(tmp_path) as project, pytest.raises(NotEnoughData, match="not both arms have a label"):
        project.live.lookback("v2", now=day(41))


def test_labels_that_are_texts_are_no_earnings(tmp_path: Path) -> None:
    """The row is named, and the loss is there instead."""
    folder = write(tmp_path, SPLIT, kind="multiclass", target="size", metric="log_loss")
    with open_project(folder, clock=lambda: day(55), actor="test") as project:
        project.baseline(now=day(40))
        project.fit(now=day(40))
        project.live.start("v2", mode="split", reason="a test", now=day(40))
        traffic(project, day(40), day(55))
        with pytest.raises(RowError, match=r"column 'label': found '[sml]'"):
            project.live.lookback("v2", outcome="label")
        assert project.live.lookback("v2").numbers["lookback"]["reward"] == "loss"


def test_numbers_never_repeat(tmp_path: Path) -> None:
    """A version of numbers that was no arm served nothing that could match."""
    folder = write(tmp_path, DEPENDS, kind="regression", target="hours", metric="squared_error")
    with open_project(folder, clock=lambda: day(55), actor="test") as project:
        project.baseline(now=day(40))
        project.fit(now=day(40))
        traffic(project, day(40), day(55))
        with pytest.raises(DataError, match="start a split"):
            project.live.lookback("v2")
