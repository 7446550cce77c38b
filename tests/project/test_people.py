"""People are measured on drawn rows, and become a version that is compared and never routed."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from parcels import write
from studied import NOW, gold_of, labelled

from incumbent.errors import ConfigError, DataError, DecisionRefused, NotAnswering, NotEnoughData
from incumbent.loop import study
from incumbent.project import Project, open_project
from incumbent.records import Adjudication, Json


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """Labels of forty days are known; a naive rule is the incumbent."""
    with open_project(write(tmp_path), clock=lambda: NOW, actor="test") as opened:
        opened.baseline(now=NOW)
        yield opened


def test_rows_are_drawn_uniformly_and_by_the_seed(project: Project) -> None:
    """As many as were asked for, each once, spread over all of load; another seed draws others; one study at a time."""
    of = project.people.start(n=400, twice=0.1, seed=5, now=NOW)
    assert (of.name, of.n, of.twice, of.classes) == ("s1", 400, 40, (0, 1))
    items = study.rows_of(project.facts.blobs, of.rows).items
    serials = [item.features["serial"] for item in items if item is not None]
    assert len(set(serials)) == 400
    n = len(project.rows(NOW))
    # The mean of 400 of n numbers, four standard errors.
    assert np.mean(serials) == pytest.approx((n - 1) / 2, abs=4 * n / np.sqrt(12 * 400))
    with pytest.raises(DecisionRefused, match="study s1 is running"):
        project.people.start(now=NOW)


def test_what_a_page_reads_holds_no_label(project: Project) -> None:
    """Neither the target, nor when it was known, nor any prediction: features alone."""
    of = project.people.start(n=50, now=NOW)
    found = json.loads(project.facts.blobs.get(of.rows))
    assert {name for item in found["items"] for name in item["features"]} == {"weight", "depot", "serial"}
    assert sum(label is not None for label in gold_of(project, of)) > 40


def test_a_label_that_is_not_known_yet_is_no_gold(project: Project) -> None:
    """Those of the last days, and those that never come."""
    of = project.people.start(n=10_000, now=NOW)
    known = sum(label is not None for label in gold_of(project, of))
    assert known == len(project.known(None, NOW)) < of.n == len(project.rows(NOW))


def test_people_become_a_version_that_answers_nobody(project: Project) -> None:
    """It is compared with; it is never promoted, tried, watched, or a fallback."""
    of = project.people.start(n=300, twice=0.2, now=NOW)
    labelled(project, of, 0.1)
    version, measured = project.people.finish(now=NOW)
    assert (version.runtime, version.answers, version.trained_until) == ("people", False, None)
    assert measured.people.value == pytest.approx(0.9, abs=0.07)
    assert measured.agreement is not None and measured.between == "people"
    before = project.facts.ledger.sequence()
    with pytest.raises(NotAnswering, match="a reference to compare with"):
        project.promote(version.name, "people are good", now=NOW)
    with pytest.raises(NotAnswering):
        project.live.start(version.name, now=NOW)
    with pytest.raises(NotAnswering):
        project.people.result(version.name, now=NOW)
    assert project.facts.ledger.sequence() == before
    assert version.name not in (project.roles().incumbent, project.roles().baseline)
    items = study.rows_of(project.facts.blobs, of.rows).items
    columns = project.people.columns(of, [0, 1], version.signature)
    assert project.predict(version.name, columns).sum(axis=1).tolist() == [1.0, 1.0]
    assert items[0] is not None
    with pytest.raises(NotAnswering, match="people answer no new rows"):
        project.predict(version.name, {**columns, "weight": columns["weight"] + 1})


def test_rows_of_a_unit_belong_together(project: Project) -> None:
    """A study knows which rows are of one customer, by a number that names nobody; pages do not read it."""
    of = project.people.start(n=300, twice=0.2, now=NOW)
    blocks = project.people.gold(of).blocks
    assert blocks is not None and len(blocks) == 300
    assert "customer" not in project.facts.blobs.get(of.gold).decode()
    assert b"blocks" not in project.facts.blobs.get(of.rows)
    labelled(project, of, 0.1)
    measured = project.people.measured()
    assert measured.blocks is not None and len(set(measured.blocks)) == len(set(blocks)) < 300


def test_a_study_ends_once(project: Project) -> None:
    """And takes nothing more; the next one is another."""
    of = project.people.start(n=120, now=NOW)
    labelled(project, of, 0.1)
    project.people.finish(now=NOW)
    with pytest.raises(DecisionRefused, match="s1 has ended"):
        project.people.finish(now=NOW)
    assert study.running(project.facts.ledger) is None
    assert project.people.start(n=10, now=NOW).name == "s2"
    with pytest.raises(DataError, match="no study 's9'"):
        project.people.study("s9")


def test_without_labels_people_are_held_against_each_other(tmp_path: Path) -> None:
    """Nobody knows the truth of a new task: classes are named, everything is labelled twice, a third person decides."""
    write(tmp_path)
    code = tmp_path / "task.py"
    code.write_text(code.read_text().replace('"late": late,', '"late": np.full(n, np.nan),'))
    with open_project(tmp_path, clock=lambda: NOW, actor="test") as project:
        with pytest.raises(DataError, match="name each with --class"):
            project.people.start(n=200, now=NOW)
        of = project.people.start(n=200, twice=1.0, classes=(0, 1), reviewers=("ann", "ben", "cleo"), now=NOW)
        with pytest.raises(NotEnoughData, match="nothing to hold them against"):
            project.people.measured()
        labelled(project, of, 0.2, ("ann", "ben"))
        first = project.people.measured()
        assert (first.gold, first.people.n) == ("people", 199)
        assert first.unsettled > 20
        said = project.facts.log.responses(of.name)
        for item in study.unsettled(of, said, [], "cleo"):
            mine = next(one.value for one in said if one.item == item)
            assert mine is not None
            project.facts.log.append_adjudications([Adjudication(of.name, item, mine, "cleo", NOW)])
        settled = project.people.measured()
        assert settled.unsettled == 0
        # Of two who differ the decision makes one right, where each was wrong before.
        assert settled.people.value == pytest.approx((1 + first.people.value) / 2)
        version, _ = project.people.finish(now=NOW)
        assert version.signature.classes == (0, 1)


def test_numbers_are_measured_in_their_own_metric(tmp_path: Path) -> None:
    """Hours of a parcel: people are off by 1, the noise of the task is 1 too, and the margin is a share."""
    write(tmp_path, "[people]\nmargin = 0.5\n", kind="regression", target="hours", metric="squared_error")
    with open_project(tmp_path, clock=lambda: NOW, actor="test") as project:
        project.baseline(now=NOW)
        model = project.fit("train", now=NOW)
        of = project.people.start(n=500, twice=0.3, now=NOW)
        assert of.classes == ()
        labelled(project, of, 1.0)
        found = project.people.result(model.name, now=NOW)
        assert found.numbers["metric"] == "squared_error"
        assert found.numbers["people"]["value"] == pytest.approx(1.0, abs=0.3)
        assert found.numbers["ceiling"] == pytest.approx(1.0, abs=0.4)
        assert found.numbers["agreement"]["metric"] == "interval"
        assert found.verdict == "automate" and "50% of people's loss" in found.sentence


def test_a_forgotten_unit_leaves_the_study(tmp_path: Path) -> None:
    """Its rows, its labels and what people said of them; the others are measured as before."""
    write(tmp_path)
    toml = tmp_path / "incumbent.toml"
    toml.write_text(toml.read_text().replace('"serial"]', '"serial", "customer"]'))
    with open_project(tmp_path, clock=lambda: NOW, actor="test") as project:
        project.baseline(now=NOW)
        of = project.people.start(n=400, now=NOW)
        labelled(project, of, 0.1)
        before = project.people.measured()
        rows = study.rows_of(project.facts.blobs, of.rows).items
        theirs = [item.id for item in rows if item is not None and item.features["customer"] == "c7"]
        assert theirs
        project.forget(unit="c7", now=NOW)
        after = project.people.study()
        assert not (project.facts.blobs.has(of.rows) or project.facts.blobs.has(of.gold))
        assert b'"c7"' not in project.facts.blobs.get(after.rows)
        left = {one.item for one in project.facts.log.responses(of.name, history=True)}
        assert left and not left & set(theirs)
        assert 0 < before.people.n - project.people.measured().people.n <= len(theirs)
        project.people.result(now=NOW)


def test_a_private_column_is_kept_for_the_model_and_shown_to_nobody(tmp_path: Path) -> None:
    """The page leaves it out."""
    from incumbent.web import label  # what the page would show

    write(tmp_path)
    toml = tmp_path / "incumbent.toml"
    toml.write_text(toml.read_text() + 'private = ["depot"]\n')
    with open_project(tmp_path, clock=lambda: NOW, actor="test") as project:
        of = project.people.start(n=20, now=NOW)
        rows = study.rows_of(project.facts.blobs, of.rows)
        assert rows.items[0] is not None and "depot" in rows.items[0].features
        shown: dict[str, Json] = label.shown(rows.items[0], rows, project.config, 0)
        assert {one["name"] for one in shown["fields"]} == {"weight", "serial"}


@pytest.mark.parametrize(("how", "error"), [({"n": 1}, "2 or more"), ({"twice": 1.5}, "share from 0 to 1")])
def test_what_cannot_be_drawn_is_refused(project: Project, how: dict[str, Any], error: str) -> None:
    """Nothing is on the ledger then."""
    before = project.facts.ledger.sequence()
    with pytest.raises(ConfigError, match=error):
        project.people.start(**how, now=NOW)
    assert project.facts.ledger.sequence() == before
