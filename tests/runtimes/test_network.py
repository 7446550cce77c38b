"""A file or a folder of a network is looked at before PyTorch sees it: what is no TorchScript is told by what it is."""

import io
import json
import pickle
import zipfile
from typing import Any

import pytest

from incumbent.errors import ArtefactRefused
from incumbent.runtimes import network

BUILDS = b"def build(config):\n    return None\n"


def zipped(**files: Any) -> bytes:
    """A zip as PyTorch writes one: all in one folder. `__` stands for a slash, `_` at the end for a dot before pkl."""
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(f"model/{name.replace('__', '/')}", content)
    return written.getvalue()


def archive(**more: Any) -> bytes:
    return zipped(**{"constants.pkl": b"", "code__torch.py": b"", "data.pkl": b"", **more})


def test_torchscript_is_told_by_what_is_in_the_zip() -> None:
    """Its code lies beside its constants; the bytes are kept as they are."""
    content = archive()
    assert network.script("model.pt", content, 100).content == content


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (pickle.dumps({"weights": 1}), r"is no TorchScript: it begins with .* as a pickle does"),
        (b"", "is no TorchScript"),
        (zipped(**{"data.pkl": pickle.dumps(1), "data__0": b"w"}), r"is a pickle of PyTorch \(torch.save\)"),
        (zipped(**{"constants.pkl": b"", "data.pkl": b""}), "is a pickle of PyTorch"),
        (zipped(models__model__json=b"{}"), r"is an exported program \(torch.export.save\)"),
        (zipped(readme=b""), "is a zip with model/readme in it"),
    ],
    ids=["pickle", "empty", "torch.save", "constants alone", "exported program", "another zip"],
)
def test_what_is_no_torchscript_is_refused_by_what_it_is(content: bytes, error: str) -> None:
    """A pickle in disguise among them; the error says what to do."""
    with pytest.raises(ArtefactRefused, match=f"(?s)model.pt {error}.*project.register"):
        network.script("model.pt", content, 100)


def test_a_torchscript_bomb_is_not_unpacked() -> None:
    """Of 300 KB it would become 300 MB."""
    content = archive(data__0=bytes(300_000_000))
    assert len(content) < 1_000_000
    with pytest.raises(ArtefactRefused, match=r"unpacks to 300 MB .* It was not unpacked"):
        network.script("model.pt", content, 4096)


@pytest.mark.parametrize(
    ("code", "expected"),
    [(BUILDS, True), (b"class Predictor:\n    def build(self, config): ...\n", False), (b"def build(", False),
     (b"", False), (b"\0", False)],
)  # fmt: skip
def test_code_that_builds_a_module_is_read_and_not_run(code: bytes, expected: bool) -> None:
    """Only build at the top of predictor.py counts; what cannot be read builds nothing."""
    assert network.builds({"predictor.py": code}) is expected


def test_the_weights_are_one_file_or_those_of_the_index() -> None:
    """Each once, in the order of their names."""
    of = {"a": "model-2.safetensors", "b": "model-1.safetensors", "c": "model-1.safetensors"}
    index = json.dumps({"weight_map": of})
    assert network.shards({"model.safetensors": b"", "predictor.py": b""}) == ["model.safetensors"]
    files = {network.INDEX: index.encode(), "model-1.safetensors": b"", "model-2.safetensors": b""}
    assert network.shards(files) == ["model-1.safetensors", "model-2.safetensors"]
    assert network.weights(files).files == files


@pytest.mark.parametrize(
    ("index", "error"),
    [
        ({"weight_map": {"a": "../elsewhere.safetensors"}}, r"found the path '../elsewhere.safetensors'"),
        ({"weight_map": {"a": "/etc/model.safetensors"}}, "found the path"),
        ({"weight_map": {"a": "predictor.py"}}, "names predictor.py, expected files of safetensors"),
        ({"weight_map": {"a": "gone.safetensors"}}, "names gone.safetensors"),
        ({"weight_map": {}}, "names nothing"),
        ({"weight_map": ["a"]}, "cannot be read: AttributeError"),
        ([], "cannot be read: TypeError"),
    ],
)
def test_an_index_names_files_beside_it(index: Any, error: str) -> None:
    """Neither outside of the folder, nor what is no safetensors, nor what is not there."""
    with pytest.raises(ArtefactRefused, match=error):
        network.weights({network.INDEX: json.dumps(index).encode(), "predictor.py": BUILDS})


def test_what_is_missing_is_said() -> None:
    """Weights without code; code without weights."""
    said = network.lacks("model.safetensors", b'{"architectures": ["BertForSequenceClassification"]}')
    assert "config.json names BertForSequenceClassification, whose code is not in it" in said
    assert "build(config)" in said
    for nonsense in (None, b"nonsense", b"[]", b'{"architectures": 3}'):
        assert "config.json" not in network.lacks("model.safetensors", nonsense)
    with pytest.raises(ArtefactRefused, match=r"found predictor.py, expected model.safetensors"):
        network.weights({"predictor.py": BUILDS})
