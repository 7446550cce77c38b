"""Open the three stores of a project, as its configuration says."""

from dataclasses import dataclass

from incumbent.config import Config
from incumbent.errors import StorageError
from incumbent.storage.base import Blobs, Ledger, Log
from incumbent.storage.files import open_blobs
from incumbent.storage.sqlite import open_ledger, open_log


@dataclass(frozen=True, slots=True)
class Facts:
    """The stores of one project. Close them when done; twice is fine."""

    log: Log
    ledger: Ledger
    blobs: Blobs

    def close(self) -> None:
        self.log.close()
        self.ledger.close()


def open_facts(config: Config) -> Facts:
    """Log, Ledger and Blobs below `config.store_path`, made when they are not there.

    Raises StorageError when the folder cannot be written, SchemaMismatch when another release wrote the store.
    """
    folder = config.store_path
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"the store {folder} cannot be made: {error.strerror}; set store.path") from error
    return Facts(open_log(folder, config.store), open_ledger(folder, config.store), open_blobs(folder / "blobs"))
