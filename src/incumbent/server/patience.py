"""How long a client may take to ask: who sends head or body in drops is let go, and who never stops sending a head too.

In: the connections of the HTTP server, looked at once a second; nothing is done for a request by itself but one
comparison. Out: 408 and an end for a body that did not come in time, an end for a head that did not, 431 for one that
grows without bound. The HTTP server itself bounds only the time between two requests.
"""

from collections.abc import Iterable
from time import monotonic
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from incumbent.server.refusing import simple

MOST_HEAD_BYTES = 65_536
HURRY_S = 1.0
_TOO_SLOW = "the body did not come in time: send it at once, or in smaller requests"
_NO_HTTP = "found bytes that are no HTTP request; see /openapi.json"
_TOO_LONG = f"found a request head of more than {MOST_HEAD_BYTES} bytes, expected a few headers"


class BoundedProtocol(HttpToolsProtocol):
    """HTTP on one connection, with a bound for the head of a request, and one shape for every refusal."""

    in_head = False
    head_bytes = 0
    ending = False

    def data_received(self, data: bytes) -> None:
        began_before = self.in_head
        super().data_received(data)
        if not self.in_head:
            return
        self.head_bytes = self.head_bytes + len(data) if began_before else 0  # where it began in them, nobody says
        if self.head_bytes > MOST_HEAD_BYTES:
            _end(self, b"431 Request Header Fields Too Large", simple("TooLarge", _TOO_LONG))

    def on_message_begin(self) -> None:
        self.in_head = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self.in_head = False
        super().on_headers_complete()
        self.ends_after_this()

    def shutdown(self) -> None:
        """The server is ending. Whoever has just connected is about to ask, and has a moment for it: nobody else would
        answer, for the connection is ours."""
        if self.cycle is None:
            self.ending = True
        else:
            super().shutdown()

    def ends_after_this(self) -> None:
        """The last request of a connection that was there when the end began."""
        if self.ending and self.cycle is not None:
            self.cycle.keep_alive = False

    def send_400_response(self, msg: str) -> None:
        """What came is no HTTP. A request that came whole before it is answered first: it may be in the log already."""
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete and not cycle.more_body:
            cycle.keep_alive = False
            self.flow.pause_reading()
        else:
            _end(self, b"400 Bad Request", simple("Malformed", _NO_HTTP))


class Patience:
    """Knows since when each connection has been sending its head, or its body."""

    def __init__(self, head_s: float, body_s: float) -> None:
        self._limits = {"head": head_s, "body": body_s}
        self._since: dict[Any, tuple[Any, str, float]] = {}

    def hurry(self) -> None:
        """The server is ending: who is still sending has a moment left."""
        self._limits = {what: min(limit, HURRY_S) for what, limit in self._limits.items()}

    def look(self, connections: Iterable[Any], now: float | None = None) -> int:
        """End those that take too long; how many that were. Call it about once a second."""
        moment = monotonic() if now is None else now
        before, self._since = self._since, {}
        ended = 0
        for connection in list(connections):
            cycle, what = connection.cycle, _sends(connection)
            if what is None:
                continue
            known = before.get(connection)
            since = known[2] if known is not None and known[0] is cycle and known[1] == what else moment
            if moment - since < self._limits[what]:
                self._since[connection] = cycle, what, since
                continue
            ended += 1
            if what == "body" and not getattr(cycle, "response_started", False):
                _end(connection, b"408 Request Timeout", simple("TooSlow", _TOO_SLOW))
            else:
                connection.transport.close()
        return ended


def _sends(connection: Any) -> str | None:
    """What we wait for on a connection: head, body, or nothing (it is being answered, or idle between requests)."""
    cycle = connection.cycle
    if cycle is None:
        return "head"
    if not cycle.response_complete:
        return "body" if cycle.more_body else None
    return "head" if connection.timeout_keep_alive_task is None else None


def _end(connection: Any, status: bytes, body: bytes) -> None:
    """Answer beside the application, which hears that the client is gone."""
    if connection.transport.is_closing():
        return
    head = b"HTTP/1.1 %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n"
    connection.transport.write(head % (status, len(body)) + body)
    connection.transport.close()
