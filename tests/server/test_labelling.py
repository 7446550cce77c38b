"""The pages alone: whoever labels is let in and led to the page, and a killed server has lost no answer."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from incumbent.asgi import label_app
from incumbent.config import parse
from incumbent.loop import study, tokens
from incumbent.loop.study import Item, Rows, Study
from incumbent.records import DAY
from incumbent.server.serving import serve
from incumbent.storage.opening import Facts, open_facts

TOML = '[task]\nname="letters"\nkind="binary"\ntarget="late"\nmetric="accuracy"\n'
WAIT_S = 30.0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project with a study of 400 rows, and nothing that answers."""
    (tmp_path / "incumbent.toml").write_text(TOML)
    with opened(tmp_path) as facts:
        items = tuple(Item(f"i{i}", {"x": i}) for i in range(400))
        rows = facts.blobs.put(study.rows_to_bytes(Rows(items, {}, ())))
        begun = Study("s1", rows, facts.blobs.put(b"{}"), 400, 0, 1, "binary", "late", (False, True))
        study.start(facts.ledger, begun, at=1, actor="test", expected=0)
    return tmp_path


def opened(folder: Path) -> Facts:
    return open_facts(parse(TOML, folder))


@pytest.fixture
def site(folder: Path) -> Iterator[str]:
    """The address of the pages, served in a thread."""
    heard, ready, stop = list[str](), threading.Event(), threading.Event()

    def say(url: str) -> None:
        heard.append(url)
        ready.set()

    app = label_app(folder)
    thread = threading.Thread(target=serve, args=(folder,),
                              kwargs={"port": 0, "app": app, "ready": say, "stop": stop})  # fmt: skip
    thread.start()
    assert ready.wait(WAIT_S)
    yield heard[0]
    stop.set()
    thread.join(WAIT_S)
    assert not thread.is_alive()


def form(page: dict[str, Any], **more: str) -> dict[str, str]:
    return {"study": page["study"]["name"], "slot": page["item"]["slot"], "shown_at": str(page["shown_at"]), **more}


def test_whatever_is_asked_for_leads_to_the_page(site: str) -> None:
    """There is no dashboard here, and nothing for programs; the stylesheet and the script are there."""
    with httpx.Client(base_url=site) as http:
        for path in ("/", "/review", "/v1/status", "/versions/v1.json"):
            assert (http.get(path).status_code, http.get(path).headers["location"]) == (303, "/label")
        assert "Who are you?" in http.get("/label").text
        assert http.get("/static/style.css").status_code == http.get("/static/label.js").status_code == 200


def test_another_sites_page_cannot_answer(site: str) -> None:
    """A form needs an Origin, and it must be this one."""
    with httpx.Client(base_url=site, cookies={"incumbent_reviewer": "ann"}) as http:
        page = http.get("/label.json").json()
        for headers in ({}, {"Origin": "https://evil.example"}, {"Origin": "null"}):
            assert http.post("/label", data=form(page, choice="1"), headers=headers).status_code == 403
        assert http.post("/label", data=form(page, choice="1"), headers={"Origin": site}).status_code == 303
        assert http.get("/label.json").json()["progress"]["done"] == 1


def test_a_token_that_labels_is_enough_and_needed(site: str, folder: Path) -> None:
    """As a password in a browser; the name is the token's. One that reads may not label, and one that labels may not
    read."""
    with opened(folder) as facts:
        labels, _ = tokens.add(facts.ledger, "ann", ["label"], at=DAY, actor="test")
        reads, _ = tokens.add(facts.ledger, "bob", ["read"], at=DAY, actor="test")
    with httpx.Client(base_url=site, headers={"Origin": site}) as http:
        assert http.get("/label").status_code == 401
        assert http.get("/label", auth=("bob", reads)).status_code == 403
        page = http.get("/label.json", auth=("x", labels)).json()
        assert page["who"] == "ann"
        assert http.post("/label", data=form(page, choice="0"), auth=("x", labels)).status_code == 303
        assert http.get("/review", auth=("x", labels)).status_code == 403
    with opened(folder) as facts:
        assert [one.reviewer for one in facts.log.responses("s1")] == ["ann"]


@pytest.mark.skipif(sys.platform == "win32", reason="kills with SIGKILL")
def test_a_killed_server_has_lost_no_answer(folder: Path) -> None:
    """kill -9 while two people label, three times: each answer that was acknowledged is there once, and they go on."""
    told: dict[str, list[str]] = {"ann": [], "ben": []}
    for _ in range(3):
        kill_amid_answers(folder, told)
    with opened(folder) as facts:
        kept = facts.log.responses("s1", history=True)
        assert len(kept) == len({(one.item, one.copy) for one in kept})
        for who, items in told.items():
            mine = {one.item for one in kept if one.reviewer == who}
            assert len(items) >= 15 and set(items) <= mine
            assert len(mine - set(items)) <= 3  # at most the one of each kill that was kept and not acknowledged


def kill_amid_answers(folder: Path, told: dict[str, list[str]]) -> None:
    command = [sys.executable, "-c", SERVER, str(folder)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ)
    try:
        assert child.stdout is not None
        url = json.loads(child.stdout.readline())["url"]
        before = sum(map(len, told.values()))
        people = [threading.Thread(target=label, args=(url, who, items)) for who, items in told.items()]
        for one in people:
            one.start()
        until(lambda: min(len(items) for items in told.values()) >= before // 2 + 5
              and sum(map(len, told.values())) >= before + 12)  # fmt: skip
        os.kill(child.pid, signal.SIGKILL)
        for one in people:
            one.join(WAIT_S)
    finally:
        child.kill()
        child.wait(WAIT_S)
        assert child.stdout is not None
        child.stdout.close()


SERVER = """
import json, sys
from incumbent.asgi import label_app
from incumbent.server.serving import serve
serve(sys.argv[1], port=0, app=label_app(sys.argv[1]), ready=lambda url: print(json.dumps({"url": url}), flush=True))
"""


def label(url: str, who: str, items: list[str]) -> None:
    """Answer row after row until the server is gone; note each answer that was acknowledged."""
    try:
        with httpx.Client(base_url=url, cookies={"incumbent_reviewer": who}, headers={"Origin": url}) as http:
            while True:
                page = http.get("/label.json").json()
                if http.post("/label", data=form(page, choice="1")).status_code == 303:
                    items.append(f"i{page['item']['slot'].split('-')[0]}")
    except httpx.TransportError:
        return


def until(found: Callable[[], bool]) -> None:
    limit = time.monotonic() + WAIT_S
    while not found():
        assert time.monotonic() < limit, f"not within {WAIT_S:g} s"
        time.sleep(0.01)
