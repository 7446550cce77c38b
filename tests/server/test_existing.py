"""The system in place, behind its address, is the incumbent of a real server: whatever it does, somebody answers."""

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "project"))

from parcels import day, write
from systems import System, by_weight

from incumbent import config
from incumbent.errors import VersionError
from incumbent.loop import fold, promote
from incumbent.project import open_project
from incumbent.server.proving import apart
from incumbent.storage.opening import open_facts

WAIT_S = 30.0
DEADLINE_MS = 400
ROW = {"weight": 2.0, "depot": "north", "serial": 7}


class Site:
    """v1, the rate by depot, is the baseline; v2, the system at an address, the incumbent; `run` starts a server."""

    def __init__(self, folder: Path, system: System, settings: str = "") -> None:
        self.system = system
        asks = f'[baseline]\nurl = "{system.url}"\nurl_answers = true\nincumbent = "url"\nurl_batch = 20\n'
        more = f"{asks}[serve]\npoll_s = 0.05\ndeadline_ms = {DEADLINE_MS}\n{settings}"
        self.folder = write(folder, more)
        with open_project(self.folder, clock=lambda: day(50), actor="test") as project:
            project.baseline(now=day(40))

    def start(self, run: Callable[..., Any]) -> None:
        self.server = run(self.folder)
        self.until(lambda: self.served() == ("v2", None))

    def ask(self, *rows: Any) -> list[Any]:
        done = self.server.http.post("/v1/predict", json={"rows": [{"features": row} for row in rows or (ROW,)]})
        assert done.status_code == 200, done.text
        return list(done.json()["predictions"])

    def served(self) -> tuple[str, str | None]:
        (answer,) = self.ask()
        return answer["served_by"], answer.get("fallback_reason")

    def breaker(self) -> str:
        return str(self.server.door.answerer.chain.state_of("v2"))

    @staticmethod
    def until(found: Callable[[], bool]) -> None:
        limit = time.monotonic() + WAIT_S
        while not found():
            assert time.monotonic() < limit, f"not within {WAIT_S:g} s"
            time.sleep(0.01)


@pytest.fixture
def system() -> Iterator[System]:
    found = System()
    yield found
    found.stop()


@pytest.fixture
def old(tmp_path: Path, system: System, run: Callable[..., Any]) -> Site:
    found = Site(tmp_path / "parcels", system)
    found.start(run)
    return found


def test_the_system_in_place_answers(old: Site) -> None:
    """Its own answer, checked and logged like any other; the question holds the features of the row."""
    (answer,) = old.ask()
    assert (answer["version"], answer["served_by"]) == ("v2", "v2")
    assert answer["probabilities"]["1"] == pytest.approx(1 / (1 + 2.718281828 ** -2))
    assert old.system.asked[-1]["rows"] == [{"features": ROW}]


def test_no_question_is_larger_than_its_batch(old: Site) -> None:
    """A request of many rows is cut, and each row has its own answer."""
    old.system.asked.clear()
    rows = [{**ROW, "weight": float(i) / 10} for i in range(90)]
    answers = old.ask(*rows)
    late = [answer["probabilities"]["1"] for answer in answers if answer["served_by"] == "v2"]
    assert len(late) == 90 and late == sorted(late)
    assert max(len(asked["rows"]) for asked in old.system.asked) <= 20 and old.system.rows == 90


def test_it_goes_down_and_the_baseline_answers_until_it_is_back(old: Site) -> None:
    """No request fails; the breaker opens, so that nobody waits for it; it never latches, and closes again."""
    breaker = old.server.door.answerer.chain.breakers["v2"]
    at = [0.0]
    breaker.clock = lambda: at[0]
    old.system.reply = lambda asked: (503, b"we are closed")
    reasons = [old.served() for _ in range(12)]
    assert {who for who, _ in reasons} == {"v1"} and reasons[0] == ("v1", "error")
    assert reasons[-1] == ("v1", "breaker_open") and old.breaker() == "open"
    asked = len(old.system.asked)
    assert old.served() == ("v1", "breaker_open") and len(old.system.asked) == asked
    for _ in range(5):  # one probe each half minute; a version of ours would be latched by now
        at[0] += 31.0
        assert old.served() == ("v1", "error")
    assert old.breaker() == "open"
    old.system.reply, at[0] = by_weight(), at[0] + 31.0
    assert [old.served() for _ in range(3)] == [("v2", None)] * 3
    assert old.breaker() == "closed"


def test_nobody_listens_any_more(old: Site) -> None:
    """The port is closed: each request has the answer of the baseline."""
    old.system.stop()
    assert [old.served()[0] for _ in range(8)] == ["v1"] * 8


@pytest.mark.parametrize(
    "reply",
    [(200, b"<html>"), (200, b'{"predictions": []}'), (307, b""), (200, json.dumps([7.5]).encode()),
     (200, b"[NaN]"), (200, b'["perhaps"]'), (401, b"who are you?")],
    ids=["no JSON", "too few", "redirect", "out of range", "NaN", "a word", "refused"],
)  # fmt: skip
def test_nonsense_is_nobody_s_answer(old: Site, reply: tuple[int, bytes]) -> None:
    """It is checked like any other output; the baseline answers instead."""
    old.system.reply = lambda asked: reply
    who, reason = old.served()
    assert who == "v1" and reason in ("error", "bad_output")


def test_a_system_that_hangs_is_not_waited_for(old: Site) -> None:
    """Longer than the deadline, and its own; the process that asks gives up by itself, and is not started anew."""
    done = threading.Event()

    def hang(asked: Any) -> tuple[int, bytes]:
        done.wait(60)
        return 200, b"[]"

    old.system.reply = hang
    pid = old.server.door.answerer.state.lanes["v2"].engine.pid
    try:
        began = time.monotonic()
        who, reason = old.served()
        assert who == "v1" and reason in ("error", "timeout")
        assert time.monotonic() - began < WAIT_S / 2
    finally:
        done.set()
    old.system.reply = by_weight()
    old.until(lambda: old.served() == ("v2", None))
    assert reason == "timeout" or old.server.door.answerer.state.lanes["v2"].engine.pid == pid


def test_an_answer_that_drips_is_cut_off(old: Site) -> None:
    """A byte now and then keeps no request waiting: the deadline is of the whole answer."""
    old.system.drip_s = DEADLINE_MS / 1e3 / 4
    began = time.monotonic()
    who, reason = old.served()
    assert who == "v1" and reason in ("error", "timeout") and time.monotonic() - began < WAIT_S / 2
    old.system.drip_s = 0.0
    at = iter(range(0, 10**9, 31))  # while its process starts anew, its breaker may open: no half minute is waited for
    old.server.door.answerer.chain.breakers["v2"].clock = lambda: float(next(at))
    old.until(lambda: old.served() == ("v2", None))


def test_a_token_that_is_gone_is_a_version_that_does_not_load(
    tmp_path: Path, system: System, run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The baseline answers; with the token it loads, and is asked with it."""
    monkeypatch.setenv("OLD_TOKEN", "open sesame")
    site = Site(tmp_path / "parcels", system)
    toml = site.folder / "incumbent.toml"
    toml.write_text(toml.read_text().replace("url_answers", 'url_token_env = "OLD_TOKEN"\nurl_answers'))
    with open_project(site.folder, clock=lambda: day(50), actor="test") as project:
        project.baseline(now=day(40))
        with_token = list(project.roles().versions)[-1]
        assert project.version(with_token).runtime == "endpoint" and with_token != "v2"
        project.promote(with_token, "the same, with its token", now=day(40))
    monkeypatch.delenv("OLD_TOKEN")
    site.server = run(site.folder)
    assert site.served() == ("v2", "not_loaded")  # the incumbent before, which needs none, is behind it
    monkeypatch.setenv("OLD_TOKEN", "open sesame")
    again = run(site.folder)
    site.server = again
    site.until(lambda: site.served() == (with_token, None))
    assert system.tokens[-1] == "Bearer open sesame"


def test_our_first_model_goes_on_trial_in_front_of_it(old: Site) -> None:
    """Both score each row: the system answers, and the model's answers are logged beside it."""
    with open_project(old.folder, clock=lambda: day(50), actor="test") as project:
        version, evidence = project.train(now=day(40))
        assert version is not None and evidence.reference == "v2"
        project.live.start(version.name, now=day(40))
        name = version.name
    old.until(lambda: old.server.door.answerer.routes.shadows == (name,))
    facts = old.server.door.answerer.facts
    assert old.served() == ("v2", None)
    old.until(lambda: facts.log.totals().shadows > 0)
    assert facts.log.totals().shadow_errors == 0


def test_it_is_proved_by_answering_at_all(old: Site) -> None:
    """Over HTTP: promoted back while it answers, in whatever way; refused while it does not."""
    http = old.server.http
    settings = config.load(old.folder)
    with open_facts(settings) as facts:
        version = fold.roles(facts.ledger.events()).versions["v2"]
        old.system.reply = by_weight(turned=-1.0)
        apart(settings)(version)
        old.system.reply = lambda asked: (500, b"gone")
        with pytest.raises(VersionError, match="answered 500"):
            apart(settings)(version)
        assert promote.promotable(fold.roles(facts.ledger.events()), "v2").answers
    listed = {one["name"]: one for one in http.get("/v1/versions").json()["versions"]}
    assert (listed["v2"]["runtime"], listed["v2"]["description"]) == ("endpoint", old.system.url)
