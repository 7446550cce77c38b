"""A Log that is closed, opened again, and used by several threads and processes at the same time."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from incumbent.checks.storage.children import append_rows, at_once
from incumbent.checks.storage.opened import T0, OpenedLog, labels, learnt, predicted, score
from incumbent.errors import IdReused, StorageError
from incumbent.storage.base import Log


class SharingChecks(OpenedLog):
    """What a Log keeps when it is not alone."""

    def test_what_was_kept_is_there_after_reopening(self, log: Log, tmp_path: Path) -> None:
        """Rows, labels and the work that is left."""
        log.append([predicted("a")])
        log.append_outcomes([learnt("a", 1), learnt("b", 2)])
        log.close()
        again = self.opener()(tmp_path)
        again.append([predicted("b")])
        assert labels(again) == {"a": 1, "b": 2}
        assert {each.id for each in again.unscored()} == {"a", "b"}
        again.close()

    def test_closing_twice_is_fine(self, log: Log) -> None:
        """What is asked of a closed log is a StorageError."""
        log.append([predicted("a")])
        log.close()
        log.close()
        with pytest.raises(StorageError):
            log.append([predicted("b")])
        with pytest.raises(StorageError):
            log.find(["a"])

    def test_two_objects_see_what_the_other_kept(self, log: Log, tmp_path: Path) -> None:
        """At once, and neither takes the other's id."""
        other = self.opener()(tmp_path)
        log.append([predicted("a")])
        other.append_outcomes([learnt("a", 1)])
        assert labels(log) == {"a": 1}
        with pytest.raises(IdReused):
            other.append([predicted("a")])
        other.close()

    def test_threads_lose_nothing(self, log: Log) -> None:
        """Four write rows and outcomes while two read and score."""

        def write(name: str) -> None:
            for batch in range(20):
                ids = [f"{name} {batch} {row}" for row in range(5)]
                log.append([predicted(id, T0 + batch) for id in ids])
                log.append_outcomes([learnt(id) for id in ids])

        def read() -> None:
            for _ in range(15):
                score(log)
                assert sum(len(rows) for rows in log.scan(batch=50)) <= 400

        with ThreadPoolExecutor(6) as pool:
            work = [pool.submit(write, name) for name in "abcd"] + [pool.submit(read) for _ in range(2)]
            for each in work:
                each.result()
        score(log)
        (period,) = log.period_sums(10**9, T0, T0 + 10**9, T0 + 10**10)
        assert (period.rows, period.labelled, period.loss) == (400, 400, 400)

    def test_two_processes_lose_nothing(self, tmp_path: Path) -> None:
        """They open (and make) the store at the same time, and append at the same time."""
        at_once(append_rows, *((self.opener(), tmp_path, name, 25, 8) for name in ("one", "two")))
        log = self.opener()(tmp_path)
        expected = {f"{name} {batch} {row}" for name in ("one", "two") for batch in range(25) for row in range(8)}
        assert set(labels(log)) == expected
        assert log.totals().outcomes == len(log.unscored()) == 400
        log.close()
