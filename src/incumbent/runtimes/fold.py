"""What does a pipeline make of each column? Fitted scikit-learn steps in, a function of one column a feature out.

In: a native predictor and the proof of it. Out: the linear twin (`runtimes.linear`), or the one that LightGBM's C
library runs (`runtimes.lightgbm`), proved equal, or the reason for none. Folded are scalers, imputers, one-hot and
ordinal encoders, selectors, pipelines and column transformers of these, and linear models; exactly these classes, since
a subclass may do anything. On the judging path.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sklearn import linear_model as linear
from sklearn.compose import ColumnTransformer
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.feature_selection import SelectKBest, SelectPercentile, VarianceThreshold
from sklearn.impute import MissingIndicator, SimpleImputer
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    RobustScaler,
    StandardScaler,
)

from incumbent.config import Versions
from incumbent.records import Column, Json
from incumbent.runtimes import lightgbm
from incumbent.runtimes.base import Floats, Opening
from incumbent.runtimes.linear import Linear
from incumbent.runtimes.proof import TOLERANCE, Proof, Twin
from incumbent.runtimes.sklearn import Fitted

EQUAL = 1e-9
"""The twins work in float64 like the pipeline; only the order of sums differs. (Not so after float32 rows.)"""


class Unfoldable(Exception):
    """Why a step cannot be folded."""


@dataclass(frozen=True, slots=True)
class Feature:
    """One column of the matrix that a model sees, as a function of one column of the signature.

    Without a table a number x becomes x·scale + offset; with one, a value becomes what the table says, or `other`.
    Null becomes `null`. `raw` is a column as it came, until something encodes it: its `null` is what stands for null.
    NaN is a null to what follows, and an error at the end. `element` is the place in a column of number arrays.
    """

    column: str
    element: int | None = None
    scale: float = 1.0
    offset: float = 0.0
    null: Any = np.nan
    table: Mapping[Any, float] | None = None
    other: float = np.nan
    raw: bool = False

    def moved(self, scale: float, offset: float) -> "Feature":
        """The same times `scale` plus `offset`."""
        return self._number()._each(lambda v: v * scale + offset, self.scale * scale, self.offset * scale + offset)

    def filled(self, value: float) -> "Feature":
        """The same with `value` in the place of nulls."""
        known = self._number()
        return known._each(lambda v: value if v != v else v, known.scale, known.offset)

    def nullness(self) -> "Feature":
        """1 where it is null, else 0."""
        return self._number()._each(lambda v: float(v != v), 0.0, 0.0)

    def _number(self) -> "Feature":
        if self.raw and isinstance(self.null, str):
            raise Unfoldable(f"column {self.column!r} is text where numbers are expected")
        return replace(self, raw=False)

    def _each(self, change: Callable[[float], float], scale: float, offset: float) -> "Feature":
        table = None if self.table is None else {key: change(value) for key, value in self.table.items()}
        return replace(self, scale=scale, offset=offset, null=change(self.null), table=table, other=change(self.other))


Weighted = list[tuple[Floats, Feature]]
"""Features of one column, each with its weight in each output."""


def linear_twin(native: Fitted, proof: Proof) -> Twin | str:
    """A proved linear twin, or the reason for none."""
    try:
        content = json.dumps(fold(native), sort_keys=True, allow_nan=False).encode()
    except Unfoldable as reason:
        return str(reason)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:  # fitted otherwise than known here
        return f"cannot be folded: {type(error).__name__}: {error}"
    return proof.of(Linear(json.loads(content), native.signature), content, TOLERANCE if _float32(native) else EQUAL)


def lightgbm_twin(native: Fitted, proof: Proof) -> Twin | str:
    """A proved twin that is run by LightGBM's C library, or the reason for none."""
    try:
        content = _lightgbm_content(native)
    except Unfoldable as reason:
        return str(reason)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        return f"cannot be folded: {type(error).__name__}: {error}"
    return proof.of(lightgbm.load(content, Opening(native.signature, Versions())), content, EQUAL)


def _lightgbm_content(native: Fitted) -> bytes:
    features, model = seen_by_model(native)
    if (type(model).__module__, type(model).__name__) not in _LIGHTGBM:
        raise Unfoldable(f"{type(model).__name__} is no model of LightGBM")
    if any(feature.element is not None for feature in features):
        raise Unfoldable("it reads number arrays")
    if _float32(native):
        raise Unfoldable("it was trained on float32, and thresholds lie on its roundings")
    text = model.booster_.model_to_string()
    words = [feature.column for feature in features if feature.raw and isinstance(feature.null, str)]
    known = dict(zip(words, lightgbm.pandas_categories(text), strict=True))
    specs = [_lightgbm_feature(feature, known) for feature in features]
    return lightgbm.twin_content(text, specs, native.class_order)


def _lightgbm_feature(feature: Feature, known: Mapping[str, list[Any]]) -> dict[str, Json]:
    if feature.column in known and feature.table is None:
        return lightgbm.category_feature(feature.column, known[feature.column])
    null = _or_null(feature.null)
    if feature.table is not None:
        keys = list(feature.table)
        codes = [_or_null(feature.table[key]) for key in keys]
        return {"column": feature.column, "keys": keys, "codes": codes, "other": _or_null(feature.other), "null": null}
    if (feature.scale, feature.offset) != (1.0, 0.0):
        raise Unfoldable("numbers that are scaled before trees may round to the other side of a threshold")
    return {"column": feature.column, "null": null}


def _or_null(value: float) -> float | None:
    return None if value != value else float(value)


def _float32(native: Fitted) -> bool:
    dtypes = {} if native.schema is None else native.schema.dtypes
    return any(dtypes.get(name, "").lower() == "float32" for name in native.input_names)


def fold(native: Fitted) -> dict[str, Json]:
    """The spec of `runtimes.linear` for a fitted estimator, not proved equal. Raises Unfoldable."""
    features, model = seen_by_model(native)
    if type(model) not in (*_CLASSIFIERS, *_REGRESSORS, *_COUNTS):
        raise Unfoldable(f"{type(model).__name__} is no linear model that is known here")
    weights, intercept, link = _model(model, native)
    if weights.shape[1] != len(features):
        raise Unfoldable(f"the model sees {weights.shape[1]} features, and {len(features)} were folded")
    columns = {column.name: column for column in native.signature.columns}
    numbers: dict[tuple[str, int | None], Weighted] = {}
    tables: dict[str, Weighted] = {}
    for place, feature in enumerate(features):
        weight, column = weights[:, place], columns[feature.column]
        if feature.table is None:
            numbers.setdefault((column.name, feature.element), []).append((weight, feature))
            intercept = intercept + weight * feature.offset
        else:
            tables.setdefault(column.name, []).append((weight, feature))
    for name in tables:
        if columns[name].type != "string":
            numbers.setdefault((name, None), [])
    return {
        "link": link,
        "intercept": intercept.tolist(),
        "numbers": [_numbers(key, found, tables.get(key[0], []), len(intercept)) for key, found in numbers.items()],
        "tables": [_table(columns[name], found, len(intercept)) for name, found in tables.items()],
    }


def seen_by_model(native: Fitted) -> tuple[list[Feature], Any]:
    """What the last step of a pipeline sees, and that step. Raises Unfoldable."""
    columns = {column.name: column for column in native.signature.columns}
    foldable = (*_FOLDABLE, "numbers") if native.takes_array else _FOLDABLE
    odd = [name for name in native.input_names if columns[name].type not in foldable]
    if odd:
        raise Unfoldable(f"it reads {', '.join(odd)}: times, and arrays in a DataFrame, are not folded")
    features = [feature for name in native.names for feature in _raw(columns[name])]
    model = native.estimator
    while type(model) is Pipeline:
        features = _through(model.steps[:-1], features)
        model = model.steps[-1][1]
    return features, model


def _raw(column: Column) -> list[Feature]:
    """A column as it comes: one feature, or one for each number of an array."""
    if column.type == "numbers":
        return [Feature(column.name, element=i) for i in range(column.length or 0)]
    return [Feature(column.name, raw=True, null="" if column.type == "string" else np.nan)]


# --- steps that change features ---------------------------------------------------------------------------


def _through(steps: Sequence[tuple[str, Any]], features: list[Feature]) -> list[Feature]:
    for _, step in steps:
        features = transformed(step, features)
    return features


def transformed(step: Any, features: list[Feature]) -> list[Feature]:
    """The features after a fitted transformer. Raises Unfoldable for one that is not known here."""
    if step is None or step == "passthrough":
        return features
    known = _STEPS.get(type(step))
    if known is None:
        raise Unfoldable(f"{type(step).__name__} is not folded")
    return known(step, features)


def _columns(step: ColumnTransformer, features: list[Feature]) -> list[Feature]:
    if step.transformer_weights:
        raise Unfoldable("a ColumnTransformer with transformer_weights is not folded")
    names = [str(name) for name in getattr(step, "feature_names_in_", ())]
    by_name = {feature.column: feature for feature in features if feature.raw}
    found = []
    for _, part, chosen in step.transformers_:
        if isinstance(part, str) and part == "drop":
            continue
        if not isinstance(chosen, slice) and all(isinstance(c, str) for c in chosen):
            picked = [by_name[c] for c in chosen]
        else:
            places = np.arange(step.n_features_in_)[chosen].tolist()
            picked = [by_name[names[i]] if names else features[i] for i in places]
        found += transformed(part, picked)
    return found


def _union(step: FeatureUnion, features: list[Feature]) -> list[Feature]:
    if step.transformer_weights:
        raise Unfoldable("a FeatureUnion with transformer_weights is not folded")
    parts = [part for _, part in step.transformer_list if not (isinstance(part, str) and part == "drop")]
    return [feature for part in parts for feature in transformed(part, features)]


def _same(step: FunctionTransformer, features: list[Feature]) -> list[Feature]:
    if step.func is not None:
        raise Unfoldable("a FunctionTransformer may do anything")
    return features


def _standard(step: StandardScaler, features: list[Feature]) -> list[Feature]:
    return _affine(features, step.mean_ if step.with_mean else None, step.scale_)


def _robust(step: RobustScaler, features: list[Feature]) -> list[Feature]:
    return _affine(features, step.center_ if step.with_centering else None, step.scale_ if step.with_scaling else None)


def _max_abs(step: MaxAbsScaler, features: list[Feature]) -> list[Feature]:
    _refuse_clip(step)
    return _affine(features, None, step.scale_)


def _min_max(step: MinMaxScaler, features: list[Feature]) -> list[Feature]:
    _refuse_clip(step)
    return [f.moved(float(s), float(m)) for f, s, m in zip(features, step.scale_, step.min_, strict=True)]


def _refuse_clip(step: Any) -> None:
    if getattr(step, "clip", False):
        raise Unfoldable(f"{type(step).__name__}(clip=True) is not linear")


def _affine(features: list[Feature], centre: Any, scale: Any) -> list[Feature]:
    centres = np.zeros(len(features)) if centre is None else centre
    scales = np.ones(len(features)) if scale is None else scale
    moved = zip(features, centres, scales, strict=True)
    return [f.moved(1.0 / float(s), -float(c) / float(s)) for f, c, s in moved]


def _imputer(step: SimpleImputer, features: list[Feature]) -> list[Feature]:
    if not (step.missing_values is None or step.missing_values != step.missing_values):
        raise Unfoldable(f"SimpleImputer(missing_values={step.missing_values!r}) is not folded")
    filled = []
    for feature, value in zip(features, step.statistics_, strict=True):
        if isinstance(value, str):
            if not feature.raw:
                raise Unfoldable("SimpleImputer fills encoded columns with text")
            filled.append(replace(feature, null=value))
        elif value is not None and value == value:
            filled.append(replace(feature, null=float(value)) if feature.raw else feature.filled(float(value)))
        elif step.keep_empty_features:
            raise Unfoldable("SimpleImputer keeps a column that was empty in training")
    if step.add_indicator and step.indicator_ is not None:
        filled += _indicator(step.indicator_, features)
    return filled


def _indicator(step: MissingIndicator, features: list[Feature]) -> list[Feature]:
    if any(isinstance(features[i].null, str) for i in step.features_):
        raise Unfoldable("an indicator of null text is not folded")
    return [features[i].nullness() for i in step.features_]


def _one_hot(step: OneHotEncoder, features: list[Feature]) -> list[Feature]:
    if step.min_frequency is not None or step.max_categories is not None:
        raise Unfoldable("OneHotEncoder with infrequent categories is not folded")
    other = np.nan if step.handle_unknown == "error" else 0.0
    dropped = step.drop_idx_ if step.drop_idx_ is not None else [None] * len(features)
    found = []
    for feature, categories, skip in zip(features, step.categories_, dropped, strict=True):
        keys = _keys(categories)
        for place, key in enumerate(keys):
            if place != skip:
                found.append(_encoded(feature, {k: float(k == key) for k in keys}, other))
    return found


def _ordinal(step: OrdinalEncoder, features: list[Feature]) -> list[Feature]:
    if step.min_frequency is not None or step.max_categories is not None:
        raise Unfoldable("OrdinalEncoder with infrequent categories is not folded")
    other = np.nan if step.handle_unknown == "error" else float(step.unknown_value)
    found = []
    for feature, categories in zip(features, step.categories_, strict=True):
        codes = {key: float(code) for code, key in enumerate(_keys(categories))}
        if len(categories) and isinstance(categories[-1], float) and np.isnan(categories[-1]):
            codes[None] = float(step.encoded_missing_value)
        found.append(_encoded(feature, codes, other))
    return found


def _encoded(feature: Feature, codes: Mapping[Any, float], other: float) -> Feature:
    """A raw column through a table of all its categories, null (the key None) among them where training had it."""
    if not feature.raw:
        raise Unfoldable("an encoder after another step is not folded")
    text = any(isinstance(key, str) for key in codes)
    if text is not isinstance(feature.null, str) and any(key is not None for key in codes):
        raise Unfoldable(f"column {feature.column!r}: the encoder and the signature differ on whether it is text")
    stays_null = feature.null in ("", None) or feature.null != feature.null
    null = codes.get(None if stays_null else feature.null, other)
    table = {key: code for key, code in codes.items() if key is not None}
    return Feature(feature.column, null=null, table=table, other=other)


def _keys(categories: Any) -> list[Any]:
    """Categories as keys: text, numbers as float, None for null."""
    found = [v if isinstance(v, str) else None if v is None or v != v else float(v) for v in categories]
    if found.count(None) > 1 or "" in found:
        raise Unfoldable("an encoder that tells None, NaN and empty text apart is not folded")
    return found


def _selected(step: Any, features: list[Feature]) -> list[Feature]:
    return [features[i] for i in step.get_support(indices=True)]


_STEPS: Mapping[type, Callable[[Any, list[Feature]], list[Feature]]] = {
    ColumnTransformer: _columns,
    FeatureUnion: _union,
    FunctionTransformer: _same,
    MaxAbsScaler: _max_abs,
    MinMaxScaler: _min_max,
    MissingIndicator: _indicator,
    OneHotEncoder: _one_hot,
    OrdinalEncoder: _ordinal,
    Pipeline: lambda step, features: _through(step.steps, features),
    RobustScaler: _robust,
    SelectKBest: _selected,
    SelectPercentile: _selected,
    SimpleImputer: _imputer,
    StandardScaler: _standard,
    VarianceThreshold: _selected,
}
_FOLDABLE = ("number", "integer", "boolean", "string")


_LIGHTGBM = (("lightgbm.sklearn", "LGBMClassifier"), ("lightgbm.sklearn", "LGBMRegressor"))

# --- linear models ----------------------------------------------------------------------------------------

_CLASSIFIERS = (
    LinearDiscriminantAnalysis, linear.LogisticRegression, linear.LogisticRegressionCV, linear.SGDClassifier,
)  # fmt: skip
_REGRESSORS = (
    linear.ARDRegression, linear.BayesianRidge, linear.ElasticNet, linear.ElasticNetCV, linear.HuberRegressor,
    linear.Lars, linear.LarsCV, linear.Lasso, linear.LassoCV, linear.LassoLars, linear.LassoLarsCV,
    linear.LassoLarsIC, linear.LinearRegression, linear.OrthogonalMatchingPursuit, linear.QuantileRegressor,
    linear.Ridge, linear.RidgeCV, linear.SGDRegressor, linear.TheilSenRegressor,
)  # fmt: skip


_COUNTS = (linear.GammaRegressor, linear.PoissonRegressor)  # their link is the logarithm


def _model(model: Any, native: Fitted) -> tuple[Floats, Floats, str]:
    """(n_outputs, n_features) weights, (n_outputs,) intercept and the link, the classes in the signature's order."""
    weights = np.atleast_2d(np.asarray(model.coef_, dtype=np.float64))
    intercept = np.atleast_1d(np.asarray(model.intercept_, dtype=np.float64))
    intercept = np.resize(intercept, len(weights)) if len(intercept) == 1 else intercept
    if type(model) in _REGRESSORS:
        return weights, intercept, "identity"
    if type(model) in _COUNTS:
        return weights, intercept, "exp"
    if type(model) is linear.SGDClassifier and model.loss != "log_loss":
        raise Unfoldable(f"SGDClassifier(loss={model.loss!r}) has other probabilities than the logistic ones")
    order = native.class_order
    if len(order) != len(native.signature.classes):
        raise Unfoldable("it does not know every class of the signature")
    if len(weights) == 1:
        sign = 1.0 if order == [0, 1] else -1.0
        return sign * weights, sign * intercept, "sigmoid"
    link = "one_vs_rest" if type(model) is linear.SGDClassifier else "softmax"
    placed = np.argsort(order)
    return weights[placed], intercept[placed], link


def _numbers(key: tuple[str, int | None], found: Weighted, tabled: Weighted, outputs: int) -> dict[str, Json]:
    """What a number adds; `null` is beside the offsets, which are in the intercept."""
    weights = sum((weight * feature.scale for weight, feature in found), np.zeros(outputs))
    null = sum((weight * (feature.null - feature.offset) for weight, feature in found), np.zeros(outputs))
    null = sum((weight * feature.null for weight, feature in tabled), null)
    place = {"column": key[0]} if key[1] is None else {"column": key[0], "element": key[1]}
    return {**place, "weights": weights.tolist(), "null": _or_none(null)}


def _table(column: Column, found: Weighted, outputs: int) -> dict[str, Json]:
    """What a category adds; what a null number adds stands with the numbers."""
    keys = sorted({key for _, feature in found for key in feature.table or ()}, key=lambda key: (str(type(key)), key))

    def added(value: Callable[[Feature], float]) -> list[float] | None:
        return _or_none(sum((weight * value(feature) for weight, feature in found), np.zeros(outputs)))

    null = added(lambda feature: feature.null) if column.type == "string" else [0.0] * outputs
    vectors = [added(lambda f, key=key: (f.table or {}).get(key, f.other)) for key in keys]  # type: ignore[misc]
    return {"column": column.name, "keys": keys, "vectors": vectors, "other": added(lambda f: f.other), "null": null}


def _or_none(vector: Floats) -> list[float] | None:
    return None if np.isnan(vector).any() else vector.tolist()
