"""Run a predictor in this process: for those that we run ourselves (rules, ONNX).

In: a loaded and proved Predictor. Out: an Engine. It cannot interrupt a call: one that took longer than its
deadline is PredictTimeout after the fact.
"""

import time
from collections.abc import Callable

from incumbent.errors import PredictError, PredictTimeout
from incumbent.runtimes.base import Columns, Floats, Predictor, checked, n_rows, takes_matrix
from incumbent.runtimes.table import Table


class Inline:
    """A version in this process. `clock` is monotonic, in seconds."""

    prompt = True

    def __init__(self, version: str, predictor: Predictor, clock: Callable[[], float] = time.monotonic) -> None:
        self.version = version
        self.signature = predictor.signature
        self._predictor = predictor
        self._names = predictor.signature.names
        self._whole = predictor.predict_matrix if takes_matrix(predictor) else None
        self._clock = clock

    def predict(self, columns: Columns, deadline_ms: float) -> Floats:
        """See `Engine`. Whatever the predictor raises becomes a PredictError that names it."""
        started = self._clock()
        try:
            if self._whole is not None and isinstance(columns, Table) and columns.names == self._names:
                output = self._whole(columns.matrix)
            else:
                output = self._predictor.predict(columns)
        except PredictError:
            raise
        except Exception as error:
            raise PredictError(f"{self.version} raised {type(error).__name__}: {error}") from error
        took_ms = (self._clock() - started) * 1e3
        if took_ms > deadline_ms:
            raise PredictTimeout(f"{self.version} took {took_ms:.0f} ms, expected at most {deadline_ms:g} ms")
        return checked(output, self.signature, len(columns.matrix) if isinstance(columns, Table) else n_rows(columns))

    def close(self) -> None:
        """Nothing to give back."""
