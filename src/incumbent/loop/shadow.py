"""What do versions that did not answer say of the same rows? Asked later, never on the path of an answer.

In: rows that were answered and logged. Out: Shadow records. The queue is bounded: when shadows cannot keep
up, rows are dropped and counted (in a rehearsal never). Answers nothing and joins no outcome.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from incumbent.engines.base import Engine
from incumbent.errors import PredictError
from incumbent.records import Shadow
from incumbent.runtimes.base import Columns

MOST_ROWS = 50_000
"""Rows that may wait: about 50 MB of features with a dozen columns."""
DEADLINES = 10
"""A shadow may take this many deadlines: nobody waits for it, and it is asked many rows at once."""


@dataclass(frozen=True, slots=True)
class Answered:
    """A batch of answered rows, and which versions shall score it. `columns` gives an engine its columns. `said` is
    what a version said of some of them already, on the path of their answer (a trial's third arm)."""

    ids: Sequence[str]
    served_by: Sequence[str]
    versions: tuple[str, ...]
    columns: Callable[[Engine], Columns]
    said: Sequence[Shadow] = ()


class Queue:
    """Batches that wait for their shadows. `most_rows` None: unbounded. Safe to use from several threads."""

    def __init__(self, most_rows: int | None = MOST_ROWS) -> None:
        self.most_rows = most_rows
        self.dropped = 0
        self._rows = 0
        self._batches: deque[Answered] = deque()
        self._lock = threading.Lock()

    @property
    def backlog(self) -> int:
        """Rows that wait, those being scored included: 0 means that all were scored and kept."""
        return self._rows

    def put(self, batch: Answered) -> None:
        """Add a batch, or drop it (counted) when there is no room for it."""
        with self._lock:
            if self.most_rows is not None and self._rows + len(batch.ids) > self.most_rows:
                self.dropped += len(batch.ids)
                return
            self._rows += len(batch.ids)
            self._batches.append(batch)

    def take(self) -> Answered | None:
        """The batch that waits longest; `done` must follow, once what its shadows said is kept."""
        with self._lock:
            return self._batches.popleft() if self._batches else None

    def done(self, batch: Answered, kept: bool) -> None:
        """A taken batch is finished. When it could not be kept, it counts as dropped."""
        with self._lock:
            self._rows -= len(batch.ids)
            self.dropped += 0 if kept else len(batch.ids)


def score(batch: Answered, engines: Mapping[str, Engine], deadline_ms: float) -> list[Shadow]:
    """Ask every shadow of a batch. One that fails leaves an error on each row; one not loaded, nothing.

    A row that a shadow version served itself (as a fallback) has its output already and is left out. What was said
    before comes first.
    """
    said = list(batch.said)
    for version in batch.versions:
        engine = engines.get(version)
        if engine is not None:
            said += _of_one(version, engine, batch, deadline_ms)
    return said


def _of_one(version: str, engine: Engine, batch: Answered, deadline_ms: float) -> list[Shadow]:
    started = time.perf_counter()
    try:
        output = engine.predict(batch.columns(engine), DEADLINES * deadline_ms)
    except PredictError as error:
        return [Shadow(id, version, None, error.reason) for id in _others(version, batch)]
    took = round((time.perf_counter() - started) * 1e6)
    rows = output.reshape(len(batch.ids), -1).tolist()
    outputs = {id: tuple(row) for id, row in zip(batch.ids, rows, strict=True)}
    return [Shadow(id, version, outputs[id], None, took) for id in _others(version, batch)]


def _others(version: str, batch: Answered) -> list[str]:
    return [id for id, served in zip(batch.ids, batch.served_by, strict=True) if served != version]
