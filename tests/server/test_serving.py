"""The process: an orderly end, a killed one, two on one store, and promotions under load."""

import json
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from incumbent.errors import ConfigError
from incumbent.server import patience
from incumbent.server.listening import listening
from incumbent.server.serving import serve

WAIT_S = 30.0


def body(*ids: str) -> dict[str, Any]:
    return {"rows": [{"id": id, "features": {"hour": 5, "carrier": "UA"}} for id in ids]}


def until(found: Callable[[], bool]) -> None:
    limit = time.monotonic() + WAIT_S
    while not found():
        assert time.monotonic() < limit, f"not within {WAIT_S:g} s"
        time.sleep(0.01)


def test_sigterm_ends_it_in_order(site: Any, spawn: Any) -> None:
    """It answers, ends with code 0, writes nothing to standard error, and its port is free again."""
    child = spawn(site.folder)
    assert httpx.post(f"{child.url}/v1/predict", json=body("a")).status_code == 200
    assert child.end(signal.SIGTERM) == (0, "")
    port = int(child.url.rsplit(":", 1)[1])
    with listening("127.0.0.1", port):
        pass
    assert "a" in site.facts.log.find(["a"])


def test_sigterm_finishes_what_it_took(site: Any, spawn: Any) -> None:
    """Every request that was sent before the signal either has its answer, or was never taken."""
    child = spawn(site.folder)
    answered: list[str] = []

    def hammer(name: int) -> None:
        with httpx.Client(base_url=child.url, timeout=WAIT_S) as http:
            for i in range(10_000):
                try:
                    response = http.post("/v1/predict", json=body(f"{name}-{i}"))
                except httpx.TransportError:
                    return
                assert response.status_code == 200, response.text
                answered.append(f"{name}-{i}")

    with ThreadPoolExecutor(4) as threads:
        futures = [threads.submit(hammer, n) for n in range(4)]
        until(lambda: len(answered) > 50)
        code, said = child.end(signal.SIGTERM)
        for future in futures:
            future.result()
    assert (code, said) == (0, "")
    assert set(site.facts.log.find(answered)) == set(answered)


def test_who_has_just_connected_is_answered_at_the_end(site: Any, run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection is ours, so nobody else would answer: it has a moment to ask once; an idle one is closed."""
    monkeypatch.setattr(patience, "HURRY_S", WAIT_S)
    server = run(site.folder)
    host, port = server.url.removeprefix("http://").split(":")
    content = json.dumps(body("late")).encode()
    with socket.create_connection((host, int(port)), WAIT_S) as new, socket.create_connection((host, port)) as idle:
        idle.sendall(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
        assert idle.recv(4096).startswith(b"HTTP/1.1 200")  # so the one before it was accepted too
        ending = threading.Thread(target=server.stop)
        ending.start()
        while idle.recv(4096):
            pass
        new.sendall(b"POST /v1/predict HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(content) + content)
        said = b""
        while part := new.recv(4096):
            said += part
    ending.join(2 * WAIT_S)
    assert said.startswith(b"HTTP/1.1 200") and b"connection: close" in said.lower()
    assert not ending.is_alive() and "late" in site.facts.log.find(["late"])


def test_everything_acknowledged_survives_kill_9(site: Any, spawn: Any) -> None:
    """Killed in mid-traffic and started again: every answered id is in the log, and the server answers on."""
    child = spawn(site.folder)
    answered: list[str] = []

    def hammer(name: int) -> None:
        with httpx.Client(base_url=child.url, timeout=WAIT_S) as http:
            for i in range(10_000):
                ids = [f"{name}-{i}-{j}" for j in range(5)]
                try:
                    response = http.post("/v1/predict", json=body(*ids))
                except httpx.TransportError:
                    return
                answered.extend(p["id"] for p in response.json()["predictions"])

    with ThreadPoolExecutor(4) as threads:
        futures = [threads.submit(hammer, n) for n in range(4)]
        until(lambda: len(answered) > 300)
        os.kill(child.process.pid, signal.SIGKILL)
        for future in futures:
            future.result()
    assert set(site.facts.log.find(answered)) == set(answered)
    again = spawn(site.folder)
    response = httpx.post(f"{again.url}/v1/predict", json=body(answered[0], "new"))
    assert [p["id"] for p in response.json()["predictions"]] == [answered[0], "new"]


def test_two_servers_share_one_store(site: Any, spawn: Any) -> None:
    """Both answer, a retry may go to the other one, and both follow the same promotion."""
    urls = [spawn(site.folder).url, spawn(site.folder).url]

    def post(i: int) -> int:
        return httpx.post(f"{urls[i % 2]}/v1/predict", json=body(f"r{i // 2}"), timeout=WAIT_S).status_code

    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(post, range(200))) == {200}
    assert site.facts.log.totals().predictions == 100
    site.lead("v2")
    for url in urls:
        until(lambda url=url: httpx.get(f"{url}/v1/status").json()["routes"]["incumbent"] == "v2")


def test_promotions_under_load_fail_nothing(site: Any, server: Any) -> None:
    """Eight threads hammer while the incumbent changes eight times: no request fails, each names its version."""
    stop = threading.Event()
    seen: list[tuple[int, str]] = []

    def hammer() -> None:
        with httpx.Client(base_url=server.url, timeout=WAIT_S) as http:
            while not stop.is_set():
                response = http.post("/v1/predict", json={"rows": [{"features": {"hour": 1}}]})
                seen.append((response.status_code, response.json()["predictions"][0]["served_by"]))

    with ThreadPoolExecutor(8) as threads:
        futures = [threads.submit(hammer) for _ in range(8)]
        for i in range(8):
            site.lead("v2" if i % 2 == 0 else "v1")
            name = site.roles.incumbent
            until(lambda name=name: len(seen) > 0 and seen[-1][1] == name)
        stop.set()
        for future in futures:
            future.result()
    assert {status for status, _ in seen} == {200}
    assert {version for _, version in seen} == {"v1", "v2"}
    assert site.facts.log.totals().predictions == len(seen)


def test_the_replay_clock_takes_its_time_from_the_requests(site: Any, run: Any) -> None:
    """A row of any time is answered; one without a time is refused."""
    server = run(site.folder, "replay")
    row = {"features": {"hour": 1}, "at": 1_364_774_400_000_000}
    assert server.http.post("/v1/predict", json={"rows": [row]}).status_code == 200
    refused = server.http.post("/v1/predict", json={"rows": [{"features": {"hour": 1}}]})
    assert (refused.status_code, refused.json()["error"]["column"]) == (422, "at")


def test_a_taken_port_is_said() -> None:
    """With what to do."""
    with listening("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        with (
            pytest.raises(ConfigError, match=rf"cannot listen on 127.0.0.1:{port}.*0: a free one"),
            listening("127.0.0.1", port),
        ):
            pass


def test_a_wrong_clock_is_said(site: Any) -> None:
    """Before the stores are opened."""
    with pytest.raises(ConfigError, match="expected wall or replay"):
        serve(site.folder, port=0, clock="sun")
