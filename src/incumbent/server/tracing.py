"""Which request was it? Its id in the answer and in every line of the log; and the log's two formats.

In: headers. Out: the client's `X-Request-Id` where it is 1 to 128 printable ASCII characters, else one that we make.
Records become one line each, as text for people or as JSON for programs.
"""

import json
import logging
import os
import re
import sys
from collections.abc import Sequence
from contextvars import ContextVar
from datetime import UTC, datetime
from itertools import count
from typing import Literal

LogFormat = Literal["text", "json"]

current: ContextVar[bytes | None] = ContextVar("incumbent_request", default=None)
"""The id of the request that is being answered."""

_printable = re.compile(rb"[\x20-\x7e]{1,128}").fullmatch


class _Ids:
    """Different in every process and after every start; cheaper than a random id a request."""

    def __init__(self) -> None:
        self._prefix = b"%016x-" % int.from_bytes(os.urandom(8))
        self._next = count(1).__next__

    def make(self) -> bytes:
        return b"%b%x" % (self._prefix, self._next())


_make = _Ids().make


def request_id(headers: Sequence[tuple[bytes, bytes]]) -> bytes:
    """The client's id of a request, or a new one.

    >>> request_id([(b"host", b"localhost"), (b"x-request-id", b"order 17")])
    b'order 17'
    """
    for name, value in headers:
        if name == b"x-request-id":
            return value if _printable(value) else _make()
    return _make()


def log_to_stderr(format: LogFormat, level: int = logging.INFO) -> None:
    """Send every record of this process to standard error, one line each. Called by what owns a process."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if format == "json" else _Text())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("incumbent").setLevel(level)
    logging.captureWarnings(True)


class _Json(logging.Formatter):
    """time, level, logger, message, pid; request_id where there is one; exception as text."""

    def format(self, record: logging.LogRecord) -> str:
        found = {
            "time": _iso(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "pid": record.process,
            **_request(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            found["exception"] = self.formatException(record.exc_info)
        return json.dumps(found, ensure_ascii=False, default=str)


class _Text(logging.Formatter):
    """The same for people. An exception takes lines of its own."""

    def format(self, record: logging.LogRecord) -> str:
        request = "".join(f" [{found}]" for found in _request().values())
        head = f"{_iso(record)} {record.levelname.lower()} {record.process} {record.name}{request}"
        line = f"{head}: {record.getMessage()}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def _request() -> dict[str, str]:
    found = current.get()
    return {} if found is None else {"request_id": found.decode("ascii")}


def _iso(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class AccessLog:
    """A line a request: method, path, status, rows, milliseconds; the id stands in every line anyway."""

    def __init__(self) -> None:
        self._logger = logging.getLogger("incumbent.access")

    def line(self, method: str, path: str, status: int, rows: int | None, seconds: float) -> None:
        """`path` is what was asked for: what is no printable ASCII in it is escaped."""
        shown = path if path.isascii() and path.isprintable() else ascii(path)[1:-1]
        fields: dict[str, object] = {"method": method, "path": shown, "status": status, "ms": round(seconds * 1e3, 3)}
        if rows is not None:
            fields["rows"] = rows
        counted = "" if rows is None else f"{rows} rows, "
        said = f"{method} {shown} {status}, {counted}{seconds * 1e3:.3f} ms"
        self._logger.info("%s", said, extra={"fields": fields})

