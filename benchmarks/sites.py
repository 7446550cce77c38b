"""Small projects whose versions are rules, and a client that writes HTTP by itself: for servers that are to be hurt.

In: a folder. Out: a project that any server of ours answers for; `Caller` is one kept connection, whose bytes are ours.
The tests use both.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from incumbent import config
from incumbent.loop import fold, promote
from incumbent.records import DAY, Column, Signature, Version
from incumbent.runtimes import artefact
from incumbent.runtimes.rule import Rule
from incumbent.storage.opening import open_facts

TOML = """
[task]
name = "parcels"
kind = "binary"
target = "late"
metric = "brier"
"""
PLAIN = Signature((Column("hour", "integer"), Column("carrier", "string")), "binary", (0, 1))
WIDE = Signature(
    (
        Column("weight", "number"),
        Column("hour", "integer", nullable=False),
        Column("express", "boolean"),
        Column("carrier", "string", categories=("UA", "AA")),
        Column("sent", "timestamp"),
        Column("size", "numbers", length=3),
    ),
    "multiclass",
    ("early", "on time", "late"),
)
"""A column of every type."""


def project(folder: Path, settings: str = "", signature: Signature = PLAIN) -> Path:
    """A project in a folder: v1 is the incumbent, v2 is registered."""
    folder.mkdir(parents=True, exist_ok=True)
    toml = TOML.replace('"binary"', f'"{signature.kind}"')
    (folder / config.FILE_NAME).write_text(toml + settings)
    wanted = config.load(folder)
    with open_facts(wanted) as facts:
        for first in (0.8, 0.4):
            others = (1 - first) / (len(signature.classes) - 1)
            spec = {"rule": "prior", "probabilities": [first, *[others] * (len(signature.classes) - 1)]}
            rule = Rule(spec, signature)
            saved = artefact.save(
                facts.blobs, rule, runtime="rule", signature=signature, sample=_sample(signature),
                versions=wanted.versions,
            )  # fmt: skip
            roles = fold.roles(facts.ledger.events())
            version = Version(promote.next_version(roles), saved.runtime, saved.manifest, signature, saved.serves)
            promote.register(facts.ledger, roles, version, at=DAY, actor="test")
        roles = fold.roles(facts.ledger.events())
        promote.promote(facts.ledger, roles, "v1", at=DAY, actor="test", reason="a test")
    return folder


def _sample(signature: Signature) -> dict[str, np.ndarray]:
    made = {
        "string": np.array(["UA", "AA", "UA"], dtype=object),
        "numbers": np.arange(9.0).reshape(3, 3),
    }
    return {column.name: made.get(column.type, np.arange(3.0) % 2) for column in signature.columns}


@dataclass(frozen=True)
class Said:
    """One response."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes

    def header(self, name: bytes) -> bytes | None:
        return dict(self.headers).get(name)


class Ended(Exception):
    """The server closed the connection instead of saying anything (more); `part` is what it had said."""

    def __init__(self, part: bytes = b"") -> None:
        super().__init__(part[:80])
        self.part = part


class Caller:
    """One connection, opened when it is needed and kept as long as the server does."""

    def __init__(self, url: str) -> None:
        host, port = url.removeprefix("http://").split(":")
        self.address = host, int(port)
        self._reads: asyncio.StreamReader | None = None
        self._writes: asyncio.StreamWriter | None = None

    async def post(self, path: bytes, body: bytes, headers: Sequence[tuple[bytes, bytes]] = ()) -> Said:
        """Send a request and wait for its response. Ended, or OSError, when there is none."""
        return await self.send(request(path, body, headers))

    async def send(self, content: bytes) -> Said:
        """The same for bytes as they are."""
        if self._writes is None:
            self._reads, self._writes = await asyncio.open_connection(*self.address, limit=2**24)
        try:
            self._writes.write(content)
            await self._writes.drain()
            said = await self.read()
        except BaseException:
            self.close()
            raise
        if said.header(b"connection") == b"close":
            self.close()
        return said

    async def read(self) -> Said:
        """The next response; "100 Continue" is none yet."""
        assert self._reads is not None
        try:
            head = await self._reads.readuntil(b"\r\n\r\n")
            if head.startswith(b"HTTP/1.1 100"):
                return await self.read()
            first, *lines = head[:-4].split(b"\r\n")
            headers = tuple((name.lower(), value) for name, _, value in (line.partition(b": ") for line in lines))
            length = int(dict(headers)[b"content-length"])
            body = await self._reads.readexactly(length)
        except asyncio.IncompleteReadError as error:
            raise Ended(error.partial) from None
        return Said(int(first.split()[1]), headers, body)

    def close(self) -> None:
        if self._writes is not None:
            self._writes.close()
        self._reads = self._writes = None


def request(path: bytes, body: bytes, headers: Sequence[tuple[bytes, bytes]] = ()) -> bytes:
    """A whole request; without a header that says how long the body is, the true length is named."""
    given = {name.lower() for name, _ in headers}
    lines = [b"POST %b HTTP/1.1" % path]
    if b"host" not in given:
        lines.append(b"host: localhost")
    if not given & {b"content-length", b"transfer-encoding"}:
        lines.append(b"content-length: %d" % len(body))
    lines += [b"%b: %b" % header for header in headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body
