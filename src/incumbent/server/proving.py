"""Does a version load here, and repeat its golden rows? Asked in this process, or in one of its own.

In: a version of our own ledger (which vouches for a pickle in it). Out: nothing, or a VersionError. A server asks in
a process of its own: what it proves may hang, crash, or load all of scikit-learn.
"""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from incumbent import config as configuration
from incumbent.config import Config
from incumbent.engines import contained
from incumbent.errors import IncumbentError, VersionError
from incumbent.records import Version
from incumbent.runtimes import artefact, kinds
from incumbent.runtimes.base import Remote
from incumbent.storage.base import Blobs
from incumbent.storage.opening import open_blobs

PATIENCE_S = 120.0

Proves = Callable[[Version], None]


def here(config: Config, blobs: Blobs) -> Proves:
    """Load and prove in this process."""

    def prove(version: Version) -> None:
        contained.prove(config, version.manifest)

    return prove


def apart(config: Config, patience_s: float = PATIENCE_S) -> Proves:
    """Load and prove in a process of its own, which ends after it."""

    def prove(version: Version) -> None:
        command = [sys.executable, "-m", "incumbent.server.proving", str(config.folder), version.manifest]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=patience_s)
        except subprocess.TimeoutExpired:
            raise VersionError(f"{version.name} did not repeat its golden rows within {patience_s:g} s") from None
        if done.returncode != 0:
            said = json.loads(done.stdout)["error"] if done.stdout else f"it ended its process ({done.returncode})"
            raise VersionError(f"{version.name} cannot be proved here: {said}")

    return prove


def _main(folder: str, manifest: str) -> int:
    try:
        config = configuration.load(Path(folder))
        blobs, remote = open_blobs(config), Remote(config.baseline)
        opened = artefact.open_version(
            blobs, manifest, config.versions, known=(manifest,), contained=True, remote=remote
        )
        if artefact.manifest(blobs, manifest)["serves"] in kinds.REMOTE:
            artefact.golden_gap(blobs, manifest, opened)
    except IncumbentError as error:
        print(json.dumps({"error": f"{type(error).__name__}: {error}"}))
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(_main(*sys.argv[1:]))
