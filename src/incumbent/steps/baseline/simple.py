"""What does a model reach that anybody fits in a minute? A tree of depth 3, and a straight line; of a series its
autoregression.

In: typed columns, targets and their groups. Out: specifications for `runtimes.simple`, fitted by scikit-learn on at
most 100,000 rows, evenly over all of them: seven splits, or a weight a column, are no surer with more. Text is read as
the rate or mean of its group, a null as the column's median. Number arrays and times are left out. Scores nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from incumbent.records import Json, Signature
from incumbent.runtimes.base import Columns, Floats
from incumbent.runtimes.simple import Inputs
from incumbent.steps.baseline.groups import Groups, group_table
from incumbent.steps.baseline.held import evenly, taken

MOST_ROWS = 100_000
DEPTH = 3
LEAST_LEAF = 20
"""Fewer rows in a leaf are no rate."""
_LARGEST = 1e30
"""scikit-learn's trees work in float32, which ends at 3e38."""
TREE, LINE, LOGISTIC = "tree of depth 3", "linear regression", "logistic regression"

Spec = dict[str, Json]


@dataclass(frozen=True, slots=True)
class _Rows:
    """The rows that are fitted on: one matrix without a null, and its targets."""

    inputs: list[Spec]
    matrix: Floats
    target: Floats


def models(
    columns: Columns, target: Floats, signature: Signature, groups: Mapping[str, Groups]
) -> list[tuple[str, Spec]]:
    """Each model by its description. None where no column varies."""
    places = evenly(len(target), MOST_ROWS)
    inputs = _inputs(columns, target, signature, groups)
    matrix = Inputs(inputs, signature).matrix(taken(columns, places), len(places)) if inputs else np.empty((0, 0))
    varies = [i for i in range(len(inputs)) if 0.0 < np.ptp(matrix[:, i]) < _LARGEST]
    if not varies:
        return []
    rows = _Rows([inputs[i] for i in varies], matrix[:, varies], target[places])
    line = _logistic(rows, signature) if signature.classifies else _line(rows)
    return [(TREE, _tree(rows, signature)), (LOGISTIC if signature.classifies else LINE, line)]


def autoregression(columns: Columns, target: Floats, depth: int, series: bool) -> list[tuple[str, Spec]]:
    """The straight line through `depth` lags of the target, by least squares with a small ridge (Hyndman &
    Athanasopoulos, Forecasting: Principles and Practice, 2021, 9.3). None where no row has all of them, or none varies.

    `series`: one line for several series, which lie on levels of their own. It is fitted on what a row has beyond the
    mean of its lags, as a share of how far they lie from it, so that no series speaks louder for being large
    (Montero-Manso & Hyndman, International Journal of Forecasting 37, 2021); it takes two lags.
    """
    names = [f"lag_{k}" for k in range(1, depth + 1)]
    places = evenly(len(target), MOST_ROWS)
    lags, truth = np.column_stack([columns[name][places] for name in names]), target[places]
    whole = np.isfinite(lags).all(axis=1)
    lags, truth = lags[whole], truth[whole]
    if len(truth) <= depth + 1 or not 0.0 < np.ptp(lags) < _LARGEST or (series and depth < 2):
        return []
    weights, intercept = _through_levels(lags, truth) if series else _through(lags, truth)
    fill = float(np.median(lags))
    spec: Spec = {
        "rule": "linear", "inputs": [{"column": name, "fill": fill, "table": None} for name in names],
        "weights": [weights.tolist()], "intercept": [intercept], "link": "identity",
    }  # fmt: skip
    return [(autoregression_of(depth), spec)]


def autoregression_of(depth: int) -> str:
    """Its description."""
    return f"autoregression on {depth} lag{'' if depth == 1 else 's'}"


def _through(lags: Floats, truth: Floats) -> tuple[Floats, float]:
    fitted = Ridge(alpha=1.0).fit((lags - lags.mean()) / lags.std(), truth)
    weights = fitted.coef_ / lags.std()
    return weights, float(fitted.intercept_ - weights.sum() * lags.mean())


def _through_levels(lags: Floats, truth: Floats) -> tuple[Floats, float]:
    """Weights that sum to 1, so that a series moved by a constant is forecast moved by it; no intercept."""
    level = lags.mean(axis=1, keepdims=True)
    spread = np.abs(lags - level).mean(axis=1, keepdims=True)
    moves = spread[:, 0] > 0.0
    share = (lags[moves] - level[moves]) / spread[moves]
    beyond = (truth[moves] - level[moves, 0]) / spread[moves, 0]
    most = np.quantile(np.abs(beyond), 0.99) if len(beyond) else 0.0  # a row after a nearly constant stretch
    fitted = Ridge(alpha=1.0, fit_intercept=False).fit(share, np.clip(beyond, -most, most)) if len(beyond) else None
    weights = np.zeros(lags.shape[1]) if fitted is None else np.asarray(fitted.coef_)
    return weights + (1.0 - weights.sum()) / len(weights), 0.0


def _inputs(columns: Columns, target: Floats, signature: Signature, groups: Mapping[str, Groups]) -> list[Spec]:
    found: list[Spec] = []
    for column in signature.columns:
        values = columns[column.name]
        if column.type == "string" and column.name in groups:
            found.append(_table(column.name, groups[column.name], target, signature))
        elif column.type in ("number", "integer", "boolean"):
            known = values[~np.isnan(values)]
            if len(known):
                median = float(np.median(known[evenly(len(known), MOST_ROWS)]))
                found.append({"column": column.name, "fill": median, "table": None})
    return found


def _table(name: str, groups: Groups, target: Floats, signature: Signature) -> Spec:
    """Each text as the rate of one class in its group (the positive, or the commonest of several), or the mean."""
    table, overall = group_table(groups.codes, len(groups.keys), target, signature)
    place = len(overall) - 1 if len(overall) <= 2 else int(np.argmax(overall))
    keyed = {key: float(row[place]) for key, row in zip(groups.keys, table, strict=True)}
    return {"column": name, "fill": float(overall[place]), "table": keyed}


def _tree(rows: _Rows, signature: Signature) -> Spec:
    kind: Any = DecisionTreeClassifier if signature.classifies else DecisionTreeRegressor
    fitted = kind(max_depth=DEPTH, min_samples_leaf=LEAST_LEAF, random_state=0).fit(rows.matrix, rows.target)
    nodes = fitted.tree_
    values = nodes.value[:, 0, :]
    if signature.classifies:  # a class that the sample lacks has the rate 0
        whole = np.zeros((len(values), len(signature.classes)))
        whole[:, fitted.classes_.astype(np.int64)] = values / values.sum(axis=1, keepdims=True)
        values = whole
    return {
        "rule": "tree", "inputs": rows.inputs, "input": np.maximum(nodes.feature, 0).tolist(),
        "threshold": nodes.threshold.tolist(), "left": nodes.children_left.tolist(),
        "right": nodes.children_right.tolist(), "values": values.tolist(),
    }  # fmt: skip


def _line(rows: _Rows) -> Spec:
    mean, scale = rows.matrix.mean(axis=0), rows.matrix.std(axis=0)
    fitted = Ridge(alpha=1.0).fit((rows.matrix - mean) / scale, rows.target)
    return _linear(rows, fitted.coef_[None, :] / scale, np.array([fitted.intercept_]), mean, "identity")


def _logistic(rows: _Rows, signature: Signature) -> Spec:
    mean, scale = rows.matrix.mean(axis=0), rows.matrix.std(axis=0)
    fitted = LogisticRegression(max_iter=1_000).fit((rows.matrix - mean) / scale, rows.target)
    if len(signature.classes) == 2:
        return _linear(rows, fitted.coef_ / scale, fitted.intercept_, mean, "sigmoid")
    present = fitted.classes_.astype(np.int64)
    coef = fitted.coef_ if len(present) > 2 else np.vstack([0.0 * fitted.coef_, fitted.coef_])
    bias = fitted.intercept_ if len(present) > 2 else np.array([0.0, fitted.intercept_[0]])
    weights, intercept = np.zeros((len(signature.classes), coef.shape[1])), np.full(len(signature.classes), -30.0)
    weights[present], intercept[present] = coef / scale, bias  # a class that no row has: e^-30
    return _linear(rows, weights, intercept, mean, "softmax")


def _linear(rows: _Rows, weights: Floats, intercept: Floats, mean: Floats, link: str) -> Spec:
    """The line through the columns as they are, not as they were scaled."""
    moved = intercept - weights @ mean
    return {
        "rule": "linear", "inputs": rows.inputs, "weights": weights.tolist(), "intercept": moved.tolist(), "link": link,
    }  # fmt: skip
