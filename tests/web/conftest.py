"""A small true story on a real store, the pages that show it, and a real browser to look at them."""

import asyncio
import json
import math
import shutil
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette

from incumbent.config import Config, parse
from incumbent.loop import promote
from incumbent.loop.fold import roles as fold
from incumbent.records import (
    DAY,
    Column,
    Evidence,
    Json,
    Micros,
    Outcome,
    Prediction,
    Review,
    Shadow,
    Signature,
    Version,
)
from incumbent.server.listening import listening
from incumbent.storage.opening import Facts, open_facts
from incumbent.storage.pictures import Pictures
from incumbent.web.app import pages

APRIL: Micros = 1364788800 * 1_000_000  # 1 April 2013, midnight in New York
TEXT = """
[task]
name = "flight-delay"
kind = "binary"
target = "late"
metric = "brier"
unit = "tailnum"
timezone = "America/New_York"

[plan]
beat = "the late rate of January to March"
ship_when = "better on held-out days, then on live traffic, at 95 % confidence"
latency_budget_ms = 1.0
retrain = "every month, on all flights whose outcome is known by then"
"""
COLUMNS = (
    Column("carrier", "string", categories=("9E", "AA", "UA")),
    Column("hour", "integer", nullable=False),
    Column("wind_gust", "number"),
)
SIGNATURE = Signature(COLUMNS, "binary", (False, True))
DRAWN = b'<svg xmlns="http://www.w3.org/2000/svg" width="600" height="200"><rect width="600" height="200"/></svg>'


class Story:
    """Appends to a real store through the loop's own verbs."""

    def __init__(self, facts: Facts, config: Config) -> None:
        self.facts, self.config = facts, config

    @property
    def roles(self) -> Any:
        return fold(self.facts.ledger.events())

    def version(self, name: str, at: Micros, **facts: Any) -> None:
        manifest = {
            "parts": {"native.skops": "a" * 64, "twin.onnx": "b" * 64},
            "libraries": {"scikit-learn": "1.9.1"},
            "golden": self.facts.blobs.put(json.dumps({"rows": [{"hour": 7}] * 50}).encode()),
            "compile": {"made": True, "reason": None, "max_difference": 1.2e-7},
        }
        digest = self.facts.blobs.put(json.dumps(manifest).encode())
        known = {"runtime": "sklearn", "serves": "twin.onnx", "recipe": "train", "n_rows": 80_789} | facts
        made = Version(name=name, manifest=digest, signature=SIGNATURE, **known)
        promote.register(self.facts.ledger, self.roles, made, at=at, actor="tick")

    def promoted(self, name: str, at: Micros, reason: str) -> None:
        promote.promote(self.facts.ledger, self.roles, name, at=at, actor="tick", reason=reason)

    def found(self, *evidence: Evidence) -> None:
        for one in evidence:
            promote.record(self.facts.ledger, one, actor="tick")


def tell(facts: Facts, config: Config) -> None:
    """A baseline, a first model, a challenger on a split trial, one refused retrain, some traffic."""
    story = Story(facts, config)
    story.version("v1", APRIL, runtime="rule", serves="", recipe="rule:prior", description="prior of the classes")
    story.found(
        rule("prior of the classes", 1, "best", 0.1723),
        rule("late rate of each carrier", 2, "beaten", 0.1737),
    )
    promote.set_baseline(facts.ledger, story.roles, "v1", at=APRIL, actor="tick", reason="the best naive rule")
    story.promoted("v1", APRIL, "the first incumbent: the best naive rule")
    story.version("v2", APRIL + DAY, description="boosted trees on 80,789 rows", parent="v1")
    gated = "ship: v2 against v1 (0.1723 → 0.1571 on 12,300 rows in 14 blocks): gain 0.0152, at least 0.0089"
    numbers = {"gain": 0.0152, "lower": 0.0089}
    story.found(Evidence("gate", "v2", "ship", gated, APRIL + DAY, "v1", numbers))
    fast = "v2 answers single rows in 0.09 ms (p99), inside the budget of 1 ms."
    measured = {"p50_ms": 0.05, "p99_ms": 0.09}
    story.found(Evidence("speed", "v2", "ship", fast, APRIL + DAY, None, {"budget_ms": 1.0}, measured))
    story.promoted("v2", APRIL + DAY, gated)
    promote.refuse_retrain(
        facts.ledger,
        "cadence",
        at=APRIL + 30 * DAY,
        actor="tick",
        reason="the recipe is shown worse on the last days (gain -0.021, at most -0.011)",
    )
    story.version("v3", APRIL + 31 * DAY, description="boosted trees <on> 105,000 rows", parent="v2")
    promote.start_trial(facts.ledger, story.roles, "v3", at=APRIL + 31 * DAY, actor="tick", mode="split", enrolled=0.5)
    story.found(*(look(story.roles.trial.name, n) for n in range(1, 11)))
    traffic(facts)


def rule(name: str, rank: int, verdict: str, value: float) -> Evidence:
    numbers: dict[str, Json] = {"rank": rank, "metric": "brier", "value": value, "lower": value - 0.008}
    sentence = f"{name}: brier {value:.4f} on 12,300 held-out rows; perfect is 0."
    return Evidence("baseline", name, verdict, sentence, APRIL, None, numbers | {"upper": value + 0.008})


def look(trial: str, n: int) -> Evidence:
    """The n-th daily look at the trial, as `steps.live.trial` tells it, in short."""
    at = APRIL + (31 + n) * DAY
    numbers: dict[str, Json] = {
        "trial": trial,
        "phase": 1,
        "mode": "split",
        "metric": "brier",
        "looks": n,
        "n": {"challenger": 840, "incumbent": 851},
        "n_kind": "units",
        "rows": {"challenger": 4_210, "incumbent": 4_333},
        "matured": {"challenger": 4_210, "incumbent": 4_333},
        "labelled": {"challenger": 4_101, "incumbent": 4_209},
        "coverage": {"challenger": 0.974, "incumbent": 0.971},
        "value": {"challenger": 0.1521, "incumbent": 0.1563},
        "guardrails": [{"name": "errors", "harm": False, "events": {"challenger": 0, "incumbent": 0}}],
        "estimate": 0.004 + 0.002 / n,
        "lower": 0.004 - 0.02 / math.sqrt(n),
        "upper": 0.004 + 0.02 / math.sqrt(n),
    }
    sentence = f"v3 against v2 (split, look {n}): needs a gain that is shown above 0."
    return Evidence("live", "v3", "continue", sentence, at, "v2", numbers)


def traffic(facts: Facts) -> None:
    """Forty predictions, two of them by a fallback; outcomes for most, one for nobody; three drawn rows."""
    predictions = [
        Prediction(
            f"r{i}",
            APRIL + 31 * DAY + i * 3_600_000_000,
            {"carrier": "UA", "hour": i % 24, "wind_gust": None},
            "v2",
            "v1" if i in (7, 8) else "v2",
            (0.8, 0.2),
            unit=f"N{i % 9}",
            fallback_reason="timeout" if i in (7, 8) else None,
        )
        for i in range(40)
    ]
    facts.log.append(predictions)
    facts.log.append_outcomes([Outcome(one.id, False, one.at + DAY // 4) for one in predictions[:30]])
    facts.log.append_outcomes([Outcome("nobody", True, APRIL)])
    facts.log.append_shadows([Shadow("r1", "v1", (0.78, 0.22))])
    facts.log.append_reviews(
        [
            Review("r31", APRIL + 33 * DAY, "v2", "doubtful", 0.031, "least-confident"),
            Review("r33", APRIL + 33 * DAY, "v2", "audit", 0.008, "least-confident"),
            Review("r1", APRIL + 33 * DAY, "v2", "audit", 0.008, "least-confident"),
        ]
    )


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return parse(TEXT, tmp_path)


@pytest.fixture
def facts(config: Config) -> Iterator[Facts]:
    opened = open_facts(config)
    yield opened
    opened.close()


@pytest.fixture
def told(facts: Facts, config: Config) -> Facts:
    """The store after the story, with two drawn pictures."""
    tell(facts, config)
    names = ("trial.light", "trial.dark", "loss.light", "loss.dark")
    Pictures(config.store_path, facts.blobs).put_all(dict.fromkeys(names, DRAWN), APRIL + 41 * DAY)
    return facts


class Client:
    """Asks an application in this process, without a socket."""

    def __init__(self, app: Starlette) -> None:
        self._app = app

    def get(self, path: str, **how: Any) -> httpx.Response:
        with ThreadPoolExecutor(1) as elsewhere:  # the driver of the real browser has a loop of its own in this thread
            return elsewhere.submit(lambda: asyncio.run(self._get(path, how))).result()

    async def _get(self, path: str, how: dict[str, Any]) -> httpx.Response:
        transport = httpx.ASGITransport(self._app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://pages") as asking:
            return await asking.get(path, **how)


@pytest.fixture
def ask(facts: Facts, config: Config) -> Client:
    """A client of the pages; the store is empty unless the test asks for `told` too."""
    return Client(pages(facts, config))


@pytest.fixture
def client(told: Facts, ask: Client) -> Client:
    return ask


class Served:
    """An application on a free port, in a thread of this process."""

    def __init__(self, app: Starlette) -> None:
        self._listening = listening("127.0.0.1", 0)
        listener = self._listening.__enter__()
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        self._server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off", ws="none"))
        self._thread = threading.Thread(target=self._server.run, args=([listener],))
        self._thread.start()

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(30)
        self._listening.__exit__(None, None, None)
        assert not self._thread.is_alive()


@pytest.fixture
def serve() -> Iterator[Callable[[Starlette], str]]:
    """Serve applications until the end of the test; the address of each."""
    began: list[Served] = []

    def served(app: Starlette) -> str:
        began.append(Served(app))
        return began[-1].url

    yield served
    for one in began:
        one.stop()


@pytest.fixture
def url(told: Facts, config: Config, serve: Callable[[Starlette], str]) -> str:
    return serve(pages(told, config))


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Debian's chromium, driven by playwright."""
    found = shutil.which("chromium")
    if found is None:
        pytest.fail("chromium is not installed: run `make chromium`, which installs it or says how")
    from playwright.sync_api import sync_playwright  # heavy, and wanted by the tests of a browser alone

    quiet = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
    quiet += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=found, args=quiet)
        yield chromium
        chromium.close()
