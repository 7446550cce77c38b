"""How long does whoever appends wait while old days move to Parquet, and how much smaller does the log get?

    python benchmarks/archive.py [rows]

One process answers (its appends are timed, before and during), another archives, as the ticker does. Wanted: an append
that looks for its id waits for one short transaction at most (about 20 ms), one to the journal for none.
"""

import sys
import time
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.synchronize import Event
from pathlib import Path
from tempfile import TemporaryDirectory

from incumbent.checks.storage.opened import T0, predicted
from incumbent.config import Store
from incumbent.loop.log import Ids
from incumbent.records import DAY, Column, Signature
from incumbent.storage.base import PredictionRow, row_of
from incumbent.storage.journaled import Journaled
from incumbent.storage.sqlite import open_log

FEATURES = 25
SIGNATURE = Signature(tuple(Column(f"feature_{i}", "number") for i in range(FEATURES)), "binary", (0, 1))
new_id = Ids()


def opened(folder: Path) -> Journaled:
    return Journaled(open_log(folder, Store()), folder / "journal", flushed=False)


def made(at: int, seed: int) -> PredictionRow:
    """A row whose features repeat no other row's."""
    features = {f"feature_{i}": (seed * 37 + i * 101) % 9973 / 997 for i in range(FEATURES)}
    return row_of(predicted(new_id(at), at, features=features))


def archiving(folder: Path, begin: Event, ended: Event) -> None:
    """The other process."""
    log = opened(folder)
    begin.wait()
    began = time.perf_counter()
    rows = log.archive_day("2013-04-01", T0, T0 + DAY, {"v1": SIGNATURE})
    print(f"moved {rows:,} rows, {rows / (time.perf_counter() - began):,.0f} a second")
    ended.set()
    log.close()


def waits(append: Callable[[int], None], over: Callable[[], bool]) -> list[float]:
    """Milliseconds of each append until it is over, one about every 2 ms."""
    found: list[float] = []
    while not over():
        began = time.perf_counter()
        append(len(found))
        found.append((time.perf_counter() - began) * 1000)
        time.sleep(0.002)
    return found


def said(what: str, found: list[float]) -> None:
    found = sorted(found)
    parts = [f"{share:.1%} {found[int(share * (len(found) - 1))]:.2f}" for share in (0.5, 0.99, 0.999, 1.0)]
    print(f"{what}: {len(found):,} appends, ms: {'  '.join(parts)}")


def measured(count: int, journal: bool) -> None:
    with TemporaryDirectory() as name:
        folder, context = Path(name), get_context("spawn")
        log = opened(folder)
        for place in range(0, count, 1000):
            log.append_rows([made(T0 + place + i, place + i) for i in range(1000)])
        log.tidy()
        size = (folder / "log.db").stat().st_size
        begin, ended = context.Event(), context.Event()
        other = context.Process(target=archiving, args=(folder, begin, ended))
        other.start()
        rows = [made(T0 + 9 * DAY, i) for i in range(100_000)]
        append = log.append_new if journal else log.append_rows
        until = time.monotonic() + 2
        what = "to the journal" if journal else "to the database"
        said(f"{what}, before", waits(lambda n: append([rows[n]]), lambda: time.monotonic() > until))
        begin.set()
        said(f"{what}, during", waits(lambda n: append([rows[50_000 + n]]), ended.is_set))
        other.join()
        log.tidy()
        parquet = sum(path.stat().st_size for path in (folder / "days").glob("*/*.parquet"))
        now = (folder / "log.db").stat().st_size
        print(f"bytes a row: {size / count:,.0f} before, {now / count:,.0f} after, {parquet / count:,.0f} in Parquet\n")
        log.close()


if __name__ == "__main__":
    for journal in (False, True):
        measured(int(sys.argv[1]) if len(sys.argv) > 1 else 50_000, journal)
