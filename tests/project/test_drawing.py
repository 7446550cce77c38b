"""Which features are pictures and which are long texts is decided over all rows; no row shows a file from elsewhere."""

from pathlib import Path
from typing import Any

import pytest

from incumbent.config import Config, parse
from incumbent.loop.study import Item, Rows
from incumbent.project.drawing import pixels, shown
from incumbent.records import Column, ColumnType, Signature
from incumbent.storage.files import open_blobs

TOML = '[task]\nname="x"\nkind="binary"\ntarget="y"\nmetric="brier"\nprivate=["hidden"]'
PNG = b"\x89PNG\r\n\x1a\nand so on"


def made(folder: Path, values: list[Any], type: ColumnType = "string", name: str = "x") -> Rows:
    config: Config = parse(TOML, folder)
    length = len(values[0]) if type == "numbers" else None
    signature = Signature((Column(name, type, length=length),), "binary", (0, 1))
    items = [Item(str(place), {name: value}) for place, value in enumerate(values)]
    return shown(items, signature, config, open_blobs(folder / "blobs"))


@pytest.mark.parametrize(
    ("values", "side", "most"),
    [
        ([[0.0] * 64, [1.0] * 64], 8, 1),
        ([[0.0] * 784, [255.0] * 784], 28, 255),
    ],
)
def test_a_square_of_grey_values_is_a_picture(tmp_path: Path, values: list[Any], side: int, most: int) -> None:
    """From 0 to 1, or whole numbers to 255."""
    assert made(tmp_path, values, "numbers").pictures["x"] == {"kind": "pixels", "side": side, "most": most}


@pytest.mark.parametrize(
    "values", [[[-0.1] * 64], [[256.0] * 64], [[1.5] * 64], [[0.5] * 63], [[0.5] * 49]], ids=str
)
def test_other_number_arrays_are_none(values: list[list[float]]) -> None:
    """An embedding, a histogram, a length that is no square, one that is too small."""
    assert pixels(values) is None


def test_addresses_and_data_are_pictures(tmp_path: Path) -> None:
    """Where every value is one; a null does not matter, any other text does."""
    assert made(tmp_path, ["https://x.org/a.PNG?size=2", "http://x.org/b.jpg", None]).pictures["x"] == {"kind": "url"}
    assert made(tmp_path, ["data:image/png;base64,AAAA"]).pictures["x"] == {"kind": "data"}
    assert made(tmp_path, ["https://x.org/a.png", "none"]).pictures == {}
    assert made(tmp_path, ["data:text/html;base64,AAAA", "javascript:alert(1)"]).pictures == {}
    assert made(tmp_path, ["https://x.org/a.svg"]).pictures == {}


def test_files_are_kept_in_the_store(tmp_path: Path) -> None:
    """As they are when the study begins."""
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "a.png").write_bytes(PNG)
    found = made(tmp_path, ["pictures/a.png", "pictures/a.png"]).pictures["x"]
    digest, type = found["files"]["pictures/a.png"]
    assert (found["kind"], type) == ("file", "image/png")
    assert open_blobs(tmp_path / "blobs").get(digest) == PNG


def test_no_row_shows_a_file_from_elsewhere(tmp_path: Path) -> None:
    """Above the project's folder, through a link, by its whole path: text stays text."""
    outside = tmp_path / "secret.png"
    outside.write_bytes(PNG)
    home = tmp_path / "project"
    home.mkdir()
    (home / "link.png").symlink_to(outside)
    for value in ("../secret.png", str(outside), "link.png", "missing.png"):
        assert made(home, [value]).pictures == {}


def test_long_texts_are_for_reading(tmp_path: Path) -> None:
    """One long value makes the column; a private column is nothing at all."""
    assert made(tmp_path, ["short", "w" * 81]).texts == ("x",)
    assert made(tmp_path, ["w" * 80]).texts == ()
    assert made(tmp_path, ["w" * 81], name="hidden").texts == ()
    assert made(tmp_path, [None, None]).texts == ()
