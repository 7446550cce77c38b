"""A predictor in a process of its own, with the face of a Predictor: for code, and for what nobody opened before.

In: the configuration, and a version of our ledger or the bytes of a part. Out: a Predictor that ends with its process.
It is no engine: the judges ask it, with much patience; the answering path has `worker`.
"""

import json
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from incumbent.config import Config
from incumbent.engines.child import limit_memory
from incumbent.engines.opening import open_in_child
from incumbent.engines.worker import Worker
from incumbent.errors import ArtefactRefused, MissingExtra, PredictError
from incumbent.records import Json, Signature
from incumbent.runtimes import artefact, kinds
from incumbent.runtimes.base import Columns, Floats, Opening, Predictor, Remote, n_rows
from incumbent.runtimes.folder import write_files
from incumbent.runtimes.network import Given
from incumbent.runtimes.proof import Twin
from incumbent.storage.opening import open_blobs

PATIENCE_MS = 120_000.0
_CHUNK = 10_000
_TRANSLATED, _PROVED = "translated.onnx", "proved.json"


class Contained:
    """A predictor whose child is killed by `close`. Errors of `predict` are those of an engine."""

    def __init__(self, worker: Worker, runtime: str) -> None:
        self.runtime, self.signature = runtime, worker.signature
        self._worker = worker

    def predict(self, columns: Columns) -> Floats:
        """Answer n_rows rows, 10,000 at a time."""
        starts = range(0, max(n_rows(columns), 1), _CHUNK)
        chunks = [{name: values[i : i + _CHUNK] for name, values in columns.items()} for i in starts]
        return np.concatenate([self._worker.predict(chunk, PATIENCE_MS) for chunk in chunks])

    @property
    def pid(self) -> int | None:
        """The child's process id; None once it was closed."""
        return self._worker.pid

    def close(self) -> None:
        """Kill the child. Twice is fine."""
        self._worker.close()


def containing(config: Config) -> artefact.Contain:
    """What `artefact.save` opens a part with that came from outside."""

    def contain(part: str, content: bytes, opening: Opening, stack: ExitStack) -> Predictor:
        arguments = (config, part, content, opening.signature, opening.schema)
        found = Contained(_worker(part, config, open_part_in_child, arguments), part)
        stack.callback(found.close)
        return found

    return contain


def open_predictor(config: Config, manifest: str) -> Predictor:
    """A version of our own ledger, proved on its golden rows: here, or in a process of its own where it is code (then
    it has a `close`). One that asks another machine is asked nothing yet: `prove` does."""
    blobs = open_blobs(config)
    if artefact.manifest(blobs, manifest)["serves"] not in kinds.CODE:
        remote = Remote(config.baseline)
        return artefact.open_version(blobs, manifest, config.versions, known=(manifest,), remote=remote)
    return open_contained(config, manifest, "pyfunc")


def prove(config: Config, manifest: str) -> artefact.GoldenGap | None:
    """Raise what keeps a version from answering: it does not load, it does not repeat its golden rows.

    One that asks another machine must answer its golden rows; that it answers them otherwise than when it was
    registered is said (the gap), and no reason to refuse it. None for every other version.
    """
    predictor = open_predictor(config, manifest)
    if isinstance(predictor, Contained):
        predictor.close()
    blobs = open_blobs(config)
    remote = artefact.manifest(blobs, manifest)["serves"] in kinds.REMOTE
    return artefact.golden_gap(blobs, manifest, predictor) if remote else None


def open_contained(config: Config, manifest: str, runtime: str) -> Contained:
    """A version in a process of its own, whatever it is, once it repeated its golden rows there."""
    return Contained(_worker("the version", config, open_in_child, (config, manifest)), runtime)


def translated(config: Config, given: Given, signature: Signature, sample: Columns) -> Twin:
    """The ONNX of a network of PyTorch that came from outside: it is read, asked, translated and proved equal in a
    process of its own, which is gone before this returns. Raises ArtefactRefused, also when that process ended or hung,
    MissingExtra without PyTorch."""
    for package in ("torch", "onnxscript", given.runtime):
        if package != "torchscript" and find_spec(package) is None:
            raise MissingExtra(package, "torch", "a network of PyTorch")
    with tempfile.TemporaryDirectory(prefix="incumbent-") as scratch:
        folder = Path(scratch) / "network"
        write_files(folder, dict(given.files))
        arguments = (given.runtime, folder, Path(scratch), signature, sample, config.versions.memory_mb)
        try:
            Worker("the network", translate_in_child, arguments, start_s=PATIENCE_MS / 1e3).close()
        except PredictError as error:
            raise ArtefactRefused(f"it was tried in a process of its own, and failed there: {error}") from error
        content = (Path(scratch) / _TRANSLATED).read_bytes()
        return Twin(content, **json.loads((Path(scratch) / _PROVED).read_text()))


def translate_in_child(
    runtime: str, folder: Path, target: Path, signature: Signature, sample: Columns, memory_mb: int
) -> Predictor:
    """In the child: translate what lies in the folder, and write it into `target`, with what was proved of it."""
    opens, translate = kinds.callable_at(kinds.NETWORKS[runtime]), kinds.callable_at(kinds.TRANSLATE)
    limit_memory(memory_mb)  # beside PyTorch itself
    network: Predictor = opens(folder, signature)
    twin: Twin = translate(network, sample)
    (target / _TRANSLATED).write_bytes(twin.content)
    (target / _PROVED).write_text(json.dumps({"max_difference": twin.max_difference, "n_rows": twin.n_rows}))
    return network


def open_part_in_child(
    config: Config, part: str, content: bytes, signature: Signature, schema: Mapping[str, Json] | None
) -> Predictor:
    """In the child: a part whose bytes were just given for registration, which is what vouches for it."""
    opening = Opening(signature, config.versions, schema, vouched=True, blobs=open_blobs(config), contained=True)
    return artefact.open_bytes(part, content, opening)


def _worker(name: str, config: Config, opens: Any, arguments: tuple[Any, ...]) -> Worker:
    return Worker(name, opens, arguments, memory_mb=config.versions.memory_mb)
