"""A network of PyTorch becomes ONNX that says the same, or is refused by a sentence that says why."""

import logging
import warnings
from typing import Any

import numpy as np
import pytest

from incumbent.errors import ArtefactRefused, BadOutput
from incumbent.records import Column, Signature
from incumbent.runtimes import kinds
from incumbent.runtimes.base import Columns
from incumbent.runtimes.onnx import Onnx

torch = pytest.importorskip("torch", reason="torch is an extra of 200 MB, which `make extras` installs")
pytest.importorskip("onnxscript", reason="onnxscript comes with the extra torch")
nn = torch.nn

from incumbent.runtimes.torch import Network, translated  # noqa: E402 -- it imports torch

COLUMNS = (Column("temp", "number"), Column("wind speed", "integer"), Column("pixels", "numbers", length=3))
BINARY = Signature(COLUMNS, "binary", (0, 1))
CLASSES = Signature(COLUMNS, "multiclass", ("a", "b", "c"))
NUMBER = Signature(COLUMNS, "regression")
TWO = Signature((Column("temp", "number"), Column("station", "integer"), Column("words", "string")), "binary", (0, 1))


def rows(n: int = 200) -> dict[str, Any]:
    draw = np.random.default_rng(0)
    return {
        "temp": draw.normal(size=n), "wind speed": draw.integers(0, 5, n).astype(float),
        "pixels": draw.normal(size=(n, 3)), "station": draw.integers(0, 7, n).astype(float),
        "words": np.array(["x"] * n, dtype=object),
    }  # fmt: skip


def of(signature: Signature, found: dict[str, Any] | None = None) -> Columns:
    everything = rows() if found is None else found
    return {name: everything[name] for name in signature.names}


def matrix(columns: Columns) -> Any:
    return torch.tensor(np.hstack([np.asarray(v).reshape(len(v), -1) for v in columns.values()]), dtype=torch.float32)


def layers(last: int, *more: Any) -> Any:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, last), *more)


class Stations(nn.Module):  # type: ignore[misc,name-defined]
    """Named inputs: a number, and a whole number that an embedding looks up."""

    def __init__(self) -> None:
        super().__init__()
        self.known, self.last = nn.Embedding(7, 4), nn.Linear(5, 1)

    def forward(self, temp: torch.Tensor, station: torch.Tensor) -> torch.Tensor:  # type: ignore[name-defined]
        return torch.sigmoid(self.last(torch.cat([temp, self.known(station[:, 0])], dim=1)))


def scripted(module: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch asks for another way of its own
        return torch.jit.script(module)


def as_it_is(module: Any) -> Any:
    return module


@pytest.mark.parametrize("form", [as_it_is, scripted], ids=["module", "torchscript"])
@pytest.mark.parametrize(
    ("make", "signature"),
    [
        (lambda: layers(2, nn.Softmax(dim=1)), BINARY),
        (lambda: layers(1, nn.Sigmoid()), BINARY),
        (lambda: layers(3, nn.Softmax(dim=1)), CLASSES),
        (lambda: layers(1), NUMBER),
        (lambda: layers(1, nn.Flatten(0)), NUMBER),
        (lambda: layers(2, nn.Softmax(dim=1)).double(), BINARY),
        (Stations, TWO),
    ],
    ids=["softmax", "sigmoid", "classes", "number", "flat number", "doubles", "named inputs"],
)
def test_the_translation_says_the_same(make: Any, signature: Signature, form: Any) -> None:
    """One row or many, without PyTorch. The module given stays in training."""
    module, columns = form(make().train()), of(signature)
    network = Network(module, signature)
    found = translated(network, columns)
    served = Onnx(found.content, signature)
    assert found.max_difference < 1e-5 and module.training
    assert np.allclose(served.predict(columns), network.predict(columns), atol=1e-6)
    alone = served.predict({name: values[3:4] for name, values in columns.items()})
    assert np.allclose(alone[0], network.predict(columns)[3], atol=1e-6)
    assert network.predict({name: values[:0] for name, values in columns.items()}).shape[0] == 0


def test_the_matrix_has_the_columns_in_the_order_of_the_signature() -> None:
    """Number arrays beside each other, where they stand."""
    module = layers(2, nn.Softmax(dim=1)).eval()
    with torch.no_grad():
        expected = module(matrix(of(BINARY))).numpy()
    assert np.allclose(Network(module, BINARY).predict(of(BINARY)), expected, atol=1e-6)


def test_a_module_may_say_the_order_of_its_classes() -> None:
    """By `classes_`, as estimators do; the answer is in the order of the signature."""
    module = layers(3, nn.Softmax(dim=1)).eval()
    plain = Network(module, CLASSES).predict(of(CLASSES))
    module.classes_ = ["c", "a", "b"]
    network = Network(module, CLASSES)
    assert np.allclose(network.predict(of(CLASSES)), plain[:, [1, 2, 0]])
    assert translated(network, of(CLASSES)).max_difference < 1e-5
    module.classes_ = ["c", "a", "x"]
    with pytest.raises(ArtefactRefused, match=r"knows the classes \['x'\]"):
        Network(module, CLASSES)


@pytest.mark.parametrize(
    ("module", "signature", "error"),
    [
        (layers(2), BINARY, r"expected probabilities that sum to 1. If these are logits, .*torch.nn.Softmax\(dim=1\)"),
        (layers(1), BINARY, r"expected a probability \(of the second class\). If .*torch.nn.Sigmoid\(\)"),
        (layers(2, nn.Sigmoid()), BINARY, "expected probabilities that sum to 1"),
        (layers(2, nn.Softmax(dim=1)), CLASSES, r"gives \(4, 2\) for 4 rows, expected \(4, 3\): a probability of each"),
        (layers(2), NUMBER, r"gives \(4, 2\) for 4 rows, expected \(4,\)"),
        (nn.Linear(4, 2), BINARY, r"does not take features \(4, 5\) of float32: RuntimeError"),
        (layers(1, nn.Sigmoid()), TWO, r"takes one matrix of numbers; words hold text"),
        (nn.Bilinear(1, 1, 1), TWO, r"forward takes input1, input2; the signature has the numbers temp, station"),
        (nn.LSTM(5, 2), BINARY, r"gives \(4, 2\)|sum to 1"),
    ],
    ids=["logits", "one logit", "sigmoids", "too few classes", "two numbers", "width", "text", "names", "hidden state"],
)
def test_what_does_not_suit_is_refused(module: Any, signature: Signature, error: str) -> None:
    """By a sentence that says what was found, what is expected and, for logits, how to wrap it."""
    with pytest.raises(ArtefactRefused, match=error):
        translated(Network(module, signature), of(signature))


def test_an_answer_that_depends_on_other_rows_is_refused() -> None:
    """A normalisation over the batch that stays on."""

    class Centred(nn.Module):  # type: ignore[misc,name-defined]
        def forward(self, x: torch.Tensor) -> torch.Tensor:  # type: ignore[name-defined]
            return torch.sigmoid(x[:, :1] - x[:, :1].mean())

    with pytest.raises(ArtefactRefused, match=r"answers row 0 with .* alone and with .* among others"):
        translated(Network(Centred(), BINARY), of(BINARY))


def test_nulls_are_refused_as_the_network_refuses_them() -> None:
    """Most give NaN, and the fallback answers; one that fills them answers itself; rows to register need a number."""
    columns = of(BINARY)
    network = Network(layers(2, nn.Softmax(dim=1)), BINARY)
    served = Onnx(translated(network, columns).content, BINARY)
    null = {**columns, "temp": np.full(200, np.nan)}
    assert np.isnan(served.predict(null)).all()
    with pytest.raises(BadOutput, match="row 0"):
        network.predict(null)
    with pytest.raises(ArtefactRefused, match=r"does not answer its own training rows: .* Null in some of them: temp"):
        translated(network, null)

    class Filled(nn.Module):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.inner = layers(2, nn.Softmax(dim=1))

        def forward(self, x: torch.Tensor) -> torch.Tensor:  # type: ignore[name-defined]
            return self.inner(torch.nan_to_num(x))

    filled = Network(Filled(), BINARY)
    assert np.isfinite(Onnx(translated(filled, null).content, BINARY).predict(null)).all()


def test_what_cannot_be_translated_is_an_error() -> None:
    """A branch on the values of the rows."""

    class Branch(nn.Module):  # type: ignore[misc,name-defined]
        def forward(self, x: torch.Tensor) -> torch.Tensor:  # type: ignore[name-defined]
            return torch.sigmoid(x[:, :1] if x.sum() > 0 else x[:, 1:2])

    with pytest.raises(ArtefactRefused, match="PyTorch cannot translate this network to ONNX"):
        Network(Branch(), BINARY).as_onnx()


def test_the_graph_names_no_file_of_who_trained_it() -> None:
    """The exporter writes stack traces into it; the same module gives the same bytes."""
    network = Network(layers(2, nn.Softmax(dim=1)), BINARY)
    content = network.as_onnx()
    assert b".py" not in content and content == network.as_onnx()


def test_the_log_is_as_loud_as_before() -> None:
    """The exporter is quiet, and nothing else is."""
    Network(layers(2, nn.Softmax(dim=1)), BINARY).as_onnx()
    assert logging.getLogger("torch.onnx").level == logging.NOTSET


def test_a_module_is_known_without_importing_torch() -> None:
    """By what its classes are called."""
    assert kinds.runtime_of(layers(2)) == kinds.runtime_of(Stations()) == "torch"
    assert kinds.runtime_of(scripted(layers(2))) == "torch"
