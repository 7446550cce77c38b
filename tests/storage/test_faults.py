"""Real faults: a process killed in the middle of an append, and a disk that is really full."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import pytest

from incumbent.checks.storage.opened import labels
from incumbent.config import Store
from incumbent.storage.files import open_blobs
from incumbent.storage.sqlite import open_ledger, open_log

SCRIPT = Path(__file__).with_name("appending.py")
ROWS = 20


def read_lines(stream: IO[str] | None, at_least: int) -> list[str]:
    """The first lines of a stream."""
    assert stream is not None
    return [stream.readline() for _ in range(at_least)]


def assert_kept(folder: Path, lines: Sequence[str], single: int = 0) -> None:
    """Everything that the lines acknowledge is there, and no batch in part (but `single` rows that came alone)."""
    said = [line.split() for line in lines if line.endswith("\n")]
    log, ledger, blobs = open_log(folder, Store()), open_ledger(folder, Store()), open_blobs(folder / "blobs")
    found = labels(log)
    for what, *rest in said:
        if what == "blob":
            assert len(set(blobs.get(rest[0]).split())) == 1
        elif what in ("predictions", "outcomes"):
            expected = int(rest[0]) if what == "outcomes" else found[f"{rest[0]}-0"]
            assert {found[f"{rest[0]}-{row}"] for row in range(ROWS)} == {expected}
    totals = log.totals()
    assert [count % ROWS for count in (totals.predictions - single, totals.outcomes, totals.shadows)] == [0, 0, 0]
    assert ledger.verify() >= sum(what == "events" for what, *_ in said)
    log.close()
    ledger.close()


@pytest.mark.parametrize("durability", ["commit", "fsync", "behind"])
@pytest.mark.parametrize("lines", [1, 23, 120])
def test_a_killed_process_loses_nothing_that_it_acknowledged(tmp_path: Path, durability: str, lines: int) -> None:
    """SIGKILL at some point; the store opens again, holds each batch whole or not at all, and goes on."""
    command = [sys.executable, str(SCRIPT), str(tmp_path), durability]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    said = read_lines(child.stdout, lines)
    child.kill()
    rest, _ = child.communicate(timeout=30)
    assert child.returncode != 0
    assert_kept(tmp_path, said + rest.splitlines(keepends=True))


def own_mounts() -> list[str] | None:
    """The command that gives a process mounts of its own, for root or for a user who may; None where neither may."""
    for command in (["unshare", "--mount"], ["unshare", "--mount", "--map-root-user"]):
        try:
            probe = [*command, "mount", "-t", "tmpfs", "none", "/mnt"]
            if subprocess.run(probe, capture_output=True, timeout=30).returncode == 0:
                return command
        except OSError:
            return None
    return None


def test_a_full_disk_keeps_what_was_acknowledged(tmp_path: Path) -> None:
    """On a disk of 4 MB that a filler leaves 1 MB of: StoreFull, everything acknowledged is readable then and after
    reopening, no half-written blob is left, and after some room was made the log goes on."""
    command = own_mounts()
    if command is None:
        pytest.skip("needs a mount of its own (root or user namespaces); test_database fills a store without one")
    disk, copy = tmp_path / "disk", tmp_path / "copy"
    disk.mkdir()
    shell = f"""mount -t tmpfs -o size=4m none {disk} && head -c 3000000 /dev/zero > {disk}/filler \
        && {sys.executable} {SCRIPT} {disk} commit && cp -r {disk} {copy}"""
    found = subprocess.run([*command, "sh", "-c", shell], capture_output=True, text=True, timeout=60)
    assert found.stderr == ""
    lines = found.stdout.splitlines(keepends=True)
    *said, full, readable, after = lines
    assert full.startswith("full") and "what was acknowledged stays" in full
    assert int(readable.split()[1]) >= ROWS * sum(line.startswith("predictions") for line in said)
    assert after == "after 1\n"
    assert_kept(copy, said, single=1)
    assert list((copy / "blobs").rglob(".*")) == []
