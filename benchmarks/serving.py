"""How many rows a second does the HTTP server answer, each in the log before its answer leaves?

In: sizes of requests and numbers of clients. Out: one line each, as printed in the notes: requests and rows a second,
and the latency that a client sees. A project with one ONNX-free rule on flight-like rows is made in a temporary folder,
so what is measured is the path (HTTP, checks, routing, log), not a model. Run: python benchmarks/serving.py
"""

import json
import subprocess
import sys
import tempfile
import threading
import time
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np

from incumbent import config
from incumbent.loop import fold, promote
from incumbent.records import Column, Signature, Version
from incumbent.runtimes import artefact
from incumbent.runtimes.rule import Rule
from incumbent.storage.opening import open_facts

TOML = '[task]\nname="flights"\nkind="binary"\ntarget="late"\nmetric="brier"\n'
NUMBERS = ("month", "hour", "minute", "distance", "temperature", "wind", "visibility", "pressure")
TEXTS = ("carrier", "origin", "dest", "tailnum")
SERVE = "import sys; from incumbent.server.serving import serve; serve(sys.argv[1], port=0, json_line=True)"
SECONDS = 5.0


def project(folder: Path) -> None:
    """A project whose incumbent is a prior."""
    (folder / "incumbent.toml").write_text(TOML)
    settings = config.load(folder)
    columns = (*(Column(n, "number") for n in NUMBERS), *(Column(n, "string") for n in TEXTS))
    signature = Signature(columns, "binary", (0, 1))
    sample = {n: np.arange(3.0) for n in NUMBERS} | {n: np.array(["x"] * 3, dtype=object) for n in TEXTS}
    with open_facts(settings) as facts:
        rule = Rule({"rule": "prior", "probabilities": [0.8, 0.2]}, signature)
        saved = artefact.save(
            facts.blobs, rule, runtime="rule", signature=signature, sample=sample, versions=settings.versions
        )
        version = Version("v1", saved.runtime, saved.manifest, signature, saved.serves)
        for append, what in ((promote.register, version), (promote.promote, "v1")):
            reason = {"reason": "a benchmark"}
            append(facts.ledger, fold.roles(facts.ledger.events()), what, at=0, actor="benchmark", **reason)


def body(rows: int) -> bytes:
    """A request of that many rows without ids."""
    features = dict.fromkeys(NUMBERS, 12.5) | dict.fromkeys(TEXTS, "N12345")
    return json.dumps({"rows": [{"features": features}] * rows}).encode()


def measure(url: str, rows: int, clients: int) -> tuple[float, float, float]:
    """(requests a second, median ms, 99th percentile ms) of clients that ask one request after the other."""
    content, parts = body(rows), urlsplit(url)
    took: list[float] = []
    end = time.perf_counter() + SECONDS

    def ask() -> None:
        connection = HTTPConnection(parts.hostname or "", parts.port)
        while (started := time.perf_counter()) < end:
            connection.request("POST", "/v1/predict", content)
            response = connection.getresponse()
            response.read()
            assert response.status == 200
            took.append(time.perf_counter() - started)
        connection.close()

    threads = [threading.Thread(target=ask) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    median, p99 = np.percentile(np.array(took) * 1e3, [50, 99])
    return len(took) / SECONDS, float(median), float(p99)


def main() -> None:
    """Print a line for each size and number of clients."""
    with tempfile.TemporaryDirectory() as folder:
        project(Path(folder))
        server = subprocess.Popen([sys.executable, "-c", SERVE, folder], stdout=subprocess.PIPE)
        assert server.stdout is not None
        url = json.loads(server.stdout.readline())["url"]
        try:
            for rows, clients in ((1, 1), (1, 8), (49, 1), (49, 8), (2000, 1)):
                requests, median, p99 = measure(url, rows, clients)
                print(
                    f"{rows:5d} rows x {clients} clients: {requests:7.0f} requests/s {requests * rows:8.0f} rows/s "
                    f"p50 {median:7.2f} ms  p99 {p99:7.2f} ms"
                )
        finally:
            server.terminate()
            server.wait()


if __name__ == "__main__":
    main()
