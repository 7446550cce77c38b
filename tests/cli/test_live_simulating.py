"""`incumbent live simulate`: made-up trials, and the project's own log dealt into two equal arms."""

import json
from pathlib import Path

import numpy as np
import pytest
from parcels import day, write
from said import Command, refused
from scipy.stats import binom

from incumbent.loop import outcome
from incumbent.project import open_project
from incumbent.records import DAY, Outcome, Prediction, Shadow
from incumbent.stats import sequential
from incumbent.steps.live.simulating import running

DAYS = 20
HOUR = DAY // 24
NOW = "2024-01-21T00:00:00+00:00"  # day 20


@pytest.fixture(autouse=True)
def _one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """So few trials are drawn here; that processes change nothing is tested with the step."""
    monkeypatch.setattr(running, "processors", lambda: 1)


def filled(folder: Path, *, units: int, rows: int, more: str = "", shadow: bool = True) -> Path:
    """A project with a log of 20 days: units with a rate of their own; one answer in 500 failed, one in 50 was slow.
    Where a shadow ran, v2 scored the same rows and is as good."""
    g = np.random.default_rng(3)
    with open_project(write(folder, more), clock=lambda: day(DAYS), actor="test") as project:
        project.baseline(now=day(8))
        incumbent, other = project.incumbent(), project.fit("train_useless", now=day(9)).name
        if shadow:
            project.live.start(other, mode="shadow", now=day(0.5))
        of, rate = g.integers(0, units, rows), g.beta(2.0, 4.0, units)
        late, said = g.uniform(size=rows) < rate[of], g.uniform(0.2, 0.6, (2, rows))
        at = [day(0) + i * (DAYS * DAY // rows) for i in range(rows)]
        log = project.facts.log
        log.append([
            Prediction(f"r{i}", at[i], {"weight": 0.5}, incumbent, incumbent, (1 - said[0, i], said[0, i]), f"u{of[i]}",
                       fallback_reason="error" if i % 500 == 7 else None, latency_us=90_000 if i % 50 == 0 else 2_000)
            for i in range(rows)
        ])  # fmt: skip
        if shadow:
            log.append_shadows([Shadow(f"r{i}", other, (1 - said[1, i], said[1, i])) for i in range(rows)])
        log.append_outcomes([Outcome(f"r{i}", int(late[i]), at[i] + HOUR * (1 + i % 30)) for i in range(rows)])
        outcome.settle(log, project.version(incumbent).signature, project.metric)
    return folder


def asked(command: Command, folder: Path, *more: object) -> tuple[int, str, str]:
    return command("live", "simulate", "--own", "-p", folder, "--now", NOW, *more)


def test_a_simulation_is_a_table_or_json(command: Command) -> None:
    """No project is needed; the same seed prints the same; --only takes what it names."""
    few = ("live", "simulate", "--runs", 20, "--seed", 1, "--only", "whole-equal")
    code, out, err = command(*few)
    assert (code, err) == (0, "")
    assert "whole-equal" in out and "z at every look" in out and "MISSED" not in out and "whole-worse" not in out
    assert command(*few)[1] == out
    rows = json.loads(command(*few, "--json")[1])
    assert [(one["what"], one["runs"], one["holds"]) for one in rows] == [
        ("promoted", 20, True), ("rolled back", 20, True),
    ]  # fmt: skip
    assert rows[0]["stated"] == 0.05 < rows[0]["limit"]


def test_a_name_that_is_none_lists_those_that_are(command: Command) -> None:
    refused(command("live", "simulate", "--only", "cats"), 2, "'cats'", "whole-equal", "split-55")


def test_a_row_that_misses_its_limit_exits_1_and_is_named(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bounds of no width promote whatever comes."""
    monkeypatch.setattr(sequential, "half_widths", lambda n, error, **level: 0.0 * n)
    code, out, err = command("live", "simulate", "--runs", 20, "--only", "aa-0.5")
    assert code == 1 and "MISSED" in out and "aa-0.5 (promoted)" in err


def test_own_log_is_dealt_into_equal_arms(command: Command, tmp_path: Path) -> None:
    """Split and shadow of what the project logged, as a table and as JSON, inside their limits at 1e-4 (binomial). The
    naive z test finds something in about a fifth of the deals: below 4 % of 60 is a chance of 1e-4."""
    folder = filled(tmp_path / "parcels", units=900, rows=4000, more="[plan]\nlatency_budget_ms = 50.0\n")
    with open_project(folder) as project:
        before = project.facts.ledger.sequence()
    out = asked(command, folder, "--runs", 10)[1]
    assert "split, 891 units dealt at random" in out and "blocks of v1 and v2, days flipped" in out
    code, out, _ = asked(command, folder, "--runs", 60, "--json")
    found = json.loads(out)
    rows = {(one["scenario"], one["what"]): one for one in found}
    assert len(found) == 6 and code == int(not all(one["holds"] for one in found))
    assert all(one["found"] * 60 <= binom.ppf(1.0 - 1e-4, 60, one["stated"]) for one in found)
    assert rows["own-split", "gain shown"]["naive"] > 0.04 and rows["own-shadow", "promoted"]["naive"] > 0.04
    with open_project(folder) as project:  # it was no look, and no trial
        assert project.facts.ledger.sequence() == before


def test_few_units_leave_the_shadow_alone(command: Command, tmp_path: Path) -> None:
    folder = filled(tmp_path / "parcels", units=100, rows=3000)
    out = asked(command, folder, "--runs", 10)[1]
    assert "own-shadow" in out and "own-split" not in out


def test_too_little_is_refused_with_what_there_is(command: Command, tmp_path: Path) -> None:
    """Nothing answered; few units and no shadow; a short log."""
    with open_project(write(tmp_path / "new"), clock=lambda: day(DAYS), actor="test") as project:
        project.baseline(now=day(8))
    refused(asked(command, tmp_path / "new"), 4, "no answered row in the last 28 days")
    folder = filled(tmp_path / "few", units=100, rows=1000, shadow=False)
    refused(asked(command, folder), 4, "of 100 units", "at least 800 rows", "400 units", "no shadow ran")
    short = ("live", "simulate", "--own", "-p", filled(tmp_path / "short", units=900, rows=8000), "--now")
    refused(command(*short, "2024-01-07T00:00:00+00:00"), 4, "6.0 days of rows", "live.min_days = 7", "blocks of pairs")
