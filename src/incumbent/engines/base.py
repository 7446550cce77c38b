"""The contract of an engine: it holds one loaded version and answers columns inside a deadline.

An engine raises only PredictError (PredictTimeout, BadOutput, EngineDied, or the plain one with the version's
own message); the caller then asks the next in the fallback chain. It is used by one thread at a time.
"""

from typing import Protocol, runtime_checkable

from incumbent.errors import PredictTimeout
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


@runtime_checkable
class Waited(Protocol):
    """An engine that may be waited for on an event loop, without a thread: `begin`, then `end` each time that it is
    readable. One that is ailing after an error has to be mended, in a thread, before it is asked again."""

    ailing: bool

    def begin(self, columns: Columns) -> int | None:
        """Send columns; the file descriptor on which the answer comes. None: ask `predict`, in a thread.

        Raises PredictError when the other side is gone."""

    def end(self) -> Floats | None:
        """The answer, None while it is not whole; raises PredictError as `predict` does, also when nothing was asked
        and the other side is gone."""

    def late(self, deadline_ms: float) -> PredictTimeout:
        """Nobody waits for the answer any more."""

    def mend(self) -> None:
        """Start the other side again, at once or after a pause."""
