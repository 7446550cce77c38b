"""The contract of an engine: it holds one loaded version and answers columns inside a deadline.

An engine raises only PredictError (PredictTimeout, BadOutput, EngineDied, or the plain one with the version's
own message); the caller then asks the next in the fallback chain. It is used by one thread at a time.
"""

from typing import Protocol

from incumbent.records import Signature
from incumbent.runtimes.base import Columns, Floats


class Engine(Protocol):
    """One version, loaded and proved (its golden rows were replayed when it was opened)."""

    version: str
    signature: Signature
    prompt: bool
    """It answers in well under a millisecond and never waits, so it may be called on an event loop."""

    def predict(self, columns: Columns, deadline_ms: float) -> Floats:
        """Answer, checked by `runtimes.base.checked`, or raise PredictError. An inline engine cannot
        interrupt: it raises PredictTimeout after the fact; a worker is killed and started again."""

    def close(self) -> None:
        """Give back processes and memory. Twice is fine."""
