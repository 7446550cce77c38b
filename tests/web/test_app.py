"""The pages as a program sees them: addresses, twins, headers, errors."""

from typing import Any

import pytest

from incumbent.config import Config
from incumbent.loop import promote
from incumbent.records import Evidence
from incumbent.storage.opening import Facts
from incumbent.storage.pictures import Pictures


@pytest.mark.parametrize(
    ("page", "twin"),
    [("/", "/index.json"), ("/versions/v2", "/versions/v2.json"), ("/review", "/review.json"),
     ("/doctor", "/doctor.json")],
)  # fmt: skip
def test_every_page_has_a_twin(client: Any, page: str, twin: str) -> None:
    """Each page answers as HTML and names its JSON twin, which answers too."""
    html, json = client.get(page), client.get(twin)
    assert (html.status_code, json.status_code) == (200, 200)
    assert html.headers["content-type"].startswith("text/html")
    assert f'href="{twin}"' in html.text
    assert json.json()["task"]["name"] == "flight-delay"


def test_the_dashboard_tells_who_answers(client: Any) -> None:
    """The twin holds incumbent, what is behind it, the trial, the steps, the plan, the counts and the ledger."""
    told = client.get("/index.json").json()
    assert told["incumbent"]["name"] == "v2"
    assert [(one["roles"], one["name"]) for one in told["behind"]] == [(["previous", "baseline"], "v1")]
    assert told["trial"]["challenger"] == "v3"
    assert told["trial"]["look"]["numbers"]["looks"] == 10
    assert [step["step"] for step in told["steps"]] == ["baseline", "gate", "live", "speed", "upkeep"]
    assert [bool(step["evidence"]) for step in told["steps"]] == [True, True, True, True, False]
    assert [line["key"] for line in told["plan"] if line["answer"] is None] == ["fall_back_on", "reviewers", "goal"]
    assert told["counts"]["predictions"] == 40
    assert told["counts"]["fallbacks"] == {"timeout": 2}
    assert told["counts"]["pending"] == 1


def test_the_best_naive_rule_is_the_evidence_of_step_1(client: Any) -> None:
    """Of the rules that are recorded together the best one is shown, not the last."""
    assert client.get("/index.json").json()["steps"][0]["evidence"]["subject"] == "prior of the classes"


def test_the_ledger_pages_back_to_its_first_event(client: Any) -> None:
    """Following `older` shows every event once, the newest first."""
    seen, before = [], "?all"
    while True:
        ledger = client.get(f"/index.json{before}").json()["ledger"]
        seen += [event["sequence"] for event in ledger["events"]]
        if ledger["older"] is None:
            break
        before = f"?all&before={ledger['older']}"
    assert seen == list(range(ledger["total"], 0, -1))


def test_moves_leave_out_looks(client: Any) -> None:
    """Unless all is asked for, the ledger shows what was done, without the evidence of every look."""
    types = {event["type"] for event in client.get("/index.json").json()["ledger"]["events"]}
    assert "Promoted" in types
    assert "EvidenceRecorded" not in types


@pytest.mark.parametrize("before", ["x", "-1", "1.5", "9" * 40])
def test_a_wrong_place_in_the_ledger_is_refused(client: Any, before: str) -> None:
    """`before` must be a sequence number."""
    answer = client.get("/index.json", params={"before": before})
    assert answer.status_code == 422
    assert "expected the sequence number" in answer.json()["error"]["message"]


def test_a_version_shows_its_signature_and_evidence(client: Any) -> None:
    """The page of a version holds columns, parts, and the evidence that judges it or compares with it."""
    told = client.get("/versions/v2.json").json()
    assert told["places"] == ["incumbent"]
    assert told["manifest"]["golden_rows"] == 50
    assert [column["name"] for column in told["signature"]["columns"]] == ["carrier", "hour", "wind_gust"]
    assert [one["step"] for one in told["evidence"]] == ["live", "speed", "gate"]
    assert {event["type"] for event in told["events"]} == {
        "VersionRegistered",
        "GateDecided",
        "EvidenceRecorded",
        "Promoted",
    }
    assert client.get("/versions/v1.json").json()["places"] == ["previous", "baseline"]


def test_review_lists_rows_without_a_label(client: Any) -> None:
    """A labelled row leaves the list; `?every` shows it again."""
    rows = client.get("/review.json").json()["rows"]
    assert {row["id"] for row in rows} == {"r31", "r33"}
    assert {row["reason"] for row in rows} == {"doubtful", "audit"}
    assert rows[0]["features"]["carrier"] == "UA"
    assert {row["id"] for row in client.get("/review.json?every").json()["rows"]} == {"r1", "r31", "r33"}


def test_what_the_store_holds_is_escaped(client: Any) -> None:
    """A description with angle brackets stays text."""
    page = client.get("/versions/v3").text
    assert "boosted trees &lt;on&gt; 105,000 rows" in page
    assert "<on>" not in page


@pytest.mark.parametrize(
    "path", ["/", "/index.json", "/review", "/doctor", "/versions/v1", "/nowhere", "/static/style.css"]
)
def test_no_page_may_run_a_script_or_ask_another_host(client: Any, path: str) -> None:
    """Pages forbid everything but the style and pictures of this host, and hold no script."""
    answer = client.get(path)
    if not path.startswith("/static"):
        assert answer.headers["content-security-policy"].startswith("default-src 'none'; style-src 'self'")
    assert "<script" not in answer.text
    assert "http://" not in answer.text
    assert "https://" not in answer.text


def test_a_picture_is_kept_by_its_hash(client: Any) -> None:
    """The address on the page is good for ever, the plain one is asked for again, and 304 when it is the same."""
    address = client.get("/index.json").json()["pictures"][0]["light"]
    picture = client.get(address)
    assert picture.headers["content-type"] == "image/svg+xml"
    assert "immutable" in picture.headers["cache-control"]
    plain = client.get(address.split("?")[0])
    assert plain.headers["cache-control"] == "no-cache"
    again = client.get(address, headers={"If-None-Match": picture.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("/nowhere", "There is nothing at /nowhere."),
        ("/versions/v9", "found no version &#39;v9&#39;; registered are v1, v2, v3."),
        ("/pictures/nothing.svg", "no picture is called &#39;nothing&#39;; there are: loss.dark"),
    ],
)
def test_what_is_not_there_says_so(client: Any, path: str, says: str) -> None:
    """A 404 is a page that says what is missing and where to go."""
    answer = client.get(path)
    assert answer.status_code == 404
    assert says in answer.text
    assert 'href="/"' in answer.text


def test_the_card_has_every_line_and_the_dashboard_its_score(client: Any) -> None:
    """Four groups of seven, what was found for each, and how to earn what is missing."""
    told = client.get("/doctor.json").json()
    assert len(told["lines"]) == 28 and all(line["found"] and line["earn"] for line in told["lines"])
    assert client.get("/index.json").json()["readiness"] == {key: told[key] for key in ("score", "band", "groups")}
    page = client.get("/doctor").text
    assert page.count("<meter") == 4 and "v2 was timed, inside the budget of 1 ms" in page


def test_what_is_delivered_stands_beside_what_was_expected(client: Any, told: Facts) -> None:
    """Nothing is claimed before `expect` has run; afterwards floor, goal and ceiling are there."""
    assert client.get("/index.json").json()["delivered"] is None
    assert "incumbent expect" in client.get("/").text
    numbers: dict[str, Any] = {
        "goal": 0.15, "floor": {"name": "the prior", "value": 0.17}, "noise": {"value": 0.11},
        "curve": {"points": [{"value": 0.16}]},
    }  # fmt: skip
    evidence = Evidence("expect", "what may be expected", "reachable", "s", 0, None, numbers)
    promote.record(told.ledger, evidence, actor="test")
    found = client.get("/index.json").json()["delivered"]
    assert (found["floor"], found["quick"], found["goal"], found["ceiling"]) == (0.17, 0.16, 0.15, 0.11)
    assert found["verdict"] == "reachable" and found["incumbent"] == "v2"
    assert "reachable" in client.get("/").text


def test_an_empty_store_says_what_to_run(ask: Any) -> None:
    """Without any event there is no incumbent, and the page says how to get one."""
    page = ask.get("/")
    assert page.status_code == 200
    assert "Nothing can answer." in page.text
    assert "incumbent baseline" in page.text


def test_a_store_that_fails_is_a_503_without_its_paths(client: Any, config: Config) -> None:
    """What a store says stays in the log: the page says that it cannot be read."""
    (config.store_path / "pictures.json").write_text("nonsense")
    answer = client.get("/")
    assert answer.status_code == 503
    assert "The store cannot be read now" in answer.text
    assert str(config.store_path) not in answer.text


def test_a_manifest_that_is_gone_is_said(client: Any, config: Config) -> None:
    """A version whose manifest cannot be read still has a page."""
    digest = client.get("/versions/v2.json").json()["manifest"]["digest"]
    for path in config.store_path.rglob(f"{digest[2:]}*"):
        path.unlink()
    assert "cannot be read" in client.get("/versions/v2.json").json()["manifest"]["problem"]
    assert client.get("/versions/v2").status_code == 200


def test_a_picture_replaced_is_the_new_one(client: Any, told: Facts, config: Config) -> None:
    """The plain address of a picture follows the index."""
    Pictures(config.store_path, told.blobs).put("trial.light", b"<svg/>", 7)
    assert client.get("/pictures/trial.light.svg").content == b"<svg/>"
