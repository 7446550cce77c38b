"""Models of MLflow: from its registry, its runs or a folder; and a version as an MLflow model.

In: an address, or a folder with `MLmodel`. Out: which file holds the model and in which runtime, where it is of a
flavour that we know (onnx, lightgbm, xgboost, catboost, sklearn); else the whole folder as code. Out again: a folder
that `mlflow.pyfunc.load_model` loads. Imports mlflow, which the extra `mlflow` brings, and runs no model.
"""

import shutil
from pathlib import Path

import mlflow.artifacts
import mlflow.pyfunc
from mlflow.models import Model

from incumbent.errors import ArtefactRefused, DataError
from incumbent.runtimes.folder import ENTRY, inside, write_files
from incumbent.runtimes.pyfunc import CodeFolder

LOADER = "incumbent.runtimes.exported"
_FLAVORS = {
    "onnx": (".onnx",),
    "lightgbm": (".lgb", ".txt"),
    "xgboost": (".ubj", ".json"),
    "catboost": (".cb", ".cbm"),
}
"""Flavours whose runtime we have, by its name, and the files of them that hold no code."""
_ENTRY = '''"""The pyfunc of an MLflow model."""

import mlflow.pyfunc


def load(folder):
    return mlflow.pyfunc.load_model(str(folder / "model"))
'''


def fetch(address: str, scratch: Path) -> Path:
    """The folder of a model by its address (`models:/name@champion`, `runs:/id/model`), copied into `scratch`.

    Asks the tracking server that MLFLOW_TRACKING_URI names. Raises DataError when it cannot be had.
    """
    try:
        return Path(mlflow.artifacts.download_artifacts(artifact_uri=address, dst_path=str(scratch)))
    except Exception as error:  # of the server, the network or the disk
        raise DataError(f"{address}: cannot be had from {mlflow.get_tracking_uri()}: {error}") from error


def read(folder: Path, files: dict[str, bytes]) -> tuple[str, str] | CodeFolder | Path:
    """(file, runtime) of a native flavour ("pickle" for an sklearn model that is one), the folder of a version of ours,
    or the whole as code."""
    try:
        flavors = Model.load(str(folder)).flavors
    except Exception as error:  # a damaged file makes it raise anything
        raise ArtefactRefused(f"{folder / 'MLmodel'} cannot be read: {type(error).__name__}: {error}") from error
    pyfunc = flavors.get("python_function", {})
    if pyfunc.get("loader_module") == LOADER:
        return folder / inside(str(pyfunc.get("data")))
    for runtime in _FLAVORS:
        if runtime in flavors and (found := _native(flavors[runtime], runtime)) is not None:
            return found
    if "sklearn" in flavors:
        found = _native(flavors["sklearn"] | {"data": flavors["sklearn"].get("pickled_model")}, "sklearn")
        return found or (inside(str(flavors["sklearn"]["pickled_model"])), "pickle")
    if not pyfunc:
        raise ArtefactRefused(f"{folder} has the flavours {', '.join(flavors)}, expected one that we know, or a pyfunc")
    return CodeFolder({ENTRY: _ENTRY.encode(), **{f"model/{name}": content for name, content in files.items()}})


def write(files: dict[str, bytes], folder: Path) -> None:
    """An MLflow model around the files of an exported version: needs incumbent where it is loaded, and no pickle.

    It has no signature of MLflow's, which refuses whole numbers that a null made decimals: ours is in its files, and is
    what its rows are held against.
    """
    if folder.exists() and any(folder.iterdir()):
        raise DataError(f"{folder} is there already, and not empty: expected a new folder. Nothing was written.")
    data = folder.with_name(f".{folder.name}.incumbent")
    try:
        write_files(data, files)
        mlflow.pyfunc.save_model(
            str(folder), loader_module=LOADER, data_path=str(data), pip_requirements=["incumbent[all]"]
        )
    finally:
        shutil.rmtree(data, ignore_errors=True)


def _native(flavor: dict[str, object], runtime: str) -> tuple[str, str] | None:
    """The file of a native flavour, if it is in a format that holds no code."""
    data = inside(str(flavor.get("data") or ""))
    suffix = Path(data).suffix
    if suffix == ".skops":
        return data, "sklearn"
    return (data, runtime) if suffix in _FLAVORS.get(runtime, ()) else None
