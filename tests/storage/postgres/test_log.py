"""The Log contract on PostgreSQL."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from incumbent.checks.storage import LogChecks
from incumbent.checks.storage.appending import AWAITED, rows
from incumbent.checks.storage.opened import InSchema, schema_of
from incumbent.storage.base import Log
from incumbent.storage.postgres import open_log


class TestPostgresLog(LogChecks):
    """Everything that the contract says."""

    @pytest.fixture(autouse=True)
    def served(self, server: Any) -> None:
        """By a real server."""
        self.url = server.url

    def opener(self) -> Callable[[Path], Log]:
        return InSchema(open_log, self.url, days="days")

    @contextmanager
    def occupied(self, folder: Path) -> Iterator[None]:
        with psycopg.connect(self.url) as other:
            (row,) = rows(AWAITED)
            columns = ", ".join(row._fields)
            values = ", ".join(["%s"] * len(row))
            other.execute(f"INSERT INTO {schema_of(folder)}.prediction ({columns}) VALUES ({values})", row)
            yield
            other.rollback()
