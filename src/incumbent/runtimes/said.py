"""What somebody else's system says, as the output of a predictor: probabilities a class, or numbers.

In: answers as an array or a list (of numbers, labels, lists, or objects by class), one a row, and a Signature. Out:
(n_rows, n_classes) or (n_rows,) float64. On the answering path, in a worker: numpy, no DataFrame. Checks no range.
"""

import json
from typing import Any

import numpy as np

from incumbent.errors import DataError
from incumbent.records import Signature
from incumbent.runtimes.base import Floats

_EXPECTED = "expected one number a row, one label, or one number a class"


def as_output(said: Any, signature: Signature, name: str) -> Floats:
    """(n_rows, n_classes) probabilities, or (n_rows,) numbers, of whatever `name` gives.

    For classes one probability a row (of the second class), one a class (by position, or by name in a dict a row), or
    labels. Raises DataError when it is none of these.

    >>> as_output([0.25], Signature((), "binary", (0, 1)), "old").tolist()
    [[0.75, 0.25]]
    """
    values = _array(_by_class(said, signature, name), name)
    values = values[:, 0] if values.ndim == 2 and values.shape[1] == 1 else values
    if not signature.classifies or values.ndim == 2:
        return _numbers(values, name)
    try:
        labels = set(values.tolist())
    except TypeError:  # lists or objects among them: no labels
        odd = next((one for one in values.tolist() if isinstance(one, list | dict)), values.tolist())
        raise DataError(f"{name}: found the answer {_short(odd)}, {_EXPECTED}") from None
    if labels <= set(signature.classes):
        return np.eye(len(signature.classes))[[signature.classes.index(value) for value in values.tolist()]]
    if len(signature.classes) == 2 and not any(isinstance(label, str) for label in labels):
        positive = _numbers(values, name)
        return np.column_stack([1 - positive, positive])
    expected = ", ".join(map(repr, signature.classes))
    wrong = next(label for label in values.tolist() if label not in signature.classes)
    raise DataError(f"{name}: found the answer {wrong!r}, expected one of the classes {expected}, or probabilities")


def _array(said: Any, name: str) -> Any:
    try:
        return np.asarray(said)
    except ValueError:
        sizes = [len(one) if isinstance(one, list | tuple) else 0 for one in said]
        odd = next((one for one, size in zip(said, sizes, strict=True) if size != sizes[0]), said[0])
        found = f"answers of more than one shape, {_short(said[0])} first and {_short(odd)} among them"
        raise DataError(f"{name}: found {found}; {_EXPECTED}") from None


def _short(one: Any) -> str:
    said = repr(one)
    return said if len(said) <= 80 else f"{said[:80]}…"


def _by_class(said: Any, signature: Signature, name: str) -> Any:
    """Dicts of probabilities by class (as JSON names them) as lists in the order of the classes."""
    if not isinstance(said, list) or not said or not isinstance(said[0], dict):
        return said
    keys = [label if isinstance(label, str) else json.dumps(label) for label in signature.classes]
    try:
        return [[one[key] for key in keys] for one in said]
    except (KeyError, TypeError):
        expected = f"expected one number for each of {', '.join(keys)}"
        raise DataError(f"{name}: found the answer {said[0]!r}, {expected}") from None


def _numbers(values: Any, name: str) -> Floats:
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise DataError(f"{name}: found answers that are no numbers ({error})") from None
