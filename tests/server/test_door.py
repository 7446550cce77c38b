"""What programs see over HTTP: answers, and for each mistake a status and a reason, with nothing logged for it."""

import gc
import http.client
import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from incumbent.errors import StoreDamaged
from incumbent.loop.asked import Asked
from incumbent.server.quick import Exchange
from incumbent.storage.journal import Journal

WAIT_S = 20.0
ANSWER = {"version": "v1", "served_by": "v1", "fallback_reason": None}
FOREVER = {"probabilities": {"0": 0.8, "1": 0.2}, "prediction": 0}


def rows(*hours: Any, **fields: Any) -> dict[str, Any]:
    return {"rows": [{"features": {"hour": hour, "carrier": "UA"}, **fields} for hour in hours]}


def until(found: Callable[[], bool]) -> None:
    limit = time.monotonic() + WAIT_S
    while not found():
        assert time.monotonic() < limit, f"not within {WAIT_S:g} s"
        time.sleep(0.01)


def test_rows_are_answered_in_order_and_logged(server: Any, site: Any) -> None:
    """Each with id, prediction, probabilities, version, served_by and fallback_reason."""
    body = {"rows": [{"id": "a", "features": {"hour": 5}}, {"id": 7, "unit": 12, "features": {"hour": None, "x": 1}}]}
    response = server.http.post("/v1/predict", json=body)
    assert response.status_code == 200
    assert response.json() == {"predictions": [{"id": id, **FOREVER, **ANSWER} for id in ("a", "7")]}
    kept = site.facts.log.find(["a", "7"])
    assert kept["7"].features == {"hour": None, "x": 1}
    assert kept["7"].unit == "12"


def test_a_row_without_an_id_gets_one(server: Any, site: Any) -> None:
    """The ids that we make are different, and find the row in the log."""
    ids = [p["id"] for p in server.http.post("/v1/predict", json=rows(1, 2, 3)).json()["predictions"]]
    assert len(set(ids)) == 3
    assert [site.facts.log.find(ids)[id].features["hour"] for id in ids] == [1, 2, 3]


@pytest.mark.parametrize(
    ("body", "status", "expected"),
    [
        (rows(1, "5"), 422, {"row": 1, "column": "hour", "found": "5", "expected": "an integer or null"}),
        (rows(1, 2.5), 422, {"row": 1, "column": "hour", "found": 2.5}),
        (rows(1, unit=1.0), 422, {"row": 0, "column": "unit", "found": 1.0, "expected": "text or an integer"}),
        (rows(1, unit=True), 422, {"row": 0, "column": "unit", "found": True}),
        (rows(1, id=""), 422, {"row": 0, "column": "id"}),
        (rows(1, at="yesterday"), 422, {"row": 0, "column": "at", "found": "yesterday"}),
        (rows(1, at="2999-01-01T00:00:00Z"), 422, {"row": 0, "column": "at"}),
        (rows(1, at=-1), 422, {"row": 0, "column": "at", "found": -1}),
        ({"rows": []}, 422, {"row": 0, "column": "rows"}),
        ({"rows": -1}, 422, {"type": "DataError"}),
        ({}, 422, {"type": "DataError"}),
        ({"rows": [{"features": {"hour": 1}}, {"id": "x"}]}, 422, {"row": 1, "column": "features"}),
        ({"rows": [{"features": [1, 2]}]}, 422, {"row": 0, "column": "features", "expected": "object"}),
        (rows(*range(501)), 413, {"type": "TooLarge"}),
        (b"{", 400, {"type": "Malformed"}),
        (b"", 400, {"type": "Malformed"}),
        (b'{"rows": [{"features": {"hour": NaN}}]}', 400, {"type": "Malformed"}),
        (b'{"rows": [{"features": {"carrier": "\xff"}}]}', 400, {"type": "Malformed"}),
        (b'{"rows": [{"features": {"x": ' + b"[" * 100_000, 400, {"type": "Malformed"}),
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_wrong_request_says_what_is_wrong(
    server: Any, site: Any, body: Any, status: int, expected: dict[str, Any]
) -> None:
    """Status, row, column, value found and what was expected; nothing is logged."""
    sent = {"content": body} if isinstance(body, bytes) else {"json": body}
    response = server.http.post("/v1/predict", **sent)
    assert response.status_code == status
    error = response.json()["error"]
    assert expected.items() <= error.items()
    assert error["message"]
    assert site.facts.log.totals().predictions == 0


def test_a_retry_is_safe_and_a_reused_id_is_not(server: Any) -> None:
    """The same row again: the same answer. Another row under the same id: 409."""
    first = server.http.post("/v1/predict", json=rows(1, id="a"))
    assert server.http.post("/v1/predict", json=rows(1, id="a")).json() == first.json()
    reused = server.http.post("/v1/predict", json=rows(2, id="a"))
    assert (reused.status_code, reused.json()["error"]["type"]) == (409, "IdReused")


def test_what_was_answered_leaves_no_garbage(server: Any) -> None:
    """Of a request nothing is left for the collector: without it the process would grow between its rounds."""

    def left() -> int:
        return sum(isinstance(found, Exchange | Asked) for found in gc.get_objects())

    server.http.post("/v1/predict", json=rows(1))
    gc.collect()
    gc.disable()
    try:
        for body in [rows(1), rows(*range(50)), rows("x"), rows(1, id="a"), rows(1, id="a"), rows(2, id="a")] * 5:
            server.http.post("/v1/predict", json=body)
        assert left() <= 2  # the connection keeps its latest one
    finally:
        gc.enable()


def test_a_large_body_is_refused_without_reading_it(server: Any) -> None:
    """The answer comes after the headers alone, when not one byte of the announced body was sent."""
    parts = urlsplit(server.url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=WAIT_S)
    connection.putrequest("POST", "/v1/predict")
    connection.putheader("Content-Length", str(10**12))
    connection.endheaders()
    response = connection.getresponse()
    assert response.status == 413
    assert json.loads(response.read())["error"]["type"] == "TooLarge"
    connection.close()


def test_a_large_body_in_chunks_is_refused_too(server: Any) -> None:
    """Without a declared length it is counted as it comes, the last chunk too."""
    for path in ("/v1/predict", "/v1/predict?plain", "/v1/outcomes"):
        for sizes in ([65536] * 16, [499_999, 2]):
            response = server.http.post(path, content=(b" " * size for size in sizes))
            assert response.status_code == 413, (path, sizes)


def test_paths_and_methods(server: Any) -> None:
    """404 and 405 in the same shape as every error."""
    assert server.http.get("/v1/nonsense").json()["error"]["type"] == "UnknownPath"
    wrong = server.http.get("/v1/predict")
    assert (wrong.status_code, wrong.headers["allow"], wrong.json()["error"]["type"]) == (405, "POST", "WrongMethod")
    assert server.http.get("/v1/ledger?after=x").status_code == 422


def test_outcomes_find_their_predictions(server: Any) -> None:
    """Accepted, pending for an unknown id, repeated, corrected; a wrong class is 422 and nothing of it is kept."""
    server.http.post("/v1/predict", json=rows(1, id="a"))

    def tell(*outcomes: dict[str, Any]) -> Any:
        return server.http.post("/v1/outcomes", json={"outcomes": list(outcomes)})

    nothing = dict.fromkeys(("accepted", "pending", "repeated", "corrected", "late"), 0)
    assert tell({"id": "a", "value": 1}, {"id": "z", "value": 0}).json() == {**nothing, "accepted": 1, "pending": 1}
    assert tell({"id": "a", "value": 1}).json() == {**nothing, "repeated": 1}
    assert tell({"id": "a", "value": 0}).json() == {**nothing, "corrected": 1}
    assert tell({"id": "a", "value": 12.5, "name": "revenue"}).json() == {**nothing, "accepted": 1}
    wrong = tell({"id": "a", "value": 1}, {"id": "b", "value": "late"})
    assert wrong.status_code == 422
    assert wrong.json()["error"]["row"] == 1
    assert tell().status_code == 422


def test_shadows_are_scored_beside_the_answers(server: Any, site: Any) -> None:
    """The backlog goes down to 0 by itself, and every row has the challenger's output."""
    site.shadow("v2")
    until(lambda: server.http.get("/v1/status").json()["routes"]["shadows"] == ["v2"])
    answers = server.http.post("/v1/predict", json=rows(*range(50))).json()["predictions"]
    assert {a["version"] for a in answers} == {"v1"}
    until(lambda: server.http.get("/v1/status").json()["shadow_backlog"] == 0)
    totals = site.facts.log.totals()
    assert (totals.shadows, totals.shadow_errors) == (50, 0)


def test_routes_are_followed_by_polling_and_on_request(server: Any, site: Any) -> None:
    """`POST /v1/follow` reads the ledger at once and says how far it is followed."""
    site.lead("v2")
    followed = server.http.post("/v1/follow").json()
    assert followed["sequence"] == site.facts.ledger.sequence()
    assert server.http.post("/v1/predict", json=rows(1)).json()["predictions"][0]["version"] == "v2"
    site.lead("v1")
    until(lambda: server.http.get("/v1/status").json()["routes"]["incumbent"] == "v1")


def test_what_can_be_read(server: Any, site: Any) -> None:
    """Status, versions with their roles, the ledger in pages, trials."""
    server.http.post("/v1/predict", json=rows("x"))
    status = server.http.get("/v1/status").json()
    assert (status["routes"]["chain"], status["versions"], status["clock"]) == (["v1"], ["v1"], "wall")
    assert status["counts"]["refused:422:RowError:hour"] == 1
    versions = server.http.get("/v1/versions").json()["versions"]
    assert [(v["name"], v["role"]) for v in versions] == [("v1", "incumbent"), ("v2", None)]
    events = server.http.get("/v1/ledger?after=1&limit=1").json()["events"]
    assert [(e["sequence"], e["type"]) for e in events] == [(2, "Promoted")]
    site.shadow("v2")
    (trial,) = server.http.get("/v1/trials").json()["trials"]
    assert (trial["challenger"], trial["mode"], trial["verdict"]) == ("v2", "shadow", None)


def test_a_server_without_a_version_is_alive_and_not_ready(tmp_path: Any, site: Any, run: Any) -> None:
    """Health and readiness are two questions; a prediction is 503 with what to do."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "incumbent.toml").write_text((site.folder / "incumbent.toml").read_text())
    empty = run(tmp_path / "empty")
    assert empty.http.get("/healthz").json() == {"alive": True}
    assert empty.http.get("/readyz").status_code == 503
    refused = empty.http.post("/v1/predict", json=rows(1))
    assert refused.status_code == 503
    assert "incumbent baseline" in refused.json()["error"]["message"]


def test_a_full_disk_is_503_and_what_was_acknowledged_stays(server: Any, site: Any) -> None:
    """With no page left in the file, predictions fail with the reason; with room again they are answered."""
    server.http.post("/v1/predict", json=rows(1, id="kept"))
    writer = server.door.answerer.facts.log._log._database._writer
    pages = writer.execute("PRAGMA page_count").fetchone()[0]
    writer.execute(f"PRAGMA max_page_count = {pages}")
    many = {"rows": [{"id": f"row {i}", "features": {"hour": i}} for i in range(500)]}
    refused = server.http.post("/v1/predict", json=many)
    assert refused.status_code == 503
    error = refused.json()["error"]
    assert error["type"] == "StoreFull"
    assert str(site.folder) not in refused.text
    assert site.facts.log.totals().predictions == 1
    writer.execute("PRAGMA max_page_count = 1000000")
    assert server.http.post("/v1/predict", json=many).status_code == 200
    assert "kept" in site.facts.log.find(["kept"])


def test_a_row_of_ours_does_not_wait_for_another_writer(server: Any, site: Any) -> None:
    """It goes to the journal; a row with an id of the client's waits, and is answered when the log is free."""
    other = site.facts.log._log._database
    with ThreadPoolExecutor(1) as beside:
        with other.writing():
            assert server.http.post("/v1/predict", json=rows(1)).status_code == 200
            waits = beside.submit(httpx.post, f"{server.url}/v1/predict", json=rows(2, id="theirs"), timeout=30)
            assert server.http.post("/v1/predict", json=rows(3)).status_code == 200
        assert waits.result().status_code in (200, 503)  # 503 where this machine took longer than lock_timeout_s
    assert site.facts.log.totals().predictions == 2 + (waits.result().status_code == 200)


@pytest.mark.parametrize("durability", ["fsync", "behind"])
def test_each_durability_keeps_what_it_answers(site: Any, run: Any, durability: str) -> None:
    """fsync flushes before the answer leaves; behind writes soon after it, and when the server ends."""
    settings = site.folder / "incumbent.toml"
    settings.write_text(settings.read_text().replace("[store]", f'[store]\ndurability = "{durability}"'))
    server = run(site.folder)
    answered = [server.http.post("/v1/predict", json=rows(hour)).json()["predictions"][0]["id"] for hour in range(5)]
    theirs = server.http.post("/v1/predict", json=rows(7, id="theirs"))
    assert theirs.json()["predictions"][0]["id"] == "theirs"
    assert "theirs" in site.facts.log.find(["theirs"])
    if durability == "fsync":
        assert set(site.facts.log.find(answered)) == set(answered)
    until(lambda: set(site.facts.log.find(answered)) == set(answered))


def test_a_locked_store_is_503(server: Any, site: Any) -> None:
    """Another process that holds the file for too long: the reason is named, and nothing is kept."""
    other = site.facts.log._log._database
    with other.writing():
        refused = server.http.post("/v1/predict", json=rows(1, id="a"))
    assert (refused.status_code, refused.json()["error"]["type"]) == (503, "StoreLocked")
    assert refused.headers["retry-after"] == "1"
    assert site.facts.log.totals().predictions == 0


@pytest.mark.parametrize("error", [StoreDamaged("/secret/path/log.db is broken"), ZeroDivisionError("/secret/path")])
def test_no_path_and_no_trace_leaks(server: Any, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """Details are for the server's log alone."""

    def fails(*args: object) -> None:
        raise error

    monkeypatch.setattr(Journal, "append", fails)
    response = server.http.post("/v1/predict", json=rows(1))
    assert response.status_code == (503 if isinstance(error, StoreDamaged) else 500)
    assert "secret" not in response.text
    assert "Traceback" not in response.text
