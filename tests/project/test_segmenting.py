"""The gain by segments of a real log: which rows count, how often it is looked at, where the pages find it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from parcels import day, traffic, write
from systems import System

from incumbent import report
from incumbent.loop.route import assign, routes
from incumbent.project import Project, open_project, segmenting
from incumbent.records import DAY, Micros, Outcome, Prediction
from incumbent.storage.pictures import Pictures
from incumbent.web import trial

HOUR: Micros = DAY // 24


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """v1, the prior, answers; v2 wants to."""
    folder = write(tmp_path, '[live]\nmin_days = 3\nwindow_hours = 48\n', per_day=96)
    with open_project(folder, clock=lambda: day(40), actor="test") as project:
        project.baseline()
        assert project.train()[0] is not None
        yield project


def dealt(project: Project, number: int, n: int = 400) -> None:
    """A day of a split: one answer a unit. The challenger is sure of heavy parcels only."""
    draw, now, running = np.random.default_rng(number), routes(project.roles()), project.roles().trial
    assert now is not None and running is not None
    rows, labels = [], []
    for place in range(n):
        id, at = f"{number}-{place}", day(number) + place * (DAY // n)
        where, weight, late = assign(now, id), float(draw.integers(0, 40)), int(draw.random() < 0.4)
        if where.arm is None:
            continue
        sure = 0.95 if where.arm == "challenger" and weight > 20 else 0.7
        output = (1 - sure, sure) if late else (sure, 1 - sure)
        features = {"weight": weight, "courier": "slow" if place % 3 else "fast", "customer": id}
        rows.append(Prediction(
            id, at, features, where.version, where.version, output, unit=id, trial=running.name,
            phase=running.phase, arm=where.arm,
        ))  # fmt: skip
        labels.append(Outcome(id, late, at + (HOUR if place % 50 else 60 * HOUR)))
    project.facts.log.append(rows)
    project.facts.log.append_outcomes(labels)


def found(project: Project, now: Micros) -> Any:
    past = segmenting.due(project, now)
    assert past is not None
    return segmenting.find(project, past, now)


def test_a_split_gains_where_the_challenger_is_surer(project: Project) -> None:
    """By units; who is assigned is no segment, and labels that came too late do not count."""
    project.live.start("v2", mode="split", enrolled=1.0, reason="a test")
    for number in range(40, 46):
        dealt(project, number)
    told = found(project, day(50))
    assert told["metric"] == project.metric.name and told["trial"] == project.roles().trial.name  # type: ignore[union-attr]
    features = {one["feature"] for one in told["segments"]}
    assert "weight" in features and "customer" not in features
    by_weight = [one for one in told["segments"] if one["feature"] == "weight"]
    assert by_weight[-1]["lower"] > 0.0 and by_weight[0]["lower"] < 0.0 < by_weight[0]["upper"]
    assert told["overall"]["rows"] == 6 * 400 - 6 * 8


def test_a_shadow_is_asked_again(project: Project) -> None:
    """The challenger scores the rows as they were served; its gain is paired by day."""
    project.live.start("v2", reason="a test")
    for number in range(40, 48):
        traffic(project, day(number), day(number + 1), told=day(60))
    told = found(project, day(51))
    (gain,) = [told["overall"]]
    look = project.live.look(now=day(51))
    assert gain["gain"] == pytest.approx(look.numbers["estimate"], rel=0.05)
    assert "by days" in told["said"]


def test_a_shadow_behind_an_address_is_not_asked_again(tmp_path: Path) -> None:
    """No row goes over HTTP on the ticker's thread; the page and the report say why there are no segments."""
    system = System()
    more = f'[baseline]\nurl = "{system.url}"\nurl_answers = true\n[live]\nmin_days = 3\nwindow_hours = 48\n'
    try:
        with open_project(write(tmp_path, more, per_day=96), clock=lambda: day(40), actor="test") as project:
            project.baseline()
            version = next(one for one in project.roles().versions.values() if one.runtime == "endpoint")
            project.live.start(version.name, reason="a test")
            for number in range(40, 48):
                traffic(project, day(number), day(number + 1), told=day(60))
            asked = system.rows
            project.draw(now=day(51))
            assert system.rows == asked > 0
            assert segmenting.due(project, day(51) + HOUR // 2) is None
            page: Any = trial.page(project.facts, project.config)
            assert page["trial"]["segments"]["segments"] == []
            said = f"{version.name} answers at an address ({system.url}), and is not asked for that."
            assert said in page["trial"]["segments"]["said"]
            whole = report.trial(page, [], project.config)
            assert "Where the gain comes from" in whole and said in whole and "Exploratory" not in whole
    finally:
        system.stop()


def test_the_ticker_looks_once_an_hour_of_task_time(project: Project) -> None:
    """And once more after the end; the page and the picture have what it found."""
    project.live.start("v2", reason="a test", now=day(40))
    for number in range(40, 48):
        traffic(project, day(number), day(number + 1), told=day(60))
    name = project.roles().trial.name  # type: ignore[union-attr]
    project.draw(now=day(51))
    assert segmenting.due(project, day(51) + HOUR // 2) is None
    assert segmenting.due(project, day(51) + HOUR) is not None
    shown: Any = trial.page(project.facts, project.config)["trial"]
    assert shown["segments"]["trial"] == name and shown["segments"]["segments"]
    assert f"segments-{name}.light" in Pictures(project.config.store_path, project.facts.blobs).names()
    project.live.stop("enough", now=day(52))
    assert segmenting.due(project, day(52)) is not None
    project.draw(now=day(53))
    assert segmenting.due(project, day(60)) is None


def test_a_trial_without_labels_has_none_and_is_not_asked_at_every_tick(project: Project) -> None:
    """Nothing is shown, and nothing fails."""
    project.live.start("v2", reason="a test", now=day(40))
    project.draw(now=day(41))
    assert segmenting.due(project, day(41) + HOUR // 2) is None
    assert trial.page(project.facts, project.config)["trial"]["segments"] is None


def test_no_trial_no_segments(project: Project) -> None:
    assert segmenting.due(project, day(41)) is None
