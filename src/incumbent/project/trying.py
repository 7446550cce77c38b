"""Somebody has a pickle and a CSV, and no project: infer one.

In: a model file, a data file, the target's name. Out: the text of an incumbent.toml and what was inferred, said in
sentences. The rows may have been trained on: that is one of the sentences.
"""

import hashlib
import json
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from incumbent.errors import ArtefactRefused, DataError
from incumbent.records import Kind

_METRIC: dict[Kind, str] = {"binary": "brier", "multiclass": "log_loss", "regression": "squared_error"}
_TIME_WORDS = ("time", "date", "timestamp", "created", "at", "day", "when")


@dataclass(frozen=True, slots=True)
class Inferred:
    """What was found: the task as TOML, sentences that say what was assumed, and the rows ready for `read`."""

    toml: str
    sentences: tuple[str, ...]
    rows: pd.DataFrame


def open_model(path: Path, trust: bool) -> tuple[Any, str]:
    """Unpickle a model, and the sha256 of its file. A pickle can run any code: without `trust` it is refused."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); expected a pickled model") from None
    digest = hashlib.sha256(content).hexdigest()
    if not trust:
        raise ArtefactRefused(
            f"{path} is a pickle (sha256 {digest[:12]}…), which can run any code when it is loaded. "
            "If you trust where it comes from, say --trust."
        )
    try:
        return pickle.loads(content), digest
    except Exception as error:  # whatever a pickle raises, the file is not a usable model
        raise ArtefactRefused(f"{path}: not a pickle that loads here: {type(error).__name__}: {error}") from error


def open_data(path: Path) -> pd.DataFrame:
    """Rows from a .csv (also compressed), .parquet or .json file."""
    readers = {".parquet": pd.read_parquet, ".json": pd.read_json}
    try:
        return readers.get(path.suffix, pd.read_csv)(path)
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read as rows: {error}") from error


def infer(model: Any, rows: pd.DataFrame, target: str, *, name: str, digest: str) -> Inferred:
    """The task that this model and these rows belong to."""
    if target not in rows:
        raise DataError(f"--target {target}: no such column; found {', '.join(map(str, rows.columns))}")
    kind = kind_of(model, rows[target])
    said = [f"kind: {kind} ({_why_kind(model, rows[target], kind)})", f"metric: {_METRIC[kind]}"]
    features = [str(f) for f in getattr(model, "feature_names_in_", [])]
    missing = [f for f in features if f not in rows]
    if missing:
        raise DataError(f"the model was fitted on columns that the data lacks: {', '.join(missing)}")
    time, rows = with_time(rows, target, set(features))
    said.append(f"time: {time} (rows are split by it)" if time else "time: none found (rows are split at random)")
    features = features or [str(c) for c in rows.columns if c not in (target, time)]
    said.append(f"features: {len(features)} columns: {', '.join(features[:8])}{' …' if len(features) > 8 else ''}")
    said.append("these rows may have been trained on: then every figure below flatters the model")
    said.append(f"the pickle's sha256 is {digest}; the ledger names it, and what serves is our own copy")
    said.append("retraining is off: there is no train() (write one, and name its file in task.code)")
    task = {
        "name": name,
        "kind": kind,
        "target": target,
        "metric": _METRIC[kind],
        "time": time,
        "timezone": "UTC" if time else "",
        "features": features,
    }
    lines = [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in task.items() if value]
    toml = "[task]\n" + "\n".join(lines) + "\n\n[versions]\npickle = true\n"
    return Inferred(toml, tuple(said), rows)


def kind_of(model: Any, target: "pd.Series[Any]") -> Kind:
    """binary, multiclass or regression: from the model's classes where it has them, else from the target."""
    classes = getattr(model, "classes_", None)
    if classes is not None and hasattr(model, "predict_proba"):
        return "binary" if len(classes) == 2 else "multiclass"
    if classes is not None:
        raise DataError("the model classifies but has no predict_proba; expected one that gives probabilities")
    if not pd.api.types.is_numeric_dtype(target):
        raise DataError(f"the model predicts numbers, but the target {target.name!r} holds {target.dtype}")
    return "regression"


def _why_kind(model: Any, target: "pd.Series[Any]", kind: Kind) -> str:
    if kind == "regression":
        return f"the model has no classes; {target.name} holds {target.dtype}"
    return f"the model knows {len(model.classes_)} classes"


def with_time(rows: pd.DataFrame, target: str, features: set[str]) -> tuple[str, pd.DataFrame]:
    """The column that says when, as timestamps: one that the model does not use, whose texts are times."""
    candidates = [c for c in rows.columns if c != target and c not in features]
    candidates.sort(key=lambda c: not any(word in str(c).lower() for word in _TIME_WORDS))
    for column in candidates:
        values = rows[column]
        if pd.api.types.is_datetime64_any_dtype(values):
            return str(column), rows
        if pd.api.types.is_numeric_dtype(values):
            continue
        parsed = pd.to_datetime(values, errors="coerce", utc=True, format="mixed")
        if len(parsed) and parsed.notna().all():
            return str(column), rows.assign(**{str(column): parsed})
    return "", rows
