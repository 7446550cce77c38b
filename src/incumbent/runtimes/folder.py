"""The files of a folder that somebody else made, and nothing outside of it.

In: a folder. Out: its files by relative path, or ArtefactRefused for a link, for what is no plain file, and for more
bytes than allowed. Follows no link and runs nothing.
"""

import os
import stat
from collections.abc import Collection
from pathlib import Path, PurePosixPath

from incumbent.errors import ArtefactRefused, DataError

MEGABYTE = 1_000_000
ENTRY = "predictor.py"
"""What makes a folder one of code."""
_LEFT_OUT = ("__pycache__", ".git", ".DS_Store", ".ipynb_checkpoints")


def read_folder(folder: Path, most_mb: float, without: Collection[str] = _LEFT_OUT) -> dict[str, bytes]:
    """The files by relative path ("weights/a.bin"), in the order of their paths; entries named in `without` are left
    out, with all that is in them. Raises DataError when there is no such folder."""
    found: dict[str, bytes] = {}
    room = int(most_mb * MEGABYTE)
    for path in _files(folder, without):
        name = path.relative_to(folder).as_posix()
        room -= path.stat().st_size
        if room < 0:
            raise ArtefactRefused(f"{folder} holds more than {most_mb:g} MB, expected at most versions.unpacked_mb")
        found[inside(name)] = path.read_bytes()
    return dict(sorted(found.items()))


def inside(path: str) -> str:
    """The path, if it stays inside its folder on every system; else ArtefactRefused.

    >>> inside("weights/a.bin")
    'weights/a.bin'
    >>> inside("../a.bin")
    Traceback (most recent call last):
    incumbent.errors.ArtefactRefused: found the path '../a.bin', expected one inside its folder, like weights/a.bin
    """
    pure = PurePosixPath(path)
    strange = any(c in path for c in "\\:\0\n") or path != str(pure) or pure.is_absolute()
    if strange or not pure.parts or any(part in ("..", ".") for part in pure.parts):
        raise ArtefactRefused(f"found the path {path!r}, expected one inside its folder, like weights/a.bin")
    return path


def write_files(folder: Path, files: dict[str, bytes]) -> None:
    """Write files into a folder that is new or empty. Raises DataError when it holds something."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DataError(f"{folder} is there already, and not empty: expected a new folder. Nothing was written.")
    for name, content in files.items():
        target = folder / inside(name)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)


def _files(folder: Path, without: Collection[str]) -> list[Path]:
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        raise DataError(f"{folder}: cannot be read ({error.strerror}); expected a folder") from None
    found = []
    for entry in entries:
        if entry.name in without:
            continue
        mode = entry.stat(follow_symlinks=False).st_mode
        if stat.S_ISDIR(mode):
            found += _files(Path(entry.path), without)
        elif stat.S_ISREG(mode):
            found.append(Path(entry.path))
        else:
            what = "a link" if stat.S_ISLNK(mode) else "neither file nor folder"
            raise ArtefactRefused(f"{entry.path} is {what}, expected plain files: it may lead out of the folder")
    return found
