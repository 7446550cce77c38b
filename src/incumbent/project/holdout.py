"""What the gate of a project needs of held-out rows besides the answers: slices, fingerprints, the count of looks.

In: Rows, outputs, the ledger. Out: labels for `steps.gate`, and how many candidates were judged on these very rows.
Judges nothing.
"""

import hashlib
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from incumbent import config
from incumbent.project.rows import Rows
from incumbent.records import Event
from incumbent.runtimes.base import Floats
from incumbent.steps import gate as step


def labels(rows: Rows, settings: config.Gate) -> dict[str, step.Labels]:
    """The columns that `gate.slice` names, where the rows have them: a missing one is the gate's to hold."""
    wanted = dict.fromkeys(one.column for one in settings.slice)
    return {name: step.labels(rows.frame[name].to_list()) for name in wanted if name in rows.frame.columns}


def looks(events: Iterable[Event], rows: Rows, truth: npt.NDArray[np.generic], output: Floats) -> step.Looks:
    """Which candidate this is on these very rows, counting those that the ledger knows.

    A holdout is its rows' times and labels; features may be computed anew without making it another. The same answers
    asked about again are the same look: asking twice changes no chance.
    """
    holdout, answers = _digest(rows.at, truth), _digest(output)
    asked = [event.data.get("evidence", {}).get("numbers", {}) for event in events]
    before = dict.fromkeys(numbers["answers"] for numbers in asked if numbers.get("holdout") == holdout)
    order = list(before)
    count = order.index(answers) + 1 if answers in before else len(order) + 1
    return step.Looks(count, holdout, answers)


def _digest(*columns: npt.NDArray[np.generic]) -> str:
    """The first 16 digits of a sha256 over the values, as 64-bit numbers in one byte order."""
    found = hashlib.sha256()
    for column in columns:
        kind = "<i8" if np.issubdtype(column.dtype, np.integer) else "<f8"
        found.update(f"{kind}{column.shape}".encode())
        found.update(np.ascontiguousarray(column, dtype=kind).tobytes())
    return found.hexdigest()[:16]
