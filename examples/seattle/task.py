"""How warm will it get in Seattle today? Asked at midnight; the answer is known a day later.

In: the daily weather of 2012 to 2015 that comes with the PyPI package `vega_datasets`. Out: one row a day, and a
fitted pipeline. The lag columns are made by incumbent: lag_1 is the day before.
"""

from datetime import datetime
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pandas as pd
from lightgbm import LGBMRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import Pipeline

SEATTLE = "America/Los_Angeles"


def load(since: datetime | None = None, until: datetime | None = None) -> pd.DataFrame:
    """The days in [since, until), in the order of time."""
    rows = days()
    if since is not None:
        rows = rows[rows["day"] >= since]
    if until is not None:
        rows = rows[rows["day"] < until]
    return rows.reset_index(drop=True)


def train(rows: pd.DataFrame) -> Pipeline:
    """A straight line through the last fourteen days."""
    return fit(rows, LinearRegression())


def train_boosted(rows: pd.DataFrame) -> Pipeline:
    """Boosted trees on the same fourteen days."""
    return fit(rows, LGBMRegressor(n_estimators=200, n_jobs=1, random_state=0, verbose=-1))


def fit(rows: pd.DataFrame, model: LinearRegression | LGBMRegressor) -> Pipeline:
    features = rows.drop(columns="temp_max")
    filled = SimpleImputer().set_output(transform="pandas")
    return Pipeline([("filled", filled), ("model", model)]).fit(features, rows["temp_max"])


@cache
def days() -> pd.DataFrame:
    """Highest temperature of each day in °C; known when the day is over."""
    spec = find_spec("vega_datasets")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("The package vega_datasets was expected: pip install vega_datasets")
    weather = pd.read_csv(Path(spec.origin).parent / "_data" / "seattle-weather.csv")
    day = pd.to_datetime(weather["date"], format="%Y/%m/%d")
    start, end = day.dt.tz_localize(SEATTLE), (day + pd.Timedelta(days=1)).dt.tz_localize(SEATTLE)
    return pd.DataFrame({"day": start, "known_at": end, "temp_max": weather["temp_max"]})
