"""Run a predictor in this process: for those that we run ourselves (rules, ONNX).

In: a loaded and proved Predictor. Out: an Engine. It cannot interrupt a call: one that took longer than its
deadline is PredictTimeout after the fact.
"""

import time
from collections.abc import Callable

from incumbent.errors import PredictError, PredictTimeout
from incumbent.runtimes.base import Columns, Floats, Predictor, checked
from incumbent.runtimes.table import asker, n_rows


class Inline:
    """A version in this process. `clock` is monotonic, in seconds."""

    prompt = True

    def __init__(self, version: str, predictor: Predictor, clock: Callable[[], float] = time.monotonic) -> None:
        self.version = version
        self.signature = predictor.signature
        self._ask = asker(predictor)
        self._clock = clock

    def predict(self, columns: Columns, deadline_ms: float) -> Floats:
        """See `Engine`. Whatever the predictor raises becomes a PredictError that names it."""
        started = self._clock()
        try:
            output = self._ask(columns)
        except PredictError:
            raise
        except Exception as error:
            raise PredictError(f"{self.version} raised {type(error).__name__}: {error}") from error
        took_ms = (self._clock() - started) * 1e3
        if took_ms > deadline_ms:
            raise PredictTimeout(f"{self.version} took {took_ms:.0f} ms, expected at most {deadline_ms:g} ms")
        return checked(output, self.signature, n_rows(columns))

    def close(self) -> None:
        """Nothing to give back."""
