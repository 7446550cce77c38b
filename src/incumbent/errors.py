"""Every error that incumbent raises on purpose.

    IncumbentError
    ├── ConfigError                 incumbent.toml or an option is wrong            exit 2
    │   ├── UnknownKey              a key nobody knows; names the nearest
    │   └── MissingExtra            a package of the judging path is not installed  exit 4
    ├── DataError                   rows or labels that cannot be used              exit 4
    │   ├── RowError                one row of a request is wrong                   HTTP 422
    │   └── IdReused                an id came again with other features            HTTP 409
    ├── NotEnoughData               a judgement needs more rows                     exit 3
    ├── VersionError                a version cannot be made, found or trusted      exit 4
    │   ├── UnknownVersion
    │   ├── ArtefactRefused         changed bytes, an untrusted type, unknown pickle
    │   ├── GoldenMismatch          it does not repeat its golden rows
    │   └── NotAnswering            a reference that cannot answer new rows
    ├── PredictError                a version failed to answer                      (the fallback answers)
    │   ├── PredictTimeout          later than its deadline
    │   ├── BadOutput               wrong shape, NaN or out of range
    │   └── EngineDied              its worker process is gone
    │       └── OutOfMemory         it took more than versions.memory_mb
    ├── Crowded                     too many rows wait for their answer already     HTTP 503
    ├── StorageError                a fact could not be kept or read                HTTP 503
    │   ├── StoreFull               the disk is full; what was acknowledged stays
    │   ├── StoreLocked             another process holds it for too long
    │   ├── StoreDamaged            bytes that do not match their hash, a broken chain
    │   ├── SchemaMismatch          written by an older or newer incumbent
    │   └── LedgerConflict          somebody else appended first
    ├── NotWritten                  an output file could not be written             exit 4
    └── DecisionRefused             the ledger does not allow this move             exit 2

Each message says what was found, what was expected and what to do. `exit_code` is what the command line
returns, `status` what HTTP answers.
"""

from typing import Any, ClassVar


class IncumbentError(Exception):
    """Base of all; catch it to catch everything that incumbent raises on purpose."""

    exit_code: ClassVar[int] = 4
    status: ClassVar[int] = 500


class ConfigError(IncumbentError):
    """A setting or an option is wrong."""

    exit_code = 2
    status = 400


class UnknownKey(ConfigError):
    """A key in incumbent.toml that nobody knows."""


class MissingExtra(ConfigError):
    """A package of an extra is not installed; the message says which `pip install` brings it."""

    exit_code = 4
    status = 501

    def __init__(self, package: str, extra: str = "all", purpose: str = "this") -> None:
        super().__init__(
            f"{purpose} needs the package {package!r}, which is not installed: pip install \"incumbent[{extra}]\""
        )


class DataError(IncumbentError):
    """Rows or labels that cannot be used."""

    status = 422


class RowError(DataError):
    """One row of a request is wrong: which row, which column, what was found, what was expected.

    `row` counts from 0; `column` is None where the row as a whole is meant.
    """

    def __init__(self, row: int, column: str | None, found: Any, expected: str) -> None:
        self.row, self.column, self.found, self.expected = row, column, found, expected
        where = f"row {row}" if column is None else f"row {row}, column {column!r}"
        super().__init__(f"{where}: found {_shown(found)}, expected {expected}")


class IdReused(DataError):
    """An id that was answered before came again with other features."""

    status = 409


class NotEnoughData(IncumbentError):
    """A judgement needs more rows than there are; the message says how many would do."""

    exit_code = 3
    status = 409


class VersionError(IncumbentError):
    """A version cannot be made, found or trusted."""


class UnknownVersion(VersionError):
    """No version of that name is registered."""

    status = 404


class ArtefactRefused(VersionError):
    """An artefact that is not loaded: changed bytes, an untrusted type, a pickle nobody vouched for."""


class GoldenMismatch(VersionError):
    """A version does not repeat its golden rows here: a changed library, dtype or feature."""


class NotAnswering(VersionError):
    """A reference (people, an existing system's column) that cannot answer new rows."""


class PredictError(IncumbentError):
    """A version failed to answer; the next in the fallback chain answers instead."""

    status = 503
    reason: ClassVar[str] = "error"


class PredictTimeout(PredictError):
    """A version did not answer inside its deadline."""

    reason = "timeout"


class BadOutput(PredictError):
    """A version answered with the wrong shape, with NaN, or out of range."""

    reason = "bad_output"


class EngineDied(PredictError):
    """The worker process of a version is gone."""

    reason = "died"


class OutOfMemory(EngineDied):
    """The worker process of a version took more memory than `versions.memory_mb` allows, and was replaced."""

    reason = "memory"


class Crowded(IncumbentError):
    """Too many rows wait for their answer already; nothing of this request was taken."""

    status = 503


class StorageError(IncumbentError):
    """A fact could not be kept or read."""

    status = 503


class StoreFull(StorageError):
    """The disk (or quota) is full. What was acknowledged stays."""


class StoreLocked(StorageError):
    """Another process held the store for longer than the time that we wait."""


class StoreDamaged(StorageError):
    """Stored bytes do not match their hash, or the ledger's chain of hashes is broken."""


class SchemaMismatch(StorageError):
    """The store was written by an older or newer incumbent."""


class LedgerConflict(StorageError):
    """Somebody else appended to the ledger first; read it again and decide anew."""

    status = 409


class NotWritten(IncumbentError):
    """An output file (a report, a summary) could not be written; what is on the ledger stands."""


class DecisionRefused(IncumbentError):
    """The ledger does not allow this move: nothing to fall back on, a second trial, no reason given."""

    exit_code = 2
    status = 409


def text_of(value: Any) -> str:
    """A value as Python writes it; its type alone where Python cannot (lists in lists without end, huge integers)."""
    try:
        return repr(value)
    except (RecursionError, ValueError):
        return f"{type(value).__name__} that is too deep or too long to be shown"


def _shown(value: Any, most: int = 80) -> str:
    text = text_of(value)
    return text if len(text) <= most else text[: most - 1] + "…"
