"""The contract of Blobs: bytes under their hash, whole or not at all."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

import pytest

from incumbent.checks.storage.children import at_once, put_bytes
from incumbent.errors import StoreDamaged
from incumbent.storage.base import Blobs

NOTHING = sha256(b"never put").hexdigest()


class BlobsChecks:
    """The whole contract of Blobs. Say `opener` (it must survive pickling) and `damage`."""

    def opener(self) -> Callable[[Path], Blobs]:
        """What opens the blobs of a folder."""
        raise NotImplementedError

    def damage(self, folder: Path, digest: str) -> None:
        """Change the stored bytes of a hash behind the store's back."""
        raise NotImplementedError

    @pytest.fixture
    def blobs(self, tmp_path: Path) -> Blobs:
        """Empty blobs in `tmp_path`."""
        return self.opener()(tmp_path)

    @pytest.mark.parametrize("content", [b"", b"\0", b"bytes", bytes(range(256)) * 5000])
    def test_bytes_come_back_under_their_hash(self, blobs: Blobs, content: bytes) -> None:
        """sha256, lower-case hex; the same bytes again change nothing."""
        digest = blobs.put(content)
        assert digest == blobs.put(content) == sha256(content).hexdigest()
        assert blobs.get(digest) == content and blobs.has(digest)

    def test_an_unknown_hash_is_a_key_error(self, blobs: Blobs) -> None:
        """So is what is no hash at all, be it a way out of the folder."""
        for digest in (NOTHING, "", "abc", NOTHING.upper(), f"../{NOTHING[:61]}", "z" * 64):
            with pytest.raises(KeyError):
                blobs.get(digest)
            assert not blobs.has(digest)

    def test_damage_shows_and_is_repaired_by_the_same_bytes(self, blobs: Blobs, tmp_path: Path) -> None:
        """Changed bytes are never given back."""
        digest = blobs.put(b"whole")
        self.damage(tmp_path, digest)
        with pytest.raises(StoreDamaged, match=digest):
            blobs.get(digest)
        assert blobs.put(b"whole") == digest
        assert blobs.get(digest) == b"whole"

    def test_deleted_bytes_are_gone_until_they_are_put_again(self, blobs: Blobs) -> None:
        """Twice is fine, and so is what never was, or is no hash."""
        kept, digest = blobs.put(b"kept"), blobs.put(b"gone")
        for each in (digest, digest, NOTHING, "../kept", ""):
            blobs.delete(each)
        assert not blobs.has(digest)
        with pytest.raises(KeyError):
            blobs.get(digest)
        assert blobs.get(kept) == b"kept"
        assert blobs.get(blobs.put(b"gone")) == b"gone"

    def test_bytes_are_there_after_reopening(self, blobs: Blobs, tmp_path: Path) -> None:
        """Another object finds them."""
        assert self.opener()(tmp_path).get(blobs.put(b"kept")) == b"kept"

    def test_threads_may_put_the_same_bytes(self, blobs: Blobs) -> None:
        """All get the same hash."""
        content = b"same" * 50_000
        with ThreadPoolExecutor(8) as pool:
            digests = set(pool.map(blobs.put, [content] * 16))
        assert [blobs.get(digest) for digest in digests] == [content]

    def test_processes_may_put_the_same_bytes(self, blobs: Blobs, tmp_path: Path) -> None:
        """Neither finds half of the other's."""
        content = b"same" * 50_000
        at_once(put_bytes, *((self.opener(), tmp_path, content, 10) for _ in range(2)))
        assert blobs.get(sha256(content).hexdigest()) == content
