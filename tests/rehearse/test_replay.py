"""A past is sent in order of time, and nothing is told before it was known."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from parcels import day, write

from incumbent.project import open_project
from incumbent.project.rows import NEVER
from incumbent.records import DAY, Micros, micros, moment
from incumbent.rehearse.client import Server
from incumbent.rehearse.replay import HOUR, Wire, next_midnight, replay, wire


class Told:
    """A server that writes down what it hears, with the latest time that anybody mentioned."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, list[str], Micros]] = []

    def predict(self, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        self.heard.append(("ask", [row["id"] for row in rows], max(row["at"] for row in rows)))
        return [{"served_by": "v1"} for _ in rows]

    def outcomes(self, outcomes: Sequence[Mapping[str, Any]]) -> dict[str, int]:
        self.heard.append(("tell", [one["id"] for one in outcomes], max(one["known_at"] for one in outcomes)))
        return {"accepted": len(outcomes)}


@pytest.fixture
def data(tmp_path: Path) -> Wire:
    with open_project(write(tmp_path, days=20)) as project:
        rows = project.rows()
        return wire(rows, ["weight"], [{"weight": 1.0}] * len(rows))


@pytest.mark.parametrize("batch", [HOUR, DAY])
def test_nothing_is_told_before_its_time(data: Wire, batch: Micros) -> None:
    """A row is asked once, its outcome follows; at each midnight what was known by then is there, and no more."""
    server, midnights = Told(), []

    def midnight(at: Micros) -> None:
        midnights.append(at)
        server.heard.append(("midnight", [], at))

    traffic = replay(data, cast(Server, server), day(5), day(15), ZoneInfo("UTC"), batch=batch, midnight=midnight)
    asked = [name for what, names, _ in server.heard if what == "ask" for name in names]
    live = (data.at >= day(5)) & (data.at < day(15))
    assert asked == [row["id"] for row, inside in zip(data.requests, live, strict=True) if inside]
    assert traffic.rows == traffic.answered == len(asked)
    assert midnights == [day(number) for number in range(6, 15)]
    known = dict(zip([row["id"] for row in data.requests], data.known_at.tolist(), strict=True))
    seen: set[str] = set()
    told: set[str] = set()
    for what, names, latest in server.heard:
        if what == "ask":
            seen |= set(names)
        elif what == "tell":
            assert seen >= set(names)
            told |= set(names)
        else:
            assert all(known[name] < latest for name in told)
            assert told == {name for name in seen if known[name] < latest}
    assert told == {name for name in asked if known[name] < NEVER}


def test_outcomes_of_rows_that_were_not_asked_are_not_told(data: Wire) -> None:
    """The onset's labels belong to training, not to the log."""
    server = Told()
    replay(data, cast(Server, server), day(10), day(12), ZoneInfo("UTC"), midnight=lambda at: None)
    told = {name for what, names, _ in server.heard if what == "tell" for name in names}
    asked = {name for what, names, _ in server.heard if what == "ask" for name in names}
    assert told <= asked


def test_a_day_is_a_day_of_the_zone() -> None:
    """The day on which clocks go forward has 23 hours."""
    zone = ZoneInfo("America/New_York")
    start = micros(moment(day(69)).replace(tzinfo=zone))  # 10 March 2024
    assert next_midnight(start, zone) - start == 23 * HOUR
    assert next_midnight(next_midnight(start, zone), zone) - next_midnight(start, zone) == 24 * HOUR


def test_rows_without_an_id_are_named_by_their_place(tmp_path: Path) -> None:
    folder = write(tmp_path, days=2)
    text = (folder / "incumbent.toml").read_text()
    (folder / "incumbent.toml").write_text(text.replace('id = "id"\n', ""))
    with open_project(folder) as project:
        rows = project.rows()
        sent = wire(rows, ["weight"], [{"weight": 1.0}] * len(rows))
    assert [row["id"] for row in sent.requests[:2]] == ["row-0", "row-1"]
    assert len({row["id"] for row in sent.requests}) == len(rows) == len(np.unique(rows.at))
