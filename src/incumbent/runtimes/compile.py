"""Can this estimator answer through ONNX, and is the twin its equal?

In: a fitted estimator, its signature and a sample of training rows. Out: a Twin (the ONNX bytes and the largest
difference found), or the reason why the native one must serve. What equal means: `runtimes.proof`. float32 loses
ties of thresholds, hence the proof on real rows.
"""

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import numpy as np
import onnx
from lightgbm import Booster, LGBMClassifier, LGBMRegressor
from onnxmltools import convert_lightgbm as convert_booster
from onnxmltools import convert_xgboost
from onnxmltools.convert.common.data_types import FloatTensorType as BoosterTensorType
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
from incumbent.runtimes.base import SCALAR, Columns
from incumbent.runtimes.lightgbm import LightGbm
from incumbent.runtimes.onnx import NULL_KEY, NUMBERS, Onnx
from incumbent.runtimes.proof import Proof, Twin
from incumbent.runtimes.schema import Schema
from incumbent.runtimes.sklearn import Fitted, parts_of

Native = Any
"""`Fitted`, `LightGbm`, `XgBoost` or `CatBoostModel`: the packages of the last two are extras, not imported here."""
PICKED = "picked_numbers"
"""The columns that an estimator without a ColumnTransformer takes, as one matrix."""
OPSETS = {"": 18, "ai.onnx.ml": 3}

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


def twin(estimator: Any, signature: Signature, sample: Columns, schema: Schema | None = None) -> Twin | str:
    """A proved twin of an estimator, or the reason for none.

    `schema` is that of the training rows. HistGradientBoosting is tried with its thresholds moved
    (`decimal_thresholds`) and plainly; the first that is equal is taken. Raises ArtefactRefused when the estimator
    does not suit the signature.
    """
    native = Fitted(estimator, signature, schema)
    return proved(native, Proof(native, sample))


def proved(native: Native, proof: Proof) -> Twin | str:
    """`twin` of a native predictor (LightGBM's Booster too) whose answers the proof knows."""
    found: Twin | str = ""
    for variant in _variants(native):
        try:
            content = convert(variant, native)
            model = Onnx(content, native.signature)
        except Exception as error:  # converters raise anything; then the native one serves, and says why
            found = found or f"{type(error).__name__}: {_first_line(error)}"
            continue
        found = proof.of(model, content)
        if isinstance(found, Twin):
            break
    return found


def convert(estimator: Any, native: Native) -> bytes:
    """ONNX bytes of an estimator that is fitted like `native.estimator`: all numbers as one input, one input for each
    column of strings, one output, the classes in the signature's order. Not proved equal."""
    columns = {column.name: column for column in native.signature.columns}
    strings = [name for name in native.input_names if columns[name].type == "string"]
    arrays = [name for name in native.input_names if columns[name].type == "numbers"]
    if arrays:
        raise ArtefactRefused(f"it reads the number arrays {', '.join(arrays)}, which no twin takes")
    options = {id(estimator): {"zipmap": False}} if native.signature.classifies else None
    if isinstance(native, Fitted) and native.takes_transformer:
        inputs = [
            (name, StringTensorType([None, 1]) if name in strings else FloatTensorType([None, 1]))
            for name in native.input_names
        ]
    elif strings:
        raise ArtefactRefused(f"it reads the strings {', '.join(strings)} without a ColumnTransformer")
    else:
        inputs = [(PICKED, FloatTensorType([None, len(native.input_names)]))]
    if native.runtime in ("xgboost", "catboost"):
        model = _boosted(native)
    elif isinstance(estimator, Booster):
        taken = [(PICKED, BoosterTensorType([None, len(native.input_names)]))]
        model = convert_booster(estimator, name="twin", initial_types=taken, target_opset=15, zipmap=False)
    else:
        model = to_onnx(estimator, initial_types=inputs, options=options, target_opset=OPSETS, name="twin")
    _join_numbers(model, native)
    _keep_one_output(model, native)
    entry = model.metadata_props.add()
    entry.key, entry.value = NULL_KEY, ""
    return bytes(model.SerializeToString(deterministic=True))


def _boosted(native: Native) -> Any:
    """XGBoost's model as onnxmltools converts it, or CatBoost's as it writes itself: one matrix in, without ZipMap."""
    if native.runtime == "xgboost":
        taken = [(PICKED, BoosterTensorType([None, len(native.input_names)]))]
        return convert_xgboost(native.unnamed(), name="twin", initial_types=taken, target_opset=15)
    model = onnx.load_model_from_string(native.as_onnx())
    graph = model.graph
    zipped = [node for node in graph.node if node.op_type == "ZipMap"]
    for node in zipped:
        graph.node.remove(node)
        width = len(native.signature.classes)
        graph.output[-1].CopyFrom(_info(node.input[0], onnx.TensorProto.FLOAT, width))
    graph.node.insert(0, _node("Identity", [PICKED], [graph.input[0].name]))
    graph.input[0].name = PICKED
    if not zipped:
        graph.output[0].type.tensor_type.ClearField("shape")  # it says (n,) and gives (n, 1)
    return model


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


def _variants(native: Native) -> Iterator[Any]:
    """The estimator with decimal thresholds and plainly: which first depends on what it was trained on."""
    if native.runtime in ("xgboost", "catboost"):
        yield native
        return
    if isinstance(native, LightGbm):
        yield Booster(model_str=native.text)
        return
    plain = deepcopy(native.estimator)
    name_nulls(plain)
    moved = deepcopy(plain)
    if not decimal_thresholds(moved):
        yield plain
        return
    dtypes = {} if native.schema is None else native.schema.dtypes
    in_float32 = any(dtypes.get(name, "").lower() == "float32" for name in native.input_names)
    yield from (plain, moved) if in_float32 else (moved, plain)


def _join_numbers(model: Any, native: Native) -> None:
    """One matrix input of all numbers of the signature, in the place of one input a column (or of some columns).

    The converter writes the names of inputs with letters, digits and underscores only; strings get theirs back.
    """
    graph, taken = model.graph, list(native.input_names)
    scalars = [column.name for column in native.signature.columns if column.type in SCALAR]
    tensors = dict(zip(taken, graph.input, strict=True)) if native.takes_transformer else {}
    strings = [name for name in taken if name not in scalars]
    nodes = [_node("Identity", [name], [tensors[name].name]) for name in strings if tensors[name].name != name]
    inputs = [_info(name, onnx.TensorProto.STRING, 1) for name in strings]
    if len(strings) < len(taken):
        inputs.append(_info(NUMBERS, onnx.TensorProto.FLOAT, len(scalars)))
        if native.takes_transformer:
            outputs = [tensors[name].name if name in taken else f"unused_{i}" for i, name in enumerate(scalars)]
            nodes.append(_node("Split", [NUMBERS, _constant(graph, "sizes", [1] * len(scalars))], outputs, axis=1))
        elif taken == scalars:
            nodes.append(_node("Identity", [NUMBERS], [PICKED]))
        else:
            places = _constant(graph, "places", [scalars.index(name) for name in taken])
            nodes.append(_node("Gather", [NUMBERS, places], [PICKED], axis=1))
    del graph.input[:]
    graph.input.extend(inputs)
    for node in reversed(nodes):
        graph.node.insert(0, node)


def _node(operator: str, inputs: list[str], outputs: list[str], **settings: Any) -> Any:
    return onnx.helper.make_node(operator, inputs, outputs, name=f"incumbent_{outputs[0]}", **settings)


def _info(name: str, type: int, width: int) -> Any:
    return onnx.helper.make_tensor_value_info(name, type, [None, width])


def _constant(graph: Any, name: str, values: list[int]) -> str:
    graph.initializer.append(onnx.helper.make_tensor(name, onnx.TensorProto.INT64, [len(values)], values))
    return name


def _keep_one_output(model: Any, native: Native) -> None:
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


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [""])[0][:200]
