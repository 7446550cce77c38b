"""What a student learns from: a teacher that was fitted without the held-out rows, and its out-of-fold answers.

In: the user's teacher recipe, training and held-out rows. Out: a Lesson with honest soft targets for every row: no
row is answered by a teacher that saw its label.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from incumbent.config import Versions
from incumbent.project.code import Code
from incumbent.project.rows import Rows
from incumbent.records import Signature
from incumbent.runtimes import artefact, kinds, schema
from incumbent.runtimes.base import Columns, Floats, Opening, Predictor
from incumbent.runtimes.sklearn import Fitted
from incumbent.steps.speed import folds as stretches
from incumbent.steps.speed import soft_targets


@dataclass(frozen=True, slots=True)
class Lesson:
    """Training rows with soft targets, held-out rows with the teacher's answers."""

    signature: Signature
    teacher: Predictor
    columns: Columns
    truth: Any
    soft: Floats
    held_columns: Columns
    held_truth: Any
    held_teacher: Floats

    @classmethod
    def teach(cls, code: Code, recipe: str, train: Rows, held_out: Rows, signature: Signature, folds: int) -> "Lesson":
        """Fit the teacher once on all training rows, and `folds` times without one stretch of time."""
        columns, truth = train.columns(signature), train.truth(signature)

        def fit_predict(on: Any, rest: Any) -> Floats:
            frame = train.at_places(on).training_frame()
            return native_of(code.fit(recipe, frame), signature, frame).predict(_picked(columns, rest))

        frame = train.training_frame()
        teacher = native_of(code.fit(recipe, frame), signature, frame)
        soft = soft_targets(fit_predict, truth.astype(np.float64), signature, stretches(len(train), folds))
        held = held_out.columns(signature)
        answers = teacher.predict(held)
        return cls(signature, teacher, columns, truth, soft, held, held_out.truth(signature), answers)

    def everything(self) -> tuple[Columns, Floats]:
        """Columns and soft targets of all rows: the teacher never saw the held-out ones."""
        hard = np.eye(len(self.signature.classes))[self.held_truth] if self.signature.classifies else self.held_truth
        columns = {name: np.concatenate([self.columns[name], self.held_columns[name]]) for name in self.columns}
        return columns, np.concatenate([self.soft, 0.5 * hard + 0.5 * self.held_teacher])


def native_of(model: Any, signature: Signature, frame: Any = None) -> Predictor:
    """A model that is not registered, as a predictor; `frame` is what it was fitted on."""
    found = None if frame is None else schema.of(frame)
    if kinds.runtime_of(model) == "sklearn":
        return Fitted(model, signature, found)
    return artefact.native(model, Opening(signature, Versions(), None if found is None else found.to_json()))


def _picked(columns: Columns, places: Any) -> Columns:
    return {name: values[places] for name, values in columns.items()}
