"""Shadows score what was answered, later; the queue is bounded and says what it dropped."""

import numpy as np

from incumbent.engines.base import Engine
from incumbent.errors import PredictTimeout
from incumbent.loop.shadow import Answered, Queue, score
from incumbent.records import Column, Signature
from incumbent.runtimes.base import Columns, Floats

SIGNATURE = Signature((Column("x", "number"),), "regression")


class Doubling:
    signature = SIGNATURE

    def __init__(self, version: str) -> None:
        self.version = version

    def predict(self, columns: Columns, deadline_ms: float) -> Floats:
        return 2 * columns["x"]

    def close(self) -> None:
        return None


class Late(Doubling):
    def predict(self, columns: Columns, deadline_ms: float) -> Floats:
        raise PredictTimeout("late")


def columns(engine: Engine) -> Columns:
    return {"x": np.array([1.0, 2.0, 3.0])}


def batch(*versions: str, served_by: tuple[str, ...] = ("v1", "v1", "v1")) -> Answered:
    return Answered(("a", "b", "c"), served_by, versions, columns)


def test_each_shadow_scores_each_row() -> None:
    """Outputs are those of the row with the same id."""
    said = score(batch("v2", "v3"), {"v2": Doubling("v2"), "v3": Doubling("v3")}, 100)
    assert [(s.id, s.version, s.output) for s in said[:3]] == [
        ("a", "v2", (2.0,)),
        ("b", "v2", (4.0,)),
        ("c", "v2", (6.0,)),
    ]
    assert {s.version for s in said[3:]} == {"v3"}


def test_a_failing_shadow_leaves_its_reason() -> None:
    """One record a row with the error, beside what the others said."""
    said = score(batch("v2", "v3"), {"v2": Late("v2"), "v3": Doubling("v3")}, 100)
    assert [(s.version, s.output is None, s.error) for s in said] == [("v2", True, "timeout")] * 3 + [
        ("v3", False, None)
    ] * 3


def test_a_version_that_served_a_row_is_not_its_shadow() -> None:
    """As a fallback it has its output there already."""
    said = score(batch("v2", served_by=("v1", "v2", "v1")), {"v2": Doubling("v2")}, 100)
    assert [s.id for s in said] == ["a", "c"]


def test_a_version_that_is_not_loaded_says_nothing() -> None:
    """It left the routes since, or could not be loaded."""
    assert score(batch("v9"), {}, 100) == []


def test_a_full_queue_drops_and_counts() -> None:
    """Rows beyond the bound are dropped whole batches at a time, and there is room again after `done`."""
    queue = Queue(most_rows=5)
    queue.put(batch("v2"))
    queue.put(batch("v2"))
    assert (queue.backlog, queue.dropped) == (3, 3)
    taken = queue.take()
    assert taken is not None
    assert queue.backlog == 3  # it is being scored: not done yet
    queue.done(taken, kept=True)
    queue.put(batch("v2"))
    assert (queue.backlog, queue.dropped) == (3, 3)


def test_a_rehearsal_drops_nothing() -> None:
    """Without a bound every batch waits, in order."""
    queue = Queue(most_rows=None)
    for _ in range(1000):
        queue.put(batch("v2"))
    assert (queue.backlog, queue.dropped) == (3000, 0)


def test_what_could_not_be_kept_counts_as_dropped() -> None:
    """A store that is full loses shadow rows, and says how many."""
    queue = Queue()
    queue.put(batch("v2"))
    taken = queue.take()
    assert taken is not None
    queue.done(taken, kept=False)
    assert (queue.backlog, queue.dropped, queue.take()) == (0, 3, None)
