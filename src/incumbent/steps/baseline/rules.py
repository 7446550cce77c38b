"""Which naive rules suit a task, fitted on its training rows.

In: typed columns, truth, signature, metric, task. Out: `NaiveRule`s, specifications that `runtimes.rule`
runs. Where a rule has a choice (which column, which season) it is made on the training rows alone, and on at
most 200,000 of them, evenly over all. Scores nothing.
"""

import math
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from incumbent.config import Baseline, Task
from incumbent.errors import DataError
from incumbent.records import Json, Signature
from incumbent.runtimes.base import Columns, Floats
from incumbent.stats import metrics
from incumbent.stats.metrics import Metric
from incumbent.steps.baseline import simple
from incumbent.steps.baseline.groups import Codes, Groups, group_table, groups_of
from incumbent.steps.baseline.held import evenly, taken

MOST_CHOOSING = 200_000
SEASON_GAIN = 0.98
"""A season is found where its lag's loss is at most this share of the losses of the lags beside it."""

AS_GOOD = 1.1
"""Among seasons about as good (7, 14, 21 …) the shortest is the one."""

Spec = dict[str, Json]
Loss = Callable[[npt.ArrayLike, npt.ArrayLike], Floats]
Wanted = Collection[str] | None
"""Descriptions of the rules to fit; None: the data choose."""


@dataclass(frozen=True, slots=True)
class NaiveRule:
    """A rule by its description (the same words name it after a refit), and what `runtimes.rule` needs.

    `role` is "rule", "declared" (a column that the project names) or "simple" (a small model).
    """

    description: str
    spec: Spec
    season: int = 0
    role: Literal["rule", "declared", "simple"] = "rule"


def rules(
    columns: Columns,
    target: Floats,
    signature: Signature,
    metric: Metric,
    task: Task,
    settings: Baseline | None = None,
    *,
    wanted: Wanted = None,
) -> list[NaiveRule]:
    """The rules that suit the kind. `wanted`: those of these descriptions, whatever the data would choose."""
    settings = settings or Baseline()
    loss = row_loss(metric, signature)
    declared = _declared_rules(settings.columns, target, signature)
    if signature.kind == "forecast":
        found = _series_rules(columns, target, task, loss, wanted) + declared
        if settings.simple != "off":
            found += _autoregression(columns, target, task, wanted)
        return found if wanted is None else [rule for rule in found if rule.description in wanted]
    small = settings.simple != "off" and (wanted is None or bool(_SIMPLE & set(wanted)))
    groups = _groups(columns, signature, None if small else wanted)
    plain = _class_rules(target, signature) if signature.classifies else _number_rules(target, metric)
    found = plain + _group_rules(groups, target, signature, loss, wanted) + declared
    if signature.kind != "multiclass":
        found += _given_rules(columns, target, signature, loss, wanted, {rule.description for rule in declared})
    if small:
        models = simple.models(columns, target, signature, groups)
        found += [NaiveRule(name, spec, role="simple") for name, spec in models]
    return found if wanted is None else [rule for rule in found if rule.description in wanted]


_SIMPLE = {simple.TREE, simple.LINE, simple.LOGISTIC}


def row_loss(metric: Metric, signature: Signature) -> Loss:
    """The metric's row loss; where it has none (roc_auc, f1), the Brier score chooses columns."""
    loss = metric.row_loss or metrics.get("brier", signature.kind).row_loss
    if loss is None:
        raise TypeError(f"no row loss for kind {signature.kind!r}")
    return loss


def _groups(columns: Columns, signature: Signature, wanted: Wanted) -> dict[str, Groups]:
    found = {
        column.name: groups_of(columns[column.name], column.type)
        for column in signature.columns
        if wanted is None or _grouped(column.name, signature) in wanted
    }
    return {name: groups for name, groups in found.items() if groups is not None}


def _class_rules(target: Floats, signature: Signature) -> list[NaiveRule]:
    counts = np.bincount(target.astype(np.int64), minlength=len(signature.classes))
    shares = (counts / len(target)).tolist()
    return [
        NaiveRule("prior of the training rows", {"rule": "prior", "probabilities": shares}),
        NaiveRule("most frequent class", {"rule": "most_frequent", "class": int(np.argmax(counts))}),
        NaiveRule("stratified draw", {"rule": "stratified", "probabilities": shares}),
    ]


def _number_rules(target: Floats, metric: Metric) -> list[NaiveRule]:
    constants = {"mean": math.fsum(target) / len(target), "median": float(np.median(target))}
    level = re.fullmatch(r"quantile_loss_(.+)", metric.name)
    if level:
        constants[f"{float(level[1]):g} quantile"] = float(np.quantile(target, float(level[1])))
    return [NaiveRule(name, {"rule": "constant", "value": value}) for name, value in constants.items()]


def _group_rules(
    groups: Mapping[str, Groups], target: Floats, signature: Signature, loss: Loss, wanted: Wanted
) -> list[NaiveRule]:
    """The best single column's rates or means: chosen on the later half of the rows, fitted on the half
    before.
    """
    said = {name: _grouped(name, signature) for name in groups}
    names = [name for name in groups if wanted is None or said[name] in wanted]
    if wanted is None and len(names) > 1:
        places = evenly(len(target), MOST_CHOOSING)
        losses = {name: _later_loss(groups[name], places, target, signature, loss) for name in names}
        names = [min(names, key=lambda name: losses[name])]
    return [NaiveRule(said[name], _group_spec(name, groups[name], target, signature)) for name in names]


def _grouped(name: str, signature: Signature) -> str:
    return f"{'rate' if signature.classifies else 'mean'} by {name}"


def _group_spec(name: str, groups: Groups, target: Floats, signature: Signature) -> Spec:
    table, overall = group_table(groups.codes, len(groups.keys), target, signature)
    shape = (lambda row: row.tolist()) if signature.classifies else (lambda row: float(row[0]))
    return {
        "rule": "group_rate" if signature.classifies else "group_mean",
        "column": name,
        "table": {key: shape(row) for key, row in zip(groups.keys, table, strict=True)},
        "default": shape(overall),
    }


def _later_loss(groups: Groups, places: Codes, target: Floats, signature: Signature, loss: Loss) -> float:
    half = (len(places) + 1) // 2
    first, later = places[:half], places[half:]
    table, overall = group_table(groups.codes[first], len(groups.keys), target[first], signature)
    predicted = np.vstack([table, overall])[groups.codes[later]]  # code -1 is the last row: the overall rate
    shown = predicted if signature.classifies else predicted[:, 0]
    return math.fsum(loss(shown, target[later]))


def _given_rules(
    columns: Columns, target: Floats, signature: Signature, loss: Loss, wanted: Wanted, declared: set[str]
) -> list[NaiveRule]:
    """Columns that already are a prediction: taken as they are, they beat the overall rate or the mean."""
    places = evenly(len(target), MOST_CHOOSING)
    truth, rate = target[places], math.fsum(target) / len(target)
    overall = np.array([1 - rate, rate]) if signature.classifies else np.asarray(rate)
    to_beat = math.fsum(loss(np.broadcast_to(overall, (len(truth), *overall.shape)), truth))
    found: list[tuple[float, str]] = []
    for column in signature.columns:
        said = _as_it_is(column.name)
        if column.type not in ("number", "integer") or said in declared or (wanted is not None and said not in wanted):
            continue
        if not _may_be_prediction(columns[column.name], signature):
            continue
        values = columns[column.name][places]
        shown = np.column_stack([1 - values, values]) if signature.classifies else values
        total = math.fsum(loss(shown, truth))
        if wanted is not None or total < to_beat:
            found.append((total, column.name))
    chosen = sorted(found) if wanted is not None else sorted(found)[:1]
    return [
        NaiveRule(_as_it_is(name), {"rule": "column", "column": name, "default": rate}) for _, name in chosen
    ]


def _may_be_prediction(values: npt.NDArray[np.generic], signature: Signature) -> bool:
    low, high = float(np.min(values)), float(np.max(values))  # NaN where one is
    if not (math.isfinite(low) and math.isfinite(high)):
        return False
    return not signature.classifies or (low >= 0.0 and high <= 1.0)


def _declared_rules(names: tuple[str, ...], target: Floats, signature: Signature) -> list[NaiveRule]:
    """Features that the project says are predictions: always shown. A column that is no feature is a reference."""
    types = {column.name: column.type for column in signature.columns}
    usable = [name for name in names if types.get(name) in ("number", "integer", "boolean")]
    if signature.kind == "multiclass":  # one number a row says no probability of each class
        return []
    default = math.fsum(target) / len(target)
    return [
        NaiveRule(_as_it_is(name), {"rule": "column", "column": name, "default": default}, role="declared")
        for name in usable
    ]


def _as_it_is(name: str) -> str:
    return f"column {name} as it is"


# --- series -----------------------------------------------------------------------------------------------


def _series_rules(
    columns: Columns, target: Floats, task: Task, loss: Loss, wanted: Wanted
) -> list[NaiveRule]:
    """Rules on lag columns: `lag_1` is the last known value, the target lies `horizon` steps after it."""
    depth = _depth(columns)
    if not depth:
        raise DataError(f"a forecast needs lag_1, lag_2, …; found {', '.join(columns) or 'no column'}")
    mean = math.fsum(target) / len(target)
    found = [NaiveRule("last value", {"rule": "lag", "column": "lag_1", "default": mean})]
    if depth > 1:
        spec = {"rule": "drift", "first": f"lag_{depth}", "last": "lag_1", "steps": depth - 1}
        found.append(
            NaiveRule(f"drift over {depth} values", spec | {"horizon": task.horizon, "default": mean})
        )
    found += [_window(f"mean of the last {width} values", range(1, width + 1), mean)
              for width in sorted({min(7, depth), depth} - {1})]  # fmt: skip
    seasons = _seasons(columns, target, task, depth, loss, wanted)
    for season in seasons:
        steps = range(_lag_of_season(season, task.horizon), depth + 1, season)
        if steps[0] > 1:  # else it is the last value
            spec = {"rule": "lag", "column": f"lag_{steps[0]}", "default": mean}
            found.append(NaiveRule(f"last season's value (season {season})", spec, season))
        if len(steps) > 1:
            found.append(_window(f"mean of {len(steps)} seasons (season {season})", steps, mean, season))
    return found


def _depth(columns: Columns) -> int:
    """How many lags there are."""
    return next(k for k in range(len(columns) + 1) if f"lag_{k + 1}" not in columns)


def _autoregression(columns: Columns, target: Floats, task: Task, wanted: Wanted) -> list[NaiveRule]:
    depth = _depth(columns)
    if wanted is not None and simple.autoregression_of(depth) not in wanted:
        return []
    models = simple.autoregression(columns, target, depth, bool(task.series))
    return [NaiveRule(name, spec, role="simple") for name, spec in models]


def _window(description: str, steps: range, mean: float, season: int = 0) -> NaiveRule:
    names = [f"lag_{step}" for step in steps]
    return NaiveRule(description, {"rule": "window_mean", "columns": names, "default": mean}, season)


def _lag_of_season(season: int, horizon: int) -> int:
    """The lag that lies whole seasons before the target: the smallest k ≥ 1 with k + horizon − 1 =
    m·season.
    """
    return math.ceil(horizon / season) * season - horizon + 1


def _seasons(
    columns: Columns, target: Floats, task: Task, depth: int, loss: Loss, wanted: Wanted
) -> list[int]:
    """The season given, or the one found: the best lag among those that beat both lags beside them."""
    possible = [s for s in range(2, depth + task.horizon) if _lag_of_season(s, task.horizon) <= depth]
    if wanted is not None:
        return [s for s in possible if any(said.endswith(f"(season {s})") for said in wanted)]
    if task.season:
        return [s for s in possible if s == task.season]
    places = evenly(len(target), MOST_CHOOSING)
    lags = taken({name: columns[name] for name in (f"lag_{k}" for k in range(1, depth + 1))}, places)
    losses = {k: _lag_loss(lags[f"lag_{k}"], target[places], loss) for k in range(1, depth + 1)}
    peaks = []
    for season in possible:
        k = _lag_of_season(season, task.horizon)
        beside = [losses[near] for near in (k - 1, k + 1) if near in losses]
        if (k == 1 or len(beside) == 2) and losses[k] <= SEASON_GAIN * min(beside, default=-math.inf):
            peaks.append((losses[k], season))
    best = min(peaks)[0] if peaks else 0.0
    return [min(season for found, season in peaks if found <= AS_GOOD * best)] if peaks else []


def _lag_loss(lag: Floats, target: Floats, loss: Loss) -> float:
    known = np.isfinite(lag)
    return math.fsum(loss(lag[known], target[known])) / int(known.sum()) if known.any() else math.inf
