"""A CatBoost model as a predictor, in CatBoost's own format (cbm).

In: a fitted CatBoostClassifier or CatBoostRegressor (or the bytes of a saved .cbm), the signature and the schema of its
training rows. Out: a Predictor that rebuilds the DataFrame of the training rows and puts the classes in the order of
the signature. The file holds trees and numbers, no code; it runs in a worker, as whatever C++ reads it may crash. On
the judging path (or in a worker).

CatBoost refuses a null in a column of categories: fill it in `load` (the fallback answers such a row).
"""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from catboost import CatBoost, CatBoostClassifier, CatBoostRegressor

from incumbent.errors import ArtefactRefused
from incumbent.records import Signature
from incumbent.runtimes.base import SCALAR, Columns, Floats, Opening, matrix_of, n_rows
from incumbent.runtimes.naming import taken
from incumbent.runtimes.schema import Schema, native
from incumbent.runtimes.sklearn import class_order

PART = "model.catboost.cbm"
_BEGINS = b"CBM1"


class CatBoostModel:
    """A loaded model with one thread. Raises ArtefactRefused when it does not suit the signature."""

    runtime = "catboost"
    takes_transformer = False

    def __init__(self, model: Any, signature: Signature, schema: Schema | None = None) -> None:
        self.signature, self.schema = signature, schema
        self._model = model
        names = list(model.feature_names_)
        self.names = taken(None if names == [str(i) for i in range(len(names))] else names, len(names), signature)
        self.input_names = tuple(self.names)
        self._as_matrix = all(c.type in SCALAR for c in signature.columns if c.name in self.names) and not len(
            model.get_cat_feature_indices()
        )
        if signature.classifies and not len(model.classes_):
            raise ArtefactRefused(f"the model knows no classes, expected a classifier for a {signature.kind} task")
        self.class_order = class_order(model, signature)

    def predict(self, columns: Columns) -> Floats:
        """Answer n_rows rows; a class that the model never saw has probability 0."""
        rows = n_rows(columns)
        if rows == 0:
            return np.empty((0, len(self.signature.classes)) if self.signature.classifies else 0)
        if not self.signature.classifies:
            return np.asarray(self._model.predict(self._input(columns), thread_count=1), dtype=np.float64)
        ordered = np.zeros((rows, len(self.signature.classes)))
        ordered[:, self.class_order] = self._model.predict_proba(self._input(columns), thread_count=1)
        return ordered

    def as_onnx(self) -> bytes:
        """As CatBoost itself writes it; columns of categories it cannot."""
        return _saved(self._model, "onnx")

    def _input(self, columns: Columns) -> Any:
        if self._as_matrix:
            return matrix_of(columns, self.names)
        frame = native(columns, self.signature, self.schema)
        return frame if self.names == list(self.signature.names) else frame[self.names]


def load(content: bytes, opening: Opening) -> CatBoostModel:
    """The model of these bytes. Raises ArtefactRefused when CatBoost does not read them."""
    if not content.startswith(_BEGINS):
        raise ArtefactRefused(f"found {content[:12]!r}…, expected a model that CatBoost saved as .cbm")
    model = CatBoostClassifier() if opening.signature.classifies else CatBoostRegressor()
    try:
        model.load_model(blob=content)
    except Exception as error:  # damaged bytes make it raise anything
        raise ArtefactRefused(f"CatBoost does not read this model: {type(error).__name__}: {error}") from error
    found = opening.schema
    schema = None if found is None else Schema(found["library"], found["dtypes"])
    return CatBoostModel(model, opening.signature, schema)


def pack(model: Any, opening: Opening) -> tuple[str, bytes]:
    """The part of a version that holds a fitted model of CatBoost, or the bytes of a saved one."""
    if isinstance(model, bytes):
        return PART, model
    if not isinstance(model, CatBoost):
        raise ArtefactRefused(f"found {type(model).__name__}, expected a model of CatBoost")
    return PART, _saved(model, "cbm")


def _saved(model: Any, form: str) -> bytes:
    with tempfile.TemporaryDirectory(prefix="incumbent-") as folder:  # it writes to a file only
        path = Path(folder) / "model"
        model.save_model(str(path), format=form)
        return path.read_bytes()
