"""The answering path on PostgreSQL: two servers on one store, and a database that goes away and comes back."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import httpx
import numpy as np
import pytest

from incumbent import config
from incumbent.loop import fold, promote
from incumbent.records import DAY, Column, Signature, Version
from incumbent.runtimes import artefact
from incumbent.runtimes.rule import Rule
from incumbent.storage.opening import Facts, open_facts

TOML = """
[task]
name = "answering"
kind = "binary"
target = "late"
metric = "brier"
[store]
url = "{url}"
schema = "{schema}"
lock_timeout_s = 2
"""
SIGNATURE = Signature((Column("hour", "integer"),), "binary", (0, 1))
SERVE = "import sys; from incumbent.server.serving import serve; serve(sys.argv[1], port=0, json_line=True)"


@pytest.fixture
def project(server: Any, tmp_path: Path) -> Iterator[tuple[Path, Facts]]:
    """A folder, and its facts: a rule is the incumbent."""
    (tmp_path / "incumbent.toml").write_text(TOML.format(url=server.url, schema=f"site_{tmp_path.name[-20:]}"))
    settings = config.load(tmp_path)
    with open_facts(settings) as facts:
        rule = Rule({"rule": "prior", "probabilities": [0.8, 0.2]}, SIGNATURE)
        saved = artefact.save(facts.blobs, rule, runtime="rule", signature=SIGNATURE,
                              sample={"hour": np.arange(3.0)}, versions=settings.versions)  # fmt: skip
        version = Version("v1", saved.runtime, saved.manifest, SIGNATURE, saved.serves)
        promote.register(facts.ledger, fold.roles([]), version, at=DAY, actor="test")
        promote.promote(
            facts.ledger, fold.roles(facts.ledger.events()), "v1", at=DAY, actor="test", reason="a test"
        )
        yield tmp_path, facts


@pytest.fixture
def serve() -> Iterator[Callable[[Path], str]]:
    """Starts a server in a process of its own, and says where it is."""
    children: list[subprocess.Popen[bytes]] = []

    def start(folder: Path) -> str:
        child = subprocess.Popen([sys.executable, "-c", SERVE, str(folder)], stdout=subprocess.PIPE)
        children.append(child)
        assert child.stdout is not None
        url: str = json.loads(child.stdout.readline())["url"]
        return url

    yield start
    for child in children:
        child.send_signal(signal.SIGTERM)
        child.communicate(timeout=60)


def ask(url: str, *ids: str | None) -> httpx.Response:
    """Rows with these ids; None leaves it to the server."""
    rows = [{"features": {"hour": 5}, **({} if id is None else {"id": id})} for id in ids]
    return httpx.post(f"{url}/v1/predict", json={"rows": rows}, timeout=30)


def until(found: Callable[[], bool]) -> None:
    """Wait for it."""
    limit = monotonic() + 30
    while not found():
        assert monotonic() < limit
        sleep(0.02)


def test_two_servers_share_one_store(project: tuple[Path, Facts], serve: Callable[[Path], str]) -> None:
    """Every answered row is there once; what one has answered the other repeats; outcomes find their prediction."""
    folder, facts = project
    urls = serve(folder), serve(folder)

    def hammer(n: int) -> list[int]:
        return [ask(urls[i % 2], f"{n}-{i}", None).status_code for i in range(20)]

    with ThreadPoolExecutor(4) as pool:
        assert {code for codes in pool.map(hammer, range(4)) for code in codes} == {200}
    assert facts.log.totals().predictions == 160
    assert ask(urls[0], "1-1").json() == ask(urls[1], "1-1").json()
    outcomes = {"outcomes": [{"id": "1-1", "value": 1}, {"id": "unknown", "value": 0}]}
    said = httpx.post(f"{urls[1]}/v1/outcomes", json=outcomes, timeout=30).json()
    assert (said["accepted"], said["pending"]) == (1, 1)
    assert facts.log.totals().predictions == 160


def test_a_database_that_goes_away(server: Any, project: tuple[Path, Facts], serve: Callable[[Path], str]) -> None:
    """503 at once and nothing is kept, while it is away; 200 without a restart when it is back."""
    folder, facts = project
    url = serve(folder)
    assert ask(url, "before").status_code == 200
    server.stop()
    try:
        began = monotonic()
        answers = [ask(url, "while"), ask(url, None)]
        assert monotonic() - began < 10
        assert [answer.status_code for answer in answers] == [503, 503]
        assert "s3cret" not in answers[0].text
    finally:
        server.start()
    until(lambda: ask(url, "after").status_code == 200)
    assert set(facts.log.find(["before", "while", "after"])) == {"before", "after"}
