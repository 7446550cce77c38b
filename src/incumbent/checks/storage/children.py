"""What child processes do in the checks: append to a store that others use at the same time."""

from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

from incumbent.checks.storage.opened import T0, learnt, predicted
from incumbent.errors import LedgerConflict
from incumbent.records import Response
from incumbent.storage.base import Blobs, Ledger, Log, SumPlan

WAIT_S = 60


def at_once(work: Callable[..., None], *each: tuple[Any, ...]) -> None:
    """Run `work` in a process of its own for each tuple of arguments; all must end well."""
    context = get_context("spawn")
    children = [context.Process(target=work, args=arguments) for arguments in each]
    for child in children:
        child.start()
    for child in children:
        child.join(WAIT_S)
        if child.is_alive():
            child.kill()
            child.join()
    assert [child.exitcode for child in children] == [0] * len(children)


def append_rows(opener: Callable[[Path], Log], folder: Path, name: str, batches: int, rows: int) -> None:
    """Open a log and append batches with ids `name batch row`, then their outcomes."""
    log = opener(folder)
    for batch in range(batches):
        ids = [f"{name} {batch} {row}" for row in range(rows)]
        log.append([predicted(id, T0 + batch) for id in ids])
        log.append_outcomes([learnt(id) for id in ids])
    log.close()


def open_together(opener: Callable[[Path], Log], folder: Path, rounds: int, barrier: Barrier) -> None:
    """Open a new log in each round, at the same moment as the others."""
    for number in range(rounds):
        barrier.wait(WAIT_S)
        opener(folder / f"{number}").close()


def append_events(opener: Callable[[Path], Ledger], folder: Path, name: str, events: int) -> None:
    """Append that many events by compare-and-swap, reading again after each conflict."""
    ledger = opener(folder)
    won = 0
    while won < events:
        try:
            ledger.append("Counted", at=T0, actor=name, reason="", data={"n": won}, expected=ledger.sequence())
            won += 1
        except LedgerConflict:
            continue
    ledger.close()


def append_said(opener: Callable[[Path], Log], folder: Path, name: str, items: int) -> None:
    """Open a log and answer that many items, each twice, as a browser does that heard no reply."""
    log = opener(folder)
    for item in range(items):
        response = Response("p1", f"{name} {item}", 1, name, item, T0)
        log.append_responses([response])
        log.append_responses([response])
    log.close()


def look_at_trial(opener: Callable[[Path], Log], folder: Path, plan: SumPlan, name: str) -> None:
    """Open a log, append rows of a trial with their outcomes, and look at it again and again, each time repeating the
    look at its mark."""
    log = opener(folder)
    for batch in range(12):
        rows = [
            predicted(f"{name} {batch} {n}", plan.started_at + batch, unit=f"{n}", trial=plan.trial, phase=plan.phase,
                      arm="challenger")
            for n in range(5)
        ]  # fmt: skip
        log.append(rows)
        log.append_outcomes([learnt(row.id) for row in rows])
        log.put_losses([(each.id, each.version, 1) for each in log.unscored()])
        sums = log.trial_sums(plan, plan.started_at + 10 * plan.window + batch)
        assert sums == log.trial_sums_at(plan, sums.mark)
    log.close()


def put_bytes(opener: Callable[[Path], Blobs], folder: Path, content: bytes, times: int) -> None:
    """Put the same bytes again and again, and read them."""
    blobs = opener(folder)
    for _ in range(times):
        assert blobs.get(blobs.put(content)) == content
