"""Late truth finds its prediction by id, and the row loss is computed here, once.

In: outcomes as they came, the signature and the metric of the task. Out: counts; losses in the Log as
integers of 1e-9 units, for each version that scored the row. Judges nothing: stores sum the losses, steps
weigh the sums.
"""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from incumbent.errors import RowError
from incumbent.records import Label, Micros, Outcome, Signature
from incumbent.runtimes.signature import label_index
from incumbent.stats.metrics import LARGEST_LOSS, Metric, to_units
from incumbent.storage.base import Log, OutcomeCounts, Scored

LABEL = "label"
_AT_ONCE = 100_000


def receive(
    log: Log, outcomes: Sequence[Outcome], signature: Signature, window: Micros | None = None
) -> OutcomeCounts:
    """Check outcomes and keep them, all or none.

    A `label` must be one of the classes, or a finite number; every other name holds a finite number. Raises
    RowError for the first that is not. Unknown ids are kept until their prediction comes. What was known only
    `window` after its prediction, or later, is kept too, and counted as late: no look at a trial counts it.
    """
    counts = log.append_outcomes([_checked(row, outcome, signature) for row, outcome in enumerate(outcomes)])
    return counts if window is None else replace(counts, late=_late(log, outcomes, window))


def _late(log: Log, outcomes: Sequence[Outcome], window: Micros) -> int:
    times = log.times([each.id for each in outcomes])
    return sum(each.id in times and each.known_at >= times[each.id] + window for each in outcomes)


def settle(log: Log, signature: Signature, metric: Metric) -> int:
    """Compute and keep every row loss that is missing or older than its label; how many there were.

    A metric that is no mean of row losses (roc_auc) has none: 0. A loss that does not fit the stored integer
    counts as the largest that does (9.2e9).
    """
    if metric.row_loss is None:
        return 0
    settled = 0
    while True:
        scored = log.unscored(_AT_ONCE)
        if scored:
            log.put_losses(_losses(scored, signature, metric))
        settled += len(scored)
        if len(scored) < _AT_ONCE:
            return settled


def _losses(scored: Sequence[Scored], signature: Signature, metric: Metric) -> list[tuple[str, str, int]]:
    by_version: dict[str, list[Scored]] = defaultdict(list)
    for row in scored:
        by_version[row.version].append(row)
    losses: list[tuple[str, str, int]] = []
    assert metric.row_loss is not None
    for version, rows in by_version.items():
        found = metric.row_loss(_outputs(rows, signature), _truth(rows, signature))
        units = to_units(np.minimum(found, LARGEST_LOSS), metric)
        losses.extend(zip([row.id for row in rows], [version] * len(rows), units.tolist(), strict=True))
    return losses


def _outputs(rows: Sequence[Scored], signature: Signature) -> npt.NDArray[np.float64]:
    outputs = np.array([row.output for row in rows], dtype=np.float64)
    return outputs if signature.classifies else outputs[:, 0]


def _truth(rows: Sequence[Scored], signature: Signature) -> npt.NDArray[np.float64] | npt.NDArray[np.int64]:
    labels = [row.label for row in rows]
    return label_index(labels, signature) if signature.classifies else np.array(labels, dtype=np.float64)


def _checked(row: int, outcome: Outcome, signature: Signature) -> Outcome:
    if outcome.name == LABEL and signature.classifies:
        return replace(outcome, value=_class(row, outcome.value, signature))
    value = outcome.value
    if isinstance(value, bool) and outcome.name != LABEL:
        return replace(outcome, value=int(value))
    if isinstance(value, bool) or not isinstance(value, int | float) or not _is_finite(value):
        raise RowError(row, "value", value, f"a finite number for the outcome {outcome.name!r}")
    return outcome


def _is_finite(value: int | float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer that no float holds
        return False


def _class(row: int, value: Label, signature: Signature) -> Label:
    """The class as the signature writes it (1 and 1.0 and true are the same class, "1" is another)."""
    for label in signature.classes:
        if label == value:
            return label
    classes = ", ".join(repr(label) for label in signature.classes[:10])
    raise RowError(row, "value", value, f"one of the classes {classes}")
