"""Server and web as one app: what the HTTP server and Ray Serve load (uvicorn with factory=True).

In: the environment. Out: one ASGI application. Programs' paths go to `server.door`, every other one to the pages of
`web`. Loads no step, no project and no plotting.

    INCUMBENT_PROJECT   the project's folder (default: here)
    INCUMBENT_CLOCK     wall (default) or replay
    INCUMBENT_HOST      the address that is listened on (default: 127.0.0.1)
    INCUMBENT_INSECURE  1: something else guards the door
    INCUMBENT_NUMBERS   folder in which the answering processes keep their numbers (default: there is one process)
    INCUMBENT_KEPT      1: a keeper tidies the store, so the answering processes need not
    INCUMBENT_SLOT      which of them this one is
"""

import os
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

from incumbent import config as configuration
from incumbent.server import metering, tracing
from incumbent.server.access import Access
from incumbent.server.control import Control
from incumbent.server.door import Door, Receive, Scope, Send
from incumbent.server.edge import Edge
from incumbent.server.labelling import Labelling
from incumbent.server.listening import (
    CLOCK_VARIABLE,
    HOST_VARIABLE,
    INSECURE_VARIABLE,
    KEPT_VARIABLE,
    NUMBERS_VARIABLE,
    PROJECT_VARIABLE,
    SLOT_VARIABLE,
)
from incumbent.server.numbers import Numbers
from incumbent.server.serving import open_door
from incumbent.storage.opening import open_facts
from incumbent.web.app import pages

Room = Callable[[Scope, Receive, Send], Awaitable[None]]


class App:
    """Every door behind one address. Without pages every path is the programs' (an unknown one is a 404)."""

    def __init__(
        self, door: Door, pages: Room | None = None, control: Control | None = None, metrics: Room | None = None
    ) -> None:
        self.door, self.pages, self.control, self.metrics = door, pages, control, metrics
        self.take, self.too_large, self.most_bytes = door.take, door.too_large, door.most_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._owner(scope)(scope, receive, send)

    def _owner(self, scope: Scope) -> Room:
        if scope["type"] != "http":
            return self.door
        path = scope["path"]
        if self.control is not None and self.control.owns(scope["method"], path):
            return self.control
        if self.metrics is not None and path == "/metrics":
            return self.metrics
        return self.pages if self.pages is not None and not self.door.owns(path) else self.door


def app() -> Edge:
    """The application of one process; its stores are closed at the end of the ASGI lifespan."""
    asked = os.environ.get
    door = open_door(asked(PROJECT_VARIABLE, "."), asked(CLOCK_VARIABLE, "wall"))
    door.tidies = asked(KEPT_VARIABLE) != "1"
    folder = asked(NUMBERS_VARIABLE)
    access = Access(asked(HOST_VARIABLE, "127.0.0.1"), asked(INSECURE_VARIABLE) == "1")
    return around(door, access, Path(folder) if folder else None, asked(SLOT_VARIABLE, "0"))


def label_app(folder: str | Path, host: str = "127.0.0.1", insecure: bool = False) -> Labelling:
    """The pages for labels alone, for a project that need not answer anything yet."""
    config = configuration.load(folder)
    facts = open_facts(config)
    return Labelling(pages(facts, config), Access(host, insecure), facts.ledger, facts.close)


def around(door: Door, access: Access, folder: Path | None = None, slot: str = "0") -> Edge:
    """A door with everything that stands beside and before it."""
    facts, config = door.answerer.facts, door.answerer.config
    meter = door.answerer.meter
    numbers = Numbers(meter, partial(metering.reading, door.answerer), folder, slot)
    metrics = metering.Metrics(numbers, config.task.name)
    control = Control(config, facts, meter)
    whole = App(door, pages(facts, config, control.proves), control, metrics)
    log = tracing.AccessLog() if config.serve.access_log else None
    return Edge(whole, access, facts.ledger, numbers, config.serve.poll_s, log)
