"""The quick way of one request, `POST /v1/predict`: from the parser's bytes to the answer's, with no task in between.

In: uvicorn's HTTP protocol on httptools. Out: the same protocol, but that prediction requests go to `Quick.take` as
soon as their body is whole, and are answered by one write. What a client sees is what the ASGI application says, to the
byte. Anything unusual (another path, HTTP/1.0, `Expect`, an upgrade, pipelined requests) takes uvicorn's own way.

An ASGI request costs 19 us in uvicorn before the application has done anything, more than half of it for a task and two
messages; this way costs 10.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from incumbent.server.patience import BoundedProtocol

Headers = Sequence[tuple[bytes, bytes]]
Reply = Callable[[int, bytes, Headers], None]
PATH = b"/v1/predict"


class Quick(Protocol):
    """Whoever answers."""

    most_bytes: int

    def take(self, scope: dict[str, Any], body: bytes, reply: Reply) -> None:
        """Answer a whole request by calling `reply(status, body, headers)` once, now or later. Never raises."""

    def too_large(self, scope: dict[str, Any], reply: Reply) -> None:
        """Refuse a body that is larger than `most_bytes`."""


class Exchange:
    """One request and its response, where uvicorn has its cycle: the protocol tells it what came."""

    __slots__ = (
        "body", "disconnected", "keep_alive", "more_body", "protocol", "quick", "response_complete", "scope", "taken",
    )  # fmt: skip

    def __init__(self, protocol: HttpToolsProtocol, quick: Quick, scope: Any, keep_alive: bool) -> None:
        self.protocol, self.quick, self.scope, self.keep_alive = protocol, quick, scope, keep_alive
        self.body = bytearray()
        self.more_body = True
        self.disconnected = self.response_complete = self.taken = False

    @property
    def message_event(self) -> "Exchange":
        """What the protocol sets. Not kept: a request that holds itself is garbage until the collector comes by, and
        the process grew by 28 bytes a request."""
        return self

    def set(self) -> None:
        """More of the body came, or all of it, or the client went away."""
        if self.taken or self.response_complete:
            return
        if self.disconnected:
            return
        if not self.more_body:
            self.taken = True
            if len(self.body) > self.quick.most_bytes:
                self.quick.too_large(self.scope, self.reply)
            else:
                self.quick.take(self.scope, bytes(self.body), self.reply)
        elif len(self.body) > self.quick.most_bytes:
            self.taken = True
            self.keep_alive = False
            self.quick.too_large(self.scope, self.reply)
        else:
            self.protocol.flow.resume_reading()

    def reply(self, status: int, body: bytes, headers: Headers = ()) -> None:
        """Write the whole response."""
        self.response_complete = True
        protocol = self.protocol
        transport = protocol.transport
        if self.disconnected or transport.is_closing():
            return
        start = b"%scontent-type: application/json\r\ncontent-length: %d\r\n" % (STATUS_LINE[status], len(body))
        for name, value in headers:
            start += b"%s: %s\r\n" % (name, value)
            if name == b"connection":
                self.keep_alive = False
        if not self.keep_alive:
            start += b"\r\n" if b"\r\nconnection: close\r\n" in start else b"connection: close\r\n\r\n"
            transport.write(start + body)
            transport.close()
        else:
            transport.write(start + b"\r\n" + body)
        protocol.on_response_complete()


def found(app: Any) -> Quick | None:
    """The application, if it knows the quick way."""
    return app if hasattr(app, "take") and hasattr(app, "most_bytes") else None


def protocol(quick: Callable[[], Quick | None]) -> type[HttpToolsProtocol]:
    """uvicorn's protocol with the quick way in it. `quick` is asked for at each request: None takes uvicorn's way."""

    class QuickProtocol(BoundedProtocol):
        def on_headers_complete(self) -> None:
            if self.url == PATH and self.parser.get_method() == b"POST" and self._is_plain():
                answers = quick()
                if answers is not None and self._declared() <= answers.most_bytes:
                    self.in_head = False
                    scope = self.scope
                    scope["method"], scope["path"], scope["raw_path"], scope["query_string"] = "POST", _TEXT, PATH, b""
                    keep_alive = self.parser.should_keep_alive()
                    self.cycle = Exchange(self, answers, scope, keep_alive)  # type: ignore[assignment]
                    self.ends_after_this()
                    return
            super().on_headers_complete()

        def _declared(self) -> int:
            for name, value in self.headers:
                if name == b"content-length":
                    return int(value)
            return 0

        def _is_plain(self) -> bool:
            idle = self.cycle is None or self.cycle.response_complete
            return (
                idle
                and not self.expect_100_continue
                and self.limit_concurrency is None
                and not self.root_path
                and self.parser.get_http_version() == "1.1"
                and not self.parser.should_upgrade()
            )

    return QuickProtocol


_TEXT = PATH.decode()
