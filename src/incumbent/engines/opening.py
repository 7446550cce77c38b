"""Which engine does a version get?

In: the configuration, the blobs and a Version of the ledger. Out: an Engine, loaded and proved. Predictors that we run
ourselves (rules, ONNX, a proved twin) run inline; anything else, which is other people's code or asks another machine,
in a worker. A challenger is opened apart: it has not earned its place yet, so it gets a worker too, unless it
`is_harmless`.
"""

from typing import Protocol

from incumbent.config import Config
from incumbent.engines.base import Engine
from incumbent.engines.inline import Inline
from incumbent.engines.worker import Worker
from incumbent.errors import NotAnswering
from incumbent.records import Version
from incumbent.runtimes.artefact import open_version
from incumbent.runtimes.base import Predictor, Remote
from incumbent.runtimes.kinds import INLINE, REMOTE
from incumbent.storage.base import Blobs
from incumbent.storage.opening import open_blobs

HARMLESS = INLINE - {"model.onnx"}
"""Parts that we made and proved ourselves (rules, twins), and trees that were checked one by one when they were stored
(`runtimes.forest`): nothing in them hangs or grows. A graph that somebody else wrote may loop and allocate as it likes.
A process of its own costs a LightGBM of 300 trees more than its answer: median 4.1 times an echo's, not 2.4."""


class OpenEngine(Protocol):
    """Opens versions. `apart`: it is a challenger, and must not be able to harm who asks it."""

    def __call__(self, version: Version, *, apart: bool = False) -> Engine:
        """Raises VersionError, or StorageError for unreadable blobs."""


def runs_inline(version: Version) -> bool:
    """Is it a predictor that we run ourselves? A compiled twin is, whatever it was compiled from."""
    return version.runtime in ("rule", "onnx") or version.serves in INLINE


def is_harmless(version: Version) -> bool:
    """Can nothing in it hang or grow? A graph that was made elsewhere may, also where it is called a twin."""
    return version.serves in HARMLESS and not (version.brought and version.serves.endswith(".onnx"))


def opener(config: Config, blobs: Blobs) -> OpenEngine:
    """A function that opens versions."""

    def open_engine(version: Version, *, apart: bool = False) -> Engine:
        if not version.answers:
            raise NotAnswering(f"{version.name} ({version.runtime}) is a reference: it cannot answer new rows.")
        if runs_inline(version) and (is_harmless(version) or not apart):
            return Inline(version.name, open_version(blobs, version.manifest, config.versions))
        remote, deadline_ms = version.serves in REMOTE, config.serve.deadline_ms
        arguments = (config, version.manifest, deadline_ms) if remote else (config, version.manifest)
        return Worker(
            version.name, open_in_child, arguments, memory_mb=config.versions.memory_mb, comes_back=remote
        )

    return open_engine


def open_in_child(config: Config, manifest: str, deadline_ms: float = 0.0) -> Predictor:
    """What a worker's child calls: it reads the blobs itself; only columns cross the pipe.

    The manifest's hash comes from our own ledger, which is what vouches for a pickle, for code, or for an address in
    it. `deadline_ms` is for one that asks another machine.
    """
    remote = Remote(config.baseline, deadline_ms)
    return open_version(open_blobs(config), manifest, config.versions, (manifest,), contained=True, remote=remote)
