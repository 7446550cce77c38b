"""May a model of this project replace its people?

In: a version, and measured people (a version or a study of `people`), or a figure that was published. Out: evidence on
the ledger with its picture: automate, assist or not_yet; or the gate's verdict on the rows of the study. A version that
may have seen those rows is judged by a fit of its recipe without them. What is compared is the step's of this name.
"""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from incumbent import charts, drawing
from incumbent.errors import NotEnoughData
from incumbent.loop import promote, study
from incumbent.loop.study import Study
from incumbent.project.lesson import native_of
from incumbent.project.rows import Rows
from incumbent.records import Evidence, Json, Micros, Signature
from incumbent.runtimes import people as runtime
from incumbent.runtimes import signature as signatures
from incumbent.runtimes.base import Columns, Floats, checked
from incumbent.steps import gate as gating
from incumbent.steps.baseline import people as step
from incumbent.steps.baseline import replacing as step_replacing
from incumbent.storage.pictures import Pictures

if TYPE_CHECKING:
    from incumbent.project.people import People
    from incumbent.project.project import Project

PICTURE = "people"


def result(people: "People", candidate: str | None, whom: str | None, now: Micros) -> Evidence:
    """See `People.result`."""
    project = people.project
    name = candidate or project.incumbent()
    promote.answering(project.roles(), name)
    reference, figure = people.reference(whom)
    if figure is not None:
        found = _against_published(project, name, reference, figure, now)
    else:
        found = _against_study(people, name, reference, now)
    promote.record(project.facts.ledger, found, actor=project.actor)
    Pictures(project.config.store_path, project.facts.blobs).put_all(
        {f"{PICTURE}.{theme}": drawn for theme, drawn in drawing.both(charts.people(found)).items()}, now
    )
    return found


def gate(people: "People", candidate: str, whom: str, now: Micros) -> Evidence:
    """See `People.gate`."""
    project = people.project
    reference, figure = people.reference(whom)
    if figure is not None:
        raise NotEnoughData(
            f"{whom} is a published figure without rows, and the gate compares on the same rows: "
            f"ask `incumbent baseline people result {candidate}`"
        )
    of = people.study_of(reference)
    measured, (output, flattered) = people.measured(of.name), _output(people, candidate, of, now)
    by = step.judged_by(project.metric)
    rules = replace(project.config.gate, slice=(), rule=(), latency_p99_ms=0.0)  # those need more than losses
    evidence = gating.judge(
        step.people_losses(measured.comparisons, by, len(of.classes)),
        step.model_losses(measured.comparisons, output, by),
        measured.blocks, rules, candidate, reference, now,
    )  # fmt: skip
    if flattered:
        said = f"{evidence.sentence} Its rows may have been trained on, which flatters {candidate}."
        evidence = Evidence("gate", candidate, evidence.verdict, said, now, reference, evidence.numbers)
    promote.record(project.facts.ledger, evidence, actor=project.actor)
    return evidence


def _against_study(people: "People", name: str, reference: str, now: Micros) -> Evidence:
    project, of = people.project, people.study_of(reference)
    by, settings = step.judged_by(project.metric), project.config.people
    measured = people.measured(of.name)
    output, flattered = _output(people, name, of, now)
    theirs = step.people_losses(measured.comparisons, by, len(of.classes))
    model = step.model_losses(measured.comparisons, output, by)
    found = step_replacing.verdict(
        theirs, model, settings.margin, relative=not of.classes, min_rows=settings.min_rows, blocks=measured.blocks
    )
    baseline = project.roles().baseline
    naive_value = None
    if baseline is not None and baseline != name:
        naive = step.model_losses(measured.comparisons, _output(people, baseline, of, now)[0], by)
        naive_value = step.interval(naive, by, measured.blocks)
    return step_replacing.evidence(
        name, reference, now, by.name, measured.gold, measured.people, step.interval(model, by, measured.blocks),
        found, settings.margin, baseline=naive_value, measured=measured, flattered=flattered,
    )  # fmt: skip


def _against_published(
    project: "Project", name: str, reference: str, figure: dict[str, Json], now: Micros
) -> Evidence:
    by, settings = step.judged_by(project.metric), project.config.people
    train, held_out = project.gate.split(project.known(None, now))
    losses, flattered = _held_out(project, name, train, held_out, by)
    found = step_replacing.verdict_published(
        figure["accuracy"], figure["n"], losses, settings.margin, min_rows=settings.min_rows
    )
    baseline = project.roles().baseline
    naive_value = None
    if baseline is not None and baseline != name:
        naive_value = step.interval(_held_out(project, baseline, train, held_out, by)[0], by)
    return step_replacing.evidence(
        name, reference, now, by.name, "published", step.published(figure["accuracy"], figure["n"]),
        step.interval(losses, by), found, settings.margin, baseline=naive_value, flattered=flattered,
    )  # fmt: skip


def _held_out(project: "Project", name: str, train: Rows, held_out: Rows, by: Any) -> tuple[Floats, bool]:
    """Row losses on the held-out rows; of its recipe without them where the version saw them."""
    version = project.version(name)
    columns = held_out.columns(version.signature)
    refitted = project.gate.reference(name, train, held_out)
    output = project.predict(name, columns) if refitted is None else refitted
    saw = not project.config.task.time or (version.trained_until or -1) >= int(held_out.at[0])
    losses = by.row_loss(checked(output, version.signature, len(held_out)), held_out.truth(version.signature))
    return losses, refitted is None and saw and version.runtime != "rule"


def _output(people: "People", name: str, of: Study, now: Micros) -> tuple[Floats, bool]:
    """What a version says of every row of the study (zeros for an erased one); may it have seen them?"""
    project, gold = people.project, people.gold(of)
    version = project.version(name)
    items = study.rows_of(project.facts.blobs, of.rows).items
    there = [place for place, item in enumerate(items) if item is not None]
    columns = people.columns(of, there, version.signature)
    saw = not project.config.task.time or (version.trained_until or -1) >= min(gold.at)
    recipe = version.recipe.split("@")[0]
    flattered = False
    if saw and project.code is not None and project.code.has(recipe):
        said = _refitted(project, recipe, version.signature, columns, now)
    else:
        said, flattered = project.predict(name, columns), saw and version.runtime != "rule"
    shape = (len(items), len(version.signature.classes)) if version.signature.classifies else (len(items),)
    output = np.zeros(shape)
    output[there] = checked(said, version.signature, len(there))
    return output, flattered


def _refitted(project: "Project", recipe: str, signature: Signature, columns: Columns, now: Micros) -> Floats:
    """The recipe, fitted on every labelled row but those with the features of a row of the study."""
    known = project.known(None, now)
    theirs = set(runtime.hashes(signatures.to_rows(columns, signature)))
    keys = runtime.hashes(signatures.to_rows(known.columns(signature), signature))
    left = known.where(np.array([key not in theirs for key in keys], dtype=np.bool_))
    if not len(left):
        raise NotEnoughData(
            f"every labelled row is in the study, so {recipe} cannot be fitted without them: load more rows, or "
            "draw fewer"
        )
    frame = left.training_frame()
    return native_of(project.written().fit(recipe, frame), signature, frame).predict(columns)
