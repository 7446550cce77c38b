"""A look at a split, from the log to the verdict: what each guardrail sees of rows as they were logged."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from parcels import day, write
from splits import HOUR, answered

from incumbent.loop import outcome
from incumbent.project import Project, open_project
from incumbent.records import DAY, Evidence, Outcome

SPLIT = """
[live]
mode = "split"
min_days = 1
window_hours = 6
tolerated_rate = 0.02
tolerated_slow = 0.02

[plan]
latency_budget_ms = 20.0
"""


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """A split of every unit, from day 40 on."""
    with open_project(write(tmp_path, SPLIT), clock=lambda: day(40), actor="test") as found:
        found.baseline()
        assert found.train()[0] is not None
        found.live.start("v2", enrolled=1.0, reason="a test")
        yield found


def look(project: Project, **traffic: Any) -> Evidence:
    """One and a half days of it."""
    answered(project, day(40), day(40) + 36 * HOUR, a_day=800, **traffic)
    return project.live.look(now=day(40) + 36 * HOUR)


def guardrail(evidence: Evidence, name: str) -> dict[str, Any]:
    return next(one for one in evidence.numbers["guardrails"] if one["name"] == name)


def test_a_better_challenger_that_harms_nothing_may_be_promoted(project: Project) -> None:
    """Every count of the evidence is one of the log; rows of open windows are exposed and not labelled yet."""
    evidence = look(project)
    assert evidence.verdict == "promote", evidence.sentence
    numbers = evidence.numbers
    assert sum(numbers["rows"].values()) == 1_200 and sum(numbers["labelled"].values()) == 1_001
    assert numbers["labelled"] == numbers["matured"] and set(numbers["coverage"].values()) == {1.0}
    assert guardrail(evidence, "labels")["units_without"] == [0, 0]
    assert numbers["mark"] == {"now": day(40) + 36 * HOUR, "predictions": 1_200, "outcomes": 1_200}


def test_labels_of_one_arm_that_do_not_come_block_a_promotion(project: Project) -> None:
    """Five of a hundred: far too few for the split of the labelled units, and every one is the challenger's."""
    evidence = look(project, unlabelled=0.05)
    found = guardrail(evidence, "labels")
    assert evidence.verdict == "continue" and not found["cleared"]
    assert found["units_without"][0] > 15 and found["units_without"][1] == 0
    assert evidence.numbers["split"]["p"] > 0.1


def test_late_answers_of_the_challenger_roll_it_back(project: Project) -> None:
    """plan.latency_budget_ms is 20 ms, and one answer in ten takes 50."""
    evidence = look(project, slow=0.1)
    assert evidence.verdict == "roll_back" and "latency: more of its answers are shown late" in evidence.sentence
    assert guardrail(evidence, "latency")["budget_ms"] == 20.0


def test_what_a_unit_lost_before_the_trial_narrows_the_bounds(project: Project) -> None:
    """Every unit had the same loss five days before, outside of the trial: that explains nearly everything."""
    without = look(project)
    log = project.facts.log
    rows = [row for batch in log.scan() for row in batch if row.label is not None]
    then = [replace(row.prediction, id=f"b-{row.prediction.id}", at=row.prediction.at - 5 * DAY, trial=None, arm=None,
                    phase=0, version="v1", served_by="v1") for row in rows]  # fmt: skip
    log.append(then)
    told = zip(then, rows, strict=True)
    log.append_outcomes([Outcome(one.id, int(row.label), one.at + HOUR) for one, row in told if row.label is not None])
    outcome.settle(log, project.version("v1").signature, project.metric)
    narrowed = project.live.look(now=day(40) + 36 * HOUR)
    assert without.numbers["cuped"] is None
    assert narrowed.numbers["cuped"]["share_of_variance_removed"] > 0.95
    assert narrowed.numbers["cuped"]["known"] == narrowed.numbers["labelled"] == without.numbers["labelled"]
