"""The Log on SQL: `storage.base.Log`, method by method, but for the hot insert and its upkeep, which a body brings.

What arrives is written by `arrivals`, what people say by `answers`; what leaves is moved or deleted by `leaving`, what
is added up is read by `sums`. Here are the transactions around them, and the reading of rows, whose features may lie in
Parquet files.
"""

import threading
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, Select, bindparam, case, func, or_, select

from incumbent.errors import StoreDamaged
from incumbent.records import Adjudication, Micros, Outcome, Prediction, Response, Review, Shadow, Signature
from incumbent.storage.base import (
    BlockSum,
    Gone,
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
    prediction_of,
    row_of,
)
from incumbent.storage.sql import answers, arrivals, pairs, sums, tables, trials
from incumbent.storage.sql.leaving import Leaving, files_query, parquet
from incumbent.storage.sql.session import Database, Row, Session, among
from incumbent.storage.sql.tables import LABEL, NEVER
from incumbent.storage.values import checked_id, label, unpacked

_FIELDS = len(PredictionRow._fields)
_FEATURES = PredictionRow._fields.index("features")
_TRIES = 3
_FIRST = -(2**63)

p, o, s, r = (
    table.alias(name)
    for table, name in (
        (tables.prediction, "p"),
        (tables.outcome, "o"),
        (tables.shadow, "s"),
        (tables.review, "r"),
    )
)
_PREDICTION = [p.c[name] for name in PredictionRow._fields]
_CURRENT_LABEL = (o.c.prediction == p.c.arrival) & (o.c.name == LABEL) & (o.c.replaced_at == NEVER)

_FIND = select(*_PREDICTION, p.c.archived).where(among(p.c.id, "ids"))

_TIMES = select(p.c.id, p.c.at).where(among(p.c.id, "ids"))

# Limited before it is joined: each mark has its prediction and its label.
_DUE = (
    select(tables.unscored)
    .order_by(tables.unscored.c.prediction, tables.unscored.c.version)
    .limit(bindparam("limit"))
    .subquery("u")
)
_UNSCORED = (
    select(
        p.c.id,
        _DUE.c.version,
        case((_DUE.c.version == p.c.served_by, p.c.output), else_=s.c.output),
        o.c.value,
        p.c.arrival,
        o.c.arrival,
    )
    .select_from(
        _DUE.join(p, p.c.arrival == _DUE.c.prediction)
        .join(o, _CURRENT_LABEL)
        .outerjoin(s, (s.c.at == p.c.at) & (s.c.prediction == p.c.arrival) & (s.c.version == _DUE.c.version))
    )
    .order_by(_DUE.c.prediction, _DUE.c.version)
)


def _scan(only: ColumnElement[bool] | None) -> Select[Row]:
    """A page begins after the last row of the page before, so that no view is held open between two pages."""
    query = (
        select(*_PREDICTION, o.c.value, o.c.known_at, p.c.arrival, p.c.archived)
        .select_from(
            p.outerjoin(
                o,
                (o.c.prediction == p.c.arrival)
                & (o.c.name == LABEL)
                & (o.c.known_at < bindparam("known_before"))
                & (o.c.replaced_at >= bindparam("known_before")),
            )
        )
        .with_hint(p, "INDEXED BY prediction_at", "sqlite")
        .where(p.c.at >= bindparam("since"), p.c.at < bindparam("until"))
        .where(or_(p.c.at > bindparam("since"), p.c.arrival > bindparam("after")))
        .order_by(p.c.at, p.c.arrival)
        .limit(bindparam("batch"))
    )
    return query if only is None else query.where(only)


_SCAN = {None: _scan(None), True: _scan(o.c.arrival.is_not(None)), False: _scan(o.c.arrival.is_(None))}


def _drawn(open_only: bool) -> Select[Row]:
    query = (
        select(
            r.c.id, r.c.at, r.c.version, r.c.reason, r.c.propensity, r.c.policy,
            func.coalesce(r.c.label, o.c.value), r.c.reviewer,
        )
        .select_from(r.outerjoin(p, p.c.id == r.c.id).outerjoin(o, _CURRENT_LABEL))
        .where(r.c.at >= bindparam("since"))
        .order_by(r.c.at.desc(), r.c.arrival.desc())
        .limit(bindparam("limit"))
    )  # fmt: skip
    return query.where(o.c.arrival.is_(None)) if open_only else query


_REVIEWS = {open_only: _drawn(open_only) for open_only in (False, True)}


class SqlLog(ABC):
    """See `storage.base.Log`."""

    prompt: bool

    def __init__(self, database: Database, flushed: bool, days: Path | None = None) -> None:
        """`flushed`: nothing is acknowledged before `sync`. `days`: where the Parquet files of old days lie."""
        self._database = database
        self._days = days
        self._leaving = Leaving(database, days)
        self._flushed = flushed
        self._given: dict[tuple[str, str], tuple[int, int]] = {}
        self._given_lock = threading.Lock()

    @abstractmethod
    def append_rows(self, rows: Sequence[PredictionRow], wait_s: float | None = None) -> None:
        """The hot insert."""

    @abstractmethod
    def sync(self) -> None:
        """What was committed survives a power cut."""

    @abstractmethod
    def tidy(self) -> None:
        """Upkeep beside the traffic."""

    def append_new(self, rows: Sequence[PredictionRow], wait_s: float | None = None) -> None:
        self.append_rows(rows, wait_s)

    def append(self, predictions: Sequence[Prediction]) -> None:
        self.append_rows([row_of(prediction) for prediction in predictions])
        self._acknowledge()

    def append_shadows(self, shadows: Sequence[Shadow]) -> None:
        with self._database.writing() as session:
            arrivals.keep_shadows(session, shadows)
        self._acknowledge()

    def append_outcomes(self, outcomes: Sequence[Outcome]) -> OutcomeCounts:
        with self._database.writing(alone=True) as session:
            counts = arrivals.keep_outcomes(session, outcomes)
        self._acknowledge()
        return counts

    def find(self, ids: Sequence[str]) -> dict[str, Prediction]:
        wanted = [checked_id(id) for id in ids]
        found = self._read(_FIND, lambda session: {"ids": session.listed(wanted)})
        return {row[0]: prediction_of(PredictionRow._make(row[:_FIELDS])) for row in found}

    def times(self, ids: Sequence[str]) -> dict[str, Micros]:
        wanted = [checked_id(id) for id in ids]
        with self._database.reading() as session:
            return dict(session.rows(_TIMES, ids=session.listed(wanted)))

    def unscored(self, limit: int = 100_000) -> list[Scored]:
        with self._database.reading() as session:
            found = session.rows(_UNSCORED, limit=limit)
        with self._given_lock:
            for id, version, _, _, prediction, outcome in found:
                # Of two threads that ask, the older label stands: at worst a row is scored once more.
                self._given.setdefault((id, version), (prediction, outcome))
        return [Scored(id, version, unpacked(output), label(value)) for id, version, output, value, _, _ in found]

    def put_losses(self, losses: Sequence[tuple[str, str, int]]) -> None:
        with self._given_lock:
            given = {(id, version): self._given[id, version] for id, version, _ in losses
                     if (id, version) in self._given}  # fmt: skip
        with self._database.writing() as session:
            arrivals.keep_losses(session, losses, given)
        with self._given_lock:
            for key in given:
                self._given.pop(key, None)
        self._acknowledge()

    def scan(
        self,
        since: Micros | None = None,
        until: Micros | None = None,
        known_before: Micros | None = None,
        labelled: bool | None = None,
        batch: int = 10_000,
    ) -> Iterator[list[LoggedRow]]:
        bounds = {"since": _FIRST if since is None else since, "after": -1, "until": _end(until),
                  "known_before": _end(known_before), "batch": batch}  # fmt: skip
        while True:
            asked = bounds
            found = self._read(_SCAN[labelled], lambda session, asked=asked: asked)  # type: ignore[misc]
            if found:
                yield [_logged(row) for row in found]
            if len(found) < batch:
                return
            bounds = bounds | {"since": found[-1][1], "after": found[-1][-2]}

    def unit_sums(
        self, trial: str, phase: int, matured_before: Micros, known_before: Micros, window: Micros
    ) -> list[UnitSum]:
        with self._database.reading() as session:
            return sums.unit_sums(session, trial=trial, phase=phase, matured_before=matured_before,
                                  known_before=known_before, window=window)  # fmt: skip

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
        with self._database.reading() as session:
            return sums.block_sums(session, reference=reference, candidate=candidate, block=block, since=since,
                                   until=until, known_before=known_before, offset=offset)  # fmt: skip

    def mark(self, now: Micros, versions: Sequence[str] = ()) -> Mark:
        return trials.mark(self._database, now, versions)

    def last_outcome(self) -> int:
        with self._database.reading() as session:
            return sums.last_outcome(session)

    def trial_sums(self, plan: SumPlan, now: Micros) -> TrialSums:
        return trials.trial_sums(self._database, plan, now)

    def trial_sums_at(self, plan: SumPlan, mark: Mark) -> TrialSums:
        return trials.trial_sums_at(self._database, plan, mark)

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
        mark = at if isinstance(at, Mark) else Mark(at, NEVER, NEVER)
        asked = pairs.Asked(reference, candidate, block, since, until, mark, offset, budget_us)
        return pairs.pair_sums(self._database, asked)

    def period_sums(
        self, period: Micros, since: Micros, until: Micros, known_before: Micros, offset: Micros = 0
    ) -> list[PeriodSum]:
        with self._database.reading() as session:
            return sums.period_sums(session, known_before, block=period, since=since, until=until, offset=offset)

    def size(self, name: str, share: float, since: Micros, known_before: Micros) -> tuple[int, float]:
        with self._database.reading() as session:
            return sums.size(session, name, share, since, known_before)

    def shadow_failures(self, version: str, since: Micros, until: Micros | None = None) -> tuple[int, int]:
        with self._database.reading() as session:
            return sums.shadow_failures(session, version, since, NEVER if until is None else until)

    def totals(self) -> Totals:
        with self._database.reading() as session:
            return sums.totals(session)

    def append_reviews(self, reviews: Sequence[Review]) -> None:
        with self._database.writing() as session:
            arrivals.keep_reviews(session, reviews)
        self._acknowledge()

    def reviews(self, since: Micros | None = None, open_only: bool = False, limit: int = 1000) -> list[Review]:
        with self._database.reading() as session:
            found = session.rows(_REVIEWS[open_only], since=_FIRST if since is None else since, limit=limit)
        return [_review(row) for row in found]

    def append_responses(self, responses: Sequence[Response]) -> None:
        with self._database.writing(alone=True) as session:
            answers.keep_responses(session, responses)
        self._acknowledge()

    def responses(self, study: str, history: bool = False) -> list[Response]:
        with self._database.reading() as session:
            return answers.responses(session, study, history)

    def append_adjudications(self, adjudications: Sequence[Adjudication]) -> None:
        with self._database.writing(alone=True) as session:
            answers.keep_adjudications(session, adjudications)
        self._acknowledge()

    def adjudications(self, study: str, history: bool = False) -> list[Adjudication]:
        with self._database.reading() as session:
            return answers.adjudications(session, study, history)

    def oldest_whole(self, since: Micros | None = None) -> Micros | None:
        return self._leaving.oldest_whole(since)

    def archive_day(self, day: str, since: Micros, until: Micros, signatures: Mapping[str, Signature]) -> int:
        return self._leaving.archive_day(day, since, until, signatures)

    def copy_day(self, day: str, since: Micros, until: Micros, signatures: Mapping[str, Signature]) -> int:
        return self._leaving.copy_day(day, since, until, signatures)

    def drop_before(self, before: Micros) -> Gone:
        return self._leaving.drop_before(before)

    def erase(self, ids: Sequence[str]) -> Gone:
        return self._leaving.erase(ids)

    def scrub(self) -> None:
        self._database.scrub()

    def close(self) -> None:
        self._database.close()

    def _read(self, query: Select[Row], parameters: Callable[[Session], Mapping[str, Any]]) -> list[Row]:
        """Rows that end with the number of the file that holds their features, which are put in their place.

        A file that was written anew meanwhile is gone: then the rows are read again, and name the new one."""
        for _ in range(_TRIES):
            with self._database.reading() as session:
                rows = session.rows(query, **parameters(session))
                moved = any(row[-1] is not None for row in rows)
                files = {number: name for number, name, *_ in session.rows(files_query)} if moved else {}
            if not moved:
                return rows
            try:
                return self._filled(rows, files)
            except (FileNotFoundError, KeyError) as error:
                missing = error
        raise StoreDamaged(
            f"the features of a row are not where the log says ({missing}). Bring the folder {self._days} back from a "
            "backup."
        )

    def _filled(self, rows: list[Row], files: Mapping[int, str]) -> list[Row]:
        ats: dict[int, list[Micros]] = defaultdict(list)
        ids: dict[int, list[str]] = defaultdict(list)
        for row in rows:
            if row[-1] is not None:
                ids[row[-1]].append(row[0])
                ats[row[-1]].append(row[1])
        texts: dict[str, str] = {}
        for number in ids:
            path = (self._days or Path()) / files[number]
            texts |= parquet().features(path, ids[number], min(ats[number]), max(ats[number]))
        return [
            row if row[-1] is None else (*row[:_FEATURES], texts[row[0]], *row[_FEATURES + 1 :]) for row in rows
        ]

    def _acknowledge(self) -> None:
        """What was just committed is as safe as `store.durability` declares."""
        if self._flushed:
            self.sync()


def _logged(row: Row) -> LoggedRow:
    value, known_at = row[_FIELDS : _FIELDS + 2]
    prediction = prediction_of(PredictionRow._make(row[:_FIELDS]))
    return LoggedRow(prediction, None if value is None else label(value), known_at)


def _review(row: Row) -> Review:
    id, at, version, reason, propensity, policy, value, reviewer = row
    return Review(id, at, version, reason, propensity, policy, None if value is None else label(value), reviewer)


def _end(bound: Micros | None) -> Micros:
    return NEVER if bound is None else bound
