"""A folder of somebody's code as a predictor: `predictor.py`, and the files beside it.

In: the files of a folder. Out: a part that lists them by path and sha256 (each is a blob of its own), and later, in a
process that is there for this version alone, a Predictor. `predictor.py` defines `load(folder)`, which returns an
object with `predict(rows)`, or a class `Predictor` that is made with the folder (or with nothing). Code is never run
by default: it takes `versions.code`, our own ledger's word for these bytes, and a process of its own.

`predict` gets a DataFrame of the library and dtypes of the training rows. It returns (n_rows, n_classes) probabilities
in the order of the signature (or of its own `classes_`), (n_rows,) probabilities of the second class of two, or
numbers.
"""

import hashlib
import inspect
import json
import os
import secrets
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from shutil import rmtree
from typing import Any

import numpy as np

from incumbent.errors import ArtefactRefused, StoreDamaged
from incumbent.records import Signature
from incumbent.runtimes.base import Columns, Floats, Opening, n_rows
from incumbent.runtimes.folder import ENTRY, inside
from incumbent.runtimes.schema import Schema, native
from incumbent.runtimes.sklearn import class_order

PART = "pyfunc.json"
_PREFIX = "incumbent-code-"


@dataclass(frozen=True, slots=True)
class CodeFolder:
    """The files of a folder by relative path ("predictor.py", "weights/a.bin")."""

    files: Mapping[str, bytes]
    runtime: str = "pyfunc"


class PyFunc:
    """Somebody's predictor with the face of ours. Raises ArtefactRefused when it has no `predict`."""

    runtime = "pyfunc"

    def __init__(self, model: Any, signature: Signature, schema: Schema | None = None) -> None:
        if not callable(getattr(model, "predict", None)):
            raise ArtefactRefused(f"{ENTRY} gives {type(model).__name__}, expected an object with predict(rows)")
        self.model, self.signature, self.schema = model, signature, schema
        self._order = class_order(model, signature)

    def predict(self, columns: Columns) -> Floats:
        """Answer n_rows rows."""
        rows = n_rows(columns)
        if rows == 0:
            return np.empty((0, len(self.signature.classes)) if self.signature.classifies else 0)
        output = np.asarray(self.model.predict(native(columns, self.signature, self.schema)), dtype=np.float64)
        if not self.signature.classifies:
            return output.reshape(rows) if output.size == rows else output
        if output.size == rows and len(self.signature.classes) == 2:
            second = output.reshape(rows)
            output = np.column_stack([1.0 - second, second])
        if output.ndim != 2 or output.shape[1] != len(self._order):
            return output  # of a wrong shape, and refused as such
        ordered = np.zeros((len(output), len(self.signature.classes)))
        ordered[:, self._order] = output
        return ordered


def pack(model: CodeFolder, opening: Opening) -> tuple[str, bytes]:
    """The part that lists the files; each of them goes into the blobs. Raises ArtefactRefused without the opt-in."""
    refuse_without_opt_in(opening.versions.code)
    if ENTRY not in model.files:
        raise ArtefactRefused(f"found no {ENTRY} among {', '.join(sorted(model.files)) or 'no files'}")
    assert opening.blobs is not None
    files = {inside(path): opening.blobs.put(content) for path, content in model.files.items()}
    return PART, json.dumps({"entry": ENTRY, "files": files}, sort_keys=True, indent=1).encode()


def load(content: bytes, opening: Opening) -> PyFunc:
    """The predictor of a folder of code. Raises ArtefactRefused unless all of the module's conditions hold."""
    refuse_without_opt_in(opening.versions.code)
    if not opening.vouched:
        digest = hashlib.sha256(content).hexdigest()
        raise ArtefactRefused(f"the code {digest[:12]}… is not on our ledger, and is not run: register it first")
    if not opening.contained:
        raise ArtefactRefused("this version is code: it runs in a process of its own, never in this one")
    folder = _written(listed(content), opening)
    found = opening.schema
    schema = None if found is None else Schema(found["library"], found["dtypes"])
    return PyFunc(_made(imported(folder), folder), opening.signature, schema)


def refuse_without_opt_in(code: bool) -> None:
    """Raise ArtefactRefused unless `versions.code`."""
    if not code:
        raise ArtefactRefused(
            "this version is a folder of code, which can do anything that its process may. To run the ones that are on "
            "your own ledger write in incumbent.toml, under [versions]: code = true"
        )


def listed(content: bytes) -> dict[str, str]:
    """The files of a part: relative path -> sha256. Raises ArtefactRefused for a path that leaves its folder."""
    try:
        files = json.loads(content)["files"]
        return {inside(path): str(digest) for path, digest in files.items()}
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ArtefactRefused(f"this is no list of files: {type(error).__name__}: {error}") from error


def _written(files: Mapping[str, str], opening: Opening) -> Path:
    """The files in a new folder that nobody else may read; folders of processes that are gone go too."""
    assert opening.blobs is not None
    _sweep()
    folder = Path(tempfile.gettempdir()) / f"{_PREFIX}{secrets.token_hex(8)}"
    _hold(folder)
    folder.mkdir(mode=0o700)
    for path, digest in files.items():
        try:
            content = opening.blobs.get(digest)
        except KeyError:
            raise StoreDamaged(f"{path} {digest[:12]}… is missing from the store, expected a blob of it") from None
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        target.chmod(0o400)
    return folder


def _hold(folder: Path) -> None:
    """A lock for as long as this process lives, however it ends."""
    with suppress(ModuleNotFoundError):  # Windows: the folder stays until somebody tidies up
        import fcntl

        lock = os.open(folder.with_name(f"{folder.name}.lock"), os.O_CREAT | os.O_RDWR, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)  # and never closed: it ends with the process


def _sweep() -> None:
    """Remove folders whose process is gone (a worker is killed, and cannot tidy up)."""
    with suppress(ModuleNotFoundError):
        import fcntl

        for lock in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*.lock"):
            with suppress(OSError), lock.open("r+") as file:  # of somebody else, or still held
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                rmtree(lock.with_suffix(""), ignore_errors=True)
                lock.unlink()


def imported(folder: Path) -> Any:
    """`predictor.py` as a module; what lies beside it can be imported too. Only in a process of its own."""
    sys.path.insert(0, str(folder))
    sys.dont_write_bytecode = True
    spec = spec_from_file_location("predictor", folder / ENTRY)
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    sys.modules["predictor"] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # somebody's code raises anything
        needs = ": requirements.txt says what it needs" if (folder / "requirements.txt").is_file() else ""
        raise ArtefactRefused(f"{ENTRY} cannot be imported: {type(error).__name__}: {error}{needs}") from error
    return module


def _made(module: Any, folder: Path) -> Any:
    load, kind = getattr(module, "load", None), getattr(module, "Predictor", None)
    if not callable(load) and not callable(kind):
        raise ArtefactRefused(f"{ENTRY} has neither load(folder) nor a class Predictor: expected one of the two")
    try:
        if callable(load):
            return load(folder)
        assert kind is not None
        return kind(folder) if _takes_argument(kind) else kind()
    except Exception as error:
        raise ArtefactRefused(f"{ENTRY} gives no predictor: {type(error).__name__}: {error}") from error


def _takes_argument(kind: Any) -> bool:
    try:
        return bool(inspect.signature(kind).parameters)
    except ValueError:  # a class that is written in C may not say
        return False
