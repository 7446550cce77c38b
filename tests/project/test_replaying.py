"""A recorded look is made again to the byte; and an ended trial is asked again with the labels that came since."""

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from parcels import day, traffic, write
from splits import HOUR, answered

from incumbent.errors import DecisionRefused
from incumbent.loop import erase, outcome
from incumbent.project import Project, open_project
from incumbent.records import Outcome

SPLIT = """
[live]
mode = "split"
min_days = 2
max_days = 10
window_hours = 12
enrol = [0.5, 1.0]
latency_budget_ms = 5.0
tolerated_rate = 0.02
tolerated_slow = 0.02

[[live.measure]]
name = "revenue"
margin = 3.0
"""


def trying(folder: Path, more: str) -> Project:
    """v1, the prior, answers; v2, a model, wants to."""
    project = open_project(write(folder, more), clock=lambda: day(40), actor="test")
    project.baseline()
    assert project.train()[0] is not None
    return project


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """Three days of a split, looked at every six hours."""
    with trying(tmp_path, SPLIT) as found:
        found.live.start("v2", reason="a test")
        for step in range(12):
            since = day(40) + step * 6 * HOUR
            answered(found, since, since + 6 * HOUR, revenue=10.0)
            found.live.act(since + 6 * HOUR)
        yield found


def looks(project: Project) -> list[Any]:
    events = project.facts.ledger.events(types=["EvidenceRecorded"])
    return [event.data["evidence"] for event in events if event.data["step"] == "live"]


def in_the_log(project: Project, change: Callable[[sqlite3.Connection], Any]) -> None:
    """Somebody writes into the database behind everybody's back."""
    (path,) = project.config.store_path.rglob("log.db")
    with sqlite3.connect(path) as connection:
        change(connection)
    connection.close()


def test_every_recorded_look_is_repeated_to_the_byte(project: Project) -> None:
    """Though rows, labels and corrections came since, and more units take part."""
    before = looks(project)
    assert len(before) == 12 and {look["numbers"]["enrolled"] for look in before} == {0.5, 1.0}
    assert before[-1]["numbers"]["lower"] is not None
    late = [Outcome(f"t12-1-{day(41) // HOUR}-{i}", 1, day(41) + 40 * HOUR) for i in range(50)]
    project.facts.log.append_outcomes(late)
    answered(project, day(43), day(44), revenue=10.0)
    found = project.live.replay()
    assert [(one.same, one.differs, one.said) for one in found] == [(True, (), "")] * 12
    assert [one.look for one in found] == list(range(1, 13))
    assert [one.verdict for one in found] == [look["verdict"] for look in before]
    assert project.live.replay(last=3) == found[-3:]


def test_a_row_that_was_tampered_with_shows(project: Project) -> None:
    """From the first look that counts it on; each later one is compared for itself, and says what differs."""
    in_the_log(project, lambda log: log.execute("UPDATE loss SET loss = loss + 1 WHERE at >= ? AND at < ?",
                                                (day(41), day(41) + HOUR)))  # fmt: skip
    found = project.live.replay("t12")
    same = [one.same for one in found]
    assert same == [True] * (same.index(False)) + [False] * (12 - same.index(False))
    assert 4 <= same.index(False) <= 7
    assert any(part.startswith("numbers.loss.") for part in found[-1].differs)
    assert "nothing on the ledger says why" in found[-1].said


def test_erased_rows_are_told(project: Project) -> None:
    """Whoever is forgotten is in no look any more: it differs, and the ledger says why."""
    unit = f"t12-1-{day(40) // HOUR}-1"
    assert project.facts.log.find([unit])
    erase.forget(project.facts, project.roles().versions, project.config, unit=unit, at=day(43), actor="test")
    found = project.live.replay()
    assert not any(one.same for one in found)
    assert found[0].said.startswith("rows were erased on 2024-02-13 (event ")
    assert "numbers.rows" in " ".join(found[0].differs)


def test_evidence_without_its_settings_is_not_repeated(project: Project) -> None:
    project.facts.blobs.delete(looks(project)[0]["numbers"]["settings"])
    found = project.live.replay()
    assert not found[0].same and "it cannot be repeated: found no settings" in found[0].said
    assert found[-1].same, "the share was raised, and later looks have other settings"


def test_nothing_is_repeated_where_nothing_was_looked_at(project: Project) -> None:
    with pytest.raises(DecisionRefused, match="found no recorded look at trial 't9'; trials with looks: t12"):
        project.live.replay("t9")


def test_a_change_of_settings_leaves_earlier_looks_as_they_were(project: Project) -> None:
    """Each look is repeated under the settings that it names, not under those of today."""
    file = project.config.folder / "incumbent.toml"
    file.write_text(file.read_text().replace("margin = 3.0", "margin = 0.1\nrole = 'shown'"))
    with open_project(project.config.folder, clock=lambda: day(43), actor="test") as again:
        answered(again, day(43), day(43) + 6 * HOUR, revenue=10.0)
        again.live.act(day(43) + 6 * HOUR)
        assert looks(again)[-1]["numbers"]["settings"] != looks(again)[-2]["numbers"]["settings"]
        assert all(one.same for one in again.live.replay())


def test_looks_between_are_not_recorded(project: Project) -> None:
    """A minute later, with nothing new to say, a look leaves the ledger as it is."""
    before = project.facts.ledger.sequence()
    (decision,) = project.live.act(day(43) + HOUR // 60)
    assert decision.verdict == looks(project)[-1]["verdict"]
    assert project.facts.ledger.sequence() == before
    project.live.act(day(43) + HOUR)
    assert project.facts.ledger.sequence() == before + 1


def test_a_shadow_is_repeated_too(tmp_path: Path) -> None:
    """Blocks of pairs at a mark; the failures of rows that had come."""
    with trying(tmp_path, "[live]\nmin_days = 3\nwindow_hours = 12\n") as project:
        project.live.start("v2", reason="a test")
        for number in range(40, 44):
            traffic(project, day(number), day(number + 1), told=day(60))
            project.live.act(day(number + 1))
        traffic(project, day(44), day(45), told=day(60))
        assert looks(project)[-1]["numbers"]["rows"]["challenger"] > 100
        assert [one.same for one in project.live.replay()] == [True] * 4


def test_an_ended_trial_is_asked_again_with_the_labels_that_came_since(project: Project) -> None:
    """Stopped by hand while labels were out: with them it would have said something else, or not."""
    project.live.stop("seen enough", now=day(43))
    before = project.facts.ledger.sequence()
    later = project.live.afterwards(now=day(44))
    last = looks(project)[-1]
    assert sum(later.numbers["labelled"].values()) > sum(last["numbers"]["labelled"].values())
    assert later.numbers["days"] == 3
    assert later.sentence.startswith("Trial t12 was stopped by hand on 2024-02-13; with the ")
    assert project.facts.ledger.sequence() == before
    assert project.live.afterwards("t12", now=day(44)).numbers == later.numbers


def test_labels_may_turn_the_verdict_of_an_ended_trial(project: Project) -> None:
    """Corrected inside their window, every label speaks against the incumbent: it would have been promoted."""
    project.live.stop("seen enough", now=day(43))
    rows = [row.prediction for batch in project.facts.log.scan() for row in batch if row.prediction.trial == "t12"]
    worse = [Outcome(row.id, int(row.output[1] < 0.5), row.at + 2 * HOUR) for row in rows if row.arm == "incumbent"]
    project.facts.log.append_outcomes(worse)
    outcome.settle(project.facts.log, project.version("v1").signature, project.metric)
    later = project.live.afterwards(now=day(44))
    assert later.verdict == "promote"
    assert "it would have been decided otherwise: promote (the gain is at least 0." in later.sentence


def test_a_trial_that_was_decided_well_says_so(tmp_path: Path) -> None:
    """A challenger that is much worse was rolled back by itself, and would be again."""
    with trying(tmp_path, SPLIT) as project:
        project.live.start("v2", reason="a test", enrolled=1.0)
        for step in range(8):
            since = day(40) + step * 6 * HOUR
            answered(project, since, since + 6 * HOUR, good=0.3, revenue=10.0)
            project.live.act(since + 6 * HOUR)
            if project.roles().trial is None:
                break
        ended = project.facts.ledger.events(types=["TrialDecided"])[-1]
        assert ended.data["verdict"] == "roll_back"
        later = project.live.afterwards(now=day(44))
        assert later.sentence.startswith("Trial t12 ended as roll back on 2024-02-1")
        assert later.sentence.endswith("labels that came since it would be decided the same.")
        assert all(one.same for one in project.live.replay()), "the look that ended it, too"


def test_a_trial_that_runs_has_no_afterwards(project: Project) -> None:
    with pytest.raises(DecisionRefused, match="trial t12 still runs: take a look at it"):
        project.live.afterwards()
    with pytest.raises(DecisionRefused, match="none has ended"):
        project.live.afterwards("t3")


def test_a_release_with_one_setting_more_repeats_earlier_looks(project: Project, monkeypatch: Any) -> None:
    """It would name another hash for the same settings; those of then are found under their own."""
    monkeypatch.setattr("incumbent.steps.live.looks.settings", lambda trial, live, metric: b"of another release")
    assert [one.same for one in project.live.replay()] == [True] * 12
