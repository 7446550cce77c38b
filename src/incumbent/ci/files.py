"""A file is written whole or not at all.

In: a path and bytes. Out: the file, written beside its place and moved there; or, where a service appends to a file,
its old content with ours behind it, cut back to what it was where the disk fills up. What cannot be is NotWritten.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile

from incumbent.errors import NotWritten


def check(paths: Iterable[Path]) -> None:
    """Can every file be written? Makes missing folders, and leaves no file.

    Asked before the gate, so that a wrong path costs no training and leaves nothing on the ledger. Raises NotWritten
    for the first that cannot be written.
    """
    for path in paths:
        with _named(path):
            if path.is_dir():
                raise IsADirectoryError(21, "it is a folder")
            if _replaceable(path):
                path.parent.mkdir(parents=True, exist_ok=True)
                NamedTemporaryFile(dir=path.resolve().parent, prefix=".incumbent-").close()
            elif not os.access(path, os.W_OK):
                raise PermissionError(13, "Permission denied")


def replace(path: Path, content: bytes) -> None:
    """Write beside the place and move it there; raises NotWritten, and leaves an older file as it was then.

    A device or a pipe has no beside: it gets the bytes. A link stays a link.
    """
    with _named(path):
        if not _replaceable(path):
            path.write_bytes(content)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        home = path.resolve()
        draft = home.with_name(f".{home.name}.{os.getpid()}")
        try:
            with draft.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(draft, home)
        finally:
            draft.unlink(missing_ok=True)


def append(path: Path, text: str) -> None:
    """Write behind what is there; raises NotWritten, and leaves the file as it was then."""
    with _named(path), path.open("ab", buffering=0) as file:
        before = file.tell()
        content = memoryview(text.encode(errors="replace"))
        try:
            while content:
                content = content[file.write(content) or 0 :]
        except OSError:
            if path.is_file():
                file.truncate(before)
            raise


# --- parts


def _replaceable(path: Path) -> bool:
    return path.is_file() or not path.exists()


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """An OSError becomes NotWritten, with the path and what to do."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise NotWritten(f"{path} could not be written ({reason}): make room, or name another path") from error
