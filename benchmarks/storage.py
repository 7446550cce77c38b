"""How many predictions a second does the log keep, beside bare SQLite with the same rows?

In: nothing. Out: a table, rows a second of `Log.append` by batch size and durability, and the ratio to a bare
`executemany` of the same values into one unindexed table with the same journal and synchronous setting. Then the hot
insert, which an event loop calls: `append_rows` of ready rows without waiting, what beside it a thread that computes
costs, and the longest call while another thread tidies. Last, what a year of 20 features costs at each stage. The store
lies in a temporary folder, or in the folder given; with a URL of PostgreSQL, in a schema there that is dropped again.
"""

import os
import sqlite3
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event
from time import perf_counter, sleep
from typing import Any

from incumbent.config import Store
from incumbent.errors import StoreLocked
from incumbent.loop.log import Ids
from incumbent.records import SECOND, Outcome, Prediction, Shadow
from incumbent.storage.base import Log, PredictionRow, row_of
from incumbent.storage.sqlite import open_log

HOUR = 3600 * SECOND
START = 1_364_774_400 * SECOND
ROWS = {1: 2_000, 50: 40_000, 1000: 60_000}
STAGES = 60_000
FEATURES = {f"column_{i}": i * 1.37 if i % 2 else f"value {i}" for i in range(20)}


def predictions(count: int) -> list[Prediction]:
    """Rows of 20 features, 90 seconds apart, in a trial of 900 units."""
    new_id = Ids()
    return [
        Prediction(new_id(at), at, FEATURES, "v1", "v1", (0.25, 0.75), f"unit {n % 900}", "trial", 1, "incumbent")
        for n, at in enumerate(range(START, START + count * 90 * SECOND, 90 * SECOND))
    ]


def each(call: Callable[[Sequence[Any]], object], rows: Sequence[Any], size: int = 50) -> None:
    """Call with the rows in lists of `size`."""
    for i in range(0, len(rows), size):
        call(rows[i : i + size])


@contextmanager
def bare(folder: Path, durability: str) -> Iterator[Callable[[Sequence[Prediction]], None]]:
    """One table without an index, written by executemany, in one transaction a batch."""
    with closing(sqlite3.connect(folder / "bare.db", isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {'FULL' if durability == 'fsync' else 'NORMAL'}")
        connection.execute(f"CREATE TABLE prediction ({', '.join(f'c{i}' for i in range(13))})")

        def append(rows: Sequence[Prediction]) -> None:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(f"INSERT INTO prediction VALUES ({', '.join('?' * 13)})", map(row_of, rows))
            connection.execute("COMMIT")

        yield append


def rows_a_second(append: Callable[[Sequence[Prediction]], object], rows: Sequence[Prediction], size: int) -> float:
    """How fast they are appended in batches of `size`."""
    start = perf_counter()
    each(append, rows, size)
    return len(rows) / (perf_counter() - start)


def compare(where: str | None) -> None:
    """Log and bare SQLite, in turn."""
    print(f"{'durability':10} {'batch':>6} {'log rows/s':>12} {'bare rows/s':>12} {'log/bare':>9}")
    for durability in ("commit", "fsync", "behind"):
        for size, count in ROWS.items():
            rows = predictions(count)
            with TemporaryDirectory(dir=where) as name, bare(Path(name), durability) as append:
                log = open_log(Path(name), Store(durability=durability))
                ours, theirs = rows_a_second(log.append, rows, size), rows_a_second(append, rows, size)
                log.close()
            print(f"{durability:10} {size:6,} {ours:12,.0f} {theirs:12,.0f} {ours / theirs:9.2f}")


@contextmanager
def opened(where: str | None) -> Iterator[tuple[Log, Callable[[], int]]]:
    """An empty log, and what tells its bytes on the disk."""
    if where is None or "://" not in where:
        with TemporaryDirectory(dir=where) as name, closing(open_log(Path(name), Store())) as log:
            yield log, lambda: (log.tidy(), (Path(name) / "log.db").stat().st_size)[1]
        return
    import psycopg

    from incumbent.storage import postgres

    schema = f"benchmark_{os.getpid()}"
    with psycopg.connect(where, autocommit=True) as connection:
        try:
            with closing(postgres.open_log(where, schema, Store())) as log:
                yield log, lambda: sum(
                    size for (size,) in connection.execute(
                        "SELECT pg_total_relation_size(c.oid) FROM pg_class c JOIN pg_namespace n "
                        "ON n.oid = c.relnamespace WHERE n.nspname = %s AND c.relkind = 'r'", [schema])
                )  # fmt: skip
        finally:
            connection.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")


@contextmanager
def beside(work: Callable[[], object]) -> Iterator[None]:
    """A thread that does `work` again and again."""
    over = Event()

    def go_on() -> None:
        while not over.is_set():
            work()

    with ThreadPoolExecutor(1) as pool:
        going = pool.submit(go_on)
        try:
            yield
        finally:
            over.set()
        going.result()


def hot(where: str | None) -> None:
    """The hot insert: microseconds a row, and the slowest calls, alone, beside a computing thread, beside `tidy`."""
    print(f"\n{'append_rows(rows, 0)':32} {'batch':>6} {'us a row':>9} {'p99 ms':>8} {'worst ms':>9}   (30 numbers)")
    features = {f"column_{i}": round(i * 0.123456789, 9) for i in range(30)}
    wide = [row_of(replace(each, features=features, trial=None)) for each in predictions(20_000)]
    for size in (1, 8, 64):
        with opened(where) as (log, _):
            company: dict[str, Callable[[], object]] = {"alone": partial(sleep, 0.1)}
            if size == 64:
                company["beside a computing thread"] = partial(sum, range(1000))
                company["beside tidy, five a second"] = partial(tidied, log)
            for n, (what, work) in enumerate(company.items()):
                mine = [row._replace(id=f"{n} {row.id}") for row in wide[: size * 300]]
                with beside(work):
                    took = sorted(insisting(log, mine[i : i + size]) for i in range(0, len(mine), size))
                median, p99 = took[len(took) // 2] / size * 1e6, took[int(len(took) * 0.99)] * 1e3
                print(f"{what:32} {size:6} {median:9.2f} {p99:8.2f} {took[-1] * 1e3:9.2f}")


def tidied(log: Log) -> None:
    """Tidy, and rest."""
    log.tidy()
    sleep(0.2)


def insisting(log: Log, rows: Sequence[PredictionRow]) -> float:
    """Seconds until a call that may not wait has kept the rows, tried again and again."""
    start = perf_counter()
    while True:
        try:
            log.append_rows(rows, 0)
            return perf_counter() - start
        except StoreLocked:
            continue


def stages(where: str | None) -> None:
    """What each call costs a row, in batches of 50, with one shadow and one outcome a row."""
    rows = predictions(STAGES)
    since, until = rows[0].at, rows[-1].at + 48 * HOUR
    with opened(where) as (log, size):
        calls: dict[str, Callable[[], object]] = {
            "append": lambda: each(log.append, rows),
            "append_shadows": lambda: each(log.append_shadows, [Shadow(p.id, "v2", (0.3, 0.7)) for p in rows]),
            "append_outcomes": lambda: each(log.append_outcomes, [Outcome(p.id, 1, p.at + HOUR) for p in rows]),
            "unscored, put_losses (2 a row)": lambda: settle(log),
            "find": lambda: each(log.find, [p.id for p in rows]),
            "scan": lambda: [len(page) for page in log.scan(known_before=until, labelled=True)],
            "unit_sums": lambda: log.unit_sums("trial", 1, until, until, 24 * HOUR),
            "block_sums": lambda: log.block_sums("v1", "v2", 6 * HOUR, since, until, until),
            "period_sums": lambda: log.period_sums(24 * HOUR, since, until, until),
            "shadow_failures": lambda: log.shadow_failures("v2", since),
            "unscored, nothing to do": lambda: log.unscored(),
            "totals": log.totals,
        }
        print(f"\n{'stage':32} {'us a row':>9} {'ms in all':>10}   ({STAGES:,} rows)")
        for stage, call in calls.items():
            start = perf_counter()
            call()
            took = perf_counter() - start
            print(f"{stage:32} {took / STAGES * 1e6:9.2f} {took * 1e3:10.1f}")
        print(f"{'on the disk':32} {size() / STAGES:9.0f} bytes a row")


def settle(log: Log) -> None:
    """Give every unscored output a loss, a thousand at a time."""
    while due := log.unscored(1000):
        log.put_losses([(each.id, each.version, 100_000_000) for each in due])


if __name__ == "__main__":
    folder = sys.argv[1] if len(sys.argv) > 1 else None
    if folder is None or "://" not in folder:
        compare(folder)
    hot(folder)
    stages(folder)
