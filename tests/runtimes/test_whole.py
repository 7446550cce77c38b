"""An ONNX model brings its own weights: what lies elsewhere is fetched from its own folder only, and never by bytes."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from incumbent.config import Versions
from incumbent.errors import ArtefactRefused
from incumbent.records import Column, Signature
from incumbent.runtimes.base import Opening
from incumbent.runtimes.onnx import Onnx, pack
from incumbent.runtimes.whole import check_onnx, in_one_piece

SIGNATURE = Signature(tuple(Column(f"x{i}", "number") for i in range(4)), "regression")


def model(in_a_branch: bool = False) -> onnx.ModelProto:
    """x @ weights, as an exporter of a neural network writes it: float32, one matrix. Or the weights in a branch."""
    weights = numpy_helper.from_array(np.arange(4, dtype=np.float32).reshape(4, 1), "weights")
    x, y = (helper.make_tensor_value_info(n, TensorProto.FLOAT, ["n", w]) for n, w in (("x", 4), ("y", 1)))
    product = helper.make_node("MatMul", ["x", "weights"], ["y"])
    nodes, held = [product], [weights]
    if in_a_branch:
        inner = helper.make_graph([product], "inner", [], [y], [weights])
        yes = helper.make_node("Constant", [], ["yes"], value=numpy_helper.from_array(np.array(True)))
        nodes, held = [yes, helper.make_node("If", ["yes"], ["y"], then_branch=inner, else_branch=inner)], []
    graph = helper.make_graph(nodes, "g", [x], [y], held)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def outside(found: onnx.ModelProto, location: str) -> bytes:
    """The model with its weights in another file."""
    tensors = [*found.graph.initializer]
    for node in found.graph.node:
        for attribute in node.attribute:
            tensors += attribute.g.initializer
    for tensor in tensors:
        onnx.external_data_helper.set_external_data(tensor, location, offset=0, length=16)
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
    return found.SerializeToString()


@pytest.mark.parametrize("in_a_branch", [False, True])
def test_bytes_with_weights_elsewhere_are_refused(in_a_branch: bool) -> None:
    """Also where they hide in a subgraph; a model in one piece passes."""
    whole = model(in_a_branch).SerializeToString()
    check_onnx(whole)
    assert pack(whole, Opening(SIGNATURE, Versions())) == ("model.onnx", whole)
    with pytest.raises(ArtefactRefused, match=r"the weights 'weights' lie in another file \(/etc/passwd\)"):
        pack(outside(model(in_a_branch), "/etc/passwd"), Opening(SIGNATURE, Versions()))


def test_weights_beside_the_model_come_with_it(tmp_path: Path) -> None:
    """One model in one piece, which answers."""
    (tmp_path / "weights.bin").write_bytes(np.arange(4, dtype=np.float32).tobytes())
    (tmp_path / "model.onnx").write_bytes(outside(model(), "weights.bin"))
    found = in_one_piece(tmp_path / "model.onnx", tmp_path)
    check_onnx(found)
    rows = {f"x{i}": np.array([1.0, 2.0]) for i in range(4)}
    assert Onnx(found, SIGNATURE).predict(rows).tolist() == [6.0, 12.0]


@pytest.mark.parametrize("location", ["/etc/hostname", "../weights.bin", "inner/../../weights.bin", "link.bin"])
def test_weights_outside_of_the_folder_are_refused(tmp_path: Path, location: str) -> None:
    """By an absolute path, upwards, or behind a link."""
    folder = tmp_path / "model"
    (folder / "inner").mkdir(parents=True)
    (tmp_path / "weights.bin").write_bytes(bytes(16))
    (folder / "link.bin").symlink_to(tmp_path / "weights.bin")
    (folder / "model.onnx").write_bytes(outside(model(), location))
    with pytest.raises(ArtefactRefused, match=r"the weights 'weights' lie at .*, outside of "):
        in_one_piece(folder / "model.onnx", folder)


def test_weights_that_are_missing_are_an_error(tmp_path: Path) -> None:
    """Named, and no crash; so is a file that is no model."""
    (tmp_path / "model.onnx").write_bytes(outside(model(), "gone.bin"))
    with pytest.raises(ArtefactRefused, match=r"the weights beside model.onnx cannot be read"):
        in_one_piece(tmp_path / "model.onnx", tmp_path)
    (tmp_path / "model.onnx").write_bytes(b"nonsense")
    with pytest.raises(ArtefactRefused, match="this is no ONNX model"):
        in_one_piece(tmp_path / "model.onnx", tmp_path)
