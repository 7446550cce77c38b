"""What makes a baseline, and every figure after it, worthless.

In: training rows and held-out rows. Out: warnings, each a sentence with its numbers. Blocks nothing.
"""

import math

import numpy as np
import numpy.typing as npt

from incumbent.records import ColumnType, Json, Signature
from incumbent.runtimes.base import Columns, Floats
from incumbent.stats.metrics import Metric
from incumbent.steps.baseline.rules import Codes, Loss, group_table, row_loss

LEAK_LEFT = 0.02
"""A single column that leaves less than this share of the overall rate's loss knows the target."""
MANY_TWICE = 0.1
MOST_GROUPS = 1_000
N_BINS = 50

Warned = dict[str, Json]


def leaks(
    columns: Columns,
    target: Floats,
    held_columns: Columns,
    held_target: Floats,
    signature: Signature,
    metric: Metric,
) -> list[Warned]:
    """Features that by themselves leave almost nothing of the held-out loss (the lags of a forecast may)."""
    if signature.kind == "forecast":
        return []
    loss = row_loss(metric, signature)
    found: list[Warned] = []
    for column in signature.columns:
        coded = _coded(columns[column.name], held_columns[column.name], column.type)
        if coded is None:
            continue
        left = _left(*coded, target, held_target, signature, loss)
        if left < LEAK_LEFT:
            sentence = f"column {column.name} alone leaves {left:.1%} of the loss: does it know the target?"
            found.append({"trap": "leak", "column": column.name, "left": left, "sentence": sentence})
    return found


def twice(columns: Columns, target: Floats, held_columns: Columns, held_target: Floats) -> list[Warned]:
    """Held-out rows that stand among the training rows too, label and all: who memorises looks good."""
    if not columns:
        return []
    seen = _row_codes({**columns, "": target}, {**held_columns, "": held_target})
    share = float(np.isin(seen[len(target) :], seen[: len(target)]).mean())
    if share <= MANY_TWICE:
        return []
    sentence = f"{share:.0%} of the held-out rows stand among the training rows too, feature by feature"
    return [{"trap": "duplicates", "share": share, "sentence": sentence}]


def _left(
    codes: Codes, held_codes: Codes, target: Floats, held: Floats, signature: Signature, loss: Loss
) -> float:
    """The held-out loss by groups of one column, as a share of the loss without it (1 where that is 0)."""
    table, overall = group_table(codes, int(codes.max()) + 1, target, signature)
    rows = np.vstack([table, overall])
    by_group, without = rows[held_codes], np.broadcast_to(overall, (len(held), len(overall)))
    totals = [
        math.fsum(loss(shown if signature.classifies else shown[:, 0], held)) for shown in (by_group, without)
    ]
    return totals[0] / totals[1] if totals[1] > 0.0 else 1.0


def _coded(
    values: npt.NDArray[np.generic], held: npt.NDArray[np.generic], kind: ColumnType
) -> tuple[Codes, Codes] | None:
    """Categories, or quantile bins of the training numbers; -1 for null and unseen; None: nothing to group
    by.
    """
    if kind == "numbers":
        return None
    if kind != "string":
        finite = values[np.isfinite(values.astype(float))].astype(float)
        edges = np.unique(np.quantile(finite, np.arange(1, N_BINS) / N_BINS)) if len(finite) else finite
        coded = [np.searchsorted(edges, side.astype(float), side="left") for side in (values, held)]
        nulls = [~np.isfinite(side.astype(float)) for side in (values, held)]
        found = [np.where(null, -1, codes).astype(np.int64) for codes, null in zip(coded, nulls, strict=True)]
        return (found[0], found[1]) if len(edges) else None
    keys = {key: code for code, key in enumerate(dict.fromkeys(v for v in values.tolist() if v is not None))}
    if not 2 <= len(keys) <= MOST_GROUPS:
        return None
    sides = [np.array([keys.get(v, -1) for v in side.tolist()], dtype=np.int64) for side in (values, held)]
    return sides[0], sides[1]


def _row_codes(columns: Columns, held_columns: Columns) -> npt.NDArray[np.uint64]:
    """A 64-bit code for each row of both sides; equal rows have equal codes (others: 2^-64 a pair)."""
    generator = np.random.default_rng(0)
    total: npt.NDArray[np.uint64] | None = None
    for name, values in columns.items():
        both = np.concatenate([values, held_columns[name]])
        if both.ndim == 2:  # number arrays: equal rows have equal sums, each row summed by itself
            both = np.vecdot(both, generator.normal(size=both.shape[1]))
        text = both.dtype == object
        cells = np.array(["\0null" if v is None else str(v) for v in both]) if text else both.astype(float)
        _, codes = np.unique(cells, return_inverse=True)
        mixed = generator.integers(0, 2**64, int(codes.max()) + 1, dtype=np.uint64)[codes]
        total = mixed if total is None else total * np.uint64(6364136223846793005) + mixed
    return np.zeros(0, dtype=np.uint64) if total is None else total
