"""A log with a journal in front of it: new rows are appended to a file, and move into the log behind.

In: any Log, and a folder. Out: a Log that keeps the same contract. `append_new` writes to the journal alone; whatever
else is asked first moves what lies there into the log, so that nobody ever misses a row. Rows are moved at least once
and kept exactly once: their ids are new, so a row that is found in the log already was moved by somebody who was killed
before it could say so.
"""

import json
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from incumbent.errors import IdReused, StoreLocked
from incumbent.records import Adjudication, Micros, Outcome, Prediction, Response, Review, Shadow, Signature
from incumbent.storage.base import (
    BlockSum,
    Gone,
    Log,
    LoggedRow,
    Mark,
    OutcomeCounts,
    PeriodSum,
    PredictionRow,
    Scored,
    SumPlan,
    Totals,
    TrialSums,
    UnitSum,
)

JOURNAL = "journal"
_POSITIONS = "positions.json"

try:
    from incumbent.storage import journal
except ModuleNotFoundError:  # Windows has no flock
    POSSIBLE = False
else:
    POSSIBLE = True


class Journaled:
    """See `storage.base.Log`; `log` is where rows end up, `folder` where the files of all processes lie."""

    def __init__(self, log: Log, folder: Path, flushed: bool) -> None:
        self.prompt = log.prompt
        self._log, self._folder, self._flushed = log, folder, flushed
        self._journal = journal.Journal(folder)
        self._moving = threading.Lock()

    def append_new(self, rows: Sequence[PredictionRow], wait_s: float | None = None) -> None:
        self._journal.append(rows)

    def append_rows(self, rows: Sequence[PredictionRow], wait_s: float | None = None) -> None:
        if any(_ours(row[0]) for row in rows) and journal.pending(self._folder):
            if wait_s == 0:
                raise StoreLocked("an id may lie in a journal: the call that may wait looks there first")
            self.move()
        self._log.append_rows(rows, wait_s)

    def append(self, predictions: Sequence[Prediction]) -> None:
        self._log.append(predictions)

    def sync(self) -> None:
        self._journal.sync()
        self._log.sync()

    def tidy(self) -> None:
        self.move()
        self._log.tidy()

    def move(self) -> int:
        """Move rows from the journals of all processes into the log; how many there were."""
        if not journal.pending(self._folder):
            return 0
        with self._moving, journal.alone(self._folder):
            positions = self._positions()
            moved = 0
            for path in journal.paths(self._folder):
                moved += self._move(path, positions)
            return moved

    def _move(self, path: Path, positions: dict[str, int]) -> int:
        moved = 0
        left = journal.abandoned(path)  # before it is read: what is written after this is read the next time
        while True:
            rows, position = journal.read(path, positions.get(path.name, 0))
            if not rows:
                break
            self._keep(rows)
            moved += len(rows)
            positions[path.name] = position
            self._say(positions)
        if left:
            if self._flushed:
                self._log.sync()
            journal.end(path, positions.pop(path.name, 0))
            self._say(positions)
        return moved

    def _keep(self, rows: list[PredictionRow]) -> None:
        try:
            self._log.append_rows(rows)
        except IdReused:  # moved before, by somebody who was killed then
            there = self._log.find([row.id for row in rows])
            self._log.append_rows([row for row in rows if row.id not in there])

    def _positions(self) -> dict[str, int]:
        try:
            found: dict[str, int] = json.loads((self._folder / _POSITIONS).read_text())
            return found
        except (FileNotFoundError, ValueError):
            return {}  # from the start: what was moved before is found again by its id

    def _say(self, positions: dict[str, int]) -> None:
        draft = self._folder / f"{_POSITIONS}.{os.getpid()}"
        try:
            draft.write_text(json.dumps(positions))
            os.replace(draft, self._folder / _POSITIONS)
        except OSError:  # a full disk: moved rows are found again by their ids
            with suppress(OSError):
                draft.unlink()

    # --- everything else sees what lies in the journals

    def append_shadows(self, shadows: Sequence[Shadow]) -> None:
        self.move()
        self._log.append_shadows(shadows)

    def append_outcomes(self, outcomes: Sequence[Outcome]) -> OutcomeCounts:
        self.move()
        return self._log.append_outcomes(outcomes)

    def find(self, ids: Sequence[str]) -> dict[str, Prediction]:
        self.move()
        return self._log.find(ids)

    def times(self, ids: Sequence[str]) -> dict[str, Micros]:
        self.move()
        return self._log.times(ids)

    def unscored(self, limit: int = 100_000) -> list[Scored]:
        self.move()
        return self._log.unscored(limit)

    def put_losses(self, losses: Sequence[tuple[str, str, int]]) -> None:
        self._log.put_losses(losses)

    def scan(
        self,
        since: Micros | None = None,
        until: Micros | None = None,
        known_before: Micros | None = None,
        labelled: bool | None = None,
        batch: int = 10_000,
    ) -> Iterator[list[LoggedRow]]:
        self.move()
        return self._log.scan(since, until, known_before, labelled, batch)

    def unit_sums(
        self, trial: str, phase: int, matured_before: Micros, known_before: Micros, window: Micros
    ) -> list[UnitSum]:
        self.move()
        return self._log.unit_sums(trial, phase, matured_before, known_before, window)

    def block_sums(
        self,
        reference: str,
        candidate: str,
        block: Micros,
        since: Micros,
        until: Micros,
        known_before: Micros,
        offset: Micros = 0,
    ) -> list[BlockSum]:
        self.move()
        return self._log.block_sums(reference, candidate, block, since, until, known_before, offset)

    def mark(self, now: Micros, versions: Sequence[str] = ()) -> Mark:
        self.move()
        return self._log.mark(now, versions)

    def last_outcome(self) -> int:
        return self._log.last_outcome()  # outcomes have no journal

    def trial_sums(self, plan: SumPlan, now: Micros) -> TrialSums:
        self.move()
        return self._log.trial_sums(plan, now)

    def trial_sums_at(self, plan: SumPlan, mark: Mark) -> TrialSums:
        self.move()
        return self._log.trial_sums_at(plan, mark)

    def pair_sums(
        self,
        reference: str,
        candidate: str,
        block: Micros,
        since: Micros,
        until: Micros,
        at: Mark | Micros,
        offset: Micros = 0,
        budget_us: int | None = None,
    ) -> list[BlockSum]:
        self.move()
        return self._log.pair_sums(reference, candidate, block, since, until, at, offset, budget_us)

    def period_sums(
        self, period: Micros, since: Micros, until: Micros, known_before: Micros, offset: Micros = 0
    ) -> list[PeriodSum]:
        self.move()
        return self._log.period_sums(period, since, until, known_before, offset)

    def size(self, name: str, share: float, since: Micros, known_before: Micros) -> tuple[int, float]:
        self.move()
        return self._log.size(name, share, since, known_before)

    def shadow_failures(self, version: str, since: Micros, until: Micros | None = None) -> tuple[int, int]:
        self.move()
        return self._log.shadow_failures(version, since, until)

    def totals(self) -> Totals:
        self.move()
        return self._log.totals()

    def append_reviews(self, reviews: Sequence[Review]) -> None:
        self._log.append_reviews(reviews)

    def reviews(self, since: Micros | None = None, open_only: bool = False, limit: int = 1000) -> list[Review]:
        self.move()
        return self._log.reviews(since, open_only, limit)

    def append_responses(self, responses: Sequence[Response]) -> None:
        self._log.append_responses(responses)

    def responses(self, study: str, history: bool = False) -> list[Response]:
        return self._log.responses(study, history)

    def append_adjudications(self, adjudications: Sequence[Adjudication]) -> None:
        self._log.append_adjudications(adjudications)

    def adjudications(self, study: str, history: bool = False) -> list[Adjudication]:
        return self._log.adjudications(study, history)

    def oldest_whole(self, since: Micros | None = None) -> Micros | None:
        self.move()
        return self._log.oldest_whole(since)

    def archive_day(self, day: str, since: Micros, until: Micros, signatures: Mapping[str, Signature]) -> int:
        self.move()
        return self._log.archive_day(day, since, until, signatures)

    def copy_day(self, day: str, since: Micros, until: Micros, signatures: Mapping[str, Signature]) -> int:
        self.move()
        return self._log.copy_day(day, since, until, signatures)

    def drop_before(self, before: Micros) -> Gone:
        self.move()
        return self._log.drop_before(before)

    def erase(self, ids: Sequence[str]) -> Gone:
        self.move()
        return self._log.erase(ids)

    def scrub(self) -> None:
        """What was moved is blanked in the journals, which other processes go on writing."""
        self.move()
        if journal.pending(self._folder):
            with self._moving, journal.alone(self._folder):
                positions = self._positions()
                for path in journal.paths(self._folder):
                    journal.blank(path, positions.get(path.name, 0))
        self._log.scrub()

    def close(self) -> None:
        """Move what lies in the journals, and give back files and connections."""
        self._journal.close()
        try:
            self.move()
        finally:
            self._log.close()


def in_front(opens: Callable[[Path], Log], folder: Path, flushed: bool = False) -> Journaled:
    """The log that `opens(folder)` opens, with a journal beside it in front. `flushed`: its durability is fsync."""
    return Journaled(opens(folder), folder / JOURNAL, flushed)


def _ours(id: str) -> bool:
    """Might we have made this id? (It is a UUIDv7.)"""
    return len(id) == 36 and id[14] == "7" and id[8] == "-"
