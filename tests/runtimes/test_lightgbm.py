"""LightGBM's C library gives exactly what LightGBM gives, without importing the package, or says why it cannot."""

import subprocess
import sys
from typing import Any

import lightgbm as lgb
import numpy as np
import pandas as pd
import pytest
from flight_rows import BINARY, FEATURES, MULTICLASS, NUMBER, Memory, flights, task_of, trees
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from incumbent.config import Task, Versions
from incumbent.errors import ArtefactRefused, MissingExtra
from incumbent.records import Column, Signature
from incumbent.runtimes import artefact, frames, kinds, lightgbm, schema
from incumbent.runtimes.base import Columns, Opening, takes_matrix
from incumbent.runtimes.fold import lightgbm_twin
from incumbent.runtimes.onnx import Onnx
from incumbent.runtimes.proof import Proof, Twin
from incumbent.runtimes.sklearn import Fitted

NUMBERS = ("hour", "temp", "precip")
QUIET = {"verbose": -1, "num_threads": 1}


def booster(objective: str, target: str, rows: Any = None, names: Any = "auto", **settings: Any) -> lgb.Booster:
    """A Booster on the numbers of the flights."""
    known = flights() if rows is None else rows
    labels = pd.factorize(known[target], sort=True)[0] if target == "fare" else known[target]
    data = lgb.Dataset(known[list(NUMBERS)].to_numpy(), labels, feature_name=names)
    return lgb.train({"objective": objective, **QUIET, **settings}, data, 20)


def signature_and_columns(task: Task, rows: Any = None, **changes: Any) -> tuple[Signature, Columns]:
    known = flights() if rows is None else rows
    signature = frames.infer_signature(known, task_of(task, features=NUMBERS, **changes))
    return signature, frames.columns(known, signature)


@pytest.mark.parametrize("names", ["auto", list(NUMBERS)])
def test_a_booster_answers_exactly_what_lightgbm_answers(names: Any) -> None:
    """One row, two, many, by columns and as a matrix, nulls included; trained with names or without."""
    model = booster("binary", "late", names=names)
    signature, columns = signature_and_columns(BINARY)
    part, content = lightgbm.pack(model, Opening(signature, Versions()))
    found = lightgbm.load_text(content, Opening(signature, Versions()))
    assert part == "model.lightgbm.txt" and takes_matrix(found)
    matrix = np.column_stack([columns[name] for name in NUMBERS])
    second = model.predict(matrix)
    expected = np.column_stack([1 - second, second])
    assert np.array_equal(found.predict(columns), expected)
    assert np.array_equal(found.predict_matrix(np.asfortranarray(matrix)), expected)
    for rows in (0, 1, 2, 3, 50):
        assert np.array_equal(found.predict_matrix(matrix[:rows]), expected[:rows])
    for i in range(50):
        assert np.array_equal(found.predict({k: v[i : i + 1] for k, v in columns.items()}), expected[i : i + 1])


def test_features_come_by_name_in_any_order() -> None:
    """The signature's order is another one, and has a column more; LightGBM writes spaces as underscores."""
    rows = flights().rename(columns={"temp": "the temp"})
    names = ["precip", "the temp"]
    data = lgb.Dataset(rows[names], rows["late"])
    model = lgb.train({"objective": "binary", **QUIET}, data, 5)
    signature = frames.infer_signature(rows, task_of(BINARY, features=("the temp", "hour", "precip")))
    columns = frames.columns(rows, signature)
    found = lightgbm.load_text(model.model_to_string().encode(), Opening(signature, Versions()))
    assert np.array_equal(found.predict(columns)[:, 1], model.predict(rows[names]))
    matrix = np.column_stack([columns[name] for name in signature.names])
    assert np.array_equal(found.predict_matrix(matrix), found.predict(columns))


def test_classes_and_numbers() -> None:
    """Multiclass in the order of the signature, a regression, and the positive class where it is the smaller one."""
    signature, columns = signature_and_columns(NUMBER)
    matrix = np.column_stack([columns[name] for name in NUMBERS])
    number = booster("regression", "delay")
    found = lightgbm.load_text(number.model_to_string().encode(), Opening(signature, Versions()))
    assert np.array_equal(found.predict(columns), number.predict(matrix))
    three = booster("multiclass", "fare", num_class=3)
    order = Signature(signature.columns, "multiclass", (2, 0, 1))
    found = lightgbm.load_text(three.model_to_string().encode(), Opening(order, Versions()))
    assert np.array_equal(found.predict(columns), three.predict(matrix)[:, [2, 0, 1]])
    turned, _ = signature_and_columns(BINARY, positive=0)
    two = booster("binary", "late")
    found = lightgbm.load_text(two.model_to_string().encode(), Opening(turned, Versions()))
    assert np.array_equal(found.predict(columns)[:, 0], two.predict(matrix))


def test_columns_of_categories_are_known_from_the_text() -> None:
    """pandas' dtype category: unseen and null ones are missing, as LightGBM has it."""
    rows = flights().astype({"carrier": "category"})
    model = lgb.train({"objective": "binary", **QUIET}, lgb.Dataset(rows[list(FEATURES)], rows["late"]), 10)
    signature = frames.infer_signature(rows, task_of(BINARY))
    fresh = flights(300, seed=1)
    fresh.loc[::7, "carrier"], fresh.loc[3::7, "carrier"] = "new", None
    found = lightgbm.load_text(model.model_to_string().encode(), Opening(signature, Versions()))
    expected = model.predict(fresh[list(FEATURES)].astype({"carrier": "category"}))
    assert np.array_equal(found.predict(frames.columns(fresh, signature))[:, 1], expected)


@pytest.mark.parametrize(
    ("task", "model"),
    [
        (BINARY, lgb.LGBMClassifier(n_estimators=10, n_jobs=1, verbose=-1)),
        (MULTICLASS, lgb.LGBMClassifier(n_estimators=10, n_jobs=1, verbose=-1)),
        (NUMBER, lgb.LGBMRegressor(n_estimators=10, n_jobs=1, verbose=-1)),
    ],
)
@pytest.mark.parametrize("before", ["codes", "category", "one-hot and filled"])
def test_pipelines_and_categories_have_an_exact_twin(task: Task, model: Any, before: str) -> None:
    """Bit for bit, on fresh rows with nulls and unseen categories."""
    rows = flights()
    if before == "codes":
        model = trees(model)
    elif before == "category":
        rows = rows.astype({"carrier": "category"})
    else:
        words, filled = OneHotEncoder(handle_unknown="ignore", sparse_output=False), SimpleImputer()
        columns = ColumnTransformer([("w", words, ["carrier"]), ("n", filled, list(NUMBERS))])
        model = make_pipeline(columns.set_output(transform="pandas"), model)
    signature = frames.infer_signature(rows, task_of(task))
    model.fit(rows[list(FEATURES)], rows[task.target])
    native = Fitted(model, signature, schema.of(rows))
    found = lightgbm_twin(native, Proof(native, frames.columns(rows, signature)))
    assert isinstance(found, Twin), found
    assert found.max_difference == 0
    fresh = flights(300, seed=1)
    fresh.loc[::7, "carrier"] = "new"
    columns_ = frames.columns(fresh, signature)
    twin = lightgbm.load(found.content, Opening(signature, Versions()))
    assert np.array_equal(twin.predict(columns_), native.predict(columns_))


def test_a_version_of_categories_is_served_by_the_library() -> None:
    """The ONNX twin cannot be made; the native one stays beside it."""
    blobs, rows = Memory(), flights().astype({"carrier": "category"})
    signature = frames.infer_signature(rows, task_of(BINARY))
    model = lgb.LGBMClassifier(n_estimators=10, n_jobs=1, verbose=-1).fit(rows[list(FEATURES)], rows["late"])
    found = artefact.save(
        blobs, model, runtime=kinds.runtime_of(model), signature=signature,
        sample=frames.columns(rows, signature), versions=Versions(), schema=schema.of(rows).to_json(),
    )  # fmt: skip
    assert (found.runtime, found.serves) == ("sklearn", "twin.lightgbm.json")
    assert "reads the strings" in artefact.manifest(blobs, found.manifest)["compile"]["refused"]["twin.onnx"]
    assert artefact.open_version(blobs, found.manifest, Versions()).runtime == "lightgbm"


def test_a_booster_is_a_version_with_an_onnx_twin() -> None:
    """What it is is seen; the text is the native part, and a base installation answers through the twin."""
    blobs = Memory()
    model = booster("binary", "late")
    signature, columns = signature_and_columns(BINARY)
    assert kinds.runtime_of(model) == "lightgbm"
    found = artefact.save(
        blobs, model, runtime="lightgbm", signature=signature, sample=columns, versions=Versions(),
    )  # fmt: skip
    assert (found.runtime, found.serves, found.notes) == ("lightgbm", "twin.onnx", ())
    twin = artefact.open_version(blobs, found.manifest, Versions())
    native = artefact.open_native(blobs, found.manifest, Versions())
    assert isinstance(twin, Onnx) and native.runtime == "lightgbm"
    assert np.abs(twin.predict(columns) - native.predict(columns)).max() < 1e-5
    plain = artefact.save(
        blobs, model, runtime="lightgbm", signature=signature, sample=columns, versions=Versions(compile=False),
    )  # fmt: skip
    assert plain.serves == "model.lightgbm.txt"


def test_what_cannot_be_folded_has_its_reason() -> None:
    """Scaled numbers, float32 rows, other models."""
    rows = flights()
    scaled = make_pipeline(StandardScaler(), lgb.LGBMClassifier(n_estimators=3, n_jobs=1, verbose=-1))
    signature, columns = signature_and_columns(BINARY)

    def reason(model: Any, known: Any) -> str:
        native = Fitted(model.fit(known[list(NUMBERS)], known["late"]), signature, schema.of(known))
        found = lightgbm_twin(native, Proof(native, columns))
        assert isinstance(found, str)
        return found

    scaled.set_output(transform="pandas")
    assert "scaled before trees" in reason(scaled, rows)
    assert "trained on float32" in reason(scaled[-1], rows.astype({"temp": np.float32}))
    assert "is no model of LightGBM" in reason(make_pipeline(SimpleImputer(), StandardScaler(), _Own()), rows)


class _Own(lgb.LGBMClassifier):
    """A subclass may do anything."""

    def __init__(self) -> None:
        super().__init__(n_estimators=3, n_jobs=1, verbose=-1)


X = Column("x", "number")


@pytest.mark.parametrize(
    ("signature", "said"),
    [
        (Signature((X,), "binary", (0, 1)), r"the model takes hour, temp, precip; the signature has x"),
        (Signature(tuple(Column(n, "number") for n in NUMBERS), "binary", ("no", "yes")), "numbers its classes 0, 1"),
        (Signature(tuple(Column(n, "number") for n in NUMBERS), "multiclass", (0, 1, 2)), "knows 2 classes; .* has 3"),
        (Signature((*(Column(n, "number") for n in NUMBERS[:2]), Column("precip", "string")), "binary", (0, 1)),
         "knows categories of 0 columns, and 1 of the signature hold text: precip"),
    ],
)  # fmt: skip
def test_a_booster_that_does_not_suit_is_refused(signature: Signature, said: str) -> None:
    """Columns, classes and text."""
    text = booster("binary", "late", names=list(NUMBERS)).model_to_string().encode()
    with pytest.raises(ArtefactRefused, match=said):
        lightgbm.load_text(text, Opening(signature, Versions()))


def test_foreign_bytes_are_refused() -> None:
    """No text of a model, no twin, more numbers than a regression gives."""
    signature, _ = signature_and_columns(NUMBER)
    opening = Opening(signature, Versions())
    with pytest.raises(ArtefactRefused, match="no LightGBM twin: KeyError: 'model'"):
        lightgbm.load(b"{}", opening)
    with pytest.raises(ArtefactRefused, match="begins with 'tree'"):
        lightgbm.load_text(b"feature_names=hour temp precip", opening)
    three = booster("multiclass", "fare", num_class=3).model_to_string().encode()
    with pytest.raises(ArtefactRefused, match="gives 3 numbers a row, expected one for a regression task"):
        lightgbm.load_text(three, opening)


def test_without_the_package_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """A base installation has no library."""
    signature, _ = signature_and_columns(BINARY)
    text = booster("binary", "late").model_to_string().encode()
    monkeypatch.setattr(lightgbm, "find_spec", lambda name: None)
    lightgbm.library.cache_clear()
    with pytest.raises(MissingExtra, match=r"a LightGBM version needs the package 'lightgbm'.*incumbent\[all\]"):
        lightgbm.load_text(text, Opening(signature, Versions()))


def test_the_package_is_not_imported() -> None:
    """Only its C library is loaded: no scipy, no scikit-learn on the answering path."""
    signature, _ = signature_and_columns(BINARY)
    text = booster("binary", "late").model_to_string()
    code = (
        "import sys; from incumbent.runtimes import lightgbm; from incumbent.runtimes.base import Opening\n"
        "from incumbent.config import Versions; from incumbent.records import *\n"
        f"found = lightgbm.load_text({text!r}.encode(), Opening({signature!r}, Versions()))\n"
        "print([m for m in ('lightgbm', 'scipy', 'sklearn') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
