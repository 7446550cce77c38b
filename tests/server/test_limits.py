"""How much at once, and how slowly: what is over the limit is refused with what was found and what is allowed."""

import json
import os
import signal
import socket
import time
from typing import Any

import httpx
import pytest

from incumbent.errors import Crowded, RowError
from incumbent.server.limits import refuse_crowd, refuse_shape
from incumbent.server.patience import MOST_HEAD_BYTES, Patience
from incumbent.server.refusing import refusal

WAIT_S = 30.0
HEAD = b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\n"


def connect(url: str) -> socket.socket:
    host, port = url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=WAIT_S)


def rest(sent: socket.socket) -> bytes:
    """Everything that the server still says, until it ends the connection."""
    said = b""
    try:
        while part := sent.recv(65_536):
            said += part
    except ConnectionResetError:
        pass
    sent.close()
    return said


@pytest.fixture
def impatient(site: Any, run: Any) -> Any:
    """A server that lets a client go after a fraction of a second."""
    path = site.folder / "incumbent.toml"
    path.write_text(path.read_text() + "head_s = 0.2\nbody_s = 0.3\nkeep_alive_s = 30\n")
    return run(site.folder)


# --- how slowly


@pytest.mark.parametrize("sent", [b"", b"P", HEAD], ids=["nothing", "a letter", "half a head"])
def test_a_head_that_does_not_come_ends_the_connection(impatient: Any, sent: bytes) -> None:
    """Without a word: there is no request yet."""
    slow = connect(impatient.url)
    slow.sendall(sent)
    assert rest(slow) == b""


def test_a_body_that_does_not_come_is_a_408(impatient: Any, site: Any) -> None:
    """In the shape of every error; nothing is logged, and others are answered meanwhile."""
    slow = connect(impatient.url)
    slow.sendall(HEAD + b"Content-Length: 100\r\n\r\n{")
    assert impatient.http.post("/v1/predict", json={"rows": [{"features": {"hour": 5}}]}).status_code == 200
    head, _, body = rest(slow).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 408 Request Timeout\r\n") and b"connection: close" in head
    assert json.loads(body)["error"]["type"] == "TooSlow"
    assert site.facts.log.totals().predictions == 1


def test_a_second_head_is_watched_too(impatient: Any) -> None:
    """The connection was answered once; an idle one stays."""
    slow, idle = connect(impatient.url), connect(impatient.url)
    for each in (slow, idle):
        each.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert each.recv(65_536).startswith(b"HTTP/1.1 200")
    slow.sendall(b"GET /he")
    assert rest(slow) == b""
    idle.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    assert rest(idle).startswith(b"HTTP/1.1 200")


def test_a_head_without_an_end_is_a_431(server: Any) -> None:
    """It is refused long before it fills the memory."""
    endless = connect(server.url)
    endless.sendall(HEAD)
    try:
        for i in range(2 * MOST_HEAD_BYTES // 1000):
            endless.sendall(b"X-%d: %b\r\n" % (i, b"x" * 990))
    except (BrokenPipeError, ConnectionResetError):
        pass  # it said so already
    assert rest(endless)[:12] in (b"HTTP/1.1 431", b"")
    assert server.http.get("/healthz").status_code == 200


def test_many_requests_over_one_connection_are_no_long_head(server: Any) -> None:
    """Each head counts by itself, also where it comes in two parts."""
    kept = connect(server.url)
    for _ in range(3):
        kept.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n")
        for _ in range(40):
            kept.sendall(b"X-Some: " + b"x" * 990 + b"\r\n")
        kept.sendall(b"\r\n")
        assert kept.recv(65_536).startswith(b"HTTP/1.1 200")
    kept.close()


def test_a_server_that_ends_does_not_wait_for_a_slow_body(site: Any, spawn: Any) -> None:
    """It was not taken yet: 408, and the end is in order."""
    child = spawn(site.folder)
    slow = connect(child.url)
    slow.sendall(HEAD + b"Content-Length: 100\r\n\r\n{")
    assert httpx.get(f"{child.url}/healthz").status_code == 200
    started = time.monotonic()
    os.kill(child.process.pid, signal.SIGTERM)
    assert rest(slow).startswith(b"HTTP/1.1 408")
    assert child.end() == (0, "")
    assert time.monotonic() - started < WAIT_S / 2


class Cycle:
    def __init__(self, more_body: bool = True, response_complete: bool = False) -> None:
        self.more_body, self.response_complete, self.response_started = more_body, response_complete, True


class Connection:
    """As much of a connection of the HTTP server as is looked at."""

    def __init__(self, cycle: Cycle | None, idle: bool = False) -> None:
        self.cycle, self.timeout_keep_alive_task, self.transport = cycle, object() if idle else None, self
        self.closed = False

    def close(self) -> None:
        self.closed = True


def test_only_who_is_sending_is_watched() -> None:
    """Neither what is being answered nor what is idle; a new request starts anew."""
    sending, answered, idle, busy = (
        Connection(Cycle()), Connection(Cycle(more_body=False)), Connection(Cycle(response_complete=True), idle=True),
        Connection(Cycle()),
    )  # fmt: skip
    patience = Patience(10, 30)
    for now in range(0, 30, 5):
        busy.cycle = Cycle()
        assert patience.look([sending, answered, idle, busy], now) == 0
    busy.cycle = Cycle()
    assert patience.look([sending, answered, idle, busy], 30) == 1
    assert [each.closed for each in (sending, answered, idle, busy)] == [True, False, False, False]


# --- how much


def test_a_crowd_is_refused() -> None:
    """503: the client may come again a little later. A request that finds nobody waiting is always taken."""
    refuse_crowd(waiting=90, rows=10, most=100)
    refuse_crowd(waiting=0, rows=1000, most=100)
    with pytest.raises(Crowded, match=r"found 90 rows that wait .* and 11 more, expected at most 100") as crowded:
        refuse_crowd(waiting=90, rows=11, most=100)
    status, body = refusal(crowded.value)
    assert (status, json.loads(body)["error"]["type"]) == (503, "Crowded")


def test_a_row_may_not_be_wider_or_longer_than_allowed() -> None:
    """The error names row and column; a row whose JSON is short is not looked through."""
    refuse_shape(3, {"a": "x" * 10, "b": 5}, 1000, 2, 10)
    with pytest.raises(RowError, match=r"row 3: found 3, expected at most 2 features \(serve\.max_columns\)"):
        refuse_shape(3, {"a": 1, "b": 2, "c": 3}, 20, 2, 10)
    with pytest.raises(RowError, match=r"row 3, column 'b': found 11, expected at most 10 characters"):
        refuse_shape(3, {"a": "x", "b": "x" * 11}, 1000, 2, 10)
    refuse_shape(3, {"b": "x" * 11}, 10, 2, 10)


def test_a_large_body_is_no_long_head(server: Any) -> None:
    """Whether it is refused at once or not; the connection is kept, and the next request is answered."""
    kept = connect(server.url)
    much = 3 * MOST_HEAD_BYTES
    for body in (b'"' + b"x" * much + b'"', b'{"rows": [{"features": {}}]}' + b" " * much):
        for path in (b"/v1/predict", b"/v1/predict?plain"):
            head = HEAD.replace(b"/v1/predict", path) + b"Content-Length: %d\r\n\r\n" % len(body)
            kept.sendall(head + body)
            said = kept.recv(65_536)
            assert said.startswith((b"HTTP/1.1 200", b"HTTP/1.1 422")) and said.count(b"HTTP/1.1") == 1, said
    kept.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert kept.recv(65_536).startswith(b"HTTP/1.1 200")
    kept.close()


def test_what_is_no_http_is_a_400_in_the_same_shape(server: Any, site: Any) -> None:
    """And a request that came whole before it is answered first, because it is logged."""
    garbage = connect(server.url)
    garbage.sendall(b"nonsense\r\n\r\n")
    head, _, body = rest(garbage).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400") and json.loads(body)["error"]["type"] == "Malformed"
    row = b'{"rows": [{"features": {"hour": 5}}]}'
    followed = connect(server.url)
    followed.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(row) + row + b"nonsense\r\n\r\n")
    said = rest(followed)
    assert said.startswith(b"HTTP/1.1 200") and said.count(b"HTTP/1.1") == 1
    assert b"connection: close" in said
    assert site.facts.log.totals().predictions == 1
