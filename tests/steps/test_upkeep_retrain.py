"""Step 5: when a refit is due, and on which rows."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import pytest

from incumbent.config import Retrain
from incumbent.errors import ConfigError, DataError
from incumbent.records import DAY, Event, Json, Micros, micros, moment
from incumbent.steps.upkeep.retrain import History, choose_rows, due, history, next_due, period

NEW_YORK = ZoneInfo("America/New_York")
NEVER = np.iinfo(np.int64).max
MONTHLY = Retrain(every="1 month")


def local(month: int, day: int, hour: int = 0, year: int = 2013) -> Micros:
    return micros(datetime(year, month, day, hour, tzinfo=NEW_YORK))


def causes(past: History, now: Micros, settings: Retrain = MONTHLY, **more: int) -> list[str]:
    return [one.cause for one in due(past, settings, now, NEW_YORK, **more)]


def test_a_monthly_cadence_asks_on_the_same_local_day() -> None:
    """Started on 1 April at 9, a refit is due from local midnight of 1 May on, and not a minute before."""
    past = History(started_at=local(4, 1, 9))
    assert causes(past, local(5, 1) - 1) == []
    assert causes(past, local(5, 1)) == ["cadence"]
    assert "since 2013-05-01" in due(past, MONTHLY, local(5, 3), NEW_YORK)[0].sentence
    assert next_due(past, MONTHLY, local(4, 20), NEW_YORK) == local(5, 1)


def test_a_late_refit_does_not_move_the_grid() -> None:
    """Refitted on 9 May, the next is due on 1 June; after two months away it is due once."""
    past = History(started_at=local(4, 1), refitted_at=local(5, 9))
    assert causes(past, local(5, 31)) == []
    assert causes(past, local(8, 2)) == ["cadence"]
    assert causes(History(local(4, 1), refitted_at=local(8, 2)), local(8, 3)) == []


def test_the_31st_becomes_the_last_day_of_a_shorter_month() -> None:
    """31 January → 28 February → 31 March."""
    past = History(started_at=local(1, 31))
    asked = [next_due(past, MONTHLY, local(*now), NEW_YORK) or 0 for now in ((2, 1), (3, 1))]
    days = [moment(point).astimezone(NEW_YORK).date().isoformat() for point in asked]
    assert days == ["2013-02-28", "2013-03-31"]


def test_days_and_weeks_keep_local_midnight_over_summer_time() -> None:
    """Seven days from 7 March end at midnight of the 14th, an hour less on the clock of UTC."""
    weekly = Retrain(every="1 week")
    assert next_due(History(started_at=local(3, 7)), weekly, local(3, 8), NEW_YORK) == local(3, 14)
    assert local(3, 14) - local(3, 7) == 7 * DAY - DAY // 24


def test_a_refusal_waits_for_the_retry() -> None:
    """Refused on 1 May, it is tried again on the 8th and not before."""
    past = History(started_at=local(4, 1), refused_at=local(5, 1))
    assert causes(past, local(5, 7)) == [] and causes(past, local(5, 8)) == ["cadence"]


def test_an_alarm_asks_once_until_the_next_refit() -> None:
    """Harm asks for a refit without any cadence; the refit answers it."""
    never = Retrain()
    past = History(started_at=local(4, 1), alarm_at=local(4, 9), alarm="harm")
    assert causes(past, local(4, 10), never) == ["harm"]
    assert causes(History(local(4, 1), local(4, 10), None, local(4, 9), "harm"), local(4, 11), never) == []


def test_nothing_is_due_before_a_start_or_without_new_labels() -> None:
    """No model promoted, or only 10 new labels: no refit."""
    assert causes(History(), local(9, 1)) == []
    assert causes(History(started_at=local(4, 1)), local(5, 1), new_labels=10) == []
    assert causes(History(started_at=local(4, 1)), local(5, 1), new_labels=1_000) == ["cadence"]


@pytest.mark.parametrize("wrong", ["monthly", "0 days", "1 hour", "-1 day"])
def test_an_unreadable_cadence_is_an_error(wrong: str) -> None:
    """The message says what a cadence looks like."""
    with pytest.raises(ConfigError, match="1 month"):
        period(wrong)


def event(sequence: int, type: str, at: Micros, **data: Json) -> Event:
    return Event(sequence, type, at, at, "test", "", data, {}, "", "")


def test_history_reads_the_ledger() -> None:
    """The start is the first promotion of a model, not of a rule; a student is no refit, a child is."""
    events = [
        event(1, "VersionRegistered", 1, version={"name": "v1", "runtime": "rule", "parent": None}),
        event(2, "Promoted", 1, version="v1"),
        event(3, "VersionRegistered", 2, version={"name": "v2", "runtime": "sklearn", "parent": None}),
        event(4, "VersionRegistered", 3, version={"name": "v3", "runtime": "sklearn", "parent": "v2",
                                                  "recipe": "distil"}),
        event(5, "Promoted", 4, version="v3"),
        event(6, "RetrainRefused", 5, cause="cadence"),
        event(7, "AlarmRaised", 6, alarm="harm"),
    ]  # fmt: skip
    assert history(events) == History(4, None, 5, 6, "harm")
    child = event(8, "VersionRegistered", 7, version={"name": "v4", "runtime": "sklearn", "parent": "v3"})
    assert history([*events, child]).refitted_at == 7


Side = tuple[list[str | None], npt.NDArray[np.int64], npt.NDArray[np.int64]]


def side(ids: list[str | None], at: list[int], known: list[int]) -> Side:
    return ids, np.array(at, dtype=np.int64), np.array(known, dtype=np.int64)


LOADED = side(["a", "b", "c", "d"], [1, 2, 3, 4], [2, 3, 4, 5])
LOGGED = side(["c", "d", "e"], [3, 4, 5], [4, 9, NEVER])


def chosen(source: str, now: int, most: int = 0) -> tuple[list[int], list[int]]:
    log, load = choose_rows(LOGGED, LOADED, source, now, max_rows=most)
    return log.tolist(), load.tolist()


def test_the_log_takes_over_from_its_first_row() -> None:
    """`log`: what was loaded before the first logged row, then what was served and is labelled by now."""
    assert chosen("log", 8) == ([0], [0, 1])
    assert chosen("log", 10) == ([0, 1], [0, 1])


def test_loaded_rows_alone_know_only_what_was_known() -> None:
    """`load`: no logged row, and no label from the future."""
    assert chosen("load", 4) == ([], [0, 1])
    assert chosen("load", 99) == ([], [0, 1, 2, 3])


def test_both_sides_count_a_row_once_as_it_was_served() -> None:
    """`both`: c and d come from the log, never from the feed as well; without ids that cannot be told."""
    assert chosen("both", 10) == ([0, 1], [0, 1])
    with pytest.raises(DataError, match=r"task\.id"):
        choose_rows(side([None], [1], [2]), LOADED, "both", 9)


def test_the_latest_rows_are_kept() -> None:
    """At most two rows: the latest of both sides together."""
    assert chosen("log", 10, most=2) == ([0, 1], [])
    assert chosen("log", 10, most=3) == ([0, 1], [1])


def test_times_are_plain_utc() -> None:
    """The grid's points are UTC microseconds."""
    assert moment(local(5, 1)) == datetime(2013, 5, 1, 4, tzinfo=UTC)
