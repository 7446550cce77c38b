"""People who label a whole study at once, with as many errors as a test asks for."""

import json

import numpy as np
from parcels import day

from incumbent.loop import study
from incumbent.loop.study import Study
from incumbent.project import Project
from incumbent.records import Label

NOW = day(40)


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
