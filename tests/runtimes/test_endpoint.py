"""An existing system behind an address: asked in batches, again where a fault may pass, and never for ever."""

import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import numpy as np
import pytest

from incumbent.config import Baseline
from incumbent.errors import ConfigError, DataError
from incumbent.records import Column, Signature
from incumbent.runtimes import endpoint
from incumbent.runtimes.base import Remote

ROWS = [{"x": float(i), "shop": None} for i in range(5)]
Reply = Callable[[Any], tuple[int, bytes]]


class System:
    """A server on this machine that answers as `reply` says, and remembers what it was asked."""

    def __init__(self) -> None:
        self.reply: Reply = lambda asked: (200, json.dumps({"predictions": [0.5] * len(asked["rows"])}).encode())
        self.asked: list[Any] = []
        self.tokens: list[str | None] = []
        self.drip_s = 0.0
        self.promised: int | None = None
        self.after: Callable[[BaseHTTPRequestHandler], object] = lambda handler: None
        system = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                system.asked.append(asked)
                system.tokens.append(self.headers["Authorization"])
                status, content = system.reply(asked)
                self.send_response(status)
                if status == 307:
                    self.send_header("Location", "/elsewhere")
                self.send_header("Content-Length", str(len(content) if system.promised is None else system.promised))
                self.end_headers()
                for part in [content[i : i + 1] for i in range(len(content))] if system.drip_s else [content]:
                    with suppress(OSError):  # who asked has gone
                        self.wfile.write(part)
                    time.sleep(system.drip_s)
                system.after(self)

            def log_message(self, *args: Any) -> None:
                """Nothing is written to standard error."""

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/predict"


@pytest.fixture
def system() -> Iterator[System]:
    found = System()
    thread = threading.Thread(target=found.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield found
    found.server.shutdown()
    found.server.server_close()
    thread.join()


def ask(system: System, pauses: list[float] | None = None, **settings: Any) -> list[Any]:
    waited = [] if pauses is None else pauses
    return endpoint.ask(Baseline(url=system.url, **settings), ROWS, pause=waited.append)


def test_rows_are_asked_in_batches(system: System) -> None:
    """Five rows, two a question, in our own shape; one answer a row, in their order."""
    system.reply = lambda asked: (200, json.dumps([row["features"]["x"] for row in asked["rows"]]).encode())
    assert ask(system, url_batch=2) == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert [len(asked["rows"]) for asked in system.asked] == [2, 2, 1]
    assert system.asked[0]["rows"][0] == {"features": {"x": 0.0, "shop": None}}


@pytest.mark.parametrize("shape", ["instances", "dataframe_records"])
def test_other_systems_are_asked_in_their_own_shape(system: System, shape: str) -> None:
    """KServe's and MLflow's: rows as plain objects under another word."""
    system.reply = lambda asked: (200, json.dumps({"predictions": [[0.1, 0.9]] * len(asked[shape])}).encode())
    assert ask(system, url_format=shape) == [[0.1, 0.9]] * 5
    assert system.asked[0][shape] == ROWS


@pytest.mark.parametrize(
    ("one", "value"),
    [({"prediction": 1, "probabilities": {"0": 0.2, "1": 0.8}}, {"0": 0.2, "1": 0.8}),
     ({"prediction": 3.5, "probabilities": None}, 3.5), ("late", "late"), ({"score": 0.0}, 0.0)],
)  # fmt: skip
def test_an_answer_is_found_where_systems_put_it(system: System, one: Any, value: Any) -> None:
    """Probabilities before the label; a number by itself; a label."""
    system.reply = lambda asked: (200, json.dumps({"predictions": [one] * 5}).encode())
    assert ask(system) == [value] * 5


def test_a_fault_that_may_pass_is_asked_again_after_pauses_that_double(system: System) -> None:
    """Two times 503, then the answer."""
    replies = iter([(503, b"busy"), (503, b"busy")])
    fine = system.reply
    system.reply = lambda asked: next(replies, None) or fine(asked)
    pauses: list[float] = []
    assert ask(system, pauses) == [0.5] * 5
    assert pauses == [0.2, 0.4]


def test_it_gives_up_and_says_what_was_answered(system: System) -> None:
    """After the retries: the address, the status and its first words, and how often."""
    system.reply = lambda asked: (503, b"the model is gone")
    with pytest.raises(DataError, match=r"answered 503 .*the model is gone, asked 2 times"):
        ask(system, url_retries=1)
    assert len(system.asked) == 2


def test_an_error_whose_body_never_comes_is_still_that_error(system: System) -> None:
    """503 with 100 bytes promised and none sent: nobody waits longer than for an answer, and the status is said."""
    done = threading.Event()
    system.reply, system.promised, system.after = lambda asked: (503, b""), 100, lambda handler: done.wait(30)
    try:
        with pytest.raises(DataError, match=r"answered 503 Service Unavailable, asked 1 times"):
            ask(system, url_timeout_s=0.2, url_retries=0)
    finally:
        done.set()


def test_an_error_whose_connection_breaks_is_asked_again(system: System) -> None:
    """Reset before the body: 503 twice, then the answer."""
    fine, replies = system.reply, iter([(503, b""), (503, b"")])

    def reset(handler: BaseHTTPRequestHandler) -> None:
        if system.promised is not None:
            handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            handler.connection.close()

    def reply(asked: Any) -> tuple[int, bytes]:
        status, content = next(replies, None) or fine(asked)
        system.promised = 100 if status == 503 else None
        return status, content

    system.reply, system.after = reply, reset
    pauses: list[float] = []
    assert ask(system, pauses) == [0.5] * 5
    assert pauses == [0.2, 0.4]


def test_answers_of_more_than_one_shape_are_an_error_that_says_so(system: System) -> None:
    """200 with probabilities for one row and half of them for the other: the address, and what was found."""
    system.reply = lambda asked: (200, json.dumps({"predictions": [[0.1, 0.9], [0.2]]}).encode())
    signature = Signature((Column("x", "number"),), "binary", (0, 1))
    address = endpoint.Address(system.url, "rows")
    predictor = endpoint.Endpoint(address, signature, Remote(Baseline(url=system.url)))
    with pytest.raises(DataError, match=r"/predict: found answers of more than one shape, .*\[0\.2\] among them"):
        predictor.predict({"x": np.array([1.0, 2.0])})


@pytest.mark.parametrize("status", [400, 404, 422, 307])
def test_a_refusal_is_not_asked_again(system: System, status: int) -> None:
    """It will not pass: one question, and a guess at the shape. A redirect is not followed."""
    system.reply = lambda asked: (status, b"no")
    with pytest.raises(DataError, match=rf"answered {status}.*baseline.url_format"):
        ask(system)
    assert len(system.asked) == 1


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"<html>", "no JSON"), (b"[1, 2]", "found 2 answers for 5 rows"), (b'{"model": "x"}', "expected a list"),
     (b'[{"name": 1}, 1, 1, 1, 1]', "found an answer with name"), (b"[NaN, 1, 1, 1, 1]", "found the answer nan")],
)  # fmt: skip
def test_an_answer_that_is_none_is_an_error(system: System, content: bytes, words: str) -> None:
    """No JSON, too few, no list, an unknown field, not finite."""
    system.reply = lambda asked: (200, content)
    with pytest.raises(DataError, match=words):
        ask(system)


def test_a_system_that_hangs_is_given_up(system: System) -> None:
    """Its answer waits until the question's time is over; nothing here waits longer."""
    done = threading.Event()

    def hang(asked: Any) -> tuple[int, bytes]:
        done.wait(30)
        return 200, b"[]"

    system.reply = hang
    try:
        with pytest.raises(DataError, match=r"no answer within 0.05 s, asked 1 times"):
            ask(system, url_timeout_s=0.05, url_retries=0)
    finally:
        done.set()


def test_all_questions_together_have_their_time(system: System) -> None:
    """A clock that runs 10 s a question: the answer to the third comes after the 25 s."""
    with pytest.raises(DataError, match=r"baseline\.url_total_s = 25 s"):
        endpoint.ask(
            Baseline(url=system.url, url_batch=1, url_total_s=25.0), ROWS, clock=lambda: 10.0 * len(system.asked),
            pause=lambda seconds: None,
        )  # fmt: skip
    assert len(system.asked) == 3


def test_a_body_that_comes_byte_by_byte_is_given_up(system: System) -> None:
    """The time is that of the whole answer: a byte now and then does not begin it anew."""
    system.drip_s = 0.02
    with pytest.raises(DataError, match=r"not done after baseline\.url_total_s|no answer within"):
        ask(system, url_total_s=0.1, url_retries=0)


def test_nobody_there_is_said() -> None:
    """A port that nothing listens on."""
    free = HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    url = f"http://127.0.0.1:{free.server_port}/predict"
    free.server_close()
    with pytest.raises(DataError, match=r"cannot be reached .*Is it up"):
        endpoint.ask(Baseline(url=url, url_retries=1), ROWS, pause=lambda seconds: None)


def test_the_token_comes_from_the_environment(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is sent as a bearer token; a variable that is not set is an error."""
    monkeypatch.setenv("OLD_SYSTEM_TOKEN", "secret")
    ask(system, url_token_env="OLD_SYSTEM_TOKEN")
    assert system.tokens == ["Bearer secret"]
    with pytest.raises(ConfigError, match="NOT_SET"):
        ask(system, url_token_env="NOT_SET")
