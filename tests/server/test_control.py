"""Promote, roll back and enrol over HTTP: proved first, answered after the append, refused with nothing changed."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from incumbent import config
from incumbent.errors import VersionError
from incumbent.loop import promote, tokens
from incumbent.records import DAY, Evidence
from incumbent.server.access import Access
from incumbent.server.openapi import document
from incumbent.server.proving import apart

WAIT_S = 20.0


def until(found: Callable[[], bool]) -> None:
    limit = time.monotonic() + WAIT_S
    while not found():
        assert time.monotonic() < limit, f"not within {WAIT_S:g} s"
        time.sleep(0.01)


@pytest.fixture
def http(site: Any, run: Any) -> Any:
    return run(site.folder, guard=Access()).http


def fits(response: Any, path: str) -> None:
    """The body is what the OpenAPI document says of this status."""
    found = document()["paths"][path]["post"]["responses"][str(response.status_code)]
    schema = found["content"]["application/json"]["schema"]
    Draft202012Validator({**schema, "components": document()["components"]}).validate(response.json())


def test_a_promotion_and_a_rollback(site: Any, http: Any) -> None:
    """Each is an event when it is answered, and is followed at the next poll."""
    done = http.post("/v1/promote", json={"version": "v2", "reason": "it ships"})
    assert done.status_code == 200
    fits(done, "/v1/promote")
    assert done.json()["sentence"] == "v2 was promoted in place of v1: it ships."
    assert site.roles.sequence == done.json()["sequence"] and site.roles.incumbent == "v2"
    until(lambda: http.get("/v1/status").json()["routes"]["incumbent"] == "v2")
    back = http.post("/v1/rollback", json={"reason": "errors rose"})
    fits(back, "/v1/rollback")
    assert back.json()["type"] == "RolledBack" and site.roles.incumbent == "v1"


def test_what_the_gate_holds_is_promoted_with_an_override_only(site: Any, http: Any) -> None:
    """409 names the verdict; with `override` there are two events, and the answer is that of the promotion."""
    held = Evidence("gate", "v2", "hold", "hold: v2 against v1", 5, "v1", {"mode": "enforce", "rules": []})
    promote.record(site.facts.ledger, held, actor="ci")
    refused = http.post("/v1/promote", json={"version": "v2", "reason": "I like it"})
    assert refused.status_code == 409 and "the gate says hold about v2" in refused.json()["error"]["message"]
    done = http.post("/v1/promote", json={"version": "v2", "reason": "I like it", "override": True})
    fits(done, "/v1/promote")
    assert (done.status_code, done.json()["type"], site.roles.incumbent) == (200, "Promoted", "v2")
    assert [event.type for event in site.facts.ledger.events()][-2:] == ["Overridden", "Promoted"]


def test_more_units_take_part(site: Any, http: Any) -> None:
    """The trial is named, so that a share never reaches another trial than was meant."""
    site.split("v2", 0.1)
    trial = site.roles.trial.name
    done = http.post(f"/v1/trials/{trial}/enrol", json={"enrolled": 0.5, "reason": "it goes well"})
    fits(done, "/v1/trials/{name}/enrol")
    assert done.status_code == 200 and site.roles.trial.enrolled == 0.5
    for name, share, said in ((trial, 0.2, "EnrolmentLowered"), (trial, 1.5, "up to 100 %"), ("t1", 0.9, trial)):
        refused = http.post(f"/v1/trials/{name}/enrol", json={"enrolled": share, "reason": "a test"})
        assert refused.status_code == 409 and said in refused.json()["error"]["message"]
    assert site.roles.trial.enrolled == 0.5


@pytest.mark.parametrize(
    ("path", "body", "status", "type", "said"),
    [
        ("/v1/promote", {"version": "v9", "reason": "x"}, 404, "UnknownVersion", "registered are v1, v2"),
        ("/v1/promote", {"version": "v1", "reason": "x"}, 409, "DecisionRefused", "incumbent already"),
        ("/v1/promote", {"version": "v2", "reason": " "}, 409, "DecisionRefused", "no reason"),
        ("/v1/promote", {"version": "v2"}, 422, "DataError", "missing required field 'reason'"),
        ("/v1/promote", {"version": "v2", "reason": "x", "force": 1}, 422, "DataError", "force"),
        ("/v1/promote", b"{", 400, "Malformed", "not valid JSON"),
        ("/v1/promote", b" " * 70_000, 413, "TooLarge", "a few words"),
        ("/v1/rollback", {"reason": "x"}, 409, "DecisionRefused", "nothing to roll back to"),
        ("/v1/trials/t1/enrol", {"enrolled": 0.5, "reason": "x"}, 409, "DecisionRefused", "no trial that runs"),
        ("/v1/trials/t1/enrol", {"enrolled": "all", "reason": "x"}, 422, "DataError", "enrolled"),
        ("/v1/trials/t1/enrol", {"enrolled": 0.5}, 422, "DataError", "missing required field 'reason'"),
        ("/v1/trials/t1/phase", {"enrolled": 0.5, "reason": "x"}, 409, "DecisionRefused", "no trial that runs"),
        ("/v1/trials/t1/phase", {"enrolled": 0.5, "reason": ""}, 409, "DecisionRefused", "no reason"),
        ("/v1/trials/t1/stop", {"reason": "x"}, 409, "DecisionRefused", "no trial that runs"),
        ("/v1/trials/t1/stop", {}, 422, "DataError", "missing required field 'reason'"),
        ("/v1/trials", {"version": "v2", "reason": " "}, 409, "DecisionRefused", "no reason"),
        ("/v1/trials", {"version": "v9", "reason": "x"}, 404, "UnknownVersion", "registered are v1, v2"),
        ("/v1/trials", {"version": "v1", "reason": "x"}, 409, "DecisionRefused", "is the incumbent"),
        ("/v1/trials", {"version": "v2", "reason": "x", "mode": "split"}, 409, "DecisionRefused", "set task.unit"),
        ("/v1/trials", {"version": "v2", "reason": "x", "mode": "both"}, 422, "DataError", "mode"),
    ],
)
def test_a_wrong_verb_changes_nothing(
    site: Any, http: Any, path: str, body: Any, status: int, type: str, said: str
) -> None:
    """The status and shape that the document names, and no event."""
    before = site.roles.sequence
    response = http.post(path, **({"content": body} if isinstance(body, bytes) else {"json": body}))
    assert (response.status_code, response.json()["error"]["type"]) == (status, type)
    assert said in response.json()["error"]["message"]
    fits(response, path.replace("/t1/", "/{name}/"))
    assert site.roles.sequence == before
    assert http.request("PUT", path).status_code == 405


def test_a_version_that_is_not_proved_is_not_promoted(site: Any, http: Any) -> None:
    """Its bytes are gone: 409, in the words of the process that tried."""
    manifest = site.roles.versions["v2"].manifest
    for path in site.config.store_path.rglob(f"*{manifest[-20:]}*"):
        path.chmod(0o600)
        path.write_bytes(b"other bytes")
    before = site.roles.sequence
    refused = http.post("/v1/promote", json={"version": "v2", "reason": "it ships"})
    assert (refused.status_code, refused.json()["error"]["type"]) == (409, "VersionError")
    assert "StoreDamaged" in refused.json()["error"]["message"]
    assert site.roles.sequence == before


def test_what_hangs_is_given_up(site: Any) -> None:
    """A version that takes for ever to prove is none that may answer."""
    with pytest.raises(VersionError, match=r"v2 did not repeat its golden rows within 0\.001 s"):
        apart(config.load(site.folder), patience_s=0.001)(site.roles.versions["v2"])


def test_a_verb_needs_the_scope_control(site: Any, http: Any) -> None:
    """The actor on the ledger is the token's name."""
    made = {name: tokens.add(site.facts.ledger, name, [name], at=DAY, actor="test")[0] for name in ("read", "control")}
    until(lambda: http.get("/v1/status").status_code == 401)
    body = {"version": "v2", "reason": "it ships"}
    for name, status in (("read", 403), ("control", 200)):
        headers = {"Authorization": f"Bearer {made[name]}"}
        assert http.post("/v1/promote", json=body, headers=headers).status_code == status
    assert site.facts.ledger.events()[-1].actor == "token:control"


def test_a_trial_is_started_and_stopped(site: Any, http: Any) -> None:
    """With the terms of the settings; what is asked for by `dry_run` is said and not done."""
    before = site.roles.sequence
    asked = {"version": "v2", "reason": "it ships"}
    told = http.post("/v1/trials", json={**asked, "dry_run": True})
    fits(told, "/v1/trials")
    assert told.json()["type"] is None and "v2 will score every row beside v1" in told.json()["sentence"]
    assert site.roles.sequence == before
    done = http.post("/v1/trials", json=asked)
    fits(done, "/v1/trials")
    trial = site.roles.trial
    assert (done.status_code, done.json()["type"]) == (200, "TrialStarted")
    assert (trial.mode, trial.challenger) == ("shadow", "v2")
    again = http.post("/v1/trials", json=asked)
    assert again.status_code == 409 and "one runs at a time" in again.json()["error"]["message"]
    assert [one["name"] for one in http.get("/v1/trials").json()["trials"]] == [trial.name]
    other = http.post("/v1/trials/t1/stop", json={"reason": "enough"})
    assert other.status_code == 409 and trial.name in other.json()["error"]["message"]
    ended = http.post(f"/v1/trials/{trial.name}/stop", json={"reason": "enough"})
    fits(ended, "/v1/trials/{name}/stop")
    assert ended.status_code == 200 and site.roles.trial is None and site.roles.incumbent == "v1"
    assert http.get("/v1/trials").json()["trials"][0]["verdict"] == "stopped"


def test_a_smaller_share_is_a_new_phase(site: Any, http: Any) -> None:
    """The refusal says so; the phase begins with a salt of its own."""
    site.split("v2", 0.5)
    trial = site.roles.trial
    asked = {"enrolled": 0.1, "reason": "less risk"}
    refused = http.post(f"/v1/trials/{trial.name}/enrol", json=asked)
    assert refused.status_code == 409 and "live phase 0.1" in refused.json()["error"]["message"]
    told = http.post(f"/v1/trials/{trial.name}/phase", json={**asked, "dry_run": True})
    assert "leaves the decision" in told.json()["sentence"] and site.roles.trial.phase == 1
    done = http.post(f"/v1/trials/{trial.name}/phase", json=asked)
    fits(done, "/v1/trials/{name}/phase")
    assert (site.roles.trial.phase, site.roles.trial.enrolled) == (2, 0.1)
    assert site.roles.trial.salt != trial.salt


def test_a_version_that_is_not_proved_starts_no_trial(site: Any, http: Any) -> None:
    """Its bytes are gone: nobody is to meet it."""
    manifest = site.roles.versions["v2"].manifest
    for path in site.config.store_path.rglob(f"*{manifest[-20:]}*"):
        path.chmod(0o600)
        path.write_bytes(b"other bytes")
    refused = http.post("/v1/trials", json={"version": "v2", "reason": "it ships"})
    assert (refused.status_code, refused.json()["error"]["type"]) == (409, "VersionError")
    assert site.roles.trial is None
