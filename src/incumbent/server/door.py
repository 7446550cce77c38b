"""The ASGI application: paths, limits, and the work that goes on beside the answers.

In: HTTP. Out: JSON. Raw ASGI, because a framework's request costs as much as an answer. Answers are made on the event
loop itself (see `loop.answer`); threads work beside it for what takes its time: outcomes and reading, new routes,
shadows.
"""

import asyncio
import gc
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import parse_qs

from incumbent.errors import DataError, IncumbentError, StorageError
from incumbent.loop.answer import Answerer
from incumbent.loop.asked import Asked
from incumbent.server import openapi, reading, wire
from incumbent.server.limits import refuse_crowd
from incumbent.server.refusing import refusal, simple

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Reply = tuple[int, bytes]
Headers = Sequence[tuple[bytes, bytes]]
Handler = Callable[[bytes, Scope], Awaitable[Reply]]

DRAIN_S = 20.0
TIDY_S = 2.0
_JSON = (b"content-type", b"application/json")


class Door:
    """HTTP for programs. `closes` is called once, after everything that was taken is finished."""

    def __init__(self, answerer: Answerer, closes: Callable[[], None] = lambda: None) -> None:
        self.answerer = answerer
        self.tidies = True
        """Does this process move rows from the journal by itself? Not where a keeper does."""
        self._closes = closes
        self._started = time.monotonic()
        self._reads, self._beside, self._shadows = (
            ThreadPoolExecutor(1, thread_name_prefix=f"incumbent-{name}") for name in ("read", "beside", "shadow")
        )
        self.most_bytes = int(answerer.config.serve.max_body_mb * 1e6)
        self._tasks: list[asyncio.Task[None]] = []
        self._wake = asyncio.Event()
        answerer.shadows_wait = self._wake.set
        self._paths: dict[str, dict[str, Handler]] = {
            "/v1/predict": {"POST": self._predict},
            "/v1/outcomes": {"POST": self._outcomes},
            "/v1/follow": {"POST": self._follow},
            "/v1/status": {"GET": self._status},
            "/v1/versions": {"GET": self._versions},
            "/v1/ledger": {"GET": self._ledger},
            "/v1/trials": {"GET": self._trials},
            "/healthz": {"GET": self._healthz},
            "/readyz": {"GET": self._readyz},
            "/openapi.json": {"GET": self._openapi},
        }

    def owns(self, path: str) -> bool:
        """Does this path belong to programs? Every other one belongs to people."""
        return path in self._paths or path == "/v1" or path.startswith("/v1/")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            status, body, headers = await self._answer(scope, receive)
            length = (b"content-length", b"%d" % len(body))
            await send({"type": "http.response.start", "status": status, "headers": [_JSON, length, *headers]})
            await send({"type": "http.response.body", "body": body})

    # --- one request

    async def _answer(self, scope: Scope, receive: Receive) -> tuple[int, bytes, list[tuple[bytes, bytes]]]:
        methods = self._paths.get(scope["path"])
        if methods is None:
            return 404, simple("UnknownPath", f"no such path: {scope['path']}; see /openapi.json"), []
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        if method not in methods:
            allowed = ", ".join(methods)
            return (
                405,
                simple("WrongMethod", f"found {scope['method']}, expected {allowed}"),
                [(b"allow", allowed.encode())],
            )
        try:
            body = await _body(scope, receive, self.most_bytes)
            status, content = await methods[method](body, scope)
        except Exception as error:  # the edge: whatever happens becomes one JSON shape, and is counted
            return self._refused(error)
        return status, content, []

    def _refused(self, error: Exception) -> tuple[int, bytes, list[tuple[bytes, bytes]]]:
        status, content = refusal(error)
        self.answerer.meter.refused(status, type(error).__name__)
        self._count(error, status)
        headers = [(b"connection", b"close")] if isinstance(error, wire.TooLarge) else []
        return status, content, headers + ([(b"retry-after", b"1")] if status == 503 else [])

    def _count(self, error: Exception, status: int) -> None:
        column = getattr(error, "column", None)
        self.answerer.counts[f"refused:{status}:{type(error).__name__}" + (f":{column}" if column else "")[:80]] += 1

    def _limits(self) -> wire.Limits:
        answerer = self.answerer
        serve = answerer.config.serve
        now = None if answerer.clock == "replay" else answerer.now()
        return wire.Limits(serve.max_rows, now, serve.max_columns, serve.max_string)

    def take(self, scope: Scope, body: bytes, reply: Callable[[int, bytes, Headers], None]) -> None:
        """Answer `POST /v1/predict` (see `server.quick`)."""
        answerer = self.answerer

        def done(asked: Asked) -> None:
            if asked.error is not None:
                reply(*self._refused(asked.error))
                asked.error.__traceback__ = None  # it leads back to these rows, which would wait for the collector
                return
            try:
                content = wire.predictions(asked)
                answerer.counts["requests"] += 1
            except Exception as error:
                reply(*self._refused(error))
                return
            reply(200, content, ())

        try:
            answerer.take(self._asked(scope, body), done)
        except Exception as error:
            reply(*self._refused(error))

    def too_large(self, scope: Scope, reply: Callable[[int, bytes, Headers], None]) -> None:
        """Refuse a body that is larger than `most_bytes`."""
        reply(*self._refused(_too_large(self.most_bytes)))

    def _asked(self, scope: Scope, body: bytes) -> Asked:
        answerer = self.answerer
        asked = wire.asked(body, self._limits(), answerer.state, answerer.new_id)
        scope["incumbent.rows"] = len(asked.ids)  # for the access log
        refuse_crowd(answerer.waiting, len(asked.ids), answerer.config.serve.max_waiting_rows)
        return asked

    async def _predict(self, body: bytes, scope: Scope) -> Reply:
        answerer = self.answerer
        asked = await answerer.ask(self._asked(scope, body))
        answerer.counts["requests"] += 1
        return 200, wire.predictions(asked)

    async def _outcomes(self, body: bytes, scope: Scope) -> Reply:
        outcomes = wire.outcomes(body, self._limits())
        return 200, wire.document(await self._in(self._reads, self.answerer.receive, outcomes))

    async def _follow(self, body: bytes, scope: Scope) -> Reply:
        await self._in(self._beside, self.answerer.follow)
        return 200, wire.document(reading.followed(self.answerer))

    async def _status(self, body: bytes, scope: Scope) -> Reply:
        return 200, wire.document(reading.status(self.answerer, time.monotonic() - self._started))

    async def _versions(self, body: bytes, scope: Scope) -> Reply:
        return 200, wire.document(reading.versions(self.answerer))

    async def _ledger(self, body: bytes, scope: Scope) -> Reply:
        query = _query(scope)
        after, limit = _number(query, "after", 0), min(_number(query, "limit", 1000), reading.MOST_EVENTS)
        return 200, wire.document(await self._in(self._reads, reading.ledger, self.answerer, after, limit))

    async def _trials(self, body: bytes, scope: Scope) -> Reply:
        return 200, wire.document(await self._in(self._reads, reading.trials, self.answerer))

    async def _healthz(self, body: bytes, scope: Scope) -> Reply:
        return 200, wire.document(reading.health())

    async def _readyz(self, body: bytes, scope: Scope) -> Reply:
        status, said = await self._in(self._reads, reading.readiness, self.answerer)  # `_beside` may open a version
        return status, wire.document(said)

    async def _openapi(self, body: bytes, scope: Scope) -> Reply:
        return 200, wire.document(openapi.document())

    async def _in(self, executor: ThreadPoolExecutor, work: Callable[..., Any], *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(executor, work, *arguments)

    # --- beside the answers

    async def _keep_tidy(self) -> None:
        while True:
            await asyncio.sleep(TIDY_S)
            if self.tidies:
                await self._quietly(self._reads, self.answerer.facts.log.tidy)

    async def _keep_following(self) -> None:
        while True:
            await asyncio.sleep(self.answerer.config.serve.poll_s)
            if await self._quietly(self._beside, self.answerer.follow):
                _freeze()

    async def _keep_shadowing(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while await self._quietly(self._shadows, self.answerer.shadow):
                pass

    async def _quietly(self, executor: ThreadPoolExecutor, work: Callable[[], Any]) -> Any:
        """Work that nobody waits for does not end at an error: it is logged, and tried again later."""
        try:
            return await self._in(executor, work)
        except Exception as error:
            refusal(
                error
                if isinstance(error, StorageError) or not isinstance(error, IncumbentError)
                else StorageError(str(error))
            )
            return None

    async def _live(self, receive: Receive, send: Send) -> None:
        """The ASGI lifespan: start what goes on beside the answers; at the end finish what was taken."""
        await receive()
        _freeze()
        self._tasks = [
            asyncio.create_task(self._keep_following()),
            asyncio.create_task(self._keep_shadowing()),
            asyncio.create_task(self._keep_tidy()),
        ]
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._finish()
        await send({"type": "lifespan.shutdown.complete"})

    async def _finish(self) -> None:
        self.answerer.leave()
        await self.answerer.drained()
        self._wake.set()
        until = time.monotonic() + DRAIN_S
        while self.answerer.queue.backlog and time.monotonic() < until:
            if await self._quietly(self._shadows, self.answerer.shadow) is None:
                break  # it cannot be kept now: shadows are not worth waiting for
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for executor in (self._reads, self._beside, self._shadows):
            executor.shutdown(wait=True)
        self.answerer.close()
        self._closes()


def _freeze() -> None:
    """What was loaded lives for ever: the collector need not look at it again. A full collection took 15 ms, many
    times a minute, and was nearly all of the 99th percentile. Nothing on the path of an answer is a cycle, so it is
    also asked less often: that is 8 % of a request of 1,000 rows."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(3000, 20, 100)


async def _body(scope: Scope, receive: Receive, most: int) -> bytes:
    """The whole body; TooLarge as soon as it is known to be too large, without reading the rest."""
    size = 0
    for name, value in scope["headers"]:
        if name == b"content-length":
            size = int(value) if value.isdigit() else 0
            break
    parts: list[bytes] = []
    while size <= most:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise wire.Malformed("the connection ended before the body did")
        parts.append(message.get("body", b""))
        size = max(size, sum(map(len, parts)))
        if size <= most and not message.get("more_body", False):
            return parts[0] if len(parts) == 1 else b"".join(parts)
    raise _too_large(most)


def _too_large(most: int) -> wire.TooLarge:
    return wire.TooLarge(f"found a body of more than {most / 1e6:g} MB (serve.max_body_mb): send several requests")


def _query(scope: Scope) -> dict[str, str]:
    raw = scope.get("query_string", b"")
    return {name: values[-1] for name, values in parse_qs(raw.decode("latin-1")).items()} if raw else {}


def _number(query: Mapping[str, str], name: str, default: int) -> int:
    text = query.get(name, str(default))
    if not text.isdecimal():
        raise DataError(f"query parameter {name!r}: found {text[:80]!r}, expected a whole number, 0 or more")
    return int(text)
