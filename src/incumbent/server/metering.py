"""/metrics: the numbers of every answering process as Prometheus reads them.

In: this process's Meter and levels, and the files in which the other processes keep theirs. Out: one text. Each
process keeps its numbers in a file of its own (`<slot>.numbers` in the supervisor's run folder), every second and
before it answers a scrape, so that nothing that was shown is ever lost; a process that takes the place of a dead one
goes on from its file. Whichever process answers adds up all files: counters never go backwards, and those of the
other processes are at most a second old. Labels are versions, reasons and path templates; never an id, a unit, a
column or a path that somebody made up.
"""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from platform import python_version
from threading import Lock

import msgspec
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from incumbent import __version__
from incumbent.loop.answer import Answerer
from incumbent.loop.meter import BOUNDS_S, Key, Meter, Snapshot, total
from incumbent.server.refusing import simple
from incumbent.server.replying import Receive, Scope, Send, reply

SUFFIX = ".numbers"
FRESH_S = 10.0
"""A process that has written nothing for so long is gone, or stuck: its counts stay, its levels do not."""

COUNTERS = {
    "requests": ("Requests by path and status.", ("path", "status")),
    "rows": ("Rows by the version that answered them.", ("version",)),
    "fallback_rows": ("Rows that another version answered, by the one assigned and why.", ("version", "reason")),
    "errors": ("Requests that ended with a 5xx, by reason.", ("reason",)),
    "refusals": ("Requests that were refused with a 4xx, by status and reason.", ("status", "reason")),
    "shadow_dropped_rows": ("Rows that were not scored in shadow, because too many waited.", ()),
    "restarts": ("Processes that ended unasked and were started again.", ("process",)),
}
HISTOGRAMS = {
    "answer": ("Seconds from a prediction request to its answer.", ()),
    "version": ("Seconds that a batch waited for its version, fallbacks included.", ("version",)),
    "commit": ("Seconds until the predictions of a batch were durable.", ()),
}
LEVELS = {
    "waiting_rows": ("Rows that wait for their version.", ("version",)),
    "shadow_backlog_rows": ("Rows that wait for their shadows.", ()),
    "breakers": ("Processes in which the breaker of a version is in this state.", ("version", "state")),
    "processes": ("Answering processes.", ()),
}
_PATHS = {
    path: path
    for path in (
        *("/v1/predict", "/v1/outcomes", "/v1/follow", "/v1/status", "/v1/versions", "/v1/ledger", "/v1/trials"),
        *("/v1/promote", "/v1/rollback", "/metrics", "/healthz", "/readyz", "/openapi.json"),
        *("/", "/index.json", "/review", "/review.json"),
    )
}
_FOLDERS = {"versions": "/versions/{name}", "pictures": "/pictures/{name}", "static": "/static/{name}"}


def template(path: str) -> str:
    """The label of a path: one of few, whatever is asked for.

    >>> [template(path) for path in ("/v1/predict", "/versions/v7.json", "/v1/trials/t1/enrol", "/wp-login.php")]
    ['/v1/predict', '/versions/{name}', '/v1/trials/{name}/enrol', 'unknown']
    """
    known = _PATHS.get(path)
    if known is not None:
        return known
    if path.startswith("/v1/trials/") and path.endswith("/enrol") and path.count("/") == 4:
        return "/v1/trials/{name}/enrol"
    return _FOLDERS.get(path[1:].partition("/")[0], "unknown")


@dataclass(frozen=True, slots=True)
class Reading:
    """What stands now, rather than what was counted. `dropped` is what this process dropped since it started;
    `waiting` are rows by version."""

    sequence: int = 0
    backlog: int = 0
    dropped: int = 0
    breakers: Mapping[str, str] | None = None
    waiting: Mapping[str, int] | None = None

    def levels(self) -> dict[Key, float]:
        found: dict[Key, float] = {("shadow_backlog_rows",): self.backlog, ("processes",): 1}
        found |= {("waiting_rows", version): rows for version, rows in (self.waiting or {}).items()}
        found |= {("breakers", version, state): 1 for version, state in (self.breakers or {}).items()}
        return found


def reading(answerer: Answerer) -> Reading:
    """What stands now in an Answerer."""
    breakers = {name: breaker.state for name, breaker in sorted(answerer.chain.breakers.items())}
    return Reading(answerer.state.roles.sequence, answerer.queue.backlog, answerer.queue.dropped, breakers)


class _Kept(msgspec.Struct, array_like=True):
    """A file of numbers."""

    at: float
    pid: int
    sequence: int
    counts: list[tuple[list[str], float]]
    times: list[tuple[list[str], list[float]]]
    levels: list[tuple[list[str], float]]

    def snapshot(self, living: bool) -> Snapshot:
        return Snapshot(
            {tuple(key): count for key, count in self.counts},
            {tuple(key): held for key, held in self.times},
            {tuple(key): level for key, level in self.levels} if living else {},
        )


class Numbers:
    """The numbers of this process, and those of the others in `folder` (None: there are no others).

    `meter` resumes where the process that had `slot` before ended.
    """

    def __init__(
        self,
        meter: Meter,
        read: Callable[[], Reading] = Reading,
        folder: Path | None = None,
        slot: str = "0",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.meter, self._read, self._folder, self._slot, self._clock = meter, read, folder, slot, clock
        self._dropped = 0
        self._lock = Lock()
        before = None if folder is None else _kept(self._path)
        if before is not None:
            meter.resume(before.snapshot(living=False))

    @property
    def shared(self) -> bool:
        return self._folder is not None

    def publish(self, living: bool = True) -> None:
        """Write this process's numbers where the others find them; at its end without levels. Any thread may."""
        if self._folder is not None:
            with self._lock:
                _write(self._path, self._own(living))

    def all(self) -> tuple[Snapshot, int]:
        """The sum over all processes, and the least ledger sequence that a living one follows."""
        with self._lock:
            own = self._own()
            if self._folder is None:
                return own.snapshot(living=True), own.sequence
            _write(self._path, own)
        files = (path for path in self._folder.glob(f"*{SUFFIX}") if path != self._path)
        found = [own, *(kept for kept in map(_kept, files) if kept is not None)]
        living = [kept for kept in found if kept.levels and kept.at >= own.at - FRESH_S]
        summed = total(kept.snapshot(kept in living) for kept in found)
        return summed, min((kept.sequence for kept in living), default=own.sequence)

    @property
    def _path(self) -> Path:
        assert self._folder is not None
        return self._folder / f"{self._slot}{SUFFIX}"

    def _own(self, living: bool = True) -> _Kept:
        read = self._read()
        self.meter.count("shadow_dropped_rows", by=read.dropped - self._dropped)
        self._dropped = read.dropped
        found = self.meter.snapshot(read.levels() if living else None)
        return _Kept(
            self._clock(),
            os.getpid(),
            read.sequence,
            [(list(key), count) for key, count in found.counts.items()],
            [(list(key), held) for key, held in found.times.items()],
            [(list(key), level) for key, level in found.levels.items()],
        )


class Exposition(Collector):
    """A sum as Prometheus names it. It is made anew for every scrape."""

    def __init__(self, found: Snapshot, sequence: int, task: str = "") -> None:
        self._found, self._sequence, self._task = found, sequence, task

    def collect(self) -> Iterator[Metric]:
        info = GaugeMetricFamily("incumbent_info", "What runs here.", labels=("version", "python", "task"))
        info.add_metric((__version__, python_version(), self._task), 1)
        yield info
        yield GaugeMetricFamily(
            "incumbent_ledger_sequence", "The least event of the ledger that a process follows.", self._sequence
        )
        yield from self._counters()
        yield from self._histograms()
        yield from self._levels()

    def _counters(self) -> Iterator[Metric]:
        for name, (about, labels) in COUNTERS.items():
            family = CounterMetricFamily(f"incumbent_{name}", about, labels=labels)
            for key, count in sorted(self._found.counts.items()):
                if key[0] == name:
                    family.add_metric(key[1:], count)
            yield family

    def _histograms(self) -> Iterator[Metric]:
        for name, (about, labels) in HISTOGRAMS.items():
            family = HistogramMetricFamily(f"incumbent_{name}_seconds", about, labels=labels)
            for key, held in sorted(self._found.times.items()):
                if key[0] == name:
                    family.add_metric(key[1:], _cumulated(held), held[-1])
            yield family

    def _levels(self) -> Iterator[Metric]:
        for name, (about, labels) in LEVELS.items():
            family = GaugeMetricFamily(f"incumbent_{name}", about, labels=labels)
            for key, level in sorted(self._found.levels.items()):
                if key[0] == name:
                    family.add_metric(key[1:], level)
            yield family


class Metrics:
    """The ASGI application of /metrics."""

    def __init__(self, numbers: Numbers, task: str) -> None:
        self._numbers, self._task = numbers, task

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] not in ("GET", "HEAD"):
            said = simple("WrongMethod", f"found {scope['method']}, expected GET")
            return await reply(send, 405, said, [(b"allow", b"GET")])
        accept = next((value for name, value in scope["headers"] if name == b"accept"), b"").decode("latin-1")
        body, kind = text(self._numbers, self._task, accept)
        await reply(send, 200, body, [], kind.encode())


def text(numbers: Numbers, task: str = "", accept: str = "") -> tuple[bytes, str]:
    """(body, content type) of a scrape: OpenMetrics where `accept` asks for it, else Prometheus' own text."""
    encode, kind = choose_encoder(accept)
    return encode(Exposition(*numbers.all(), task)), kind


def _cumulated(held: list[float]) -> list[tuple[str, float]]:
    so_far, buckets = 0.0, []
    for bound, count in zip((*map(str, BOUNDS_S), "+Inf"), held[:-1], strict=True):
        so_far += count
        buckets.append((bound, so_far))
    return buckets


def _kept(path: Path) -> _Kept | None:
    try:
        return msgspec.msgpack.decode(path.read_bytes(), type=_Kept)
    except FileNotFoundError:
        return None


def _write(path: Path, kept: _Kept) -> None:
    """Whole or not at all: somebody may be reading."""
    beside = path.with_suffix(".part")
    beside.write_bytes(msgspec.msgpack.encode(kept))
    beside.replace(path)
