"""A twin is served only where it was proved equal, nulls and unseen categories included; else the reason is told."""

from typing import Any

import numpy as np
import onnxruntime
import pandas as pd
import pytest
from flight_rows import BINARY, FEATURES, MULTICLASS, NUMBER, flights, linear, task_of, trees
from lightgbm import LGBMClassifier, LGBMRegressor
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    StackingClassifier,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier

from incumbent.config import Task
from incumbent.records import Signature
from incumbent.runtimes import frames, schema
from incumbent.runtimes.compile import convert, decimal_thresholds, twin
from incumbent.runtimes.onnx import NUMBERS, Onnx
from incumbent.runtimes.proof import Twin, compare, probes
from incumbent.runtimes.sklearn import Fitted


def boosted(**settings: Any) -> LGBMClassifier:
    return LGBMClassifier(n_estimators=10, verbose=-1, n_jobs=1, **settings)


MODELS: list[tuple[Task, Any]] = [
    (BINARY, trees(HistGradientBoostingClassifier(max_iter=20))),
    (BINARY, trees(boosted())),
    (BINARY, linear(LogisticRegression())),
    (BINARY, trees(StackingClassifier([("h", HistGradientBoostingClassifier(max_iter=5)), ("l", boosted())], cv=2))),
    (MULTICLASS, trees(HistGradientBoostingClassifier(max_iter=5))),
    (MULTICLASS, trees(boosted())),
    (MULTICLASS, linear(LogisticRegression())),
    (NUMBER, trees(HistGradientBoostingRegressor(max_iter=20))),
    (NUMBER, trees(LGBMRegressor(n_estimators=10, verbose=-1, n_jobs=1))),
    (NUMBER, linear(Ridge())),
]


@pytest.mark.parametrize(("task", "model"), MODELS)
def test_common_pipelines_have_an_equal_twin(task: Task, model: Any) -> None:
    """To float32 rounding on rows that the proof did not see, null and unseen ones among them."""
    rows, fresh = flights(), flights(1_000, seed=1)
    model.fit(rows, rows[task.target])
    signature = frames.infer_signature(rows, task_of(task))
    found = twin(model, signature, frames.columns(rows, signature), schema.of(rows))
    assert isinstance(found, Twin), found
    assert found.max_difference < 1e-5
    fresh.loc[::10, "carrier"] = "new"
    columns = frames.columns(fresh, signature)
    native = Fitted(model, signature, schema.of(rows)).predict(columns)
    answer = Onnx(found.content, signature).predict(columns)
    assert answer.shape == native.shape
    assert np.allclose(answer, native, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "model",
    [
        LogisticRegression(),
        make_pipeline(StandardScaler(), LogisticRegression()),
        make_pipeline(SimpleImputer(), DecisionTreeClassifier(max_depth=4)),
        boosted(),
    ],
)
@pytest.mark.parametrize("named", [True, False])
def test_an_estimator_of_numbers_needs_no_column_transformer(model: Any, named: bool) -> None:
    """The twin takes one matrix of all numbers, whether the model was fitted on names or on an array."""
    rows = flights()
    names = ["precip", "hour"]
    model.fit(rows[names] if named else rows[names].to_numpy(), rows["late"])
    signature = frames.infer_signature(rows, task_of(BINARY, features=tuple(names)))
    found = twin(model, signature, frames.columns(rows, signature), schema.of(rows))
    assert isinstance(found, Twin), found
    (taken,) = onnxruntime.InferenceSession(found.content).get_inputs()
    assert (taken.name, taken.shape[1]) == (NUMBERS, 2)
    columns = frames.columns(rows, signature)
    twin_ = Onnx(found.content, signature)
    matrix = np.column_stack([columns[name] for name in names])
    assert np.array_equal(twin_.predict_matrix(matrix), twin_.predict(columns))


def test_any_name_of_a_column_will_do() -> None:
    """Also one that the converter writes otherwise, beside one that the model does not use."""
    rows = flights().rename(columns={"carrier": "the carrier", "temp": "temp.°C"})
    codes = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-1)
    columns = ColumnTransformer([("w", codes, ["the carrier"]), ("n", "passthrough", ["temp.°C", "hour"])])
    features = ("the carrier", "hour", "temp.°C", "precip")
    model = Pipeline([("columns", columns), ("trees", boosted())]).fit(rows[list(features)], rows["late"])
    signature = frames.infer_signature(rows, task_of(BINARY, features=features))
    found = twin(model, signature, frames.columns(rows, signature), schema.of(rows))
    assert isinstance(found, Twin), found


def test_thresholds_that_lie_on_data_need_moving() -> None:
    """The plain conversion of HistGradientBoosting flips ties, the proof sees it, and the moved thresholds do not."""
    rows = flights()
    rows["precip"] = np.round(np.random.default_rng(0).integers(0, 60, len(rows)) / 50, 2)  # no row holds 0.23
    rows["late"] = (rows["precip"] > 0.22).astype(int)
    model = trees(HistGradientBoostingClassifier(max_iter=10)).fit(rows, rows["late"])
    signature = frames.infer_signature(rows, task_of(BINARY))
    columns = frames.columns(rows, signature)
    native = Fitted(model, signature, schema.of(rows))
    ties = probes(columns, signature)["precip between known values"]
    plain = Onnx(convert(model, native), signature).predict(ties)
    difference, reason = compare(native.predict(ties), plain, signature)
    assert difference > 0.01 and reason is not None and "differs by up to" in reason
    found = twin(model, signature, columns, schema.of(rows))
    assert isinstance(found, Twin) and found.max_difference < 1e-6
    assert decimal_thresholds(model)
    assert not decimal_thresholds(linear(LogisticRegression()))


def test_a_twin_that_is_not_equal_is_not_made() -> None:
    """A calibrated LightGBM comes out of the converter wrong; the reason tells by how much."""
    rows = flights()
    model = trees(CalibratedClassifierCV(boosted(), cv=2)).fit(rows, rows["late"])
    signature = frames.infer_signature(rows, task_of(BINARY))
    found = twin(model, signature, frames.columns(rows, signature), schema.of(rows))
    assert isinstance(found, str)
    assert found.startswith("training rows: differs by up to 0.")


def test_nulls_that_only_the_twin_would_read_otherwise_are_seen() -> None:
    """A forest converted without its rule for nulls is equal on whole rows, and refused for its nulls."""
    rows = flights()
    model = trees(RandomForestClassifier(10, random_state=0)).fit(rows, rows["late"])
    whole = rows[rows["temp"].notna()]
    signature = frames.infer_signature(rows, task_of(BINARY))
    found = twin(model, signature, frames.columns(whole, signature), schema.of(rows))
    assert isinstance(found, str) and "temp null: differs" in found and "training rows" not in found
    strict = frames.infer_signature(rows, task_of(BINARY, not_null=FEATURES))
    assert isinstance(twin(model, strict, frames.columns(whole, strict), schema.of(rows)), Twin)


@pytest.mark.parametrize("null", [None, np.nan])
def test_null_as_a_category_of_training_is_the_same_category_to_the_twin(null: Any) -> None:
    """One-hot columns of null included."""
    rows = flights()
    rows["carrier"] = pd.Series([null if i % 7 == 0 else c for i, c in enumerate(rows["carrier"])], dtype=object)
    words = ("words", OneHotEncoder(handle_unknown="ignore"), ["carrier"])
    columns = ColumnTransformer([words, ("numbers", StandardScaler(), ["hour"])])
    model = Pipeline([("columns", columns), ("model", LogisticRegression())])
    model.fit(rows, rows["late"])
    signature = frames.infer_signature(rows, task_of(BINARY))
    found = twin(model, signature, frames.columns(rows, signature), schema.of(rows))
    assert isinstance(found, Twin), found


def test_categories_without_a_column_transformer_have_no_twin() -> None:
    """LightGBM's own categories: the native one serves."""
    rows = flights().astype({"carrier": "category"})
    model = boosted().fit(rows[list(FEATURES)], rows["late"])
    signature = frames.infer_signature(rows, task_of(BINARY))
    found = twin(model, signature, frames.columns(rows, signature), schema.of(rows))
    assert isinstance(found, str) and "reads the strings carrier without a ColumnTransformer" in found


def test_the_twin_gives_the_classes_in_the_order_of_the_signature() -> None:
    """Also where the positive class is the smaller one."""
    rows = flights()
    model = trees(boosted()).fit(rows, rows["late"])
    signature = frames.infer_signature(rows, task_of(BINARY, positive=0))
    columns = frames.columns(rows, signature)
    found = twin(model, signature, columns, schema.of(rows))
    assert isinstance(found, Twin)
    assert np.allclose(Onnx(found.content, signature).predict(columns), model.predict_proba(rows)[:, ::-1], atol=1e-5)


def test_the_proof_covers_nulls_and_unseen_categories() -> None:
    """Each nullable column null in turn and all at once, and each string column with a new value."""
    signature = frames.infer_signature(flights(), task_of(BINARY, not_null=("hour",)))
    groups = probes(frames.columns(flights(), signature), signature)
    assert set(groups) == {
        "training rows", "carrier never seen", "hour never seen", "carrier null", "temp null", "precip null",
        "all columns null", "temp between known values", "precip between known values",
    }  # fmt: skip
    assert set(groups["carrier null"]["carrier"]) == {None}
    assert np.isnan(groups["all columns null"]["temp"]).all()
    assert not np.isnan(groups["all columns null"]["hour"]).any()


BINARY_SIGNATURE, NUMBER_SIGNATURE = Signature((), "binary", (0, 1)), Signature((), "regression")


@pytest.mark.parametrize(
    ("signature", "expected", "found", "reason"),
    [
        (BINARY_SIGNATURE, [[0.5, 0.5]], [[0.49991, 0.50009]], None),
        (BINARY_SIGNATURE, [[0.5, 0.5]], [[0.4998, 0.5002]], "differs by up to 0.0002 on 1 of 1 rows"),
        (BINARY_SIGNATURE, [[0.50006, 0.49994]], [[0.49998, 0.50002]], "another class wins on 1 of 1 rows"),
        (BINARY_SIGNATURE, [[0.5, 0.5]], [[np.nan, np.nan]], "no finite number"),
        (BINARY_SIGNATURE, None, [[np.nan, np.nan]], None),
        (BINARY_SIGNATURE, None, [[0.5, 0.5]], "answers what the native one refuses"),
        (NUMBER_SIGNATURE, [1e6, 1e6], [1e6 + 50, 1e6], None),
        (NUMBER_SIGNATURE, [1e6, 1e6], [1e6 + 500, 1e6], "differs by up to 0.0005 on 1 of 2 rows"),
        (NUMBER_SIGNATURE, [0.0, 0.0], [0.0, 0.0], None),
    ],
)
def test_equal_means_close_and_of_the_same_class(
    signature: Signature, expected: Any, found: Any, reason: str | None
) -> None:
    """1e-4 for probabilities, 1e-4 of their size for numbers, no flip, and the same refusals."""
    known = None if expected is None else np.array(expected)
    _, why = compare(known, np.array(found), signature)
    assert (why is None) if reason is None else (why is not None and reason in why)
