"""An ONNX model as a predictor: what the answering path runs, with onnxruntime alone.

In: a model with one matrix input (n, n_columns) for all numbers of the signature in their order, or one input (n, 1) a
column by its name ((n, length) for number arrays); strings always come a column each, and null is the token that the
model's metadata declares. Out: its first output of decimals: (n, n_classes) probabilities in the order of the
signature, (n, 1) of the second class of two, or (n, 1) numbers. One thread: single rows gain nothing from more, and
lose time.

One matrix is the quicker form: 30 columns as 30 inputs cost 59 us a call, as one input 9, or 6 from a ready matrix.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from incumbent.errors import ArtefactRefused, DataError
from incumbent.records import Column, Signature
from incumbent.runtimes.base import SCALAR, Columns, Floats, Opening, matrix_of, n_rows

NULL_KEY = "incumbent.null"
"""Metadata key of the token that stands for a null string."""
NUMBERS = "incumbent.numbers"
"""Name of the input of a twin that takes all numbers of the signature as one matrix."""

_DTYPES = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(bool)": np.bool_,
}
_WHOLE = (np.int64, np.int32, np.bool_)


@dataclass(frozen=True, slots=True)
class _Input:
    """One input: the columns that it holds (number arrays among them?), and its dtype (None: strings)."""

    name: str
    columns: tuple[str, ...]
    dtype: Any
    arrays: bool = False


class Onnx:
    """A session of onnxruntime with one thread. Raises ArtefactRefused when the bytes are no such model."""

    runtime = "onnx"

    def __init__(self, content: bytes, signature: Signature) -> None:
        self.content, self.signature = content, signature
        self._session = _session(content)
        self._null = self._session.get_modelmeta().custom_metadata_map.get(NULL_KEY, "")
        self._inputs = _inputs(self._session, signature)
        self._output = [_output(self._session)]
        self._places = {name: i for i, name in enumerate(signature.names)}
        self._whole = len(self._inputs) == 1 and self._inputs[0].columns == signature.names

    def predict(self, columns: Columns) -> Floats:
        """Answer n_rows rows."""
        return self._run({found.name: self._tensor(found, columns) for found in self._inputs}, n_rows(columns))

    def predict_matrix(self, matrix: Floats) -> Floats:
        """Answer the rows of a matrix of all columns (`base.TakesMatrix`)."""
        if self._whole:
            return self._run({self._inputs[0].name: _cast(matrix, self._inputs[0])}, len(matrix))
        picked = {i.name: _cast(matrix[:, [self._places[c] for c in i.columns]], i) for i in self._inputs}
        return self._run(picked, len(matrix))

    def _run(self, feed: dict[str, Any], rows: int) -> Floats:
        """No row, no call: some operators refuse empty tensors."""
        if rows == 0:
            return np.empty((0, len(self.signature.classes)) if self.signature.classifies else 0)
        output = np.asarray(self._session.run(self._output, feed)[0], dtype=np.float64)
        if not self.signature.classifies:
            return output.reshape(rows)
        if output.size == rows and len(self.signature.classes) == 2:
            second = output.reshape(rows)
            return np.column_stack([1.0 - second, second])
        return output

    def _tensor(self, found: _Input, columns: Columns) -> npt.NDArray[Any]:
        if found.dtype is None:
            values = columns[found.columns[0]].tolist()
            return np.array([self._null if v is None else v for v in values], dtype=object).reshape(-1, 1)
        return _cast(np.column_stack([columns[c] for c in found.columns]) if found.arrays
                     else matrix_of(columns, found.columns), found)  # fmt: skip


def load(content: bytes, opening: Opening) -> Onnx:
    """The model of these bytes."""
    return Onnx(content, opening.signature)


def pack(model: Any, opening: Opening) -> tuple[str, bytes]:
    """The part of a version that holds an ONNX model, given as bytes or as `Onnx`.

    Raises ArtefactRefused for weights in another file: onnxruntime would look for them wherever the model says.
    """
    if isinstance(model, Onnx):
        return "model.onnx", model.content
    from incumbent.runtimes.whole import check_onnx  # the package onnx, which the answering path lacks

    check_onnx(bytes(model))
    return "model.onnx", bytes(model)


def _cast(values: Floats, found: _Input) -> npt.NDArray[Any]:
    if found.dtype is np.float64:
        return np.ascontiguousarray(values)
    if found.dtype in _WHOLE and np.isnan(values).any():
        raise DataError(f"found a null for the input {found.name!r}, which takes whole numbers: expected none")
    with np.errstate(over="ignore"):  # beyond float32 is infinite there too
        return values.astype(found.dtype, order="C")


def _session(content: bytes) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its errors have no common base
        raise ArtefactRefused(f"onnxruntime does not load this model: {error}") from error


def _inputs(session: onnxruntime.InferenceSession, signature: Signature) -> list[_Input]:
    """Each input with its columns, by name or all numbers as one matrix; the types must suit."""
    columns = {column.name: column for column in signature.columns}
    tensors = session.get_inputs()
    return [_input(tensor, columns, alone=len(tensors) == 1) for tensor in tensors]


def _input(tensor: Any, columns: dict[str, Column], alone: bool) -> _Input:
    wide = len(tensor.shape) == 2 and tensor.shape[1] != 1
    column = columns.get(tensor.name)
    if column is not None and column.type == "numbers":
        return _matrix_input(tensor, {column.name: column})
    if tensor.name == NUMBERS or (alone and wide):
        return _matrix_input(tensor, columns)
    if column is None:
        raise ArtefactRefused(f"the model takes {tensor.name!r}; the signature has {', '.join(columns)}")
    if column.type == "string":
        suits = tensor.type == "tensor(string)"
    else:
        suits = tensor.type in _DTYPES and (column.type in ("integer", "boolean") or not _is_whole(tensor.type))
    if not suits:
        expected = "tensor(string)" if column.type == "string" else "tensor(float)"
        raise ArtefactRefused(f"input {tensor.name!r} is {tensor.type}, expected {expected} ({column.type})")
    return _Input(tensor.name, (column.name,), _DTYPES.get(tensor.type))


def _matrix_input(tensor: Any, columns: dict[str, Column]) -> _Input:
    ours = tensor.name == NUMBERS
    taken = [c for c in columns.values() if c.type in SCALAR or (c.type == "numbers" and not ours)]
    names, total = tuple(c.name for c in taken), sum(c.length or 1 for c in taken)
    texts = [name for name in columns if name not in names]
    if texts and not ours:
        raise ArtefactRefused(f"the model takes one matrix {tensor.name!r} of numbers; {', '.join(texts)} is none")
    if tensor.type not in ("tensor(float)", "tensor(double)"):
        raise ArtefactRefused(f"input {tensor.name!r} is {tensor.type}, expected tensor(float) or tensor(double)")
    width = tensor.shape[1]
    if isinstance(width, int) and width != total:
        raise ArtefactRefused(
            f"input {tensor.name!r} takes {width} columns; the signature has {total}: {', '.join(names)}. "
            "Name the columns that the model was trained on in task.features, in their order."
        )
    return _Input(tensor.name, names, _DTYPES[tensor.type], arrays=total != len(names))


def _is_whole(type: str) -> bool:
    return _DTYPES[type] in _WHOLE


def _output(session: onnxruntime.InferenceSession) -> str:
    """The first output of decimals: the label, which converters put before the probabilities, is none."""
    outputs = session.get_outputs()
    for tensor in outputs:
        if tensor.type in ("tensor(float)", "tensor(double)"):
            return str(tensor.name)
    found = ", ".join(f"{tensor.name} ({tensor.type})" for tensor in outputs)
    hint = "; convert it with options={'zipmap': False}" if any("map(" in tensor.type for tensor in outputs) else ""
    raise ArtefactRefused(f"the model gives {found}, expected a tensor of decimals{hint}")
