"""Plain numbers: counted once, summed over processes, resumed after a restart."""

from hypothesis import given
from hypothesis import strategies as st

from incumbent.loop.meter import BOUNDS_S, Meter, Snapshot, total


def counted(*seconds: float) -> Meter:
    meter = Meter()
    for each in seconds:
        meter.served("v1", 3, each)
    return meter


def test_each_call_counts_once() -> None:
    """Rows by the version that answered, fallbacks by the one that was assigned and why."""
    meter = Meter()
    meter.replied("/v1/predict", 200)
    meter.answered(0.0015)
    meter.served("v1", 5, 0.001)
    meter.served("v1", 2, 0.2, assigned="v2", reason="timeout")
    meter.refused(422, "RowError")
    meter.refused(503, "StoreFull")
    meter.committed(0.0001)
    found = meter.snapshot()
    assert found.counts == {
        ("requests", "/v1/predict", "200"): 1,
        ("rows", "v1"): 7,
        ("fallback_rows", "v2", "timeout"): 2,
        ("refusals", "422", "RowError"): 1,
        ("errors", "StoreFull"): 1,
    }
    assert {key: sum(held[:-1]) for key, held in found.times.items()} == {
        ("answer",): 1, ("version", "v1"): 2, ("commit",): 1,
    }  # fmt: skip


@given(st.lists(st.floats(0, 100), max_size=20))
def test_a_time_falls_into_the_first_bucket_that_is_not_below_it(seconds: list[float]) -> None:
    """The upper end belongs to its bucket, as Prometheus wants it; the last value is the sum."""
    held = counted(*seconds).snapshot().times.get(("version", "v1"), [0] * (len(BOUNDS_S) + 2))
    for i, bound in enumerate(BOUNDS_S):
        assert sum(held[: i + 1]) == sum(each <= bound for each in seconds)
    assert sum(held[:-1]) == len(seconds)
    assert abs(held[-1] - sum(seconds)) < 1e-9 * max(1, sum(seconds))


def test_a_snapshot_stands_still() -> None:
    """What is counted later is not in it."""
    meter = counted(0.1)
    before = meter.snapshot()
    meter.served("v1", 3, 0.1)
    assert before.counts[("rows", "v1")] == 3
    assert sum(before.times["version", "v1"][:-1]) == 1


def test_processes_are_summed() -> None:
    """Counts, times and levels by their labels."""
    found = total([counted(0.1).snapshot({("waiting_rows", "v1"): 2}), counted(0.1, 3).snapshot(), Snapshot()])
    assert found.counts == {("rows", "v1"): 9}
    assert sum(found.times["version", "v1"][:-1]) == 3
    assert found.levels == {("waiting_rows", "v1"): 2}


def test_a_process_goes_on_from_the_one_before() -> None:
    """Its snapshot is left alone."""
    before = counted(0.1).snapshot()
    meter = counted(0.1)
    meter.resume(before)
    meter.served("v1", 3, 0.1)
    assert meter.snapshot().counts == {("rows", "v1"): 9}
    assert sum(meter.snapshot().times["version", "v1"][:-1]) == 3
    assert before.counts == {("rows", "v1"): 3} and sum(before.times["version", "v1"][:-1]) == 1
