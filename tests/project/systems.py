"""A system that is in place, for tests: a real HTTP server on this machine, that answers as a test wants."""

import json
import math
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Reply = Callable[[Any], tuple[int, bytes]]


def by_weight(turned: float = 1.0) -> Reply:
    """Probabilities that rise with the weight of a parcel; a list under `predictions`."""

    def reply(asked: Any) -> tuple[int, bytes]:
        weights = [row["features"]["weight"] for row in asked["rows"]]
        return 200, json.dumps({"predictions": [1 / (1 + math.exp(-turned * w)) for w in weights]}).encode()

    return reply


class System:
    """Answers as `reply` says; a status of 307 leads elsewhere. Remembers what it was asked, and with which tokens."""

    def __init__(self, reply: Reply | None = None) -> None:
        self.reply: Reply = reply or by_weight()
        self.asked: list[Any] = []
        self.tokens: list[str | None] = []
        self.drip_s = 0.0  # seconds between two bytes of an answer; 0: it comes at once
        system = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                system.asked.append(asked)
                system.tokens.append(self.headers["Authorization"])
                status, content = system.reply(asked)
                try:
                    self.send_response(status)
                    if status == 307:
                        self.send_header("Location", "/elsewhere")
                    self.send_header("Content-Length", str(len(content)))
                    self.end_headers()
                    for part in [content[i : i + 1] for i in range(len(content))] if system.drip_s else [content]:
                        self.wfile.write(part)
                        time.sleep(system.drip_s)
                except OSError:
                    return  # who asked has gone

            def log_message(self, *args: Any) -> None:
                """Nothing is written to standard error."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/predict"
        self._thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        self._up = True

    @property
    def rows(self) -> int:
        """How many rows it was asked about."""
        return sum(len(asked["rows"]) for asked in self.asked)

    def stop(self) -> None:
        """Nobody listens on its port any more. Twice is fine."""
        if self._up:
            self._up = False
            self.server.shutdown()
            self.server.server_close()
            self._thread.join()
