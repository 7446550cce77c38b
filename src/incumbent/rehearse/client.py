"""A real server in a child process, and the plain HTTP client that drives it.

In: a project's folder. Out: answers, outcome counts, status; and how long each request took.
Knows no model and no decision.
"""

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from incumbent.errors import IncumbentError, StorageError


class RequestFailed(IncumbentError):
    """The server answered a rehearsal's request with an error."""


class Server:
    """`incumbent serve` as a child on a free port of this machine, without a ticker and without a supervisor.

    `clock` is "replay" (time comes from the requests) or "wall". `seconds` of each request are kept in
    `latencies` (only answered predictions).
    """

    def __init__(self, folder: Path, clock: str = "replay", log: Path | None = None) -> None:
        self.requests = 0
        self.failed = 0
        self.latencies: list[float] = []
        self._out = (log or folder / "server.log").open("wb")
        command = [sys.executable, "-m", "incumbent", "serve", "--project", str(folder), "--no-tick"]
        command += ["--clock", clock, "--port", "0", "--workers", "0", "--json"]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        self._child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self._out, env=environment)
        self.url = self._ready()
        host, port = self.url.removeprefix("http://").split(":")
        self._connection = http.client.HTTPConnection(host, int(port), timeout=120)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def predict(self, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Answers in the order of the rows; RequestFailed when the server refuses."""
        started = time.perf_counter()
        answer = self._post("/v1/predict", {"rows": rows})
        self.latencies.append(time.perf_counter() - started)
        predictions: list[dict[str, Any]] = answer["predictions"]
        return predictions

    def outcomes(self, outcomes: Sequence[Mapping[str, Any]]) -> dict[str, int]:
        counts: dict[str, int] = self._post("/v1/outcomes", {"outcomes": outcomes})
        return counts

    def status(self) -> dict[str, Any]:
        status: dict[str, Any] = self._ask("GET", "/v1/status")
        return status

    def follow(self, sequence: int, seconds: float = 120.0) -> None:
        """Wait until the server's routes follow the ledger up to `sequence` and no shadow row is waiting."""
        deadline = time.monotonic() + seconds
        while True:
            status = self._post("/v1/follow", {})
            if status["sequence"] >= sequence and status["shadow_backlog"] == 0:
                return
            if time.monotonic() > deadline:
                raise StorageError(
                    f"the server follows event {status['sequence']} with {status['shadow_backlog']} shadow rows "
                    f"waiting after {seconds:g} s, expected event {sequence} and none; see its log"
                )
            time.sleep(0.005)

    def stop(self) -> None:
        """End the server as a service manager would (SIGTERM), and wait for it."""
        if self._child.poll() is None:
            self._child.send_signal(signal.SIGTERM)
            try:
                self._child.wait(30)
            except subprocess.TimeoutExpired:
                self._child.kill()
                self._child.wait()
        self._connection.close()
        if self._child.stdout is not None:
            self._child.stdout.close()
        self._out.close()

    def wait(self) -> None:
        """Stay up until somebody stops the server."""
        self._child.wait()

    def _ready(self, seconds: float = 60.0) -> str:
        assert self._child.stdout is not None
        line = self._child.stdout.readline()
        if not line:
            code = self._child.wait(seconds)
            raise StorageError(f"the server ended with code {code} before it was ready; its log is {self._out.name}")
        url: str = json.loads(line)["url"]
        return url

    def _post(self, path: str, body: Mapping[str, Any]) -> Any:
        return self._ask("POST", path, msgspec.json.encode(body))

    def _ask(self, method: str, path: str, body: bytes | None = None) -> Any:
        self.requests += 1
        try:
            response, content = self._send(method, path, body)
        except (ConnectionError, http.client.RemoteDisconnected):
            # The server ends a connection that was idle for some seconds (a refit in between). Ids make a repeat safe.
            self._connection.close()
            response, content = self._send(method, path, body)
        if response.status != 200:
            self.failed += 1
            raise RequestFailed(f"{method} {path}: HTTP {response.status}: {content[:500].decode(errors='replace')}")
        return msgspec.json.decode(content)

    def _send(self, method: str, path: str, body: bytes | None) -> tuple[http.client.HTTPResponse, bytes]:
        self._connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
        response = self._connection.getresponse()
        return response, response.read()
