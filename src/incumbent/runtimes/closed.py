"""Does a zip from outside stay inside its bounds, before anything unpacks it?

In: the bytes of a file of skops or TorchScript. Out: nothing, or ArtefactRefused: it would unpack to more than it may.
"""

import io
import zipfile

from incumbent.errors import ArtefactRefused

MEGABYTE = 1_000_000
MOST_FILES = 100_000
SMALL_MB = 100
"""Up to so much a zip may unpack to at any ratio: a constant array is packed a thousandfold."""
MOST_RATIO = 200.0
"""Above that, so many times its own size at most. Packed models are at 2 to 20."""


def check_zip(content: bytes, most_mb: float, what: str = "a skops file") -> None:
    """Raise ArtefactRefused for a zip that unpacks to more than `most_mb`, to MOST_RATIO times its size, or to too many
    files. Archives of numpy and scipy inside it count as what they unpack to."""
    try:
        files, total = _unpacked(content, most_mb)
    except zipfile.BadZipFile as error:
        raise ArtefactRefused(f"found a damaged zip ({error}), expected {what}") from error
    ratio = total / max(len(content), 1)
    if files > MOST_FILES or total > most_mb * MEGABYTE or (total > SMALL_MB * MEGABYTE and ratio > MOST_RATIO):
        raise ArtefactRefused(
            f"the file has {len(content) / MEGABYTE:,.2f} MB and unpacks to {total / MEGABYTE:,.0f} MB in {files:,} "
            f"files ({ratio:,.0f} times its size): expected at most {most_mb:g} MB (versions.unpacked_mb), and at most "
            f"{MOST_RATIO:g} times its size above {SMALL_MB} MB. It was not unpacked."
        )


def _unpacked(content: bytes, most_mb: float) -> tuple[int, int]:
    """How many files, and how many bytes: what the directory of the zip says is what Python unpacks at most."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        infos = archive.infolist()
        files, total = len(infos), sum(info.file_size for info in infos)
        if files > MOST_FILES or total > most_mb * MEGABYTE:
            return files, total
        for info in infos:
            if info.filename.endswith(".npz"):
                inner_files, inner = _flat(archive.read(info))
                files, total = files + inner_files, total + inner
    return files, total


def _flat(content: bytes) -> tuple[int, int]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        infos = archive.infolist()
        return len(infos), sum(info.file_size for info in infos)
