"""What the gate of a project needs of held-out rows besides the answers: slices, fingerprints, the count of looks.

In: Rows, outputs, the ledger. Out: labels for `steps.gate`, and how many candidates were judged on these very rows, or
on holdouts that overlap with them. Judges nothing.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from incumbent import config
from incumbent.project.rows import Rows
from incumbent.records import Event, Json
from incumbent.runtimes import frames
from incumbent.runtimes.base import Floats
from incumbent.stats import sketch
from incumbent.steps import gate as step

OVERLAPS = 0.5
"""A holdout that holds this share of our rows is one family with ours: what passes by luck there passes here too."""


def labels(rows: Rows, settings: config.Gate) -> dict[str, step.Labels]:
    """The columns that `gate.slice` names, where the rows have them: a missing one is the gate's to hold."""
    wanted = dict.fromkeys(one.column for one in settings.slice)
    return {name: step.labels(rows.frame[name].to_list()) for name in wanted if name in rows.frame.columns}


def looks(events: Iterable[Event], rows: Rows, truth: npt.NDArray[np.generic], output: Floats) -> step.Looks:
    """Which candidate this is on these very rows, or on others that hold half of them or more, counting those that the
    ledger knows.

    A holdout is its rows' times and labels; features may be computed anew without making it another. The same answers
    asked about again are the same look: asking twice changes no chance.
    """
    holdout, answers, mine = _digest(rows.at, truth), _digest(output), sketch.sketch(keys(rows, truth))
    before: dict[tuple[str, str], float | None] = {}  # (holdout, answers): a constant says the same on any rows
    for event in events:
        numbers = event.data.get("evidence", {}).get("numbers", {})
        if numbers.get("holdout") == holdout:
            before.setdefault((holdout, numbers["answers"]), None)
        elif (shared := _shared(mine, len(rows), numbers)) >= OVERLAPS:
            before.setdefault((numbers["holdout"], numbers["answers"]), shared)
    order, ours = list(before), (holdout, answers)
    counted = order[: order.index(ours)] if ours in before else order
    others = [found for found in map(before.__getitem__, counted) if found is not None]
    least = min(others, default=None)
    return step.Looks(len(counted) + 1, holdout, answers, len(others), least, mine, len(rows))


def keys(rows: Rows, truth: npt.NDArray[np.generic]) -> sketch.Keys:
    """(n,) one key a held-out row: of its time and label, or (where rows have no time) of its features and label.
    Never of its id, which may be a person's: keys lie on the ledger, and nothing is erased there."""
    task = rows.config.task
    if task.time:
        return sketch.copies(sketch.mixed(rows.at, truth))
    names = frames.feature_names(rows.frame, task)
    features = _hashed(frames.rows(rows.native(), names))
    return sketch.copies(sketch.mixed(features, truth))


def _hashed(values: Iterable[Any]) -> sketch.Keys:
    texts = (json.dumps(value, sort_keys=True, default=str).encode() for value in values)
    digests = [int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") for text in texts]
    return np.array(digests, dtype=np.uint64)


def _shared(mine: str, n_rows: int, numbers: Mapping[str, Json]) -> float:
    """Which share of our rows an earlier look was at; 0 where its evidence does not tell."""
    its = numbers.get("sketch")
    return 0.0 if its is None else sketch.share_within(mine, n_rows, its, int(numbers["rows_sketched"]))


def _digest(*columns: npt.NDArray[np.generic]) -> str:
    """The first 16 digits of a sha256 over the values, as 64-bit numbers in one byte order."""
    found = hashlib.sha256()
    for column in columns:
        kind = "<i8" if np.issubdtype(column.dtype, np.integer) else "<f8"
        found.update(f"{kind}{column.shape}".encode())
        found.update(np.ascontiguousarray(column, dtype=kind).tobytes())
    return found.hexdigest()[:16]
