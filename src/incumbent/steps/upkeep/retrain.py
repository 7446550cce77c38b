"""Is a refit due, and which rows may it be trained on?

In: what the ledger says of past refits, the cadence, the time; ids and times of logged and loaded rows.
Out: causes that are due, and row numbers on both sides. A row trains only if its label was known before
now.
"""

import calendar
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from incumbent import config
from incumbent.errors import ConfigError, DataError
from incumbent.records import DAY, Event, Micros, micros, moment

Ints = npt.NDArray[np.int64]
Ids = Sequence[str | None]

_PERIOD = re.compile(r"(\d+)\s*(day|week|month)s?")


@dataclass(frozen=True, slots=True)
class History:
    """What the ledger says of refits. `started_at` anchors the cadence; None: it has not happened."""

    started_at: Micros | None = None
    refitted_at: Micros | None = None
    refused_at: Micros | None = None
    alarm_at: Micros | None = None
    alarm: str = ""


@dataclass(frozen=True, slots=True)
class Due:
    """Why a refit is due now (`cadence` or `harm`), said in a sentence."""

    cause: str
    sentence: str


def history(events: Iterable[Event]) -> History:
    """A fold over the ledger.

    The cadence starts with the first promotion of a version that is no naive rule; a refit is a registered
    version with a parent; a refusal is RetrainRefused; an alarm counts until the next refit.
    """
    started = refitted = refused = alarmed = None
    alarm, rules = "", set()
    for event in events:
        version = event.data.get("version")
        if event.type == "VersionRegistered" and isinstance(version, dict):
            if version.get("runtime") == "rule":
                rules.add(version["name"])
            elif version.get("parent") and not str(version.get("recipe", "")).startswith("distil"):
                refitted = event.at
        elif event.type == "Promoted" and started is None and version not in rules:
            started = event.at
        elif event.type == "RetrainRefused":
            refused = event.at
        elif event.type == "AlarmRaised":
            alarmed, alarm = event.at, str(event.data.get("alarm", ""))
    return History(started, refitted, refused, alarmed, alarm)


def due(
    past: History,
    settings: config.Retrain,
    now: Micros,
    zone: ZoneInfo,
    *,
    new_labels: int | None = None,
    min_labels: int = 200,
) -> list[Due]:
    """What asks for a refit at `now`; empty: nothing does.

    The cadence is a grid of local midnights from the start on, so that a refusal or a late tick does not
    move it. After a refusal nothing is due for `retry_days`, nor before `min_labels` labels are new (None:
    not counted).
    """
    if past.started_at is None:
        return []
    if past.refused_at is not None and now < past.refused_at + settings.retry_days * DAY:
        return []
    if new_labels is not None and new_labels < min_labels:
        return []
    last = past.started_at if past.refitted_at is None else max(past.refitted_at, past.started_at)
    found = []
    if settings.every and (point := _last_point(past.started_at, settings.every, now, zone)) > last:
        day = moment(point).astimezone(zone).date()
        found.append(Due("cadence", f"a refit is due every {settings.every}: since {day}"))
    if past.alarm_at is not None and past.alarm_at > last:
        found.append(Due("harm", f"the alarm {past.alarm!r} was raised since the last refit"))
    return found


def next_due(past: History, settings: config.Retrain, now: Micros, zone: ZoneInfo) -> Micros | None:
    """When the cadence asks next (later than `now`); None without a cadence or a start."""
    if not settings.every or past.started_at is None:
        return None
    step = 1
    while (point := _point(past.started_at, settings.every, step, zone)) <= now:
        step += 1
    return point


def period(every: str) -> tuple[int, str]:
    """A cadence as (count, unit).

    >>> period("1 month"), period("10 days")
    ((1, 'month'), (10, 'day'))
    """
    match = _PERIOD.fullmatch(every.strip().lower())
    if match is None or int(match[1]) < 1:
        raise ConfigError(
            f"retrain.every = {every!r}, expected a count of days, weeks or months, e.g. '1 month'"
        )
    return int(match[1]), match[2]


def choose_rows(
    logged: tuple[Ids, Ints, Ints],
    loaded: tuple[Ids, Ints, Ints],
    source: str,
    now: Micros,
    *,
    max_rows: int = 0,
) -> tuple[Ints, Ints]:
    """Which logged and which loaded rows train: row numbers (n_logged,), (n_loaded,), each in the order of
    time.

    Either side is (ids, times, times at which the label became known), µs; the largest integer: never
    known. `log`: what was loaded before the first logged row, then the log. `load`: loaded rows only.
    `both`: all; where an id is on both sides the row as it was served counts. `max_rows` keeps the latest.
    Raises DataError for `both` without ids: duplicates could not be told.
    """
    log_ids, log_at, log_known = logged
    load_ids, load_at, load_known = loaded
    use_log, use_load = log_known < now, (load_known < now) & (load_at < now)
    if source == "load":
        use_log = np.zeros(len(log_at), dtype=np.bool_)
    elif source == "log" and len(log_at):
        use_load &= load_at < log_at.min()
    elif source == "both":
        if any(one is None for one in (*log_ids, *load_ids)):
            raise DataError(
                "retrain.source = 'both' needs an id in every row to tell duplicates: set task.id"
            )
        served = set(log_ids)
        use_load &= np.array([one not in served for one in load_ids], dtype=np.bool_)
    picked = [np.flatnonzero(use)[np.argsort(at[use], kind="stable")]
              for use, at in ((use_log, log_at), (use_load, load_at))]  # fmt: skip
    return _latest(picked[0], log_at, picked[1], load_at, max_rows)


def _latest(log: Ints, log_at: Ints, load: Ints, load_at: Ints, most: int) -> tuple[Ints, Ints]:
    surplus = len(log) + len(load) - most
    if not most or surplus <= 0:
        return log, load
    times = np.concatenate([load_at[load], log_at[log]])
    kept = np.ones(len(times), dtype=np.bool_)
    kept[np.argsort(times, kind="stable")[:surplus]] = False
    return log[kept[len(load) :]], load[kept[: len(load)]]


def _last_point(start: Micros, every: str, now: Micros, zone: ZoneInfo) -> Micros:
    """The latest point of the grid that is not after `now`; the start itself is no point that asks for a
    refit.
    """
    step, point = 1, start
    while (after := _point(start, every, step, zone)) <= now:
        step, point = step + 1, after
    return point


def _point(start: Micros, every: str, step: int, zone: ZoneInfo) -> Micros:
    """Local midnight of the start's day, `step` periods later; the 31st becomes the last day of a shorter
    month.
    """
    count, unit = period(every)
    day = moment(start).astimezone(zone).date()
    if unit == "month":
        months = day.year * 12 + day.month - 1 + step * count
        year, month = divmod(months, 12)
        day = day.replace(
            year=year, month=month + 1, day=min(day.day, calendar.monthrange(year, month + 1)[1])
        )
    else:
        day += timedelta(days=step * count * (7 if unit == "week" else 1))
    return micros(datetime(day.year, day.month, day.day, tzinfo=zone))
