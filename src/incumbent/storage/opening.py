"""Open the three stores of a project: where `[store]` says, as it wants them.

In: a Config. Out: Facts (log, ledger, blobs), to be closed. The folder is made when it is not there:

    <store.path>/log.db  journal/  ledger.db  blobs/  days/    without `store.url`
    <store.path>/blobs/  days/                                 with it: log and ledger are in a schema of that database
"""

from dataclasses import dataclass
from functools import partial
from importlib import import_module
from types import ModuleType, TracebackType
from typing import TYPE_CHECKING

from incumbent.config import Config
from incumbent.errors import MissingExtra
from incumbent.storage import files, journaled, sqlite
from incumbent.storage.base import Blobs, Ledger, Log

if TYPE_CHECKING:
    from incumbent.storage.sql.upgrading import Upgraded

BLOBS = "blobs"
DAYS = sqlite.DAYS


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
    folder that cannot be made or written or a database that cannot be reached, MissingExtra without its driver.
    """
    blobs = open_blobs(config)
    log = open_log(config)
    try:
        ledger = open_ledger(config)
    except BaseException:
        log.close()
        raise
    return Facts(log, ledger, blobs)


def open_log(config: Config) -> Log:
    """Only the log. A log in a file of this machine has a journal in front; one in a database has none, because what
    was acknowledged must be in the database then."""
    if config.store.url:
        log: Log = _postgres().open_log(
            config.store.url, config.store_schema, config.store, config.store_path / DAYS
        )
        return log
    opens = partial(sqlite.open_log, store=config.store)
    if not journaled.POSSIBLE:
        return opens(config.store_path)
    return journaled.in_front(opens, config.store_path, config.store.durability == "fsync")


def open_ledger(config: Config) -> Ledger:
    """Only the ledger."""
    if config.store.url:
        ledger: Ledger = _postgres().open_ledger(config.store.url, config.store_schema, config.store)
        return ledger
    return sqlite.open_ledger(config.store_path, config.store)


def upgrade_facts(config: Config) -> list["Upgraded"]:
    """Bring log and ledger to this release's revision; what was changed. Loads alembic. Nothing else may use the store.

    Raises SchemaMismatch for a store of a newer release, StorageError where it could not be done; then it is as it was.
    """
    found: list[Upgraded | None] = []
    for part in ("log", "ledger"):
        if config.store.url:
            upgrade = _postgres(".upgrading").upgrade
            found.append(upgrade(config.store.url, config.store_schema, part, config.store))
        else:
            upgrade = import_module("incumbent.storage.sqlite.upgrading").upgrade
            found.append(upgrade(config.store_path, part, config.store))
    return [each for each in found if each is not None]


def open_blobs(config: Config) -> Blobs:
    """Only the bytes: what a worker process needs to load a version."""
    return files.open_blobs(config.store_path / BLOBS)


def _postgres(module: str = "") -> ModuleType:
    """The body on PostgreSQL, whose driver is an extra: loaded only where it is asked for."""
    try:
        return import_module(f"incumbent.storage.postgres{module}")
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] != "psycopg":
            raise
        raise MissingExtra("psycopg", "postgres", "store.url") from error
