"""Messages that leave at once or not at all, and arrive whole."""

import os
import pickle
import struct
import sys
from collections.abc import Iterator
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from select import select
from typing import Any

import numpy as np
import pytest

from incumbent.engines.exchange import AT_ONCE, Exchange

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="pipes are no sockets there")
Ends = tuple[Exchange, "Connection[Any, Any]"]


@pytest.fixture
def ends() -> Iterator[Ends]:
    ours, theirs = Pipe()
    exchange = Exchange(ours)
    yield exchange, theirs
    for end in (exchange, ours, theirs):
        end.close()


def test_both_ends_understand_each_other(ends: Ends) -> None:
    """The other end is a pipe as ever."""
    exchange, theirs = ends
    assert exchange.receive() is None
    assert exchange.send({"x": np.arange(3.0)})
    assert theirs.recv()["x"].tolist() == [0, 1, 2]
    theirs.send(("output", np.arange(2.0)))
    assert select([exchange.fileno()], [], [], 10)[0]
    said = exchange.receive()
    assert said is not None and said[0] == "output" and said[1].tolist() == [0, 1]
    assert exchange.receive() is None


def test_a_message_that_comes_in_pieces_is_waited_for(ends: Ends) -> None:
    """Byte by byte, with nothing between: None until it is whole."""
    exchange, theirs = ends
    content = pickle.dumps(("output", [1, 2]))
    framed = struct.pack("!i", len(content)) + content
    for i, byte in enumerate(framed):
        assert exchange.receive() is None
        _write(theirs, bytes([byte]))
        if i < len(framed) - 1:
            assert exchange.receive() is None
    assert exchange.receive() == ("output", [1, 2])


def test_what_is_too_large_is_left_to_who_may_wait(ends: Ends) -> None:
    """Nothing of it is sent."""
    exchange, theirs = ends
    assert not exchange.send(bytes(AT_ONCE + 1))
    assert not theirs.poll()
    assert exchange.send(bytes(AT_ONCE - 100)) and len(theirs.recv()) == AT_ONCE - 100


@pytest.mark.parametrize("nonsense", [struct.pack("!i", 4) + b"\xff\xff\xff\xff", struct.pack("!iQ", -1, 2**40)])
def test_nonsense_is_the_end(ends: Ends, nonsense: bytes) -> None:
    """Bytes that are no message, or that promise a terabyte."""
    exchange, theirs = ends
    _write(theirs, nonsense)
    with pytest.raises(EOFError):
        exchange.receive()


def test_the_end_of_the_other_is_heard(ends: Ends) -> None:
    """Whether it says something or is asked something."""
    exchange, theirs = ends
    theirs.close()
    with pytest.raises(EOFError):
        exchange.receive()
    with pytest.raises(BrokenPipeError):
        exchange.send("are you there?")


def _write(end: "Connection[Any, Any]", content: bytes) -> None:
    os.write(end.fileno(), content)
