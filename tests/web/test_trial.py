"""The trial's page: the running trial, else the last; whatever its look knows, of this release or an earlier one."""

import sys
from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from incumbent import config as configuration
from incumbent.storage.opening import Facts
from incumbent.web import trial
from incumbent.web.app import pages

sys.path.insert(0, str(Path(__file__).parent))

import trials  # found by the line above


@pytest.fixture
def of(tmp_path: Path, request: Any) -> Callable[[str], Any]:
    """A client of the pages of a project with a trial of that kind."""
    from conftest import Client

    def opened(kind: str) -> Any:
        facts: Facts = trials.write(tmp_path / kind, kind)
        request.addfinalizer(facts.close)
        return Client(pages(facts, configuration.load(tmp_path / kind), lambda version: None))

    return opened


def has(answer: Any, *told: str) -> None:
    text = " ".join(unescape(answer.text).split())
    assert answer.status_code == 200
    assert [one for one in told if one not in text] == []
    assert "None" not in text


def test_a_running_split_in_full(of: Callable[[str], Any]) -> None:
    """Verdict, bounds, what is missing, guardrails with their limits, the split, the third arm, phases, looks."""
    client = of("split")
    has(
        client.get("/trial"),
        "Trial t6, split", "Not decided yet.", "+0.004222", "−0.002444", "promoted above", "stopped if all is below",
        "✓ shown harmless", "○ not decided yet", "✓ not suspect", "allowed: 0.5 %", "(47 challenger, 40",
        "a loss of 0.2 is allowed",
        "labels that came too late", "share with a label", "Third arm (called)", "third arm", "✓ clean", "33.3 %",
        "gain, at least", "no harm shown: 50 % may take part", "31 %", "prediction 81,900", trials.SETTINGS[:8],
        "9 recorded", "/pictures/trial-t6.light.svg?v=", "/pictures/guardrails-t6.dark.svg?v=", "revenue",
        'href="/trial/enrol"', 'href="/trial/phase"', 'href="/trial/stop"', "labels more of the challenger",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("shadow", ("scores the same rows as", "blocks", "✓ shown harmless", "at most 0.41 % of the challenger")),
        ("ended", ("The challenger is shown better.", "the gain is at least 0.0021", "All 2 trials")),
        ("invalid", ("Invalid: the arms cannot be compared", "✗ invalid", "54 %", "p = 4e-05")),
        ("harm", ("shown to do harm: the incumbent stays", "✗ harm is shown", "2.1 % of the challenger's answers")),
        ("none", ("No trial yet", "incumbent live start VERSION")),
    ],
)
def test_every_kind_of_trial(of: Callable[[str], Any], kind: str, told: tuple[str, ...]) -> None:
    """In words, whatever the colours."""
    has(of(kind).get("/trial"), *told)


def test_a_past_trial_has_its_page_and_the_list_leads_to_it(of: Callable[[str], Any]) -> None:
    """A shadow that went on to a split are two trials."""
    client = of("ended")
    listed = client.get("/trials").text
    assert 'href="/trials/t6"' in listed and 'href="/trials/t8"' in listed
    has(client.get("/trials/t6"), "Trial t6, shadow", "the gain is at least 0.0012")
    assert client.get("/trial.json").json()["trial"]["name"] == "t8"
    assert 'href="/trial"' in client.get("/").text
    unknown = client.get("/trials/t99")
    assert unknown.status_code == 404 and "there were t6, t8" in unknown.text


def test_the_twin_is_the_page(of: Callable[[str], Any]) -> None:
    """Everything that the page shows, as JSON."""
    client = of("split")
    found = client.get("/trial.json").json()["trial"]
    assert found["look"]["verdict"] == "continue" and found["look"]["split"]["state"] == "clean"
    assert [one["state"] for one in found["look"]["guardrails"]] == ["cleared", "undecided", "undecided", "cleared"]
    assert [step["enrolled"] for step in found["phases"][0]["steps"]] == [0.1, 0.5]
    assert len(found["looks"]) == 9 and found["looks"][0]["at"] > found["looks"][1]["at"]
    assert client.get("/trials.json").json()["trials"][0]["runs"] is True


def test_looks_of_an_earlier_release_are_shown(client: Any) -> None:
    """They know no lines, no mark, no measures: nothing is said where a number is missing."""
    page = client.get("/trial")
    has(page, "v3 against v2 (split, look 10)", "Test group (challenger)", "840", "mean brier", "recorded")
    for missing in ("Measures", "Third arm", "read until", "settings</dt>", "The split itself"):
        assert missing not in page.text


def test_without_somebody_who_proves_nothing_is_offered(client: Any) -> None:
    """A page that may not steer shows no move and has no form."""
    assert "/trial/stop" not in client.get("/trial").text
    assert client.get("/trial/stop").status_code == 404


def test_a_trial_stopped_by_hand_says_so(tmp_path: Path) -> None:
    """Whatever its last look said."""
    from incumbent.loop import steering
    from incumbent.loop.steering import Move

    facts = trials.write(tmp_path, "split")
    config = configuration.load(tmp_path)
    move = Move("stop", "the feed is broken")
    steering.make(move, facts, config, lambda one: None, at=trials.MAY + 20 * trials.DAY, actor="anna")
    found: Any = trial.page(facts, config)["trial"]
    assert found["look"]["verdict"] == "stopped" and not found["runs"] and found["look"]["missing"] == []
    assert found["ended"] == "the feed is broken" and found["headline"].startswith("Stopped by hand")
    facts.close()
