"""Which module packs, loads and translates which kind of predictor? The tables of the seam.

In: the name of a runtime or of a part. Out: the function behind it, imported when it is asked for, because the packages
of a runtime are optional and heavy. On the answering path.
"""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from incumbent.errors import ArtefactRefused, MissingExtra

PACKERS: Mapping[str, str] = {
    "rule": "incumbent.runtimes.rule:pack",
    "onnx": "incumbent.runtimes.onnx:pack",
    "lightgbm": "incumbent.runtimes.lightgbm:pack",
    "sklearn": "incumbent.runtimes.sklearn:pack",
    "people": "incumbent.runtimes.people:pack",
    "xgboost": "incumbent.runtimes.xgboost:pack",
    "catboost": "incumbent.runtimes.catboost:pack",
    "pyfunc": "incumbent.runtimes.pyfunc:pack",
    "endpoint": "incumbent.runtimes.endpoint:pack",
    "reference": "incumbent.runtimes.reference:pack",
    "torch": "incumbent.runtimes.torch:pack",
}
"""Runtime name -> `pack(model, opening) -> (name of the part, its bytes)`."""

LOADERS: Mapping[str, str] = {
    "rule.json": "incumbent.runtimes.rule:load",
    "model.onnx": "incumbent.runtimes.onnx:load",
    "twin.linear.json": "incumbent.runtimes.linear:load",
    "twin.onnx": "incumbent.runtimes.onnx:load",
    "model.lightgbm.txt": "incumbent.runtimes.lightgbm:load_text",
    "twin.lightgbm.json": "incumbent.runtimes.lightgbm:load",
    "people.json": "incumbent.runtimes.people:load",
    "native.skops": "incumbent.runtimes.sklearn:load_skops",
    "native.pickle": "incumbent.runtimes.sklearn:load_pickle",
    "model.xgboost.ubj": "incumbent.runtimes.xgboost:load",
    "model.catboost.cbm": "incumbent.runtimes.catboost:load",
    "pyfunc.json": "incumbent.runtimes.pyfunc:load",
    "endpoint.json": "incumbent.runtimes.endpoint:load",
    "reference.json": "incumbent.runtimes.reference:load",
}
"""Name of a part -> `load(content, opening) -> Predictor`."""

PROOF = "incumbent.runtimes.proof:Proof"
TWINS: Mapping[str, str] = {
    "twin.linear.json": "incumbent.runtimes.fold:linear_twin",
    "twin.onnx": "incumbent.runtimes.compile:proved",
    "twin.lightgbm.json": "incumbent.runtimes.fold:lightgbm_twin",
}
"""Name of a part -> `make(native, proof) -> Twin | str`, the quickest first: the first that is proved equal serves."""

GENERAL = "twin.onnx"
"""The twin that takes most kinds of models: its reason is the one worth telling where there is none."""

TWINS_OF: Mapping[str, tuple[str, ...]] = {
    "sklearn": tuple(TWINS), "lightgbm": ("twin.onnx",), "xgboost": ("twin.onnx",), "catboost": ("twin.onnx",),
}  # fmt: skip
"""Which twins are tried for a runtime."""

INLINE = frozenset({"rule.json", "model.onnx", "model.lightgbm.txt", *TWINS})
"""Parts that we run ourselves; the others are other people's code, and run in a worker."""

CODE = frozenset({"pyfunc.json"})
"""Parts that are somebody's code: they are opened in a process of their own, never in this one."""

REMOTE = frozenset({"endpoint.json"})
"""Parts that ask another machine. What they say may change from one day to the next and may not come at all, so that
nothing is asked when they are opened: their golden rows are for who judges (`golden_gap` of `artefact`)."""

NETWORK, TRANSLATE = "incumbent.runtimes.torch:Network", "incumbent.runtimes.torch:translated"
"""A network of PyTorch as a predictor, and its translation to ONNX, which is what is stored."""
NETWORKS: Mapping[str, str] = {
    "torchscript": "incumbent.runtimes.torch:open_script",
    "safetensors": "incumbent.runtimes.safetensors:open_weights",
}
"""Kind of file -> `open(folder, signature) -> Network`: code from outside, so in a process of its own."""
EXTRAS: Mapping[str, str] = {
    "xgboost": "xgboost", "catboost": "catboost", "torch": "torch", "onnxscript": "torch", "safetensors": "torch",
}  # fmt: skip
"""Package -> the extra that brings it, where that is not `all`."""


_MODULE = ("torch.nn.modules.module", "Module")


def runtime_of(model: Any) -> str:
    """The runtime of a model by what it is: a `Rule`, LightGBM's Booster, a model of XGBoost or CatBoost, a module of
    PyTorch, ONNX bytes, else a fitted estimator."""
    known = getattr(model, "runtime", None)
    if known in PACKERS:
        return str(known)
    if isinstance(model, bytes):
        return "onnx"
    if any((kind.__module__, kind.__name__) == _MODULE for kind in type(model).__mro__):
        return "torch"
    package, name = type(model).__module__.split(".")[0], type(model).__name__
    if package == "lightgbm":
        return "lightgbm" if name == "Booster" else "sklearn"
    return package if package in ("xgboost", "catboost") else "sklearn"


def runtime_in(table: Mapping[str, str], name: str) -> Any:
    """The function that a table has for a name. Raises ArtefactRefused when it has none, MissingExtra when its package
    is not installed."""
    if name not in table:
        raise ArtefactRefused(f"found the runtime or part {name!r}, expected one of {', '.join(table)}")
    return callable_at(table[name])


def callable_at(target: str) -> Any:
    """The function behind "module:name"; imported here, because the packages of a runtime are optional and heavy."""
    module, name = target.split(":")
    try:
        return getattr(import_module(module), name)
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("incumbent"):
            raise
        package = error.name or module
        purpose = f"{module.rsplit('.', 1)[-1]} versions"
        raise MissingExtra(package, EXTRAS.get(package.split(".")[0], "all"), purpose) from error
