"""An application that takes whole prediction requests is guarded, counted and traced as any other."""

import asyncio
from typing import Any

import pytest

from incumbent.loop import tokens
from incumbent.loop.meter import Meter
from incumbent.records import DAY
from incumbent.server import tracing
from incumbent.server.access import Access
from incumbent.server.edge import Edge
from incumbent.server.numbers import Numbers


class Quick:
    """Answers at once, or when it is told to."""

    most_bytes = 10

    def __init__(self) -> None:
        self.taken: list[tuple[bytes, Any]] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError("whole requests come another way")

    def take(self, scope: Any, body: bytes, answer: Any) -> None:
        self.seen = tracing.current.get()
        self.taken.append((body, answer))

    def too_large(self, scope: Any, answer: Any) -> None:
        answer(413, b"{}", [(b"connection", b"close")])


class Slow:
    """Knows ASGI alone."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError("it is not asked here")


def asked(**headers: bytes) -> dict[str, Any]:
    named = [(name.replace("_", "-").encode(), value) for name, value in headers.items()]
    return {"type": "http", "method": "POST", "path": "/v1/predict", "headers": named}


@pytest.fixture
def quick() -> Quick:
    return Quick()


@pytest.fixture
def edge(quick: Quick, site: Any) -> Edge:
    return Edge(quick, Access(), site.facts.ledger, Numbers(Meter()))


def test_a_whole_request_passes_with_its_id_and_is_counted_when_answered(edge: Edge, quick: Quick) -> None:
    """The answer carries the id; nothing is counted before it leaves, and no id is left behind."""
    answers: list[Any] = []
    edge.take(asked(x_request_id=b"seven"), b"{}", lambda *answer: answers.append(answer))
    assert quick.seen == b"seven" and tracing.current.get() is None
    assert edge.numbers.meter.snapshot().counts == {}
    body, reply = quick.taken[0]
    reply(200, b"[]", ())
    assert (body, answers) == (b"{}", [(200, b"[]", [(b"x-request-id", b"seven")])])
    found = edge.numbers.meter.snapshot()
    assert found.counts == {("requests", "/v1/predict", "200"): 1}
    assert sum(found.times[("answer",)][:-1]) == 1


def test_a_whole_request_needs_a_token_too(edge: Edge, quick: Quick, site: Any) -> None:
    """And a Host of this machine before there is one: what is refused is never taken."""
    answers: list[int] = []

    def note(status: int, body: bytes, headers: Any) -> None:
        answers.append(status)

    edge.take(asked(host=b"evil.example"), b"{}", note)
    edge.take(asked(host=b"localhost", origin=b"https://evil.example"), b"{}", note)
    made = [tokens.add(site.facts.ledger, s, [s], at=DAY, actor="test")[0] for s in ("predict", "read")]
    edge.access.follow(site.facts.ledger)
    edge.take(asked(), b"{}", note)
    edge.take(asked(authorization=b"Bearer " + made[1].encode()), b"{}", note)
    assert (answers, quick.taken) == ([403, 403, 401, 403], [])
    edge.take(asked(authorization=b"Bearer " + made[0].encode()), b"{}", note)
    assert len(quick.taken) == 1
    counts = edge.numbers.meter.snapshot().counts
    assert counts[("refusals", "403", "Forbidden")] == 3 and counts[("requests", "/v1/predict", "401")] == 1


def test_a_body_that_is_too_large_keeps_its_headers(edge: Edge) -> None:
    """What the application says is passed on."""
    answers: list[Any] = []
    edge.too_large(asked(x_request_id=b"a"), lambda *answer: answers.append(answer))
    assert answers == [(413, b"{}", [(b"connection", b"close"), (b"x-request-id", b"a")])]


async def _closes(edge: Edge) -> list[Any]:
    said: list[Any] = []

    async def send(message: Any) -> None:
        said.append(message)

    async def receive() -> Any:
        raise AssertionError("nothing is read")

    await edge({"type": "websocket", "path": "/"}, receive, send)
    return said


def test_there_is_no_door_but_http(edge: Edge) -> None:
    """A web socket is closed, unread."""
    assert asyncio.run(_closes(edge)) == [{"type": "websocket.close"}]


def test_only_an_application_that_takes_whole_requests_is_offered_them(edge: Edge, site: Any) -> None:
    """Its bound for a body is the edge's; any other application has none."""
    assert edge.most_bytes == Quick.most_bytes
    assert not hasattr(Edge(Slow(), Access(), site.facts.ledger, Numbers(Meter())), "most_bytes")
