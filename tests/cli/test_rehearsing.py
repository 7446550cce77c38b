"""`incumbent rehearse` replays a project's past from the terminal, and `serve` is what it drives."""

import json
from pathlib import Path

import pytest
from parcels import write

from incumbent.cli import run

PAST = '[gate]\nmin_rows = 100\n[rehearse]\nsince = "2024-02-10"\nuntil = "2024-02-13"\nbatch = "day"\n'


def test_a_past_is_rehearsed_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One document on standard output, the report and the summary in the folder that was named."""
    folder = write(tmp_path / "parcels", PAST, per_day=24)
    code = run(["rehearse", "-p", str(folder), "--out", str(tmp_path / "out"), "--exit", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert code == 0
    assert (found["totals"]["rows"], found["totals"]["failed"], found["totals"]["lost"]) == (72, 0, 0)
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["decisions_digest"] == found["decisions_digest"]
    assert (tmp_path / "out" / "report.html").is_file()


def test_a_past_is_told_in_tables(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What must be beaten, the gate, each decision and the totals, for people."""
    folder = write(tmp_path / "parcels", PAST, per_day=24)
    assert run(["rehearse", "-p", str(folder), "--out", str(tmp_path / "out"), "--exit"]) == 0
    out = capsys.readouterr().out
    for words in ("1 baseline", "2 gate", "v2 is the incumbent", "Decisions", "Totals", "digest", "report:"):
        assert words in out


def test_a_project_that_says_no_day_cannot_be_rehearsed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write(tmp_path / "parcels")
    assert run(["rehearse", "-p", str(folder), "--out", str(tmp_path / "out"), "--exit"]) == 2
    err = capsys.readouterr().err
    assert "rehearse.since is not set" in err and "Traceback" not in err
