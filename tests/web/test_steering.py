"""The forms by which a person steers: first what will happen, then a reason, then one event."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from incumbent import config as configuration
from incumbent.loop.fold import roles as fold
from incumbent.records import Roles
from incumbent.storage.opening import Facts
from incumbent.web.app import pages

sys.path.insert(0, str(Path(__file__).parent))

import trials  # found by the line above


@pytest.fixture
def split(tmp_path: Path) -> Iterator[Facts]:
    facts = trials.write(tmp_path / "split", "split")
    yield facts
    facts.close()


@pytest.fixture
def tab(split: Facts, tmp_path: Path, serve: Callable[..., str], browser: Any) -> Iterator[Any]:
    """A tab on the pages of a project with a running split; it may complain about nothing."""
    url = serve(pages(split, configuration.load(tmp_path / "split"), lambda version: None))
    page = browser.new_page(viewport={"width": 1280, "height": 900}, base_url=url)
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    yield page
    page.close()
    assert [text for text in said if "409 (Conflict)" not in text] == []


def roles(facts: Facts) -> Roles:
    return fold(facts.ledger.events())


@pytest.mark.browser
def test_more_units_take_part(tab: Any, split: Facts) -> None:
    """The page says what will happen before it asks for a reason; the reason and the name are on the ledger."""
    tab.goto("/trial")
    tab.get_by_role("link", name="Enrol more").click()
    tab.get_by_label("Share of the units").fill("80")
    before = roles(split).sequence
    tab.get_by_role("button", name="Say what will happen").click()
    assert "80 % of the units will take part in trial t6 instead of 50 %" in tab.locator("main").inner_text()
    assert roles(split).sequence == before
    tab.get_by_label("Your name").fill("Anna")
    tab.get_by_label("Why").fill("no harm so far")
    tab.get_by_role("button", name="Let more units take part").click()
    assert tab.url.endswith("/trial") and "no harm so far" in tab.locator("main").inner_text()
    event = split.ledger.events()[-1]
    assert (event.type, event.actor, event.reason) == ("EnrolmentRaised", "person:Anna", "no harm so far")
    assert event.sequence == before + 1


@pytest.mark.browser
def test_a_smaller_share_leads_to_a_new_phase(tab: Any, split: Facts) -> None:
    """It is refused with both ways out, and one of them is a link."""
    tab.goto("/trial/enrol?enrolled=5")
    assert "EnrolmentLowered" in tab.get_by_role("alert").inner_text()
    tab.get_by_role("link", name="Begin a new phase").click()
    assert "Phase 2 of trial t6 will begin with 5 % of the units" in tab.locator("main").inner_text()
    tab.get_by_label("Your name").fill("Anna")
    tab.get_by_label("Why").fill("a feed was broken")
    tab.get_by_role("button", name="Begin a new phase").click()
    trial = roles(split).trial
    assert trial is not None and (trial.phase, trial.enrolled) == (2, 0.05)


@pytest.mark.browser
def test_stop_then_promote_and_roll_back(tab: Any, split: Facts) -> None:
    """A whole afternoon by mouse and keyboard."""
    for path, button in (("/trial/stop", "Stop the trial"), ("/trial/promote?version=v3", "Promote a version"),
                         ("/trial/rollback", "Take the incumbent back")):  # fmt: skip
        tab.goto(path)
        tab.get_by_label("Your name").fill("Anna")
        tab.get_by_label("Why").fill("to see")
        tab.get_by_role("button", name=button, exact=True).click()
        tab.wait_for_url(lambda url: "/trial/" not in url)
    assert [event.type for event in split.ledger.events()][-3:] == ["TrialDecided", "Promoted", "RolledBack"]
    assert roles(split).incumbent == "v2"


@pytest.mark.browser
def test_no_reason_is_not_sent(tab: Any, split: Facts) -> None:
    """The browser asks for one; blanks are refused by the server."""
    before = roles(split).sequence
    tab.goto("/trial/stop")
    tab.get_by_label("Your name").fill("Anna")
    tab.get_by_role("button", name="Stop the trial").click()
    assert tab.url.endswith("/trial/stop") and tab.get_by_role("alert").count() == 0
    tab.get_by_label("Why").fill("   ")
    tab.get_by_role("button", name="Stop the trial").click()
    assert "no reason to stop the trial" in tab.get_by_role("alert").inner_text()
    assert roles(split).sequence == before


@pytest.mark.browser
def test_what_has_changed_meanwhile_is_said_anew(tab: Any, split: Facts, tmp_path: Path) -> None:
    """Two people at once: the second reads what their move would do now."""
    from incumbent.loop import steering
    from incumbent.loop.steering import Move

    tab.goto("/trial/enrol?enrolled=90")
    config = configuration.load(tmp_path / "split")
    move = Move("enrol", "first", enrolled=0.7)
    steering.make(move, split, config, lambda one: None, at=trials.MAY + 20 * trials.DAY, actor="ben")
    tab.get_by_label("Your name").fill("Anna")
    tab.get_by_label("Why").fill("second")
    tab.get_by_role("button", name="Let more units take part").click()
    assert "Something has changed" in tab.get_by_role("alert").inner_text()
    assert "instead of 70 %" in tab.locator("main").inner_text()
    assert split.ledger.events()[-1].reason == "first"


@pytest.mark.browser
@pytest.mark.parametrize("path", ["/trial", "/trials", "/trial/start", "/trial/promote?version=v3", "/trial/phase"])
@pytest.mark.parametrize("width", [400, 1280])
def test_no_page_is_wider_than_its_window(tab: Any, path: str, width: int) -> None:
    """Wide tables and pictures scroll by themselves."""
    tab.set_viewport_size({"width": width, "height": 844})
    tab.goto(path)
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
