"""A project opens the seams, asks the steps for evidence, registers, and lets the ledger say who answers."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from parcels import day, traffic, write

from incumbent.errors import ConfigError, DataError, DecisionRefused, NotEnoughData, StoreDamaged, UnknownVersion
from incumbent.project import Project, create, open_project
from incumbent.runtimes import artefact

NOW = day(60)


def opened(folder: Path, more: str = "", **settings: Any) -> Project:
    return open_project(write(folder, more, **settings), clock=lambda: NOW, actor="test")


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    with opened(tmp_path / "parcels") as found:
        yield found


@pytest.fixture
def running(project: Project) -> Project:
    """A project whose model, trained on 40 days, is the incumbent."""
    project.baseline(now=day(40))
    version, evidence = project.train(now=day(40))
    assert version is not None
    project.promote(version.name, "it ships", evidence=evidence, now=day(40))
    return project


def types(project: Project) -> list[str]:
    return [event.type for event in project.facts.ledger.events()]


def test_the_best_naive_rule_is_the_first_incumbent(project: Project) -> None:
    """`baseline` registers one version, names it the baseline and, as there is none yet, the incumbent."""
    result = project.baseline()
    roles = project.roles()
    assert roles.baseline == roles.incumbent == "v1"
    assert roles.versions["v1"].runtime == "rule"
    assert result.evidence[0].numbers["value"] == min(
        e.numbers["value"] for e in result.evidence if e.numbers["role"] == "rule"
    )
    assert types(project)[0] == "VersionRegistered" and types(project)[-2:] == ["BaselineSet", "Promoted"]


def test_a_second_baseline_leaves_the_incumbent(running: Project) -> None:
    """Where somebody answers already, a new baseline only takes the place of the old one."""
    running.baseline(now=day(41))
    roles = running.roles()
    assert (roles.baseline, roles.incumbent) == ("v3", "v2")


def test_a_good_recipe_ships_and_is_refitted_on_every_row(project: Project) -> None:
    """The gate judges a fit that leaves out the last days; what is registered saw them all."""
    project.baseline()
    version, evidence = project.train()
    assert evidence.verdict == "ship"
    assert evidence.numbers["lower"] > 0
    assert version is not None and version.n_rows == len(project.known(None, NOW))
    judged, registered = project.code.module.SEEN[-2:]  # type: ignore[union-attr]
    assert len(registered) == version.n_rows > len(judged)


def test_a_useless_recipe_is_held_and_not_registered(project: Project) -> None:
    """A model that knows nothing leaves a verdict on the ledger and no version."""
    project.baseline()
    version, evidence = project.train("train_useless")
    assert (version, evidence.verdict) == (None, "hold")
    assert list(project.roles().versions) == ["v1"]
    assert types(project)[-1] == "GateDecided"


def test_with_too_few_rows_there_is_no_verdict(tmp_path: Path) -> None:
    """Fewer held-out rows than gate.min_rows give not_enough_data, and nothing is registered."""
    with opened(tmp_path, "[gate]\nmin_rows = 5000\n") as project:
        project.baseline()
        version, evidence = project.train()
    assert (version, evidence.verdict) == (None, "not_enough_data")


def test_a_dry_run_registers_what_it_would_have_held(tmp_path: Path) -> None:
    """gate.mode = dry_run reports the verdict and lets the version pass."""
    with opened(tmp_path, '[gate]\nmode = "dry_run"\n') as project:
        project.baseline()
        version, evidence = project.train("train_useless")
    assert evidence.verdict == "hold"
    assert version is not None


def test_gate_judges_a_registered_version_on_rows_that_it_did_not_see(running: Project) -> None:
    """Only rows after `trained_until` count."""
    fitted = running.fit("train_again", now=day(50))
    evidence = running.gate(fitted.name, now=day(60))
    assert evidence.reference == "v2"
    assert 0 < evidence.numbers["n_rows"] <= 48 * 10
    assert "trained on" not in evidence.sentence


def test_no_label_is_known_too_early(project: Project) -> None:
    """At a moment of the past `known` gives the rows whose label was there by then, and no later one."""
    known = project.known(None, day(20))
    assert known.known_at.max() < day(20)
    train, held_out = project.gate.split(known)
    assert train.known_at.max() < held_out.at.min()


def test_register_keeps_golden_rows_and_reopens(tmp_path: Path) -> None:
    """A version is stored with 50 golden rows; a project opened anew answers with it as before."""
    folder = tmp_path / "p"
    with opened(folder) as project:
        project.baseline()
        version, _ = project.train()
        assert version is not None
        columns = project.known(None, NOW).columns(version.signature)
        said = project.predict(version.name, columns)
        assert len(artefact.golden_rows(project.facts.blobs, version.manifest)) == 50
    with open_project(folder) as again:
        np.testing.assert_array_equal(again.predict(version.name, columns), said)
        assert again.version(version.name) == version


def test_a_version_from_outside_is_registered_with_its_rows(project: Project) -> None:
    """An estimator fitted elsewhere becomes a version; rows of any DataFrame give its signature."""
    rows = project.known(None, NOW)
    model = project.code.fit("train", rows.training_frame())  # type: ignore[union-attr]
    version = project.register(model, rows.native(), description="from a notebook")
    assert version.signature.names == ("weight", "depot", "serial")
    assert (version.recipe, version.parent) == ("external", None)
    assert artefact.profile(project.facts.blobs, version.manifest)


def test_promote_and_roll_back(running: Project) -> None:
    """A rollback gives the place back to what was served before; with nothing behind it is refused."""
    assert running.roles().previous == "v1"
    running.rollback("it smells")
    assert running.roles().incumbent == "v1"
    with pytest.raises(DecisionRefused):
        running.rollback("again")
    running.promote("v2", "it did not smell")
    assert running.roles().incumbent == "v2"


def test_a_move_needs_a_reason(running: Project) -> None:
    """Neither promote nor rollback goes on the ledger without a word why."""
    before = running.facts.ledger.sequence()
    with pytest.raises(DecisionRefused, match="reason"):
        running.promote("v1", "")
    with pytest.raises(DecisionRefused, match="reason"):
        running.rollback(" ")
    assert running.facts.ledger.sequence() == before


def test_an_unknown_version_is_named_with_those_that_there_are(running: Project) -> None:
    """The error says what is registered."""
    with pytest.raises(UnknownVersion, match=r"v9.*v1.*v2"):
        running.promote("v9", "a typing mistake")


def test_a_damaged_version_is_not_promoted(running: Project) -> None:
    """Changed bytes in the store are found before a version gets the place, and the incumbent stays."""
    version = running.fit("train_again", now=day(50))
    parts = artefact.manifest(running.facts.blobs, version.manifest)["parts"]
    for digest in parts.values():
        path = next(path for path in running.config.store_path.rglob(digest[2:]) if path.parent.name == digest[:2])
        path.chmod(0o644)
        path.write_bytes(b"nothing")
    with pytest.raises(StoreDamaged):
        running.promote(version.name, "on trust")
    assert running.roles().incumbent == "v2"


def test_speed_times_the_incumbent_against_the_budget(running: Project) -> None:
    """The evidence keeps timings apart from what repeats."""
    evidence = running.speed(now=day(41))
    assert evidence.subject == "v2"
    assert evidence.measured["p99_ms"] > 0
    assert not [key for key in evidence.numbers if key.endswith("_ms") and key != "budget_ms"]


# --- why


def test_why_without_outcomes_says_what_is_missing(running: Project) -> None:
    """No labelled rows on one of the two sides: not enough data, and how to get there."""
    with pytest.raises(NotEnoughData, match="labelled rows"):
        running.why(now=day(45))


def test_why_on_a_quiet_log_finds_nothing(running: Project) -> None:
    """Rows served as training knew them: no check blames anything."""
    traffic(running, day(40), day(58), told=day(60))
    report = running.why(days=7, now=day(60))
    assert report.evidence
    assert not [f for f in report.findings if (f.share_of_drop or 0) > 0.5]


def test_labels_that_are_still_to_come_are_not_lost_labels(tmp_path: Path) -> None:
    """Yesterday's rows lack labels because it was yesterday: that is no finding."""
    with opened(tmp_path) as project:
        project.baseline(now=day(30))
        version, evidence = project.train(now=day(30))
        assert version is not None
        project.promote(version.name, "it ships", evidence=evidence, now=day(30))
        traffic(project, day(30), day(50))
        report = project.why(days=5, now=day(50))
    (labels,) = [e for e in report.evidence if e.numbers["check"] == "measurement"]
    assert labels.verdict == "clean", labels.sentence


def test_why_names_a_concept_that_turned(tmp_path: Path) -> None:
    """From a day on heavy parcels are early: the loss rises, and no column is blamed for it."""
    with opened(tmp_path, turn=50) as project:
        project.baseline(now=day(40))
        version, evidence = project.train(now=day(40))
        assert version is not None
        project.promote(version.name, "it ships", evidence=evidence, now=day(40))
        traffic(project, day(40), day(58), told=day(60))
        report = project.why(days=8, now=day(60))
    worst = report.findings[0]
    assert (worst.check, worst.column) == ("rest", None)
    assert worst.share_of_drop is not None and worst.share_of_drop > 0.9
    assert "the truth given the same inputs changed" in worst.sentence


# --- bad input


def rows(folder: Path, **changes: Any) -> tuple[Project, pd.DataFrame]:
    project = opened(folder)
    return project, project.code.load().assign(**changes)  # type: ignore[union-attr]


def test_a_missing_target_is_named(tmp_path: Path) -> None:
    project, frame = rows(tmp_path)
    with pytest.raises(DataError, match=r"task.target = 'late': no such column; found id, asked"):
        project.baseline(frame.drop(columns="late"))


def test_labels_that_are_all_null_are_said(tmp_path: Path) -> None:
    """Without any label there is nothing to learn: the error says so, and no version is made."""
    project, frame = rows(tmp_path, late=np.nan)
    with pytest.raises(DataError, match="label"):
        project.baseline(frame)
    assert project.facts.ledger.events() == []


def test_one_class_only_is_said(tmp_path: Path) -> None:
    project, frame = rows(tmp_path, late=1.0)
    with pytest.raises(DataError, match="one class only"):
        project.baseline(frame)


def test_duplicate_ids_are_named(tmp_path: Path) -> None:
    project, frame = rows(tmp_path)
    with pytest.raises(DataError, match=r"task.id = 'id': 'p0' stands in more than one row"):
        project.baseline(frame.assign(id=["p0", *frame["id"][:-1]]))


def test_a_column_of_another_type_is_named(tmp_path: Path) -> None:
    """What the incumbent knows as a number comes as text."""
    project, frame = rows(tmp_path)
    project.baseline()
    with pytest.raises(DataError, match=r"row 0, column 'weight': found '.*', expected a finite number"):
        project.train(rows=frame.assign(weight=frame["weight"].astype(str)))


def test_a_column_of_no_type_is_named(tmp_path: Path) -> None:
    """An object in a cell is no feature."""
    project, frame = rows(tmp_path)
    with pytest.raises(DataError, match="column 'weight'"):
        project.baseline(frame.assign(weight=[{1: 2}] * len(frame)))


def test_a_time_that_is_no_time_is_named(tmp_path: Path) -> None:
    project, frame = rows(tmp_path)
    with pytest.raises(DataError, match=r"column 'asked': found .*, expected timestamps"):
        project.baseline(frame.assign(asked=frame["asked"].astype(str)))


def test_a_missing_time_is_named(tmp_path: Path) -> None:
    project, frame = rows(tmp_path)
    with pytest.raises(DataError, match="row 3 has no time"):
        project.baseline(frame.assign(asked=frame["asked"].where(frame.index != 3)))


def test_no_rows_at_all_are_said(tmp_path: Path) -> None:
    """An empty frame is an error of the data, not of ours."""
    project, frame = rows(tmp_path)
    with pytest.raises(DataError):
        project.baseline(frame.iloc[:0])


def test_a_load_that_returns_no_frame_is_said(tmp_path: Path) -> None:
    project = opened(tmp_path)
    project.code.module.load = lambda since=None, until=None: [1, 2]  # type: ignore[union-attr]
    with pytest.raises(DataError, match=r"load\(\) returned list, expected a DataFrame"):
        project.baseline()


def test_a_recipe_that_returns_no_model_is_said(running: Project) -> None:
    with pytest.raises(DataError, match=r"train_nothing\(\) returned str"):
        running.train("train_nothing")


def test_an_unknown_recipe_names_the_nearest(running: Project) -> None:
    with pytest.raises(ConfigError, match=r"no function 'trian'; did you mean 'train'"):
        running.train("trian")


# --- opening


def test_a_code_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    folder = write(tmp_path)
    (folder / "task.py").unlink()
    with pytest.raises(ConfigError, match=r"no file .*task.py"):
        open_project(folder)


def test_create_writes_a_project_once(tmp_path: Path) -> None:
    """`create` refuses to write over a project, and leaves it as it was."""
    text = '[task]\nname = "t"\nkind = "binary"\ntarget = "late"\nmetric = "brier"\n'
    create(tmp_path / "new", text).close()
    with pytest.raises(ConfigError, match="is there already"):
        create(tmp_path / "new", text)
    assert (tmp_path / "new" / "incumbent.toml").read_text() == text


def test_create_writes_nothing_for_a_wrong_text(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        create(tmp_path / "new", "[task]\nname = 1\n")
    assert not (tmp_path / "new").exists()


def test_the_ledger_speaks_in_task_time(running: Project) -> None:
    """Events carry the time that they were given, not the wall clock."""
    assert {event.at for event in running.facts.ledger.events()} == {day(40)}
    assert all(event.recorded_at > NOW for event in running.facts.ledger.events())
