"""A model from a file, a folder or an MLflow address becomes the next version; and a version becomes a folder.

In: where it lies, and whether the caller trusts it. Out: a Version on the ledger, as for a model in memory. Files that
hold no code (ONNX, LightGBM's text, XGBoost, CatBoost, skops) need no trust; pickles, TorchScript and folders of code
need `trust`, and code a line in incumbent.toml. What came from outside is opened in a process of its own first.
Promotes nothing.
"""

import hashlib
import re
import tempfile
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from incumbent.engines.contained import open_contained
from incumbent.errors import ArtefactRefused, ConfigError, DataError, MissingExtra, PredictError
from incumbent.loop import promote
from incumbent.project.registering import register
from incumbent.project.trying import open_model
from incumbent.records import Micros, Version
from incumbent.runtimes import exported, kinds
from incumbent.runtimes.folder import ENTRY, read_folder, write_files
from incumbent.runtimes.forest import check_text
from incumbent.runtimes.lightgbm import decoded, twin_text
from incumbent.runtimes.network import CONFIG, Script, builds, lacks, script, weights
from incumbent.runtimes.pyfunc import CodeFolder, refuse_without_opt_in
from incumbent.runtimes.whole import check_onnx, in_one_piece

if TYPE_CHECKING:
    from incumbent.project.project import Project

BY_SUFFIX = {
    ".onnx": "onnx", ".skops": "sklearn", ".ubj": "xgboost", ".json": "xgboost", ".cbm": "catboost",
    ".txt": "lightgbm", ".lgb": "lightgbm",
}  # fmt: skip
"""What a file of this suffix holds; its bytes are the model."""

NETWORKS = (".pt", ".pth", ".pt2", ".ts", ".torchscript")
"""What PyTorch writes: TorchScript is taken, pickles are not."""
WEIGHTS = (".safetensors", ".bin", ".ckpt", ".h5", *NETWORKS)
MODELS = ("model.onnx", "onnx/model.onnx", "model.skops")
"""What is looked for in a folder like those of Hugging Face, in this order."""
MOST_CONFIG = 1_000_000
_REMOTE = re.compile(r"^(models|runs|mlflow-artifacts):/")


@dataclass(frozen=True, slots=True)
class Brought:
    """A model as `register` takes it, its runtime where it does not say so itself, and what it is in words."""

    model: Any
    runtime: str | None
    what: str


def bring(
    project: "Project",
    source: str | Path,
    rows: Any = None,
    *,
    trust: bool = False,
    description: str = "",
    recipe: str = "external",
    parent: str | None = None,
    now: Micros | None = None,
) -> Version:
    """Register what lies at `source`: see docs/versions.md for what that may be.

    Raises DataError when there is nothing to be found, ArtefactRefused for what is not trusted, not known or does not
    answer its own rows, MissingExtra when its package is not installed.
    """
    with tempfile.TemporaryDirectory(prefix="incumbent-") as scratch:
        path = _fetched(str(source), Path(scratch))
        if (path / exported.SUMS).is_file():
            return _restored(project, path, trust=trust, description=description, now=now)
        found = _file(project, path, trust) if path.is_file() else _folder(project, path, trust)
        if isinstance(found, Path):
            return _restored(project, found, trust=trust, description=description, now=now)
        return register(
            project, found.model, rows, description=description or found.what, recipe=recipe, parent=parent,
            runtime=found.runtime, now=now,
        )  # fmt: skip


def export(project: "Project", name: str, folder: Path, form: str = "folder") -> Path:
    """Write a version into a new folder: plain files (`folder`), or an MLflow model around them (`mlflow`).

    Raises UnknownVersion, DataError when the folder holds something, MissingExtra without mlflow.
    """
    version = project.version(name)
    about = {
        "name": name, "task": project.config.task.name, "kind": version.signature.kind, "runtime": version.runtime,
        "description": version.description, "recipe": version.recipe, "trained_until": version.trained_until,
        "n_rows": version.n_rows,
    }  # fmt: skip
    if not version.answers or version.serves in kinds.REMOTE:
        what = "a reference" if not version.answers else "an address of another system"
        raise DataError(f"{name} ({version.runtime}) is {what}: there is no predictor to export")
    files = exported.files_of(project.facts.blobs, version.manifest, about)
    if form == "folder":
        write_files(folder, files)
    elif form == "mlflow":
        _mlflow().write(files, folder)
    else:
        raise ConfigError(f"found the format {form!r}, expected folder or mlflow")
    return folder


def of_mlflow(project: "Project", address: str) -> tuple[Brought | str, str]:
    """A model of MLflow that the settings name, or why it can be no version; and 8 digits of its folder's sha256.

    To name it is the trust for it; `versions.code` and `versions.pickle` are asked for as ever. Raises DataError where
    it cannot be had, MissingExtra without mlflow.
    """
    with tempfile.TemporaryDirectory(prefix="incumbent-") as scratch:
        path = Path(address) if Path(address).exists() else Path(_mlflow().fetch(address, Path(scratch)))
        digest = _digest(read_folder(path, project.config.versions.unpacked_mb))[:8]
        try:
            found = _folder(project, path, trust=True)
        except ArtefactRefused as error:
            return " ".join(str(error).split()), digest
    return ("it is an exported version: `incumbent register` takes it" if isinstance(found, Path) else found), digest


def _fetched(source: str, scratch: Path) -> Path:
    if _REMOTE.match(source):
        return Path(_mlflow().fetch(source, scratch))
    path = Path(source)
    if not path.exists():
        raise DataError(f"{path}: no such file or folder; expected a model (or models:/name, runs:/id/model of MLflow)")
    return path


def _file(project: "Project", path: Path, trust: bool) -> Brought:
    """The model of one file: by its suffix, else a pickle."""
    suffix = path.suffix.lower()
    if suffix in WEIGHTS and suffix not in NETWORKS:
        raise ArtefactRefused(lacks(path.name, None))
    content = path.read_bytes()
    what = f"{path.name} (sha256 {hashlib.sha256(content).hexdigest()})"
    if suffix in NETWORKS:
        return Brought(_script(project, path, content, trust), None, what)
    if suffix == ".onnx":
        return Brought(in_one_piece(path, path.parent), "onnx", what)
    if suffix in BY_SUFFIX:
        return Brought(content, BY_SUFFIX[suffix], what)
    return Brought(open_model(path, trust)[0], None, what)


def _folder(project: "Project", path: Path, trust: bool) -> Brought | Path:
    """The model of a folder, or the folder of an exported version that lies in it."""
    _refuse_unknown(path)
    files = read_folder(path, project.config.versions.unpacked_mb)  # refuses links before anybody follows one
    what = f"{path.name} (sha256 {_digest(files)})"
    if "MLmodel" in files:
        found = _mlflow().read(path, files)
        if isinstance(found, Path):
            return found
        if isinstance(found, CodeFolder):
            return _code(project, found, trust, path, what)
        model, runtime = found
        return Brought(open_model(path / model, trust)[0], None, what) if runtime == "pickle" else Brought(
            _bytes(path, model, runtime, files), runtime, what
        )
    if ENTRY in files:
        found = _code(project, CodeFolder(files), trust, path, what)
        return Brought(weights(files), None, what) if builds(files) else found
    name = next(name for name in MODELS if (path / name).exists())
    runtime = BY_SUFFIX[Path(name).suffix]
    return Brought(_bytes(path, name, runtime, files), runtime, what)


def _refuse_unknown(path: Path) -> None:
    """Before a folder of any size is read: is there something in it that we know?"""
    if any((path / name).exists() for name in ("MLmodel", ENTRY, *MODELS)):
        return
    names = sorted(entry.name for entry in path.iterdir())
    held = next((name for name in names if Path(name).suffix in WEIGHTS), None)
    if held is not None:
        config = path / CONFIG
        plain = config.is_file() and not config.is_symlink() and config.stat().st_size < MOST_CONFIG
        raise ArtefactRefused(lacks(held, config.read_bytes() if plain else None))
    shown = ", ".join(names[:8]) + (" …" if len(names) > 8 else "")
    raise DataError(
        f"{path}: found {shown or 'nothing'}; expected {exported.MANIFEST} with {exported.SUMS} (an exported version), "
        f"MLmodel (MLflow), {ENTRY} (code), or {', '.join(MODELS)}"
    )


def _bytes(path: Path, name: str, runtime: str, files: dict[str, bytes]) -> bytes:
    if name not in files:
        raise ArtefactRefused(f"{path} names the model {name!r}, which is no file in it")
    return in_one_piece(path / name, path) if runtime == "onnx" else files[name]


def _code(project: "Project", found: CodeFolder, trust: bool, path: Path, what: str) -> Brought:
    refuse_without_opt_in(project.config.versions.code)
    if not trust:
        raise ArtefactRefused(
            f"{path} is a folder of code, which can do anything that its process may. If you trust where it comes "
            "from, say --trust (trust=True in Python)."
        )
    return Brought(found, "pyfunc", what)


def _script(project: "Project", path: Path, content: bytes, trust: bool) -> Script:
    found = script(path.name, content, project.config.versions.unpacked_mb)
    if not trust:
        raise ArtefactRefused(
            f"{path} is TorchScript: a program, which may read and write files when it runs (once, in a process of its "
            "own, to be translated). If you trust where it comes from, say --trust (trust=True in Python)."
        )
    return found


def _restored(project: "Project", path: Path, *, trust: bool, description: str, now: Micros | None) -> Version:
    """A version that was exported, under the same manifest, once it repeated its golden rows here."""
    found = exported.verified(read_folder(path, project.config.versions.unpacked_mb, without=()))
    if found.runs_code and not trust:
        raise ArtefactRefused(
            f"{path} holds {', '.join(found.manifest['parts'])}, which can run any code when it is opened. If you "
            "trust where it comes from, say --trust (trust=True in Python)."
        )
    for part, digest in found.manifest["parts"].items():
        _check_part(part, found.blobs[digest])
    now, roles = project.clock() if now is None else now, project.roles()
    _suits(project, found)
    _prove(project, found)
    about = found.about
    recipe = str(about.get("recipe") or "")
    known = project.code is not None and recipe == project.code.recipe(recipe.split("@")[0])
    version = Version(
        name=promote.next_version(roles),
        runtime=str(found.manifest["runtime"]),
        manifest=found.digest,
        signature=found.signature,
        serves=str(found.manifest["serves"]),
        recipe=recipe if known else "external",
        trained_until=about["trained_until"] if project.config.task.time else None,
        n_rows=about["n_rows"],
        description=description or f"{about.get('name')} of {about.get('task')}: {about.get('description') or recipe}",
        brought=True,
    )
    promote.register(project.facts.ledger, roles, version, at=now, actor=project.actor, reason=version.description)
    return version


def _check_part(part: str, content: bytes) -> None:
    """What registering these bytes by themselves would refuse."""
    if part.endswith(".onnx"):
        check_onnx(content)
    elif part == "model.lightgbm.txt":
        check_text(decoded(content))
    elif part == "twin.lightgbm.json":
        check_text(twin_text(content))


def _suits(project: "Project", found: exported.Exported) -> None:
    task, signature, roles = project.config.task, found.signature, project.roles()
    if signature.kind != task.kind:
        raise DataError(f"found a version of a {signature.kind} task, expected {task.kind} (task.kind)")
    if roles.incumbent is None:
        return
    expected = roles.versions[roles.incumbent].signature
    lacking = sorted(set(signature.names) - set(expected.names))
    if signature.classes != expected.classes or lacking:
        what = f"the columns {', '.join(lacking)}" if lacking else f"the classes {list(signature.classes)}"
        raise DataError(
            f"found a version with {what}; the incumbent {roles.incumbent} has the columns {', '.join(expected.names)} "
            f"and the classes {list(expected.classes)}. A version of the same task has the same."
        )


def _prove(project: "Project", found: exported.Exported) -> None:
    """Keep the blobs if the version opens in a process of its own and repeats its golden rows there."""
    blobs = project.facts.blobs
    fresh = [digest for digest in found.blobs if not blobs.has(digest)]
    for digest in fresh:
        blobs.put(found.blobs[digest])
    try:
        open_contained(project.config, found.digest, str(found.manifest["runtime"])).close()
    except BaseException as error:
        for digest in fresh:
            blobs.delete(digest)
        if isinstance(error, PredictError):
            raise ArtefactRefused(f"it was tried in a process of its own, and failed there: {error}") from error
        raise


def _mlflow() -> Any:
    """Our module for MLflow, which imports the package: an extra."""
    try:
        return import_module("incumbent.project.mlflow")
    except ModuleNotFoundError as error:
        raise MissingExtra(error.name or "mlflow", "mlflow", "a model of MLflow") from error


def _digest(files: dict[str, bytes]) -> str:
    """One hash for a folder: of the list that sha256sum would print."""
    lines = "".join(f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in files.items())
    return hashlib.sha256(lines.encode()).hexdigest()
