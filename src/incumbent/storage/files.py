"""Blobs as files: `ab/cdef…` below one folder, each named by the sha256 of its content.

A blob is written beside its place, made durable and then renamed, so that nothing half-written is ever found.
"""

import errno
import hashlib
import os
import secrets
from pathlib import Path

from incumbent.errors import StorageError, StoreDamaged, StoreFull


def open_blobs(folder: Path) -> "FileBlobs":
    """Blobs below `folder` (made when it is not there)."""
    return FileBlobs(folder)


class FileBlobs:
    """The Blobs contract on a file system (see `storage.base`)."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def put(self, content: bytes) -> str:
        digest = hashlib.sha256(content).hexdigest()
        path = self._path(digest)
        if path.exists():
            return digest
        draft = path.with_name(f".{digest[:12]}.{os.getpid()}.{secrets.token_hex(4)}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with draft.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)
        except OSError as error:
            draft.unlink(missing_ok=True)
            raise _named(error, path) from error
        return digest

    def get(self, digest: str) -> bytes:
        try:
            content = self._path(digest).read_bytes()
        except FileNotFoundError:
            raise KeyError(digest) from None
        found = hashlib.sha256(content).hexdigest()
        if found != digest:
            raise StoreDamaged(f"the blob {digest[:12]}… has changed: its content hashes to {found[:12]}…; "
                               "restore it from a backup")
        return content

    def has(self, digest: str) -> bool:
        return self._path(digest).exists()

    def _path(self, digest: str) -> Path:
        if len(digest) != 64 or not set(digest) <= set("0123456789abcdef"):
            raise KeyError(digest)
        return self.folder / digest[:2] / digest[2:]


def _named(error: OSError, path: Path) -> StorageError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return StoreFull(f"no space left for {path.parent}: free some, then try again; what was kept stays")
    return StorageError(f"{path.parent} cannot be written: {error.strerror}")
