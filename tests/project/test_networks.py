"""A network of PyTorch becomes a version that answers without PyTorch: from memory, from TorchScript, from weights."""

import io
import json
import os
import pickle
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from parcels import day, write

from incumbent.engines import contained
from incumbent.errors import ArtefactRefused, MissingExtra
from incumbent.project import Project, open_project
from incumbent.runtimes import artefact

Open = Callable[..., Project]
CODE = "[versions]\ncode = true\n"
BUILD = """
import torch


def build(config):
    return torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Softmax(dim=1))
"""


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Open]:
    """Opens projects on numbers alone, by name."""
    found: list[Project] = []

    def opened(name: str = "here", more: str = "") -> Project:
        folder = write(tmp_path / name, more, days=30)
        toml = (folder / "incumbent.toml").read_text().replace('["weight", "depot", "serial"]', '["weight", "serial"]')
        (folder / "incumbent.toml").write_text(toml)
        found.append(open_project(folder, clock=lambda: day(30), actor="test"))
        return found[-1]

    yield opened
    for each in found:
        each.close()


@pytest.fixture
def torch() -> Any:
    pytest.importorskip("onnxscript", reason="onnxscript comes with the extra torch")
    return pytest.importorskip("torch", reason="torch is an extra of 200 MB, which `make extras` installs")


def network(torch: Any) -> Any:
    """The second class is likelier the heavier a parcel is."""
    linear = torch.nn.Linear(2, 2)
    with torch.no_grad():
        linear.weight[:] = torch.tensor([[-1.0, 0.0], [1.0, 0.0]])
        linear.bias[:] = 0.0
    return torch.nn.Sequential(linear, torch.nn.Softmax(dim=1)).eval()


def scripted(torch: Any, module: Any) -> bytes:
    import warnings

    written = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch asks for another way of its own
        torch.jit.save(torch.jit.script(module), written)
    return written.getvalue()


def told(project: Project, version: Any) -> Any:
    columns = project.rows(day(30)).labelled(day(30)).columns(version.signature)
    some = {name: values[:50] for name, values in columns.items()}
    assert np.allclose(project.predict(version.name, some)[:, 1], 1 / (1 + np.exp(-2 * some["weight"])), atol=1e-5)
    return some


def test_a_module_becomes_a_version_that_needs_no_pytorch(project: Open, torch: Any) -> None:
    """It is ONNX, proved equal and with golden rows; a process that opens it loads nothing of PyTorch."""
    here = project()
    version = here.register(network(torch), description="a small one")
    assert (version.runtime, version.serves) == ("onnx", "model.onnx")
    told(here, version)
    manifest = artefact.manifest(here.facts.blobs, version.manifest)
    assert list(manifest["parts"]) == ["model.onnx"]
    proved = manifest["facts"]["translated"]
    assert proved["from"] == "torch" and proved["max_difference"] < 1e-5 and proved["n_rows"] > 500
    code = (
        "import sys\nfrom pathlib import Path\nfrom incumbent import config\nfrom incumbent.runtimes import artefact\n"
        "from incumbent.storage.opening import open_blobs\n"
        f"settings = config.load(Path({str(here.config.folder)!r}))\n"
        f"artefact.open_version(open_blobs(settings), {version.manifest!r}, settings.versions)\n"
        "print(sorted({name.split('.')[0] for name in sys.modules} & {'torch', 'onnxscript', 'onnx', 'safetensors'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout.strip(), done.returncode) == ("[]", 0), done.stderr


def test_a_recipe_may_return_a_module(tmp_path: Path, torch: Any) -> None:
    """It is fitted again for the gate and by a retrain, as any other recipe is."""
    folder = write(tmp_path, days=30)
    toml = (folder / "incumbent.toml").read_text().replace('["weight", "depot", "serial"]', '["weight", "serial"]')
    (folder / "incumbent.toml").write_text(toml)
    code = (folder / "task.py").read_text()
    (folder / "task.py").write_text(code + (
        "\n\ndef network(rows):\n    import torch\n\n"
        "    late = torch.tensor(rows['late'].to_numpy(dtype='float32')).reshape(-1, 1)\n"
        "    weight = torch.tensor(rows['weight'].to_numpy(dtype='float32')).reshape(-1, 1)\n"
        "    slope = 4.0 * (weight * (late - late.mean())).mean()\n"
        "    linear = torch.nn.Linear(2, 1)\n    with torch.no_grad():\n"
        "        linear.weight[:] = torch.tensor([[float(slope), 0.0]])\n        linear.bias[:] = 0.0\n"
        "    return torch.nn.Sequential(linear, torch.nn.Sigmoid())\n"
    ))  # fmt: skip
    with open_project(folder, clock=lambda: day(30), actor="test") as here:
        here.baseline(now=day(30))
        version, _ = here.train("network", now=day(30))
        assert version.runtime == "onnx"
        assert here.gate(version.name, now=day(30)).verdict == "ship"


def test_torchscript_is_a_version_if_it_is_trusted(project: Open, tmp_path: Path, torch: Any) -> None:
    """It is a program: it takes a word, and a process of its own, once."""
    here = project()
    (tmp_path / "network.pt").write_bytes(scripted(torch, network(torch)))
    with pytest.raises(ArtefactRefused, match=r"network.pt is TorchScript: a program, .* say --trust"):
        here.register(tmp_path / "network.pt")
    version = here.register(tmp_path / "network.pt", trust=True)
    assert (version.runtime, version.serves) == ("onnx", "model.onnx")
    assert version.description.startswith("network.pt (sha256 ")
    facts = artefact.manifest(here.facts.blobs, version.manifest)["facts"]
    assert facts["translated"]["from"] == "torchscript"
    told(here, version)


def test_logits_from_a_file_are_refused_as_those_in_memory(project: Open, tmp_path: Path, torch: Any) -> None:
    """The sentence of the process of its own is the one that is read."""
    here = project()
    (tmp_path / "network.pt").write_bytes(scripted(torch, network(torch)[:1]))
    for given in (tmp_path / "network.pt", network(torch)[:1]):
        with pytest.raises(ArtefactRefused, match=r"^row 0: the network gives .* torch.nn.Softmax\(dim=1\)\)$"):
            here.register(given, trust=True)
    assert not here.roles().versions


def test_a_program_that_takes_all_memory_is_refused(project: Open, tmp_path: Path, torch: Any) -> None:
    """Its process may have versions.memory_mb beside PyTorch itself."""

    class Greedy(torch.nn.Module):  # type: ignore[misc,name-defined]
        def forward(self, x: torch.Tensor) -> torch.Tensor:  # type: ignore[name-defined]
            much = torch.zeros([4_000, 1_000, 1_000])  # 16 GB, of which nothing is written
            return torch.sigmoid(x[:, :1] + much[0, 0, 0])

    (tmp_path / "network.pt").write_bytes(scripted(torch, Greedy()))
    with pytest.raises(ArtefactRefused, match=r"memory"):
        project().register(tmp_path / "network.pt", trust=True)


class Hostile:
    """What runs when it is unpickled by Python."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.target),)


def test_a_pickle_in_disguise_is_not_opened(project: Open, tmp_path: Path) -> None:
    """Whatever its suffix, and though it is trusted."""
    here, target = project(), tmp_path / "it ran"
    for name in ("network.pt", "network.pth", "network.ts"):
        (tmp_path / name).write_bytes(pickle.dumps(Hostile(target)))
        with pytest.raises(ArtefactRefused, match=r"is no TorchScript: it begins with .* as a pickle does"):
            here.register(tmp_path / name, trust=True)
    assert not target.exists()


def test_a_pickle_inside_torchscript_does_not_run(project: Open, tmp_path: Path, torch: Any) -> None:
    """PyTorch's own reader knows no function of Python; what ends its process ends no other."""
    here, target = project(), tmp_path / "it ran"
    with zipfile.ZipFile(io.BytesIO(scripted(torch, network(torch)))) as archive:
        held = {name: archive.read(name) for name in archive.namelist()}
    for part in ("data.pkl", "constants.pkl"):
        written = io.BytesIO()
        with zipfile.ZipFile(written, "w") as archive:
            for name, content in held.items():
                swapped = name.partition("/")[2] == part
                archive.writestr(name, pickle.dumps(Hostile(target), protocol=2) if swapped else content)
        (tmp_path / "network.pt").write_bytes(written.getvalue())
        with pytest.raises(ArtefactRefused, match=r"does not read this TorchScript|in a process of its own"):
            here.register(tmp_path / "network.pt", trust=True)
    assert not target.exists()


def weights(folder: Path, torch: Any, code: str = BUILD) -> Path:
    from safetensors.torch import save

    folder.mkdir()
    (folder / "predictor.py").write_text(code)
    (folder / "config.json").write_text(json.dumps({"architectures": ["Network"]}))
    (folder / "model.safetensors").write_bytes(save(network(torch).state_dict()))
    return folder


def test_weights_and_code_are_a_version_without_code(project: Open, tmp_path: Path, torch: Any) -> None:
    """The code runs once, by the opt-in of any code, and is not what answers."""
    pytest.importorskip("safetensors", reason="safetensors comes with the extra torch")
    folder = weights(tmp_path / "folder", torch)
    with pytest.raises(ArtefactRefused, match=r"under \[versions\]: code = true"):
        project("closed").register(folder, trust=True)
    here = project(more=CODE)
    with pytest.raises(ArtefactRefused, match="folder of code"):
        here.register(folder)
    version = here.register(folder, trust=True)
    assert (version.runtime, version.serves) == ("onnx", "model.onnx")
    told(here, version)


def test_code_that_ends_its_process_while_it_builds_is_refused(project: Open, tmp_path: Path, torch: Any) -> None:
    """And ends no other."""
    pytest.importorskip("safetensors", reason="safetensors comes with the extra torch")
    folder = weights(tmp_path / "folder", torch, "import os\n\n\ndef build(config):\n    os._exit(3)\n")
    with pytest.raises(ArtefactRefused, match="it was tried in a process of its own, and failed there"):
        project(more=CODE).register(folder, trust=True)


def test_weights_outside_of_the_folder_are_refused(project: Open, tmp_path: Path) -> None:
    """By an index that names them, or by a link."""
    here = project(more=CODE)
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "predictor.py").write_text(BUILD)
    (tmp_path / "elsewhere.safetensors").write_bytes(b"")
    index = {"weight_map": {"0.weight": "../elsewhere.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(ArtefactRefused, match=r"found the path '../elsewhere.safetensors'"):
        here.register(folder, trust=True)
    (folder / "model.safetensors").symlink_to(tmp_path / "elsewhere.safetensors")
    with pytest.raises(ArtefactRefused, match="is a link"):
        here.register(folder, trust=True)


def test_without_pytorch_the_extra_is_named(
    project: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before a process is started for it."""
    monkeypatch.setattr(contained, "find_spec", lambda name: None)
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        for name in ("constants.pkl", "code/network.py"):
            archive.writestr(f"network/{name}", "")
    (tmp_path / "network.pt").write_bytes(written.getvalue())
    with pytest.raises(MissingExtra, match=r"a network of PyTorch needs the package 'torch'.*incumbent\[torch\]"):
        project().register(tmp_path / "network.pt", trust=True)
