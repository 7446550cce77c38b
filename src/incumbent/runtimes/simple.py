"""A model small enough to be a rule: a tree of a few splits, or a straight line, in plain numpy.

In: the spec that `steps.baseline.simple` fits, and a Signature. Out: a function of columns that answers n rows. Each
row is answered by itself: the same bits whatever the other rows are. Fits nothing.

    inputs   [{column, fill: what a null is, table: key -> number, or null where the column holds numbers}]
    tree     {inputs, input [node], threshold [node], left [node], right [node], values [node][output]}
             a row goes left where its input is at most the threshold; a leaf has left = -1
    linear   {inputs, weights [output][input], intercept [output], link: identity | sigmoid | softmax}
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from incumbent.records import Json, Signature
from incumbent.runtimes.base import Columns, Floats
from incumbent.runtimes.grouping import Lookup

Spec = Mapping[str, Json]
Answer = Callable[[Columns, int], Floats]


class Inputs:
    """The columns that a model reads, as one matrix (n_rows, n_inputs) without a null."""

    def __init__(self, specs: Any, signature: Signature) -> None:
        types = {column.name: column.type for column in signature.columns}
        self._parts = [_input(spec, types[spec["column"]]) for spec in specs]

    def matrix(self, columns: Columns, rows: int) -> Floats:
        found = np.empty((rows, len(self._parts)))
        for i, part in enumerate(self._parts):
            found[:, i] = part(columns)
        return found


def tree(spec: Spec, signature: Signature) -> Answer:
    """(n_rows, n_classes) or (n_rows,): the values of the leaf that a row falls into."""
    inputs = Inputs(spec["inputs"], signature)
    of, left, right = (np.asarray(spec[key], dtype=np.int64) for key in ("input", "left", "right"))
    threshold, values = np.asarray(spec["threshold"], dtype=np.float64), np.asarray(spec["values"], dtype=np.float64)

    def answer(columns: Columns, rows: int) -> Floats:
        matrix, node, each = inputs.matrix(columns, rows), np.zeros(rows, dtype=np.int64), np.arange(rows)
        for _ in range(len(left)):  # ends after as many rounds as the tree is deep
            inner = left[node] >= 0
            if not inner.any():
                break
            goes_left = matrix[each, of[node]] <= threshold[node]
            node = np.where(inner, np.where(goes_left, left[node], right[node]), node)
        return values[node] if signature.classifies else values[node, 0]

    return answer


def linear(spec: Spec, signature: Signature) -> Answer:
    """(n_rows, n_classes) or (n_rows,): link(inputs · weights + intercept)."""
    inputs = Inputs(spec["inputs"], signature)
    weights, intercept = np.asarray(spec["weights"], dtype=np.float64), np.asarray(spec["intercept"], dtype=np.float64)
    link = _LINKS[spec["link"]]

    def answer(columns: Columns, rows: int) -> Floats:
        matrix = inputs.matrix(columns, rows)
        # vecdot sums each row by itself; a product of matrices groups rows, and differs in the last bit.
        return link(np.column_stack([np.vecdot(matrix, row) for row in weights]) + intercept)

    return answer


def _input(spec: Spec, type: Any) -> Callable[[Columns], Floats]:
    name, fill = str(spec["column"]), float(spec["fill"])
    if spec["table"] is None:
        return lambda columns: _filled(columns[name], fill)
    lookup = Lookup(list(spec["table"]), type)
    numbers = np.array([*spec["table"].values(), fill], dtype=np.float64)
    return lambda columns: numbers[lookup.codes(columns[name])]


def _filled(values: npt.NDArray[Any], fill: float) -> Floats:
    return np.where(np.isnan(values), fill, values)


def _identity(summed: Floats) -> Floats:
    return summed[:, 0]


def _sigmoid(summed: Floats) -> Floats:
    second = 1.0 / (1.0 + np.exp(np.clip(-summed[:, 0], -700.0, 700.0)))
    return np.column_stack([1.0 - second, second])


def _softmax(summed: Floats) -> Floats:
    powers = np.exp(summed - summed.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


_LINKS: Mapping[str, Callable[[Floats], Floats]] = {"identity": _identity, "sigmoid": _sigmoid, "softmax": _softmax}
