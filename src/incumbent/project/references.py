"""What the systems that answer today say of the held-out rows: columns, functions, an endpoint, an MLflow model.

In: the held-out rows and `[baseline]` of the settings. Out: `Reference`s, with their answers kept as bytes. A reference
is compared with and never served: nobody knows whether it will be there tomorrow.
"""

import json
from collections.abc import Callable, Sequence
from typing import Any

import narwhals.stable.v1 as nw
import numpy as np

from incumbent.errors import ConfigError, DataError
from incumbent.project import endpoint, pyfunc
from incumbent.project.code import Code
from incumbent.project.rows import Rows
from incumbent.records import Signature
from incumbent.runtimes import frames
from incumbent.runtimes.base import Floats
from incumbent.steps.baseline.held import Reference, evenly

Keep = Callable[[bytes], str]


def collect(held: Rows, signature: Signature, code: Code | None, keep: Keep) -> tuple[Reference, ...]:
    """Ask each system that `[baseline]` names. Raises ConfigError for a column or function that is not there, and
    DataError for answers that cannot be used."""
    settings = held.config.baseline
    found = [_column(name, held, signature) for name in settings.columns if not _is_rule(name, held, signature)]
    features = held.frame.select(frames.feature_names(held.frame, held.config.task)) if len(held) else held.frame
    for name in settings.callables:
        if code is None:
            raise ConfigError(f"baseline.callables names {name}, but task.code is not set: name the file it is in.")
        found.append(Reference(f"function {name}", as_output(code.ask(name, nw.to_native(features)), signature, name)))
    if settings.mlflow:
        said = pyfunc.ask(settings.mlflow, nw.to_native(features))
        found.append(Reference(f"MLflow model {settings.mlflow}", as_output(said, signature, settings.mlflow)))
    if settings.url:
        places = evenly(len(held), settings.url_rows or len(held))
        rows = frames.rows(nw.to_native(features[places.tolist()]), features.columns)
        answers = endpoint.ask(settings, rows)
        name = endpoint.name(settings)
        found.append(Reference(name, as_output(answers, signature, name), places))
    return tuple(_kept(reference, keep) for reference in found)


def as_output(said: Any, signature: Signature, name: str) -> Floats:
    """(n_rows, n_classes) probabilities, or (n_rows,) numbers, of whatever a system gives: an array, a list, a column,
    a DataFrame. For classes one probability a row (of the second class), one a class (by position, or by name in a
    dict a row), or labels.

    Raises DataError when it is none of these.
    """
    values = _array(_by_class(said, signature, name))
    if not signature.classifies:
        return _numbers(values, name)
    if values.ndim == 2:
        return _numbers(values, name)
    labels = set(values.tolist())
    if labels <= set(signature.classes):
        return np.eye(len(signature.classes))[[signature.classes.index(value) for value in values.tolist()]]
    if len(signature.classes) == 2 and not any(isinstance(label, str) for label in labels):
        positive = _numbers(values, name)
        return np.column_stack([1 - positive, positive])
    expected = ", ".join(map(repr, signature.classes))
    wrong = next(label for label in values.tolist() if label not in signature.classes)
    raise DataError(f"{name}: found the answer {wrong!r}, expected one of the classes {expected}, or probabilities")


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


def _array(said: Any) -> Any:
    native = nw.from_native(said, pass_through=True, allow_series=True)
    values = native.to_numpy() if isinstance(native, nw.DataFrame | nw.Series) else np.asarray(said)
    return values[:, 0] if values.ndim == 2 and values.shape[1] == 1 else values


def _numbers(values: Any, name: str) -> Floats:
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"{name}: found answers that are no numbers ({error})") from None


def _is_rule(name: str, held: Rows, signature: Signature) -> bool:
    """A feature of numbers is a rule that can be served (but for several classes, where one number says too little)."""
    types = {column.name: column.type for column in signature.columns}
    return types.get(name) in ("number", "integer", "boolean") and signature.kind != "multiclass"


def _column(name: str, held: Rows, signature: Signature) -> Reference:
    if name not in held.frame.columns:
        raise ConfigError(f"baseline.columns names {name!r}: no such column; found {', '.join(held.frame.columns)}")
    values = held.frame[name]
    if values.is_null().any():
        missing = int(values.is_null().sum())
        raise DataError(f"baseline.columns: {name!r} is null in {missing:,} held-out rows, expected an answer in each")
    return Reference(f"column {name}", as_output(values.to_list(), signature, name))


def _kept(reference: Reference, keep: Keep) -> Reference:
    """With the hash of its answers among the facts: what was compared can be looked up for ever."""
    places: Sequence[int] | None = None if reference.rows is None else reference.rows.tolist()
    content = {"name": reference.name, "rows": places, "output": np.asarray(reference.output).tolist()}
    digest = keep(json.dumps(content).encode())
    return Reference(reference.name, reference.output, reference.rows, {"answers": digest, **reference.facts})
