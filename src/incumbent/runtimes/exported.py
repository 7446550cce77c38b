"""A version as a plain folder of files, for another machine or for MLflow; and back.

In: a manifest and its blobs. Out: files by relative path: `manifest.json` (its bytes, so that its hash is the same
everywhere), `parts/`, `golden.json`, `profile.json`, `code/`, what is worth knowing beside them (`version.json`), and
`SHA256SUMS` over all of them. Back: the blobs again, if not a byte differs. Knows no project and no ledger: who is
trusted, and whether the version answers as it did, is asked by whoever opens it.
"""

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from incumbent.config import Versions
from incumbent.errors import ArtefactRefused
from incumbent.records import Json, Signature
from incumbent.runtimes import artefact, kinds
from incumbent.runtimes import signature as signatures
from incumbent.runtimes.base import Predictor, checked, n_rows
from incumbent.runtimes.folder import inside, read_folder
from incumbent.runtimes.pyfunc import PART as CODE_PART
from incumbent.runtimes.pyfunc import listed
from incumbent.storage.base import Blobs

MANIFEST, SUMS, ABOUT = "manifest.json", "SHA256SUMS", "version.json"
KEYS = frozenset({
    "format", "runtime", "signature", "schema", "parts", "serves", "golden", "profile", "libraries", "facts", "compile",
})  # fmt: skip
_README = """# {name}: a version of the task {task}

{description}Made by incumbent ({runtime}, served as {serves}). It takes {columns} and answers {answers}.

Into another project of the same task, with its golden rows replayed and nothing promoted:

    incumbent register FOLDER

In Python, without a project (what it says is proved on its golden rows first):

    from incumbent.runtimes.exported import open_folder
    predictor = open_folder("FOLDER")

`manifest.json` says what each file is; `sha256sum -c SHA256SUMS` says whether one was changed.
"""


@dataclass(frozen=True, slots=True)
class Exported:
    """A verified folder: the hash of its manifest, the manifest, the blobs by hash, and what `version.json` says."""

    digest: str
    manifest: Mapping[str, Json]
    blobs: Mapping[str, bytes]
    about: Mapping[str, Json]

    @property
    def signature(self) -> Signature:
        return signatures.from_json(self.manifest["signature"])

    @property
    def runs_code(self) -> bool:
        """Does a part of it run code when it is opened (a pickle, a folder of code)?"""
        return bool({CODE_PART, "native.pickle"} & set(self.manifest["parts"]))


def files_of(blobs: Blobs, digest: str, about: Mapping[str, Json]) -> dict[str, bytes]:
    """The files of the folder. `about`: name, task, description, recipe, trained_until, n_rows. Errors as for
    `artefact.manifest`."""
    found = artefact.manifest(blobs, digest)
    files = {MANIFEST: blobs.get(digest), "golden.json": blobs.get(found["golden"])}
    if found["profile"]:
        files["profile.json"] = blobs.get(found["profile"])
    for name, sha in found["parts"].items():
        files[f"parts/{name}"] = blobs.get(sha)
        if name == CODE_PART:
            files |= {f"code/{path}": blobs.get(each) for path, each in listed(blobs.get(sha)).items()}
    files[ABOUT] = json.dumps(about, indent=1, sort_keys=True, ensure_ascii=False).encode()
    files["README.md"] = _readme(found, about).encode()
    sums = "".join(f"{_sha(content)}  {name}\n" for name, content in sorted(files.items()))
    return files | {SUMS: sums.encode()}


def verified(files: Mapping[str, bytes]) -> Exported:
    """The version in these files. Raises ArtefactRefused for a changed, missing or added file, and for a manifest that
    says more than a manifest may: trust comes from a project's configuration, never from an artefact."""
    _verify_sums(files)
    try:
        manifest, about = json.loads(files[MANIFEST]), json.loads(files[ABOUT])
        more = sorted(set(manifest) ^ KEYS)
        if more:
            raise ArtefactRefused(
                f"{MANIFEST} has {', '.join(more)} too much or too little: expected {', '.join(sorted(KEYS))}. Who is "
                "trusted is said by the project's versions.trust, never by an artefact."
            )
        named = {"golden.json": manifest["golden"]}
        if manifest["profile"]:
            named["profile.json"] = manifest["profile"]
        named |= {f"parts/{inside(name)}": sha for name, sha in manifest["parts"].items()}
        if CODE_PART in manifest["parts"]:
            named |= {f"code/{path}": sha for path, sha in listed(files[f"parts/{CODE_PART}"]).items()}
        blobs = {sha: files[name] for name, sha in named.items()}
        kept = Exported(_sha(files[MANIFEST]), manifest, {**blobs, _sha(files[MANIFEST]): files[MANIFEST]}, dict(about))
        _check_parts(kept)
        _check_about(kept)
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
        raise ArtefactRefused(f"this is no exported version: {type(error).__name__}: {error}") from error
    wrong = [name for name, sha in named.items() if _sha(files[name]) != sha]
    if wrong:
        raise ArtefactRefused(f"{wrong[0]} is not what {MANIFEST} names: export the version anew")
    return kept


def open_folder(folder: str | Path, versions: Versions | None = None) -> Predictor:
    """The predictor of an exported folder, in this process, proved on its golden rows. Errors as for `verified` and
    `artefact.open_version`. Pickles and code need `versions` that allow them: that is your word for the folder."""
    allowed = Versions() if versions is None else versions
    found = verified(read_folder(Path(folder), allowed.unpacked_mb, without=()))
    return artefact.open_version(_Mapped(found.blobs), found.digest, allowed, (found.digest,), contained=True)


class _Mapped:
    """Blobs in memory, to read from."""

    def __init__(self, kept: Mapping[str, bytes]) -> None:
        self._kept = kept

    def get(self, digest: str) -> bytes:
        return self._kept[digest]

    def has(self, digest: str) -> bool:
        return digest in self._kept

    def put(self, content: bytes) -> str:
        raise NotImplementedError("nothing is written here")

    def delete(self, digest: str) -> None:
        raise NotImplementedError("nothing is written here")


class Served:
    """What `mlflow.pyfunc.load_model` gives rows to: a DataFrame in, probabilities by class (or numbers) out."""

    def __init__(self, predictor: Predictor) -> None:
        self.predictor = predictor

    def predict(self, rows: Any, params: Mapping[str, Any] | None = None) -> Any:
        """(n_rows, n_classes) probabilities as a DataFrame with a column a class, or (n_rows,) numbers."""
        from incumbent.runtimes import frames  # the judging path's

        signature = self.predictor.signature
        columns = frames.columns(rows, signature)
        output = checked(self.predictor.predict(columns), signature, n_rows(columns))
        if not signature.classifies:
            return output
        return type(rows)(dict(zip(map(str, signature.classes), output.T, strict=True)))


def _load_pyfunc(path: str, model_config: Mapping[str, Any] | None = None) -> Served:
    """MLflow's way in (`loader_module`). Who loads an MLflow model lets it run code; so may a pickle in it."""
    return Served(open_folder(path, Versions(pickle=True, code=True)))


def _verify_sums(files: Mapping[str, bytes]) -> None:
    if SUMS not in files or MANIFEST not in files:
        raise ArtefactRefused(f"this is no exported version: expected {MANIFEST} and {SUMS} in it")
    sums: dict[str, str] = {}
    with suppress(UnicodeDecodeError):
        for line in files[SUMS].decode().splitlines():
            digest, _, name = line.partition("  ")
            sums[inside(name)] = digest
    missing, added = sorted(set(sums) - set(files)), sorted(set(files) - set(sums) - {SUMS})
    if missing or added:
        raise ArtefactRefused(f"{SUMS} and the folder differ: found {', '.join(missing + added)} in one of them only")
    wrong = [name for name, digest in sums.items() if _sha(files[name]) != digest]
    if wrong:
        raise ArtefactRefused(f"{', '.join(wrong)} changed since the export: expected the bytes that {SUMS} names")


def _check_parts(found: Exported) -> None:
    """The parts are such that we know, the one that answers is one of them, the runtime is that of the native one."""
    parts, runtime, serves = found.manifest["parts"], found.manifest["runtime"], found.manifest["serves"]
    native = [name for name in parts if name not in kinds.TWINS]
    if kinds.REMOTE & set(parts):
        raise ArtefactRefused("found an address, which is no model: name it in baseline.url, where it is asked from")
    modules = [kinds.LOADERS[name].split(":")[0] for name in native]
    if serves not in parts or modules != [kinds.PACKERS[runtime].split(":")[0]]:
        raise ArtefactRefused(f"found the parts {', '.join(parts)} served as {serves}, expected those of {runtime}")


def _check_about(found: Exported) -> None:
    """What is said beside the manifest is of the types that a version has; the signature is one."""
    rows, until = found.about["n_rows"], found.about["trained_until"]
    if type(rows) is not int or type(until) not in (int, type(None)) or not found.signature.names:
        raise ArtefactRefused(f"{ABOUT}: found n_rows {rows!r} and trained_until {until!r}, expected whole numbers")


def _readme(found: Mapping[str, Json], about: Mapping[str, Json]) -> str:
    signature = signatures.from_json(found["signature"])
    answers = f"probabilities of {', '.join(map(str, signature.classes))}" if signature.classifies else "a number"
    return _README.format(
        name=about["name"], task=about["task"], runtime=found["runtime"], serves=found["serves"], answers=answers,
        description=f"{about['description']}\n\n" if about.get("description") else "",
        columns=", ".join(f"{c.name} ({c.type})" for c in signature.columns),
    )  # fmt: skip


def _sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
