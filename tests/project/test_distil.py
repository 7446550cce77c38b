"""A large teacher becomes a small student, with the logged traffic as rows to learn on."""

from pathlib import Path

import pytest
from parcels import day, traffic, write

from incumbent.project import Project, open_project

TEACHER = '''

from sklearn.ensemble import RandomForestClassifier


def teacher(rows):
    return fit(rows, ["weight"], RandomForestClassifier(60, min_samples_leaf=5, random_state=0))
'''
SETTINGS = """
[plan]
latency_budget_ms = 1000.0
[gate]
min_rows = 100
[speed]
timings = 300
rounds = [30]
leaves = [8]
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A baseline that has served ten days of traffic."""
    folder = write(tmp_path / "parcels", SETTINGS, days=60, per_day=48)
    code = folder / "task.py"
    code.write_text(code.read_text() + TEACHER)
    opened = open_project(folder)
    opened.baseline(now=day(40))
    traffic(opened, day(40), day(50), told=day(50))
    return opened


def test_a_student_learns_from_the_log_and_beats_the_incumbent(project: Project) -> None:
    """The teacher's latency, the student against it, and the gate: in this order; served as a proved twin."""
    student, (slow, taught, gated) = project.distil("teacher", now=day(50))
    assert (slow.step, taught.step, gated.step) == ("speed", "speed", "gate")
    assert gated.verdict == "ship" and student is not None
    assert student.serves == "twin.onnx" and student.recipe.startswith("distil:teacher@")
    assert taught.numbers["loss_student"] < taught.numbers["loss_baseline"]
    assert {"p50_ms", "p99_ms"} <= set(slow.measured)


def test_the_log_gives_rows_without_labels_too(project: Project) -> None:
    """They are the transfer set: every logged row can be taught, whether its label came or not."""
    logged = project.upkeep.logged(day(50), labelled=None)
    assert logged is not None
    assert len(logged) == 480 > len(logged.labelled(day(50)))
