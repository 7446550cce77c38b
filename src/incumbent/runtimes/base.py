"""The contract of a predictor: typed columns in, one float array out.

Columns are a mapping from feature name to an array of n rows: `number`, `integer`, `boolean` and `timestamp`
(microseconds since 1970 UTC) as float64 with NaN for null, `string` as an object array of str with None for null.
The output is float64: (n_rows, n_classes) probabilities in the order of `signature.classes`, or (n_rows,) numbers.
"""

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from incumbent.errors import BadOutput
from incumbent.records import Signature

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


def n_rows(columns: Columns) -> int:
    """How many rows the columns hold (0 when there are no columns)."""
    return next((len(values) for values in columns.values()), 0)


def checked(output: Any, signature: Signature, rows: int) -> Floats:
    """The output as float64, or BadOutput: wrong shape, not finite, not a probability.

    Probabilities may leave [0, 1] or miss a sum of 1 by 1e-3 (float32 runtimes); they are clipped, not rescaled.
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
    if values.size and (values.min() < -1e-3 or values.max() > 1 + 1e-3 or np.abs(values.sum(axis=1) - 1).max() > 1e-3):
        raise BadOutput("found values that are no probabilities (each 0 to 1, a row sums to 1)")
    return np.clip(values, 0.0, 1.0)
