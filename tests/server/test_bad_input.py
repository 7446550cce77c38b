"""What comes wrong, late, twice or without a name, over HTTP: each is refused loudly with nothing kept, or is kept and
counted; and no trial is bent by it."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families as families

from incumbent.errors import DecisionRefused
from incumbent.loop import promote, route
from incumbent.records import DAY, SECOND, Column, Signature, Version
from incumbent.runtimes import artefact
from incumbent.runtimes.rule import Rule
from incumbent.server.access import Access

WAIT_S = 20.0
WINDOW_S = 24 * 3600
WHO: dict[str, Any] = {"at": DAY, "actor": "test", "reason": "a test"}


def until(found: Callable[[], bool]) -> None:
    limit = time.monotonic() + WAIT_S
    while not found():
        assert time.monotonic() < limit, f"not within {WAIT_S:g} s"
        time.sleep(0.01)


@pytest.fixture
def http(site: Any, run: Any) -> Any:
    return run(site.folder, guard=Access()).http


def ask(http: Any, id: str, **fields: Any) -> dict[str, Any]:
    features = {"hour": 5, "carrier": "UA", **fields.pop("features", {})}
    response = http.post("/v1/predict", json={"rows": [{"id": id, "features": features, **fields}]})
    assert response.status_code == 200, response.text
    (found,) = response.json()["predictions"]
    return dict(found)


def tell(http: Any, *outcomes: dict[str, Any]) -> Any:
    return http.post("/v1/outcomes", json={"outcomes": list(outcomes)})


def counted(http: Any, name: str) -> float:
    samples = [one for family in families(http.get("/metrics").text) for one in family.samples]
    return sum(one.value for one in samples if one.name == f"incumbent_{name}_total")


# --- outcomes


@pytest.mark.parametrize(
    ("wrong", "found", "expected"),
    [
        ({"value": "late"}, "late", "one of the classes 0, 1"),
        ({"value": 2}, 2, "one of the classes 0, 1"),
        ({"value": "1"}, "1", "one of the classes 0, 1"),
        ({"value": "a lot", "name": "revenue"}, "a lot", "a finite number for the outcome 'revenue'"),
        ({"value": None}, "null", "bool | int | float | str"),
        ({"value": [1]}, "array", "bool | int | float | str"),
        ({"name": "revenue"}, "nothing", "a value of this field"),
    ],
)
def test_an_outcome_of_the_wrong_type_keeps_nothing_of_its_batch(
    http: Any, site: Any, wrong: dict[str, Any], found: Any, expected: str
) -> None:
    """422 names row, value and expectation; those beside it, before and after, are not kept either."""
    ask(http, "a"), ask(http, "b"), ask(http, "c")
    said = tell(http, {"id": "a", "value": 1}, {"id": "b", **wrong}, {"id": "c", "value": 0})
    assert said.status_code == 422, said.text
    error = said.json()["error"]
    assert (error["row"], error["column"], error["found"], error["expected"]) == (1, "value", found, expected)
    assert "row 1" in error["message"] and expected in error["message"]
    totals = site.facts.log.totals()
    assert (totals.outcomes, totals.pending) == (0, 0)
    assert tell(http, {"id": "a", "value": 1}).json()["accepted"] == 1


def test_a_prediction_has_as_many_named_outcomes_as_there_are(http: Any, site: Any) -> None:
    """Any finite number under any name, beside the label: large, small, negative, a boolean; each once."""
    ask(http, "a")
    values = {"revenue": 12.5, "refund": -3, "clicks": 0, "huge": 1e300, "tiny": 5e-324, "bought": True, "é ü": 2**53}
    said = tell(http, {"id": "a", "value": 1}, *({"id": "a", "name": n, "value": v} for n, v in values.items()))
    assert (said.status_code, said.json()["accepted"]) == (200, 1 + len(values))
    again = tell(http, *({"id": "a", "name": n, "value": v} for n, v in values.items()))
    assert again.json()["repeated"] == len(values)
    for infinite in ("1e999", "-1e999"):
        body = f'{{"outcomes": [{{"id": "a", "name": "revenue", "value": {infinite}}}]}}'
        assert http.post("/v1/outcomes", content=body).status_code in (400, 422)
    (rows,) = site.facts.log.scan(labelled=True)
    assert [row.label for row in rows] == [1]
    assert site.facts.log.totals().outcomes == 1 + len(values)


def test_an_outcome_outside_the_window_is_kept_and_counted(http: Any, site: Any) -> None:
    """The response and /metrics say how many were late; the label is in the log all the same, and a look at a trial
    does not count it."""
    site.split("v2", 1.0)
    until(lambda: http.get("/v1/status").json()["trial"] is not None)
    at = 100 * DAY
    for id in ("in time", "at the end", "long after"):
        ask(http, id, unit=id, at=at)
    ends = at + WINDOW_S * SECOND
    known = {"in time": ends - 1, "at the end": ends, "long after": ends + 9 * DAY}
    said = tell(http, *({"id": id, "value": 1, "known_at": when} for id, when in known.items()))
    assert {k: v for k, v in said.json().items() if v} == {"accepted": 3, "late": 2}
    assert counted(http, "late_outcomes") == 2
    assert http.get("/v1/status").json()["counts"]["late_outcomes"] == 2
    (rows,) = site.facts.log.scan(labelled=True)
    assert {row.prediction.id: row.known_at for row in rows} == known
    trial = site.roles.trial
    sums = site.facts.log.unit_sums(trial.name, 1, ends + 99 * DAY, ends + 99 * DAY, WINDOW_S * SECOND)
    assert {one.unit: one.labelled for one in sums} == {"in time": 1, "at the end": 0, "long after": 0}


def test_an_outcome_that_waits_for_its_prediction_is_late_for_nobody_yet(http: Any) -> None:
    assert {k: v for k, v in tell(http, {"id": "z", "value": 1}).json().items() if v} == {"pending": 1}


# --- trials


def test_a_second_trial_is_refused(http: Any, site: Any) -> None:
    """One question at a time: nothing is appended, and the one that runs goes on."""
    site.register(0.7)
    site.split("v2", 1.0)
    before = site.roles
    with pytest.raises(DecisionRefused, match="is running, and one runs at a time"):
        site.split("v3", 1.0)
    assert site.roles == before
    assert [one["verdict"] for one in http.get("/v1/trials").json()["trials"]] == [None]


def test_a_lowered_share_is_refused_and_a_new_phase_only_when_asked_for(http: Any, site: Any) -> None:
    """The sentence says what lowering would mean; the phase stays. A phase that is asked for deals anew."""
    site.split("v2", 0.5)
    trial = site.roles.trial
    refused = http.post(f"/v1/trials/{trial.name}/enrol", json={"enrolled": 0.1, "reason": "less"})
    assert refused.status_code == 409
    message = refused.json()["error"]["message"]
    assert f"EnrolmentLowered: trial {trial.name} has 50 % of the units enrolled, and 10 % was asked for." in message
    assert "Lowering starts a new phase, and the old phase's data leaves the decision" in message
    assert site.roles.trial == trial
    asked = http.post(f"/v1/trials/{trial.name}/phase", json={"enrolled": 0.1, "reason": "half was too much"})
    assert asked.status_code == 200
    until(lambda: (http.get("/v1/status").json()["trial"] or {}).get("phase") == 2)
    assert http.get("/v1/status").json()["trial"]["enrolled"] == 0.1


def registered(site: Any, signature: Signature, column: str) -> str:
    """A version that gives back a column as its probability."""
    rule = Rule({"rule": "column", "column": column, "default": 0.5}, signature)
    made = {"string": np.array(["UA", None, "AA"], dtype=object)}
    sample = {c.name: made.get(c.type, np.array([0.0, 1.0, 1.0])) for c in signature.columns}
    saved = artefact.save(
        site.facts.blobs, rule, runtime="rule", signature=signature, sample=sample, versions=site.config.versions
    )
    name = promote.next_version(site.roles)
    version = Version(name, saved.runtime, saved.manifest, signature, saved.serves)
    promote.register(site.facts.ledger, site.roles, version, at=DAY, actor="test")
    return name


def test_a_challenger_with_another_signature_is_mapped(http: Any, site: Any) -> None:
    """More columns that may be null, a wider type, another order: each column finds its value by name, and where a row
    leaves it out the challenger hears null."""
    wide = (Column("wind", "number"), Column("carrier", "string"), Column("hour", "number"))
    name = registered(site, Signature(wide, "binary", (0, 1)), "wind")
    site.split(name, 1.0)
    until(lambda: http.get("/v1/status").json()["trial"] is not None)
    seen = {}
    for i in range(20):
        said = ask(http, f"r{i}", unit=f"u{i}", features={"wind": 0.125} if i % 2 else {})
        assert said["fallback_reason"] is None
        seen[said["served_by"], i % 2] = said["probabilities"]["1"]
    assert seen == {("v1", 0): 0.2, ("v1", 1): 0.2, (name, 0): 0.5, (name, 1): 0.125}


def test_a_challenger_that_does_not_take_every_row_is_refused(http: Any, site: Any) -> None:
    """At its start, with the columns named: no row of it ever falls back for that reason."""
    narrow = (Column("wind", "number", nullable=False), Column("carrier", "string"), Column("hour", "boolean"))
    name = registered(site, Signature(narrow, "binary", (0, 1)), "wind")
    before = site.roles
    with pytest.raises(DecisionRefused) as refused:
        site.split(name, 1.0)
    assert f"{name} does not take every row that the incumbent v1 takes" in str(refused.value)
    assert "column 'wind' may not be null, and rows may leave it out" in str(refused.value)
    assert "column 'hour' takes boolean, and rows bring integer" in str(refused.value)
    assert site.roles == before


def test_a_row_without_its_unit_takes_part_in_nothing(site: Any, run: Any) -> None:
    """`task.unit` names a feature that the row does not bring, and no unit is given: the incumbent answers, in no arm;
    /metrics and the status count it. Where the feature is there it is the unit."""
    toml = (site.folder / "incumbent.toml").read_text()
    (site.folder / "incumbent.toml").write_text(toml.replace('metric = "brier"\n', 'metric = "brier"\nunit = "tail"\n'))
    http = run(site.folder, guard=Access()).http
    ask(http, "before the trial")
    site.split("v2", 1.0)
    until(lambda: http.get("/v1/status").json()["trial"] is not None)
    for i in range(10):
        ask(http, f"bare{i}")
        ask(http, f"null{i}", features={"tail": None})
        ask(http, f"named{i}", unit=i)
        ask(http, f"feature{i}", features={"tail": i})
    found = site.facts.log.find([f"{kind}{i}" for kind in ("bare", "null", "named", "feature") for i in range(10)])
    bare = [row for id, row in found.items() if id.startswith(("bare", "null"))]
    assert {(row.served_by, row.arm, row.unit, row.trial) for row in bare} == {("v1", None, None, None)}
    for i in range(10):
        named, feature = found[f"named{i}"], found[f"feature{i}"]
        assert (named.arm, named.unit) == (feature.arm, feature.unit) and named.arm is not None
    assert counted(http, "rows_without_unit") == 20
    assert http.get("/v1/status").json()["counts"]["unit_missing"] == 20


def test_a_retry_reuses_its_exposure(http: Any, site: Any) -> None:
    """Same arm, same answer, one row: at once, twice in one request, and after a phase that deals anew."""
    site.split("v2", 1.0)
    until(lambda: http.get("/v1/status").json()["trial"] is not None)
    units = [f"u{i}" for i in range(30)]
    first = {unit: ask(http, unit, unit=unit) for unit in units}
    promote.start_phase(site.facts.ledger, site.roles, enrolled=1.0, **WHO)
    until(lambda: http.get("/v1/status").json()["trial"]["phase"] == 2)
    routes = route.routes(site.roles)
    assert routes is not None
    moved = [unit for unit in units if route.assign(routes, unit).version != first[unit]["version"]]
    assert moved  # else the phase shows nothing
    assert {unit: ask(http, unit, unit=unit) for unit in units} == first
    row = {"id": "u0", "unit": "u0", "features": {"hour": 5, "carrier": "UA"}}
    twice = http.post("/v1/predict", json={"rows": [row, row]}).json()["predictions"]
    assert twice == [first["u0"], first["u0"]]
    kept = [row.prediction for rows in site.facts.log.scan() for row in rows]
    assert len(kept) == len(units) and {row.phase for row in kept} == {1}
    assert {row.id: row.version for row in kept} == {unit: first[unit]["version"] for unit in units}
