"""/metrics: what was counted, over all processes, with labels of which there are few."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from platform import python_version
from typing import Any

import httpx
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_families
from prometheus_client.parser import text_string_to_metric_families as families

from incumbent import __version__
from incumbent.loop.meter import Meter
from incumbent.server.metering import COUNTERS, HISTOGRAMS, LEVELS, template, text
from incumbent.server.numbers import Numbers, Reading

WAIT_S = 30.0
ROW = {"rows": [{"features": {"hour": 5}}]}


def until(found: Callable[[], bool]) -> None:
    limit = time.monotonic() + WAIT_S
    while not found():
        assert time.monotonic() < limit, f"not within {WAIT_S:g} s"
        time.sleep(0.01)


def samples(body: str) -> dict[tuple[Any, ...], float]:
    """Every sample by its name and its sorted labels, without the buckets."""
    found = {}
    for family in families(body):
        for sample in family.samples:
            if not sample.name.endswith("_bucket"):
                found[(sample.name.removeprefix("incumbent_"), *sorted(sample.labels.values()))] = sample.value
    return found


def scraped(numbers: Numbers) -> dict[tuple[Any, ...], float]:
    return samples(text(numbers)[0].decode())


# --- one process


def test_a_scrape_tells_what_was_asked(server_with_edge: Any) -> None:
    """Requests by path and status, how long predictions took, refusals at the edge, the ledger, and what runs here."""
    http = server_with_edge.http
    for _ in range(3):
        assert http.post("/v1/predict", json=ROW).status_code == 200
    http.post("/v1/predict", json={"rows": []})
    http.get("/versions/v1")
    http.get("/wp-login.php")
    http.get("/", headers={"Host": "evil.example"})
    response = http.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    found = samples(response.text)
    for key, value in {
        ("requests_total", "/v1/predict", "200"): 3,
        ("requests_total", "/v1/predict", "422"): 1,
        ("requests_total", "/versions/{name}", "200"): 1,
        ("requests_total", "unknown", "404"): 1,
        ("requests_total", "/", "403"): 1,
        ("refusals_total", "403", "Forbidden"): 1,
        ("answer_seconds_count",): 3,
        ("ledger_sequence",): 3,
        ("shadow_backlog_rows",): 0,
        ("processes",): 1,
        ("info", __version__, python_version(), "flights"): 1,
    }.items():
        assert found[(key[0], *sorted(key[1:]))] == value, key
    assert http.post("/metrics").status_code == 405


def test_open_metrics_where_it_is_asked_for(server_with_edge: Any) -> None:
    """The stricter format parses too, and ends with its mark."""
    response = server_with_edge.http.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert response.headers["content-type"].startswith("application/openmetrics-text")
    assert response.text.endswith("# EOF\n")
    assert {family.name for family in open_families(response.text)} >= {f"incumbent_{name}" for name in COUNTERS}


def test_every_number_is_exposed_with_its_labels() -> None:
    """What a Meter counts and a Reading holds has a name, a sentence and the labels that are declared."""
    meter = Meter()
    numbers = Numbers(meter, lambda: Reading(7, 4, 2, {"v1": "open"}, {"v1": 3}))
    meter.replied("/v1/predict", 200)
    meter.answered(0.001)
    meter.served("v1", 5, 0.003, assigned="v2", reason="timeout")
    meter.committed(0.001)
    meter.refused(422, "RowError")
    meter.refused(503, "StoreFull")
    meter.count("restarts", "ticker")
    meter.count("called_rows", "v2", "timeout", by=6)
    meter.count("rows_without_unit", by=7)
    meter.count("late_outcomes", by=8)
    found = scraped(numbers)
    assert len(COUNTERS) + len(HISTOGRAMS) + len(LEVELS) == 17
    for key, value in {
        ("requests_total", "/v1/predict", "200"): 1,
        ("rows_total", "v1"): 5,
        ("fallback_rows_total", "timeout", "v2"): 5,
        ("errors_total", "StoreFull"): 1,
        ("refusals_total", "422", "RowError"): 1,
        ("shadow_dropped_rows_total",): 2,
        ("restarts_total", "ticker"): 1,
        ("called_rows_total", "timeout", "v2"): 6,
        ("rows_without_unit_total",): 7,
        ("late_outcomes_total",): 8,
        ("version_seconds_count", "v1"): 1,
        ("version_seconds_sum", "v1"): 0.003,
        ("commit_seconds_count",): 1,
        ("waiting_rows", "v1"): 3,
        ("shadow_backlog_rows",): 4,
        ("breakers", "open", "v1"): 1,
        ("ledger_sequence",): 7,
    }.items():
        assert found[(key[0], *sorted(key[1:]))] == value, key
    assert scraped(numbers)[("shadow_dropped_rows_total",)] == 2


def test_the_buckets_of_a_histogram_are_cumulative() -> None:
    """Up to +Inf, which holds them all."""
    numbers = Numbers(Meter())
    for seconds in (0.0001, 0.0001, 0.3, 99.0):
        numbers.meter.answered(seconds)
    (family,) = (f for f in families(text(numbers)[0].decode()) if f.name == "incumbent_answer_seconds")
    buckets = {s.labels["le"]: s.value for s in family.samples if s.name.endswith("_bucket")}
    assert (buckets["0.0002"], buckets["0.2"], buckets["0.5"], buckets["10.0"], buckets["+Inf"]) == (2, 2, 3, 3, 4)


@pytest.mark.parametrize("path", ["/v1/predict/", "/v1/x", "//", "/.env", "/versionsx", "/v1/trials/enrol", "é"])
def test_a_path_that_nobody_knows_is_one_label(path: str) -> None:
    """However many somebody makes up."""
    assert template(path) == "unknown"


# --- several processes


def test_processes_are_summed_and_no_counter_goes_backwards(tmp_path: Path) -> None:
    """Whoever answers the scrape; what was shown is kept when its process dies, and its successor goes on from it."""
    moment = [1000.0]
    reading = {"a": Reading(5, backlog=2), "b": Reading(4, backlog=3)}

    def numbers(slot: str) -> Numbers:
        return Numbers(Meter(), lambda: reading[slot], tmp_path, slot, lambda: moment[0])

    a, b = numbers("a"), numbers("b")
    a.meter.served("v1", 10, 0.1)
    a.publish()
    b.meter.served("v1", 1, 0.1)
    expected = {("rows_total", "v1"): 11, ("shadow_backlog_rows",): 5, ("ledger_sequence",): 4, ("processes",): 2}
    assert expected.items() <= scraped(b).items()
    a.meter.served("v1", 100, 0.1)
    assert scraped(a)[("rows_total", "v1")] == 111  # shown, so kept: here a dies without another word
    assert scraped(b)[("rows_total", "v1")] == 111
    moment[0] += 60
    assert {("rows_total", "v1"): 111, ("shadow_backlog_rows",): 3, ("processes",): 1}.items() <= scraped(b).items()
    again = numbers("a")
    assert scraped(again)[("rows_total", "v1")] == 111
    again.meter.served("v1", 1000, 0.1)
    again.publish()
    assert {("rows_total", "v1"): 1111, ("processes",): 2}.items() <= scraped(again).items()


def test_a_process_that_ends_leaves_its_counts_alone(tmp_path: Path) -> None:
    """Its queue is gone, its rows were answered."""
    a = Numbers(Meter(), lambda: Reading(1, backlog=2), tmp_path, "a")
    b = Numbers(Meter(), lambda: Reading(9), tmp_path, "b")
    a.meter.served("v1", 10, 0.1)
    a.publish(living=False)
    expected = {("rows_total", "v1"): 10, ("shadow_backlog_rows",): 0, ("ledger_sequence",): 9, ("processes",): 1}
    assert expected.items() <= scraped(b).items()


def test_two_real_processes_answer_as_one(site: Any, spawn: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Each shows what both were asked; one that is killed and replaced takes nothing away."""
    folder = str(tmp_path_factory.mktemp("numbers"))
    one, two = (spawn(site.folder, INCUMBENT_NUMBERS=folder, INCUMBENT_SLOT=slot) for slot in "12")

    def predicted(child: Any) -> float:
        body = httpx.get(f"{child.url}/metrics").text
        return samples(body).get(("requests_total", "/v1/predict", "200"), 0)

    for child in (one, one, two):
        assert httpx.post(f"{child.url}/v1/predict", json=ROW).status_code == 200
    until(lambda: predicted(one) == predicted(two) == 3)
    os.kill(one.process.pid, signal.SIGKILL)
    one.process.wait()
    assert predicted(two) == 3
    again = spawn(site.folder, INCUMBENT_NUMBERS=folder, INCUMBENT_SLOT="1")
    assert httpx.post(f"{again.url}/v1/predict", json=ROW).status_code == 200
    assert predicted(again) == 4
    again.end()
    assert predicted(two) == 4
