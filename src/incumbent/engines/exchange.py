"""Messages of a pipe without waiting for them, for who has an event loop to look after.

In: our end of a multiprocessing pipe (a socket on Unix), whose other end is read and written as usual. Out: messages
sent at once or not at all, and messages received once they are whole.
"""

import os
import pickle
import socket
import struct
import sys
from multiprocessing.connection import Connection
from typing import Any

AT_ONCE = 65_536 if sys.platform == "linux" else 4_096
"""Bytes that an idle pipe of Linux takes for certain: its buffer holds 212,992. macOS has 8,192."""
_LENGTH = struct.Struct("!i")
"""How multiprocessing frames a message of less than 2 GB."""


class Exchange:
    """One message out, one message in. Raises EOFError or OSError when the other end is gone or talks nonsense."""

    def __init__(self, pipe: "Connection[Any, Any]") -> None:
        self._socket = socket.socket(fileno=os.dup(pipe.fileno()))
        self._received = bytearray()

    def fileno(self) -> int:
        return self._socket.fileno()

    def send(self, thing: Any) -> bool:
        """False, and nothing sent, where it is too large to leave at once."""
        content = pickle.dumps(thing, protocol=pickle.HIGHEST_PROTOCOL)
        if len(content) > AT_ONCE:
            return False
        sent = self._socket.send(_LENGTH.pack(len(content)) + content, socket.MSG_DONTWAIT)
        if sent != _LENGTH.size + len(content):
            raise BlockingIOError("a part of the message was left")
        return True

    def receive(self) -> Any | None:
        """The message, or None while it is not whole."""
        try:
            content = self._socket.recv(262_144, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return None
        if not content:
            raise EOFError
        self._received += content
        if len(self._received) < _LENGTH.size:
            return None
        (length,) = _LENGTH.unpack_from(self._received)
        if length < 0:
            raise EOFError(f"found a message of {length} bytes")
        if len(self._received) < _LENGTH.size + length:
            return None
        whole, self._received = bytes(self._received[_LENGTH.size : _LENGTH.size + length]), bytearray()
        try:
            return pickle.loads(whole)
        except Exception as error:
            raise EOFError(f"found bytes that are no message: {error}") from error

    def close(self) -> None:
        self._socket.close()


def exchange(pipe: "Connection[Any, Any]") -> Exchange | None:
    """None where pipes are no sockets: there somebody has to wait."""
    return None if sys.platform == "win32" else Exchange(pipe)
