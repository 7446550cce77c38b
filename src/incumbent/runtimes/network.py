"""A network of PyTorch in a file or a folder, looked at before PyTorch sees it.

In: bytes that somebody gave. Out: `Script` (TorchScript) or `Weights` (safetensors, and code that builds the module),
or ArtefactRefused: a pickle in disguise, a zip that unpacks to more than it may, weights without code or outside of
their folder. Runs nothing and imports no package of PyTorch: `opened` does that, in a process of its own.
"""

import ast
import io
import json
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from incumbent.errors import ArtefactRefused
from incumbent.runtimes.closed import check_zip
from incumbent.runtimes.folder import ENTRY, inside

BUILD = "build"
SINGLE, INDEX, CONFIG = "model.safetensors", "model.safetensors.index.json", "config.json"
SCRIPT = "network.pt"
_PICKLES = ("data.pkl", "archive.pkl")


@dataclass(frozen=True, slots=True)
class Script:
    """The bytes of a TorchScript archive."""

    content: bytes
    runtime: str = "torchscript"

    @property
    def files(self) -> Mapping[str, bytes]:
        return {SCRIPT: self.content}


@dataclass(frozen=True, slots=True)
class Weights:
    """The files of a folder: predictor.py with build(config), and safetensors."""

    files: Mapping[str, bytes]
    runtime: str = "safetensors"


Given = Script | Weights


def script(name: str, content: bytes, most_mb: float) -> Script:
    """The TorchScript archive in these bytes. Raises ArtefactRefused for whatever else a file of this name may hold."""
    if not zipfile.is_zipfile(io.BytesIO(content)):
        raise ArtefactRefused(
            f"{name} is no TorchScript: it begins with {content[:4]!r}, as a pickle does, which can run any code when "
            f"it is loaded. It was not opened. {_DO}"
        )
    check_zip(content, most_mb, "a TorchScript file")
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        names = archive.namelist()
    inner = {path.partition("/")[2] for path in names}
    if "constants.pkl" in inner and any(path.startswith("code/") for path in inner):
        return Script(content)
    if any(path.startswith("models/") for path in inner):
        raise ArtefactRefused(f"{name} is an exported program (torch.export.save), which is not read. {_DO}")
    if inner & set(_PICKLES):
        raise ArtefactRefused(
            f"{name} is a pickle of PyTorch (torch.save) and no TorchScript: it can run any code when it is loaded. It "
            f"was not opened. {_DO}"
        )
    raise ArtefactRefused(f"{name} is a zip with {', '.join(names[:5]) or 'nothing'} in it, and no TorchScript. {_DO}")


_DO = (
    "Register the module itself (project.register(module)), save it with torch.jit.save, export it to ONNX, or put its "
    "weights beside predictor.py as model.safetensors (docs/versions.md says how)"
)


def builds(files: Mapping[str, bytes]) -> bool:
    """Does predictor.py define build(config)? Read, not run."""
    with suppress(SyntaxError, ValueError):
        tree = ast.parse(files.get(ENTRY, b""))
        return any(isinstance(node, ast.FunctionDef) and node.name == BUILD for node in tree.body)
    return False


def weights(files: Mapping[str, bytes]) -> Weights:
    """A folder whose predictor.py builds the module. Raises ArtefactRefused where its weights are missing, or lie
    elsewhere."""
    shards(files)
    return Weights(files)


def shards(files: Mapping[str, bytes]) -> list[str]:
    """The files of the weights: model.safetensors, or those that its index names."""
    if SINGLE in files:
        return [SINGLE]
    if INDEX not in files:
        found = ", ".join(sorted(files)[:8])
        raise ArtefactRefused(f"{ENTRY} has {BUILD}(config), which gives a module; found {found}, expected {SINGLE}")
    try:
        named = sorted({inside(str(path)) for path in json.loads(files[INDEX])["weight_map"].values()})
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
        raise ArtefactRefused(f"{INDEX} cannot be read: {type(error).__name__}: {error}") from error
    wrong = [path for path in named if path not in files or Path(path).suffix != ".safetensors"]
    if wrong or not named:
        raise ArtefactRefused(f"{INDEX} names {', '.join(wrong) or 'nothing'}, expected files of safetensors beside it")
    return named


def lacks(name: str, config: bytes | None) -> str:
    """What is missing beside weights without code."""
    of = ""
    with suppress(AttributeError, RecursionError, TypeError, ValueError):
        known = json.loads(config or b"{}").get("architectures") or []
        of = f" (config.json names {', '.join(map(str, known))}, whose code is not in it)" if known else ""
    return (
        f"{name} holds weights and no graph of the model{of}: the code that builds the module is missing. Put "
        f"{ENTRY} beside it, with {BUILD}(config) that returns the torch.nn.Module, or export the model to ONNX "
        "(docs/versions.md says how)"
    )
