"""The three stores of a project are opened and closed together."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from incumbent.checks.storage.opened import predicted
from incumbent.config import Config, Store, Task
from incumbent.errors import MissingExtra, StorageError
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
    there = {path.name for path in (tmp_path / "deep" / "store").iterdir()}
    assert there == {"log.db", "ledger.db", "blobs", "journal"}
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


def test_opening_a_store_loads_no_driver_and_no_upgrading(tmp_path: Path) -> None:
    """PostgreSQL's driver and alembic come only where they are asked for."""
    program = """
import sys
from pathlib import Path
from incumbent.config import Config, Store, Task
from incumbent.storage.opening import open_facts
task = Task(name="late", kind="binary", target="late", metric="brier")
open_facts(Config(task=task, store=Store(), folder=Path(sys.argv[1]))).close()
print(sorted({name.split(".")[0] for name in sys.modules} & {"alembic", "psycopg", "sqlalchemy"}))
"""
    found = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, timeout=60)
    assert (found.stdout, found.stderr) == ("['sqlalchemy']\n", "")


def test_a_database_without_its_driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Says what to install."""
    monkeypatch.setitem(sys.modules, "psycopg", None)
    for name in [name for name in sys.modules if name.startswith("incumbent.storage.postgres")]:
        monkeypatch.delitem(sys.modules, name)
    there = config(tmp_path)
    with pytest.raises(MissingExtra, match=r'pip install "incumbent\[postgres\]"'):
        open_facts(replace(there, store=replace(there.store, url="postgresql://nowhere/db")))
