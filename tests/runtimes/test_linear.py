"""A linear model with its preprocessing becomes one matrix that says the same in float64, or the reason is told."""

import json
import re
from typing import Any

import numpy as np
import pandas as pd
import polars
import pytest
from flight_rows import BINARY, FEATURES, MULTICLASS, NUMBER, Memory, flights, linear, task_of
from sklearn.compose import ColumnTransformer
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_selection import SelectKBest, VarianceThreshold
from sklearn.impute import SimpleImputer
from sklearn.linear_model import (
    ElasticNet,
    Lasso,
    LinearRegression,
    LogisticRegression,
    PoissonRegressor,
    Ridge,
    SGDClassifier,
    SGDRegressor,
)
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    RobustScaler,
    StandardScaler,
)

from incumbent.config import Task, Versions
from incumbent.errors import ArtefactRefused, BadOutput
from incumbent.records import Column, Signature
from incumbent.runtimes import artefact, frames, schema
from incumbent.runtimes.base import Columns, Opening, checked, takes_matrix
from incumbent.runtimes.fold import fold, linear_twin
from incumbent.runtimes.linear import Linear, load
from incumbent.runtimes.proof import Proof, Twin
from incumbent.runtimes.sklearn import Fitted

NUMBERS = ["hour", "temp", "precip"]
WORDS = ["carrier"]


def columns_of(words: Any, numbers: Any, **more: Any) -> ColumnTransformer:
    return ColumnTransformer([("words", words, WORDS), ("numbers", numbers, NUMBERS)], **more)


def twin_of(
    model: Any, task: Task = BINARY, rows: Any = None, fresh: Any = None, **changes: Any
) -> tuple[Twin | str, Fitted, Columns]:
    """The linear twin of a model fitted on the flights, the native one, and fresh columns with what is rare."""
    known = flights() if rows is None else rows
    known["delay"] = known["delay"].abs()  # counts have no sign
    signature = frames.infer_signature(known, task_of(task, **changes))
    model.fit(known[list(signature.names)], known[task.target])
    native = Fitted(model, signature, schema.of(known))
    later = flights(600, seed=1)
    later.loc[::10, "carrier"] = "new"
    later.loc[5::10, "carrier"] = None
    columns = frames.columns(later, signature)
    return linear_twin(native, Proof(native, frames.columns(known, signature))), native, columns


def one_hot(**settings: Any) -> OneHotEncoder:
    return OneHotEncoder(handle_unknown="ignore", **settings)


def filled(*steps: Any, **settings: Any) -> Pipeline:
    return make_pipeline(SimpleImputer(**settings), *steps)


PIPELINES = {
    "scaled": columns_of(one_hot(), filled(StandardScaler())),
    "filled last": make_pipeline(columns_of(one_hot(), StandardScaler()), SimpleImputer(strategy="median")),
    "indicator": columns_of(one_hot(), filled(MinMaxScaler(), add_indicator=True)),
    "robust": columns_of(one_hot(drop="first"), filled(RobustScaler(), strategy="median")),
    "without centre": columns_of(one_hot(drop="if_binary"), filled(StandardScaler(with_mean=False), MaxAbsScaler())),
    "ordinal": columns_of(
        OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-2),
        filled(strategy="constant", fill_value=-9),
    ),
    "words filled": columns_of(make_pipeline(SimpleImputer(strategy="most_frequent"), one_hot()), filled()),
    "words named": columns_of(
        make_pipeline(SimpleImputer(strategy="constant", fill_value="none"), one_hot()), filled()
    ),
    "hours as categories": ColumnTransformer(
        [("h", one_hot(), ["hour"]), ("both", filled(StandardScaler()), ["hour", "temp"])]
    ),
    "remainder": ColumnTransformer([("w", one_hot(), WORDS), ("t", filled(), ["temp"])], remainder="passthrough"),
    "dropped": ColumnTransformer([("w", one_hot(), WORDS), ("n", filled(), ["temp"]), ("d", "drop", ["precip"])]),
    "union": columns_of(one_hot(), FeatureUnion([("a", filled(StandardScaler())), ("b", filled())])),
    "selected": make_pipeline(columns_of(one_hot(), filled()), VarianceThreshold(), SelectKBest(k=4)),
    "same": make_pipeline(columns_of(one_hot(), filled()), FunctionTransformer(), "passthrough"),
    "by place": ColumnTransformer([("w", one_hot(), [0]), ("n", filled(), slice(1, 4))]),
}


@pytest.mark.filterwarnings("ignore:Found unknown categories:UserWarning")  # scikit-learn's, where one was dropped
@pytest.mark.parametrize("before", PIPELINES.values(), ids=PIPELINES)
def test_preprocessing_is_folded(before: Any) -> None:
    """To rounding in float64, on rows that the proof did not see, with nulls and unseen words among them."""
    found, native, columns = twin_of(make_pipeline(before, LogisticRegression(max_iter=2000)))
    assert isinstance(found, Twin), found
    assert found.max_difference < 1e-12
    answer = load(found.content, Opening(native.signature, Versions())).predict(columns)
    assert np.abs(answer - native.predict(columns)).max() < 1e-12


@pytest.mark.parametrize(
    ("task", "model"),
    [
        (BINARY, LogisticRegression()),
        (BINARY, SGDClassifier(loss="log_loss", random_state=0)),
        (BINARY, LinearDiscriminantAnalysis()),
        (MULTICLASS, LogisticRegression()),
        (MULTICLASS, SGDClassifier(loss="log_loss", random_state=0)),
        (MULTICLASS, LinearDiscriminantAnalysis()),
        (NUMBER, LinearRegression()),
        (NUMBER, LinearRegression(fit_intercept=False)),
        (NUMBER, Ridge()),
        (NUMBER, Lasso(0.1)),
        (NUMBER, ElasticNet(0.1)),
        (NUMBER, SGDRegressor(random_state=0)),
        (NUMBER, PoissonRegressor()),
    ],
)
def test_linear_models_are_folded(task: Task, model: Any) -> None:
    """A single row gets bit for bit what it gets among others."""
    found, native, columns = twin_of(linear(model), task)
    assert isinstance(found, Twin), found
    twin = load(found.content, Opening(native.signature, Versions()))
    whole = twin.predict(columns)
    scale = 1.0 if native.signature.classifies else np.abs(whole).max()
    assert np.abs(whole - native.predict(columns)).max() < 1e-12 * scale
    for i in range(100):
        assert np.array_equal(twin.predict({k: v[i : i + 1] for k, v in columns.items()})[0], whole[i])


@pytest.mark.parametrize(
    "model", [LogisticRegression(), filled(StandardScaler(), LogisticRegression(max_iter=500), add_indicator=True)]
)
@pytest.mark.parametrize("named", [True, False])
def test_numbers_alone_come_as_one_matrix(model: Any, named: bool) -> None:
    """The same bits as through columns, for one row and for many, and the input stays as it is."""
    rows = flights().fillna({"temp": 0.0}) if isinstance(model, LogisticRegression) else flights()
    model.fit(rows[NUMBERS] if named else rows[NUMBERS].to_numpy(), rows["late"])
    signature = frames.infer_signature(rows, task_of(BINARY, features=tuple(NUMBERS)))
    native, columns = Fitted(model, signature, schema.of(rows)), frames.columns(rows, signature)
    found = linear_twin(native, Proof(native, columns))
    assert isinstance(found, Twin), found
    twin = load(found.content, Opening(signature, Versions()))
    assert takes_matrix(twin)
    matrix = np.column_stack([columns[name] for name in NUMBERS])
    before = matrix.copy()
    whole = twin.predict_matrix(matrix)
    assert np.array_equal(whole, twin.predict(columns)) and np.array_equal(matrix, before, equal_nan=True)
    assert np.array_equal(np.vstack([twin.predict_matrix(matrix[i : i + 1]) for i in range(300)]), whole[:300])
    assert np.array_equal(twin.predict_matrix(np.asfortranarray(matrix)), whole)
    assert twin.predict_matrix(matrix[:0]).shape == (0, 2)


def test_strings_do_not_come_as_a_matrix() -> None:
    """The method is there, and takes_matrix says that it cannot be used."""
    found, native, _ = twin_of(linear(LogisticRegression()))
    assert isinstance(found, Twin)
    assert not takes_matrix(load(found.content, Opening(native.signature, Versions())))


def test_number_arrays_are_folded() -> None:
    """Of an estimator that was fitted on an array as wide as all columns together, nulls filled number by number."""
    rows = flights()
    draw = np.random.default_rng(0)
    rows["e"] = [None if i % 9 == 0 else draw.normal(size=3) + late for i, late in enumerate(rows["late"])]
    signature = frames.infer_signature(rows, task_of(BINARY, features=("temp", "e", "hour")))
    columns = frames.columns(rows, signature)
    model = filled(StandardScaler(), LogisticRegression(), add_indicator=True)
    native = Fitted(model.fit(np.column_stack(list(columns.values())), rows["late"]), signature, schema.of(rows))
    found = linear_twin(native, Proof(native, columns))
    assert isinstance(found, Twin), found
    assert found.max_difference < 1e-12
    twin = load(found.content, Opening(signature, Versions()))
    assert not takes_matrix(twin)
    whole = twin.predict(columns)
    for i in range(50):
        assert np.array_equal(twin.predict({k: v[i : i + 1] for k, v in columns.items()})[0], whole[i])


def test_what_the_native_one_refuses_is_refused() -> None:
    """A null without an imputer, a category never seen: the output does not pass `checked`. A null in a column that
    is not used does no harm."""
    rows = flights().fillna({"temp": 0.0})
    strict = ColumnTransformer([("words", OneHotEncoder(), WORDS), ("numbers", StandardScaler(), ["hour", "temp"])])
    found, native, _ = twin_of(make_pipeline(strict, LogisticRegression()), rows=rows)
    assert isinstance(found, Twin), found
    twin = load(found.content, Opening(native.signature, Versions()))
    row: dict[str, Any] = {"carrier": "AA", "hour": 5.0, "temp": 3.0, "precip": 0.1}

    def answer(**changes: Any) -> Any:
        columns = {name: np.array([value]) for name, value in {**row, **changes}.items()}
        return checked(twin.predict({**columns, "carrier": columns["carrier"].astype(object)}), native.signature, 1)

    assert np.array_equal(answer(precip=np.nan), answer())
    for changes in ({"temp": np.nan}, {"carrier": "ZZ"}, {"carrier": None}):
        with pytest.raises(BadOutput, match="expected finite numbers"):
            answer(**changes)


@pytest.mark.parametrize("nulls", [None, np.nan])
def test_null_as_a_category_of_training_keeps_its_weight(nulls: Any) -> None:
    """Where the encoder saw nulls."""
    rows = flights()
    rows["carrier"] = pd.Series([nulls if i % 7 == 0 else c for i, c in enumerate(rows["carrier"])], dtype=object)
    found, _, _ = twin_of(linear(LogisticRegression()), rows=rows)
    assert isinstance(found, Twin), found
    assert found.max_difference < 1e-12


def test_rows_of_polars_are_folded_too() -> None:
    """Its nulls are None, and its text is text."""
    rows = polars.DataFrame({name: values.tolist() for name, values in flights().items()}, nan_to_null=True)
    signature = frames.infer_signature(rows, task_of(BINARY))
    model = make_pipeline(columns_of(one_hot(), filled(StandardScaler())), LogisticRegression())
    native = Fitted(model.fit(rows[list(FEATURES)], rows["late"]), signature, schema.of(rows))
    found = linear_twin(native, Proof(native, frames.columns(rows, signature)))
    assert isinstance(found, Twin), found


def test_float32_rows_are_equal_to_their_own_rounding() -> None:
    """The native one computes in float32 then, and the twin does not."""
    rows = flights().astype({"temp": np.float32, "precip": np.float32})
    model = make_pipeline(columns_of(one_hot(), filled(StandardScaler())), LogisticRegression())
    found, _, _ = twin_of(model, rows=rows)
    assert isinstance(found, Twin), found
    assert found.max_difference < 1e-6


def test_the_classes_come_in_the_order_of_the_signature() -> None:
    """Also where the positive class is the smaller one."""
    found, native, _ = twin_of(linear(LogisticRegression()), positive=0)
    assert isinstance(found, Twin), found
    assert native.signature.classes == (1, 0)


class Doubled(StandardScaler):
    """A subclass may do anything."""

    def transform(self, X: Any, copy: Any = None) -> Any:
        return 2 * super().transform(X, copy)


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (linear(RandomForestClassifier(5)), "RandomForestClassifier is no linear model"),
        (make_pipeline(columns_of(one_hot(), filled(PolynomialFeatures())), LogisticRegression(C=1e-6)),
         "PolynomialFeatures is not folded"),
        (make_pipeline(columns_of(one_hot(), filled(Doubled())), LogisticRegression()), "Doubled is not folded"),
        (make_pipeline(columns_of(one_hot(), filled(MinMaxScaler(clip=True))), LogisticRegression()),
         r"MinMaxScaler\(clip=True\) is not linear"),
        (make_pipeline(columns_of(one_hot(min_frequency=5), filled()), LogisticRegression(max_iter=2000)),
         "infrequent categories"),
        (make_pipeline(columns_of(one_hot(), filled(FunctionTransformer(np.log1p))), LogisticRegression(max_iter=2000)),
         "may do anything"),
        (make_pipeline(columns_of(one_hot(), filled(), transformer_weights={"words": 2}), LogisticRegression()),
         "transformer_weights"),
        (linear(SGDClassifier(loss="modified_huber", random_state=0)), "other probabilities"),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:invalid value encountered in log1p:RuntimeWarning")  # of temperatures below -1
def test_what_cannot_be_folded_has_its_reason(model: Any, reason: str) -> None:
    """Then the other twins are tried."""
    rows = flights()
    rows["temp"] = rows["temp"].abs()
    found, _, _ = twin_of(model, rows=rows)
    assert isinstance(found, str)
    assert re.search(reason, found), found


def test_a_twin_that_is_not_equal_is_not_made() -> None:
    """The proof sees a weight that differs by a millionth, and refuses."""
    found, native, columns = twin_of(linear(LogisticRegression()))
    spec = fold(native)
    spec["numbers"][0]["weights"][0] += 1e-6
    proof = Proof(native, columns)
    content = json.dumps(spec).encode()
    assert isinstance(found, Twin)
    refused = proof.of(Linear(spec, native.signature), content, 1e-9)
    assert isinstance(refused, str) and refused.startswith("training rows: differs by up to")


def test_a_version_prefers_the_linear_twin() -> None:
    """It serves, repeats its golden rows, and the ONNX twin is not made; the native one stays beside it."""
    blobs, rows = Memory(), flights()
    signature = frames.infer_signature(rows, task_of(BINARY))
    model = linear(LogisticRegression()).fit(rows, rows["late"])
    found = artefact.save(
        blobs, model, runtime="sklearn", signature=signature, sample=frames.columns(rows, signature),
        versions=Versions(), schema=schema.of(rows).to_json(),
    )  # fmt: skip
    kept = artefact.manifest(blobs, found.manifest)
    assert found.serves == "twin.linear.json" == kept["compile"]["part"]
    assert set(kept["parts"]) == {"native.skops", "twin.linear.json"}
    assert isinstance(artefact.open_version(blobs, found.manifest, Versions()), Linear)
    assert artefact.open_native(blobs, found.manifest, Versions()).runtime == "sklearn"


NUMBER_SIGNATURE = Signature((Column("x", "number"), Column("w", "string")), "regression")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"[]", "no folded linear model"),
        (b'{"link": "identity"}', "no folded linear model: KeyError: 'intercept'"),
        (b'{"link": "softmax", "intercept": [0, 1], "numbers": [], "tables": []}', "the link 'softmax' with 2 outputs"),
        (b'{"link": "identity", "intercept": [0], "numbers": [{"column": "z", "weights": [1], "null": null}], '
         b'"tables": []}', "reads the number 'z'"),
        (b'{"link": "identity", "intercept": [0], "numbers": [], "tables": [{"column": "z", "keys": [], "vectors": [], '
         b'"other": null, "null": null}]}', "reads 'z'"),
    ],
)  # fmt: skip
def test_foreign_bytes_are_refused(content: bytes, reason: str) -> None:
    """And say what is wrong."""
    with pytest.raises(ArtefactRefused, match=reason):
        load(content, Opening(NUMBER_SIGNATURE, Versions()))


def test_links_stay_finite_far_out() -> None:
    """No overflow, and still probabilities."""
    signature = Signature((Column("x", "number"),), "binary", (0, 1))
    spec = {"link": "sigmoid", "intercept": [0.0], "numbers": [{"column": "x", "weights": [1.0], "null": None}],
            "tables": []}  # fmt: skip
    answer = checked(Linear(spec, signature).predict({"x": np.array([-1e6, 0.0, 1e6])}), signature, 3)
    assert np.allclose(answer[:, 1], [0, 0.5, 1])
