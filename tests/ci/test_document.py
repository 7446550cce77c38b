"""One JSON document, and lines that a shell reads."""

import json
import math
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from made import ALL, ERROR, SHIP

from incumbent.ci import document


@pytest.mark.parametrize("name", ALL)
def test_every_outcome_has_the_same_keys(name: str) -> None:
    found = json.loads(document.text(ALL[name]))
    assert set(found) == {"version", "step", "subject", "reference", "verdict", "sentence", "at", "numbers", "measured",
                          "notes", "error"}  # fmt: skip
    assert found["verdict"] == ALL[name].verdict
    assert (found["error"] is None) == (ALL[name].failure is None)


def test_an_error_says_its_kind_and_what_to_do() -> None:
    assert json.loads(document.text(ERROR))["error"] == {"kind": "DataError", "sentence": ERROR.sentence}


def test_json_has_no_nan() -> None:
    assert SHIP.evidence is not None
    numbers = {"gain": math.nan, "series": [(1, math.inf)]}
    found = json.loads(document.text(replace(SHIP, evidence=replace(SHIP.evidence, numbers=numbers))))
    assert found["numbers"] == {"gain": None, "series": [[1, None]]}


def test_a_shell_reads_the_lines(tmp_path: Path) -> None:
    """`. gate.env` sets the verdict, the version and whom it was compared with."""
    (tmp_path / "gate.env").write_text(document.dotenv(SHIP))
    script = '. ./gate.env; echo "$INCUMBENT_VERDICT $INCUMBENT_VERSION $INCUMBENT_REFERENCE"'
    assert subprocess.check_output(["sh", "-c", script], cwd=tmp_path, text=True) == "ship v7 v1\n"


def test_outputs_of_a_step_on_github() -> None:
    assert document.github_output(SHIP) == "verdict=ship\nversion=v7\nreference=v1\n"
    assert document.github_output(ERROR) == "verdict=error\nversion=\nreference=\n"
