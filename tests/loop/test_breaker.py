"""A version that keeps failing is spared, probed, and after the third opening in ten minutes never asked again."""

from dataclasses import dataclass

from incumbent.loop.breaker import Breaker


@dataclass
class Clock:
    """A monotonic clock that moves when it is told to."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


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


def test_a_version_that_asks_another_machine_never_latches() -> None:
    """However often it opens: the other machine may be back."""
    clock = Clock()
    breaker = Breaker(clock, latches=False)
    for _ in range(5):
        called(breaker, good=False)
    for _ in range(9):
        clock.now += 30
        called(breaker, good=False)
    assert breaker.state == "open"
    clock.now += 30
    for _ in range(3):
        called(breaker, good=True)
    assert breaker.state == "closed"


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
