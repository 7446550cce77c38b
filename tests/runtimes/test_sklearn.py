"""A fitted estimator answers columns as it answers its own DataFrame, and is stored without code that runs on load."""

import pickle
from typing import Any

import numpy as np
import pandas as pd
import polars
import pytest
import skops.io
from flight_rows import BINARY, FEATURES, MULTICLASS, NUMBER, flights, linear, task_of, trees
from lightgbm import LGBMClassifier, LGBMRegressor
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor, RandomForestClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.svm import LinearSVC

from incumbent.config import Task, Versions
from incumbent.errors import ArtefactRefused
from incumbent.records import Signature
from incumbent.runtimes import frames, schema
from incumbent.runtimes.base import Opening
from incumbent.runtimes.sklearn import Fitted, canonical, load_pickle, load_skops, pack

MODELS: list[tuple[Task, Any]] = [
    (BINARY, trees(HistGradientBoostingClassifier(max_iter=10))),
    (BINARY, trees(LGBMClassifier(n_estimators=10, verbose=-1, n_jobs=1))),
    (BINARY, trees(RandomForestClassifier(10, random_state=0))),
    (BINARY, linear(LogisticRegression())),
    (MULTICLASS, trees(LGBMClassifier(n_estimators=5, verbose=-1, n_jobs=1))),
    (MULTICLASS, linear(LogisticRegression())),
    (NUMBER, trees(HistGradientBoostingRegressor(max_iter=10))),
    (NUMBER, trees(LGBMRegressor(n_estimators=10, verbose=-1, n_jobs=1))),
    (NUMBER, linear(Ridge())),
]


class Untrusted(ClassifierMixin, BaseEstimator):
    """A user's own classifier, which skops does not know."""

    def fit(self, rows: Any, truth: Any) -> "Untrusted":
        self.classes_ = np.unique(truth)
        return self

    def predict_proba(self, rows: Any) -> Any:
        return np.full((len(rows), len(self.classes_)), 1 / len(self.classes_))


def opening(signature: Signature, rows: pd.DataFrame, vouched: bool = True, **versions: Any) -> Opening:
    return Opening(signature, Versions(**versions), schema.of(rows).to_json(), vouched)


@pytest.mark.parametrize(("task", "model"), MODELS)
def test_a_stored_estimator_answers_as_it_did_on_its_dataframe(task: Task, model: Any) -> None:
    """To the last bit, after skops and from columns, one row or many."""
    rows = flights(600)
    model.fit(rows, rows[task.target])
    signature = frames.infer_signature(rows, task_of(task))
    part, content = pack(model, opening(signature, rows))
    again = load_skops(content, opening(signature, rows))
    columns = frames.columns(rows, signature)
    expected = model.predict_proba(rows) if signature.classifies else model.predict(rows)
    assert part == "native.skops"
    assert np.array_equal(again.predict(columns), expected)
    assert np.allclose(again.predict({k: v[3:4] for k, v in columns.items()}), expected[3:4], rtol=1e-12)
    assert again.predict({k: v[:0] for k, v in columns.items()}).shape == expected[:0].shape


@pytest.mark.parametrize(
    ("column", "dtype"),
    [("temp", "float32"), ("carrier", "category"), ("carrier", "object"), ("hour", "int16"), ("hour", "Int64")],
)
def test_columns_come_back_in_the_dtypes_of_training(column: str, dtype: str) -> None:
    """A float32 that comes back as float64 would answer otherwise."""
    rows = flights(400).astype({column: dtype})
    model = LGBMClassifier(n_estimators=5, verbose=-1, n_jobs=1)
    features = rows[[name for name in FEATURES if name != "carrier" or dtype == "category"]]
    model.fit(features, rows["late"])
    signature = frames.infer_signature(rows, task_of(BINARY, features=tuple(features.columns)))
    known = schema.of(rows)
    columns = frames.columns(rows, signature)
    rebuilt = schema.native(columns, signature, known)
    pd.testing.assert_frame_equal(rebuilt, features)
    assert np.array_equal(Fitted(model, signature, known).predict(columns), model.predict_proba(features))


def test_an_estimator_that_was_fitted_on_an_array_gets_one() -> None:
    """In the order of the signature."""
    rows = flights(300)
    model = LogisticRegression().fit(rows[["hour", "precip"]].to_numpy(), rows["late"])
    signature = frames.infer_signature(rows, task_of(BINARY, features=("hour", "precip")))
    found = Fitted(model, signature).predict(frames.columns(rows, signature))
    assert np.allclose(found, model.predict_proba(rows[["hour", "precip"]].to_numpy()), rtol=1e-12)


def test_probabilities_come_in_the_order_of_the_signature() -> None:
    """The positive class last, and 0 for a class that a refit never saw."""
    rows = flights(600)
    model = linear(LogisticRegression()).fit(rows, rows["late"])
    signature = frames.infer_signature(rows, task_of(BINARY, positive=0))
    columns = frames.columns(rows, signature)
    assert np.array_equal(Fitted(model, signature).predict(columns), model.predict_proba(rows)[:, ::-1])
    fares = frames.infer_signature(rows, task_of(MULTICLASS))
    part = rows[rows["fare"] != "mid"]
    model = linear(LogisticRegression()).fit(part, part["fare"])
    found = Fitted(model, fares).predict(columns)
    assert found.shape == (600, 3) and (found[:, 1] == 0).all() and np.allclose(found.sum(axis=1), 1)
    with pytest.raises(ArtefactRefused, match=r"knows the classes \['low', 'top'\]; the signature has \[1, 0\]"):
        Fitted(model, signature)


def test_a_classifier_without_probabilities_is_refused() -> None:
    """And the message says how to give it some."""
    rows = flights(300)
    signature = frames.infer_signature(rows, task_of(BINARY))
    with pytest.raises(ArtefactRefused, match=r"LinearSVC has no predict_proba.*CalibratedClassifierCV"):
        Fitted(LinearSVC(), signature)


def test_an_unknown_type_needs_a_line_of_trust() -> None:
    """The refusal names the type and the line; with that line it is stored and loaded."""
    rows = flights(300)
    model = Untrusted().fit(rows, rows["late"])
    signature = frames.infer_signature(rows, task_of(BINARY))
    name = f"{Untrusted.__module__}.Untrusted"
    with pytest.raises(ArtefactRefused) as caught:
        pack(model, opening(signature, rows))
    assert f'trust = ["{name}"]' in str(caught.value)
    part, content = pack(model, opening(signature, rows, trust=(name,)))
    assert part == "native.skops"
    with pytest.raises(ArtefactRefused, match="types that nobody trusts"):
        load_skops(content, opening(signature, rows))


def test_a_pickle_needs_the_opt_in_and_the_ledger() -> None:
    """Both, each time it is loaded."""
    rows = flights(300)
    model = Untrusted().fit(rows, rows["late"])
    signature = frames.infer_signature(rows, task_of(BINARY))
    part, content = pack(model, opening(signature, rows, pickle=True))
    assert part == "native.pickle" and isinstance(pickle.loads(content), Untrusted)
    with pytest.raises(ArtefactRefused, match=r"under \[versions\]: pickle = true"):
        load_pickle(content, opening(signature, rows))
    with pytest.raises(ArtefactRefused, match="is not on our ledger"):
        load_pickle(content, opening(signature, rows, vouched=False, pickle=True))
    assert load_pickle(content, opening(signature, rows, pickle=True)).runtime == "sklearn"


def test_what_skops_cannot_write_says_how_to_opt_in_to_pickle() -> None:
    """An estimator that holds a lambda, say."""
    rows = flights(300)
    model = linear(LogisticRegression()).fit(rows, rows["late"])
    model.note = lambda: None
    signature = frames.infer_signature(rows, task_of(BINARY))
    with pytest.raises(ArtefactRefused, match=r"pickle = true|nobody trusts"):
        pack(model, opening(signature, rows))


def test_the_same_model_has_the_same_bytes() -> None:
    """No memory address and no time is left in the file, so hashes repeat."""
    rows = flights(300)
    fits = [trees(HistGradientBoostingClassifier(max_iter=3, random_state=0)).fit(rows, rows["late"]) for _ in range(2)]
    first, second = (canonical(skops.io.dumps(fit)) for fit in fits)
    assert first == second


def test_bytes_that_are_no_skops_file_are_refused() -> None:
    """Whatever skops raises."""
    rows = flights(10)
    with pytest.raises(ArtefactRefused, match="skops does not read this file"):
        load_skops(b"PK nonsense", opening(frames.infer_signature(rows, task_of(BINARY)), rows))


def test_a_loaded_forest_uses_one_thread() -> None:
    """More threads make a single row slower."""
    rows = flights(300)
    model = trees(RandomForestClassifier(5, n_jobs=2)).fit(rows, rows["late"])
    signature = frames.infer_signature(rows, task_of(BINARY))
    loaded = load_skops(pack(model, opening(signature, rows))[1], opening(signature, rows))
    assert loaded.estimator[-1].n_jobs == 1 and model[-1].n_jobs == 2


def test_polars_rows_come_back_as_polars_rows() -> None:
    """An estimator trained on Polars answers as it did."""
    rows = flights(400)
    other = polars.DataFrame({name: [None if v != v else v for v in rows[name].tolist()] for name in rows.columns})
    model = trees(LGBMClassifier(n_estimators=5, verbose=-1, n_jobs=1)).fit(other, rows["late"].to_numpy())
    signature = frames.infer_signature(other, task_of(BINARY))
    again = load_skops(pack(model, opening(signature, other))[1], opening(signature, other))
    assert np.array_equal(again.predict(frames.columns(other, signature)), model.predict_proba(other))
