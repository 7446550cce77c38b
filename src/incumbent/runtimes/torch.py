"""A network of PyTorch as ONNX: what is stored and served holds nothing of PyTorch.

In: a torch.nn.Module or a TorchScript module, and the signature. Out: the network as a Predictor (what a translation is
held against), and its ONNX bytes. Its `forward` takes one float matrix of all columns in the order of the signature, or
several tensors, each named like a column: (n, 1), or (n, length) for number arrays. It gives numbers, one probability a
class, or that of the second class of two; logits are refused. On the judging path, never on that of an answer.
"""

import inspect
import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxscript  # noqa: F401 -- torch.onnx asks for it, and would say so late
import torch

from incumbent.errors import ArtefactRefused, BadOutput
from incumbent.records import Column, Signature
from incumbent.runtimes.base import Columns, Floats, Opening, n_rows
from incumbent.runtimes.network import SCRIPT
from incumbent.runtimes.onnx import Onnx
from incumbent.runtimes.proof import Proof, Twin
from incumbent.runtimes.sklearn import class_order

PART = "model.onnx"
FEATURES = "features"
_ROWS = 4
"""Rows of the example: with one, or with as many as there are columns, an exporter may take the number as fixed."""
_SLACK = 1e-3
_ALONE = 1e-4
"""A row that is asked alone may differ by so much: float32 sums in another order."""


@dataclass(frozen=True, slots=True)
class _Tensor:
    """One argument of `forward`: its name in ONNX, the columns that it holds side by side, its dtype."""

    name: str
    columns: tuple[Column, ...]
    dtype: torch.dtype

    @property
    def width(self) -> int:
        return sum(column.length or 1 for column in self.columns)


class Network:
    """A module that answers columns. The module given is copied: set to evaluate, on the processor, in float32 at
    least. Raises ArtefactRefused when its `forward` does not suit the signature."""

    runtime = "torch"

    def __init__(self, module: Any, signature: Signature) -> None:
        self.signature = signature
        self.is_script = isinstance(module, torch.jit.ScriptModule)
        self._order = class_order(module, signature)
        self._module, dtype = _settled(module)
        self._tensors = self._suiting(_tensors(self._module, signature, dtype))

    def predict(self, columns: Columns) -> Floats:
        """Answer n_rows rows. Raises BadOutput for what is no finite number (a null, to most networks), ArtefactRefused
        for what are no probabilities."""
        rows = n_rows(columns)
        if rows == 0:
            return np.empty((0, len(self.signature.classes)) if self.signature.classifies else 0)
        output = self._run([_filled(tensor, columns) for tensor in self._tensors])
        return self._ordered(_shaped(output, self.signature, rows))

    def check(self, sample: Columns) -> None:
        """Raise ArtefactRefused unless it answers these rows, and a row alone as it does among others."""
        try:
            among = self.predict(sample)[:1]
        except BadOutput as error:
            raise ArtefactRefused(
                f"the network does not answer its own training rows: {error}{_nulls(sample)}"
            ) from error
        alone = self.predict({name: values[:1] for name, values in sample.items()})
        if not np.allclose(alone, among, rtol=_ALONE, atol=_ALONE):
            raise ArtefactRefused(
                f"the network answers row 0 with {alone[0].tolist()} alone and with {among[0].tolist()} among others: "
                "expected an answer that depends on no other row (a dropout or a normalisation that stays on?)"
            )

    def as_onnx(self) -> bytes:
        """The graph, with its weights. Raises ArtefactRefused when PyTorch cannot translate it."""
        example = tuple(torch.zeros(_ROWS, tensor.width, dtype=tensor.dtype) for tensor in self._tensors)
        try:
            with _quietly():
                model = self._scripted(example) if self.is_script else self._exported(example)
        except Exception as error:  # exporters raise anything
            raise ArtefactRefused(
                f"PyTorch cannot translate this network to ONNX: {type(error).__name__}: {_first_line(error)}"
            ) from error
        _reorder(model, self._order)
        _strip(model)
        return bytes(model.SerializeToString(deterministic=True))

    def _exported(self, example: tuple[Any, ...]) -> Any:
        rows = torch.export.Dim("rows")
        program = torch.onnx.export(
            self._module, example, dynamo=True, verbose=False, input_names=[one.name for one in self._tensors],
            dynamic_shapes=tuple({0: rows} for _ in example),
        )  # fmt: skip
        return program.model_proto

    def _scripted(self, example: tuple[Any, ...]) -> Any:
        """The older exporter: the newer one takes no TorchScript."""
        written = io.BytesIO()
        names = [one.name for one in self._tensors]
        torch.onnx.export(
            self._module, example, written, dynamo=False, input_names=names,
            dynamic_axes={name: {0: "rows"} for name in names},
        )  # fmt: skip
        return onnx.load_model_from_string(written.getvalue())

    def _suiting(self, tensors: list[_Tensor]) -> list[_Tensor]:
        """All decimals, or whole numbers where the columns are: an embedding takes no decimals."""
        errors = []
        for each in (tensors, _whole(tensors)):
            try:
                output = self._run([torch.zeros(_ROWS, one.width, dtype=one.dtype) for one in each])
            except Exception as error:  # a module raises anything
                errors.append(f"{type(error).__name__}: {_first_line(error)}")
                continue
            _shaped_as(output, self.signature, _ROWS)
            return each
        shown = ", ".join(f"{one.name} ({_ROWS}, {one.width})" for one in tensors)
        raise ArtefactRefused(f"the network does not take {shown} of float32: {errors[0]}")

    def _run(self, tensors: list[Any]) -> Any:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            output = self._module(*tensors)
        if isinstance(output, tuple | list) and output:
            output = output[0]
        if not isinstance(output, torch.Tensor):
            raise ArtefactRefused(f"the network gives {type(output).__name__}, expected a tensor")
        return output.to(torch.float64).numpy()

    def _ordered(self, output: Floats) -> Floats:
        if not self.signature.classifies or self._order == sorted(self._order):
            return output
        ordered = np.zeros_like(output)
        ordered[:, self._order] = output
        return ordered


def translated(network: Network, sample: Columns) -> Twin:
    """The translation, once it was proved the network's equal on these rows (`runtimes.proof`). Raises ArtefactRefused
    where it is not, and where the network does not answer its own rows."""
    network.check(sample)
    content = network.as_onnx()
    found = Proof(network, sample).of(Onnx(content, network.signature), content)
    if isinstance(found, str):
        raise ArtefactRefused(f"the network and its translation to ONNX are not equal: {found}")
    return found


def open_script(folder: Path, signature: Signature) -> Network:
    """The TorchScript archive of a folder (`network.SCRIPT`). Only in a process of its own: it is a program."""
    try:
        with _quietly():
            module = torch.jit.load(str(folder / SCRIPT), map_location="cpu")
    except Exception as error:  # damaged archives raise anything
        raise ArtefactRefused(
            f"PyTorch does not read this TorchScript: {type(error).__name__}: {_first_line(error)}"
        ) from error
    return Network(module, signature)


def pack(model: Any, opening: Opening) -> tuple[str, bytes]:
    """The part of a version that holds the translation of a module. Not proved equal."""
    return PART, Network(model, opening.signature).as_onnx()


# --- what it takes


def _settled(module: Any) -> tuple[Any, torch.dtype]:
    """A copy of the module, and the dtype of its numbers."""
    try:
        with _quietly():
            copied = deepcopy(module).cpu().eval()
            dtypes = {one.dtype for one in copied.parameters() if one.is_floating_point()}
            if dtypes - {torch.float32, torch.float64}:
                return copied.float(), torch.float32
    except Exception as error:  # modules hold anything
        raise ArtefactRefused(f"the module cannot be copied: {type(error).__name__}: {_first_line(error)}") from error
    return copied, torch.float64 if dtypes == {torch.float64} else torch.float32


def _tensors(module: Any, signature: Signature, dtype: torch.dtype) -> list[_Tensor]:
    names = _arguments(module)
    if len(names) == 1:
        texts = [column.name for column in signature.columns if column.type == "string"]
        if texts:
            raise ArtefactRefused(
                f"the network takes one matrix of numbers; {', '.join(texts)} hold text: leave them out of "
                "task.features, or give forward a parameter for each column that it takes, by the column's name"
            )
        alone = len(signature.columns) == 1
        free = FEATURES if FEATURES not in signature.names else f"{FEATURES}_"
        return [_Tensor(signature.names[0] if alone else free, signature.columns, dtype)]
    known = {column.name: column for column in signature.columns if column.type != "string"}
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        raise ArtefactRefused(
            f"forward takes {', '.join(names) or 'nothing'}; the signature has the numbers {', '.join(known)}. "
            "Expected one parameter (a matrix of all columns), or one for each column that it takes, by its name"
        )
    return [_Tensor(name, (known[name],), dtype) for name in names]


def _arguments(module: Any) -> list[str]:
    """The parameters of `forward` that have no default."""
    if isinstance(module, torch.jit.ScriptModule):
        _, *taken = module.forward.schema.arguments  # the first is the module itself
        return [one.name for one in taken if not one.has_default_value()]
    found = inspect.signature(module.forward).parameters.values()
    if any(one.kind in (one.VAR_POSITIONAL, one.KEYWORD_ONLY) and one.default is one.empty for one in found):
        raise ArtefactRefused("forward takes *args or keywords, expected plain parameters")
    return [one.name for one in found if one.default is one.empty and one.kind is not one.VAR_KEYWORD]


def _whole(tensors: list[_Tensor]) -> list[_Tensor]:
    kinds = {"integer": torch.int64, "boolean": torch.bool}
    return [replace(one, dtype=kinds[one.columns[0].type])
            if len(one.columns) == 1 and one.columns[0].type in kinds else one for one in tensors]  # fmt: skip


def _filled(tensor: _Tensor, columns: Columns) -> Any:
    parts = [np.asarray(columns[one.name], dtype=np.float64).reshape(-1, one.length or 1) for one in tensor.columns]
    matrix = np.hstack(parts)
    if tensor.dtype in (torch.int64, torch.bool) and np.isnan(matrix).any():
        raise BadOutput(f"found a null for {tensor.name}, which the network takes as whole numbers")
    with np.errstate(over="ignore"):
        return torch.from_numpy(matrix).to(tensor.dtype)


def _nulls(sample: Columns) -> str:
    null = [name for name, values in sample.items() if values.dtype != object and np.isnan(values).any()]
    if not null:
        return ""
    return (
        f". Null in some of them: {', '.join(null)}. Fill nulls in load, or in the network (torch.nan_to_num), and "
        "leave them out of the rows that it is registered with"
    )


# --- what it gives


def _shaped_as(output: Any, signature: Signature, rows: int) -> None:
    """ArtefactRefused for an output of another shape than one that can be told."""
    k = len(signature.classes)
    fine = output.size == rows and output.shape[0] == rows and (not k or k == 2)
    if fine or (k and output.shape == (rows, k)):
        return
    expected = f"({rows}, {k}): a probability of each of {list(signature.classes)}" if k else f"({rows},)"
    raise ArtefactRefused(f"the network gives {output.shape} for {rows} rows, expected {expected}")


def _shaped(output: Floats, signature: Signature, rows: int) -> Floats:
    _shaped_as(output, signature, rows)
    finite = np.isfinite(output.reshape(rows, -1)).all(axis=1)
    if not finite.all():
        row = int(np.argmin(finite))
        raise BadOutput(f"row {row}: found the output {output[row].tolist()}, expected finite numbers")
    if not signature.classifies:
        return output.reshape(rows)
    if output.size == rows:
        second = output.reshape(rows)
        _refuse_logits(second, second, "a probability (of the second class)", "torch.nn.Sigmoid()")
        return np.column_stack([1.0 - second, second])
    _refuse_logits(output, output.sum(axis=1) - 1.0, "probabilities that sum to 1", "torch.nn.Softmax(dim=1)")
    return output


def _refuse_logits(output: Floats, off: Floats, what: str, last: str) -> None:
    """A column of probabilities lies in 0 to 1; several sum to 1."""
    outside = (output < -_SLACK) | (output > 1.0 + _SLACK)
    wrong = outside.reshape(len(output), -1).any(axis=1)
    if output.ndim == 2:
        wrong |= np.abs(off) > _SLACK
    if wrong.any():
        row = int(np.argmax(wrong))
        raise ArtefactRefused(
            f"row {row}: the network gives {np.round(output[row], 4).tolist()}, expected {what}. If these are logits, "
            f"wrap it: torch.nn.Sequential(network, {last})"
        )


# --- the graph


def _reorder(model: Any, order: list[int]) -> None:
    """The classes in the order of the signature."""
    if order == sorted(order):
        return
    graph, output = model.graph, model.graph.output[0]
    places = [order.index(i) for i in range(len(order))]
    graph.initializer.append(onnx.helper.make_tensor("incumbent_order", onnx.TensorProto.INT64, [len(order)], places))
    graph.node.append(
        onnx.helper.make_node("Gather", [output.name, "incumbent_order"], ["incumbent_ordered"], axis=1)
    )
    type = output.type.tensor_type.elem_type
    made = onnx.helper.make_tensor_value_info("incumbent_ordered", type, [None, len(order)])
    del graph.output[:]
    graph.output.append(made)


def _strip(model: Any) -> None:
    """Without the notes of the exporter: they name the files and the code of whoever trained it."""
    graph = model.graph
    model.doc_string = graph.doc_string = ""
    del model.metadata_props[:], graph.metadata_props[:]
    for each in (graph.node, graph.value_info, graph.input, graph.output, graph.initializer):
        for one in each:
            one.doc_string = ""
            del one.metadata_props[:]
    for function in model.functions:
        function.doc_string = ""
        del function.metadata_props[:]
        for node in function.node:
            node.doc_string = ""
            del node.metadata_props[:]


@contextmanager
def _quietly() -> Iterator[None]:
    """PyTorch warns of its own parts, and of packages that are not needed here."""
    log = logging.getLogger("torch.onnx")
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(before)


def _first_line(error: BaseException) -> str:
    """What an error says in one line; TorchScript's says it last."""
    lines = str(error).strip().splitlines() or [""]
    return lines[-1 if "TorchScript interpreter" in lines[0] else 0][:200]
