"""Can this estimator answer through ONNX, and is the twin its equal?

In: a fitted estimator, its signature and a sample of training rows. Out: a Twin (the ONNX bytes and the largest
difference found), or the reason why the native one must serve. Equal means: on the sample, with each nullable
column null in turn and with an unseen category in each string column, probabilities differ by at most 1e-4
(numbers by 1e-4 of their size), no class flips, and the twin refuses what the native one refuses. float32 loses
ties of thresholds, hence the proof on real rows.
"""

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from lightgbm import LGBMClassifier, LGBMRegressor
from onnxmltools.convert.lightgbm.operator_converters.LightGbm import convert_lightgbm
from skl2onnx import to_onnx, update_registered_converter
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from skl2onnx.common.shape_calculator import (
    calculate_linear_classifier_output_shapes,
    calculate_linear_regressor_output_shapes,
)
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder

from incumbent.errors import ArtefactRefused
from incumbent.records import Signature
from incumbent.runtimes.base import Columns, Floats, n_rows
from incumbent.runtimes.onnx import NULL_KEY, Onnx
from incumbent.runtimes.schema import Schema
from incumbent.runtimes.sklearn import Fitted, parts_of

TOLERANCE = 1e-4
OPSETS = {"": 18, "ai.onnx.ml": 3}
UNSEEN = "\u2203 never seen"
"""A category that no training row has."""

update_registered_converter(
    LGBMClassifier,
    "LightGbmLGBMClassifier",
    calculate_linear_classifier_output_shapes,
    convert_lightgbm,
    options={"nocl": [True, False], "zipmap": [True, False, "columns"]},
)
update_registered_converter(
    LGBMRegressor,
    "LightGbmLGBMRegressor",
    calculate_linear_regressor_output_shapes,
    convert_lightgbm,
    options={"split": None},
)


@dataclass(frozen=True, slots=True)
class Twin:
    """A proved ONNX model. `max_difference` is the largest one found (probability, or share of a number's size)."""

    content: bytes
    max_difference: float
    n_rows: int


def twin(estimator: Any, signature: Signature, sample: Columns, schema: Schema | None = None) -> Twin | str:
    """A proved twin of an estimator, or the reason for none.

    2,000 sample rows or more make a good proof: ties with a threshold are rare. `schema` is that of the training
    rows. HistGradientBoosting is tried with its thresholds moved (`decimal_thresholds`) and plainly; the first that
    is equal is taken. Raises ArtefactRefused when the estimator does not suit the signature.
    """
    native = Fitted(estimator, signature, schema)
    groups = probes(sample, signature)
    expected = [_expected(native, group) for group in groups.values()]
    reason = ""
    for variant in _variants(native):
        try:
            content = convert(variant, native)
            model = Onnx(content, signature)
        except Exception as error:  # converters raise anything; then the native one serves, and says why
            reason = reason or f"{type(error).__name__}: {_first_line(error)}"
            continue
        answers = [model.predict(group) for group in groups.values()]
        found = [compare(e, a, signature) for e, a in zip(expected, answers, strict=True)]
        unequal = [f"{name}: {why}" for name, (_, why) in zip(groups, found, strict=True) if why]
        if not unequal:
            return Twin(content, max(difference for difference, _ in found), n_rows(sample))
        reason = "; ".join(unequal[:3])
    return reason


def convert(estimator: Any, native: Fitted) -> bytes:
    """ONNX bytes of an estimator that is fitted like `native.estimator`: one input a column, one output, the
    classes in the signature's order. Not proved equal."""
    columns = {column.name: column for column in native.signature.columns}
    strings = [name for name in native.input_names if columns[name].type == "string"]
    options = {id(estimator): {"zipmap": False}} if native.signature.classifies else None
    if native.takes_transformer:
        inputs = [
            (name, StringTensorType([None, 1]) if name in strings else FloatTensorType([None, 1]))
            for name in native.input_names
        ]
    elif strings:
        raise ArtefactRefused(f"it reads the strings {', '.join(strings)} without a ColumnTransformer")
    else:
        inputs = [("matrix", FloatTensorType([None, len(native.input_names)]))]
    model = to_onnx(estimator, initial_types=inputs, options=options, target_opset=OPSETS, name="twin")
    if not native.takes_transformer:
        _split_matrix(model, list(native.input_names))
    _keep_one_output(model, native)
    entry = model.metadata_props.add()
    entry.key, entry.value = NULL_KEY, ""
    return bytes(model.SerializeToString(deterministic=True))


def probes(sample: Columns, signature: Signature) -> dict[str, Columns]:
    """The rows of the proof by what they are: the sample; 50 of them with each nullable column null in turn, and
    with all of these null; 50 with a category never seen in each string column; and for each column of decimals
    values that lie between those of the sample, on which trees put their thresholds."""
    picked = np.unique(np.linspace(0, n_rows(sample) - 1, min(50, n_rows(sample))).astype(int))
    few = {name: sample[name][picked] for name in signature.names}
    groups: dict[str, Columns] = {"training rows": {name: sample[name] for name in signature.names}}
    nulls: dict[str, Any] = {}
    for column in signature.columns:
        if column.type == "string":
            unseen = np.full(len(picked), UNSEEN, dtype=object)
            groups[f"{column.name} never seen"] = {**few, column.name: unseen}
        elif column.type == "number" and len(middles := between(sample[column.name])):
            rows = np.resize(picked, len(middles))
            some = {name: sample[name][rows] for name in signature.names}
            groups[f"{column.name} between known values"] = {**some, column.name: middles}
        if column.nullable:
            null = np.full(len(picked), None, dtype=object) if column.type == "string" else np.full(len(picked), np.nan)
            nulls[column.name] = null
            groups[f"{column.name} null"] = {**few, column.name: null}
    return {**groups, "all columns null": {**few, **nulls}} if nulls else groups


def between(values: Floats, most: int = 300) -> Floats:
    """Up to `most` short decimals in the middle of neighbouring values; none where the values are no decimals.

    >>> between(np.array([0.22, 0.24, np.nan, 0.3]))
    array([0.23, 0.27])
    """
    known = np.unique(values[np.isfinite(values)])
    places = next((d for d in range(7) if np.array_equal(np.round(known, d), known)), None)
    if places is None or len(known) < 2:
        return np.empty(0)
    middles = np.round((known[1:] + known[:-1]) / 2, places + 1)
    picked = np.unique(np.linspace(0, len(middles) - 1, min(most, len(middles))).astype(int))
    return np.asarray(middles[picked], dtype=np.float64)


def compare(expected: Floats | None, found: Floats, signature: Signature) -> tuple[float, str | None]:
    """The largest difference, and why the two are not equal (None: they are). `expected` is None where the native
    one refuses the rows: then the twin must give no number, so that the fallback answers either way."""
    if expected is None:
        return 0.0, "the twin answers what the native one refuses" if np.isfinite(found).any() else None
    if expected.shape != found.shape:
        return float("inf"), f"found an output of shape {found.shape}, expected {expected.shape}"
    if not signature.classifies:
        size = np.maximum(np.abs(expected), np.abs(expected).mean())
        differences = np.abs(found - expected) / np.where(size > 0, size, 1.0)
        return _verdict(differences, np.zeros(len(expected), dtype=bool))
    differences = np.abs(found - expected).max(axis=1)
    top = np.sort(expected, axis=1)
    flips = (found.argmax(axis=1) != expected.argmax(axis=1)) & (top[:, -1] - top[:, -2] >= TOLERANCE)
    return _verdict(differences, flips)


def decimal32(threshold: float) -> float:
    """The float32 that splits short decimals as the double does.

    HistGradientBoosting compares doubles, x <= t, and its t fall on data values; with x rounded to float32, ties
    flip unless t is rounded by the same rule.

    >>> decimal32(0.22999999999999998) < decimal32(0.23) == float(np.float32(0.23))
    True
    """
    near = np.float32(threshold)
    down = np.nextafter(near, np.float32(-np.inf))
    return float(near if float(str(near)) <= threshold else down)


def decimal_thresholds(estimator: Any) -> bool:
    """Move every threshold of HistGradientBoosting inside `estimator` (in place) by `decimal32`; was there one?"""
    moved = False
    for part in parts_of(estimator):
        for stage in getattr(part, "_predictors", ()):
            for tree in stage:
                nodes = tree.nodes
                nodes["num_threshold"] = [decimal32(t) for t in nodes["num_threshold"]]
                moved = True
    return moved


def name_nulls(estimator: Any) -> None:
    """In every OneHotEncoder inside `estimator` let the null category be "" (in place): what null is to the twin.

    An OrdinalEncoder gets this for None only; its NaN has a code of its own, which the converter knows."""
    for part in parts_of(estimator):
        if isinstance(part, OneHotEncoder | OrdinalEncoder) and hasattr(part, "categories_"):
            part.categories_ = [_named(known, isinstance(part, OneHotEncoder)) for known in part.categories_]


def _named(categories: Any, nan_too: bool) -> Any:
    if categories.dtype != object:
        return categories
    named = ["" if c is None or (nan_too and c != c) else c for c in categories]
    return np.array(named, dtype=object)


def _expected(native: Fitted, columns: Columns) -> Floats | None:
    try:
        return native.predict(columns)
    except Exception:  # an estimator may refuse nulls or unseen categories with any error
        return None


def _variants(native: Fitted) -> Iterator[Any]:
    """The estimator with decimal thresholds and plainly: which first depends on what it was trained on."""
    plain = deepcopy(native.estimator)
    name_nulls(plain)
    moved = deepcopy(plain)
    if not decimal_thresholds(moved):
        yield plain
        return
    dtypes = {} if native.schema is None else native.schema.dtypes
    in_float32 = any(dtypes.get(name, "").lower() == "float32" for name in native.input_names)
    yield from (plain, moved) if in_float32 else (moved, plain)


def _split_matrix(model: Any, names: list[str]) -> None:
    """Replace the one matrix input by one input a column."""
    graph = model.graph
    del graph.input[:]
    for name in names:
        graph.input.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [None, 1]))
    graph.node.insert(0, onnx.helper.make_node("Concat", names, ["matrix"], name="matrix", axis=1))


def _keep_one_output(model: Any, native: Fitted) -> None:
    """Drop the label output, and put the classes in the signature's order."""
    graph, order = model.graph, native.class_order
    output = graph.output[-1]
    del graph.output[:]
    if order != sorted(order) or len(order) != len(native.signature.classes):
        if len(order) != len(native.signature.classes):
            raise ArtefactRefused("it does not know every class of the signature")
        indices = onnx.helper.make_tensor("order", onnx.TensorProto.INT64, [len(order)], np.argsort(order))
        graph.initializer.append(indices)
        graph.node.append(onnx.helper.make_node("Gather", [output.name, "order"], ["ordered"], axis=1))
        output = onnx.helper.make_tensor_value_info("ordered", onnx.TensorProto.FLOAT, [None, len(order)])
    graph.output.append(output)


def _verdict(differences: Floats, flips: Any) -> tuple[float, str | None]:
    largest = float(differences.max(initial=0.0))
    if not np.isfinite(differences).all():
        return float("inf"), "it gives no finite number on some row"
    wrong = int((differences > TOLERANCE).sum())
    if wrong:
        return largest, f"differs by up to {largest:.2g} on {wrong} of {len(differences)} rows (allowed {TOLERANCE:g})"
    if flips.any():
        return largest, f"another class wins on {int(flips.sum())} of {len(differences)} rows"
    return largest, None


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [""])[0][:200]


