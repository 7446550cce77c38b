"""A file and the name of a column: the task that is found in them."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from incumbent.errors import ConfigError, DataError
from incumbent.project.bare import Asked, Bare, open_rows


def weather(n: int = 400, step: str = "D") -> pd.DataFrame:
    generator = np.random.default_rng(0)
    at = pd.date_range("2020-01-01", periods=n, freq=step)
    level = 10 + 5 * np.sin(2 * np.pi * np.arange(n) / 7)
    return pd.DataFrame({"date": at.strftime("%Y-%m-%d %H:%M"), "rain": generator.normal(size=n),
                         "temp": level + generator.normal(size=n)})  # fmt: skip


def kind(frame: pd.DataFrame, target: str, **more: Any) -> str:
    return open_rows(frame, Asked(target, **more)).rows.config.task.kind


def test_numbers_one_a_moment_are_a_forecast() -> None:
    """The time is found; the rules see the values before and nothing of the day itself."""
    found = open_rows(weather(), Asked("temp"))
    task = found.rows.config.task
    assert (task.kind, task.time, task.metric, task.lags) == ("forecast", "date", "absolute_error", 14)
    best = found.baseline().evidence[0]
    assert best.subject == "mean of 2 seasons (season 7)" and best.numbers["season"] == 7
    assert "rain" not in task.features


def test_other_targets_have_other_kinds() -> None:
    """Two values, a few texts, numbers without a time, numbers of which several have one moment."""
    frame = weather().assign(wet=lambda f: f["rain"] > 0, sky=lambda f: np.where(f["temp"] > 12, "sun", "fog"))
    assert kind(frame, "wet") == kind(frame, "sky") == "binary"
    assert kind(frame.assign(sky=["a", "b", "c", "a"] * 100), "sky") == "multiclass"
    assert kind(frame.drop(columns="date"), "temp") == "regression"
    doubled = pd.concat([frame.assign(shop="a"), frame.assign(shop="b")])
    assert kind(doubled, "temp") == "regression"
    assert kind(doubled, "temp", series="shop") == "forecast"
    assert kind(frame, "temp", kind="regression") == "regression"


def test_several_series_are_forecast_each_from_its_own_past() -> None:
    """lag_1 of a shop is that shop's day before."""
    frame = pd.concat([weather().assign(shop="a"), weather().assign(shop="b", temp=lambda f: f["temp"] + 100)])
    rows = open_rows(frame, Asked("temp", series="shop")).rows
    table = rows.native()
    assert (abs(table["temp"] - table["lag_1"]).dropna() < 20).all()


def test_the_metric_is_known_by_the_names_that_people_use() -> None:
    """mae, rmse, auc; one that does not suit is an error."""
    assert open_rows(weather(), Asked("temp", metric="MAE")).metric.name == "absolute_error"
    assert open_rows(weather(), Asked("temp", metric="rmse")).metric.name == "rmse"
    with pytest.raises(ConfigError, match="roc_auc is for binary"):
        open_rows(weather(), Asked("temp", metric="auc"))


@pytest.mark.parametrize(("step", "lags"), [("h", 48), ("D", 14), ("W", 12), ("MS", 24), ("QS", 8)])
def test_the_lags_follow_the_step(step: str, lags: int) -> None:
    """Two days of hours, two weeks of days, two years of months."""
    assert open_rows(weather(step=step), Asked("temp")).rows.config.task.lags == lags


def test_a_season_and_a_horizon_can_be_said() -> None:
    """Twice the season in lags; the target lies so many steps ahead."""
    task = open_rows(weather(), Asked("temp", season=30, horizon=3)).rows.config.task
    assert (task.season, task.horizon, task.lags) == (30, 3, 60)


@pytest.mark.parametrize(
    ("asked", "words"),
    [(Asked("heat"), "--target heat: no such column; found date, rain, temp"),
     (Asked("temp", time="noon"), "--time noon: no such column"),
     (Asked("temp", time="rain"), "--time rain: row 0 holds"),
     (Asked("date"), "found 400 different texts"), (Asked("temp", kind="guess"), "--kind guess")],
)  # fmt: skip
def test_what_cannot_be_is_said_with_its_option(asked: Asked, words: str) -> None:
    """The option, what was found, what there is."""
    frame = weather().assign(rain="wet")
    with pytest.raises(DataError, match=words):
        open_rows(frame, asked)


def test_rows_without_the_truth_are_left_out() -> None:
    """A forecast of the days that are known; none at all is an error."""
    frame = weather()
    frame.loc[390:, "temp"] = np.nan
    found: Bare = open_rows(frame, Asked("temp"))
    assert len(found.rows) == 390
    with pytest.raises(DataError, match="no row has a value"):
        open_rows(frame.assign(temp=np.nan), Asked("temp"))
