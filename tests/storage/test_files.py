"""The Blobs contract on files, and what a full disk leaves behind."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from incumbent.checks.storage import BlobsChecks
from incumbent.errors import StorageError
from incumbent.storage.base import Blobs
from incumbent.storage.files import open_blobs


class TestFileBlobs(BlobsChecks):
    """Everything that the contract says."""

    def opener(self) -> Callable[[Path], Blobs]:
        return open_blobs

    def damage(self, folder: Path, digest: str) -> None:
        (folder / digest[:2] / digest[2:]).write_bytes(b"whole?")


def test_a_file_where_the_folder_should_be(tmp_path: Path) -> None:
    """Is named, with what to do."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"file.*store\.path"):
        open_blobs(tmp_path / "file" / "blobs")


LIMITED = """
import resource, sys
from pathlib import Path
from incumbent.errors import StoreFull
from incumbent.storage.files import open_blobs
blobs = open_blobs(Path(sys.argv[1]))
small = blobs.put(b"small")
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    blobs.put(b"large" * 100_000)
except StoreFull as error:
    assert "Free some space" in str(error)
    assert blobs.get(small) == b"small"
    print("full")
"""


def test_a_file_that_may_not_grow_is_a_full_store(tmp_path: Path) -> None:
    """The system refuses the second half of the bytes; what was written of them is gone, what was kept stays."""
    found = subprocess.run([sys.executable, "-c", LIMITED, str(tmp_path)], capture_output=True, text=True, timeout=60)
    assert (found.stdout, found.stderr) == ("full\n", "")
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [path.read_bytes() for path in files] == [b"small"]
