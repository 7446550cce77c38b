"""One process that answers: a server on a listening socket, and an orderly end.

In: a project's folder and an address, or a socket that somebody else opened. Out: a process that answers HTTP until
SIGTERM or Ctrl-C, and then finishes what it took.
"""

import asyncio
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import uvicorn

from incumbent import config as configuration
from incumbent.engines.opening import opener
from incumbent.errors import ConfigError
from incumbent.loop.answer import Answerer, Clock
from incumbent.server import quick
from incumbent.server.door import Door
from incumbent.server.listening import announcer, environment, guarded, listening, refuse_open_address, url_of
from incumbent.server.patience import Patience
from incumbent.storage.opening import open_facts

APP = "incumbent.asgi:app"
GRACE_S = 30
SWITCH_S = 0.0005
"""For how long a thread beside the answers (outcomes, a flush that has just ended) may keep the interpreter from the
event loop, and it from them. Python's own 5 ms are as long as forty answers."""
TICKS_A_SECOND = 10


def open_door(folder: str | Path, clock: str = "wall") -> Door:
    """The ASGI application of a project: stores opened, routes followed, versions loaded and proved.

    Raises ConfigError for wrong settings, StorageError when the store cannot be opened.
    """
    if clock not in ("wall", "replay"):
        raise ConfigError(f"found the clock {clock!r}, expected wall or replay")
    which: Clock = "replay" if clock == "replay" else "wall"
    config = configuration.load(folder)
    facts = open_facts(config)
    try:
        answerer = Answerer(config, facts, opener(config, facts.blobs), which)
        answerer.follow()
    except BaseException:
        facts.close()
        raise
    return Door(answerer, facts.close)


def serve(
    folder: str | Path,
    *,
    host: str = "127.0.0.1",
    port: int = 8080,
    clock: str = "wall",
    insecure: bool = False,
    json_line: bool = False,
    app: Any = APP,
    ready: Callable[[str], None] | None = None,
    stop: threading.Event | None = None,
) -> None:
    """Serve a project until SIGTERM or Ctrl-C; then finish what was taken, close the stores and return.

    `app` is what uvicorn serves: by default the factory of `incumbent.asgi`, which reads the project's folder
    from INCUMBENT_PROJECT. `ready` hears the URL once the first request can be answered (default: one line on
    standard output, as JSON with `json_line`); a ticker may be started there. `stop` ends a server that runs
    in a thread. Raises ConfigError for an address that others can reach without a token or `insecure`, or one
    that is taken.
    """
    refuse_open_address(host, insecure, lambda: guarded(folder))
    os.environ |= environment(folder, clock, host, insecure)
    with listening(host, port) as listener:
        say, url = ready or announcer(json_line), url_of(host, listener.getsockname()[1])
        answer_on(listener, configuration.load(folder).serve, app, lambda: say(url), stop)


def answer_on(
    listener: socket.socket,
    limits: configuration.Serve,
    app: Any,
    ready: Callable[[], None],
    stop: threading.Event | None = None,
) -> None:
    """Answer on a listening socket until SIGTERM, Ctrl-C or `stop`. `ready` is called once the first request can be
    answered."""
    settings = uvicorn.Config(
        app,
        factory=isinstance(app, str),
        loop=_loop(),
        http=quick.protocol(lambda: answers),
        lifespan="on",
        access_log=False,
        log_config=None,
        timeout_graceful_shutdown=GRACE_S,
        timeout_keep_alive=limits.keep_alive_s,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        ws="none",
    )
    settings.load()
    answers = quick.found(settings.loaded_app)
    sys.setswitchinterval(SWITCH_S)
    server = _Server(settings, ready, Patience(limits.head_s, limits.body_s))
    with _ends(server, stop):
        server.run(sockets=[listener])


class _Server(uvicorn.Server):
    """Says once that it is ready, and lets go who is too slow."""

    def __init__(self, settings: uvicorn.Config, ready: Callable[[], None], patience: Patience) -> None:
        super().__init__(settings)
        self._ready, self._patience = ready, patience

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._ready()

    async def on_tick(self, counter: int) -> bool:
        if counter % TICKS_A_SECOND == 0:
            self._patience.look(self.server_state.connections)
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """What was taken is finished; a request that is still being sent was not taken."""
        self._patience.hurry()
        looking = asyncio.create_task(self._keep_looking())
        try:
            await super().shutdown(sockets)
        finally:
            looking.cancel()

    async def _keep_looking(self) -> None:
        while True:
            self._patience.look(self.server_state.connections)
            await asyncio.sleep(0.1)


@contextmanager
def _ends(server: uvicorn.Server, stop: threading.Event | None) -> Iterator[None]:
    """End on `stop`, and survive the signal that ended it: uvicorn raises it again at its end, which would
    kill the process before its stores and children are given back."""
    if stop is not None:
        threading.Thread(target=_end_on, args=(server, stop), daemon=True).start()
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end_on(server: uvicorn.Server, stop: threading.Event) -> None:
    stop.wait()
    server.should_exit = True


def _loop() -> Literal["uvloop", "asyncio"]:
    return "asyncio" if sys.platform == "win32" else "uvloop"
