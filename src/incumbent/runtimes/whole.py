"""Is an ONNX model in one piece?

In: the bytes of a model, or its file with the weights beside it. Out: the bytes of one that holds its own weights, or
ArtefactRefused: onnxruntime looks for weights in other files wherever the model says. On the judging path.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx
from onnx.external_data_helper import uses_external_data

from incumbent.errors import ArtefactRefused


def check_onnx(content: bytes) -> None:
    """Raise ArtefactRefused for an ONNX model with weights in another file: they would be looked for on this machine,
    wherever the model says."""
    for tensor in _tensors(_parsed(content)):
        if uses_external_data(tensor):
            raise ArtefactRefused(
                f"the weights {tensor.name!r} lie in another file ({_location(tensor)}), expected a model in one "
                "piece: register the folder that holds both, or save it with onnx.save(model, path)"
            )


def in_one_piece(path: Path, inside: Path) -> bytes:
    """The ONNX model of a file, with the weights that lie beside it; all of them inside the folder `inside`.

    Raises ArtefactRefused for weights anywhere else, also behind a link.
    """
    content = path.read_bytes()
    model = _parsed(content)
    outer = [tensor for tensor in _tensors(model) if uses_external_data(tensor)]
    if not outer:
        return content
    for tensor in outer:
        place = path.parent / _location(tensor)
        if place.is_symlink() or not place.resolve().is_relative_to(inside.resolve()):
            raise ArtefactRefused(
                f"the weights {tensor.name!r} lie at {_location(tensor)!r}, outside of {inside}: expected a file in it"
            )
    try:
        onnx.load_external_data_for_model(model, str(path.parent))
        for tensor in outer:
            tensor.data_location = onnx.TensorProto.DEFAULT
            del tensor.external_data[:]
        return bytes(model.SerializeToString())
    except Exception as error:  # its errors have no common base
        raise ArtefactRefused(f"the weights beside {path.name} cannot be read: {error}") from error


def _parsed(content: bytes) -> Any:
    try:
        return onnx.load_model_from_string(content)
    except Exception as error:  # protobuf's errors have no common base
        raise ArtefactRefused(f"this is no ONNX model: {error}") from error


def _location(tensor: Any) -> str:
    return next((entry.value for entry in tensor.external_data if entry.key == "location"), "")


def _tensors(model: Any) -> Iterator[Any]:
    """Every tensor of a model: weights, constants, those in subgraphs and functions."""
    yield from _of_graph(model.graph)
    for function in model.functions:
        yield from _of_nodes(function.node)


def _of_graph(graph: Any) -> Iterator[Any]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    yield from _of_nodes(graph.node)


def _of_nodes(nodes: Any) -> Iterator[Any]:
    for node in nodes:
        for attribute in node.attribute:
            yield attribute.t
            yield from attribute.tensors
            for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
                yield from (sparse.values, sparse.indices)
            yield from _of_graph(attribute.g)
            for graph in attribute.graphs:
                yield from _of_graph(graph)
