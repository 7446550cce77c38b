"""The first version in order that answers in time and in shape wins; a breaker spares the one that keeps failing."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from incumbent.errors import BadOutput, EngineDied, PredictError, PredictTimeout
from incumbent.loop.predict import Breaker, Chain, Features, Unanswered
from incumbent.records import Column, Signature
from incumbent.runtimes.base import Columns, Floats

SIGNATURE = Signature((Column("x", "number"),), "binary", (0, 1))
ROWS: Columns = {"x": np.array([1.0, 2.0])}


@dataclass
class Clock:
    """A monotonic clock that moves when it is told to."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Scripted:
    """An engine that raises the next error of its script, and answers `p` when the script is at its end."""

    version: str
    p: float = 0.5
    script: list[PredictError] = field(default_factory=list)
    signature: Signature = SIGNATURE
    calls: int = 0

    def predict(self, columns: Columns, deadline_ms: float) -> Floats:
        self.calls += 1
        if self.script:
            raise self.script.pop(0)
        n = len(next(iter(columns.values())))
        return np.column_stack([np.full(n, 1 - self.p), np.full(n, self.p)])

    def close(self) -> None:
        return None


def given(engine: Any) -> Columns:
    return ROWS


def test_the_first_that_answers_serves() -> None:
    """No fallback, no reason; the others are not even asked."""
    first, second = Scripted("v2", 0.9), Scripted("v1", 0.1)
    served = Chain(100).predict({"v2": first, "v1": second}, ("v2", "v1"), given)
    assert (served.served_by, served.fallback_reason, second.calls) == ("v2", None, 0)
    assert served.output.tolist() == [[pytest.approx(0.1), 0.9]] * 2


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (PredictError("v3 raised ValueError"), "error"),
        (PredictTimeout("late"), "timeout"),
        (BadOutput("nan"), "bad_output"),
        (EngineDied("gone"), "died"),
    ],
)
def test_each_failure_has_its_reason(error: PredictError, reason: str) -> None:
    """The next in order answers, and the reason is that of the version that was asked first."""
    engines = {
        "v3": Scripted("v3", script=[error]),
        "v2": Scripted("v2", script=[PredictTimeout("late too")]),
        "v1": Scripted("v1"),
    }
    served = Chain(100).predict(engines, ("v3", "v2", "v1"), given)
    assert (served.served_by, served.fallback_reason) == ("v1", reason)


def test_a_version_that_is_not_loaded_is_passed_over() -> None:
    """Its fallback answers, and says why."""
    served = Chain(100).predict({"v1": Scripted("v1")}, ("v2", "v1"), given)
    assert (served.served_by, served.fallback_reason) == ("v1", "not_loaded")


def test_when_nobody_answers_every_reason_is_named() -> None:
    """The error says what each version said."""
    engines = {"v1": Scripted("v1", script=[BadOutput("NaN in row 0")])}
    with pytest.raises(Unanswered, match=r"v2: it could not be loaded; v1: NaN in row 0"):
        Chain(100).predict(engines, ("v2", "v1"), given)


def test_latency_counts_the_fallback_too() -> None:
    """A timeout of the challenger is part of what its row took."""
    clock = Clock()

    class Slow(Scripted):
        def predict(self, columns: Columns, deadline_ms: float) -> Floats:
            clock.now += 0.25
            return super().predict(columns, deadline_ms)

    engines = {"v2": Slow("v2", script=[PredictTimeout("late")]), "v1": Slow("v1")}
    assert Chain(100, clock).predict(engines, ("v2", "v1"), given).latency_us == 500_000


def test_an_open_breaker_spares_the_version() -> None:
    """After 5 failures in a row the version is not called for 30 seconds; then one probe is."""
    clock = Clock()
    engine = Scripted("v2", script=[PredictError("no")] * 5)
    chain = Chain(100, clock)
    engines = {"v2": engine, "v1": Scripted("v1")}
    reasons = [chain.predict(engines, ("v2", "v1"), given).fallback_reason for _ in range(8)]
    assert reasons == ["error"] * 5 + ["breaker_open"] * 3
    assert engine.calls == 5
    clock.now += 30
    assert chain.predict(engines, ("v2", "v1"), given).served_by == "v2"


def test_a_row_that_a_version_does_not_take_is_a_failure_of_that_version() -> None:
    """Another version's columns are converted anew, and what cannot be becomes a fallback, not an exception."""
    strict = Signature((Column("y", "number", nullable=False),), "binary", (0, 1))
    features = Features(SIGNATURE, ROWS, [{"x": 1.0}, {"x": 2.0}], range(2))
    engines = {"v2": Scripted("v2", signature=strict), "v1": Scripted("v1")}
    served = Chain(100).predict(engines, ("v2", "v1"), features.of)
    assert (served.served_by, served.fallback_reason) == ("v1", "error")


def test_columns_are_picked_or_converted() -> None:
    """A version with fewer columns gets a part of ours, one with more reads them from the row itself."""
    rows = [{"x": 1.0, "y": "a"}, {"x": 2.0, "y": "b"}, {"x": 3.0}]
    ours: Columns = {"x": np.array([1.0, 2.0, 3.0])}
    more = Signature((Column("y", "string"), Column("x", "number")), "binary", (0, 1))
    features = Features(SIGNATURE, ours, rows, [0, 2])
    assert features.of(Scripted("v1"))["x"].tolist() == [1.0, 3.0]
    found = features.of(Scripted("v2", signature=more))
    assert (found["y"].tolist(), found["x"].tolist()) == (["a", None], [1.0, 3.0])


# --- the breaker alone


def called(breaker: Breaker, good: bool) -> None:
    assert breaker.allows()
    breaker.report(good)


def test_half_of_twenty_calls_open_it() -> None:
    """Failures that alternate with successes never are 5 in a row: the share opens it, not before 20 calls."""
    breaker = Breaker(Clock())
    for i in range(19):
        called(breaker, good=i % 2 == 1)
        assert breaker.state == "closed"
    called(breaker, good=True)
    assert breaker.state == "closed"  # 10 of 20 failed, but the last call was good
    called(breaker, good=False)
    assert breaker.state == "open"  # 11 of 21


def test_the_window_forgets() -> None:
    """Failures older than 30 s do not count: there is no lifetime rate."""
    clock = Clock()
    breaker = Breaker(clock)
    for _ in range(4):
        for i in range(12):
            called(breaker, good=i % 3 != 0)
        clock.now += 31
    for i in range(18):
        called(breaker, good=i % 2 == 0)
    assert breaker.state == "closed"


def test_exactly_one_probe_at_a_time() -> None:
    """Half-open: the second caller is turned away until the first has reported."""
    clock = Clock()
    breaker = Breaker(clock)
    for _ in range(5):
        called(breaker, good=False)
    assert not breaker.allows()
    clock.now += 30
    assert breaker.allows()
    assert not breaker.allows()
    breaker.report(True)
    assert breaker.allows()


def test_three_good_probes_close_it() -> None:
    """Two are not enough, and one failure opens it again."""
    clock = Clock()
    breaker = Breaker(clock)
    for _ in range(5):
        called(breaker, good=False)
    clock.now += 30
    called(breaker, good=True)
    called(breaker, good=True)
    assert breaker.state == "half_open"
    called(breaker, good=True)
    assert breaker.state == "closed"


def test_a_bad_probe_opens_it_again() -> None:
    """Two good probes before it count for nothing."""
    clock = Clock()
    breaker = Breaker(clock)
    for _ in range(5):
        called(breaker, good=False)
    clock.now += 30
    for good in (True, True, False):
        called(breaker, good)
    assert breaker.state == "open"


def test_the_third_opening_in_ten_minutes_latches() -> None:
    """It stays shut, however long one waits, until the version is loaded anew."""
    clock = Clock()
    breaker = Breaker(clock)
    for _ in range(5):
        called(breaker, good=False)
    for _ in range(2):
        clock.now += 30
        called(breaker, good=False)
    clock.now += 100_000
    assert breaker.state == "latched"
    assert not breaker.allows()
    breaker.reset()
    assert breaker.allows()


def test_three_openings_in_more_than_ten_minutes_do_not_latch() -> None:
    """The openings are counted in a window too."""
    clock = Clock()
    breaker = Breaker(clock)
    for _ in range(5):
        called(breaker, good=False)
    for _ in range(4):
        clock.now += 301
        called(breaker, good=False)
    assert breaker.state == "open"
