"""Every output of every outcome is written; what cannot be is said, after the others are there."""

from pathlib import Path

import pytest
from made import ALL, SHIP

from incumbent.ci import files, places, summary, writing
from incumbent.ci.places import Targets
from incumbent.errors import NotWritten

FULL = Path("/dev/full")
needs_full = pytest.mark.skipif(not FULL.exists(), reason="a device that is always full is Linux's")


@pytest.mark.parametrize("name", ALL)
def test_every_output_of_every_outcome_is_written(tmp_path: Path, name: str) -> None:
    wanted = places.targets({}, tmp_path / "deep" / "gate", {})
    files.check(wanted.all)
    writing.write(ALL[name], wanted)
    assert sorted(path.name for path in (tmp_path / "deep" / "gate").iterdir()) == sorted(
        [*places.NAMES.values(), "picture.png"]
    )
    assert all(path.stat().st_size for path in wanted.all)


@needs_full
def test_a_full_disk_is_said_and_the_other_files_are_written(tmp_path: Path) -> None:
    wanted = Targets((("summary", FULL), ("junit", tmp_path / "j.xml")), step_summary=FULL)
    with pytest.raises(NotWritten, match=r"/dev/full could not be written \(No space left"):
        writing.write(SHIP, wanted)
    assert (tmp_path / "j.xml").read_text().endswith("</testsuites>\n")


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
