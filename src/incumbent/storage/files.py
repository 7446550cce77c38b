"""Blobs as files: immutable bytes in a folder, each under the sha256 of its content.

In: bytes. Out: their hash. `ab/cdef…` holds the bytes whose hash is `abcdef…`. A file appears under its name only when
it is whole (written beside it, flushed to the disk, then renamed) and is verified whenever it is read.
"""

import errno
import os
import secrets
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from incumbent.errors import StorageError, StoreDamaged, StoreFull

_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class FileBlobs:
    """Content-addressed files in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = make_folder(folder)

    def put(self, content: bytes) -> str:
        """See `storage.base.Blobs.put`. Bytes that were damaged on the disk are replaced by the whole ones."""
        digest = sha256(content).hexdigest()
        path = self._path(digest)
        try:
            if not path.exists() or path.read_bytes() != content:
                _write_whole(path, content)
        except OSError as error:
            raise _refused(error, path) from error
        return digest

    def get(self, digest: str) -> bytes:
        """See `storage.base.Blobs.get`."""
        path = self._path(digest)
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            raise KeyError(digest) from None
        except OSError as error:
            raise _refused(error, path) from error
        found = sha256(content).hexdigest()
        if found != digest:
            raise StoreDamaged(
                f"{path} holds bytes with the hash {found}, expected {digest}: they changed on the disk. "
                "Bring the file back from a backup."
            )
        return content

    def delete(self, digest: str) -> None:
        """See `storage.base.Blobs.delete`."""
        try:
            path = self._path(digest)
        except KeyError:
            return
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise _refused(error, path) from error

    def has(self, digest: str) -> bool:
        """See `storage.base.Blobs.has`."""
        try:
            return self._path(digest).is_file()
        except KeyError:
            return False

    def _path(self, digest: str) -> Path:
        """Where the bytes of a hash lie. What is no hash has no bytes: KeyError."""
        if len(digest) != 64 or not set(digest) <= set("0123456789abcdef"):
            raise KeyError(digest)
        return self.folder / digest[:2] / digest[2:]


def open_blobs(folder: Path) -> FileBlobs:
    """The blobs of a folder, which is made when it is not there."""
    return FileBlobs(folder)


def make_folder(folder: Path) -> Path:
    """The folder, made where it is missing. Raises StorageError (StoreFull) when it cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _refused(error, folder) from error
    return folder


def _write_whole(path: Path, content: bytes) -> None:
    """Write beside `path`, flush, rename; whatever happens, nothing half-written stays."""
    path.parent.mkdir(exist_ok=True)
    draft = path.with_name(f".{path.name[:16]}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        with draft.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
    except BaseException:
        with suppress(FileNotFoundError):
            draft.unlink()
        raise
    flush_folder(path.parent)


def flush_folder(folder: Path) -> None:
    """Make the new name itself survive a power cut (where the system lets a folder be opened)."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _refused(error: OSError, path: Path) -> StorageError:
    if error.errno in _NO_SPACE:
        return StoreFull(
            f"{path} could not be kept: {error.strerror}; what was acknowledged stays. Free some space on that disk."
        )
    return StorageError(
        f"{path}: {error.strerror}; expected a folder that this user may read and write. Change its owner, or name "
        "another one in store.path."
    )
