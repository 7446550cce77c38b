"""How are the rows of a study shown to a person? Which features are pictures, which are long texts.

In: items and their signature. Out: the same items with a word for each such column. A page guesses nothing: it is all
decided here, once, over every row that was drawn. Files that a feature names are kept as blobs, so that a page needs
the store alone.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from incumbent.config import Config
from incumbent.loop.study import Item, Rows
from incumbent.records import Json, Signature
from incumbent.storage.base import Blobs

LONG = 80
"""A text column is long where any of its values has more characters."""
SMALLEST = 8
"""Of a square of pixels, its side."""
TYPES = {".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".gif": "image/gif", ".webp": "image/webp"}
_DATA = tuple(f"data:{type};base64," for type in sorted(set(TYPES.values())))


def shown(items: Sequence[Item], signature: Signature, config: Config, blobs: Blobs) -> Rows:
    """The rows of a study. Private columns are kept for the model and shown to nobody."""
    pictures: dict[str, Mapping[str, Json]] = {}
    texts: list[str] = []
    for column in signature.columns:
        values = [item.features[column.name] for item in items]
        present = [value for value in values if value is not None]
        if column.name in config.task.private or not present:
            continue
        if column.type == "numbers":
            found = pixels(present)
        elif column.type == "string":
            found = _of_text(present, config.folder, blobs)
            if found is None and max(map(len, present)) > LONG:
                texts.append(column.name)
        else:
            found = None
        if found is not None:
            pictures[column.name] = found
    return Rows(tuple(items), pictures, tuple(texts))


def pixels(values: Sequence[Sequence[float]]) -> dict[str, Json] | None:
    """Are these number arrays grey squares? 8 x 8 or more, every value from 0 to 1, or a whole number from 0 to 255; an
    embedding of such a length has values below 0.

    >>> pixels([[0.0, 0.5] * 32]), pixels([[-1.0, 0.5] * 32])
    ({'kind': 'pixels', 'side': 8, 'most': 1}, None)
    """
    side = math.isqrt(len(values[0]))
    if side < SMALLEST or side * side != len(values[0]):
        return None
    low, high = min(map(min, values)), max(map(max, values))
    if low < 0 or high > 255 or (high > 1 and any(v != int(v) for one in values for v in one)):
        return None
    return {"kind": "pixels", "side": side, "most": 1 if high <= 1 else 255}


def _of_text(values: Sequence[str], folder: Path, blobs: Blobs) -> dict[str, Json] | None:
    if all(value.startswith(_DATA) for value in values):
        return {"kind": "data"}
    if not all(Path(value.partition("?")[0]).suffix.lower() in TYPES for value in values):
        return None
    if all(value.startswith(("https://", "http://")) for value in values):
        return {"kind": "url"}
    return _files(values, folder, blobs)


def _files(values: Sequence[str], folder: Path, blobs: Blobs) -> dict[str, Json] | None:
    """Only files inside the project's folder: a row must not make a page show any other file of this machine."""
    home = folder.resolve()
    kept: dict[str, Any] = {}
    for value in values:
        path = (home / value).resolve()
        if not path.is_relative_to(home) or not path.is_file():
            return None
        kept[value] = [blobs.put(path.read_bytes()), TYPES[path.suffix.lower()]]
    return {"kind": "file", "files": kept}
