"""Naive rules: what any model must beat, and what answers when all else fails.

In: a rule as a JSON object and a Signature. Out: a Predictor in plain numpy. steps.baseline fits rules; here they
only answer. A column that a rule reads may be null: the rule's `default` answers then.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from incumbent.errors import ArtefactRefused
from incumbent.records import Json, Signature
from incumbent.runtimes import simple
from incumbent.runtimes.base import Columns, Floats, Opening, n_rows
from incumbent.runtimes.grouping import Lookup, row_hashes

Spec = Mapping[str, Json]
Answer = Callable[[Columns, int], Floats]
"""Columns and the number of rows in, the output of a predictor out."""

_FIELDS: Mapping[str, tuple[str, ...]] = {
    "prior": ("probabilities",),
    "most_frequent": ("class",),
    "stratified": ("probabilities",),
    "group_rate": ("column", "table", "default"),
    "constant": ("value",),
    "group_mean": ("column", "table", "default"),
    "column": ("column",),
    "lag": ("column", "default"),
    "window_mean": ("columns", "default"),
    "drift": ("first", "last", "steps", "horizon"),
    "tree": ("inputs", "input", "threshold", "left", "right", "values"),
    "linear": ("inputs", "weights", "intercept", "link"),
}
_CLASSES_ONLY = ("prior", "most_frequent", "stratified", "group_rate")
_NUMBERS_ONLY = ("constant", "group_mean", "lag", "window_mean", "drift")


class Rule:
    """A rule that answers rows. Specs:

    classes   prior{probabilities}  most_frequent{class: position}
              stratified{probabilities}: a class drawn by a hash of the row
              group_rate{column, table: key -> probabilities, default}
    numbers   constant{value}  group_mean{column, table: key -> number, default}
              lag{column, default}  window_mean{columns, default}  drift{first, last, steps, horizon, default}
    both      column{column, default}: a prediction that is there already; for binary the probability of the
              positive class (the second one)
              tree{…} linear{…}: see `runtimes.simple`

    Keys of a table are those of `grouping.group_keys`. Raises ArtefactRefused for an unknown rule, a missing field, a
    column that the signature lacks, or a rule of the wrong kind.

    >>> rule = Rule({"rule": "prior", "probabilities": [0.8, 0.2]}, Signature((), "binary", (0, 1)))
    >>> rule.answer(2)
    array([[0.8, 0.2],
           [0.8, 0.2]])
    """

    runtime = "rule"

    def __init__(self, spec: Spec, signature: Signature) -> None:
        _check(spec, signature)
        self.spec, self.signature = dict(spec), signature
        self._answer = _RULES[str(spec["rule"])](self.spec, signature)

    def predict(self, columns: Columns) -> Floats:
        """Answer n_rows rows; a signature without columns has none to count, so `answer` is for that."""
        return self._answer(columns, n_rows(columns))

    def answer(self, rows: int) -> Floats:
        """Answer `rows` rows without looking at them (prior, most_frequent, constant)."""
        return self._answer({}, rows)


def load(content: bytes, opening: Opening) -> Rule:
    """The rule that `pack` wrote."""
    return Rule(json.loads(content), opening.signature)


def pack(rule: Any, opening: Opening) -> tuple[str, bytes]:
    """The part of a version that holds a `Rule` (or its spec), as JSON."""
    spec = rule.spec if isinstance(rule, Rule) else Rule(rule, opening.signature).spec
    return "rule.json", json.dumps(spec, sort_keys=True).encode()


def _check(spec: Spec, signature: Signature) -> None:
    rule = str(spec.get("rule"))
    if rule not in _FIELDS:
        raise ArtefactRefused(f"found the rule {rule!r}, expected one of {', '.join(_FIELDS)}")
    missing = [field for field in _FIELDS[rule] if field not in spec]
    if missing:
        raise ArtefactRefused(f"rule {rule!r} lacks {', '.join(missing)}")
    if rule in (_NUMBERS_ONLY if signature.classifies else _CLASSES_ONLY):
        raise ArtefactRefused(f"rule {rule!r} does not suit a task of kind {signature.kind!r}")
    if rule == "column" and signature.kind == "multiclass":
        raise ArtefactRefused("rule 'column' gives one probability; a multiclass task needs one a class")
    tables = [one["column"] for one in spec.get("inputs", ()) if one["table"] is not None]
    numbers = [one["column"] for one in spec.get("inputs", ()) if one["table"] is None]
    reads = [spec[key] for key in ("column", "first", "last") if key in spec] + list(spec.get("columns", ()))
    reads += tables + numbers
    unknown = [name for name in reads if name not in signature.names]
    if unknown:
        raise ArtefactRefused(f"rule {rule!r} reads {', '.join(unknown)}; found {', '.join(signature.names)}")
    arrays = [c.name for c in signature.columns if c.name in reads and c.type == "numbers"]
    if arrays:
        raise ArtefactRefused(f"rule {rule!r} reads one value a row, but {', '.join(arrays)} holds number arrays")
    strings = [c.name for c in signature.columns if c.name in set(reads) - set(tables) and c.type == "string"]
    if strings and rule not in ("group_rate", "group_mean"):
        raise ArtefactRefused(f"rule {rule!r} reads numbers, but {', '.join(strings)} holds strings")


def _repeat(values: Any, rows: int) -> Floats:
    return np.tile(np.asarray(values, dtype=np.float64), (rows, 1))


def _prior(spec: Spec, signature: Signature) -> Answer:
    return lambda columns, rows: _repeat(spec["probabilities"], rows)


def _most_frequent(spec: Spec, signature: Signature) -> Answer:
    return lambda columns, rows: _repeat(np.eye(len(signature.classes))[spec["class"]], rows)


def _stratified(spec: Spec, signature: Signature) -> Answer:
    """The draw is a hash of the row, so that the same row always gets the same answer."""
    edges, classes = np.cumsum(spec["probabilities"])[:-1], np.eye(len(signature.classes))

    def answer(columns: Columns, rows: int) -> Floats:
        seen = {name: columns[name] for name in signature.names if name in columns}
        draws = (row_hashes(seen, rows) >> np.uint64(11)).astype(np.float64) / 2**53
        return np.asarray(classes[np.searchsorted(edges, draws, side="right")])

    return answer


def _group(spec: Spec, signature: Signature) -> Answer:
    column = next(c for c in signature.columns if c.name == spec["column"])
    lookup = Lookup(list(spec["table"]), column.type)
    answers = np.asarray([*spec["table"].values(), spec["default"]], dtype=np.float64)
    return lambda columns, rows: answers[lookup.codes(columns[column.name])]


def _constant(spec: Spec, signature: Signature) -> Answer:
    return lambda columns, rows: np.full(rows, float(spec["value"]))


def _column(spec: Spec, signature: Signature) -> Answer:
    def answer(columns: Columns, rows: int) -> Floats:
        values = _filled(columns[spec["column"]], spec)
        return np.column_stack([1 - values, values]) if signature.classifies else values

    return answer


def _window_mean(spec: Spec, signature: Signature) -> Answer:
    def answer(columns: Columns, rows: int) -> Floats:
        total, count = np.zeros(rows), np.zeros(rows)
        for name in spec["columns"]:  # column by column: the window of a million rows need not stand in memory
            known = ~np.isnan(columns[name])
            count += known
            total += np.where(known, columns[name], 0.0)
        return _filled(np.where(count > 0, total / np.maximum(count, 1), np.nan), spec)

    return answer


def _drift(spec: Spec, signature: Signature) -> Answer:
    """The last value, moved on by the mean step between the first and the last one."""

    def answer(columns: Columns, rows: int) -> Floats:
        first, last = columns[spec["first"]], columns[spec["last"]]
        slope = (last - first) / max(spec["steps"], 1)
        return _filled(last + spec["horizon"] * np.where(np.isnan(slope), 0.0, slope), spec)

    return answer


def _filled(values: npt.NDArray[Any], spec: Spec) -> Floats:
    default = spec.get("default")
    found = np.asarray(values, dtype=np.float64)
    return found if default is None else np.where(np.isnan(found), float(default), found)


_RULES: Mapping[str, Callable[[Spec, Signature], Answer]] = {
    "prior": _prior,
    "most_frequent": _most_frequent,
    "stratified": _stratified,
    "group_rate": _group,
    "constant": _constant,
    "group_mean": _group,
    "column": _column,
    "lag": _column,
    "window_mean": _window_mean,
    "drift": _drift,
    "tree": simple.tree,
    "linear": simple.linear,
}
