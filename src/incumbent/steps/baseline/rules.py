"""Which naive rules suit a task, fitted on its training rows.

In: typed columns, truth, signature, metric, task. Out: `NaiveRule`s, specifications that `runtimes.rule`
runs. Where a rule has a choice (which column, which season) it is made on the training rows alone. Scores
nothing.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from incumbent.config import Task
from incumbent.errors import DataError
from incumbent.records import ColumnType, Json, Signature
from incumbent.runtimes.base import Columns, Floats
from incumbent.runtimes.rule import group_keys
from incumbent.stats import metrics
from incumbent.stats.metrics import Metric

SMOOTHING = 10.0
"""Rows of the overall rate mixed into each group (Cestnik, ECAI 1990): a group of 10 rows counts half."""
MOST_GROUPS = 1_000
MOST_NUMBER_GROUPS = 50
SEASON_GAIN = 0.98
"""A season is found where its lag's loss is at most this share of the losses of the lags beside it."""

AS_GOOD = 1.1
"""Among seasons about as good (7, 14, 21 …) the shortest is the one."""

Spec = dict[str, Json]
Codes = npt.NDArray[np.int64]
Loss = Callable[[npt.ArrayLike, npt.ArrayLike], Floats]


@dataclass(frozen=True, slots=True)
class NaiveRule:
    """A rule by its description (the same words name it after a refit), and what `runtimes.rule` needs."""

    description: str
    spec: Spec
    season: int = 0


@dataclass(frozen=True, slots=True)
class Groups:
    """A column as groups: `codes` (n,) index `keys`, -1 where the column is null."""

    codes: Codes
    keys: tuple[str, ...]


def rules(
    columns: Columns, target: Floats, signature: Signature, metric: Metric, task: Task, *, every: bool = False
) -> list[NaiveRule]:
    """The rules that suit the kind. `every`: all columns and seasons, not only the one that the data
    choose.
    """
    loss = row_loss(metric, signature)
    if signature.kind == "forecast":
        return _series_rules(columns, target, task, loss, every)
    grouped = _group_rules(columns, target, signature, loss, every)
    if signature.kind == "multiclass":
        return _class_rules(target, signature) + grouped
    simple = _class_rules(target, signature) if signature.classifies else _number_rules(target, metric)
    return simple + grouped + _given_rules(columns, target, signature, loss, every)


def row_loss(metric: Metric, signature: Signature) -> Loss:
    """The metric's row loss; where it has none (roc_auc, f1), the Brier score chooses columns."""
    loss = metric.row_loss or metrics.get("brier", signature.kind).row_loss
    if loss is None:
        raise TypeError(f"no row loss for kind {signature.kind!r}")
    return loss


def groups_of(values: npt.NDArray[np.generic], kind: ColumnType) -> Groups | None:
    """The groups of a column; None where it has one, or too many to be groups (or is a measure or a time)."""
    if kind in ("number", "timestamp", "numbers"):
        return None
    null = (
        np.array([value is None for value in values], dtype=np.bool_)
        if kind == "string"
        else np.isnan(values.astype(float))
    )
    if null.all():
        return None
    distinct, inverse = np.unique(
        values[~null].astype(str if kind == "string" else float), return_inverse=True
    )
    most = MOST_GROUPS if kind == "string" else MOST_NUMBER_GROUPS
    if not 2 <= len(distinct) + bool(null.any()) <= most:
        return None
    codes = np.full(len(values), -1, dtype=np.int64)
    codes[~null] = inverse
    return Groups(codes, tuple(str(key) for key in group_keys(distinct, kind)))


def group_table(codes: Codes, n_groups: int, target: Floats, signature: Signature) -> tuple[Floats, Floats]:
    """(n_groups, width) smoothed rates or means, and the overall one (width,); width 1 for numbers."""
    hot = np.eye(len(signature.classes))[target.astype(np.int64)] if signature.classifies else target[:, None]
    overall = np.array([math.fsum(column) for column in hot.T]) / len(target)
    known = codes >= 0
    sizes = np.bincount(codes[known], minlength=n_groups)[:, None]
    sums = np.column_stack([np.bincount(codes[known], column[known], n_groups) for column in hot.T])
    return (sums + SMOOTHING * overall) / (sizes + SMOOTHING), overall


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
    columns: Columns, target: Floats, signature: Signature, loss: Loss, every: bool
) -> list[NaiveRule]:
    """The best single column's rates or means: chosen on the later half of the rows, fitted on the half
    before.
    """
    candidates = {
        column.name: groups
        for column in signature.columns
        if (groups := groups_of(columns[column.name], column.type)) is not None
    }
    if not every and len(candidates) > 1:
        losses = {name: _later_loss(groups, target, signature, loss) for name, groups in candidates.items()}
        best = min(losses, key=lambda name: losses[name])
        candidates = {best: candidates[best]}
    return [_group_rule(name, groups, target, signature) for name, groups in candidates.items()]


def _group_rule(name: str, groups: Groups, target: Floats, signature: Signature) -> NaiveRule:
    table, overall = group_table(groups.codes, len(groups.keys), target, signature)
    shape = (lambda row: row.tolist()) if signature.classifies else (lambda row: float(row[0]))
    spec: Spec = {
        "rule": "group_rate" if signature.classifies else "group_mean",
        "column": name,
        "table": {key: shape(row) for key, row in zip(groups.keys, table, strict=True)},
        "default": shape(overall),
    }
    return NaiveRule(f"{'rate' if signature.classifies else 'mean'} by {name}", spec)


def _later_loss(groups: Groups, target: Floats, signature: Signature, loss: Loss) -> float:
    half = (len(target) + 1) // 2
    table, overall = group_table(groups.codes[:half], len(groups.keys), target[:half], signature)
    predicted = np.vstack([table, overall])[groups.codes[half:]]  # code -1 is the last row: the overall rate
    shown = predicted if signature.classifies else predicted[:, 0]
    return math.fsum(loss(shown, target[half:]))


def _given_rules(
    columns: Columns, target: Floats, signature: Signature, loss: Loss, every: bool
) -> list[NaiveRule]:
    """Columns that already are a prediction: taken as they are, they beat the overall rate or the mean."""
    shares = np.array([1 - target.mean(), target.mean()]) if signature.classifies else target.mean()
    to_beat = math.fsum(loss(np.broadcast_to(shares, (len(target), *np.shape(shares))), target))
    found: list[tuple[float, str]] = []
    for column in signature.columns:
        values = columns[column.name]
        if column.type not in ("number", "integer") or not np.isfinite(values).all():
            continue
        if signature.classifies and (values.min() < 0.0 or values.max() > 1.0):
            continue
        shown = np.column_stack([1 - values, values]) if signature.classifies else values
        total = math.fsum(loss(shown, target))
        if every or total < to_beat:
            found.append((total, column.name))
    chosen = sorted(found) if every else sorted(found)[:1]
    return [
        NaiveRule(
            f"column {name} as it is", {"rule": "column", "column": name, "default": float(target.mean())}
        )
        for _, name in chosen
    ]


# --- series -----------------------------------------------------------------------------------------------


def _series_rules(columns: Columns, target: Floats, task: Task, loss: Loss, every: bool) -> list[NaiveRule]:
    """Rules on lag columns: `lag_1` is the last known value, the target lies `horizon` steps after it."""
    depth = 0
    while f"lag_{depth + 1}" in columns:
        depth += 1
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
    seasons = _seasons(columns, target, task, depth, loss, every)
    for season in seasons:
        steps = range(_lag_of_season(season, task.horizon), depth + 1, season)
        if steps[0] > 1:  # else it is the last value
            spec = {"rule": "lag", "column": f"lag_{steps[0]}", "default": mean}
            found.append(NaiveRule(f"last season's value (season {season})", spec, season))
        if len(steps) > 1:
            found.append(_window(f"mean of {len(steps)} seasons (season {season})", steps, mean, season))
    return found


def _window(description: str, steps: range, mean: float, season: int = 0) -> NaiveRule:
    names = [f"lag_{step}" for step in steps]
    return NaiveRule(description, {"rule": "window_mean", "columns": names, "default": mean}, season)


def _lag_of_season(season: int, horizon: int) -> int:
    """The lag that lies whole seasons before the target: the smallest k ≥ 1 with k + horizon − 1 =
    m·season.
    """
    return math.ceil(horizon / season) * season - horizon + 1


def _seasons(columns: Columns, target: Floats, task: Task, depth: int, loss: Loss, every: bool) -> list[int]:
    """The season given, or the one found: the best lag among those that beat both lags beside them."""
    possible = [s for s in range(2, depth + task.horizon) if _lag_of_season(s, task.horizon) <= depth]
    if every or task.season:
        return [s for s in possible if every or s == task.season]
    losses = {k: _lag_loss(columns[f"lag_{k}"], target, loss) for k in range(1, depth + 1)}
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
