"""Two retraining feeds that are broken on purpose, to see whether the loop refuses them.

In: the rows that a retrain is about to learn from, and the time of the retrain.
Out: the rows as a broken feed delivers them. What was served and logged is untouched: only training sees it.
"""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pandas as pd

NEW_YORK = ZoneInfo("America/New_York")
FLIPPED = datetime(2013, 8, 1, tzinfo=NEW_YORK)
CELSIUS = datetime(2013, 10, 1, tzinfo=NEW_YORK)
REPAIRED_AFTER = timedelta(days=6)
FAULTS = {
    "2013-08-01": "a corrupted partition: the labels of three weeks (27 June to 17 July) are flipped",
    "2013-10-01": "a feed that changed its unit: air temperature and dew point in °C where °F was meant",
}


def feed(rows: pd.DataFrame, at: datetime) -> pd.DataFrame:
    """The rows as delivered at `at`: broken for six days from each fault on, whole otherwise."""
    if FLIPPED <= at < FLIPPED + REPAIRED_AFTER:
        return with_flipped_labels(rows)
    if CELSIUS <= at < CELSIUS + REPAIRED_AFTER:
        return in_celsius(rows)
    return rows


def with_flipped_labels(rows: pd.DataFrame) -> pd.DataFrame:
    """A corrupted partition: three weeks, 27 June to 17 July, say late for on time and on time for late."""
    start = FLIPPED - timedelta(days=35)
    partition = rows["scheduled"].between(start, start + timedelta(days=21), inclusive="left")
    return rows.assign(late=rows["late"].where(~partition, 1 - rows["late"]))


def in_celsius(rows: pd.DataFrame) -> pd.DataFrame:
    """A feed that changed its unit: air temperature and dew point in °C where °F was meant."""
    return rows.assign(**{name: ((rows[name] - 32) / 1.8).round(2) for name in ("temp", "dewp")})
