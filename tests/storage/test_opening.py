"""The three stores of a project are opened and closed together."""

from pathlib import Path

import pytest

from incumbent.checks.storage.opened import predicted
from incumbent.config import Config, Store, Task
from incumbent.errors import StorageError
from incumbent.storage.opening import open_blobs, open_facts


def config(folder: Path, path: str = "deep/store") -> Config:
    """A project in `folder`."""
    task = Task(name="late", kind="binary", target="late", metric="brier")
    return Config(task=task, store=Store(path=path), folder=folder)


def test_the_folder_is_made_and_everything_is_kept_there(tmp_path: Path) -> None:
    """Log, ledger and blobs lie where `store.path` says, and are there again."""
    with open_facts(config(tmp_path)) as facts:
        facts.log.append([predicted("a")])
        facts.ledger.append("Noted", at=0, actor="a", reason="b")
        digest = facts.blobs.put(b"bytes")
    assert {path.name for path in (tmp_path / "deep" / "store").iterdir()} == {"log.db", "ledger.db", "blobs", "journal"}
    with open_facts(config(tmp_path)) as facts:
        assert list(facts.log.find(["a"])) == ["a"]
        assert facts.ledger.verify() == 1
    assert open_blobs(config(tmp_path)).get(digest) == b"bytes"


def test_closing_twice_is_fine(tmp_path: Path) -> None:
    """Also after a `with` block."""
    with open_facts(config(tmp_path)) as facts:
        facts.close()
    facts.close()


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    """The error names it and the setting."""
    (tmp_path / "deep").write_text("a file")
    with pytest.raises(StorageError, match=r"deep.*store\.path"):
        open_facts(config(tmp_path))


def test_a_log_is_closed_when_the_ledger_cannot_be_opened(tmp_path: Path) -> None:
    """The last connection that closes takes the write-ahead log away."""
    store = tmp_path / "deep" / "store"
    (store / "ledger.db").mkdir(parents=True)
    with pytest.raises(StorageError, match=r"ledger\.db"):
        open_facts(config(tmp_path))
    assert (store / "log.db").exists() and not (store / "log.db-wal").exists()
