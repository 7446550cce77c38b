"""Running sums on the way: interrupted, overtaken, and no more read than what is new."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from incumbent.checks.storage.opened import T0, learnt, predicted, score
from incumbent.config import Store
from incumbent.records import DAY
from incumbent.storage.base import Log, SumPlan
from incumbent.storage.sql import stepping, trials
from incumbent.storage.sqlite import open_log

PLAN = SumPlan("t", 1, T0, window=DAY, unit_window=10 * DAY, before=DAY)
LATER = T0 + 100 * DAY


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many steps."""
    monkeypatch.setattr(trials, "ROWS_A_STEP", 3)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    """A log of a trial with 20 rows of 7 units, labelled, and 5 rows before it."""
    log = open_log(tmp_path, Store())
    log.append([predicted(f"before {n}", T0 - 1 - n, unit=f"{n}") for n in range(5)])
    log.append([predicted(f"{n}", T0 + n, unit=f"{n % 7}", trial="t", phase=1, arm="incumbent") for n in range(20)])
    log.append_outcomes([learnt(f"before {n}", 1, T0 - 1) for n in range(5)] + [learnt(f"{n}") for n in range(20)])
    score(log, default=3)
    yield log
    log.close()


def test_a_fold_that_was_interrupted_is_gone_on_with(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    """After any of its steps: the next call does the rest, and gives the same."""
    kept, steps = trials._kept, 0

    def interrupted(*arguments: Any) -> bool:
        nonlocal steps
        found = kept(*arguments)
        steps += 1
        raise KeyboardInterrupt if found else AssertionError

    monkeypatch.setattr(trials, "_kept", interrupted)
    for _ in range(4):
        with pytest.raises(KeyboardInterrupt):
            log.trial_sums(PLAN, LATER)
    monkeypatch.undo()
    sums = log.trial_sums(PLAN, LATER)
    assert steps == 4
    assert sums == log.trial_sums_at(PLAN, sums.mark)
    assert (sums.arms["incumbent"].rows, sums.arms["incumbent"].moments["loss"].known) == (20, 5)


def test_whoever_is_overtaken_reads_again(log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process kept a step between the reading and the keeping of this one: nothing is counted twice."""
    other, kept, tries = open_log(tmp_path, Store()), trials._kept, []

    def late(*arguments: Any) -> bool:
        if not tries:
            tries.append(other)
            other.trial_sums(PLAN, LATER + 5)
        tries.append(kept(*arguments))
        return bool(tries[-1])

    monkeypatch.setattr(trials, "_kept", late)
    sums = log.trial_sums(PLAN, LATER)
    assert tries[1:].count(False) == 1
    assert sums == log.trial_sums_at(PLAN, sums.mark) and sums.mark.now == LATER
    assert sums.arms["incumbent"].rows == 20
    other.close()


def test_a_look_reads_only_what_is_new(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that arrived, that were corrected, or whose window has closed."""
    read: list[int] = []
    rows = stepping.Summing._rows

    def counted(self: stepping.Summing, found: Any) -> Any:
        read.append(len(found))
        return rows(self, found)

    def reading() -> int:
        read.clear()
        log.trial_sums(PLAN, LATER)
        return sum(read)

    monkeypatch.setattr(stepping.Summing, "_rows", counted)
    assert reading() == 25
    assert reading() == 0
    log.append([predicted("new", LATER, unit="0", trial="t", phase=1, arm="incumbent"), predicted("other", LATER)])
    assert reading() == 1
    log.append_outcomes([learnt("3", 0), learnt("other"), learnt("7", 5, name="unheard of")])
    score(log)
    assert reading() == 1
    log.trial_sums(PLAN, LATER + DAY)
    assert sum(read) == 2


def test_only_the_last_plans_are_kept(log: Log, tmp_path: Path) -> None:
    """And no unit of an older one."""
    for phase in range(1, 8):
        log.trial_sums(SumPlan("t", phase, T0, DAY, DAY), LATER)
    log.trial_sums(PLAN, LATER)
    for phase in range(2, 5):
        log.trial_sums(SumPlan("t", phase, T0, DAY, DAY), LATER + 1)
    database = log._database  # type: ignore[attr-defined]
    with database.reading() as session:
        assert len(session.rows(trials._SUMS)) == trials.KEPT
    trials.swept(database)
    with database.reading() as session:
        assert session.row(trials._NEXT_SUM, after=-1) is None
