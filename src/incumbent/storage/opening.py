"""Open the three stores of a project: where `store.path` says, as `[store]` wants them.

In: a Config. Out: Facts (log, ledger, blobs), to be closed. The folder is made when it is not there:

    <store.path>/log.db  journal/  ledger.db  blobs/
"""

from dataclasses import dataclass
from types import TracebackType

from incumbent.config import Config
from incumbent.storage import files, journaled, sqlite
from incumbent.storage.base import Blobs, Ledger, Log

BLOBS = "blobs"
JOURNAL = "journal"


@dataclass(frozen=True, slots=True)
class Facts:
    """The three stores of one project. A `with` block closes them."""

    log: Log
    ledger: Ledger
    blobs: Blobs

    def close(self) -> None:
        """Give back files and connections. Twice is fine."""
        self.log.close()
        self.ledger.close()

    def __enter__(self) -> "Facts":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_facts(config: Config) -> Facts:
    """The stores of a project.

    Raises SchemaMismatch, StoreDamaged, StoreLocked or StoreFull for a store that cannot be used, StorageError for a
    folder that cannot be made or written.
    """
    blobs = open_blobs(config)
    log: Log = sqlite.open_log(config.store_path, config.store)
    if journaled.POSSIBLE:
        log = journaled.Journaled(log, config.store_path / JOURNAL, config.store.durability == "fsync")
    try:
        ledger = sqlite.open_ledger(config.store_path, config.store)
    except BaseException:
        log.close()
        raise
    return Facts(log, ledger, blobs)


def open_blobs(config: Config) -> Blobs:
    """Only the bytes: what a worker process needs to load a version."""
    return files.open_blobs(config.store_path / BLOBS)
