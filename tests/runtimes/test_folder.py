"""Of a folder that somebody else made come its own plain files, and nothing else."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from incumbent.errors import ArtefactRefused, DataError
from incumbent.runtimes.folder import inside, read_folder, write_files


def test_files_come_by_their_relative_paths(tmp_path: Path) -> None:
    """In the order of the paths; caches of Python are left out."""
    files = {"b.txt": b"2", "a/c.bin": b"1"}
    write_files(tmp_path / "f", files)
    (tmp_path / "f" / "__pycache__").mkdir()
    (tmp_path / "f" / "__pycache__" / "x.pyc").write_bytes(b"0")
    assert list(read_folder(tmp_path / "f", 1).items()) == [("a/c.bin", b"1"), ("b.txt", b"2")]
    assert "__pycache__/x.pyc" in read_folder(tmp_path / "f", 1, without=())


@pytest.mark.parametrize("target", ["file", "folder", "nothing"])
def test_links_are_refused(tmp_path: Path, target: str) -> None:
    """Wherever they lead: one that stays inside today may not tomorrow."""
    folder = tmp_path / "f"
    folder.mkdir()
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("secret")
    (folder / "link").symlink_to(tmp_path / target)
    with pytest.raises(ArtefactRefused, match="is a link, expected plain files"):
        read_folder(folder, 1)


def test_pipes_are_refused(tmp_path: Path) -> None:
    """Reading one would wait for ever."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ArtefactRefused, match="is neither file nor folder"):
        read_folder(tmp_path, 1)


def test_too_many_bytes_are_refused(tmp_path: Path) -> None:
    """All files together count."""
    write_files(tmp_path / "f", {f"{i}": bytes(600_000) for i in range(2)})
    assert len(read_folder(tmp_path / "f", 1.2)) == 2
    with pytest.raises(ArtefactRefused, match=r"holds more than 1 MB, expected at most versions.unpacked_mb"):
        read_folder(tmp_path / "f", 1)


def test_a_folder_that_is_none_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        read_folder(tmp_path / "none", 1)


def test_nothing_is_written_over(tmp_path: Path) -> None:
    """Not into a folder with something in it, nor in place of a file."""
    (tmp_path / "file").write_text("mine")
    for folder in (tmp_path, tmp_path / "file"):
        with pytest.raises(DataError, match="is there already, and not empty"):
            write_files(folder, {"a": b"1"})
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize(
    "path", ["../x", "/etc/passwd", "a/../../x", "a/./b", "./a", "", ".", "a//b", "a/", "C:/x", "a\\b", "a\0", "a\nb"]
)
def test_paths_that_leave_their_folder_are_refused(path: str) -> None:
    """On any system; so are spellings that could hide it."""
    with pytest.raises(ArtefactRefused, match="expected one inside its folder"):
        inside(path)


@given(st.text(alphabet="ab./\\:~", max_size=12))
def test_what_passes_stays_inside(path: str) -> None:
    """Joined to any folder it is a path below it."""
    try:
        found = inside(path)
    except ArtefactRefused:
        return
    assert os.path.normpath(os.path.join("/home", found)).startswith("/home/")
