"""A CatBoost model answers columns as it answers its own rows, and its file holds no code."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from flight_rows import BINARY, MULTICLASS, NUMBER, Memory, flights, task_of

from incumbent.config import Task, Versions
from incumbent.engines.opening import runs_inline
from incumbent.errors import ArtefactRefused
from incumbent.records import Column, Signature, Version
from incumbent.runtimes import artefact, frames, kinds, schema
from incumbent.runtimes.base import Opening

catboost = pytest.importorskip("catboost", reason="catboost is an extra of 270 MB, which `make extras` installs")

NUMBERS = ("hour", "temp", "precip")
SETTINGS: dict[str, Any] = {"iterations": 8, "depth": 3, "verbose": False, "allow_writing_files": False}


def opening(signature: Signature, rows: pd.DataFrame | None = None) -> Opening:
    return Opening(signature, Versions(), None if rows is None else schema.of(rows).to_json(), vouched=True)


def packed(model: Any, signature: Signature, rows: pd.DataFrame | None = None) -> Any:
    """The model after it was stored and loaded again."""
    from incumbent.runtimes.catboost import load, pack

    part, content = pack(model, opening(signature, rows))
    assert part == "model.catboost.cbm"
    return load(content, opening(signature, rows))


@pytest.mark.parametrize("task", [BINARY, MULTICLASS, NUMBER], ids=lambda t: t.kind)
@pytest.mark.parametrize("features", [NUMBERS, ("carrier", "hour", "temp")], ids=["numbers", "categories"])
def test_a_stored_model_answers_as_it_did(task: Task, features: tuple[str, ...]) -> None:
    """One row or many, nulls of numbers among them; it knows its classes by their own names."""
    rows = flights(600)
    kind = catboost.CatBoostRegressor if task is NUMBER else catboost.CatBoostClassifier
    words = [name for name in features if name == "carrier"]
    model = kind(**SETTINGS, cat_features=words or None).fit(rows[list(features)], rows[task.target])
    expected = model.predict(rows[list(features)]) if task is NUMBER else model.predict_proba(rows[list(features)])
    signature = frames.infer_signature(rows, task_of(task, features=features))
    again = packed(model, signature, rows)
    columns = frames.columns(rows, signature)
    assert np.allclose(again.predict(columns), expected, rtol=1e-12, atol=0)
    alone = again.predict({k: v[3:4] for k, v in columns.items()})
    assert np.allclose(alone[0], expected[3], rtol=1e-12, atol=0)
    assert again.predict({k: v[:0] for k, v in columns.items()}).shape == expected[:0].shape


def test_a_null_in_a_column_of_categories_is_an_error_of_that_row() -> None:
    """CatBoost refuses it, so the fallback answers; a category never seen gets an answer."""
    rows = flights(300)
    model = catboost.CatBoostClassifier(**SETTINGS, cat_features=["carrier"]).fit(rows[["carrier"]], rows["late"])
    signature = frames.infer_signature(rows, task_of(BINARY, features=("carrier",)))
    again = packed(model, signature, rows)
    assert again.predict({"carrier": np.array(["never seen"], dtype=object)}).shape == (1, 2)
    with pytest.raises(catboost.CatBoostError, match="NaN values should be converted to string"):
        again.predict({"carrier": np.array([None], dtype=object)})


def test_models_that_do_not_suit_are_refused() -> None:
    """By a sentence that names what does not: the columns, the classes, the kind."""
    rows = flights(300)
    model = catboost.CatBoostClassifier(**SETTINGS).fit(rows[list(NUMBERS)], rows["late"])
    numbers = tuple(Column(name, "number") for name in NUMBERS)
    with pytest.raises(ArtefactRefused, match="the model takes temp, precip; the signature has hour"):
        packed(model, Signature(numbers[:1], "binary", (0, 1)))
    with pytest.raises(ArtefactRefused, match=r"the model knows the classes \[0, 1\]; the signature has \['a', 'b'\]"):
        packed(model, Signature(numbers, "binary", ("a", "b")))
    regressor = catboost.CatBoostRegressor(**SETTINGS).fit(rows[list(NUMBERS)], rows["delay"])
    with pytest.raises(ArtefactRefused, match="the model knows no classes, expected a classifier"):
        packed(regressor, Signature(numbers, "binary", (0, 1)))


@pytest.mark.parametrize("content", [b"", b"nonsense", b"CBM1", b"CBM1\xff\xff\x00\x00nonsense"])
def test_bytes_that_are_no_model_are_refused(content: bytes) -> None:
    """Whatever CatBoost raises."""
    from incumbent.runtimes.catboost import load

    with pytest.raises(ArtefactRefused, match=r"CatBoost does not read this model|expected a model that CatBoost"):
        load(content, opening(Signature((Column("x", "number"),), "regression")))


def test_it_is_a_version_that_runs_in_a_worker() -> None:
    """Stored, proved on its golden rows, opened again."""
    rows, blobs = flights(400), Memory()
    model = catboost.CatBoostClassifier(**SETTINGS).fit(rows[list(NUMBERS)], rows["late"])
    signature = frames.infer_signature(rows, task_of(BINARY, features=NUMBERS))
    columns = frames.columns(rows, signature)
    saved = artefact.save(
        blobs, model, runtime=kinds.runtime_of(model), signature=signature, sample=columns,
        versions=Versions(compile=False), schema=schema.of(rows).to_json(),
    )  # fmt: skip
    assert saved.runtime == "catboost"
    assert not runs_inline(Version("v1", "catboost", saved.manifest, signature, saved.serves))
    opened = artefact.open_version(blobs, saved.manifest, Versions())
    assert np.allclose(opened.predict(columns), model.predict_proba(rows[list(NUMBERS)]), rtol=1e-12)


@pytest.mark.parametrize("task", [BINARY, MULTICLASS, NUMBER], ids=lambda t: t.kind)
def test_a_model_of_numbers_has_a_twin(task: Task) -> None:
    """Proved equal, so that it runs inline; with the classes in the order of the signature."""
    rows, blobs = flights(2500), Memory()
    kind = catboost.CatBoostRegressor if task is NUMBER else catboost.CatBoostClassifier
    model = kind(**SETTINGS).fit(rows[list(NUMBERS)], rows[task.target])
    settings = {"positive": 0} if task is BINARY else {}
    signature = frames.infer_signature(rows, task_of(task, features=NUMBERS, **settings))
    columns = frames.columns(rows, signature)
    saved = artefact.save(blobs, model, runtime="catboost", signature=signature, sample=columns, versions=Versions())
    assert saved.serves == "twin.onnx", saved.notes
    twin, native = (opens(blobs, saved.manifest, Versions()) for opens in (artefact.open_version, artefact.open_native))
    assert np.allclose(twin.predict(columns), native.predict(columns), rtol=1e-4, atol=1e-5)
