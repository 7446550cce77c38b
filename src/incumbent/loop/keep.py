"""How long is what kept? Old days move to Parquet, and older ones go for good.

In: the stores, the settings, the registered versions, the time. Out: what moved or went, and an event on the ledger
that says how much. Run twice it changes nothing more. Days are those of task.timezone.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from incumbent.config import Config
from incumbent.errors import ConfigError
from incumbent.records import Micros, Signature, Version, micros, moment
from incumbent.storage.base import Gone, Ledger, Log
from incumbent.storage.opening import Facts

Versions = Mapping[str, Version]
_FIRST = micros(datetime(1, 1, 2, tzinfo=UTC))
"""Older rows are of no day that has a name, and stay in the store."""


@dataclass(frozen=True, slots=True)
class Archived:
    """How many rows of how many days moved (or were copied) to Parquet; the first and the last of those days."""

    rows: int = 0
    days: int = 0
    first: str = ""
    last: str = ""


def today(now: Micros, zone: ZoneInfo) -> date:
    """The day of a moment."""
    return moment(now).astimezone(zone).date()


def start(day: date, zone: ZoneInfo) -> Micros:
    """The moment at which a day begins."""
    return micros(datetime.combine(day, time(), tzinfo=zone))


def cutoff(config: Config, now: Micros, days: int) -> date:
    """The first of the last `days` whole days before today's."""
    return today(now, config.zone) - timedelta(days=days)


def due(log: Log, config: Config, until: date) -> tuple[date, date] | None:
    """The first and the last day before `until` that have rows to move, at most; None where there are none."""
    oldest = log.oldest_whole(_FIRST)
    if oldest is None or oldest >= start(until, config.zone):
        return None
    return today(oldest, config.zone), until - timedelta(days=1)


def archive(log: Log, versions: Versions, config: Config, until: date) -> Archived:
    """Move the features of every day before `until` to Parquet, the oldest first."""
    typed = _typed(versions, config)
    return _told(
        (day.isoformat(), log.archive_day(day.isoformat(), since, end, typed))
        for day, since, end in _days(log, config, until)
    )


def copy(log: Log, versions: Versions, config: Config, now: Micros) -> Archived:
    """Write everything that has not moved to Parquet as well, as it is now; what is there of it is replaced."""
    typed = _typed(versions, config)
    until = today(now, config.zone) + timedelta(days=2)  # a request may be a little ahead of the clock
    return _told(
        (day.isoformat(), log.copy_day(day.isoformat(), since, end, typed))
        for day, since, end in _days(log, config, until)
    )


def move(
    facts: Facts, versions: Versions, config: Config, until: date | None, *, copied: bool, now: Micros, actor: str
) -> tuple[Archived, Archived]:
    """Archive by hand every day before `until` (None: as log.archive_days says), and then copy the rest where that is
    asked for: what moved, what was copied. ConfigError where nothing says what to move."""
    end = ending(config, until, copied, now)
    moved = Archived() if end is None else archive(facts.log, versions, config, end)
    if end is not None:
        note(facts.ledger, moved, end, now, actor)
    return moved, copy(facts.log, versions, config, now) if copied else Archived()


def ending(config: Config, until: date | None, copied: bool, now: Micros) -> date | None:
    """The day before which days move; None where only a copy is asked for. ConfigError where nothing says it, or for a
    day that has not begun."""
    if until is not None:
        if until > today(now, config.zone):
            raise ConfigError(f"found the day {until}, expected today ({today(now, config.zone)}) or an earlier one")
        return until
    if config.log.archive_days:
        return cutoff(config, now, config.log.archive_days)
    if not copied:
        raise ConfigError("found no log.archive_days and no --until: say before which day to move, or set the former")
    return None


def tick(facts: Facts, versions: Versions, config: Config, now: Micros, actor: str) -> None:
    """What [log] asks for at this moment; on the ledger where it did something."""
    if config.log.keep_days:
        drop(facts.log, facts.ledger, config, now, actor)
    if config.log.archive_days:
        until = cutoff(config, now, config.log.archive_days)
        if not _archived_already(facts.ledger, until):
            note(facts.ledger, archive(facts.log, versions, config, until), until, now, actor)


def drop(log: Log, ledger: Ledger, config: Config, now: Micros, actor: str) -> Gone:
    """Delete for good what is older than log.keep_days."""
    first = cutoff(config, now, config.log.keep_days)
    gone = log.drop_before(start(first, config.zone))
    if gone != Gone():
        ledger.append("DaysDropped", at=now, actor=actor, reason=f"log.keep_days = {config.log.keep_days}",
                      data={"before": first.isoformat(), **asdict(gone)})  # fmt: skip
    return gone


def note(ledger: Ledger, moved: Archived, until: date, now: Micros, actor: str) -> None:
    """Say on the ledger which days moved."""
    if moved.rows:
        ledger.append("DaysArchived", at=now, actor=actor, reason="",
                      data={"until": until.isoformat(), **asdict(moved)})  # fmt: skip


def _days(log: Log, config: Config, until: date) -> Iterator[tuple[date, Micros, Micros]]:
    """Each day before `until` that has rows whose features are in the store: the day, its start and its end."""
    since = _FIRST
    while (oldest := log.oldest_whole(since)) is not None and oldest < start(until, config.zone):
        day = today(oldest, config.zone)
        since = start(day + timedelta(days=1), config.zone)
        yield day, start(day, config.zone), since


def _told(days: Iterator[tuple[str, int]]) -> Archived:
    moved = [(day, rows) for day, rows in days if rows]
    if not moved:
        return Archived()
    return Archived(sum(rows for _, rows in moved), len(moved), moved[0][0], moved[-1][0])


def _typed(versions: Versions, config: Config) -> dict[str, Signature]:
    """The signature of each version, as the log has its rows: what is private is there as the text of its hash."""
    private = set(config.task.private)
    return {
        name: replace(
            version.signature,
            columns=tuple(
                replace(column, type="string") if column.name in private else column
                for column in version.signature.columns
            ),
        )
        for name, version in versions.items()
    }


def _archived_already(ledger: Ledger, until: date) -> bool:
    """Did days up to there move before? Then what came late waits for the next day's run."""
    events = ledger.events(types=["DaysArchived"])
    return bool(events) and str(events[-1].data["until"]) >= until.isoformat()
