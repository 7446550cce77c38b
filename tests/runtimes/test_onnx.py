"""An ONNX session takes columns by name and refuses a model that does not suit the signature."""

import numpy as np
import pytest
from flight_rows import BINARY, flights, task_of, trees
from lightgbm import LGBMClassifier

from incumbent.config import Versions
from incumbent.errors import ArtefactRefused
from incumbent.records import Column, Signature
from incumbent.runtimes import frames, schema
from incumbent.runtimes.base import Columns, Opening
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
