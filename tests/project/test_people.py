"""People are measured on drawn rows, become a version that is compared and never routed, and a model is held against
them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from parcels import day, write

from incumbent.errors import ConfigError, DataError, DecisionRefused, NotAnswering, NotEnoughData
from incumbent.loop import study
from incumbent.loop.study import Study
from incumbent.project import Project, open_project
from incumbent.records import Adjudication, Json, Label
from incumbent.storage.pictures import Pictures

NOW = day(40)


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """Labels of forty days are known; a naive rule is the incumbent."""
    with open_project(write(tmp_path), clock=lambda: NOW, actor="test") as opened:
        opened.baseline(now=NOW)
        yield opened


def gold_of(project: Project, of: Study) -> list[Label | None]:
    return list(json.loads(project.facts.blobs.get(of.gold))["labels"])


def labelled(project: Project, of: Study, error: float, names: tuple[str, ...] = ("ann", "ben"), seed: int = 1) -> None:
    """Everybody labels all that they are given, with that share of errors."""
    rows, gold = study.rows_of(project.facts.blobs, of.rows), gold_of(project, of)
    draw, idle = np.random.default_rng(seed), set[str]()
    while len(idle) < len(names):
        who = names[int(draw.integers(len(names)))]
        slot = study.next_slot(project.facts.ledger, project.facts.log, of, rows.items, who)
        if slot is None:
            idle.add(who)
            continue
        idle.clear()
        truth, item = gold[slot.item], rows.items[slot.item]
        assert item is not None
        value: Label = answer(of, truth, error, draw)
        study.answer(project.facts.ledger, project.facts.log, of, item, slot, who, value, at=NOW, took_us=3_000_000)


def answer(of: Study, truth: Label | None, error: float, draw: np.random.Generator) -> Label:
    if not of.classes:
        return float(truth or 20.0) + float(draw.normal(0, error))
    wrong = [one for one in of.classes if one != truth]
    return wrong[int(draw.integers(len(wrong)))] if truth is None or draw.random() < error else truth


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
    columns = project.people._columns(of, [0, 1], version.signature)
    assert project.predict(version.name, columns).sum(axis=1).tolist() == [1.0, 1.0]
    assert items[0] is not None
    with pytest.raises(NotAnswering, match="people answer no new rows"):
        project.predict(version.name, {**columns, "weight": columns["weight"] + 1})


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


@pytest.mark.parametrize(("error", "verdict"), [(0.45, "automate"), (0.0, "not_yet")])
def test_a_model_may_replace_people_who_are_no_better(project: Project, error: float, verdict: str) -> None:
    """Against people who guess, against people who know; on the ledger, with a picture. The parcels' own noise keeps
    every model at .75."""
    model = project.fit("train", now=NOW)
    of = project.people.start(n=600, now=NOW)
    labelled(project, of, error)
    found = project.people.result(model.name, now=NOW)
    assert (found.verdict, found.subject, found.reference) == (verdict, model.name, "s1")
    assert found.numbers["gold"] == "labels" and found.numbers["n_rows"] > 500
    assert found.numbers["model"]["value"] == pytest.approx(0.75, abs=0.06)
    assert found.numbers["baseline"]["value"] < found.numbers["model"]["value"]
    last = project.facts.ledger.events()[-1]
    assert (last.type, last.data["evidence"]["verdict"]) == ("EvidenceRecorded", verdict)
    assert {"people.light", "people.dark"} <= set(Pictures(project.config.store_path, project.facts.blobs).names())
    assert project.people.result(model.name, now=NOW).numbers == found.numbers


def test_a_model_that_saw_the_rows_is_judged_by_a_fit_without_them(project: Project) -> None:
    """Its recipe gets every labelled row but those of the study; a model without a recipe is called flattered."""
    model = project.fit("train", now=NOW)
    of = project.people.start(n=500, now=NOW)
    labelled(project, of, 0.2)
    seen = project.written().module.SEEN
    before = len(seen)
    assert not project.people.result(model.name, now=NOW).numbers["flattered"]
    (refit,) = seen[before:]
    theirs = {item.features["serial"] for item in study.rows_of(project.facts.blobs, of.rows).items if item}
    assert not theirs & set(refit["serial"])
    assert len(refit) > 1000
    stranger = project.register(project.written().fit("train", project.known(None, NOW).training_frame()), now=NOW)
    assert project.people.result(stranger.name, now=NOW).numbers["flattered"]


def test_the_gate_compares_with_people_on_their_rows(project: Project) -> None:
    """Its own rules and verdicts; the comparison is kept on the ledger as a decision of the gate."""
    model = project.fit("train", now=NOW)
    of = project.people.start(n=600, now=NOW)
    labelled(project, of, 0.45)
    version, _ = project.people.finish(now=NOW)
    evidence = project.gate(model.name, against=version.name, now=NOW)
    assert (evidence.step, evidence.verdict, evidence.reference) == ("gate", "ship", version.name)
    assert evidence.numbers["loss_reference"] == pytest.approx(0.45, abs=0.07)
    assert project.facts.ledger.events()[-1].type == "GateDecided"


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


def test_a_model_is_held_against_the_same_truths_as_people(project: Project) -> None:
    """New rows without labels, twice each: both are judged by what other people said, on the rows that two answered."""
    model = project.fit("train", now=NOW)
    known = project.known(None, NOW)
    truths = {str(id): label for id, label in zip(known.texts("id"), known.labels(), strict=True)}
    unlabelled = known.native().assign(late=np.nan)
    of = project.people.start(unlabelled, n=400, twice=0.8, now=NOW)
    assert set(gold_of(project, of)) == {None}
    rows, draw = study.rows_of(project.facts.blobs, of.rows).items, np.random.default_rng(2)
    for who in ("ann", "ben"):
        while (slot := study.next_slot(project.facts.ledger, project.facts.log, of, rows, who)) is not None:
            item = rows[slot.item]
            assert item is not None
            value = answer(of, truths[item.id], 0.4, draw)
            study.answer(project.facts.ledger, project.facts.log, of, item, slot, who, value, at=NOW, took_us=10**6)
    found = project.people.result(model.name, now=NOW)
    assert (found.numbers["gold"], found.numbers["n_rows"]) == ("people", 320)
    # Errors of .4: two people agree on .36 + .16, and a model that is right on .75 reads .75·.6 + .25·.4.
    assert found.numbers["people"]["value"] == pytest.approx(0.52, abs=0.1)
    assert found.numbers["model"]["value"] == pytest.approx(0.55, abs=0.1)
    assert "The truth is what other people said" in found.sentence


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


def test_a_published_figure_is_compared_unpaired(project: Project) -> None:
    """On the held-out rows; it takes no part in the gate, and no impossible figure is taken."""
    model = project.fit("train", now=NOW)
    low = project.people.publish(0.5, 5000, source="a paper", now=NOW)
    high = project.people.publish(0.97, 5000, now=NOW)
    assert low.description == "people as published: accuracy 0.5 on 5,000 rows (a paper)"
    assert project.people.result(model.name, people=low.name, now=NOW).verdict == "automate"
    found = project.people.result(model.name, now=NOW)
    assert (found.verdict, found.reference, found.numbers["gold"]) == ("not_yet", high.name, "published")
    with pytest.raises(NotAnswering):
        project.promote(low.name, "no", now=NOW)
    with pytest.raises(NotEnoughData, match="published figure without rows"):
        project.gate(model.name, against=low.name, now=NOW)
    for accuracy, n in ((1.2, 100), (0.5, 1)):
        with pytest.raises(ConfigError, match="expected 0 to 1"):
            project.people.publish(accuracy, n, now=NOW)


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
