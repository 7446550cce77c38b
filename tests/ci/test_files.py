"""A file is written whole or not at all, and a path that cannot be written is found out before."""

import errno
import os
from pathlib import Path

import pytest

from incumbent.ci import files
from incumbent.errors import NotWritten


def test_asking_leaves_no_file(tmp_path: Path) -> None:
    """The question whether a file can be written makes folders, no files, and keeps what is there."""
    (tmp_path / "old.md").write_text("old")
    files.check([tmp_path / "old.md", tmp_path / "new" / "j.xml"])
    assert (tmp_path / "old.md").read_text() == "old"
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["new", "old.md"]


@pytest.mark.parametrize("path", ["file/j.xml", "folder"])
def test_a_path_that_cannot_be_is_found_out_before(tmp_path: Path, path: str) -> None:
    """Below a file, or a folder itself: NotWritten names it."""
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    with pytest.raises(NotWritten, match=path):
        files.check([tmp_path / path])


def test_a_disk_that_fills_up_leaves_the_old_file_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No half of the new one, and no draft beside it."""
    path = tmp_path / "j.xml"
    path.write_text("old")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(NotWritten, match="No space left on device"):
        files.replace(path, b"new")
    assert [one.name for one in tmp_path.iterdir()] == ["j.xml"] and path.read_text() == "old"


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real.md").write_text("old")
    (tmp_path / "link.md").symlink_to("real.md")
    files.replace(tmp_path / "link.md", b"new")
    assert (tmp_path / "link.md").is_symlink() and (tmp_path / "real.md").read_text() == "new"


def test_an_append_that_fails_is_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk takes ten bytes and is full: the file is as it was."""
    said = tmp_path / "summary"
    said.write_text("before\n")
    opened = Path.open

    class Filling:
        def __init__(self, file: object) -> None:
            self.file, self.taken = file, 0

        def __enter__(self) -> "Filling":
            return self

        def __exit__(self, *_: object) -> None:
            self.file.close()  # type: ignore[attr-defined]

        def __getattr__(self, name: str) -> object:
            return getattr(self.file, name)

        def write(self, content: memoryview) -> int:
            if self.taken:
                raise OSError(errno.ENOSPC, "No space left on device")
            self.taken = self.file.write(content[:10])  # type: ignore[attr-defined]
            return self.taken

    def filling(self: Path, *args: object, **more: object) -> object:
        return Filling(opened(self, *args, **more))  # type: ignore[arg-type, call-overload]

    monkeypatch.setattr(Path, "open", filling)
    with pytest.raises(NotWritten):
        files.append(said, "a line that is longer than ten bytes\n")
    monkeypatch.undo()
    assert said.read_text() == "before\n"
