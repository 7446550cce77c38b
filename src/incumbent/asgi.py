"""Server and web as one app: what the HTTP server and Ray Serve load (uvicorn with factory=True).

In: the project's folder in INCUMBENT_PROJECT (default: here), the clock in INCUMBENT_CLOCK (default: wall), the
address that is listened on in INCUMBENT_HOST (default: 127.0.0.1), and INCUMBENT_INSECURE=1 where something else
guards the door. Out: one ASGI application. Programs' paths go to `server.door`, every other one to the pages of
`web`. Loads no step, no project and no plotting.
"""

import os
from collections.abc import Awaitable, Callable

from incumbent.server.access import Access
from incumbent.server.control import Control
from incumbent.server.door import Door, Receive, Scope, Send
from incumbent.server.edge import Edge
from incumbent.server.serving import (
    CLOCK_VARIABLE,
    HOST_VARIABLE,
    INSECURE_VARIABLE,
    PROJECT_VARIABLE,
    open_door,
)
from incumbent.web.app import pages

Pages = Callable[[Scope, Receive, Send], Awaitable[None]]


class App:
    """Every door behind one address. Without pages every path is the programs' (an unknown one is a 404)."""

    def __init__(self, door: Door, pages: Pages | None = None, control: Control | None = None) -> None:
        self.door, self.pages, self.control = door, pages, control

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._owner(scope)(scope, receive, send)

    def _owner(self, scope: Scope) -> Pages:
        if scope["type"] != "http":
            return self.door
        if self.control is not None and self.control.owns(scope["path"]):
            return self.control
        return self.pages if self.pages is not None and not self.door.owns(scope["path"]) else self.door


def app() -> Edge:
    """The application of one process; its stores are closed at the end of the ASGI lifespan."""
    door = open_door(os.environ.get(PROJECT_VARIABLE, "."), os.environ.get(CLOCK_VARIABLE, "wall"))
    facts, config = door.answerer.facts, door.answerer.config
    access = Access(os.environ.get(HOST_VARIABLE, "127.0.0.1"), os.environ.get(INSECURE_VARIABLE) == "1")
    whole = App(door, pages(facts, config), Control(config, facts))
    return Edge(whole, access, facts.ledger, config.serve.poll_s)
