"""A file of rows, the name of a column, and no project: what would have to be beaten?

In: a DataFrame and what the caller knows of the task. Out: the rows as a task's, what was assumed in sentences, and the
step's evidence. Keeps nothing: there is no store and no ledger.
"""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from incumbent import config
from incumbent.errors import DataError
from incumbent.project.baseline import judged
from incumbent.project.rows import Rows, read
from incumbent.project.trying import with_time
from incumbent.records import Kind
from incumbent.runtimes import frames
from incumbent.stats import metrics
from incumbent.stats.metrics import Metric
from incumbent.steps import StepResult

_METRIC: dict[Kind, str] = {
    "binary": "brier", "multiclass": "log_loss", "regression": "squared_error", "forecast": "absolute_error",
}  # fmt: skip
_LAGS = ((2.0, 48), (48.0, 14), (24.0 * 8, 12), (24.0 * 40, 24), (24.0 * 100, 8))
"""Up to so many hours a step, so many lags: two days of hours, two weeks of days, two years of months."""
MOST_CLASSES = 20


@dataclass(frozen=True, slots=True)
class Asked:
    """What is known of the task; empty: found in the rows."""

    target: str
    time: str = ""
    metric: str = ""
    kind: str = ""
    series: str = ""
    season: int = 0
    horizon: int = 1


@dataclass(frozen=True, slots=True)
class Bare:
    """The task that was found: its rows, its metric, and sentences that say what was assumed."""

    rows: Rows
    metric: Metric
    sentences: tuple[str, ...]

    def baseline(self) -> StepResult:
        """Every naive rule that suits, on the held-out rows; registers nothing."""
        known = self.rows.labelled()
        signature = frames.infer_signature(known.native(), known.config.task)
        return judged(known, signature, self.metric)[0]


def open_rows(native: pd.DataFrame, asked: Asked) -> Bare:
    """The task of these rows. Raises DataError for a column that is not there, ConfigError for an unknown metric."""
    for option, name in (("--target", asked.target), ("--time", asked.time), ("--series", asked.series)):
        if name and name not in native:
            raise DataError(f"{option} {name}: no such column; found {', '.join(map(str, native.columns))}")
    native = native[native[asked.target].notna()].reset_index(drop=True)
    if not len(native):
        raise DataError(f"--target {asked.target}: no row has a value there")
    time, native = _timed(native, asked)
    kind = _kind(native, asked, time)
    metric = metrics.get(metrics.plain_name(asked.metric) if asked.metric else _METRIC[kind], kind)
    task: dict[str, Any] = {"name": "bare", "kind": kind, "target": asked.target, "metric": metric.name, "time": time,
            "timezone": "UTC" if time else "", "series": asked.series if kind == "forecast" else ""}  # fmt: skip
    said = [f"kind: {kind}", f"metric: {metric.name}",
            f"time: {time} (the latest rows are held out)" if time else "time: none (rows are held out at random)"]
    if kind == "forecast":
        lags = _lags(native, time, asked)
        task |= {"lags": lags, "season": asked.season, "horizon": asked.horizon, "features": _numbered(lags)}
        steps = f"{asked.horizon} step{'s' if asked.horizon > 1 else ''}"
        of = f" of the same {asked.series}" if asked.series else ""
        said.append(f"each value is forecast {steps} ahead, from the {lags} values before it; a step is a row{of}")
        native = frames.lag_frame(native, config.parse(_toml(task | {"features": []})).task)
    return Bare(read(native, config.parse(_toml(task))), metric, tuple(said))


def _toml(task: dict[str, Any]) -> str:
    return "[task]\n" + "".join(f"{k} = {json.dumps(v, ensure_ascii=False)}\n" for k, v in task.items() if v)


def _numbered(lags: int) -> list[str]:
    return [f"lag_{k}" for k in range(1, lags + 1)]


def _timed(native: pd.DataFrame, asked: Asked) -> tuple[str, pd.DataFrame]:
    """The column that says when, as timestamps: the one named, or one whose texts are times."""
    if not asked.time:
        return with_time(native, asked.target, {asked.series} if asked.series else set())
    values = native[asked.time]
    if pd.api.types.is_datetime64_any_dtype(values):
        return asked.time, native
    text = values.astype(str) if pd.api.types.is_integer_dtype(values) else values
    parsed = pd.to_datetime(text, errors="coerce", utc=True, format="mixed")
    if parsed.isna().any():
        row = int(np.argmax(parsed.isna().to_numpy()))
        raise DataError(f"--time {asked.time}: row {row} holds {values.iloc[row]!r}, expected a time, e.g. 2013-06-01")
    return asked.time, native.assign(**{asked.time: parsed})


def _kind(native: pd.DataFrame, asked: Asked, time: str) -> Kind:
    """Numbers, one a moment (and series): a forecast; other numbers: regression; else classes."""
    if asked.kind:
        return _known_kind(asked.kind)
    target = native[asked.target]
    distinct = target.nunique()
    if distinct == 2:
        return "binary"
    if not pd.api.types.is_numeric_dtype(target) or pd.api.types.is_bool_dtype(target):
        if distinct > MOST_CLASSES:
            raise DataError(f"--target {asked.target}: found {distinct:,} different texts, expected numbers, or "
                            f"{MOST_CLASSES} classes at most")  # fmt: skip
        return "multiclass"
    moments = [name for name in (time, asked.series) if name]
    return "forecast" if time and not native.duplicated(moments).any() else "regression"


def _known_kind(word: str) -> Kind:
    kinds: dict[str, Kind] = {kind: kind for kind in _METRIC}
    if word not in kinds:
        raise DataError(f"--kind {word}: expected one of {', '.join(kinds)}")
    return kinds[word]


def _lags(native: pd.DataFrame, time: str, asked: Asked) -> int:
    """Two seasons where one is given, else by the usual step; at most a quarter of the rows of a series."""
    size = len(native) if not asked.series else int(native[asked.series].value_counts().median())
    wanted = 2 * asked.season
    if not wanted and time:
        at = pd.DatetimeIndex(native[time].drop_duplicates().sort_values())
        hours = float(np.median(np.diff(at.as_unit("s").asi8))) / 3600 if len(at) > 1 else 24.0
        wanted = next((lags for most, lags in _LAGS if hours <= most), 8)
    return max(min(wanted or 14, size // 4), 2)
