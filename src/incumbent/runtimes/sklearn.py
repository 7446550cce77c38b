"""A fitted scikit-learn-like estimator as a predictor: Pipelines, LightGBM's classes, anything with predict.

In: an estimator, the signature and the schema of its training rows. Out: a Predictor that rebuilds the DataFrame
that the estimator was trained on and puts its classes in the signature's order. Stored with skops, which runs no code
on load and brings only trusted types; pickle is by opt-in. On the judging path (or in a worker).
"""

import hashlib
import io
import json
import pickle
import re
import warnings
import zipfile
from collections.abc import Iterator
from typing import Any

import numpy as np
import skops.io
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import InconsistentVersionWarning
from sklearn.pipeline import Pipeline

from incumbent.errors import ArtefactRefused
from incumbent.records import Signature
from incumbent.runtimes.base import Columns, Floats, Opening, n_rows
from incumbent.runtimes.closed import check_zip
from incumbent.runtimes.schema import Schema, native

TRUSTED = (
    "collections.OrderedDict",
    "lightgbm.basic.Booster",
    "lightgbm.sklearn.LGBMClassifier",
    "lightgbm.sklearn.LGBMRegressor",
    "numpy.dtype",
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
    "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
    "sklearn.tree._tree.Tree",
    "sklearn.utils._bunch.Bunch",
)
"""Types beside skops' own that every project trusts: the insides of scikit-learn, and LightGBM's text model."""


class Fitted:
    """An estimator that answers columns. Raises ArtefactRefused when it has neither predict_proba (classes) nor
    predict (numbers), or knows a class that the signature lacks."""

    runtime = "sklearn"

    def __init__(self, estimator: Any, signature: Signature, schema: Schema | None = None) -> None:
        method = "predict_proba" if signature.classifies else "predict"
        if not hasattr(estimator, method):
            raise ArtefactRefused(
                f"{type(estimator).__name__} has no {method}, which a {signature.kind} task needs. Wrap it in a class "
                "that has one (CalibratedClassifierCV gives probabilities to any classifier)."
            )
        self.estimator, self.signature, self.schema = estimator, signature, schema
        self._method = getattr(estimator, method)
        self.class_order = class_order(estimator, signature)
        self.takes_array = takes_array(estimator, signature)
        self.names = taken_names(estimator, signature)
        transformer = first_step(estimator)
        self.takes_transformer = isinstance(transformer, ColumnTransformer)
        self.input_names = used_names(transformer, self.names) if self.takes_transformer else tuple(self.names)

    def predict(self, columns: Columns) -> Floats:
        """Answer n_rows rows; a class that the estimator never saw has probability 0."""
        rows = n_rows(columns)
        if rows == 0:
            return np.empty((0, len(self.signature.classes)) if self.signature.classifies else 0)
        output = np.asarray(self._method(self._input(columns)), dtype=np.float64)
        if not self.signature.classifies:
            return output.reshape(rows)
        ordered = np.zeros((rows, len(self.signature.classes)))
        ordered[:, self.class_order] = output
        return ordered

    def _input(self, columns: Columns) -> Any:
        if self.takes_array:
            return np.column_stack([columns[name] for name in self.names])
        frame = native(columns, self.signature, self.schema)
        return frame if self.names == list(self.signature.names) else frame[self.names]


def load_skops(content: bytes, opening: Opening) -> Fitted:
    """The estimator of a skops file. Raises ArtefactRefused naming the types that nobody trusts. Who is trusted is
    said by the project's `versions.trust` alone; whatever the file says about it is not read."""
    if not zipfile.is_zipfile(io.BytesIO(content)):
        raise ArtefactRefused(f"skops does not read this file: found {content[:12]!r}…, expected a zip")
    check_zip(content, opening.versions.unpacked_mb)
    try:
        found = skops.io.get_untrusted_types(data=content)
    except Exception as error:  # changed bytes make it raise anything
        raise ArtefactRefused(f"skops does not read this file: {type(error).__name__}: {error}") from error
    refused = sorted(set(found) - set(TRUSTED) - set(opening.versions.trust))
    if refused:
        raise ArtefactRefused(
            f"the model brings types that nobody trusts: {', '.join(refused)}. If you know them, write in "
            f"incumbent.toml, under [versions]: trust = {json.dumps([*opening.versions.trust, *refused])}"
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InconsistentVersionWarning)  # the golden rows decide
        return _fitted(skops.io.loads(content, trusted=found), opening)


def load_pickle(content: bytes, opening: Opening) -> Fitted:
    """The estimator of a pickle, if the configuration opts in and our own ledger names these bytes."""
    if not opening.versions.pickle:
        raise ArtefactRefused(
            "this version is a pickle, which can run any code when it is loaded. To allow the pickles that are on "
            "your own ledger write in incumbent.toml, under [versions]: pickle = true"
        )
    if not opening.vouched:
        digest = hashlib.sha256(content).hexdigest()
        raise ArtefactRefused(f"the pickle {digest[:12]}… is not on our ledger, and is not loaded: register it first")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InconsistentVersionWarning)
        return _fitted(pickle.loads(content), opening)


def pack(estimator: Any, opening: Opening) -> tuple[str, bytes]:
    """The part of a version that holds an estimator: skops, or a pickle where skops cannot and `versions.pickle`; bytes
    are those of a skops file."""
    if isinstance(estimator, bytes):
        return "native.skops", estimator
    try:
        content = canonical(skops.io.dumps(estimator))
        load_skops(content, opening)
        return "native.skops", content
    except Exception as error:  # what skops cannot write it refuses in many ways
        if opening.versions.pickle:
            return "native.pickle", pickle.dumps(estimator, protocol=5)
        if isinstance(error, ArtefactRefused):
            raise
        raise ArtefactRefused(
            f"skops cannot store {type(estimator).__name__}: {type(error).__name__}: {error}. To store it as a pickle "
            "write in incumbent.toml, under [versions]: pickle = true"
        ) from error


def canonical(content: bytes) -> bytes:
    """The same skops file without memory addresses and times, so that the same model has the same hash."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        files = {info.filename: archive.read(info) for info in archive.infolist()}
    text = files.pop("schema.json").decode()
    order: dict[str, str] = {}
    address = re.compile(r'(?<="__id__": )\d+|(?<="file": ")\d+(?=\.)')
    text = address.sub(lambda found: order.setdefault(found[0], str(len(order))), text)
    named = {re.sub(r"^\d+(?=\.)", lambda m: order.get(m[0], m[0]), name): data for name, data in files.items()}
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in sorted({**named, "schema.json": text.encode()}.items()):
            archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
    return target.getvalue()


def class_order(estimator: Any, signature: Signature) -> list[int]:
    """For each column of predict_proba its place in the signature's classes."""
    if not signature.classifies:
        return []
    place = {label: i for i, label in enumerate(signature.classes)}
    known = [v.item() if isinstance(v, np.generic) else v for v in getattr(estimator, "classes_", signature.classes)]
    unknown = [label for label in known if label not in place]
    if unknown:
        raise ArtefactRefused(f"the model knows the classes {unknown}; the signature has {list(signature.classes)}")
    return [place[label] for label in known]


def takes_array(estimator: Any, signature: Signature) -> bool:
    """Was it fitted on an array without names, as wide as the signature?"""
    names = getattr(estimator, "feature_names_in_", None)
    unnamed = names is None or not set(map(str, names)) & set(signature.names)
    width = sum(column.length or 1 for column in signature.columns)
    return unnamed and getattr(estimator, "n_features_in_", None) == width


def taken_names(estimator: Any, signature: Signature) -> list[str]:
    """The columns that it was fitted on, in that order, as far as the signature has them (a ColumnTransformer may
    have seen the target, and does not ask for it again)."""
    fitted = [str(name) for name in getattr(estimator, "feature_names_in_", ())]
    return [name for name in fitted if name in signature.names] or list(signature.names)


def first_step(estimator: Any) -> Any:
    """What sees the DataFrame first: the first step of a Pipeline, else the estimator itself."""
    while isinstance(estimator, Pipeline):
        estimator = estimator.steps[0][1]
    return estimator


def used_names(transformer: ColumnTransformer, names: list[str]) -> tuple[str, ...]:
    """The columns that a ColumnTransformer does something with, in the order of `names`."""
    used: set[str] = set()
    for _, step, columns in transformer.transformers_:
        if step != "drop":
            fitted = np.array(transformer.feature_names_in_, dtype=object)
            by_name = not isinstance(columns, slice) and all(isinstance(c, str) for c in columns)
            used |= set(columns if by_name else fitted[columns])
    return tuple(name for name in names if name in used)


def parts_of(value: Any, seen: set[int] | None = None) -> Iterator[Any]:
    """An estimator and every object inside it that has attributes: steps of pipelines, stacks, calibrated ones."""
    seen = set() if seen is None else seen
    if id(value) in seen or isinstance(value, str | bytes | np.ndarray | type):
        return
    seen.add(id(value))
    if isinstance(value, dict):
        inner = list(value.values())
    elif isinstance(value, list | tuple):
        inner = list(value)
    else:
        inner = list(getattr(value, "__dict__", {}).values())
        if inner:
            yield value
    for item in inner:
        yield from parts_of(item, seen)


def _fitted(estimator: Any, opening: Opening) -> Fitted:
    """One thread: a forest of 200 trees answers a row in 7.7 ms with one job, in 23-48 ms with all."""
    for part in parts_of(estimator):
        if getattr(part, "n_jobs", 1) not in (None, 1):
            part.n_jobs = 1
    found = opening.schema
    schema = None if found is None else Schema(found["library"], found["dtypes"])
    return Fitted(estimator, opening.signature, schema)
