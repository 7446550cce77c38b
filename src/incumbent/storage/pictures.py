"""Which picture is the latest of its name? Blobs hold the bytes, one small index file names them.

In: SVG bytes that the judging path drew. Out: the same bytes, for pages. `pictures.json` in the store's
folder is replaced whole, so a reader sees the old index or the new one. One process draws at a time (the one
that ticks); any number read. Draws nothing.
"""

import errno
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from incumbent.errors import StorageError, StoreDamaged, StoreFull
from incumbent.records import Micros
from incumbent.storage.base import Blobs

INDEX = "pictures.json"
FINDINGS = "findings.json"
"""The same for what was found besides the evidence on the ledger: JSON, for pages."""


@dataclass(frozen=True, slots=True)
class Picture:
    """What the index says: the sha256 of the bytes, and the task time that they were drawn for."""

    digest: str
    at: Micros


class Pictures:
    """Named pictures of one store. `folder` is where the file `name` lies, the index; `blobs` keep the bytes."""

    def __init__(self, folder: Path, blobs: Blobs, name: str = INDEX) -> None:
        self.folder, self._blobs, self._index = folder, blobs, name

    def put(self, name: str, svg: bytes, at: Micros) -> str:
        """Keep a picture under a name, in place of the one that had it; the sha256 of its bytes."""
        self.put_all({name: svg}, at)
        return self.index()[name].digest

    def put_all(self, pictures: Mapping[str, bytes], at: Micros) -> None:
        """Keep several pictures with one change of the index. StoreFull when the disk is full."""
        new = {name: {"digest": self._blobs.put(svg), "at": at} for name, svg in pictures.items()}
        old = {name: {"digest": one.digest, "at": one.at} for name, one in self.index().items()}
        self._replace(json.dumps({**old, **new}, sort_keys=True, indent=1))

    def get(self, name: str) -> bytes | None:
        """The latest picture of that name; None when there is none."""
        found = self.index().get(name)
        return None if found is None else self._blobs.get(found.digest)

    def names(self) -> list[str]:
        """The names that have a picture, sorted."""
        return sorted(self.index())

    def index(self) -> dict[str, Picture]:
        """Every name with its digest and time. StoreDamaged when the index cannot be read."""
        path = self.folder / self._index
        try:
            found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            return {name: Picture(one["digest"], one["at"]) for name, one in found.items()}
        except FileNotFoundError:
            return {}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise StoreDamaged(
                f"{path}: found no index of pictures ({error}); delete it, and the next tick draws them again"
            ) from error

    def _replace(self, text: str) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        handle, draft = tempfile.mkstemp(prefix=self._index, dir=self.folder)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
            os.replace(draft, self.folder / self._index)
        except OSError as error:
            Path(draft).unlink(missing_ok=True)
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise StoreFull(f"{self.folder}: the disk is full; the old pictures stay") from error
            raise StorageError(f"{self.folder / self._index}: cannot be written: {error.strerror}") from error
