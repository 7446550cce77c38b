"""Pictures are blobs that one small index names."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from incumbent.errors import StoreDamaged, StoreFull
from incumbent.storage.files import open_blobs
from incumbent.storage.pictures import INDEX, Picture, Pictures


@pytest.fixture
def pictures(tmp_path: Path) -> Pictures:
    return Pictures(tmp_path, open_blobs(tmp_path / "blobs"))


def test_the_latest_picture_of_a_name_counts(pictures: Pictures) -> None:
    """A name shows what was put last; others stay, and unknown ones are None."""
    pictures.put_all({"loss": b"<svg>1</svg>", "trial": b"<svg>2</svg>"}, 1)
    digest = pictures.put("loss", b"<svg>3</svg>", 2)
    assert (pictures.get("loss"), pictures.get("trial")) == (b"<svg>3</svg>", b"<svg>2</svg>")
    assert pictures.index()["loss"] == Picture(digest, 2)
    assert pictures.names() == ["loss", "trial"]
    assert pictures.get("nothing") is None


def test_a_damaged_index_says_what_to_do(pictures: Pictures, tmp_path: Path) -> None:
    """An index that is no index is StoreDamaged, and names the file to delete."""
    (tmp_path / INDEX).write_text("[1]")
    with pytest.raises(StoreDamaged, match=r"pictures\.json: found no index .* delete it"):
        pictures.get("loss")


def test_a_full_disk_keeps_the_old_pictures(pictures: Pictures, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the index cannot be replaced it stays as it was, and no draft is left."""
    pictures.put("loss", b"<svg>1</svg>", 1)
    replace = os.replace

    def full(draft: Any, place: Any) -> None:
        if Path(place).name == INDEX:
            raise OSError(errno.ENOSPC, "No space left on device")
        replace(draft, place)

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(StoreFull, match="the old pictures stay"):
        pictures.put("loss", b"<svg>2</svg>", 2)
    monkeypatch.undo()
    assert pictures.get("loss") == b"<svg>1</svg>"
    assert [path.name for path in pictures.folder.iterdir() if path.is_file()] == [INDEX]
