"""A tiny past, from end to end through the real server: nothing fails, nothing is lost, and it repeats."""

import json
from pathlib import Path

import pandas as pd
import pytest
from parcels import write

from incumbent.errors import ConfigError
from incumbent.project import open_project
from incumbent.rehearse import rehearse
from incumbent.rehearse.summary import Summary

SETTINGS = """
[plan]
goal = 0.18
[gate]
min_rows = 100
[live]
promote = "auto"
window_hours = 48
[retrain]
every = "1 month"
auto_refresh = true
[rehearse]
since = "2024-02-10"
until = "2024-04-15"
batch = "day"
faults = "faults.py"
"""
FAULTS = '''
"""From 20 March on the weight comes in grams."""

import pandas as pd


def feed(rows, now):
    broken = rows["asked"] >= pd.Timestamp("2024-03-20", tz="UTC")
    return rows.assign(weight=rows["weight"].where(~broken, rows["weight"] * 1000))
'''


Runs = dict[str, tuple[Summary, Path]]


def rehearsed(folder: Path, out: Path, clean: bool) -> Summary:
    out.mkdir()
    summary, server = rehearse(folder, out, clean=clean, say=lambda text: None)
    server.stop()
    return summary


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = write(tmp_path_factory.mktemp("past") / "parcels", SETTINGS, days=110, per_day=24)
    (found / "faults.py").write_text(FAULTS)
    return found


@pytest.fixture(scope="module")
def runs(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """The same past three times: broken twice, and once with a whole feed."""
    home = tmp_path_factory.mktemp("runs")
    return {
        name: (rehearsed(folder, home / name, clean=name == "clean"), home / name)
        for name in ("first", "second", "clean")
    }


@pytest.mark.parametrize("name", ["first", "clean"])
def test_every_row_is_answered_and_kept(runs: Runs, name: str) -> None:
    """Sixty-five days of 24 parcels: no request failed, no prediction lost, each answer has a version."""
    totals = runs[name][0].totals
    assert totals.rows == 65 * 24
    assert (totals.failed, totals.lost, totals.without_version, totals.fallbacks) == (0, 0, 0, 0)
    assert 0.9 * totals.rows < totals.outcomes <= totals.rows
    assert sum(month.rows for month in runs[name][0].months) == totals.rows


def test_the_same_past_gives_the_same_decisions(runs: Runs) -> None:
    """To the byte."""
    first, second = runs["first"][0], runs["second"][0]
    assert first.decisions_digest == second.decisions_digest
    assert json.dumps(first.decisions) == json.dumps(second.decisions)
    assert first.decisions_digest != runs["clean"][0].decisions_digest


@pytest.mark.parametrize("name", ["first", "clean"])
def test_no_label_is_used_before_it_was_known(runs: Runs, name: str) -> None:
    """Whenever a recipe was fitted, every label that it was given was known by then."""
    with open_project(runs[name][1] / "project") as project:
        module = project.code.module  # type: ignore[union-attr]
    known = module.everything().set_index("serial")["known_at"]
    assert len(module.SEEN) == len(module.AT) > 2
    for rows, at in zip(module.SEEN, module.AT, strict=True):
        assert known[rows["serial"]].max() < pd.Timestamp(at)


def test_the_log_holds_each_outcome_with_its_time(runs: Runs) -> None:
    with open_project(runs["first"][1] / "project") as project:
        rows = project.rows()
        known = dict(zip(rows.texts("id"), rows.known_at.tolist(), strict=True))
        logged = [row for batch in project.facts.log.scan() for row in batch if row.label is not None]
        assert logged
        assert all(row.known_at == known[row.prediction.id] > row.prediction.at for row in logged)
        assert project.facts.ledger.verify() == project.facts.ledger.sequence()


def test_a_whole_feed_is_refitted_each_month(runs: Runs) -> None:
    """A refresh on 10 March; another on 10 April."""
    promoted = [d["at"][:10] for d in runs["clean"][0].decisions if d["type"] == "Promoted"]
    assert promoted[-2:] == ["2024-03-10", "2024-04-10"]
    assert not [d for d in runs["clean"][0].decisions if d["type"] == "AlarmRaised"]


def test_a_broken_feed_is_refused_and_named(runs: Runs) -> None:
    summary = runs["first"][0]
    (alarm,) = [d for d in summary.decisions if d["type"] == "AlarmRaised"]
    assert alarm["at"].startswith("2024-04-10") and "weight" in alarm["sentence"]
    assert any("weight" in one for one in summary.refused)


def test_the_loop_is_better_than_the_prior(runs: Runs) -> None:
    """The table by month holds every policy, and the loop takes away part of the prior's loss."""
    overall = runs["clean"][0].overall
    assert {"loop", "prior", "untouched", "always ship"} <= set(overall)
    assert overall["loop"] < overall["prior"]


def test_the_report_and_the_summary_are_written(runs: Runs) -> None:
    summary, out = runs["first"]
    assert json.loads((out / "summary.json").read_text())["decisions_digest"] == summary.decisions_digest
    page = (out / "report.html").read_text()
    assert "<html" in page and "parcels" in page and "http://" not in page.replace("http://www.w3.org", "")


def test_the_report_sets_what_was_delivered_beside_what_was_expected(runs: Runs) -> None:
    """The expectation is of the onset; the goal, and whether the last incumbent reaches it, stand under it."""
    summary, out = runs["clean"]
    assert any(said.startswith("Floor (") for said in (line.strip() for line in summary.onset))
    page = (out / "report.html").read_text()
    assert "Expected and delivered" in page and "What more rows were worth at the onset" in page
    assert "labelled answers of its latest 28 days" in page and "the goal" in page


def test_data_beside_the_code_is_there(tmp_path: Path) -> None:
    """A project that reads data.csv from its own folder is rehearsed as it is, also into a folder inside it."""
    folder = write(tmp_path / "parcels", SETTINGS.replace('"2024-04-15"', '"2024-02-12"'), days=60, per_day=24)
    (folder / "faults.py").write_text(FAULTS)
    with open_project(folder) as project:
        project.code.load().to_csv(folder / "data.csv", index=False)  # type: ignore[union-attr]
    code = (folder / "task.py").read_text()
    read = "pd.read_csv(__file__.replace('task.py', 'data.csv'), parse_dates=['asked', 'known_at'])"
    assert "rows = everything()" in code
    (folder / "task.py").write_text(code.replace("rows = everything()", f"rows = {read}"))
    summary = rehearsed(folder, folder / "out", clean=True)
    assert (summary.totals.rows, summary.totals.lost) == (2 * 24, 0)
    assert not (folder / "out" / "project" / "out").exists()


def test_a_metric_without_row_losses_is_refused_at_once(tmp_path: Path) -> None:
    folder = write(tmp_path / "parcels", SETTINGS, metric="roc_auc")
    with pytest.raises(ConfigError, match="roc_auc"):
        rehearse(folder, tmp_path / "out", say=lambda text: None)


def test_the_projects_own_store_is_not_touched(runs: Runs, folder: Path) -> None:
    assert not (folder / ".incumbent").exists()
