"""An XGBoost model as a predictor: a Booster, or what XGBoost's scikit-learn classes hold, in XGBoost's own format.

In: a fitted model (or the bytes of a saved one: .ubj, .json), the signature and the schema of its training rows. Out: a
Predictor. The file holds trees and numbers, no code; but what reads it is C++ that a damaged file may crash, so it runs
in a worker. Where every column is a number it gets one float64 matrix, else the DataFrame of the training rows with its
columns of the dtype category, whose categories XGBoost 3.1 or later keeps in the file. On the judging path (or in a
worker).
"""

import json
from typing import Any

import numpy as np
import xgboost

from incumbent.errors import ArtefactRefused
from incumbent.records import Signature
from incumbent.runtimes.base import SCALAR, Columns, Floats, Opening, matrix_of, n_rows
from incumbent.runtimes.naming import taken
from incumbent.runtimes.schema import Schema, native

PART = "model.xgboost.ubj"
_LABELS = ("multi:softmax", "binary:hinge", "binary:logitraw")
"""Objectives whose answers are no probabilities."""


class XgBoost:
    """A loaded model with one thread. Its classes are numbered 0, 1, …, and so must the signature's be, in any order.

    Raises ArtefactRefused when it does not suit the signature.
    """

    runtime = "xgboost"
    takes_transformer = False

    def __init__(self, booster: Any, signature: Signature, schema: Schema | None = None) -> None:
        booster.set_param({"nthread": 1})
        self.signature, self.schema = signature, schema
        self._booster = booster
        self.names = taken(booster.feature_names, booster.num_features(), signature)
        self.input_names = tuple(self.names)
        self._as_matrix = all(c.type in SCALAR for c in signature.columns if c.name in self.names)
        self.class_order = numbered(signature)
        objective = _objective(booster)
        if signature.classifies and objective in _LABELS:
            raise ArtefactRefused(
                f"the model was trained with the objective {objective}, which gives no probabilities: expected "
                "binary:logistic or multi:softprob. Train it anew, or set it with Booster.set_param and save it."
            )

    def predict(self, columns: Columns) -> Floats:
        """Answer n_rows rows."""
        rows = n_rows(columns)
        if rows == 0:
            return np.empty((0, len(self.signature.classes)) if self.signature.classifies else 0)
        output = np.asarray(self._answers(columns), dtype=np.float64)
        if not self.signature.classifies:
            return output.reshape(rows, -1)[:, 0] if output.size == rows else output
        if output.ndim == 1:
            output = np.column_stack([1.0 - output, output])
        known = len(self.class_order)
        if output.shape[1] != known:
            raise ArtefactRefused(f"the model knows {output.shape[1]} classes; the signature has {known}")
        return output[:, np.argsort(self.class_order)]

    def unnamed(self) -> Any:
        """A copy of the Booster without names of features, as the converter to ONNX takes it."""
        copy = self._booster.copy()
        copy.feature_names = None
        return copy

    def _answers(self, columns: Columns) -> Any:
        if self._as_matrix:
            return self._booster.inplace_predict(matrix_of(columns, self.names), validate_features=False)
        frame = native(columns, self.signature, self.schema)
        frame = frame if self.names == list(self.signature.names) else frame[self.names]
        return self._booster.predict(xgboost.DMatrix(frame, enable_categorical=True), validate_features=False)


def load(content: bytes, opening: Opening) -> XgBoost:
    """The model of these bytes. Raises ArtefactRefused when XGBoost does not read them."""
    if not content.startswith((b'{"', b"{L", b"{\n", b"{ ")):
        raise ArtefactRefused(f"found {content[:12]!r}…, expected a model that XGBoost saved as .ubj or .json")
    try:
        booster = xgboost.Booster(model_file=bytearray(content))
    except Exception as error:  # damaged bytes make it raise anything
        said = str(error).strip().splitlines()[0] if str(error).strip() else ""
        raise ArtefactRefused(f"XGBoost does not read this model: {type(error).__name__}: {said}") from error
    found = opening.schema
    return XgBoost(booster, opening.signature, None if found is None else Schema(found["library"], found["dtypes"]))


def pack(model: Any, opening: Opening) -> tuple[str, bytes]:
    """The part of a version that holds a Booster, one of XGBoost's scikit-learn models, or the bytes of a saved one.

    A scikit-learn model that was stopped early answers with the rounds up to its best one: only these are stored.
    """
    if isinstance(model, bytes):
        return PART, model
    if isinstance(model, xgboost.Booster):
        return PART, bytes(model.save_raw("ubj"))
    booster, best = model.get_booster(), getattr(model, "best_iteration", None) if _stopped(model) else None
    return PART, bytes((booster if best is None else booster[: best + 1]).save_raw("ubj"))


def numbered(signature: Signature) -> list[int]:
    """The place of the model's classes 0, 1, … in the signature. Raises ArtefactRefused when these are not its
    classes."""
    numbers = list(signature.classes)
    if sorted(map(str, numbers)) != sorted(map(str, range(len(numbers)))) or any(isinstance(n, str) for n in numbers):
        shown = ", ".join(repr(label) for label in numbers)
        raise ArtefactRefused(
            f"XGBoost numbers its classes 0, 1, …; the signature has {shown}. Number the target in load as the model "
            "was trained on."
        )
    return [numbers.index(number) for number in range(len(numbers))]


def _stopped(model: Any) -> bool:
    return getattr(model, "early_stopping_rounds", None) is not None and model.get_params().get("booster") != "gblinear"


def _objective(booster: Any) -> str:
    return str(json.loads(booster.save_config())["learner"]["objective"]["name"])
