"""Who may ask: everybody on this machine until there is a token, then those who hold one of the right scope."""

import base64
import time
from collections.abc import Callable
from typing import Any

import pytest

from incumbent.errors import ConfigError
from incumbent.loop import tokens
from incumbent.records import DAY
from incumbent.server.access import Access, needs
from incumbent.server.listening import refuse_open_address
from incumbent.server.serving import serve

WAIT_S = 20.0
ROW = {"rows": [{"features": {"hour": 5}}]}


def until(found: Callable[[], bool]) -> None:
    limit = time.monotonic() + WAIT_S
    while not found():
        assert time.monotonic() < limit, f"not within {WAIT_S:g} s"
        time.sleep(0.01)


def add(site: Any, name: str, *scopes: str, expires_at: int | None = None) -> str:
    return tokens.add(site.facts.ledger, name, scopes, at=DAY, actor="test", expires_at=expires_at)[0]


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def scope(method: str = "GET", path: str = "/v1/status", **headers: str) -> dict[str, Any]:
    return {
        "method": method,
        "path": path,
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }


def status(access: Access, asked: dict[str, Any]) -> int:
    """200 where the request may pass."""
    refused = access.allows(asked, needs(asked["method"], asked["path"]))
    return 200 if refused is None else refused.status


# --- over a real socket


def test_without_a_token_this_machine_may_ask(site: Any, run: Any) -> None:
    """Everything, from programs and people."""
    http = run(site.folder, guard=Access()).http
    assert http.post("/v1/predict", json=ROW).status_code == 200
    assert http.get("/v1/status").status_code == http.get("/").status_code == 200


def test_a_name_that_was_bound_to_this_machine_is_refused(site: Any, run: Any) -> None:
    """A page of another site asks under its own name, which stands in Host (DNS rebinding)."""
    http = run(site.folder, guard=Access()).http
    for host in ("evil.example", "evil.example:8080", "localhost.evil.example", "192.0.2.1"):
        refused = http.get("/v1/ledger", headers={"Host": host})
        assert (refused.status_code, refused.json()["error"]["type"]) == (403, "Forbidden")
        assert http.get("/", headers={"Host": host}).status_code == 403
        assert http.get("/healthz", headers={"Host": host}).status_code == 200
    for host in ("localhost", "LOCALHOST:80", "127.0.0.1:1", "[::1]:8080"):
        assert http.get("/v1/status", headers={"Host": host}).status_code == 200


def test_another_sites_page_may_not_post(site: Any, run: Any) -> None:
    """With a token or without; a page of our own and a program may."""
    running = run(site.folder, guard=Access())
    own = running.url
    for origin, expected in (("https://evil.example", 403), ("null", 403), (own, 200)):
        assert running.http.post("/v1/predict", json=ROW, headers={"Origin": origin}).status_code == expected
    assert site.facts.log.totals().predictions == 1
    token = add(site, "shop", "predict")
    until(lambda: running.http.get("/v1/status").status_code == 401)
    for origin, expected in (("https://evil.example", 403), (own, 200)):
        headers = {"Origin": origin, **bearer(token)}
        assert running.http.post("/v1/predict", json=ROW, headers=headers).status_code == expected


def test_from_the_first_token_on_every_request_needs_one(site: Any, run: Any) -> None:
    """A running server learns it at its next poll; health needs none, and the last one taken back opens the door."""
    http = run(site.folder, guard=Access()).http
    token = add(site, "shop", "predict")
    until(lambda: http.post("/v1/predict", json=ROW).status_code == 401)
    refused = http.post("/v1/predict", json=ROW)
    assert refused.json()["error"]["type"] == "Unauthorized"
    assert "the scope predict" in refused.json()["error"]["message"]
    assert refused.headers.get_list("www-authenticate") == [
        'Bearer realm="incumbent"',
        'Basic realm="incumbent", charset="UTF-8"',
    ]
    assert http.post("/v1/predict", json=ROW, headers=bearer(token)).status_code == 200
    assert http.post("/v1/predict", json=ROW, headers=bearer(token[:-1])).status_code == 401
    assert http.get("/healthz").status_code == http.get("/readyz").status_code == 200
    tokens.revoke(site.facts.ledger, "shop", at=DAY, actor="test")
    until(lambda: http.post("/v1/predict", json=ROW).status_code == 200)


def test_a_token_of_another_scope_is_not_enough(site: Any, run: Any) -> None:
    """403, and the error names the scope that is needed and the ones that were found."""
    token = add(site, "shop", "predict", "outcome")
    http = run(site.folder, guard=Access()).http
    refused = http.get("/v1/ledger", headers=bearer(token))
    assert refused.status_code == 403
    assert refused.json()["error"]["message"] == (
        "found the token of shop with the scopes predict, outcome, expected the scope read"
    )
    assert http.get("/v1/nonsense", headers=bearer(token)).status_code == 403
    assert http.post("/v1/outcomes", json={"outcomes": [{"id": "a", "value": 1}]}, headers=bearer(token)).is_success


def test_a_person_reads_with_the_token_as_password(site: Any, run: Any) -> None:
    """The browser sends it along with whatever another page makes it send: it may read, and nothing else."""
    token = add(site, "ann", "read", "predict")
    http = run(site.folder, guard=Access()).http
    assert http.get("/", auth=("ann", token)).status_code == 200
    assert http.get("/", auth=("anybody", token)).status_code == 200
    assert http.get("/", auth=("ann", "wrong")).status_code == 401
    assert http.post("/v1/predict", json=ROW, auth=("ann", token)).status_code == 403
    assert http.post("/v1/predict", json=ROW, headers=bearer(token)).status_code == 200


def test_only_our_own_form_controls_with_a_token_as_password(site: Any, run: Any) -> None:
    """A form of ours names its page by the Origin; another page's form, none at all, or a program's path is refused."""
    token, reads = add(site, "ann", "read", "control"), add(site, "ben", "read")
    site.shadow("v2")
    running = run(site.folder, guard=Access())
    http, ours = running.http, {"Origin": running.url}
    will = http.get("/trial/stop.json", auth=("ann", token)).json()["will"]
    form = {"said": will, "trial": site.roles.trial.name, "reason": "enough"}
    for headers in ({}, {"Origin": "null"}, {"Origin": "http://elsewhere.example"}):
        assert http.post("/trial/stop", data=form, headers=headers, auth=("ann", token)).status_code == 403
    assert http.post("/trial/stop", data=form, headers=ours, auth=("ben", reads)).status_code == 403
    assert http.post("/trial/stop", data=form, headers=ours).status_code == 401
    verb = f"/v1/trials/{site.roles.trial.name}/stop"
    assert http.post(verb, json={"reason": "x"}, headers=ours, auth=("ann", token)).status_code == 403
    assert site.roles.trial is not None
    done = http.post("/trial/stop", data=form, headers=ours, auth=("ann", token))
    assert (done.status_code, done.headers["location"]) == (303, "/trial")
    event = site.facts.ledger.events()[-1]
    assert (event.type, event.actor, event.reason) == ("TrialDecided", "token:ann", "enough")


# --- the rules


@pytest.mark.parametrize(
    ("method", "path", "need"),
    [
        ("GET", "/healthz", None),
        ("GET", "/readyz", None),
        ("POST", "/v1/predict", "predict"),
        ("POST", "/v1/outcomes", "outcome"),
        ("POST", "/v1/follow", "read"),
        ("GET", "/metrics", "read"),
        ("HEAD", "/versions/v1", "read"),
        ("POST", "/v1/rollback", "control"),
        ("POST", "/review", "control"),
        ("GET", "/label", "label"),
        ("POST", "/label", "label"),
        ("GET", "/label.json", "label"),
        ("POST", "/label/settle", "label"),
        ("GET", "/labels", "read"),
        ("GET", "/static/style.css", None),
        ("POST", "/static/style.css", "control"),
        ("DELETE", "/", "control"),
        ("GET", "/trial/stop", "read"),
        ("POST", "/trial/stop", "control"),
        ("POST", "/v1/trials", "control"),
        ("GET", "/v1/trials", "read"),
    ],
)
def test_what_nobody_thought_of_needs_control(method: str, path: str, need: str | None) -> None:
    """Reading needs read; whatever else may change something needs the highest scope."""
    assert needs(method, path) == need


def test_an_expired_token_keeps_the_door_shut(site: Any) -> None:
    """It opens to nobody, its holder included; while it is valid it is served from memory."""
    moment = [0]
    token = add(site, "shop", "read", expires_at=2 * DAY)
    access = Access(now=lambda: moment[0])
    access.follow(site.facts.ledger)
    held = scope(authorization=f"Bearer {token}")
    assert [status(access, held), status(access, held)] == [200, 200]
    assert held["incumbent.who"] == "shop"
    moment[0] = 2 * DAY * 1000
    assert status(access, held) == 401
    assert status(access, scope()) == 401


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer ", "Basic", "Basic ===", "Basic é", "Digest x", "Basic " + base64.b64encode(b"x").decode()],
)
def test_a_header_that_is_no_token_is_unknown(site: Any, header: str) -> None:
    """401, whatever it holds."""
    add(site, "shop", "read")
    access = Access()
    access.follow(site.facts.ledger)
    assert status(access, scope(authorization=header)) == 401


def test_what_is_kept_in_memory_is_bounded(site: Any) -> None:
    """The holder of a token may send it beside any user name."""
    token = add(site, "ann", "read")
    access = Access()
    access.follow(site.facts.ledger)
    for i in range(2500):
        basic = base64.b64encode(f"{i}:{token}".encode()).decode()
        assert status(access, scope(authorization=f"Basic {basic}")) == 200
    assert len(access._known) <= 1000


def test_on_an_open_address_the_last_token_leaves_the_door_shut(site: Any) -> None:
    """A loopback server is open again then, one that others reach is not, unless something else guards it."""
    opened, insecure = Access("0.0.0.0"), Access("0.0.0.0", insecure=True)
    asked = scope(host="example.org")
    assert (status(opened, asked), status(insecure, asked), status(Access(), asked)) == (403, 200, 403)
    assert status(opened, scope(path="/healthz")) == 200


def test_following_reads_only_what_is_new(site: Any) -> None:
    """True when tokens changed; other events change nothing."""
    access = Access()
    assert not access.follow(site.facts.ledger)
    add(site, "shop", "read")
    assert access.follow(site.facts.ledger)
    assert not access.follow(site.facts.ledger)
    site.lead("v2")
    assert not access.follow(site.facts.ledger)
    assert access.guarded


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::", "example.org"])
def test_an_open_address_needs_to_be_meant(host: str, site: Any) -> None:
    """Others could reach it, and no token guards it: refused before anything is served."""
    with pytest.raises(ConfigError, match=r"incumbent token add.*--insecure"):
        serve(site.folder, host=host)
    refuse_open_address(host, insecure=True)


def test_a_token_opens_an_open_address(site: Any) -> None:
    """What is refused then is the address itself, which is not of this machine."""
    add(site, "shop", "read")
    with pytest.raises(ConfigError, match=r"cannot listen on 192\.0\.2\.1"):
        serve(site.folder, host="192.0.2.1", port=0)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "::1", "localhost"])
def test_this_machine_may_ask(host: str) -> None:
    """Loopback needs no token."""
    refuse_open_address(host, insecure=False)
