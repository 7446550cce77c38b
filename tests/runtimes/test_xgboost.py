"""An XGBoost model answers columns as it answers its own rows, and its file holds no code."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from flight_rows import BINARY, MULTICLASS, NUMBER, Memory, flights, task_of

from incumbent.config import Task, Versions
from incumbent.engines.opening import runs_inline
from incumbent.errors import ArtefactRefused, GoldenMismatch
from incumbent.records import Column, Signature, Version
from incumbent.runtimes import artefact, frames, kinds, schema
from incumbent.runtimes.base import Opening

xgboost = pytest.importorskip("xgboost", reason="xgboost is an extra")

NUMBERS = ("hour", "temp", "precip")


def opening(signature: Signature, rows: pd.DataFrame | None = None) -> Opening:
    return Opening(signature, Versions(), None if rows is None else schema.of(rows).to_json(), vouched=True)


def packed(model: Any, signature: Signature, rows: pd.DataFrame | None = None) -> Any:
    """The model after it was stored and loaded again."""
    from incumbent.runtimes.xgboost import load, pack

    part, content = pack(model, opening(signature, rows))
    assert part == "model.xgboost.ubj"
    return load(content, opening(signature, rows))


def numbered(rows: pd.DataFrame, task: Task) -> pd.DataFrame:
    """The classes as XGBoost wants them: 0, 1, 2."""
    return rows.assign(fare=rows["fare"].map({"low": 0, "mid": 1, "top": 2})) if task is MULTICLASS else rows


@pytest.mark.parametrize("task", [BINARY, MULTICLASS, NUMBER], ids=lambda t: t.kind)
@pytest.mark.parametrize("booster", [True, False], ids=["Booster", "scikit-learn"])
def test_a_stored_model_answers_as_it_did(task: Task, booster: bool) -> None:
    """To the last bit, one row or many, nulls among them; no row gets no answer."""
    rows = numbered(flights(600), task)
    kind = xgboost.XGBRegressor if task is NUMBER else xgboost.XGBClassifier
    model = kind(n_estimators=8, max_depth=3).fit(rows[list(NUMBERS)], rows[task.target])
    expected = model.predict(rows[list(NUMBERS)]) if task is NUMBER else model.predict_proba(rows[list(NUMBERS)])
    signature = frames.infer_signature(rows, task_of(task, features=NUMBERS))
    again = packed(model.get_booster() if booster else model, signature, rows)
    columns = frames.columns(rows, signature)
    assert np.isnan(columns["temp"]).any()
    assert np.array_equal(again.predict(columns).astype(np.float32), expected)
    assert np.array_equal(again.predict({k: v[3:4] for k, v in columns.items()})[0], again.predict(columns)[3])
    assert again.predict({k: v[:0] for k, v in columns.items()}).shape == expected[:0].shape


def test_columns_of_categories_come_in_the_dataframe_of_training() -> None:
    """XGBoost keeps the categories; a row alone, and a null, get the answer that they get among others."""
    rows = flights(600).astype({"carrier": "category"})
    features = rows[["carrier", "hour"]]
    model = xgboost.XGBClassifier(n_estimators=8, enable_categorical=True).fit(features, rows["late"])
    signature = frames.infer_signature(rows, task_of(BINARY, features=("carrier", "hour")))
    again = packed(model, signature, rows)
    columns = frames.columns(rows, signature)
    assert np.array_equal(again.predict(columns).astype(np.float32), model.predict_proba(features))
    for i in range(12):
        alone = again.predict({k: v[i : i + 1] for k, v in columns.items()})
        assert np.array_equal(alone[0], again.predict(columns)[i])


def test_probabilities_come_in_the_order_of_the_signature() -> None:
    """The positive class last, whichever it is."""
    rows = flights(400)
    model = xgboost.XGBClassifier(n_estimators=5).fit(rows[list(NUMBERS)], rows["late"])
    signature = frames.infer_signature(rows, task_of(BINARY, features=NUMBERS, positive=0))
    found = packed(model, signature).predict(frames.columns(rows, signature))
    assert np.array_equal(found.astype(np.float32), model.predict_proba(rows[list(NUMBERS)])[:, ::-1])


def test_a_model_that_was_stopped_early_answers_with_its_best_round() -> None:
    """As its own predict_proba does; the rounds after it are not stored."""
    rows, late = flights(800), flights(800)["late"]
    flipped = late.sample(frac=1.0, random_state=0).to_numpy()
    model = xgboost.XGBClassifier(n_estimators=60, early_stopping_rounds=5, learning_rate=0.5)
    model.fit(rows[list(NUMBERS)], flipped, eval_set=[(rows[list(NUMBERS)], late)], verbose=False)
    signature = frames.infer_signature(rows, task_of(BINARY, features=NUMBERS))
    again = packed(model, signature)
    assert model.best_iteration + 1 < model.get_booster().num_boosted_rounds()
    found = again.predict(frames.columns(rows, signature))
    assert np.array_equal(found.astype(np.float32), model.predict_proba(rows[list(NUMBERS)]))


def test_models_that_do_not_suit_are_refused() -> None:
    """By a sentence that names what does not: the columns, the classes, the objective."""
    rows = flights(300)
    fits = {"max_depth": 2}
    data = xgboost.DMatrix(rows[list(NUMBERS)], rows["late"])
    plain = xgboost.train({"objective": "binary:logistic", **fits}, data, 3)
    numbers = tuple(Column(name, "number") for name in NUMBERS)
    with pytest.raises(ArtefactRefused, match="the model takes temp, precip; the signature has hour"):
        packed(plain, Signature(numbers[:1], "binary", (0, 1)))
    with pytest.raises(ArtefactRefused, match="numbers its classes 0, 1, …; the signature has 'no', 'yes'"):
        packed(plain, Signature(numbers, "binary", ("no", "yes")))
    with pytest.raises(ArtefactRefused, match=r"multi:softmax, which gives no probabilities: expected binary:logistic"):
        packed(xgboost.train({"objective": "multi:softmax", "num_class": 2, **fits}, data, 3),
               Signature(numbers, "binary", (0, 1)))  # fmt: skip
    unnamed = xgboost.train(fits, xgboost.DMatrix(rows[list(NUMBERS)].to_numpy(), rows["late"]), 3)
    with pytest.raises(ArtefactRefused, match="takes 3 columns without names; the signature has 2: hour, temp"):
        packed(unnamed, Signature(numbers[:2], "regression"))
    three = packed(plain, Signature((*numbers, Column("more", "number")), "multiclass", (0, 1, 2)))
    with pytest.raises(ArtefactRefused, match="knows 2 classes; the signature has 3"):
        three.predict({name: np.ones(2) for name in (*NUMBERS, "more")})


@pytest.mark.parametrize("content", [b"", b"nonsense", b"{nonsense", b'{"learner": {}}', b"{L\x00\x00\x00"])
def test_bytes_that_are_no_model_are_refused(content: bytes) -> None:
    """Whatever XGBoost raises."""
    from incumbent.runtimes.xgboost import load

    with pytest.raises(ArtefactRefused, match=r"XGBoost does not read this model|expected a model that XGBoost saved"):
        load(content, opening(Signature((Column("x", "number"),), "regression")))


def test_it_is_a_version_that_runs_in_a_worker_and_repeats_its_golden_rows() -> None:
    """Another model under the same golden rows is seen."""
    rows, blobs = flights(400), Memory()
    model = xgboost.XGBClassifier(n_estimators=5).fit(rows[list(NUMBERS)], rows["late"])
    other = xgboost.XGBClassifier(n_estimators=6).fit(rows[list(NUMBERS)], rows["late"])
    signature = frames.infer_signature(rows, task_of(BINARY, features=NUMBERS))
    columns = frames.columns(rows, signature)
    saved = [
        artefact.save(blobs, one, runtime=kinds.runtime_of(one), signature=signature, sample=columns,
                      versions=Versions(compile=False), schema=schema.of(rows).to_json())
        for one in (model, other)
    ]  # fmt: skip
    assert saved[0].runtime == "xgboost" and saved[0].serves == "model.xgboost.ubj"
    assert not runs_inline(Version("v1", "xgboost", saved[0].manifest, signature, saved[0].serves))
    opened = artefact.open_version(blobs, saved[0].manifest, Versions())
    assert np.array_equal(opened.predict(columns).astype(np.float32), model.predict_proba(rows[list(NUMBERS)]))
    kept, foreign = (artefact.manifest(blobs, one.manifest) for one in saved)
    mixed = blobs.put(artefact._json(kept | {"parts": foreign["parts"]}))
    with pytest.raises(GoldenMismatch):
        artefact.open_version(blobs, mixed, Versions())


@pytest.mark.parametrize("task", [BINARY, MULTICLASS, NUMBER], ids=lambda t: t.kind)
def test_a_model_of_numbers_has_a_twin(task: Task) -> None:
    """Proved equal, so that it runs inline; with the classes in the order of the signature."""
    rows, blobs = numbered(flights(2500), task), Memory()
    kind = xgboost.XGBRegressor if task is NUMBER else xgboost.XGBClassifier
    model = kind(n_estimators=20, max_depth=4).fit(rows[list(NUMBERS)], rows[task.target])
    settings = {"positive": 0} if task is BINARY else {}
    signature = frames.infer_signature(rows, task_of(task, features=NUMBERS, **settings))
    columns = frames.columns(rows, signature)
    saved = artefact.save(blobs, model, runtime="xgboost", signature=signature, sample=columns, versions=Versions())
    assert saved.serves == "twin.onnx", saved.notes
    twin, native = (opens(blobs, saved.manifest, Versions()) for opens in (artefact.open_version, artefact.open_native))
    assert np.allclose(twin.predict(columns), native.predict(columns), rtol=1e-4, atol=1e-5)


def test_a_model_of_categories_has_none_and_says_why() -> None:
    """Its own runtime serves."""
    rows = flights(600).astype({"carrier": "category"})
    model = xgboost.XGBClassifier(n_estimators=4, enable_categorical=True).fit(rows[["carrier", "hour"]], rows["late"])
    signature = frames.infer_signature(rows, task_of(BINARY, features=("carrier", "hour")))
    saved = artefact.save(Memory(), model, runtime="xgboost", signature=signature, versions=Versions(),
                          sample=frames.columns(rows, signature), schema=schema.of(rows).to_json())  # fmt: skip
    assert saved.serves == "model.xgboost.ubj" and "it reads the strings carrier" in saved.notes[0]
