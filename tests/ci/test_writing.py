"""A file is written whole or not at all; what cannot be written is said, after the others are there."""

import errno
import os
from pathlib import Path

import pytest
from made import ALL, SHIP

from incumbent.ci import places, summary, writing
from incumbent.ci.places import Targets
from incumbent.errors import NotWritten

FULL = Path("/dev/full")
needs_full = pytest.mark.skipif(not FULL.exists(), reason="a device that is always full is Linux's")


@pytest.mark.parametrize("name", ALL)
def test_every_output_of_every_outcome_is_written(tmp_path: Path, name: str) -> None:
    wanted = places.targets({}, tmp_path / "deep" / "gate", {})
    writing.check(wanted)
    writing.write(ALL[name], wanted)
    assert sorted(path.name for path in (tmp_path / "deep" / "gate").iterdir()) == sorted(
        [*places.NAMES.values(), "picture.png"]
    )
    assert all(path.stat().st_size for path in wanted.all)


def test_asking_leaves_no_file(tmp_path: Path) -> None:
    """The question whether a file can be written makes folders, no files, and keeps what is there."""
    (tmp_path / "old.md").write_text("old")
    writing.check(Targets((("summary", tmp_path / "old.md"), ("junit", tmp_path / "new" / "j.xml"))))
    assert (tmp_path / "old.md").read_text() == "old"
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["new", "old.md"]


@pytest.mark.parametrize("path", ["file/j.xml", "folder"])
def test_a_path_that_cannot_be_is_found_out_before(tmp_path: Path, path: str) -> None:
    """Below a file, or a folder itself: NotWritten names it."""
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    with pytest.raises(NotWritten, match=path):
        writing.check(Targets((("junit", tmp_path / path),)))


@needs_full
def test_a_full_disk_is_said_and_the_other_files_are_written(tmp_path: Path) -> None:
    wanted = Targets((("summary", FULL), ("junit", tmp_path / "j.xml")), step_summary=FULL)
    with pytest.raises(NotWritten, match=r"/dev/full could not be written \(No space left"):
        writing.write(SHIP, wanted)
    assert (tmp_path / "j.xml").read_text().endswith("</testsuites>\n")


def test_a_disk_that_fills_up_leaves_the_old_file_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No half of the new one, and no draft beside it."""
    path = tmp_path / "j.xml"
    path.write_text("old")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(NotWritten, match="No space left on device"):
        writing.write(SHIP, Targets((("junit", path),)))
    assert [one.name for one in tmp_path.iterdir()] == ["j.xml"] and path.read_text() == "old"


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real.md").write_text("old")
    (tmp_path / "link.md").symlink_to("real.md")
    writing.write(SHIP, Targets((("summary", tmp_path / "link.md"),)))
    assert (tmp_path / "link.md").is_symlink() and (tmp_path / "real.md").read_text() == summary.markdown(SHIP)


def test_files_of_the_service_are_appended_to(tmp_path: Path) -> None:
    """What an earlier command of the step said stays."""
    said, outputs = tmp_path / "summary", tmp_path / "outputs"
    said.write_text("before\n")
    outputs.write_text("a=1\n")
    writing.write(SHIP, Targets(step_summary=said, step_outputs=outputs))
    assert said.read_text() == "before\n" + summary.markdown(SHIP)
    assert outputs.read_text().startswith("a=1\nverdict=ship\n")


def test_a_step_summary_that_is_nearly_full_is_not_overfilled(tmp_path: Path) -> None:
    """GitHub drops the whole of it above 1 MiB."""
    said = tmp_path / "summary"
    said.write_bytes(b"x" * (summary.MOST - 100))
    writing.write(SHIP, Targets(step_summary=said))
    assert said.stat().st_size <= summary.MOST


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
        writing.write(SHIP, Targets(step_summary=said))
    monkeypatch.undo()
    assert said.read_text() == "before\n"
