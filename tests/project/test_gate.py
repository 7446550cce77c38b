"""The gate of a project: which rows, against whom, how often asked, and what a mode or an override does."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from parcels import day, traffic, write

from incumbent.errors import ConfigError, DataError, DecisionRefused, GoldenMismatch, VersionError
from incumbent.project import Project, open_project
from incumbent.runtimes import artefact

NOW = day(60)
Make = Callable[..., Project]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """A project with these settings, whose model of 40 days is the incumbent v2, and whose v3 wants its place."""
    made: list[Project] = []

    def call(more: str = "", **settings: Any) -> Project:
        project = open_project(write(tmp_path / "parcels", more, **settings), clock=lambda: NOW, actor="test")
        made.append(project)
        project.baseline(now=day(40))
        model = project.fit("train", now=day(40))
        project.promote(model.name, "the first model", now=day(40))
        project.fit("train_again", now=day(50))
        return project

    yield call
    for project in made:
        project.close()


def rules(evidence: Any) -> dict[str, str]:
    return {one["rule"]: one["verdict"] for one in evidence.numbers["rules"]}


def broken(project: Project, monkeypatch: pytest.MonkeyPatch, name: str, error: Exception) -> None:
    """From now on this version does not open."""
    manifest, opens = project.version(name).manifest, artefact.open_version
    project._opened.clear()

    def opened(blobs: Any, digest: str, *more: Any, **named: Any) -> Any:
        if digest == manifest:
            raise error
        return opens(blobs, digest, *more, **named)

    monkeypatch.setattr(artefact, "open_version", opened)


# --- slices, metrics, groups


def test_slices_by_a_column_of_the_rows(make: Make) -> None:
    """A feature and a column that is none; each value is a line."""
    project = make(
        '[gate]\nmin_slice_size = 50\n[[gate.slice]]\ncolumn = "depot"\nno_worse_than = 0.2\n'
        '[[gate.slice]]\ncolumn = "customer"\nvalue = "c7"\nno_worse_than = 0.5\nmin_slice_size = 5\n'
    )
    found = rules(project.gate("v3"))
    assert {f"no_worse_than (depot = {d})" for d in ("harbour", "north", "south")} <= set(found)
    assert found["no_worse_than (customer = c7)"] == "ship"


def test_a_slice_by_a_column_that_is_not_there_never_ships(make: Make) -> None:
    project = make('[gate]\nno_worse_than = 1.0\n[[gate.slice]]\ncolumn = "colour"\nno_worse_than = 0.2\n')
    assert project.gate("v3").verdict == "hold"


def test_a_second_metric(make: Make) -> None:
    """A line of its own; one that does not suit the kind is refused when the project is opened."""
    project = make('[gate]\nno_worse_than = 1.0\n[[gate.rule]]\nmetric = "roc_auc"\nno_worse_than = 0.5\n')
    evidence = project.gate("v3")
    assert (evidence.verdict, rules(evidence)["no_worse_than (roc_auc)"]) == ("ship", "ship")
    with pytest.raises(ConfigError, match=r"absolute_error.*regression"):
        make('[[gate.rule]]\nmetric = "absolute_error"\nno_worse_than = 1\n')


def test_rows_of_a_group_go_together(make: Make) -> None:
    """gate.block = group: as many blocks as customers, by task.unit or by the column that is named."""
    units = make('[gate]\nblock = "group"\n').gate("v3")
    assert units.numbers["n_blocks"] == 50
    named = make('[gate]\nblock = "group"\nblock_column = "depot"\n').gate("v3")
    assert named.numbers["n_blocks"] == 3


def test_a_group_of_a_column_that_is_not_there_is_an_error(make: Make) -> None:
    with pytest.raises(DataError, match="no column 'colour'"):
        make('[gate]\nblock = "group"\nblock_column = "colour"\n')


# --- looks


def test_candidates_on_the_same_rows_are_counted(make: Make) -> None:
    """The second candidate on the same holdout is look 2; the same one again is the same look, to the byte."""
    project = make()
    project.fit("train_useless", now=day(50))
    first, second = project.gate("v3"), project.gate("v4")
    assert (first.numbers["looks"], second.numbers["looks"]) == (1, 2)
    assert first.numbers["holdout"] == second.numbers["holdout"]
    assert "Look 2 at this holdout" in second.sentence
    again = project.gate("v3")
    assert (again.sentence, again.numbers) == (first.sentence, first.numbers)


def test_other_rows_are_another_holdout(make: Make) -> None:
    """A month later the count begins again."""
    project = make()
    first, second = project.train("train_useless", now=day(20))[1], project.train("train_useless", now=day(60))[1]
    assert first.numbers["holdout"] != second.numbers["holdout"]
    assert (second.numbers["looks"], second.numbers["looks_elsewhere"]) == (1, 0)


def test_a_holdout_that_moves_on_is_nearly_the_same(make: Make) -> None:
    """Days later most of its rows are those of before: the look is counted with them, and the sentence says so."""
    project = make()
    project.fit("train_useless", now=day(50))
    first, second = project.gate("v3", now=day(58)), project.gate("v4", now=day(60))
    assert first.numbers["holdout"] != second.numbers["holdout"]
    assert (second.numbers["looks"], second.numbers["looks_elsewhere"]) == (2, 1)
    shared = second.numbers["rows_shared"]
    assert 0.5 <= shared < 1.0
    assert f"Look 2 at this holdout (1 at others that hold about {shared:.0%}" in second.sentence
    again = project.gate("v3", now=day(60))
    assert (again.numbers["looks"], again.numbers["looks_elsewhere"]) == (3, 1)


# --- against whom


@pytest.mark.parametrize("error", [GoldenMismatch("row 3 says .2, expected .3"), VersionError("bytes are gone")])
def test_the_baseline_stands_in_for_an_incumbent_that_does_not_load(
    make: Make, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """The sentence says whom the candidate had to beat, and why not the incumbent."""
    project = make()
    broken(project, monkeypatch, "v2", error)
    evidence = project.gate("v3")
    assert (evidence.reference, evidence.numbers["instead_of"]) == ("v1", "v2")
    for words in ("v3 against v1", "v2, the incumbent, does not load here", type(error).__name__, str(error)):
        assert words in evidence.sentence
    _, trained = project.train()
    assert trained.reference == "v1" and "does not load here" in trained.sentence


def test_without_a_baseline_that_loads_nobody_ships(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """The baseline itself as candidate, and its incumbent gone: an error, no verdict."""
    project = make()
    broken(project, monkeypatch, "v2", VersionError("gone"))
    with pytest.raises(VersionError, match="gone"):
        project.gate("v1")


# --- modes


def test_a_dry_run_judges_and_says_that_it_decides_nothing(make: Make) -> None:
    project = make('[gate]\nmode = "dry_run"\n')
    project.fit("train_useless", now=day(50))
    evidence = project.gate("v4")
    assert evidence.verdict == "hold" and "Dry run: this decides nothing" in evidence.sentence
    assert project.facts.ledger.events()[-1].data["evidence"]["numbers"]["mode"] == "dry_run"
    project.promote("v4", "a dry run holds nobody")
    assert project.roles().incumbent == "v4"


def test_a_gate_that_is_off_judges_nobody_and_says_so(make: Make) -> None:
    """An event all the same; `train` registers without any fit that leaves rows out."""
    project = make('[gate]\nmode = "off"\n')
    assert project.gate("v3").verdict == "off"
    seen = len(project.code.module.SEEN)  # type: ignore[union-attr]
    version, evidence = project.train("train_useless")
    assert version is not None and evidence.verdict == "off" and "NOT judged" in evidence.sentence
    assert len(project.code.module.SEEN) == seen + 1  # type: ignore[union-attr]
    assert [e.data["verdict"] for e in project.facts.ledger.events(types=["GateDecided"])] == ["off", "off"]


def test_a_refresh_is_judged_though_the_gate_is_off(make: Make) -> None:
    """It would go live without a trial: shown worse, it is refused."""
    project = make('[gate]\nmode = "off"\n[retrain]\nevery = "10 days"\nauto_refresh = true\nholdout_days = 7\n')
    project.upkeep.tick(now=day(61))
    events = project.facts.ledger.events(types=["GateDecided"])
    assert [e.data["verdict"] for e in events] == ["ship"]
    assert "not shown worse" in events[0].reason


def test_a_new_recipe_goes_to_its_trial_unjudged_where_the_gate_is_off(make: Make) -> None:
    """The tick lets it pass, and the event that starts the trial says why."""
    project = make('[gate]\nmode = "off"\n[retrain]\nevery = "10 days"\nrecipe = "train_useless"\nholdout_days = 7\n')
    project.baseline(now=day(50))
    project.promote("v1", "back to the rule", now=day(50))
    traffic(project, day(50), day(51))
    decisions = project.upkeep.tick(now=day(61))
    assert [d.action for d in decisions] == ["TrialStarted"]
    assert "gate.mode = off lets it pass" in decisions[0].reason


# --- override


def test_a_held_version_is_promoted_by_nobody_without_an_override(make: Make) -> None:
    """Refused, then overridden with a reason: two events, the verdict named in the first."""
    project = make()
    project.fit("train_useless", now=day(50))
    assert project.gate("v4").verdict == "hold"
    with pytest.raises(DecisionRefused, match="--override"):
        project.promote("v4", "I like it")
    project.promote("v4", "I like it", override=True)
    types = [event.type for event in project.facts.ledger.events()]
    assert types[-3:] == ["GateDecided", "Overridden", "Promoted"]


def test_an_override_by_itself_promotes_nothing(make: Make) -> None:
    project = make()
    project.fit("train_useless", now=day(50))
    with pytest.raises(DecisionRefused, match="no verdict of the gate"):
        project.gate.override("v4", "why not")
    project.gate("v4")
    event = project.gate.override("v4", "the holdout was broken")
    assert event.type == "Overridden" and project.roles().incumbent == "v2"
    project.promote("v4", "now it may")


def test_live_evidence_needs_no_override(make: Make) -> None:
    """A version that was held by the gate and won its trial is promoted on that evidence."""
    project = make()
    project.fit("train_useless", now=day(50))
    held = project.gate("v4")
    project.promote("v4", "it won its trial", evidence=held)
    assert project.facts.ledger.events()[-1].type == "Promoted"


# --- latency


def test_a_budget_of_the_gate_is_measured_on_what_would_be_served(make: Make) -> None:
    """A generous budget is met, an impossible one holds; milliseconds are `measured`, never in the numbers."""
    project = make("[gate]\nno_worse_than = 1.0\nlatency_p99_ms = 60000\n[speed]\ntimings = 400\n")
    met = project.gate("v3")
    assert rules(met)["latency_p99_ms"] == "ship" and met.measured["n_timings"] == 400
    assert "p99_ms" not in json.dumps(dict(met.numbers)).replace("latency_p99_ms", "")
    _, trained = project.train()
    assert rules(trained)["latency_p99_ms"] == "ship"
    impossible = make("[gate]\nno_worse_than = 1.0\nlatency_p99_ms = 1e-6\n[speed]\ntimings = 400\n")
    assert impossible.gate("v3").verdict == "hold"


def test_in_a_rehearsal_the_machine_decides_nothing(make: Make) -> None:
    """No timing, no latency rule: decisions repeat anywhere. Without a budget the gate times nothing either."""
    project = make("[gate]\nno_worse_than = 1.0\nlatency_p99_ms = 1e-6\n")
    project.timings_decide = False
    evidence = project.gate("v3")
    assert "latency_p99_ms" not in rules(evidence) and evidence.measured == {}
    assert make("[gate]\nno_worse_than = 1.0\n").gate("v3").measured == {}


# --- plans


def test_a_plan_says_what_the_holdout_shows_and_writes_nothing(make: Make) -> None:
    """As unlike the incumbent as v1 and v3 are; v3 is more alike, so less of a gain is seen."""
    project = make()
    before = project.facts.ledger.sequence()
    plans = {one.like: one for one in project.gate.plan()}
    assert set(plans) == {"v1", "v3"} and project.facts.ledger.sequence() == before
    assert plans["v3"].smallest is not None and plans["v1"].smallest is not None
    assert 0 < plans["v3"].smallest < plans["v1"].smallest


def test_a_plan_with_the_baseline_alone(tmp_path: Path) -> None:
    """Nothing to compare with yet: losses that correlate at .5."""
    with open_project(write(tmp_path, ""), clock=lambda: NOW, actor="test") as project:
        project.baseline()
        (only,) = project.gate.plan()
    assert only.like == "losses that correlate at .5" and only.smallest is not None


# --- bytes

_SCRIPT = """
import json, sys
sys.path.insert(0, sys.argv[2])
from parcels import day, write
from incumbent.project import open_project
with open_project(write(__import__("pathlib").Path(sys.argv[1]), sys.argv[3]), clock=lambda: day(60)) as project:
    project.baseline(now=day(40))
    project.promote(project.fit("train", now=day(40)).name, "first", now=day(40))
    project.fit("train_again", now=day(50))
    found = project.gate("v3")
print(json.dumps([found.verdict, found.sentence, dict(found.numbers)], allow_nan=False))
"""


def test_the_same_rows_give_the_same_bytes_in_any_process(tmp_path: Path) -> None:
    """Two processes with other hash seeds, in other folders: the same evidence, byte for byte."""
    more = (
        '[gate]\nmin_slice_size = 50\n[[gate.slice]]\ncolumn = "depot"\nno_worse_than = 0.2\n'
        '[[gate.rule]]\nmetric = "roc_auc"\nno_worse_than = 0.1\n'
    )
    said = []
    for seed in ("0", "12345"):
        done = subprocess.run(
            [sys.executable, "-c", _SCRIPT, str(tmp_path / seed), str(Path(__file__).parent), more],
            env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True, timeout=120,
        )  # fmt: skip
        said.append(done.stdout)
    assert said[0] == said[1] and '"rule": "no_worse_than (depot = harbour)"' in said[0]


def test_a_version_against_itself_differs_by_nothing(make: Make) -> None:
    """The same model registered twice: gain 0, no width; held, and not worse by 0."""
    project = make()
    project.fit("train", now=day(40))
    found = project.gate("v4")
    assert (found.verdict, found.numbers["gain"], found.numbers["standard_error"]) == ("hold", 0.0, 0.0)
    again = make("[gate]\nno_worse_than = 0.0\n")
    again.fit("train", now=day(40))
    assert again.gate("v4").verdict == "ship"


def test_a_candidate_that_answers_nonsense_never_ships(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """NaN instead of probabilities is an error of the candidate, and no verdict is written."""
    project = make()
    before = project.facts.ledger.sequence()
    predict = project.predict

    def nan(name: str, columns: Any) -> Any:
        return np.full_like(predict(name, columns), np.nan) if name == "v3" else predict(name, columns)

    monkeypatch.setattr(project, "predict", nan)
    evidence = project.gate("v3")
    assert evidence.verdict == "hold" and "never ships" in evidence.sentence
    assert project.facts.ledger.sequence() == before + 1


def test_null_groups_stand_for_themselves(tmp_path: Path) -> None:
    """Rows without a group are not one large group."""
    with open_project(write(tmp_path, '[gate]\nblock = "group"\n'), clock=lambda: NOW) as project:
        frame = project.rows(NOW).native().head(6)
        frame["customer"] = pd.Series(["a", None, "a", None, "b", None], dtype=object)
        assert project.read(frame).blocks().tolist() == [0, 1, 0, 2, 3, 4]  # type: ignore[union-attr]
