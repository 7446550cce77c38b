"""A plan from a project's own log: which rows it reads, and whose losses are paired."""

import math
from collections.abc import Iterator
from pathlib import Path

import pytest
from parcels import day, traffic, write

from incumbent.errors import DecisionRefused, NotEnoughData, UnknownVersion
from incumbent.loop import promote
from incumbent.project import Project, open_project
from incumbent.project import traffic as reading
from incumbent.stats.sequential import UnitSums
from incumbent.steps.live import growth
from incumbent.steps.live.trial import BLOCK

LIVE = "[live]\nwindow_hours = 48\n"


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """The prior answers from day 40 to day 55; v2 is a model that wants its place."""
    with open_project(write(tmp_path, LIVE), clock=lambda: day(55), actor="test") as found:
        found.baseline(now=day(40))
        assert found.train(now=day(40))[0] is not None
        yield found


def test_the_latest_model_is_asked_again_on_the_logged_rows(project: Project) -> None:
    """Its losses are paired with those of what was served, on rows that it was not trained on."""
    traffic(project, day(40), day(55))
    evidence = project.live.plan()
    found = evidence.numbers["plan"]
    assert (evidence.subject, evidence.reference, evidence.verdict) == ("v2", "v1", "shadow")
    assert found["rows_a_day"] == pytest.approx(48, rel=0.01)
    assert found["units_a_day"] == pytest.approx(48, abs=3) and found["units"] == 50
    assert found["labels"]["coverage"] == pytest.approx(0.97, abs=0.02)
    assert found["pairs"]["source"] == "replay" and 0.0 < found["pairs"]["correlation"][0] < 1.0


def test_a_shadow_in_the_log_says_how_the_two_go_together(project: Project) -> None:
    """Where there is one, nobody is asked again; both ways say much the same."""
    project.live.start("v2", reason="a test", now=day(40))
    traffic(project, day(40), day(55))
    shadowed = project.live.plan("v2").numbers["plan"]["pairs"]
    project.live.stop("enough", now=day(55))
    assert shadowed["source"] == "shadow"
    window = 48 * 3_600_000_000
    blocks = project.facts.log.block_sums("v1", "v2", BLOCK, day(40), day(55) - window, day(55))
    assert sum(one.rows for one in blocks) == pytest.approx(13 * 48 * 0.97, rel=0.05)


def test_rows_that_a_version_was_trained_on_are_not_asked_again(project: Project) -> None:
    """They would flatter it: a version of day 53 has too few rows of its own, so a range is assumed."""
    traffic(project, day(40), day(55))
    version = project.fit("train_again", now=day(53))
    found = project.live.plan(version.name).numbers["plan"]
    assert found["pairs"]["source"] == "assumed"


def test_a_plan_without_a_candidate(tmp_path: Path) -> None:
    """Rules alone are no candidates: it is a plan for anybody, with an assumed range."""
    with open_project(write(tmp_path, LIVE), clock=lambda: day(55)) as project:
        project.baseline(now=day(40))
        traffic(project, day(40), day(55))
        evidence = project.live.plan()
    assert evidence.subject == "any candidate"
    assert evidence.numbers["plan"]["pairs"]["source"] == "assumed"


def test_a_plan_looks_back_for_28_days(tmp_path: Path) -> None:
    """Whatever was answered before does not count."""
    with open_project(write(tmp_path, LIVE), clock=lambda: day(55)) as project:
        project.baseline(now=day(10))
        traffic(project, day(10), day(55))
        found = project.live.plan().numbers["plan"]
    assert found["since"].startswith("2024-01-28")  # day 27
    assert found["days_logged"] == pytest.approx(26.0)


def test_of_a_large_log_the_latest_days_are_read(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole days of it, so that no weekday counts twice by half."""
    traffic(project, day(40), day(55))
    monkeypatch.setattr(reading, "MOST_ROWS", 500)
    found = project.live.plan().numbers["plan"]
    assert found["days_logged"] + 2 == pytest.approx(10.0, abs=0.01)
    assert found["rows_a_day"] == pytest.approx(48, rel=0.01)


def test_a_plan_changes_nothing(project: Project) -> None:
    traffic(project, day(40), day(55))
    before = project.facts.ledger.sequence()
    project.live.plan()
    assert project.facts.ledger.sequence() == before


def test_nobody_plans_a_trial_against_itself(project: Project) -> None:
    with pytest.raises(DecisionRefused, match="v1 is the incumbent"):
        project.live.plan("v1")
    with pytest.raises(UnknownVersion):
        project.live.plan("v9")


def test_an_empty_log_is_not_enough_data(project: Project) -> None:
    with pytest.raises(NotEnoughData, match="serve the incumbent for a week"):
        project.live.plan()
    traffic(project, day(40), day(41))
    with pytest.raises(NotEnoughData, match="last 28 days"):
        project.live.plan(now=day(90))


def test_a_task_of_numbers_is_planned_too(tmp_path: Path) -> None:
    """The loss of a number is the squared error of what was served."""
    folder = write(tmp_path, LIVE, kind="regression", target="hours", metric="squared_error")
    with open_project(folder, clock=lambda: day(55)) as project:
        project.baseline(now=day(40))
        project.fit(now=day(40))
        traffic(project, day(40), day(55))
        found = project.live.plan().numbers["plan"]
    assert found["pairs"]["source"] == "replay"
    assert 20 < found["loss"] < 60


def split_error(project: Project, until: int) -> float:
    """The standard error of the difference of the arms of the split, of rows whose window has closed."""
    window = 48 * 3_600_000_000
    arms: dict[str, dict[str, list[float]]] = {"challenger": {}, "incumbent": {}}
    for batch in project.facts.log.scan(known_before=until, labelled=True):
        rows = [row for row in batch if row.prediction.arm and row.prediction.at + window <= until]
        rows = [row for row in rows if row.known_at is not None and row.known_at < row.prediction.at + window]
        losses = reading.losses(project, [row.prediction.output for row in rows], rows) if rows else ()
        for row, loss in zip(rows, losses, strict=True):
            arms[str(row.prediction.arm)].setdefault(str(row.prediction.unit), []).append(float(loss))
    sums = [UnitSums.of([sum(one) for one in of.values()], [len(one) for one in of.values()]) for of in arms.values()]
    return math.sqrt(sum(one.variance / one.n for one in sums))


def test_a_split_knows_what_its_plan_said(tmp_path: Path) -> None:
    """Planned on sixteen days, then run with a ramp: after a fortnight the error is the planned one within a tenth."""
    ramp = LIVE + 'mode = "split"\nenrol = [0.5, 1.0]\nramp_hours = 48\n'
    write(tmp_path, ramp, per_day=192)
    code = (tmp_path / "task.py").read_text()
    (tmp_path / "task.py").write_text(code.replace("{i % 50}", "{i * 7919 % 1700}"))
    with open_project(tmp_path, clock=lambda: day(42), actor="test") as project:
        project.baseline(now=day(26))
        project.train(now=day(26))
        traffic(project, day(26), day(42))
        (fortnight,) = [one for one in project.live.plan().numbers["plan"]["gains"] if one["days"] == 14]
        project.live.start("v2", mode="split", reason="a test", now=day(42))
        traffic(project, day(42), day(44))
        promote.raise_enrolment(project.facts.ledger, project.roles(), 1.0, at=day(44), actor="test")
        traffic(project, day(44), day(56))
        found = growth.errors_to_show(project.config.live.alpha) * split_error(project, day(56))
    assert fortnight["split"] == pytest.approx(found, rel=0.1)
