"""A system behind an address is the incumbent: the gate compares with what it says, kept or asked anew."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from parcels import day, write
from systems import System, by_weight

from incumbent.errors import DataError, NotEnoughData
from incumbent.project import Project, asking, open_project


@pytest.fixture
def system() -> Iterator[System]:
    found = System()
    yield found
    found.stop()


@pytest.fixture
def project(tmp_path: Path, system: System) -> Iterator[Project]:
    """The system in place is v2 and the first incumbent; v1, the rate by depot, is the baseline."""
    asks = f'[baseline]\nurl = "{system.url}"\nurl_answers = true\nincumbent = "url"\nurl_retries = 0\n'
    with open_project(write(tmp_path / "parcels", asks), clock=lambda: day(50), actor="test") as found:
        found.baseline(now=day(40))
        yield found


def test_the_gate_uses_the_answers_that_are_kept(project: Project, system: System) -> None:
    """Those of the baseline step stand for the same rows: only the golden rows are asked about, which it repeats."""
    before = system.rows
    version, evidence = project.train(now=day(40))
    assert version is not None and evidence.reference == "v2"
    assert system.rows - before == 50
    assert "The answers of v2" in evidence.sentence and "it repeats its golden rows" in evidence.sentence
    (asked,) = evidence.numbers["asked"]
    assert asked["version"] == "v2" and asking.read(project, asked["answers"]).shape == (evidence.numbers["n_rows"], 2)


def test_rows_that_nobody_asked_about_are_asked_about_once(project: Project, system: System) -> None:
    """Another holdout is another question; the second candidate on it needs none."""
    first = project.train(now=day(41))[1]
    before = system.rows
    again = project.train("train_again", now=day(41))[1]
    assert f"v2 ({system.url}) was asked about {first.numbers['n_rows']:,} rows" in first.sentence
    assert "kept from 2024-02-11" in again.sentence and system.rows - before == 50


def test_at_most_so_many_rows_are_compared(project: Project, system: System) -> None:
    """`url_rows` bounds the comparison: it is the same rows for everybody."""
    toml = project.config.folder / "incumbent.toml"
    toml.write_text(toml.read_text().replace("url_answers", "url_rows = 210\nurl_answers"))
    with open_project(project.config.folder, clock=lambda: day(50), actor="test") as few:
        before = system.rows
        evidence = few.train(now=day(40))[1]
    assert evidence.numbers["n_rows"] == 210 and system.rows - before == 210 + 50


def test_answers_are_asked_for_anew_once_it_has_changed(project: Project, system: System) -> None:
    """Kept answers are of what it was. An alarm says so, once for the same answers."""
    system.reply = by_weight(turned=-1.0)
    before = system.rows
    evidence = project.train(now=day(40))[1]
    assert system.rows - before == 50 + evidence.numbers["n_rows"]
    assert "was asked about" in evidence.sentence
    project.train("train_again", now=day(40))
    (alarm,) = project.facts.ledger.events(types=["AlarmRaised"])
    assert alarm.data["alarm"] == "existing_changed" and system.url in alarm.reason
    assert alarm.data["evidence"]["numbers"]["differ"] == 50


def test_a_changed_system_is_loaded_and_promoted_all_the_same(project: Project, system: System) -> None:
    """For others a changed golden row is a refusal; this one was never ours to prove."""
    project.promote("v1", "for a while", now=day(40))
    system.reply = by_weight(turned=2.0)
    project.rollback("back to what was in place", now=day(40))
    assert project.roles().incumbent == "v2"
    assert [e.data["alarm"] for e in project.facts.ledger.events(types=["AlarmRaised"])] == ["existing_changed"]


def test_an_alarm_comes_once_a_day_while_it_goes_on_changing(project: Project, system: System) -> None:
    """A system that learns by itself changes each hour."""
    for number in range(6):
        system.reply = by_weight(turned=2.0 + number)
        asking.standing(project, "v2", day(40 + number / 4))
    assert [e.at for e in project.facts.ledger.events(types=["AlarmRaised"])] == [day(40), day(41)]


def test_the_tick_asks_about_golden_rows_at_most_hourly(project: Project, system: System) -> None:
    """So that a change is an alarm also where nobody gates anything."""
    before = system.rows
    project.upkeep.tick(now=day(40))
    project.upkeep.tick(now=day(40.01))
    assert system.rows - before == 50
    system.reply = by_weight(turned=-1.0)
    project.upkeep.tick(now=day(40.05))
    assert len(project.facts.ledger.events(types=["AlarmRaised"])) == 1


def test_kept_answers_stand_while_it_is_down(project: Project, system: System) -> None:
    """The comparison is fair without it, and the sentence says why they are not new."""
    system.stop()
    evidence = project.train(now=day(40))[1]
    assert evidence.reference == "v2" and "it does not answer now" in evidence.sentence


def test_the_baseline_stands_in_where_it_says_nothing(project: Project, system: System) -> None:
    """Down, and asked about rows that nobody asked about before."""
    system.stop()
    evidence = project.train(now=day(41))[1]
    assert evidence.reference == "v1" and evidence.numbers["instead_of"] == "v2"
    assert "v2, the incumbent, does not answer, so v1, the baseline, was what had to be beaten" in evidence.sentence


def test_it_is_a_candidate_like_any_other(project: Project, system: System) -> None:
    """Against the baseline, which is the incumbent for a while."""
    project.promote("v1", "for a while", now=day(40))
    evidence = project.gate("v2", now=day(40))
    assert (evidence.reference, evidence.verdict) == ("v1", "ship")
    assert evidence.numbers["asked"][0]["version"] == "v2"


def test_a_plan_asks_it_too(project: Project, system: System) -> None:
    """What the held-out rows could show beside it; no look, and bounded as the gate is."""
    before = system.rows
    assert [plan.like for plan in project.gate.plan(now=day(40))] == ["v1"]
    assert system.rows - before == 50 and project.facts.ledger.events(types=["GateDecided"]) == []


def test_a_trial_needs_it_to_be_there_for_no_row(project: Project, system: System) -> None:
    """Our first model goes on trial in front of it."""
    version, _ = project.train(now=day(40))
    assert version is not None
    project.live.start(version.name, now=day(40))
    trial = project.roles().trial
    assert trial is not None and (trial.challenger, trial.incumbent) == (version.name, "v2")


def test_nothing_is_compared_where_nobody_can_stand_in(tmp_path: Path, system: System) -> None:
    """A candidate that is the baseline itself, against a system that is down: the error says who did not answer."""
    asks = f'[baseline]\nurl = "{system.url}"\nurl_answers = true\nincumbent = "url"\nurl_retries = 0\n'
    with open_project(write(tmp_path / "parcels", asks), clock=lambda: day(50), actor="test") as project:
        project.baseline(now=day(40))
        system.stop()
        with pytest.raises((DataError, NotEnoughData), match="cannot be reached"):
            project.gate("v1", now=day(45))
