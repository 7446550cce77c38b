"""The contract of a predictor: typed columns in, one float array out.

Columns are a mapping from feature name to an array of n rows: `number`, `integer`, `boolean` and `timestamp`
(microseconds since 1970 UTC) as float64 with NaN for null, `string` as an object array of str with None for
null. The output is float64: (n_rows, n_classes) probabilities in the order of `signature.classes`, or (n_rows,)
numbers.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from incumbent.config import Versions
from incumbent.errors import BadOutput
from incumbent.records import Json, Signature

Floats = npt.NDArray[np.float64]
Columns = Mapping[str, npt.NDArray[Any]]


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


@dataclass(frozen=True, slots=True)
class Opening:
    """What a runtime is told beside the bytes of a part.

    `schema` is the kind of DataFrame and the dtypes that the version was trained on (`runtimes.schema.Schema` as
    JSON; None: not recorded). `vouched` is True when our own ledger names these bytes: without it no pickle loads.
    """

    signature: Signature
    versions: Versions
    schema: Mapping[str, Json] | None = None
    vouched: bool = False


def n_rows(columns: Columns) -> int:
    """How many rows the columns hold (0 when there are no columns)."""
    return next((len(values) for values in columns.values()), 0)


def checked(output: Any, signature: Signature, rows: int) -> Floats:
    """The output as float64, or BadOutput: wrong shape, not finite, not a probability.

    Probabilities may leave [0, 1] or miss a sum of 1 by 1e-3 (float32 runtimes); they are clipped, not
    rescaled.
    """
    values = np.asarray(output, dtype=np.float64)
    shape = (rows, len(signature.classes)) if signature.classifies else (rows,)
    if values.shape != shape:
        raise BadOutput(f"found an output of shape {values.shape}, expected {shape}")
    if not np.isfinite(values).all():
        bad = int(np.argwhere(~np.isfinite(values.reshape(rows, -1)).all(axis=1))[0, 0])
        raise BadOutput(f"row {bad}: found the output {values[bad]!r}, expected finite numbers")
    if not signature.classifies:
        return values
    out = (values < -1e-3) | (values > 1 + 1e-3)
    if out.any() or (np.abs(values.sum(axis=1) - 1) > 1e-3).any():
        raise BadOutput("found values that are no probabilities (each 0 to 1, a row sums to 1)")
    return np.clip(values, 0.0, 1.0)
