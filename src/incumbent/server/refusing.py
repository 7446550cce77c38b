"""Every error as one JSON shape: {"error": {type, message, row?, column?, found?, expected?}}, and a status.

What a client may hear is decided here: errors about its own rows in full, errors of stores in fixed words
(their own messages hold paths), unexpected ones as "internal error" with the details in the server's log
alone.
"""

import logging
from typing import Any

from incumbent.errors import (
    Crowded,
    DataError,
    DecisionRefused,
    IncumbentError,
    LedgerConflict,
    PredictError,
    RowError,
    StorageError,
    StoreFull,
    StoreLocked,
    UnknownVersion,
    VersionError,
    text_of,
)
from incumbent.loop.asked import Unanswered
from incumbent.server import wire

_LOGGER = logging.getLogger("incumbent.server")
_LONGEST = 200
_STORES = {
    StoreFull: "the disk of the store is full: nothing was kept. Free space and send it again.",
    StoreLocked: "another process held the store for too long: nothing was kept. Send the request again.",
}
_STORE = "the store cannot be used now: nothing of this request was kept. The server's log says why."
_UNANSWERED = "no version answered, the last resort neither. The server's log says why."


def refusal(error: Exception) -> tuple[int, bytes]:
    """(status, body) for an error."""
    if isinstance(error, RowError):
        found = error.found if _short(error.found) else text_of(error.found)[:_LONGEST]
        return error.status, _body(
            error, str(error), row=error.row, column=error.column, found=found, expected=error.expected
        )
    if isinstance(error, UnknownVersion):
        return 404, _body(error, str(error))
    if isinstance(error, DecisionRefused | LedgerConflict | VersionError):
        return 409, _body(error, str(error))
    if isinstance(error, StorageError):
        _LOGGER.error("%s: %s", type(error).__name__, error)
        return 503, _body(error, _STORES.get(type(error), _STORE))
    if isinstance(error, DataError | Crowded):
        return error.status, _body(error, str(error))
    if isinstance(error, PredictError):
        _LOGGER.error("%s", error)
        return 503, _body(error, _UNANSWERED if isinstance(error, Unanswered) else str(error))
    _LOGGER.error("unexpected error", exc_info=error)
    return 500, _named("InternalError", "internal error: the server's log has the details")


def simple(type: str, message: str) -> bytes:
    """The body of an error that is not one of ours (unknown path, wrong method)."""
    return _named(type, message)


def _body(error: IncumbentError, message: str, **fields: Any) -> bytes:
    return _named(type(error).__name__, message, **fields)


def _named(type: str, message: str, **fields: Any) -> bytes:
    return wire.document({"error": {"type": type, "message": message, **fields}})


def _short(found: Any) -> bool:
    if isinstance(found, wire.Shown):
        return False
    return found is None or isinstance(found, bool | int | float) or (isinstance(found, str) and len(found) <= _LONGEST)
