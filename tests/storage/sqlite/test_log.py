"""The Log contract on SQLite."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

from incumbent.checks.storage import LogChecks
from incumbent.config import Store
from incumbent.storage.base import Log
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
