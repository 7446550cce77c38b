"""The contract of a predictor: typed columns in, one float array out.

Columns are a mapping from feature name to an array of n rows: `number`, `integer`, `boolean` and `timestamp`
(microseconds since 1970 UTC) as float64 with NaN for null, `string` as an object array of str with None for null,
`numbers` (number arrays of one length) as (n, length) float64 with a row of NaN for null. The output is float64:
(n_rows, n_classes) probabilities in the order of `signature.classes`, or (n_rows,) numbers. Where every column is one
number a row, a predictor may take them as one matrix (`TakesMatrix`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Any, Protocol, TypeGuard, runtime_checkable

import numpy as np
import numpy.typing as npt

from incumbent.config import Baseline, Versions
from incumbent.errors import BadOutput
from incumbent.records import Json, Signature
from incumbent.storage.base import Blobs

Floats = npt.NDArray[np.float64]
Columns = Mapping[str, npt.NDArray[Any]]

SCALAR = frozenset({"number", "integer", "boolean", "timestamp"})
"""Types of columns that hold one number a row."""
_SLACK = 1e-3
_FEW = 16
"""Up to so many numbers Python is quicker than numpy's calls."""


@runtime_checkable
class Predictor(Protocol):
    """Something that answers rows. `runtime` is the word under which it was registered.

    `predict` must not change its input, must give the same answer for a row whatever the other rows are, and
    raises PredictError (or anything: the engine turns it into one) when it cannot answer.
    """

    runtime: str
    signature: Signature

    def predict(self, columns: Columns) -> Floats:
        """Answer n_rows rows; see the module for shapes."""


@runtime_checkable
class TakesMatrix(Protocol):
    """A predictor that also takes all columns as one matrix, which spares an array for each. Ask `takes_matrix`."""

    signature: Signature

    def predict_matrix(self, matrix: Floats) -> Floats:
        """Answer the rows of a (n_rows, n_columns) matrix, its columns in the order of the signature, NaN for null.

        The same answers, bit for bit, as `predict` gives for the columns of the matrix. Changes no input.
        """


def takes_matrix(predictor: object) -> TypeGuard[TakesMatrix]:
    """Has it `predict_matrix`, and is every column of its signature one number a row (no string)?"""
    return isinstance(predictor, TakesMatrix) and all(c.type in SCALAR for c in predictor.signature.columns)


@dataclass(frozen=True, slots=True)
class Remote:
    """How a version that asks another machine may ask: the settings of the address, and how long an answer may take
    (`deadline_ms`, 0: as long as these settings say, because a judge asks and nobody waits)."""

    asked: Baseline = field(default_factory=Baseline)
    deadline_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class Opening:
    """What a runtime is told beside the bytes of a part.

    `schema` is the kind of DataFrame and the dtypes that the version was trained on (`runtimes.schema.Schema` as
    JSON; None: not recorded). `vouched` is True when our own ledger names these bytes: without it no pickle loads and
    no code runs. `blobs` holds the files that a part of several files names. `contained` is True in a process that is
    there for this version alone: code runs nowhere else. `remote` is for a version behind an address.
    """

    signature: Signature
    versions: Versions
    schema: Mapping[str, Json] | None = None
    vouched: bool = False
    blobs: Blobs | None = None
    contained: bool = False
    remote: Remote | None = None


def n_rows(columns: Columns) -> int:
    """How many rows the columns hold (0 when there are no columns)."""
    return next((len(values) for values in columns.values()), 0)


def matrix_of(columns: Columns, names: Sequence[str]) -> Floats:
    """The (n_rows, len(names)) float64 matrix of columns that hold one number a row.

    30 columns: 2.5 us for one row, a third of `np.column_stack`.
    """
    if not names:
        return np.empty((n_rows(columns), 0))
    return np.ascontiguousarray(np.array([columns[name] for name in names], dtype=np.float64).T)


def checked(output: Any, signature: Signature, rows: int) -> Floats:
    """The output as float64, or BadOutput: wrong shape, not finite, not a probability.

    Probabilities may leave [0, 1] or miss a sum of 1 by 1e-3 (float32 runtimes); they are clipped, not
    rescaled. It stands on the path of every answer: a few comparisons where all is well (1 us for one row of two
    classes, 3 us for 64), and a closer look where not.
    """
    values = np.asarray(output, dtype=np.float64)
    shape = (rows, len(signature.classes)) if signature.classifies else (rows,)
    if values.shape != shape:
        raise BadOutput(f"found an output of shape {values.shape}, expected {shape}")
    fine = _are_probabilities(values) if signature.classifies else _are_finite(values)
    return values if fine else _looked_at(values, signature)


def _are_finite(values: Floats) -> bool:
    if values.size <= _FEW:
        return all(map(isfinite, values.tolist()))
    return bool(np.isfinite(values).all())


def _are_probabilities(values: Floats) -> bool:
    """Nothing to refuse and nothing to clip. NaN fails each comparison."""
    if values.size <= _FEW:
        return all(min(row) >= 0.0 and abs(sum(row) - 1.0) <= _SLACK and max(row) <= 1.0 for row in values.tolist())
    if not np.minimum.reduce(values, axis=None) >= 0.0:
        return False
    sums = values[:, 0] + values[:, 1] if values.shape[1] == 2 else np.add.reduce(values, axis=1)
    most, least = np.maximum.reduce(sums), np.minimum.reduce(sums)
    if not (most - 1.0 <= _SLACK and least - 1.0 >= -_SLACK):
        return False
    return bool(most <= 1.0 or np.maximum.reduce(values, axis=None) <= 1.0)


def _looked_at(values: Floats, signature: Signature) -> Floats:
    """Clipped to [0, 1] where that is all; else BadOutput."""
    if not np.isfinite(values).all():
        bad = int(np.argwhere(~np.isfinite(values.reshape(len(values), -1)).all(axis=1))[0, 0])
        raise BadOutput(f"row {bad}: found the output {values[bad]!r}, expected finite numbers")
    out = (values < -_SLACK) | (values > 1 + _SLACK)
    if out.any() or (np.abs(values.sum(axis=1) - 1) > _SLACK).any():
        raise BadOutput("found values that are no probabilities (each 0 to 1, a row sums to 1)")
    return np.clip(values, 0.0, 1.0)
