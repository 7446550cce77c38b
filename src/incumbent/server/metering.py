"""/metrics: the numbers of every answering process as Prometheus reads them.

In: the Numbers. Out: one text. Labels are versions, reasons and path templates; never an id, a unit, a column or a path
that somebody made up.
"""

from collections.abc import Iterator
from platform import python_version

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from incumbent import __version__
from incumbent.loop.answer import Answerer
from incumbent.loop.meter import BOUNDS_S, Snapshot
from incumbent.server.numbers import Numbers, Reading
from incumbent.server.refusing import simple
from incumbent.server.replying import Receive, Scope, Send, reply

COUNTERS = {
    "requests": ("Requests by path and status.", ("path", "status")),
    "rows": ("Rows by the version that answered them.", ("version",)),
    "fallback_rows": ("Rows that another version answered, by the one assigned and why.", ("version", "reason")),
    "called_rows": (
        "Rows of a trial's third arm by the version that was called, and what came of it.", ("version", "result"),
    ),
    "rows_without_unit": ("Rows that took part in no split, because nothing named their unit.", ()),
    "late_outcomes": (
        "Outcomes that were known only after the window of their prediction: kept, and no look counts them.", (),
    ),
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
        *("/", "/index.json", "/review", "/review.json", "/label", "/label.json"),
        *("/trial", "/trial.json", "/trials", "/trials.json"),
    )
}
_FOLDERS = {"versions": "/versions/{name}", "pictures": "/pictures/{name}", "static": "/static/{name}",
            "label": "/label/{name}", "trials": "/trials/{name}", "trial": "/trial/{name}"}  # fmt: skip
_TRIALS = {verb: f"/v1/trials/{{name}}/{verb}" for verb in ("enrol", "phase", "stop")}


def template(path: str) -> str:
    """The label of a path: one of few, whatever is asked for.

    >>> [template(path) for path in ("/v1/predict", "/versions/v7.json", "/v1/trials/t1/enrol", "/wp-login.php")]
    ['/v1/predict', '/versions/{name}', '/v1/trials/{name}/enrol', 'unknown']
    """
    known = _PATHS.get(path)
    if known is not None:
        return known
    if path.startswith("/v1/trials/") and path.count("/") == 4:
        return _TRIALS.get(path.rpartition("/")[2], "unknown")
    return _FOLDERS.get(path[1:].partition("/")[0], "unknown")


def reading(answerer: Answerer) -> Reading:
    """What stands now in an Answerer."""
    breakers = {name: breaker.state for name, breaker in sorted(answerer.chain.breakers.items())}
    waiting = {name: lane.rows for name, lane in answerer.state.lanes.items()}
    return Reading(answerer.state.roles.sequence, answerer.queue.backlog, answerer.queue.dropped, breakers, waiting)


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
