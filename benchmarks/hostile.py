"""Requests that nobody should send: does the server refuse each with a reason, keep nothing, and answer on?

In: seeds. Out: for each a request that was valid once and is damaged in its values, its JSON, its bytes, its headers or
its length; sent to `POST /v1/predict` on both ways (the quick one and ASGI, which must say the same to the byte) and to
`/v1/outcomes`. What must hold: no 5xx, no hang, every refusal in the documented shape and without a path or a stack
trace, and as many rows in the log as were acknowledged. Run:

    python benchmarks/hostile.py                          # 100,000 requests: 90,000 in process, 10,000 by a socket
    python benchmarks/hostile.py --requests 2000 --seed 7
"""

import argparse
import asyncio
import gzip
import json
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from sites import PLAIN, WIDE, Caller, Ended, Said, project, request

from incumbent import config
from incumbent.asgi import around
from incumbent.records import Signature
from incumbent.server.access import Access
from incumbent.server.edge import Edge
from incumbent.server.serving import open_door
from incumbent.storage.opening import open_facts

PREDICT, OUTCOMES = b"/v1/predict", b"/v1/outcomes"
BY_ASGI = b"/v1/predict?by=asgi"
"""A query is nothing to the application, and too much for the quick way."""
SETTINGS = """
[serve]
poll_s = 0.2
max_body_mb = 2
max_rows = 300
head_s = 1
body_s = 1
"""
PATIENCE_S = 30.0
SOCKETS = 16
RACES = 3
MADE_ID = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
LEAKS = (b"Traceback", b'File "', b"site-packages", b".py", b"/tmp", b"/home", b"incumbent.toml")
FIELDS = {"type", "message", "row", "column", "found", "expected"}


@dataclass(frozen=True)
class Sent:
    """A damaged request. `length` is what its head says of the body: "true", "chunked", "short" or "long"."""

    path: bytes
    body: bytes
    headers: tuple[tuple[bytes, bytes], ...] = ()
    length: str = "true"


# --- damage


class Raw(str):
    """JSON text as it stands, valid or not."""


class Pairs(list):  # type: ignore[type-arg]
    """An object as a list of (key, value), so that keys may come twice."""


ODD = [
    "null", "true", "false", "0", "-0", "-1", "2.5", "5e-324", "1e308", "1e999", "-1e999", "9007199254740993",
    str(2**63),
    str(2**64), str(-(2**70)), "9" * 400, "-" + "9" * 5000, "0." + "3" * 2000, "1e-99999", "1e99999999999", "01", "1.",
    ".5", "+1", "0x10", "NaN", "Infinity", "-Infinity", "nan", "undefined", "None", "'a'", '""', '"5"', '"NaN"',
    '"null"',
    '"true"', r'"\ud800"', r'"\udc00\ud800"', r'"\u0000"', r'"a\u0000b"', r'"\ud83d\ude00"', '"\u00e9"', '"\U0001f600"',
    '"\x01"', '"\t"', r'"\x41"', r'"\u12"', '"unterminated', "[]", "{}", "[null]", "[[]]", '{"a": 1}', "[1, 2, 3]",
    "[1, null, 3]", '["1", 2, 3]', "[1e999, 2, 3]", '"2024-02-30T00:00:00Z"', '"2024-01-01"', '"2024-01-01T00:00:00Z"',
    '"0001-01-01T00:00:00+23:59"', '"9999-12-31T23:59:59-23:59"', '"2024-W01-1"', "1700000000000000", str(2**53 - 1),
    "1700000000", "17.0", "1e3", '"UA"', '"1' + "0" * 300 + '"', "", " ", ",", ":", "}", "]", "/* a */ 1", "1 // a",
]  # fmt: skip
KEYS = [
    "rows", "outcomes", "features", "id", "unit", "at", "hour", "carrier", "", "x", "__proto__", "constructor",
    "\u00e9",
    "a\tb", "Rows", "rows ", "c0", "value", "name", "known_at", "$.rows[3].id", "`", "'", "%s", "{0}", "\u202e",
    "\ud83d",
]  # fmt: skip
HEADERS = [
    (b"content-type", b"text/plain"), (b"content-type", b"application/json; charset=utf-16"), (b"content-type", b""),
    (b"content-type", b"multipart/form-data; boundary=x"), (b"content-encoding", b"gzip"), (b"accept", b"text/html"),
    (b"content-encoding", b"identity, br"), (b"accept", b"\xff\xfe"), (b"x-request-id", b"x" * 5000),
    (b"x-request-id", b'"\xff <script>'), (b"x-request-id", b"one"), (b"traceparent", b"00-0-0-0"),
    (b"cookie", b"=;=;"),
    (b"traceparent", b"00-" + b"f" * 32 + b"-" + b"f" * 16 + b"-01"), (b"authorization", b"Bearer"),
    (b"authorization", b"Basic \xff\xff"), (b"authorization", b"Bearer " + b"\xff" * 50), (b"origin", b"http://a.example"),
    (b"host", b""), (b"host", b"a.example"), (b"host", b"localhost:99999999"), (b"host", b"\xff"),
    (b"connection", b"close"),
    (b"x-forwarded-for", b"1.2.3.4, \xff"), (b"expect", b"100-continue"), (b"te", b"trailers"), (b"x", b"\x80" * 200),
    (b"connection", b"upgrade"), (b"upgrade", b"h2c"), (b"sec-fetch-site", b"cross-site"), (b"range", b"bytes=0-1"),
]  # fmt: skip


def damaged(draw: Random, signature: Signature) -> Sent:
    """A request that was valid once. Now and then it still is."""
    predicts = draw.random() < 0.85
    tree = _rows(draw, signature) if predicts else _outcomes(draw)
    for _ in range(draw.choice((0, 1, 1, 1, 2, 3, 6))):
        tree = _worse(draw, tree)
    body = _text(tree).encode("utf-8", "surrogatepass")
    headers: tuple[tuple[bytes, bytes], ...] = ()
    if draw.random() < 0.25:
        body = draw.choice(BYTES)(draw, body)
    if draw.random() < 0.15:
        headers = (draw.choice(HEADERS),)
        if headers[0] == (b"content-encoding", b"gzip") and draw.random() < 0.7:
            body = gzip.compress(body, 1)
    length = draw.choices(("true", "chunked", "short", "long"), (80, 15, 3, 2))[0]
    return Sent(PREDICT if predicts else OUTCOMES, body, headers, length)


def _rows(draw: Random, signature: Signature) -> Pairs:
    rows = []
    for _ in range(draw.choice((1, 1, 1, 2, 5, 40))):
        row = Pairs([("features", Pairs([(c.name, _plausible(draw, c.type)) for c in signature.columns]))])
        if draw.random() < 0.3:
            row.append(("id", draw.choice((f"id-{draw.randrange(10**9)}", draw.randrange(10**9), "again", Raw("7")))))
        if draw.random() < 0.3:
            row.append(("unit", draw.choice(("user-1", 17, "17", None))))
        if draw.random() < 0.2:
            row.append(("at", draw.choice((1_700_000_000_000_000, "2024-01-01T00:00:00Z", "2024-01-01", None))))
        rows.append(row)
    return Pairs([("rows", rows)])


def _outcomes(draw: Random) -> Pairs:
    found = []
    for _ in range(draw.choice((1, 1, 3))):
        each = Pairs([("id", f"id-{draw.randrange(10**9)}"), ("value", draw.choice((0, 1, "late", 1.5, True)))])
        if draw.random() < 0.3:
            each.append(("name", draw.choice(("label", "revenue", "", "x" * 300))))
        if draw.random() < 0.3:
            each.append(("known_at", draw.choice((1_700_000_000_000_000, "2024-01-01T00:00:00Z", None))))
        found.append(each)
    return Pairs([("outcomes", found)])


def _plausible(draw: Random, type: str) -> Any:
    if draw.random() < 0.1:
        return None
    if type == "integer":
        return draw.randrange(24)
    if type == "number":
        return round(draw.uniform(-5, 5), 3)
    if type == "boolean":
        return draw.random() < 0.5
    if type == "string":
        return draw.choice(("UA", "AA", "new", "\u00e9"))
    if type == "timestamp":
        return draw.choice(("2024-01-01T00:00:00Z", 1_700_000_000_000_000))
    return [draw.randrange(9) for _ in range(3)]


def _odd(draw: Random) -> Any:
    chance = draw.random()
    if chance < 0.02:
        return draw.choice((Raw("[" * 100_000), Raw("[" * 900 + "]" * 900), Raw('{"a":' * 600 + "1" + "}" * 600)))
    if chance < 0.03:
        return "x" * draw.choice((9_999, 10_001, 1_000_000))
    if chance < 0.04:
        return Pairs([(f"extra {i}", i) for i in range(draw.choice((1_990, 2_010, 10_000)))])
    if chance < 0.1:
        return draw.choice((Pairs(), [], [Pairs()], Pairs([("a", Pairs())]), [[[]]]))
    return Raw(draw.choice(ODD))


def _worse(draw: Random, tree: Any) -> Any:
    """One more thing wrong, at any level."""
    if isinstance(tree, (Pairs, list)) and tree and draw.random() < 0.85:
        tree = type(tree)(tree)
        place = draw.randrange(len(tree))
        if isinstance(tree, Pairs):
            key, value = tree[place]
            what = draw.random()
            if what < 0.08:
                del tree[place]
            elif what < 0.16:
                tree.append((key, draw.choice((value, _odd(draw)))))
            elif what < 0.24:
                tree.insert(place, (draw.choice(KEYS), _odd(draw)))
            elif what < 0.32:
                tree[place] = (draw.choice(KEYS), value)
            else:
                tree[place] = (key, _worse(draw, value))
        elif draw.random() < 0.1:
            tree.insert(place, _odd(draw))
        else:
            tree[place] = _worse(draw, tree[place])
        return tree
    return [tree] if draw.random() < 0.15 else _odd(draw)


def _text(tree: Any) -> str:
    if isinstance(tree, Raw):
        return str(tree)
    if isinstance(tree, Pairs):
        return "{" + ", ".join(f"{json.dumps(key, ensure_ascii=False)}: {_text(value)}" for key, value in tree) + "}"
    if isinstance(tree, list):
        return "[" + ", ".join(map(_text, tree)) + "]"
    return json.dumps(tree, ensure_ascii=False)


def _cut(draw: Random, body: bytes) -> bytes:
    return body[: draw.randrange(len(body) + 1)]


def _flipped(draw: Random, body: bytes) -> bytes:
    changed = bytearray(body or b"x")
    for _ in range(draw.choice((1, 1, 4))):
        changed[draw.randrange(len(changed))] = draw.randrange(256)
    return bytes(changed)


def _with(draw: Random, body: bytes) -> bytes:
    place = draw.randrange(len(body) + 1)
    wrong = draw.choice((b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\0", b"\xef\xbb\xbf"))
    return body[:place] + wrong + body[place:]


def _utf16(draw: Random, body: bytes) -> bytes:
    return body.decode("utf-8", "replace").encode(draw.choice(("utf-16", "utf-16-le", "utf-32", "utf-7")), "replace")


BYTES: tuple[Callable[[Random, bytes], bytes], ...] = (
    _cut, _cut, _flipped, _flipped, _with, _with, _utf16,
    lambda draw, body: b"\xef\xbb\xbf" + body,
    lambda draw, body: b"",
    lambda draw, body: b" \n\t" * draw.choice((1, 1000)),
    lambda draw, body: body + draw.choice((b"}", b"x", b"\0", body, b"\n", b" " * 5000)),
    lambda draw, body: b"[" + body + b"]",
    lambda draw, body: json.dumps(body.decode("utf-8", "replace")).encode(),
    lambda draw, body: b"rows=" + body[:2000].hex().encode(),
)  # fmt: skip


# --- what must hold


class Held:
    """What was seen, and what was wrong with it. `rows` are the acknowledged predictions."""

    def __init__(self) -> None:
        self.statuses: Counter[int] = Counter()
        self.ids: set[str] = set()
        self.wrong: list[str] = []

    def heard(self, sent: Sent, said: Said) -> None:
        """One response."""
        self.statuses[said.status] += 1
        if said.status == 200 and sent.path != OUTCOMES:
            self.ids.update(each["id"] for each in json.loads(said.body)["predictions"])
        if said.status != 200:
            fault = fault_of(said)
            if fault:
                self.fault(sent, fault, said)

    def same(self, sent: Sent, quick: Said, plain: Said) -> None:
        """The same request on both ways."""
        if _told(quick) != _told(plain):
            self.fault(sent, f"two answers: {_told(quick)!r:.400} and {_told(plain)!r:.400}")

    def fault(self, sent: Sent, what: str, said: Said | None = None) -> None:
        self.wrong.append(f"{what}: {sent.path!r} {sent.headers!r} {sent.length} {sent.body[:300]!r} {said!r:.500}")


def fault_of(said: Said) -> str | None:
    """What is wrong with a refusal."""
    if not 400 <= said.status < 500:
        return "no 4xx"
    if said.header(b"content-type") != b"application/json":
        return "no JSON"
    leaked = [leak for leak in LEAKS if leak in said.body]
    if leaked:
        return f"says {leaked}"
    error = json.loads(said.body)
    shaped = set(error) == {"error"} and {"type", "message"} <= set(error["error"]) <= FIELDS
    return None if shaped and error["error"]["message"] else "another shape"


def _told(said: Said) -> tuple[int, tuple[tuple[bytes, bytes], ...], bytes]:
    """A response without what is drawn anew each time."""
    headers = tuple(sorted(header for header in said.headers if header[0] != b"x-request-id"))
    return said.status, headers, MADE_ID.sub(b"made", said.body)


# --- in process


@asynccontextmanager
async def opened(folder: Path) -> Any:
    """Everything that answers, without a socket: the edge and all behind it."""
    door = open_door(folder)
    edge = around(door, Access())
    events: asyncio.Queue[dict[str, str]] = asyncio.Queue()
    started = asyncio.Event()

    async def send(message: Any) -> None:
        started.set()

    events.put_nowait({"type": "lifespan.startup"})
    living = asyncio.create_task(edge({"type": "lifespan"}, events.get, send))
    await started.wait()
    yield edge
    events.put_nowait({"type": "lifespan.shutdown"})
    await living


def _scope(sent: Sent) -> dict[str, Any]:
    given = {name for name, _ in sent.headers}
    headers = [] if b"host" in given else [(b"host", b"localhost")]
    if sent.length == "true":
        headers.append((b"content-length", b"%d" % len(sent.body)))
    return {
        "type": "http", "method": "POST", "path": sent.path.decode(), "raw_path": sent.path, "query_string": b"",
        "headers": [*headers, *sent.headers], "http_version": "1.1", "scheme": "http", "root_path": "",
        "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 2), "state": {},
    }  # fmt: skip


async def by_quick(edge: Edge, sent: Sent) -> Said:
    """The quick way."""
    heard: asyncio.Future[Said] = asyncio.get_running_loop().create_future()

    def reply(status: int, body: bytes, headers: Sequence[tuple[bytes, bytes]] = ()) -> None:
        own = (b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))
        heard.set_result(Said(status, (*own, *headers), body))

    if len(sent.body) > edge.most_bytes:
        edge.too_large(_scope(sent), reply)
    else:
        edge.take(_scope(sent), sent.body, reply)
    return await heard


async def by_asgi(edge: Edge, sent: Sent) -> Said:
    """The plain one."""
    parts = [sent.body[: len(sent.body) // 2], sent.body[len(sent.body) // 2 :]] if sent.body else [b""]
    messages = iter(
        {"type": "http.request", "body": part, "more_body": i + 1 < len(parts)} for i, part in enumerate(parts)
    )
    said: list[Any] = []

    async def receive() -> Any:
        return next(messages)

    async def send(message: Any) -> None:
        said.append(message)

    await edge(_scope(sent), receive, send)
    return Said(said[0]["status"], tuple(said[0]["headers"]), said[1]["body"])


async def attack_in_process(edge: Edge, every: Iterator[Sent], held: Held) -> None:
    """Each request on both ways (outcomes have one)."""
    for sent in every:
        async with asyncio.timeout(PATIENCE_S):
            if sent.path == OUTCOMES:
                held.heard(sent, await by_asgi(edge, sent))
                continue
            quick, plain = await by_quick(edge, sent), await by_asgi(edge, sent)
        held.heard(sent, quick)
        held.heard(sent, plain)
        held.same(sent, quick, plain)


# --- by a socket


async def attack(url: str, every: Iterator[Sent], held: Held) -> None:
    """The same over real connections; a wrong length gets one of its own."""

    async def go_on() -> None:
        caller = Caller(url)
        for sent in every:
            try:
                async with asyncio.timeout(PATIENCE_S):
                    await _sent(caller, sent, held)
            except TimeoutError:
                held.fault(sent, f"no answer within {PATIENCE_S:g} s")
                caller.close()
        caller.close()

    await asyncio.gather(*(go_on() for _ in range(SOCKETS)))


async def _sent(caller: Caller, sent: Sent, held: Held) -> None:
    if sent.length in ("short", "long") and sent.body:
        return await _misdeclared(caller, sent, held)
    for _ in range(RACES):  # another connection may use the same id between the two: then they are asked again
        said = await _both(caller, sent, held)
        if len(said) < 2 or _told(said[0]) == _told(said[1]):
            return
    held.same(sent, *said)


async def _both(caller: Caller, sent: Sent, held: Held) -> list[Said]:
    """On both ways (outcomes have one)."""
    ways = [OUTCOMES] if sent.path == OUTCOMES else [PREDICT, BY_ASGI]
    said: list[Said] = []
    for path in ways:
        try:
            said.append(await caller.send(_bytes(sent, path)))
        except (Ended, OSError) as error:
            held.fault(sent, f"no answer but {error!r}")
            return []
        held.heard(sent, said[-1])
    return said


def _bytes(sent: Sent, path: bytes) -> bytes:
    if sent.length == "chunked":
        middle = len(sent.body) // 3
        parts = [part for part in (sent.body[:middle], sent.body[middle:]) if part]
        chunked = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
        return request(path, chunked, [*sent.headers, (b"transfer-encoding", b"chunked")])
    return request(path, sent.body, sent.headers)


async def _misdeclared(caller: Caller, sent: Sent, held: Held) -> None:
    """A head that lies: whatever is said until the server ends the connection must be in order."""
    wrong = len(sent.body) // 2 if sent.length == "short" else len(sent.body) + 10
    alone = Caller("http://{}:{}".format(*caller.address))
    try:
        content = request(sent.path, sent.body, [*sent.headers, (b"content-length", b"%d" % wrong)])
        said = await alone.send(content)
        while True:
            held.heard(sent, said)
            if said.header(b"connection") == b"close":
                return
            said = await alone.read()
    except (Ended, OSError):
        pass  # what followed was no request; it may be ended without a word
    finally:
        alone.close()


async def still_answers(url: str, held: Held) -> None:
    """A good request is answered after all that."""
    caller = Caller(url)
    sent = Sent(PREDICT, b'{"rows": [{"features": {"hour": 5}}]}')
    said = await caller.send(_bytes(sent, PREDICT))
    held.heard(sent, said)
    if said.status != 200:
        held.fault(sent, "a good request is not answered at the end", said)
    caller.close()


def sequence(seed: int, requests: int, signature: Signature) -> Iterator[Sent]:
    """So many damaged requests, the same for the same seed."""
    draw = Random(seed)
    return (damaged(draw, signature) for _ in range(requests))


def logged(folder: Path) -> int:
    """Predictions in the log of a project."""
    with open_facts(config.load(folder)) as facts:
        return facts.log.totals().predictions


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--requests", type=int, default=100_000)
    options.add_argument("--by-socket", type=float, default=0.1, help="share of them that goes through a real socket")
    options.add_argument("--seed", type=int, default=1)
    chosen = options.parse_args()
    wrong: list[str] = []
    with tempfile.TemporaryDirectory() as name:
        for signature in (PLAIN, WIDE):
            folder = project(Path(name) / signature.kind, SETTINGS, signature)
            by_socket = round(chosen.requests * chosen.by_socket / 2)
            wrong += _attacked(folder, signature, chosen.seed, chosen.requests // 2 - by_socket, by_socket)
    for each in wrong[:20]:
        print(each)
    print(f"{'MISS' if wrong else 'ok  '} {len(wrong)} of {chosen.requests:,} requests went wrong")
    return int(bool(wrong))


def _attacked(folder: Path, signature: Signature, seed: int, in_process: int, by_socket: int) -> list[str]:
    from serving import ours, running

    held = Held()

    async def within() -> None:
        async with opened(folder) as edge:
            await attack_in_process(edge, sequence(seed, in_process, signature), held)

    started = time.monotonic()
    asyncio.run(within())
    print(f"{signature.kind}: {in_process:,} in process, {time.monotonic() - started:.0f} s", flush=True)
    started = time.monotonic()
    with running(ours(folder), core=None) as (url, _):
        asyncio.run(attack(url, sequence(seed + 1, by_socket, signature), held))
        asyncio.run(still_answers(url, held))
    print(f"{signature.kind}: {by_socket:,} by a socket, {time.monotonic() - started:.0f} s", flush=True)
    kept = logged(folder)
    print(f"{signature.kind}: answers by status {dict(sorted(held.statuses.items()))}, {kept:,} rows acknowledged")
    if kept != len(held.ids):
        held.wrong.append(f"{kept} rows in the log, {len(held.ids)} acknowledged")
    return held.wrong


if __name__ == "__main__":
    sys.exit(main())
