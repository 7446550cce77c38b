"""An ONNX model as a predictor: what the answering path runs, with onnxruntime alone.

In: a model whose inputs are columns of the signature, one tensor each: (n, 1) float32, or (n, 1) strings where
null is the token that the model's metadata declares. Out: its first output, (n, n_classes) probabilities in the
order of the signature or (n, 1) numbers. One thread: single rows gain nothing from more, and lose time.
"""

from typing import Any

import numpy as np
import onnxruntime

from incumbent.errors import ArtefactRefused
from incumbent.records import Signature
from incumbent.runtimes.base import Columns, Floats, Opening, n_rows

NULL_KEY = "incumbent.null"
"""Metadata key of the token that stands for a null string."""


class Onnx:
    """A session of onnxruntime with one thread. Raises ArtefactRefused when the bytes are no such model."""

    runtime = "onnx"

    def __init__(self, content: bytes, signature: Signature) -> None:
        self.content, self.signature = content, signature
        self._session = _session(content)
        self._null = self._session.get_modelmeta().custom_metadata_map.get(NULL_KEY, "")
        self._inputs = _inputs(self._session, signature)
        self._output = [self._session.get_outputs()[0].name]

    def predict(self, columns: Columns) -> Floats:
        """Answer n_rows rows; no row, no call (some operators refuse empty tensors)."""
        rows = n_rows(columns)
        if rows == 0:
            return np.empty((0, len(self.signature.classes)) if self.signature.classifies else 0)
        feed = {name: self._tensor(columns[name], text) for name, text in self._inputs}
        output = np.asarray(self._session.run(self._output, feed)[0], dtype=np.float64)
        return output if self.signature.classifies else output.reshape(rows)

    def _tensor(self, values: Any, text: bool) -> Any:
        if text:
            return np.array([self._null if v is None else v for v in values], dtype=object).reshape(-1, 1)
        with np.errstate(over="ignore"):  # beyond float32 is infinite there too
            return values.astype(np.float32).reshape(-1, 1)


def load(content: bytes, opening: Opening) -> Onnx:
    """The model of these bytes."""
    return Onnx(content, opening.signature)


def pack(model: Any, opening: Opening) -> tuple[str, bytes]:
    """The part of a version that holds an ONNX model, given as bytes or as `Onnx`."""
    return "model.onnx", model.content if isinstance(model, Onnx) else bytes(model)


def _session(content: bytes) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its errors have no common base
        raise ArtefactRefused(f"onnxruntime does not load this model: {error}") from error


def _inputs(session: onnxruntime.InferenceSession, signature: Signature) -> list[tuple[str, bool]]:
    """Each input with whether it takes strings; the signature must have a column of that name and type."""
    columns = {column.name: column for column in signature.columns}
    found = []
    for tensor in session.get_inputs():
        column = columns.get(tensor.name)
        if column is None:
            raise ArtefactRefused(f"the model takes {tensor.name!r}; the signature has {', '.join(columns)}")
        expected = "tensor(string)" if column.type == "string" else "tensor(float)"
        if tensor.type != expected:
            raise ArtefactRefused(f"input {tensor.name!r} is {tensor.type}, expected {expected} ({column.type})")
        found.append((tensor.name, column.type == "string"))
    return found
