"""Weights of a safetensors file in the module that code builds: tensors and names, no code, no pickle.

In: a folder with predictor.py, whose build(config) gives a torch.nn.Module, and model.safetensors (or several files and
their index). Out: a `Network`. Every tensor must be there, of the module's own shape, and of its dtype or a smaller one
of decimals. In a process of its own: building is somebody's code. On the judging path.
"""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from incumbent.errors import ArtefactRefused
from incumbent.records import Signature
from incumbent.runtimes.folder import ENTRY, inside
from incumbent.runtimes.network import BUILD, CONFIG, INDEX, SINGLE, shards
from incumbent.runtimes.pyfunc import imported
from incumbent.runtimes.torch import Network

_SMALLER = (torch.float16, torch.bfloat16, torch.float32)
"""What fits into a float of 32 or 64 bits without a change of its value."""


def open_weights(folder: Path, signature: Signature) -> Network:
    """The network of a folder. Raises ArtefactRefused when a weight is missing, too many or of another shape."""
    config = folder / CONFIG
    module = _built(folder, json.loads(config.read_text()) if config.is_file() else {})
    state = _state(folder)
    expected = module.state_dict()
    _check(state, expected, set(getattr(module, "_tied_weights_keys", None) or ()))
    module.load_state_dict({name: held.to(expected[name].dtype) for name, held in state.items()}, strict=False)
    return Network(module, signature)


def _built(folder: Path, config: dict[str, Any]) -> Any:
    code = imported(folder)
    try:
        module = getattr(code, BUILD)(config)
    except Exception as error:  # somebody's code raises anything
        raise ArtefactRefused(f"{ENTRY}: {BUILD}(config) failed: {type(error).__name__}: {error}") from error
    if not isinstance(module, torch.nn.Module):
        raise ArtefactRefused(f"{ENTRY}: {BUILD}(config) gives {type(module).__name__}, expected a torch.nn.Module")
    return module


def _state(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}
    names = {name: b"" for name in (SINGLE, INDEX) if (folder / name).is_file()}
    if INDEX in names:
        names[INDEX] = (folder / INDEX).read_bytes()
        names |= {path.relative_to(folder).as_posix(): b"" for path in folder.rglob("*.safetensors")}
    for name in shards(names):
        try:
            with safe_open(folder / inside(name), framework="pt") as held:
                found |= {key: held.get_tensor(key) for key in held.keys()}  # noqa: SIM118 -- no mapping
        except (SafetensorError, OSError, ValueError) as error:
            raise ArtefactRefused(f"{name} is no file of safetensors, or a damaged one: {error}") from error
    return found


def _check(state: dict[str, Any], expected: dict[str, Any], tied: set[str]) -> None:
    """Names, shapes and dtypes. A tied weight lies in the file once."""
    lacking, more = sorted(set(expected) - set(state) - tied), sorted(set(state) - set(expected))
    if lacking or more:
        what = [f"{word} {', '.join(names[:5])}{' …' if len(names) > 5 else ''}"
                for word, names in (("it lacks", lacking), ("it has no place for", more)) if names]  # fmt: skip
        raise ArtefactRefused(f"the weights and the module that {BUILD}(config) gives differ: {'; '.join(what)}")
    for name, held in state.items():
        wanted = expected[name]
        fits = held.dtype == wanted.dtype or (held.dtype in _SMALLER and wanted.dtype in (torch.float32, torch.float64))
        if held.shape != wanted.shape or not fits:
            raise ArtefactRefused(
                f"the weights {name!r} are {_said(held)}, the module that {BUILD}(config) gives expects {_said(wanted)}"
            )


def _said(tensor: Any) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {tuple(tensor.shape)}"
