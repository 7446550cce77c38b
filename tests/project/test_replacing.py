"""May a model replace people? Asked of a project: on the rows of a study, or of a published figure."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from parcels import write
from studied import NOW, answer, gold_of, labelled

from incumbent.errors import ConfigError, NotAnswering, NotEnoughData
from incumbent.loop import study
from incumbent.project import Project, open_project
from incumbent.storage.pictures import Pictures


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """Labels of forty days are known; a naive rule is the incumbent."""
    with open_project(write(tmp_path), clock=lambda: NOW, actor="test") as opened:
        opened.baseline(now=NOW)
        yield opened


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
