"""What every request passes on its way in and out, whichever door it is for: may it pass?

In: the application behind, and the Access that guards it. Out: an ASGI application. Also polls the ledger for tokens
while the application lives.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from incumbent.errors import StorageError
from incumbent.server.access import Access, needs
from incumbent.storage.base import Ledger

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_LOGGER = logging.getLogger("incumbent.server")


class Edge:
    """Reads the tokens at once, and every `poll_s` again."""

    def __init__(self, app: App, access: Access, ledger: Ledger, poll_s: float) -> None:
        self.app, self.access = app, access
        self._ledger, self._poll_s = ledger, poll_s
        access.follow(ledger)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            refused = self.access.allows(scope, needs(scope["method"], scope["path"]))
            if refused is None:
                await self.app(scope, receive, send)
            else:
                await reply(send, refused.status, refused.body, refused.headers)
        elif scope["type"] == "lifespan":
            await self._live(scope, receive, send)

    async def _live(self, scope: Scope, receive: Receive, send: Send) -> None:
        ending = asyncio.Event()
        following = asyncio.create_task(self._keep_following(ending))

        async def heard() -> Message:
            """The stores are closed when the application behind hears of the end: nobody may be reading then."""
            message = await receive()
            if message["type"] == "lifespan.shutdown":
                ending.set()
                await following
            return message

        await self.app(scope, heard, send)

    async def _keep_following(self, ending: asyncio.Event) -> None:
        while not await _set_within(ending, self._poll_s):
            try:
                await asyncio.to_thread(self.access.follow, self._ledger)
            except StorageError as error:
                _LOGGER.error("the tokens cannot be read now, those known still count: %s", error)


async def reply(send: Send, status: int, body: bytes, headers: list[tuple[bytes, bytes]]) -> None:
    """One JSON answer."""
    kind = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": [*kind, *headers]})
    await send({"type": "http.response.body", "body": body})


async def _set_within(event: asyncio.Event, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return False
