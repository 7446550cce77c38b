"""The hot insert: rows appended without waiting, flushed when asked, tidied beside the traffic."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from threading import Event
from time import monotonic

import pytest

from incumbent.checks.storage.opened import T0, OpenedLog, labels, learnt, predicted
from incumbent.errors import DataError, IdReused, StorageError, StoreLocked
from incumbent.storage.base import Log, PredictionRow, Scored, Totals, prediction_of, row_of

AWAITED = "awaited"


def rows(*ids: str) -> list[PredictionRow]:
    """Rows of these ids, one microsecond apart."""
    return [row_of(predicted(id, T0 + n)) for n, id in enumerate(ids)]


class AppendingChecks(OpenedLog):
    """`append_rows`, `sync` and `tidy`."""

    def occupied(self, folder: Path) -> AbstractContextManager[object]:
        """While it lasts, somebody else's transaction makes a call that appends the id AWAITED wait."""
        raise NotImplementedError

    def test_a_row_comes_back_as_it_went_in(self, log: Log) -> None:
        """A prediction is its row, and a row its prediction; features keep the text that came."""
        given = predicted("a", unit="u", trial="t", phase=2, arm="challenger", propensity=0.5, latency_us=7,
                          fallback_reason="timeout", features={"z": [1, None], "a": "\u00fc"})  # fmt: skip
        log.append_rows([row_of(given)])
        found = log.find(["a"])["a"]
        assert found == prediction_of(row_of(given)) == given
        assert row_of(found) == row_of(given)

    @pytest.mark.parametrize("count", [1, 63, 64, 65, 200])
    def test_any_number_of_rows_is_one_call(self, log: Log, count: int) -> None:
        """Appended in order, and counted."""
        ids = [f"{n:03d}" for n in range(count)]
        log.append_rows(rows(*ids), 0)
        assert list(labels(log)) == ids
        assert log.totals() == Totals(predictions=count, first_at=T0, last_at=T0 + count - 1, served={"v1": count})

    def test_no_rows_are_fine(self, log: Log) -> None:
        """Nothing happens."""
        log.append_rows([])
        log.append_rows([], 0)
        assert log.totals() == Totals()

    @pytest.mark.parametrize("place", [0, 5, 70])
    def test_rows_are_kept_whole_or_not_at_all(self, log: Log, place: int) -> None:
        """An id that is there, in the first or in the last rows of many: no row, no count."""
        log.append_rows(rows("there"))
        ids = [f"{n}" for n in range(80)]
        ids[place] = "there"
        with pytest.raises(IdReused, match="'there'"):
            log.append_rows(rows(*ids), 0)
        assert log.totals() == Totals(predictions=1, first_at=T0, last_at=T0, served={"v1": 1})

    def test_a_nul_character_is_found_in_rows_too(self, log: Log) -> None:
        """Whoever made them."""
        with pytest.raises(DataError, match=r"'b\\x00'.*NUL"):
            log.append_rows([*rows("a"), rows("a")[0]._replace(id="b\0")])
        assert log.totals().predictions == 0

    def test_outcomes_that_waited_join(self, log: Log) -> None:
        """As with `append`."""
        log.append_outcomes([learnt("b", 1), learnt("never", 1)])
        log.append_rows(rows("a", "b"), 0)
        assert log.unscored() == [Scored("b", "v1", (0.25, 0.75), 1)]

    def test_a_call_that_may_not_wait_does_not(self, log: Log, tmp_path: Path) -> None:
        """StoreLocked at once while somebody else writes, nothing is kept, and the next try goes through."""
        with self.occupied(tmp_path):
            began = monotonic()
            with pytest.raises(StoreLocked):
                log.append_rows(rows("a", AWAITED), 0)
            assert monotonic() - began < 1
            assert log.totals().predictions == 0
        log.append_rows(rows("a", AWAITED), 0)
        assert log.totals().predictions == 2

    def test_a_call_waits_as_long_as_it_is_told(self, log: Log, tmp_path: Path) -> None:
        """And no longer."""
        with self.occupied(tmp_path), pytest.raises(StoreLocked, match=r"0\.2 s"):
            log.append_rows(rows(AWAITED), 0.2)

    def test_a_call_that_waits_is_served(self, log: Log, tmp_path: Path) -> None:
        """When the other one is ready."""
        with ThreadPoolExecutor(1) as pool:
            with self.occupied(tmp_path):
                waiting = pool.submit(log.append_rows, rows(AWAITED))
            waiting.result(30)
        assert list(log.find([AWAITED])) == [AWAITED]

    def test_threads_that_may_not_wait_lose_nothing(self, log: Log) -> None:
        """Each tries again until it is served: every row is there once."""

        def keep(some: Sequence[PredictionRow]) -> None:
            while True:
                try:
                    return log.append_rows(some, 0)
                except StoreLocked:
                    continue

        batches = [rows(*(f"{n} {row}" for row in range(7))) for n in range(40)]
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(keep, batches))
        assert log.totals().predictions == len(labels(log)) == 280

    def test_flushing_may_be_asked_for_by_many(self, log: Log) -> None:
        """At any time, also before anything was kept."""

        def keep(n: int) -> None:
            log.append_rows(rows(f"{n}"))
            log.sync()

        log.sync()
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(keep, range(20)))
        assert log.totals().predictions == 20

    def test_tidying_beside_the_traffic_changes_nothing(self, log: Log) -> None:
        """While others append and read; also when two are at it, and when there is nothing to do."""
        log.tidy()
        over = Event()

        def tidy() -> None:
            while not over.is_set():
                log.tidy()

        with ThreadPoolExecutor(2) as pool:
            tidying = [pool.submit(tidy) for _ in range(2)]
            try:
                for batch in range(40):
                    log.append_rows(rows(*(f"{batch:02d} {row:02d}" for row in range(50))))
                    assert len(labels(log)) == (batch + 1) * 50
            finally:
                over.set()
            for each in tidying:
                each.result(30)
        assert log.totals().predictions == 2000

    def test_a_closed_log_appends_and_flushes_nothing(self, log: Log) -> None:
        """StorageError."""
        log.append_rows(rows("a"))
        log.close()
        calls: list[Callable[[], None]] = [partial(log.append_rows, rows("b"), 0), log.sync, log.tidy]
        for call in calls:
            with pytest.raises(StorageError):
                call()
