"""How close does the server come to the ceiling: a bare echo on the same HTTP server, in the same run?

In: options. Out: a table of ratios. Each comparison takes turns (echo, ours, echo, ours …) and shows medians; the
servers run on one core and the load generator `wrk` (Debian: apt-get install wrk) on another. The models are a logistic
regression and a LightGBM of 300 trees on 30 floats; both run with a split trial, validation and the log on, and every
row names another unit. Run:

    python benchmarks/serving.py                       # what the notes quote: about four minutes
    python benchmarks/serving.py --seconds 1 --rounds 1
    python benchmarks/serving.py --only durability

What "decode + predict alone" means: the same bytes, decoded and answered in this process, on one core: no HTTP, no
checks, no assignment, no log, no answer to write. Once as a plain program does it (JSON to dictionaries, a matrix by
the names of the columns, the same predictor), and once with the server's own reader, which is more than twice as quick.
Both are compared by the clock, and by the processor time of the answering process, which other programs on the machine
disturb less.
"""

import argparse
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import httpx
import msgspec
import numpy as np
import pandas as pd
import uvicorn

import incumbent
from incumbent import config
from incumbent.clock import wall
from incumbent.engines.opening import opener
from incumbent.loop import fold, promote
from incumbent.runtimes.reading import Reader
from incumbent.runtimes.table import Table
from incumbent.server import wire
from incumbent.storage.opening import open_facts

TOML = """
[task]
name = "bench"
kind = "binary"
target = "y"
metric = "brier"
[store]
durability = "{durability}"
[serve]
poll_s = 0.5
"""
COLUMNS = [f"x{i:02d}" for i in range(30)]
WRK = """
local requests, i = {{}}, 0
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
function init()
  for line in io.lines("{bodies}") do requests[#requests + 1] = wrk.format(nil, nil, nil, line) end
end
function request()
  i = i % #requests + 1
  return requests[i]
end
"""


@dataclass(frozen=True)
class Load:
    """What wrk saw."""

    rate: float
    p50_ms: float
    p99_ms: float
    errors: int


def projects(folder: Path, model: str, durability: str = "commit", trial: str = "split") -> Path:
    """A project whose incumbent is `model`, with a challenger of the same kind in a trial (empty: none)."""
    where = folder / f"{model}-{durability}-{trial or 'alone'}"
    if where.exists():
        return where
    where.mkdir()
    (where / config.FILE_NAME).write_text(TOML.format(durability=durability))
    rows = data()
    with incumbent.open(where) as project:
        for seed in (1, 2) if trial else (1,):
            project.register(fitted(model, rows.sample(frac=0.8, random_state=seed)), rows)
        ledger = project.facts.ledger
        promote.promote(ledger, project.roles(), "v1", at=0, actor="benchmark", reason="a benchmark")
        if trial:
            who = {"actor": "benchmark", "reason": "a benchmark"}
            promote.start_trial(ledger, project.roles(), "v2", at=wall(), mode=trial, **who)
    return where


def data(rows: int = 4000) -> pd.DataFrame:
    """30 floats, and a class that depends on some of them."""
    draw = np.random.default_rng(7)
    x = draw.normal(size=(rows, len(COLUMNS)))
    y = (x[:, 0] + np.sin(2 * x[:, 1]) + x[:, 2] * x[:, 3] + draw.normal(size=rows) > 0).astype(int)
    return pd.DataFrame(x, columns=COLUMNS).assign(y=y)


def fitted(model: str, rows: pd.DataFrame) -> Any:
    if model == "linear":
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        return make_pipeline(StandardScaler(), LogisticRegression()).fit(rows[COLUMNS], rows["y"])
    from lightgbm import LGBMClassifier

    return LGBMClassifier(n_estimators=300, num_leaves=31, verbose=-1).fit(rows[COLUMNS], rows["y"])


def bodies(folder: Path, rows: int) -> Path:
    """A file with a request a line: single rows with 1,000 units, or a few large requests."""
    path = folder / f"bodies-{rows}.jsonl"
    if not path.exists():
        draw = np.random.default_rng(11)
        with path.open("w") as file:
            for request in range(1000 if rows == 1 else 8):
                each = [
                    {
                        "unit": f"user-{request * rows + i}",
                        "features": dict(zip(COLUMNS, draw.normal(size=30).round(6).tolist(), strict=True)),
                    }
                    for i in range(rows)
                ]
                file.write(json.dumps({"rows": each}) + "\n")
    return path


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """The ceiling: read the body, answer a constant of the size of a single answer."""
    more = True
    while more:
        more = (await receive()).get("more_body", False)
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(ECHO)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": ECHO})


ECHO = b"x" * 190


def serve_echo() -> None:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    listener.listen(2048)
    listener.setblocking(False)
    print(json.dumps({"url": f"http://127.0.0.1:{listener.getsockname()[1]}"}), flush=True)
    settings = uvicorn.Config(
        echo, loop="uvloop", http="httptools", lifespan="off", access_log=False, log_level="warning",
        server_header=False, date_header=False, ws="none",
    )  # fmt: skip
    uvicorn.Server(settings).run(sockets=[listener])


@contextmanager
def running(command: Sequence[str], core: str | None = "0") -> Iterator[tuple[str, int]]:
    """A server on one core (None: on any): its address and process id."""
    pinned = ["taskset", "-c", core, *command] if core is not None else list(command)
    server = subprocess.Popen(pinned, stdout=subprocess.PIPE)
    assert server.stdout is not None
    try:
        yield json.loads(server.stdout.readline())["url"], server.pid
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(60)


def ours(folder: Path, *more: str) -> list[str]:
    """The product as a user starts it: supervisor, one answering process, ticker and keeper, all on the one core."""
    return [sys.executable, "-m", "incumbent", "serve", "--project", str(folder), "--port", "0", "--json", *more]


def wrk(url: str, folder: Path, rows: int, connections: int, seconds: float, core: str = "1") -> Load:
    """Load from one thread, on the second core."""
    script = folder / f"post-{rows}.lua"
    script.write_text(WRK.format(bodies=bodies(folder, rows)))
    command = ["taskset", "-c", core, "wrk", "-t1", f"-c{connections}", f"-d{seconds:g}s", "--latency", "--timeout",
               "20s", "-s", str(script), f"{url}/v1/predict"]  # fmt: skip
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    errors = sum(int(n) for n in re.findall(r"Non-2xx or 3xx responses: (\d+)", said))
    errors += sum(map(int, re.findall(r"(?:connect|read|write|timeout) (\d+)", said)))
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", said)[1])  # type: ignore[index]
    return Load(rate, _ms(said, "50%"), _ms(said, "99%"), errors)


def _ms(said: str, which: str) -> float:
    found = re.search(rf"{which}\s+([\d.]+)(us|ms|s)", said)
    assert found is not None, said
    return float(found[1]) * {"us": 1e-3, "ms": 1.0, "s": 1e3}[found[2]]


@dataclass(frozen=True)
class Answered:
    """What a server of ours says of itself: the mode of its trial (empty: none), and the rows that v1 and v2 gave."""

    mode: str = ""
    rows: tuple[float, float] = (0.0, 0.0)


def answered(url: str) -> Answered:
    """Once its challenger is loaded; nothing for a server that is not ours."""
    try:
        status = httpx.get(f"{url}/v1/status").json()
    except ValueError:  # the echo
        return Answered()
    limit = time.monotonic() + 60
    while (trial := status["trial"]) and len({"v1", "v2"} & {*status["versions"], *status["routes"]["shadows"]}) < 2:
        assert time.monotonic() < limit, f"the challenger is not loaded: {status}"
        time.sleep(0.1)
        status = httpx.get(f"{url}/v1/status").json()
    said = httpx.get(f"{url}/metrics").text
    found = {v: float(n) for v, n in re.findall(r'incumbent_rows_total\{version="(v\d)"\} ([\d.e+]+)', said)}
    return Answered(trial["mode"] if trial else "", (found.get("v1", 0.0), found.get("v2", 0.0)))


def check_trial(name: str, now: Answered, before: Answered) -> None:
    """A split that nobody took part in would flatter us."""
    assert now.mode == before.mode, f"the trial of {name} ended: {before.mode!r} → {now.mode!r}"
    if now.mode == "split":
        ours, theirs = (b - a for a, b in zip(before.rows, now.rows, strict=True))
        share = theirs / (ours + theirs)
        assert 0.4 < share < 0.6, f"the challenger of {name} gave {share:.0%} of {ours + theirs:,.0f} rows"


class Run:
    """Options, and the folder of this run."""

    def __init__(self, folder: Path, seconds: float, rounds: int) -> None:
        self.folder, self.seconds, self.rounds = folder, seconds, rounds
        self.found: list[dict[str, Any]] = []
        self.failed = False

    def take_turns(self, servers: Mapping[str, str], rows: int, connections: int) -> dict[str, Load]:
        """The medians of each server, asked in turn."""
        seen: dict[str, list[Load]] = {name: [] for name in servers}
        for url in servers.values():
            wrk(url, self.folder, rows, connections, min(1.0, self.seconds))  # warm
        before = {name: answered(url) for name, url in servers.items()}
        for _ in range(self.rounds):
            for name, url in servers.items():
                seen[name].append(wrk(url, self.folder, rows, connections, self.seconds))
        for name, url in servers.items():
            check_trial(name, answered(url), before[name])
        middle: dict[str, Load] = {}
        for name, loads in seen.items():
            columns = zip(*((load.rate, load.p50_ms, load.p99_ms) for load in loads), strict=True)
            middle[name] = Load(*(median(column) for column in columns), sum(load.errors for load in loads))
        return middle

    def say(self, what: str, value: float, wanted: str, fine: bool, details: str) -> None:
        self.failed |= not fine
        self.found.append({"what": what, "value": value, "wanted": wanted, "fine": fine, "details": details})
        print(f"{'ok  ' if fine else 'MISS'} {what:58} {value:8.3f}  {wanted:10} {details}", flush=True)


def single_rows(run: Run) -> None:
    """Against the echo: 64, 16 and 1 connection, one row a request."""
    for model, least in (("linear", 0.45), ("lightgbm", 0.33)):
        project = projects(run.folder, model)
        with running([sys.executable, __file__, "--echo"]) as (bare, _), running(ours(project)) as (url, _):
            servers = {"echo": bare, "ours": url}
            for connections in (64, 16, 1):
                loads = run.take_turns(servers, 1, connections)
                e, o = loads["echo"], loads["ours"]
                details = (
                    f"{o.rate:,.0f} of {e.rate:,.0f} requests/s; p50 {o.p50_ms:.3f} of {e.p50_ms:.3f} ms, "
                    f"p99 {o.p99_ms:.2f} of {e.p99_ms:.2f} ms, errors {o.errors}"
                )
                clean = o.errors == 0
                name = f"{model}, {connections} connections"
                if connections == 64:
                    run.say(f"{name}: requests/s / echo", o.rate / e.rate, f">= {least}",
                            clean and o.rate / e.rate >= least, details)  # fmt: skip
                elif connections == 16:
                    run.say(f"{name}: p99 / echo", o.p99_ms / e.p99_ms, "<= 5",
                            clean and o.p99_ms / e.p99_ms <= 5, details)  # fmt: skip
                else:
                    run.say(f"{name}: p50 / echo", o.p50_ms / e.p50_ms, "<= 3",
                            clean and o.p50_ms / e.p50_ms <= 3, details)  # fmt: skip


def large_requests(run: Run) -> None:
    """1,000 rows a request, against decoding and predicting alone in this process."""
    for model in ("linear", "lightgbm"):
        project = projects(run.folder, model)
        alone = decode_and_predict(project, bodies(run.folder, 1000).read_bytes().splitlines())
        with running(ours(project)) as (url, pid):
            load = run.take_turns({"ours": url}, 1000, 1)["ours"]
            before = busiest(pid)
            worked = wrk(url, run.folder, 1000, 1, run.seconds)
            busy = (busiest(pid) - before) / (worked.rate * run.seconds)
        took = 1 / load.rate
        for how, (seconds, busy_alone) in zip(("plain", "own reader"), alone, strict=True):
            run.say(f"{model}, 1,000 rows: decode + predict ({how}) / request", seconds / took, ">= 0.6",
                    seconds / took >= 0.6 and load.errors == 0,
                    f"{seconds * 1e3:.2f} of {took * 1e3:.2f} ms a request, {1000 / took:,.0f} rows/s")  # fmt: skip
            run.say(f"{model}, 1,000 rows: the same in processor time ({how})", busy_alone / busy, "", True,
                    f"{busy_alone * 1e3:.2f} of {busy * 1e3:.2f} ms a request")  # fmt: skip


def busiest(pid: int) -> float:
    """Processor seconds so far of the busiest process below a supervisor: the one that answers."""
    children = [child for file in Path(f"/proc/{pid}/task").glob("*/children") for child in file.read_text().split()]
    return max(_busy(int(child)) for child in children)


def _busy(pid: int) -> float:
    ticks = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")


def decode_and_predict(project: Path, requests: Sequence[bytes]) -> list[tuple[float, float]]:
    """Median seconds and processor seconds of decode + predict for one request, on one core: as a plain program does
    it, and with the server's own reader."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {0})
    settings = config.load(project)
    with open_facts(settings) as facts:
        roles = fold.roles(facts.ledger.events())
        version = roles.versions["v1"]
        reader, names = Reader(version.signature), version.signature.names
        engine = opener(settings, facts.blobs)(version)
        plain, ours_alone = [], []
        for _ in range(15):
            for body in requests:
                started = _now()
                rows = [row["features"] for row in msgspec.json.decode(body)["rows"]]
                engine.predict(Table(np.array([[row[name] for name in names] for row in rows]), names), 1e9)
                plain.append(_now() - started)
                started = _now()
                columns = reader.columns(reader.read_all([row.features for row in wire._decode_rows(body).rows]))
                assert columns is not None
                engine.predict(columns, 1e9)
                ours_alone.append(_now() - started)
        engine.close()
    os.sched_setaffinity(0, before)
    return [(median(took[0] for took in each), median(took[1] for took in each)) for each in (plain, ours_alone)]


def _now() -> Any:
    """(seconds by the clock, processor seconds of this thread), to be subtracted."""
    return np.array([time.perf_counter(), time.thread_time()])


def durability(run: Run) -> None:
    """What each declared durability costs at 64 connections."""
    rates = {}
    folders = {}
    for each in ("commit", "fsync", "behind"):
        folders[each] = projects(run.folder, "linear", each)
    with (
        running(ours(folders["commit"])) as (commit, _),
        running(ours(folders["fsync"])) as (fsync, _),
        running(ours(folders["behind"])) as (behind, _),
    ):
        rates = run.take_turns({"commit": commit, "fsync": fsync, "behind": behind}, 1, 64)
    base = rates["commit"]
    for each, least in (("fsync", 0.7), ("behind", 0.0)):
        load = rates[each]
        run.say(f"linear, 64 connections: {each} / commit", load.rate / base.rate, f">= {least:g}",
                load.rate / base.rate >= least and load.errors == 0,
                f"{load.rate:,.0f} of {base.rate:,.0f} requests/s, p99 {load.p99_ms:.2f} ms")  # fmt: skip


def trials(run: Run) -> None:
    """What a trial and a shadow cost the answer."""
    for model in ("linear", "lightgbm"):
        folders = {
            "alone": projects(run.folder, model, trial=""),
            "shadow": projects(run.folder, model, trial="shadow"),
        }
        folders["split"] = projects(run.folder, model)
        for connections in (1, 16):
            with (
                running(ours(folders["alone"])) as (alone, _),
                running(ours(folders["shadow"])) as (shadow, _),
                running(ours(folders["split"])) as (split_url, _),
            ):
                loads = run.take_turns({"alone": alone, "shadow": shadow, "split": split_url}, 1, connections)
            base = loads["alone"]
            for each, most in (("split", 9.0), ("shadow", 1.2)):
                ratio = loads[each].p50_ms / base.p50_ms
                run.say(f"{model}, {connections} connections: p50 with {each} / alone", ratio, f"<= {most:g}",
                        ratio <= most, f"{loads[each].p50_ms:.3f} of {base.p50_ms:.3f} ms")  # fmt: skip


def workers(run: Run) -> None:
    """Two answering processes against one, on both cores: requests so heavy that the load generator needs little."""
    project = projects(run.folder, "lightgbm")
    rates: dict[str, list[float]] = {"1": [], "2": []}
    for _ in range(run.rounds):
        for count, seen in rates.items():
            with running(ours(project, "--workers", count), None) as (url, _):
                wrk(url, run.folder, 200, 16, min(1.0, run.seconds), "0,1")
                seen.append(wrk(url, run.folder, 200, 16, run.seconds, "0,1").rate)
    one, two = (median(seen) for seen in rates.values())
    run.say("lightgbm, 200 rows, 16 connections: two workers / one", two / one, ">= 1.6", two / one >= 1.6,
            f"{two * 200:,.0f} of {one * 200:,.0f} rows/s on {os.cpu_count()} cores")  # fmt: skip


PARTS: dict[str, Callable[[Run], None]] = {
    "single": single_rows,
    "large": large_requests,
    "durability": durability,
    "trials": trials,
    "workers": workers,
}


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--only", choices=list(PARTS), action="append", help="one part; may be given several times")
    options.add_argument("--seconds", type=float, default=3.0, help="of each load")
    options.add_argument("--rounds", type=int, default=5, help="loads of each server; medians are shown")
    options.add_argument("--json", action="store_true", help="print the figures as JSON at the end")
    options.add_argument("--echo", action="store_true", help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.echo:
        serve_echo()
        return 0
    missing = [tool for tool in ("wrk", "taskset") if shutil.which(tool) is None]
    if missing:
        print(f"found no {', '.join(missing)}; install it first (Debian: apt-get install wrk util-linux)")
        return 2
    with tempfile.TemporaryDirectory() as name:
        run = Run(Path(name), chosen.seconds, chosen.rounds)
        for part in chosen.only or PARTS:
            PARTS[part](run)
    if chosen.json:
        print(json.dumps(run.found, indent=1))
    return int(run.failed)


if __name__ == "__main__":
    sys.exit(main())
