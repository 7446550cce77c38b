"""Send a stretch of the past through the real server, in order of time.

In: labelled rows, a running server, and what to do each midnight. Out: what was sent, answered and learnt.
Nothing is told before its time: a row is asked at its own time, its outcome is posted when it became known, and a
midnight's tick sees only what was posted before it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from incumbent.project.rows import NEVER, Rows
from incumbent.records import DAY, Json, Micros, micros, moment
from incumbent.rehearse.client import Server

HOUR: Micros = DAY // 24
_OUTCOMES_A_REQUEST = 5_000
_ROWS_A_REQUEST = 2_000


@dataclass(slots=True)
class Traffic:
    """Counts of one replay. `accepted` outcomes found their prediction; an unlabelled row never gets one."""

    requests: int = 0
    rows: int = 0
    answered: int = 0
    without_version: int = 0
    outcomes: int = 0
    accepted: int = 0


@dataclass(frozen=True, slots=True)
class Wire:
    """Rows as they go over the wire: one mapping each for the request and for the outcome."""

    at: np.ndarray[Any, np.dtype[np.int64]]
    known_at: np.ndarray[Any, np.dtype[np.int64]]
    requests: list[dict[str, Json]]
    labels: list[Json]


def wire(rows: Rows, names: list[str], features: list[dict[str, Json]]) -> Wire:
    """Name each row by `task.id` (or its place in the data) and by its unit, if the task has one."""
    task = rows.config.task
    ids = rows.texts(task.id) if task.id else [f"row-{i}" for i in range(len(rows))]
    units = rows.texts(task.unit) if task.unit else [None] * len(rows)
    requests: list[dict[str, Json]] = []
    for name, unit, at, row in zip(ids, units, rows.at.tolist(), features, strict=True):
        request: dict[str, Json] = {"id": name, "at": at, "features": {key: row[key] for key in names}}
        if unit is not None:
            request["unit"] = unit
        requests.append(request)
    return Wire(rows.at, rows.known_at, requests, list(rows.labels()))


def replay(
    data: Wire,
    server: Server,
    since: Micros,
    until: Micros,
    zone: Any,
    *,
    batch: Micros = HOUR,
    midnight: Callable[[Micros], None],
    progress: Callable[[Micros, Traffic], None] = lambda at, traffic: None,
) -> Traffic:
    """Replay rows with since <= at < until. `midnight` is called with each local midnight between the two."""
    traffic = Traffic()
    by_known = np.argsort(data.known_at, kind="stable")
    known = data.known_at[by_known]
    told = int(np.searchsorted(known, since))
    asked = int(np.searchsorted(data.at, since))
    for start, end, new_day in _stretches(since, until, zone, batch):
        stop = int(np.searchsorted(known, start))
        _tell(data, by_known[told:stop], server, traffic, (since, until))
        told = stop
        if new_day:
            midnight(start)
            progress(start, traffic)
        stop = int(np.searchsorted(data.at, min(end, until)))
        _ask(data, asked, stop, server, traffic)
        asked = stop
    last = int(np.searchsorted(known, until))
    _tell(data, by_known[told:last], server, traffic, (since, until))
    progress(until, traffic)
    rest = int(np.searchsorted(known, NEVER))
    _tell(data, by_known[last:rest], server, traffic, (since, until))
    return traffic


def _ask(data: Wire, start: int, stop: int, server: Server, traffic: Traffic) -> None:
    for low in range(start, stop, _ROWS_A_REQUEST):
        rows = data.requests[low : min(stop, low + _ROWS_A_REQUEST)]
        answers = server.predict(rows)
        traffic.requests += 1
        traffic.rows += len(rows)
        traffic.answered += len(answers)
        traffic.without_version += sum(1 for answer in answers if not answer["served_by"])


def _tell(data: Wire, places: Any, server: Server, traffic: Traffic, asked: tuple[Micros, Micros]) -> None:
    """Post the outcomes of rows that were asked in this replay."""
    outcomes = [
        {"id": data.requests[i]["id"], "value": data.labels[i], "known_at": int(data.known_at[i])}
        for i in places.tolist()
        if asked[0] <= data.at[i] < asked[1]
    ]
    for low in range(0, len(outcomes), _OUTCOMES_A_REQUEST):
        part = outcomes[low : low + _OUTCOMES_A_REQUEST]
        counts = server.outcomes(part)
        traffic.outcomes += len(part)
        traffic.accepted += counts["accepted"]


def _stretches(since: Micros, until: Micros, zone: Any, batch: Micros) -> Iterator[tuple[Micros, Micros, bool]]:
    """(start, end, does a local day begin at start) of stretches no longer than `batch`, cut at local midnights."""
    start = since
    while start < until:
        day = next_midnight(start, zone)
        midnight = start
        while start < min(day, until):
            end = min(start + batch, day, until)
            yield start, end, start == midnight and start > since
            start = end


def next_midnight(at: Micros, zone: Any) -> Micros:
    """The first local midnight after `at` (a day of 23 or 25 hours when the clocks change)."""
    local = moment(at).astimezone(zone).date() + timedelta(days=1)
    return micros(datetime(local.year, local.month, local.day, tzinfo=zone))
