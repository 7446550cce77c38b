"""The pages as people see them, in a real browser."""

from collections.abc import Iterator
from typing import Any

import pytest

pytestmark = pytest.mark.browser
PATHS = ["/", "/?all", "/trial", "/trials", "/versions/v2", "/review", "/doctor", "/nowhere"]


@pytest.fixture
def tab(browser: Any, url: str) -> Iterator[Any]:
    """A tab of a light desktop; what it asked for and what it complained about is checked at the end."""
    page = browser.new_page(viewport={"width": 1280, "height": 900}, color_scheme="light", base_url=url)
    asked: list[str] = []
    said: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    yield page
    page.close()
    assert [address for address in asked if not address.startswith(f"{url}/")] == []
    assert [text for text in said if "404 (Not Found)" not in text] == []


def styled(tab: Any, selector: str, name: str) -> str:
    """The computed style of the first element that matches."""
    found: str = tab.locator(selector).first.evaluate(f"e => getComputedStyle(e).getPropertyValue('{name}')")
    return found


def is_red(colour: str) -> bool:
    red, green, blue = (float(part) for part in colour.removeprefix("rgb(").removesuffix(")").split(",")[:3])
    return red > 150 and red > 1.5 * green and red > 1.5 * blue


def test_the_incumbent_is_the_first_thing_seen(tab: Any) -> None:
    """The incumbent's name stands large above the fold."""
    tab.goto("/")
    name = tab.locator(".office .big")
    assert name.inner_text() == "v2"
    assert name.bounding_box()["y"] < 300
    assert float(styled(tab, ".office .big", "font-size").removesuffix("px")) > 30


def test_what_the_plan_leaves_open_is_red(tab: Any) -> None:
    """Unanswered questions are red and say what to write where; answered ones are not."""
    tab.goto("/")
    assert tab.locator(".plan .unanswered").count() == 3
    assert is_red(styled(tab, ".plan .unanswered dd", "color"))
    assert is_red(styled(tab, ".plan .unanswered", "border-left-color"))
    assert not is_red(styled(tab, ".plan .answered", "border-left-color"))
    assert 'fall_back_on = "…"' in tab.locator(".plan .unanswered").first.inner_text()


def test_dark_follows_the_readers_setting(tab: Any) -> None:
    """Colours and pictures change with the setting."""

    def picture() -> str:
        found: str = tab.locator("figure img").first.evaluate("e => e.currentSrc")
        return found

    tab.goto("/")
    light, drawn = styled(tab, "body", "background-color"), picture()
    tab.emulate_media(color_scheme="dark")
    tab.wait_for_function("() => document.querySelector('figure img').currentSrc.includes('.dark.svg')")
    assert styled(tab, "body", "background-color") != light
    assert ".light.svg" in drawn
    assert ".dark.svg" in picture()


@pytest.mark.parametrize("path", PATHS)
def test_a_telephone_scrolls_one_way_only(tab: Any, path: str) -> None:
    """At 390 pixels no page is wider than the window."""
    tab.set_viewport_size({"width": 390, "height": 844})
    tab.goto(path)
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.parametrize("path", PATHS)
def test_the_keyboard_reaches_every_link(tab: Any, path: str) -> None:
    """Tab goes through all links in order, and each shows an outline while it has the focus."""
    tab.goto(path)
    links = tab.locator("a[href]").evaluate_all("links => links.map(link => link.outerHTML)")
    reached, outlines = [], set()
    for _ in range(len(links) + tab.locator("[tabindex]").count()):
        tab.keyboard.press("Tab")
        html, outline = tab.evaluate(
            "() => [document.activeElement.outerHTML, getComputedStyle(document.activeElement).outlineStyle]"
        )
        reached.append(html)
        outlines.add(outline)
    assert [html for html in reached if html in links] == links
    assert outlines == {"solid"}


def test_pictures_are_there(tab: Any) -> None:
    """Each picture loads and has words for those who do not see it."""
    tab.goto("/")
    tab.wait_for_load_state("networkidle")
    pictures = tab.locator("figure img")
    assert pictures.count() == 2
    assert all(pictures.evaluate_all("all => all.map(one => one.naturalWidth > 0 && one.alt.length > 10)"))


def test_the_ledger_leads_to_a_version(tab: Any) -> None:
    """A version named on the ledger is one click away, and so is the way back."""
    tab.goto("/")
    tab.locator("#ledger .version", has_text="v3").first.click()
    assert tab.locator("h1").inner_text() == "v3"
    tab.get_by_role("link", name="Dashboard").click()
    assert tab.locator(".office .big").inner_text() == "v2"


def test_a_picture_opened_alone_may_run_nothing(tab: Any) -> None:
    """A stored picture is a document that its headers keep in a sandbox."""
    answer = tab.goto("/pictures/trial.light.svg")
    assert "sandbox" in answer.headers["content-security-policy"]
