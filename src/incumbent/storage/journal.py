"""The front of a log: one append-only file a process, from which rows move into the log a little later.

In: rows whose ids are our own, so that none of them can be there already. Out: the same rows, whole, in the order in
which they were appended. An append is one `write` of a few kilobytes: 3 us for a row and 25 us for 64, where a
transaction of SQLite takes 55 and 240; and no process waits for another one's.

A record is its length and its CRC-32, four bytes each, then msgpack. What `write` took survives a killed process;
`sync` makes it survive a power cut. The end of a file whose process was killed may be torn: that row was never
acknowledged, and is passed over. While a process writes its file, it holds a lock on it (flock); a file that nobody
holds and that was read to its end is deleted.
"""

import errno
import fcntl
import logging
import os
import struct
import threading
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from incumbent.errors import StorageError, StoreFull
from incumbent.storage.base import PredictionRow
from incumbent.storage.files import make_folder

SUFFIX = ".rows"
LARGEST = 64_000_000
"""Bytes after which a new file is begun, so that the old one can be deleted."""
_HEAD = struct.Struct("<II")
_AT_ONCE = 8_000_000
_BLANK = b"\0"
"""How a record begins that was blanked; one with rows begins with the mark of an array."""
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_LOGGER = logging.getLogger("incumbent")
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[tuple[str, int, str, str, str, bytes, str | None, str | None, int, str | None,
                                             float, str | None, int]]).decode  # fmt: skip


class Journal:
    """The file that this process appends to, in `folder`. Used by one thread at a time; `sync` by any."""

    def __init__(self, folder: Path) -> None:
        self.folder = make_folder(folder)
        self._descriptor, self._size = -1, 0
        self._syncs = threading.Lock()
        self._synced = -1
        self._written = 0

    def append(self, rows: Sequence[PredictionRow]) -> None:
        """Append rows as one record: all of them, or none. Raises StoreFull, StorageError."""
        content = _encode(rows)
        record = _HEAD.pack(len(content), zlib.crc32(content)) + content
        if self._descriptor < 0 or self._size > LARGEST:
            self._begin()
        try:
            written = os.write(self._descriptor, record)
        except OSError as error:
            self._take_back()
            raise self._refused(error) from error
        if written < len(record):
            self._take_back()
            raise self._refused(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
        self._size += written
        self._written += 1

    def sync(self) -> None:
        """What was appended before this call survives a power cut. Calls that come together share one flush."""
        wanted = self._written
        with self._syncs:
            if self._synced >= wanted or self._descriptor < 0:
                return
            covered = self._written
            os.fdatasync(self._descriptor)
            self._synced = covered

    def close(self) -> None:
        """Give back the file, and with it the lock. Twice is fine."""
        with self._syncs:
            if self._descriptor >= 0:
                os.close(self._descriptor)
                self._descriptor = -1

    def _begin(self) -> None:
        """A new file; the one before is given back after it was flushed."""
        with self._syncs:
            if self._descriptor >= 0:
                os.fdatasync(self._descriptor)
                os.close(self._descriptor)
                self._descriptor = -1
            try:
                path = self.folder / f"{os.getpid()}-{os.urandom(8).hex()}{SUFFIX}"
                draft = path.with_suffix(".new")
                self._descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
                fcntl.flock(self._descriptor, fcntl.LOCK_EX)  # before anybody can see it
                os.rename(draft, path)
            except OSError as error:
                self._descriptor = -1
                raise self._refused(error) from error
            self._size = 0

    def _take_back(self) -> None:
        """Nothing of a record that does not fit stays behind."""
        with suppress(OSError):
            os.ftruncate(self._descriptor, self._size)

    def _refused(self, error: OSError) -> StorageError:
        if error.errno in _FULL:
            return StoreFull(
                f"the disk that holds {self.folder} is full ({error.strerror}); nothing of this call was kept, what "
                "was acknowledged stays. Free some space."
            )
        return StorageError(f"{self.folder} cannot be written: {error.strerror}; expected a folder of this user.")


def pending(folder: Path) -> bool:
    """May there be rows to read? Cheap: it looks at names only."""
    try:
        with os.scandir(folder) as entries:
            return any(entry.name.endswith(SUFFIX) for entry in entries)
    except FileNotFoundError:
        return False


def paths(folder: Path) -> list[Path]:
    """The files of a folder."""
    return sorted(folder.glob(f"*{SUFFIX}"))


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """One reader at a time, among threads and processes: a lock on a file that is never deleted."""
    descriptor = os.open(folder / "reader", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def read(path: Path, position: int) -> tuple[list[PredictionRow], int]:
    """Whole records from a position on, some megabytes at once: their rows, and the position after them."""
    with path.open("rb") as file:
        file.seek(position)
        content = file.read(_AT_ONCE)
        if len(content) >= _HEAD.size:
            length, _ = _HEAD.unpack_from(content)
            content += file.read(max(0, length + _HEAD.size - len(content)))
    rows: list[PredictionRow] = []
    place = 0
    while place + _HEAD.size <= len(content):
        length, crc = _HEAD.unpack_from(content, place)
        record = content[place + _HEAD.size : place + _HEAD.size + length]
        if len(record) < length or zlib.crc32(record) != crc:
            break
        if record[:1] != _BLANK:
            rows += map(PredictionRow._make, _decode(record))
        place += _HEAD.size + length
    return rows, position + place


def blank(path: Path, position: int) -> None:
    """Overwrite the records before a position, which were moved, with zeros of the same length and their checksum: the
    file may be written and read on, and nothing of them is left. Whoever is killed in between may do it again."""
    descriptor = os.open(path, os.O_RDWR)
    try:
        place = 0
        while place < position:
            length, crc = _HEAD.unpack(os.pread(descriptor, _HEAD.size, place))
            zeros = bytes(length)
            if crc != zlib.crc32(zeros):
                os.pwrite(descriptor, _HEAD.pack(length, zlib.crc32(zeros)) + zeros, place)
            place += _HEAD.size + length
        os.fdatasync(descriptor)
    finally:
        os.close(descriptor)


def end(path: Path, position: int) -> None:
    """Delete a file that was read up to a position and is written no more.

    What follows there is a record that the death of its process cut short, and that nobody was told of. Where a whole
    record follows that does not match its checksum, the disk changed it: the file is kept aside.
    """
    with path.open("rb") as file:
        file.seek(position)
        rest = file.read(_HEAD.size)
        length = _HEAD.unpack(rest)[0] if len(rest) == _HEAD.size else 0
        left = path.stat().st_size - position
    if len(rest) == _HEAD.size and length and left >= _HEAD.size + length:
        kept = path.with_suffix(".damaged")
        _LOGGER.error("%s: a record at byte %d does not match its checksum; kept as %s", path, position, kept.name)
        path.rename(kept)
        return
    if left:
        _LOGGER.warning("%s: the last %d bytes were never acknowledged, and are passed over", path, left)
    path.unlink()


def abandoned(path: Path) -> bool:
    """Does nobody write this file any more?"""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
