"""An address to listen on: may it be, is it free, what an answering process is told of it, and what is said when it
answers.

In: host and port. Out: a listening socket, opened by us: uvicorn's own has protocol 0, on which asyncio does not set
TCP_NODELAY. Loads nothing that answers.
"""

import json
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path

from incumbent import config as configuration
from incumbent.errors import ConfigError
from incumbent.loop import tokens
from incumbent.storage.opening import open_facts

BACKLOG = 2048
PROJECT_VARIABLE = "INCUMBENT_PROJECT"
CLOCK_VARIABLE = "INCUMBENT_CLOCK"
HOST_VARIABLE = "INCUMBENT_HOST"
INSECURE_VARIABLE = "INCUMBENT_INSECURE"
KEPT_VARIABLE = "INCUMBENT_KEPT"
NUMBERS_VARIABLE = "INCUMBENT_NUMBERS"
SLOT_VARIABLE = "INCUMBENT_SLOT"


def environment(folder: str | Path, clock: str, host: str, insecure: bool) -> dict[str, str]:
    """What `incumbent.asgi` reads, in whichever process it is loaded."""
    return {
        PROJECT_VARIABLE: str(folder),
        CLOCK_VARIABLE: clock,
        HOST_VARIABLE: host,
        INSECURE_VARIABLE: "1" if insecure else "0",
    }


def is_loopback(host: str) -> bool:
    """Is this an address that only this machine reaches?"""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def refuse_open_address(host: str, insecure: bool, guarded: Callable[[], bool] = lambda: False) -> None:
    """Without a token only this machine may ask; `insecure` says that something else guards the door. `guarded` is
    asked only where it matters."""
    if not (insecure or is_loopback(host) or guarded()):
        raise ConfigError(
            f"found the address {host}, which others can reach, and no token guards it: make one with "
            "`incumbent token add`, listen on 127.0.0.1, or say --insecure if something else guards it."
        )


def guarded(folder: str | Path) -> bool:
    """Does a token guard this project?"""
    with open_facts(configuration.load(folder)) as facts:
        return bool(tokens.grants(facts.ledger.events(types=tokens.TYPES)))


@contextmanager
def listening(host: str, port: int) -> Iterator[socket.socket]:
    """A listening TCP socket; port 0 is a free one. ConfigError when the address is taken or not ours."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError as error:
            raise ConfigError(
                f"cannot listen on {host}:{port}: {error.strerror}; choose another --port (0: a free one)"
            ) from error
        listener.listen(BACKLOG)
        listener.setblocking(False)
        yield listener
    finally:
        listener.close()


def announcer(json_line: bool) -> Callable[[str], None]:
    """Says the URL once, on standard output."""

    def say(url: str) -> None:
        print(
            json.dumps({"url": url, "pid": os.getpid()}) if json_line else f"incumbent serves {url}",
            flush=True,
        )

    return say


def url_of(host: str, port: int) -> str:
    """The address as a URL."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
