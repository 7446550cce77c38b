"""Pages alone, behind the same tokens: what `incumbent baseline people` serves before there is anything that answers.

In: an ASGI application for pages, who guards it, the ledger. Out: an ASGI application. It follows the tokens at each
request: a handful of people ask, not programs.
"""

import asyncio
from collections.abc import Callable

from incumbent.server.access import Access, needs
from incumbent.server.replying import App, Receive, Scope, Send, reply
from incumbent.storage.base import Ledger

START = "/label"


class Labelling:
    """Lets nobody but those who label through: whatever else is asked for leads to the page. `closes` at the end."""

    def __init__(self, pages: App, access: Access, ledger: Ledger, closes: Callable[[], None]) -> None:
        self.pages, self._access, self._ledger, self._closes = pages, access, ledger, closes
        access.follow(ledger)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await self._live(receive, send)
        if scope["type"] != "http":
            return await send({"type": "websocket.close"})
        await asyncio.to_thread(self._access.follow, self._ledger)
        needed = needs(scope["method"], scope["path"])
        refused = self._access.allows(scope, needed)
        if refused is not None:
            await reply(send, refused.status, refused.body, refused.headers)
        elif needed == "label" or scope["path"].startswith("/static/"):
            await self.pages(scope, receive, send)
        else:
            await reply(send, 303, b"", [(b"location", START.encode())])

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        self._closes()
        await send({"type": "lifespan.shutdown.complete"})
