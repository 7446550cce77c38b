"""A version as plain files answers as it did, in Python without a project, and through MLflow's way in."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from flight_rows import BINARY, NUMBER, Memory, flights, linear, task_of
from lightgbm import LGBMRegressor
from sklearn.linear_model import LogisticRegression

from incumbent.config import Task, Versions
from incumbent.errors import ArtefactRefused, RowError
from incumbent.runtimes import artefact, exported, frames, schema
from incumbent.runtimes.folder import write_files

ABOUT = {"name": "v7", "task": "late", "description": "seven", "recipe": "train@0", "trained_until": 5, "n_rows": 9}


def written(folder: Path, model: Any, task: Task) -> tuple[dict[str, bytes], Any]:
    """The files of a fitted model's version, in a folder too, and its columns."""
    rows, blobs = flights(600), Memory()
    model.fit(rows, rows[task.target])
    signature = frames.infer_signature(rows, task_of(task))
    columns = frames.columns(rows, signature)
    saved = artefact.save(
        blobs, model, runtime="sklearn", signature=signature, sample=columns, versions=Versions(),
        schema=schema.of(rows).to_json(),
    )  # fmt: skip
    files = exported.files_of(blobs, saved.manifest, ABOUT)
    write_files(folder, files)
    return files, columns


def test_a_folder_answers_without_a_project(tmp_path: Path) -> None:
    """Proved on its golden rows; twin and native part both lie in it; the page beside them says how to load it."""
    model = linear(LogisticRegression())
    files, columns = written(tmp_path / "v7", model, BINARY)
    found = exported.open_folder(tmp_path / "v7")
    assert found.runtime == "linear"
    assert np.allclose(found.predict(columns), model.predict_proba(flights(600)), atol=1e-6)
    assert {"parts/native.skops", "parts/twin.linear.json"} <= set(files) and "profile.json" not in files
    readme = files["README.md"].decode()
    assert "# v7: a version of the task late" in readme and "carrier (string), hour (integer)" in readme
    for line in files["SHA256SUMS"].decode().splitlines():
        digest, name = line.split("  ")
        assert hashlib.sha256(files[name]).hexdigest() == digest


def test_the_same_version_has_the_same_files(tmp_path: Path) -> None:
    """To the last byte."""
    first, _ = written(tmp_path / "a", linear(LogisticRegression()), BINARY)
    second, _ = written(tmp_path / "b", linear(LogisticRegression()), BINARY)
    assert first == second


def test_mlflow_gets_probabilities_by_class_or_numbers(tmp_path: Path) -> None:
    """And rows are held against our own signature."""
    rows = flights(600)
    written(tmp_path / "classes", linear(LogisticRegression()), BINARY)
    found = exported._load_pyfunc(str(tmp_path / "classes"))
    answer = found.predict(rows[["carrier", "hour", "temp", "precip"]][:5])
    assert isinstance(answer, pd.DataFrame) and list(answer.columns) == ["0", "1"] and len(answer) == 5
    assert np.allclose(answer.sum(axis=1), 1)
    with pytest.raises(RowError, match="column 'hour': found 'five'"):
        found.predict(rows[:1].astype(object).assign(hour="five"))
    written(tmp_path / "numbers", linear(LGBMRegressor(n_estimators=3, verbose=-1, n_jobs=1)), NUMBER)
    assert exported._load_pyfunc(str(tmp_path / "numbers")).predict(rows[:5]).shape == (5,)


def test_a_version_that_answers_otherwise_is_not_opened(tmp_path: Path) -> None:
    """The sums fit, the manifest does not: another model's part under it."""
    files, _ = written(tmp_path / "v7", linear(LogisticRegression()), BINARY)
    other, _ = written(tmp_path / "v8", linear(LogisticRegression(C=1e-4)), BINARY)
    mixed = {name: other[name] if name.startswith("parts/") else content for name, content in files.items()}
    mixed["SHA256SUMS"] = "".join(
        f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in mixed.items() if name != "SHA256SUMS"
    ).encode()
    with pytest.raises(ArtefactRefused, match=r"parts/native.skops is not what manifest.json names"):
        exported.verified(mixed)


@pytest.mark.parametrize("gone", ["SHA256SUMS", "manifest.json"])
def test_a_folder_without_its_lists_is_no_version(tmp_path: Path, gone: str) -> None:
    files, _ = written(tmp_path / "v7", linear(LogisticRegression()), BINARY)
    with pytest.raises(ArtefactRefused, match=r"this is no exported version: expected manifest.json and SHA256SUMS"):
        exported.verified({name: content for name, content in files.items() if name != gone})
