"""Server and web as one app: what the HTTP server and Ray Serve load (uvicorn with factory=True).

In: the project's folder in INCUMBENT_PROJECT (default: here), the clock in INCUMBENT_CLOCK (default: wall).
Out: one ASGI application. Programs' paths go to `server.door`, every other one to the pages of `web`. Loads
no step, no project and no plotting.
"""

import os

from incumbent.server.door import Door, Receive, Scope, Send
from incumbent.server.serving import CLOCK_VARIABLE, PROJECT_VARIABLE, open_door


class App:
    """Both doors behind one address."""

    def __init__(self, door: Door) -> None:
        self.door = door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.door(scope, receive, send)


def app() -> App:
    """The application of one process; its stores are closed at the end of the ASGI lifespan."""
    return App(open_door(os.environ.get(PROJECT_VARIABLE, "."), os.environ.get(CLOCK_VARIABLE, "wall")))
