"""A square of grey values as a picture that a page holds in itself.

In: numbers. Out: PNG bytes, or a data: address of them. PNG (Second Edition, W3C 2003): a signature, and three chunks
with their checksums; the rows are deflated, each after a byte that says "no filter".
"""

import struct
import zlib
from base64 import b64encode
from collections.abc import Sequence

import numpy as np

_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def png(values: Sequence[float], side: int, most: float) -> bytes:
    """An 8-bit grey PNG of side x side values, row by row from the top; 0 is black, `most` white."""
    grey = np.clip(np.rint(np.asarray(values, dtype=np.float64) * (255.0 / most)), 0, 255).astype(np.uint8)
    rows = np.zeros((side, side + 1), dtype=np.uint8)
    rows[:, 1:] = grey.reshape(side, side)
    head = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    body = zlib.compress(rows.tobytes())
    return _SIGNATURE + _chunk(b"IHDR", head) + _chunk(b"IDAT", body) + _chunk(b"IEND", b"")


def data_uri(values: Sequence[float], side: int, most: float) -> str:
    """The same as an address.

    >>> data_uri([0, 255, 255, 0], 2, 255)[:22]
    'data:image/png;base64,'
    """
    return f"data:image/png;base64,{b64encode(png(values, side, most)).decode()}"


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
