"""A square of grey values becomes a PNG that a reader of PNG reads back."""

import struct
import zlib

import pytest

from incumbent.web import pixels


def read(png: bytes) -> list[list[int]]:
    """The grey values of a PNG, by its specification: chunks with their checksums, rows without filter."""
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    chunks, place = {}, 8
    while place < len(png):
        (length,) = struct.unpack(">I", png[place : place + 4])
        name, content = png[place + 4 : place + 8], png[place + 8 : place + 8 + length]
        assert png[place + 8 + length : place + 12 + length] == struct.pack(">I", zlib.crc32(name + content))
        chunks[name] = content
        place += 12 + length
    width, height, depth, colour, *_ = struct.unpack(">IIBBBBB", chunks[b"IHDR"])
    assert (depth, colour) == (8, 0)
    rows = zlib.decompress(chunks[b"IDAT"])
    assert all(rows[row * (width + 1)] == 0 for row in range(height))
    return [list(rows[row * (width + 1) + 1 : (row + 1) * (width + 1)]) for row in range(height)]


@pytest.mark.parametrize(
    ("values", "most", "grey"),
    [([0, 255, 7, 128], 255, [[0, 255], [7, 128]]), ([0.0, 1.0, 0.5, 0.25], 1, [[0, 255], [128, 64]])],
)
def test_values_come_back_row_by_row(values: list[float], most: float, grey: list[list[int]]) -> None:
    """0 is black, `most` is white."""
    assert read(pixels.png(values, 2, most)) == grey


def test_what_is_out_of_range_is_cut_off() -> None:
    """A row that came after the study began cannot break the page."""
    assert read(pixels.png([-3, 300, 0, 0], 2, 255)) == [[0, 255], [0, 0]]
