"""How much is traded on the New York Stock Exchange today? Asked before it opens; known when it has closed.

In: `nyse.csv`, 6,051 days from 3 December 1962 to 31 December 1986 (README.md says where it comes from). Out: one row a
day with the returns and volatilities of the five days before, and a fitted pipeline. The lags of the volume itself are
made by incumbent: lag_1 is the day before.
"""

from datetime import datetime
from functools import cache
from pathlib import Path

import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder

NEW_YORK = "America/New_York"
LAGS = range(1, 6)
WEEKDAY = ["day_of_week"]


def load(since: datetime | None = None, until: datetime | None = None) -> pd.DataFrame:
    """The days in [since, until), in the order of time."""
    rows = days()
    if since is not None:
        rows = rows[rows["day"] >= since]
    if until is not None:
        rows = rows[rows["day"] < until]
    return rows.reset_index(drop=True)


def train(rows: pd.DataFrame) -> Pipeline:
    """A straight line through fifteen lags and the day of the week."""
    return fit(rows, WEEKDAY)


def train_without_weekday(rows: pd.DataFrame) -> Pipeline:
    """A straight line through the fifteen lags alone: the book's AR(5) model."""
    return fit(rows, [])


def fit(rows: pd.DataFrame, weekday: list[str]) -> Pipeline:
    known = rows.dropna()  # the first five days have no five days before them
    features = known.drop(columns="log_volume")
    numbers = [name for name in features if name not in WEEKDAY]
    columns = ColumnTransformer([("numbers", SimpleImputer(), numbers), ("weekday", OneHotEncoder(), weekday)])
    return Pipeline([("columns", columns), ("line", LinearRegression())]).fit(features, known["log_volume"])


@cache
def days() -> pd.DataFrame:
    """The log of each day's volume over that of the hundred days before, and what was known of it in advance."""
    read = pd.read_csv(Path(__file__).with_name("nyse.csv"))
    day = pd.to_datetime(read["date"])
    rows = pd.DataFrame({
        "day": day.dt.tz_localize(NEW_YORK),
        "known_at": (day + pd.Timedelta(days=1)).dt.tz_localize(NEW_YORK),
        "day_of_week": read["day_of_week"],
        "log_volume": read["log_volume"],
    })
    lagged = {f"{name}_{k}": read[name].shift(k) for name in ("DJ_return", "log_volatility") for k in LAGS}
    return rows.assign(**lagged)
