"""What every request passes on its way in and out, whichever door it is for.

In: the application behind, who guards it, who counts. Out: an ASGI application. A request gets an id, is asked for its
token, is counted with its status, and logged where that is wanted. Beside the requests the edge polls the ledger for
tokens and publishes this process's numbers.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from time import perf_counter
from typing import Protocol, cast

from incumbent.errors import StorageError
from incumbent.server import tracing
from incumbent.server.access import Access, needs
from incumbent.server.metering import template
from incumbent.server.numbers import Numbers
from incumbent.server.replying import App, Message, Receive, Scope, Send, reply
from incumbent.storage.base import Ledger

Headers = Sequence[tuple[bytes, bytes]]
Answer = Callable[[int, bytes, Headers], None]

PUBLISH_S = 1.0
_LOGGER = logging.getLogger("incumbent.server")


class Quick(Protocol):
    """An application that takes whole prediction requests beside ASGI."""

    most_bytes: int

    def take(self, scope: Scope, body: bytes, answer: Answer, /) -> None: ...

    def too_large(self, scope: Scope, answer: Answer, /) -> None: ...


class Edge:
    """Reads the tokens at once, and every `poll_s` again."""

    def __init__(
        self,
        app: App,
        access: Access,
        ledger: Ledger,
        numbers: Numbers,
        poll_s: float = 1.0,
        log: tracing.AccessLog | None = None,
    ) -> None:
        self.app, self.access, self.numbers = app, access, numbers
        self._meter, self._ledger, self._poll_s, self._log = numbers.meter, ledger, poll_s, log
        if hasattr(app, "most_bytes"):  # it takes whole prediction requests, and so do we
            self._quick = cast(Quick, app)
            self.most_bytes = self._quick.most_bytes
        access.follow(ledger)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await (self._live(scope, receive, send) if scope["type"] == "lifespan" else _closed(send))
        started = perf_counter()
        method, path = scope["method"], scope["path"]
        id = tracing.request_id(scope["headers"])
        tracing.current.set(id)
        status = 500  # what the server says when no answer was begun

        def watched(message: Message) -> Awaitable[None]:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", id)]
            return send(message)

        try:
            refused = self.access.allows(scope, needs(method, path))
            if refused is None:
                await self.app(scope, receive, watched)
            else:
                self._meter.refused(refused.status, refused.type)
                await reply(watched, refused.status, refused.body, refused.headers)
        finally:
            self._count(scope, method, path, status, perf_counter() - started)

    # --- the same for whole prediction requests, without a task and two messages for each

    def take(self, scope: Scope, body: bytes, answer: Answer) -> None:
        """Answer `POST /v1/predict` by calling `answer(status, body, headers)` once, now or later."""
        replied = self._watched(scope, answer)
        refused = self.access.allows(scope, "predict")
        if refused is None:
            self._quick.take(scope, body, replied)
        else:
            self._meter.refused(refused.status, refused.type)
            replied(refused.status, refused.body, refused.headers)
        tracing.current.set(None)  # no task, no context of its own: what is logged later has no id

    def too_large(self, scope: Scope, answer: Answer) -> None:
        """Refuse a body that is larger than `most_bytes`."""
        self._quick.too_large(scope, self._watched(scope, answer))
        tracing.current.set(None)

    def _watched(self, scope: Scope, answer: Answer) -> Answer:
        started = perf_counter()
        id = tracing.request_id(scope["headers"])
        tracing.current.set(id)

        def replied(status: int, body: bytes, headers: Headers = ()) -> None:
            answer(status, body, [*headers, (b"x-request-id", id)])
            self._count(scope, "POST", "/v1/predict", status, perf_counter() - started)

        return replied

    def _count(self, scope: Scope, method: str, path: str, status: int, seconds: float) -> None:
        self._meter.replied(template(path), status)
        if path == "/v1/predict" and status == 200:
            self._meter.answered(seconds)
        if self._log is not None:
            self._log.line(method, path, status, scope.get("incumbent.rows"), seconds)

    async def _live(self, scope: Scope, receive: Receive, send: Send) -> None:
        ending = asyncio.Event()
        beside = [asyncio.create_task(_keep(ending, self._poll_s, self._follow))]
        if self.numbers.shared:
            beside.append(asyncio.create_task(_keep(ending, PUBLISH_S, self.numbers.publish)))

        async def heard() -> Message:
            """The stores are closed when the application behind hears of the end: nobody may be reading then."""
            message = await receive()
            if message["type"] == "lifespan.shutdown":
                ending.set()
                await asyncio.gather(*beside)
            return message

        await self.app(scope, heard, send)
        self.numbers.publish(living=False)

    def _follow(self) -> None:
        try:
            self.access.follow(self._ledger)
        except StorageError as error:
            _LOGGER.error("the tokens cannot be read now, those known still count: %s", error)


async def _closed(send: Send) -> None:
    """There is no door for anything but HTTP."""
    await send({"type": "websocket.close"})


async def _keep(ending: asyncio.Event, every_s: float, work: Callable[[], object]) -> None:
    """Work in a thread again and again until the end."""
    while not await _set_within(ending, every_s):
        try:
            await asyncio.to_thread(work)
        except Exception as error:  # what nobody waits for does not end at an error: it is tried again
            _LOGGER.error("unexpected error beside the answers", exc_info=error)


async def _set_within(event: asyncio.Event, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return False
