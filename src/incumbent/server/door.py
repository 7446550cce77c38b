"""The ASGI application: paths, limits, and the work that goes on beside the answers.

In: HTTP. Out: JSON. Raw ASGI, because a framework's request costs as much as an answer. Three threads work
for it, so that none waits for another: answers, outcomes (and reading), and what nobody waits for (shadows,
new routes).
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import parse_qs

from incumbent.errors import DataError, IncumbentError, StorageError
from incumbent.loop.answer import Answerer
from incumbent.records import Answer, Request
from incumbent.server import openapi, reading, wire
from incumbent.server.batch import Batches
from incumbent.server.refusing import refusal, simple

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Reply = tuple[int, bytes]
Handler = Callable[[bytes, Mapping[str, str]], Awaitable[Reply]]

DRAIN_S = 20.0
_LOOPBACK = ("127.", "::1", "localhost")


class Door:
    """HTTP for programs. `closes` is called once, after everything that was taken is finished."""

    def __init__(self, answerer: Answerer, closes: Callable[[], None] = lambda: None) -> None:
        self.answerer = answerer
        self._closes = closes
        self._started = time.monotonic()
        self._answers, self._reads, self._beside = (
            ThreadPoolExecutor(1, thread_name_prefix=f"incumbent-{name}") for name in ("answer", "read", "beside")
        )
        self._shadows = ThreadPoolExecutor(1, thread_name_prefix="incumbent-shadow")
        self._batches: Batches[Sequence[Request], list[Answer]] = Batches(
            answerer.answer_each, self._answers, len, self._after_batch
        )
        self._tasks: list[asyncio.Task[None]] = []
        self._wake = asyncio.Event()
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
            await _send(send, status, body, headers)

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
            body = await _body(scope, receive, int(self.answerer.config.serve.max_body_mb * 1e6))
            status, content = await methods[method](body, _query(scope))
        except Exception as error:  # the edge: whatever happens becomes one JSON shape, and is counted
            status, content = refusal(error)
            self._count(error, status)
            headers = [(b"connection", b"close")] if isinstance(error, wire.TooLarge) else []
            return status, content, headers + ([(b"retry-after", b"1")] if status == 503 else [])
        return status, content, []

    def _count(self, error: Exception, status: int) -> None:
        column = getattr(error, "column", None)
        self.answerer.counts[f"refused:{status}:{type(error).__name__}" + (f":{column}" if column else "")[:80]] += 1

    def _limits(self) -> wire.Limits:
        answerer = self.answerer
        return wire.Limits(answerer.config.serve.max_rows, None if answerer.clock == "replay" else answerer.now())

    async def _predict(self, body: bytes, query: Mapping[str, str]) -> Reply:
        answers = await self._batches.ask(wire.requests(body, self._limits()))
        self.answerer.counts["requests"] += 1
        return 200, wire.predictions(answers)

    async def _outcomes(self, body: bytes, query: Mapping[str, str]) -> Reply:
        outcomes = wire.outcomes(body, self._limits())
        return 200, wire.document(await self._in(self._reads, self.answerer.receive, outcomes))

    async def _follow(self, body: bytes, query: Mapping[str, str]) -> Reply:
        await self._in(self._beside, self.answerer.follow)
        return 200, wire.document(reading.followed(self.answerer))

    async def _status(self, body: bytes, query: Mapping[str, str]) -> Reply:
        return 200, wire.document(reading.status(self.answerer, time.monotonic() - self._started))

    async def _versions(self, body: bytes, query: Mapping[str, str]) -> Reply:
        return 200, wire.document(reading.versions(self.answerer))

    async def _ledger(self, body: bytes, query: Mapping[str, str]) -> Reply:
        after, limit = _number(query, "after", 0), min(_number(query, "limit", 1000), reading.MOST_EVENTS)
        return 200, wire.document(await self._in(self._reads, reading.ledger, self.answerer, after, limit))

    async def _trials(self, body: bytes, query: Mapping[str, str]) -> Reply:
        return 200, wire.document(await self._in(self._reads, reading.trials, self.answerer))

    async def _healthz(self, body: bytes, query: Mapping[str, str]) -> Reply:
        return 200, wire.document(reading.health())

    async def _readyz(self, body: bytes, query: Mapping[str, str]) -> Reply:
        status, said = await self._in(self._beside, reading.readiness, self.answerer)
        return status, wire.document(said)

    async def _openapi(self, body: bytes, query: Mapping[str, str]) -> Reply:
        return 200, wire.document(openapi.document())

    async def _in(self, executor: ThreadPoolExecutor, work: Callable[..., Any], *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(executor, work, *arguments)

    # --- beside the answers

    def _after_batch(self) -> None:
        if self.answerer.queue.backlog:
            self._wake.set()

    async def _keep_following(self) -> None:
        while True:
            await asyncio.sleep(self.answerer.config.serve.poll_s)
            await self._quietly(self._beside, self.answerer.follow)

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
        self._tasks = [
            asyncio.create_task(self._keep_following()),
            asyncio.create_task(self._keep_shadowing()),
        ]
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._finish()
        await send({"type": "lifespan.shutdown.complete"})

    async def _finish(self) -> None:
        await self._batches.drained()
        self._wake.set()
        until = time.monotonic() + DRAIN_S
        while self.answerer.queue.backlog and time.monotonic() < until:
            if await self._quietly(self._shadows, self.answerer.shadow) is None:
                break  # it cannot be kept now: shadows are not worth waiting for
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for executor in (self._answers, self._reads, self._beside, self._shadows):
            executor.shutdown(wait=True)
        self.answerer.close()
        self._closes()


async def _body(scope: Scope, receive: Receive, most: int) -> bytes:
    """The whole body; TooLarge as soon as it is known to be too large, without reading the rest."""
    declared = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
    parts: list[bytes] = []
    size = int(declared) if declared.isdigit() else 0
    while size <= most:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise wire.Malformed("the connection ended before the body did")
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return parts[0] if len(parts) == 1 else b"".join(parts)
        size = max(size, sum(map(len, parts)))
    raise wire.TooLarge(f"found a body of more than {most / 1e6:g} MB (serve.max_body_mb): send several requests")


async def _send(send: Send, status: int, body: bytes, headers: list[tuple[bytes, bytes]]) -> None:
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [
                (b"content-type", b"application/json"),
                (b"content-length", str(len(body)).encode()),
                *headers,
            ],
        }
    )
    await send({"type": "http.response.body", "body": body})


def _query(scope: Scope) -> dict[str, str]:
    raw = scope.get("query_string", b"")
    return {name: values[-1] for name, values in parse_qs(raw.decode("latin-1")).items()} if raw else {}


def _number(query: Mapping[str, str], name: str, default: int) -> int:
    text = query.get(name, str(default))
    if not text.isdecimal():
        raise DataError(f"query parameter {name!r}: found {text[:80]!r}, expected a whole number, 0 or more")
    return int(text)
