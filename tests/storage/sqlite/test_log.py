"""The Log contract on SQLite."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

import pytest

from incumbent.checks.storage import LogChecks
from incumbent.checks.storage.trials import TrialChecks
from incumbent.config import Store
from incumbent.storage.base import Log
from incumbent.storage.sql import trials
from incumbent.storage.sqlite import open_log


class TestSqliteLog(LogChecks):
    """Everything that the contract says."""

    @contextmanager
    def occupied(self, folder: Path) -> Iterator[None]:
        with closing(sqlite3.connect(folder / "log.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            yield

    def opener(self) -> Callable[[Path], Log]:
        return partial(open_log, store=Store())


class TestTrialsInSmallSteps(TrialChecks):
    """Sums that take many transactions are those that take one."""

    @pytest.fixture(autouse=True)
    def small(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Two rows a step."""
        monkeypatch.setattr(trials, "ROWS_A_STEP", 2)
        monkeypatch.setattr(trials, "ROWS_A_LOOK", 3)

    def opener(self) -> Callable[[Path], Log]:
        return partial(open_log, store=Store())
