"""An ONNX session takes columns by name and refuses a model that does not suit the signature."""

from typing import Any

import numpy as np
import onnx
import pandas as pd
import pytest
from flight_rows import BINARY, flights, task_of, trees
from lightgbm import LGBMClassifier
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, Int64TensorType
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from incumbent.config import Versions
from incumbent.errors import ArtefactRefused, DataError
from incumbent.records import Column, Signature
from incumbent.runtimes import frames, schema
from incumbent.runtimes.base import Columns, Opening, takes_matrix
from incumbent.runtimes.compile import twin
from incumbent.runtimes.onnx import Onnx, load, pack
from incumbent.runtimes.proof import Twin


@pytest.fixture(scope="module")
def made() -> tuple[bytes, Signature, Columns]:
    """A twin with its signature and columns."""
    rows = flights()
    model = trees(LGBMClassifier(n_estimators=5, verbose=-1, n_jobs=1)).fit(rows, rows["late"])
    signature = frames.infer_signature(rows, task_of(BINARY))
    columns = frames.columns(rows, signature)
    found = twin(model, signature, columns, schema.of(rows))
    assert isinstance(found, Twin)
    return found.content, signature, columns


def test_a_row_alone_gets_the_same_answer_as_among_others(made: tuple[bytes, Signature, Columns]) -> None:
    """And no row gets none; what was packed is what loads."""
    content, signature, columns = made
    part, packed = pack(Onnx(content, signature), Opening(signature, Versions()))
    model = load(packed, Opening(signature, Versions()))
    whole = model.predict(columns)
    assert part == "model.onnx" and pack(content, Opening(signature, Versions())) == (part, packed)
    for i in range(20):
        assert np.array_equal(model.predict({k: v[i : i + 1] for k, v in columns.items()})[0], whole[i])
    assert model.predict({k: v[:0] for k, v in columns.items()}).shape == (0, 2)


def test_predict_leaves_its_input_alone(made: tuple[bytes, Signature, Columns]) -> None:
    """A null stays None in the columns that were passed."""
    content, signature, columns = made
    few = {name: values[:2].copy() for name, values in columns.items()}
    few["carrier"][0] = None
    Onnx(content, signature).predict(few)
    assert few["carrier"][0] is None


def test_bytes_that_are_no_model_are_refused() -> None:
    """With what onnxruntime says."""
    with pytest.raises(ArtefactRefused, match="onnxruntime does not load this model"):
        Onnx(b"nonsense", Signature((), "binary", (0, 1)))


def test_a_model_of_other_columns_is_refused(made: tuple[bytes, Signature, Columns]) -> None:
    """A missing column, or one of another type."""
    content, signature, _ = made
    with pytest.raises(ArtefactRefused, match="the model takes 'carrier'; the signature has hour"):
        Onnx(content, Signature((Column("hour", "integer"),), "binary", (0, 1)))
    changed = tuple(Column(c.name, "number") for c in signature.columns)
    with pytest.raises(ArtefactRefused, match=r"input 'carrier' is tensor\(string\), expected tensor\(float\)"):
        Onnx(content, Signature(changed, "binary", (0, 1)))


NUMBERS_ONLY = Signature((Column("x", "number"), Column("k", "integer")), "binary", (0, 1))
MATRIX = np.array([[0.1, 1.0], [0.7, 5.0], [-0.3, 2.0]])
COLUMNS = {"x": MATRIX[:, 0], "k": MATRIX[:, 1]}


def fitted() -> tuple[LogisticRegression, np.ndarray[Any, Any]]:
    """What most people convert: an estimator fitted on one matrix, with its rows."""
    rows = np.random.default_rng(0).normal(size=(200, 2))
    return LogisticRegression().fit(rows, (rows[:, 0] > 0).astype(int)), rows


def small_model(operator: str, type: int, width: Any) -> bytes:
    """One operator on the first column of one input `m`, with the output (n, 1)."""
    first = onnx.helper.make_tensor("first", onnx.TensorProto.INT64, [1], [0])
    nodes = [
        onnx.helper.make_node("Gather", ["m", "first"], ["picked"], axis=1),
        onnx.helper.make_node(operator, ["picked"], ["y"]),
    ]
    taken = onnx.helper.make_tensor_value_info("m", type, ["n", width])
    given = onnx.helper.make_tensor_value_info("y", type, ["n", 1])
    graph = onnx.helper.make_graph(nodes, "small", [taken], [given], [first])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=9)
    return bytes(model.SerializeToString())


def test_a_converted_estimator_takes_one_matrix() -> None:
    """As skl2onnx makes it: the label before the probabilities, all numbers of the signature in their order."""
    model, rows = fitted()
    content = to_onnx(model, rows[:1].astype(np.float32), options={"zipmap": False}).SerializeToString()
    found = Onnx(content, NUMBERS_ONLY)
    assert takes_matrix(found)
    assert np.allclose(found.predict(COLUMNS), model.predict_proba(MATRIX), atol=1e-6)
    assert np.array_equal(found.predict_matrix(MATRIX), found.predict(COLUMNS))
    assert np.array_equal(found.predict_matrix(np.asfortranarray(MATRIX)), found.predict(COLUMNS))
    assert found.predict_matrix(MATRIX[:0]).shape == (0, 2)


def test_an_input_a_column_takes_the_matrix_too() -> None:
    """Also where the columns come in another order, and in whole numbers."""
    model, rows = fitted()
    taken = [("k", Int64TensorType([None, 1])), ("x", FloatTensorType([None, 1]))]
    frame = pd.DataFrame({"k": rows[:, 1].astype(int), "x": rows[:, 0]})
    both = ColumnTransformer([("all", "passthrough", ["k", "x"])])
    whole = make_pipeline(both, model.fit(frame.to_numpy(), frame["x"] > 0)).fit(frame, frame["x"] > 0)
    found = Onnx(to_onnx(whole, initial_types=taken, options={"zipmap": False}).SerializeToString(), NUMBERS_ONLY)
    expected = whole.predict_proba(pd.DataFrame({"k": MATRIX[:, 1].astype(int), "x": MATRIX[:, 0]}))
    assert np.allclose(found.predict(COLUMNS), expected, atol=1e-6)
    assert np.array_equal(found.predict_matrix(MATRIX), found.predict(COLUMNS))
    with pytest.raises(DataError, match="found a null for the input 'k', which takes whole numbers"):
        found.predict({**COLUMNS, "k": np.array([1.0, np.nan, 2.0])})


@pytest.mark.parametrize("width", [2, None])
@pytest.mark.parametrize("type", [onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE])
def test_one_output_is_the_probability_of_the_second_class(type: int, width: Any) -> None:
    """What networks with a sigmoid give; in double precision where the model is."""
    found = Onnx(small_model("Sigmoid", type, width), NUMBERS_ONLY).predict(COLUMNS)
    second = 1 / (1 + np.exp(-MATRIX[:, 0]))
    tolerance = 1e-7 if type == onnx.TensorProto.FLOAT else 1e-15
    assert np.allclose(found, np.column_stack([1 - second, second]), atol=tolerance)


def test_numbers_come_as_one_column() -> None:
    """A regression."""
    signature = Signature(NUMBERS_ONLY.columns, "regression")
    found = Onnx(small_model("Neg", onnx.TensorProto.DOUBLE, 2), signature)
    assert found.predict(COLUMNS).tolist() == [-0.1, -0.7, 0.3]


def test_models_that_do_not_suit_are_refused() -> None:
    """Another width, text among the columns, whole numbers for decimals, a ZipMap."""
    wide = small_model("Neg", onnx.TensorProto.FLOAT, 3)
    with pytest.raises(ArtefactRefused, match=r"'m' takes 3 columns; the signature has 2: x, k\. Name the columns"):
        Onnx(wide, NUMBERS_ONLY)
    mixed = Signature((*NUMBERS_ONLY.columns, Column("w", "string")), "binary", (0, 1))
    with pytest.raises(ArtefactRefused, match="one matrix 'm' of numbers; w is none"):
        Onnx(small_model("Neg", onnx.TensorProto.FLOAT, 2), mixed)
    with pytest.raises(ArtefactRefused, match=r"'m' is tensor\(int64\), expected tensor\(float\) or tensor\(double\)"):
        Onnx(small_model("Neg", onnx.TensorProto.INT64, 2), NUMBERS_ONLY)
    model, rows = fitted()
    with pytest.raises(ArtefactRefused, match=r"convert it with options=\{'zipmap': False\}"):
        Onnx(to_onnx(model, rows[:1].astype(np.float32)).SerializeToString(), NUMBERS_ONLY)


def test_number_arrays_go_into_a_matrix() -> None:
    """Alone under their own name, or beside numbers as one matrix; the width is that of all of them."""
    arrays = np.array([[0.1, 0.2], [0.3, np.nan], [0.5, 0.6]])
    signature = Signature((Column("k", "integer"), Column("m", "numbers", length=2)), "regression")
    content = small_model("Neg", onnx.TensorProto.DOUBLE, 2)
    alone = Onnx(content, signature)
    assert not takes_matrix(alone)
    assert alone.predict({"k": MATRIX[:, 1], "m": arrays}).tolist() == [-0.1, -0.3, -0.5]
    whole = Onnx(small_model("Neg", onnx.TensorProto.DOUBLE, 3), Signature(
        (Column("k", "integer"), Column("e", "numbers", length=2)), "regression"))  # fmt: skip
    assert whole.predict({"k": MATRIX[:, 1], "e": arrays}).tolist() == [-1, -5, -2]
    with pytest.raises(ArtefactRefused, match="takes 4 columns; the signature has 2: m"):
        Onnx(small_model("Neg", onnx.TensorProto.DOUBLE, 4), signature)
