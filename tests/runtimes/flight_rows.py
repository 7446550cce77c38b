"""Rows, pipelines and a store of blobs in memory that the tests of this folder share."""

import hashlib
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

from incumbent.config import Task

BINARY = Task("late", "binary", "late", "brier")
MULTICLASS = Task("fare", "multiclass", "fare", "log_loss")
NUMBER = Task("delay", "regression", "delay", "squared_error")
FEATURES = ("carrier", "hour", "temp", "precip")


class Memory:
    """Blobs in a dict; `damage` changes bytes behind its back."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}

    def put(self, content: bytes) -> str:
        digest = hashlib.sha256(content).hexdigest()
        self.kept[digest] = content
        return digest

    def get(self, digest: str) -> bytes:
        return self.kept[digest]

    def has(self, digest: str) -> bool:
        return digest in self.kept


def flights(n: int = 2_500, seed: int = 0) -> pd.DataFrame:
    """Rows like those of flights: categories, whole hours, decimals with nulls, and three targets."""
    draw = np.random.default_rng(seed)
    rows = pd.DataFrame(
        {
            "carrier": draw.choice(["AA", "DL", "UA"], n),
            "hour": draw.integers(5, 24, n),
            "temp": np.round(draw.normal(10, 8, n), 1),
            "precip": np.round(draw.exponential(0.1, n), 2),
        }
    )
    delay = 3 * rows["hour"] + 60 * rows["precip"] + 8 * (rows["carrier"] == "UA") + draw.normal(0, 15, n)
    rows.loc[draw.random(n) < 0.05, "temp"] = np.nan
    rows["late"] = (delay > 55).astype(int)
    rows["fare"] = np.select([delay < 40, delay < 60], ["low", "mid"], "top")
    rows["delay"] = delay
    return rows


def task_of(task: Task, **changes: Any) -> Task:
    """The task with the shared features and some settings changed."""
    settings = {name: getattr(task, name) for name in ("name", "kind", "target", "metric")}
    return Task(**{**settings, "features": FEATURES, **changes})


def trees(model: Any) -> Pipeline:
    """Ordinal codes and numbers as they are, then the model: takes nulls."""
    codes = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-1)
    columns = ColumnTransformer([("words", codes, ["carrier"]), ("numbers", "passthrough", ["hour", "temp", "precip"])])
    return Pipeline([("columns", columns), ("model", model)])


def linear(model: Any) -> Pipeline:
    """One column a category and scaled numbers without nulls, then the model."""
    words = ("words", OneHotEncoder(handle_unknown="ignore"), ["carrier"])
    columns = ColumnTransformer([words, ("numbers", StandardScaler(), ["hour", "precip"])])
    return Pipeline([("columns", columns), ("model", model)])
