"""The Log contract on SQLite."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from incumbent.checks.storage import LogChecks
from incumbent.config import Store
from incumbent.storage.base import Log
from incumbent.storage.sqlite import open_log


class TestSqliteLog(LogChecks):
    """Everything that the contract says."""

    def opener(self) -> Callable[[Path], Log]:
        return partial(open_log, store=Store())
