"""Server and web as one app: what the HTTP server and Ray Serve load (uvicorn with factory=True).

In: the project's folder in INCUMBENT_PROJECT (default: here), the clock in INCUMBENT_CLOCK (default: wall), the
address that is listened on in INCUMBENT_HOST (default: 127.0.0.1), and INCUMBENT_INSECURE=1 where something else
guards the door. Out: one ASGI application. Programs' paths go to `server.door`, every other one to the pages of
`web`. Loads no step, no project and no plotting.
"""

import os
from collections.abc import Awaitable, Callable

from incumbent.server.access import Access
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
    """Both doors behind one address. Without pages every path is the programs' (an unknown one is a 404)."""

    def __init__(self, door: Door, pages: Pages | None = None) -> None:
        self.door, self.pages = door, pages

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        for_people = scope["type"] == "http" and not self.door.owns(scope["path"])
        await (self.pages if for_people and self.pages else self.door)(scope, receive, send)


def app() -> Edge:
    """The application of one process; its stores are closed at the end of the ASGI lifespan."""
    door = open_door(os.environ.get(PROJECT_VARIABLE, "."), os.environ.get(CLOCK_VARIABLE, "wall"))
    facts, config = door.answerer.facts, door.answerer.config
    access = Access(os.environ.get(HOST_VARIABLE, "127.0.0.1"), os.environ.get(INSECURE_VARIABLE) == "1")
    return Edge(App(door, pages(facts, config)), access, facts.ledger, config.serve.poll_s)
