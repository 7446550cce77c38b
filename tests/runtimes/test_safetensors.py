"""Weights go into the module that the code builds, every one in its place, or the folder is refused."""

import json
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from incumbent.errors import ArtefactRefused
from incumbent.records import Column, Signature

torch = pytest.importorskip("torch", reason="torch is an extra of 200 MB, which `make extras` installs")
saving = pytest.importorskip("safetensors.torch", reason="safetensors comes with the extra torch")
pytest.importorskip("onnxscript", reason="onnxscript comes with the extra torch")

from incumbent.runtimes.safetensors import open_weights  # noqa: E402 -- it imports torch

SIGNATURE = Signature((Column("a", "number"), Column("b", "number")), "regression")
CODE = """
import torch


def build(config):
    return torch.nn.Sequential(torch.nn.Linear(2, config.get("hidden", 3)), torch.nn.Linear(config.get("hidden", 3), 1))
"""


@pytest.fixture(autouse=True)
def as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What lies beside predictor.py can be imported where that is: here it must not stay so."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", sys.dont_write_bytecode)
    yield
    sys.modules.pop("predictor", None)


def state(hidden: int = 3, **more: Any) -> dict[str, Any]:
    torch.manual_seed(1)
    module = torch.nn.Sequential(torch.nn.Linear(2, hidden), torch.nn.Linear(hidden, 1))
    return {**module.state_dict(), **more}


def folder(path: Path, held: dict[str, Any] | bytes, code: str = CODE, config: dict[str, Any] | None = None) -> Path:
    path.mkdir()
    (path / "predictor.py").write_text(code)
    (path / "model.safetensors").write_bytes(held if isinstance(held, bytes) else saving.save(held))
    if config is not None:
        (path / "config.json").write_text(json.dumps(config))
    return path


def expected(held: dict[str, Any], columns: dict[str, Any]) -> Any:
    inner = np.column_stack([columns["a"], columns["b"]]) @ held["0.weight"].double().numpy().T
    inner = inner + held["0.bias"].double().numpy()
    return (inner @ held["1.weight"].double().numpy().T + held["1.bias"].double().numpy()).reshape(-1)


@pytest.mark.parametrize("form", ["float32", "float16", "bfloat16"])
def test_weights_are_put_in_their_places(tmp_path: Path, form: str) -> None:
    """By name; smaller decimals become the module's own; config.json says how it is built."""
    held = {name: one.to(getattr(torch, form)) for name, one in state(5).items()}
    network = open_weights(folder(tmp_path / "here", held, config={"hidden": 5}), SIGNATURE)
    columns = {"a": np.array([0.5, 2.0]), "b": np.array([-1.0, 3.0])}
    assert np.allclose(network.predict(columns), expected(held, columns), atol=1e-6)


def test_weights_in_several_files_are_one_state(tmp_path: Path) -> None:
    """As their index names them; a file that it does not name is not read."""
    held = state()
    path = folder(tmp_path / "here", held)
    (path / "model.safetensors").unlink()
    index = {}
    for number, name in enumerate(held):
        index[name] = f"model-{number}.safetensors"
        (path / index[name]).write_bytes(saving.save({name: held[name]}))
    (path / "other.safetensors").write_bytes(b"nonsense")
    (path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))
    columns = {"a": np.array([0.5]), "b": np.array([-1.0])}
    assert np.allclose(open_weights(path, SIGNATURE).predict(columns), expected(held, columns), atol=1e-6)


def lying(length: int, header: bytes = b"{}", rest: bytes = b"") -> bytes:
    return struct.pack("<Q", length) + header + rest


HEADER = json.dumps({"0.weight": {"dtype": "F32", "shape": [3, 2], "data_offsets": [0, 24]}}).encode()


@pytest.mark.parametrize(
    "content",
    [
        lying(2**62), lying(10_000), lying(len(HEADER), HEADER, bytes(4)), lying(len(HEADER), HEADER, bytes(400)),
        b"", b"{}", lying(2, b"[]"), lying(4, b"\xff\xff\xff\xff"), b"\x80\x04K\x01.",
    ],
    ids=["a header of 4 EB", "a header beyond the file", "too little data", "too much data", "empty", "no header",
         "a list", "no text", "a pickle"],
)  # fmt: skip
def test_a_file_that_lies_about_itself_is_refused(tmp_path: Path, content: bytes) -> None:
    """About the length of its header, or of its data; and what is no such file."""
    with pytest.raises(ArtefactRefused, match=r"model.safetensors is no file of safetensors, or a damaged one"):
        open_weights(folder(tmp_path / "here", content), SIGNATURE)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda held: held.pop("1.bias"), "differ: it lacks 1.bias"),
        (lambda held: held.update(extra=torch.zeros(1)), "differ: it has no place for extra"),
        (lambda held: held.update({"0.bias": torch.zeros(4)}), r"'0.bias' are float32 \(4,\), .* float32 \(3,\)"),
        (lambda held: held.update({"0.bias": torch.zeros(3, dtype=torch.int64)}), r"are int64 \(3,\)"),
        (lambda held: held.update({"0.bias": torch.zeros(3, dtype=torch.float64)}), r"are float64 \(3,\)"),
    ],
    ids=["missing", "too many", "shape", "whole numbers", "doubles"],
)
def test_weights_that_do_not_fit_are_refused(tmp_path: Path, change: Any, error: str) -> None:
    """By the name of the weight, what it is, and what the module expects."""
    held = state()
    change(held)
    with pytest.raises(ArtefactRefused, match=error):
        open_weights(folder(tmp_path / "here", held), SIGNATURE)


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("def build(config):\n    return 3\n", r"build\(config\) gives int, expected a torch.nn.Module"),
        ("def build(config):\n    return config['hidden']\n", r"build\(config\) failed: KeyError"),
        ("import nothing_of_this_name\n\ndef build(config): ...\n", "predictor.py cannot be imported"),
    ],
)
def test_code_that_builds_no_module_is_an_error(tmp_path: Path, code: str, error: str) -> None:
    """What it gave, or what it raised."""
    with pytest.raises(ArtefactRefused, match=error):
        open_weights(folder(tmp_path / "here", state(), code), SIGNATURE)
