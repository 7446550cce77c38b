"""What makes a baseline, and every figure after it, worthless.

In: training rows and held-out rows, the metric, scores. Out: warnings, each a sentence with its numbers. Blocks
nothing. Leaks are looked for on at most 200,000 rows a side, evenly over all.
"""

import math

import numpy as np
import numpy.typing as npt

from incumbent.errors import DataError
from incumbent.records import ColumnType, Json, Signature
from incumbent.runtimes.base import Columns, Floats
from incumbent.runtimes.grouping import mapped, row_hashes
from incumbent.stats.compare import paired
from incumbent.stats.metrics import Metric
from incumbent.steps.baseline.groups import Codes, group_table
from incumbent.steps.baseline.held import Ints, evenly
from incumbent.steps.baseline.rules import Loss, row_loss
from incumbent.steps.baseline.scoring import LAST_VALUE, Score

LEAK_LEFT = 0.02
"""A single column that leaves less than this share of the overall rate's loss knows the target."""
MANY_TWICE = 0.1
MOST_GROUPS = 1_000
MOST_ROWS = 200_000
N_BINS = 50
MUCH_BETTER = 0.95
"""A rule that leaves at most this share of the last value's loss makes the last value the wrong baseline."""

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
    loss, found = row_loss(metric, signature), []
    train, held = evenly(len(target), MOST_ROWS), evenly(len(held_target), MOST_ROWS)
    truth, held_truth = target[train], held_target[held]
    for column in signature.columns:
        if signature.kind == "forecast" and column.name.startswith("lag_"):
            continue
        coded = _coded(columns[column.name][train], held_columns[column.name][held], column.type)
        if coded is None:
            continue
        left = _left(*coded, truth, held_truth, signature, loss)
        if left < LEAK_LEFT:
            sentence = f"column {column.name} alone leaves {left:.1%} of the loss: does it know the target?"
            found.append({"trap": "leak", "column": column.name, "left": left, "sentence": sentence})
    return found


def twice(columns: Columns, target: Floats, held_columns: Columns, held_target: Floats) -> list[Warned]:
    """Held-out rows that stand among the training rows too, label and all: who memorises looks good."""
    if not columns:
        return []
    seen = row_hashes({**columns, "": target}, len(target), lasting=False)
    asked = row_hashes({**held_columns, "": held_target}, len(held_target), lasting=False)
    share = float(np.isin(asked, seen).mean())
    if share <= MANY_TWICE:
        return []
    sentence = f"{share:.0%} of the held-out rows stand among the training rows too, feature by feature"
    return [{"trap": "duplicates", "share": share, "sentence": sentence}]


def one_value(target: Floats, held: Floats, signature: Signature) -> list[Warned]:
    """A held-out stretch that holds one class only, and a target that never changes."""
    if signature.classifies:
        if len(held) == 0 or held.min() != held.max():
            return []
        only = signature.classes[int(held[0])]
        sentence = f"all {len(held):,} held-out labels are {only!r}: no figure here says anything about the rest"
        return [{"trap": "one_class", "sentence": sentence}]
    if target.min() != target.max():
        return []
    return [{"trap": "constant", "sentence": f"every training row has the target {target[0]:g}"}]


def last_value(scores: list[Score]) -> list[Warned]:
    """The last value is the baseline that everybody takes; often another rule leaves far less."""
    last = next((score for score in scores if score.name == LAST_VALUE), None)
    naive = [s for s in scores if s.rule is not None and s.rule.role != "simple" and s.scaled is not None]
    if last is None or not naive:
        return []
    best = min(naive, key=lambda score: score.scaled or 0.0)
    if best.scaled is None or best.scaled > MUCH_BETTER:
        return []
    season = best.rule.season if best.rule else 0
    sentence = f"the last value is the wrong baseline: {best.name} has {best.scaled:.2f} of its loss"
    return [{"trap": "season" if season else "last_value", "season": season, "sentence": sentence}]


def direction(metric: Metric, held: Floats, signature: Signature, scores: list[Score]) -> list[Warned]:
    """A metric that says the wrong way round: what knows the truth scores worse than a naive rule."""
    truth = held.astype(np.int64) if signature.classifies else held
    knowing = np.eye(len(signature.classes))[truth] if signature.classifies else held
    try:
        perfect = metric.value(knowing, truth)
    except DataError:  # no value on these rows, of whatever prediction
        return []
    wrong = [score for score in scores if metric.gain(perfect, score.found.value) > 0.0]
    if wrong:
        way = "lower" if metric.lower_is_better else "higher"
        sentence = (
            f"{metric.name} is declared as {way} is better, but a perfect prediction scores {perfect:.4g} and "
            f"{wrong[0].name} {wrong[0].found.value:.4g}: turn its direction round"
        )
        return [{"trap": "direction", "perfect": perfect, "sentence": sentence}]
    if not math.isclose(perfect, metric.perfect, rel_tol=1e-6, abs_tol=1e-6):
        sentence = f"{metric.name} declares {metric.perfect:g} as perfect; what knows the truth scores {perfect:.4g}"
        return [{"trap": "perfect", "perfect": perfect, "sentence": sentence}]
    return []


def simple_is_better(scores: list[Score], metric: Metric, blocks: Ints | None) -> list[Warned]:
    """A small model that is listed, and is shown better than the rule that takes the place."""
    best = scores[0]
    beside = [s for s in scores if s.rule is not None and s.rule.role == "simple" and s is not best]
    better = [s for s in beside if _shown_better(best, s, metric, blocks)]
    if not better:
        return []
    top = max(better, key=lambda s: metric.gain(best.found.value, s.found.value))
    article = "an" if top.name[0] in "aeiou" else "a"
    sentence = (
        f"{article} {top.name} reaches {top.found.value:.4g} at once: a candidate that does not beat it is not worth "
        "serving"
    )
    return [{"trap": "simple", "value": top.found.value, "sentence": sentence}]


def _shown_better(best: Score, other: Score, metric: Metric, blocks: Ints | None) -> bool:
    """On the same rows, at 95 %; where there are no row losses, outside of the best rule's interval."""
    if best.found.losses is not None and other.found.losses is not None:
        return paired(best.found.losses, other.found.losses, blocks=blocks).lower > 0.0
    if best.found.lower is None or best.found.upper is None:
        return False
    end = best.found.lower if metric.lower_is_better else best.found.upper
    return metric.gain(end, other.found.value) > 0.0


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
    distinct = sorted(v for v in set(values.tolist()) if v is not None)
    if not 2 <= len(distinct) <= MOST_GROUPS:
        return None
    places = {key: code for code, key in enumerate(distinct)}
    return mapped(places, values, -1), mapped(places, held, -1)
