"""A mark on PostgreSQL, where rows are committed in another order than that of their numbers."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest

from incumbent.checks.storage.appending import AWAITED, rows
from incumbent.checks.storage.opened import T0, InSchema, predicted, schema_of
from incumbent.config import Store
from incumbent.errors import StoreLocked
from incumbent.records import DAY
from incumbent.storage.base import SumPlan
from incumbent.storage.postgres import PostgresLog, open_log

PLAN = SumPlan("t", 1, T0, DAY, DAY)
LATEST = "SELECT max(arrival) FROM prediction"


def test_a_mark_passes_no_row_that_is_not_committed(server: Any, tmp_path: Path) -> None:
    """An appender has a number and has not committed, another one has a later number and has: nobody may say that
    the later one is the end. The mark waits, and then both are counted; who appends meanwhile does not wait for it."""
    log: PostgresLog = InSchema(open_log, server.url, Store(lock_timeout_s=20))(tmp_path)
    hasty: PostgresLog = InSchema(open_log, server.url, Store(lock_timeout_s=0.1))(tmp_path)
    (slow,) = rows(AWAITED)
    slow = slow._replace(id="slow", at=T0, unit="slow", trial="t", phase=1, arm="incumbent")
    with psycopg.connect(server.url) as other:
        other.execute(f"SET search_path TO {schema_of(tmp_path)}")
        other.execute(f"SELECT pg_advisory_xact_lock_shared({log._server.key})")
        values = ", ".join(["%s"] * len(slow))
        other.execute(f"INSERT INTO prediction ({', '.join(slow._fields)}) VALUES ({values})", slow)
        ((number,),) = other.execute(LATEST).fetchall()
        log.append([predicted("quick", unit="quick", trial="t", phase=1, arm="incumbent")])
        with log._server.connected() as seen:
            ((end,),) = seen.execute(LATEST).fetchall()
        assert end > number
        with pytest.raises(StoreLocked):
            hasty.mark(T0)
        with pytest.raises(StoreLocked):
            hasty.trial_sums(PLAN, T0)
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(log.trial_sums, PLAN, T0)
            for n in range(20):
                hasty.append([predicted(f"meanwhile {n}", unit=f"{n}", trial="t", phase=1, arm="incumbent")])
            assert not waiting.done()
            other.commit()
            sums = waiting.result(timeout=20)
    assert sums.arms["incumbent"].units >= 2 and sums.mark.predictions >= end
    assert sums == log.trial_sums_at(PLAN, sums.mark)
    log.append([predicted("last", unit="last", trial="t", phase=1, arm="incumbent")])
    assert log.trial_sums(PLAN, T0).arms["incumbent"].units == 23
    hasty.close()
    log.close()
