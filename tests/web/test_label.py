"""The page for labels: blind, one row at a time, every answer kept, by form and by keyboard."""

import asyncio
import json
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from incumbent.config import Config, parse
from incumbent.loop import study
from incumbent.loop.study import Item, Rows, Study
from incumbent.records import Adjudication, Kind, Label, Response
from incumbent.storage.opening import Facts, open_facts
from incumbent.web.app import pages

TOML = '[task]\nname="letters"\nkind="multiclass"\ntarget="about"\nmetric="accuracy"\n'
CLASSES = ("damage", "delivery", "payment")
MANY = ("Zürich", *(f"town {one}" for one in "abcdefghijklmnopqrstuvwxyzäö"), "lake zurich")
LONG = "Where is my parcel?\n" + "It should have been here on Monday. " * 4
PNG = b"\x89PNG\r\n\x1a\nand so on"


def begin(facts: Facts, n: int = 6, twice: int = 0, classes: tuple[Label, ...] = CLASSES, kind: Kind = "multiclass",
          reviewers: tuple[str, ...] = ()) -> Study:  # fmt: skip
    """A study of letters with a grey picture, a file, an address and a table."""
    digest = facts.blobs.put(PNG)
    items = tuple(
        Item(f"letter {i}", {"text": LONG, "grey": [float(i)] * 64, "scan": "scan.png",
                             "photo": f"https://pictures.example/{i}.png", "amount": 12.5 + i, "new": i % 2 == 0,
                             "<b>": None})
        for i in range(n)
    )  # fmt: skip
    pictures = {"grey": {"kind": "pixels", "side": 8, "most": 255}, "photo": {"kind": "url"},
                "scan": {"kind": "file", "files": {"scan.png": [digest, "image/png"]}}}  # fmt: skip
    rows = facts.blobs.put(study.rows_to_bytes(Rows(items, pictures, ("text",))))
    begun = Study("s1", rows, facts.blobs.put(b"gold: the answer is payment"), n, twice, 1, kind, "about", classes,
                  reviewers)  # fmt: skip
    study.start(facts.ledger, begun, at=1, actor="test", expected=facts.ledger.sequence())
    return begun


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return parse(TOML, tmp_path)


@pytest.fixture
def facts(config: Config) -> Iterator[Facts]:
    opened = open_facts(config)
    yield opened
    opened.close()


class Browser:
    """A person at the page, without a script: forms, cookies, redirects."""

    def __init__(self, app: Starlette, name: str | None = None, who: str | None = None) -> None:
        self._app, self._who, self._cookies = app, who, httpx.Cookies()
        if name is not None:
            assert self.post("/label/name", name=name).status_code == 303

    def get(self, path: str = "/label") -> httpx.Response:
        return self._ask("GET", path)

    def told(self, path: str = "/label.json") -> dict[str, Any]:
        return dict(self.get(path).json())

    def post(self, path: str, **form: Any) -> httpx.Response:
        return self._ask("POST", path, data=form)

    def say(self, **form: Any) -> httpx.Response:
        """Send the form that the page shows, with this added."""
        page = self.told()
        sent = {"study": page["study"]["name"], "slot": page["item"]["slot"], "shown_at": page["shown_at"]}
        return self.post("/label", **{**sent, "took_ms": "", **form})

    def _ask(self, method: str, path: str, **how: Any) -> httpx.Response:
        async def ask() -> httpx.Response:
            async def app(scope: Any, receive: Any, send: Any) -> None:
                if self._who is not None:
                    scope["incumbent.who"] = self._who
                await self._app(scope, receive, send)

            transport = httpx.ASGITransport(app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://t", cookies=self._cookies) as client:
                answer = await client.request(method, path, **how)
                self._cookies = client.cookies
                return answer

        with ThreadPoolExecutor(1) as elsewhere:  # the driver of the real browser has a loop of its own in this thread
            return elsewhere.submit(lambda: asyncio.run(ask())).result()


@pytest.fixture
def app(facts: Facts, config: Config) -> Starlette:
    return pages(facts, config)


# --- what is shown


def test_without_a_study_there_is_nothing_to_label(app: Starlette) -> None:
    """The page says what begins one."""
    answer = Browser(app).get()
    assert answer.status_code == 200 and "incumbent baseline people" in answer.text


def test_who_comes_says_their_name_once(app: Starlette, facts: Facts) -> None:
    """It is asked first, kept in this browser, and no script can read it."""
    begin(facts)
    ann = Browser(app)
    assert "Who are you?" in ann.get().text
    assert ann.post("/label", study="s1", slot="0-1", choice="0").headers["location"] == "/label"
    assert facts.log.responses("s1") == []
    cookie = ann.post("/label/name", name="  Ann   B ").headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=strict" in cookie and "Path=/;" in cookie
    assert ann.told()["who"] == "Ann B"
    for name in ("", "x" * 65, "a<b>", "a\nb;c"):
        assert Browser(app).post("/label/name", name=name).status_code == 422


def test_a_token_says_who_it_is(app: Starlette, facts: Facts) -> None:
    """No name is asked for, and none that is given counts."""
    begin(facts)
    browser = Browser(app, name="mallory", who="ann")
    assert browser.told()["who"] == "ann"
    browser.say(choice="1")
    assert [one.reviewer for one in facts.log.responses("s1")] == ["ann"]


def test_the_page_is_blind(app: Starlette, facts: Facts) -> None:
    """It shows features: no label, no id, no prediction, no way to the pages that show some."""
    begin(facts)
    page = Browser(app, "ann").get().text
    assert "gold" not in page and "letter " not in page.replace("letters", "")
    assert 'href="/"' not in page and "/review" not in page
    assert "&lt;b&gt;" in page and "<b>" not in page
    for value in CLASSES:
        assert page.count(value) == 1


def test_a_row_is_shown_by_what_it_holds(app: Starlette, facts: Facts) -> None:
    """Long text to read, pictures as such, the rest in a table in the order of the signature."""
    begin(facts)
    ann = Browser(app, "ann")
    item = ann.told()["item"]
    assert [one["name"] for one in item["fields"]] == ["amount", "new", "<b>"]
    assert [one["text"] for one in item["fields"]] == ["12.5", "yes", "–"]
    assert item["texts"] == [{"name": "text", "text": LONG}]
    sources = {one["name"]: one["src"] for one in item["pictures"]}
    assert sources["grey"].startswith("data:image/png;base64,")
    assert sources["photo"] == "https://pictures.example/0.png"
    file = ann.get(sources["scan"])
    assert (file.content, file.headers["content-type"]) == (PNG, "image/png")
    assert "sandbox" in file.headers["content-security-policy"]
    for path in ("/label/picture/0?column=photo", "/label/picture/99?column=scan", "/label/picture/0"):
        assert ann.get(path).status_code == 404


def test_the_page_may_do_little(app: Starlette, facts: Facts) -> None:
    """A script and a form of ours, pictures from where the row says; the other pages may not even that."""
    begin(facts)
    policy = Browser(app, "ann").get().headers["content-security-policy"]
    assert "default-src 'none'" in policy and "script-src 'self'" in policy and "form-action 'self'" in policy
    assert "img-src 'self' data: https://pictures.example;" in policy
    assert "form-action 'none'" in Browser(app).get("/review").headers["content-security-policy"]


# --- what is answered


def test_an_answer_is_kept_before_the_next_row_is_shown(app: Starlette, facts: Facts) -> None:
    """Who, what, which copy, how long; then another row."""
    begin(facts)
    ann = Browser(app, "ann")
    first = ann.told()["item"]["slot"]
    answer = ann.say(choice="2", took_ms="1")
    assert (answer.status_code, answer.headers["location"]) == (303, "/label")
    (kept,) = facts.log.responses("s1")
    assert (kept.item, kept.copy, kept.reviewer, kept.value) == ("letter 0", 1, "ann", "payment")
    assert kept.took_us == 1000
    assert ann.told()["item"]["slot"] != first


def test_the_same_form_twice_is_one_answer(app: Starlette, facts: Facts) -> None:
    """A browser that heard no reply sends it again; another value is a correction with history."""
    begin(facts)
    ann = Browser(app, "ann")
    form = {"study": "s1", "slot": "0-1", "shown_at": "1", "took_ms": ""}
    for choice in ("2", "2", "0"):
        assert ann.post("/label", **form, choice=choice).status_code == 303
    assert [one.value for one in facts.log.responses("s1", history=True)] == ["payment", "damage"]
    assert [one.value for one in facts.log.responses("s1")] == ["damage"]


def test_time_is_bounded_by_what_the_server_saw(app: Starlette, facts: Facts) -> None:
    """A page that says an hour one moment after it was made is not believed, nor is one from last year."""
    begin(facts)
    ann = Browser(app, "ann")
    ann.say(choice="0", took_ms="3600000")
    ann.say(choice="0", shown_at="1", took_ms="")
    ann.say(choice="0", shown_at="x", took_ms="-7")
    took = [one.took_us for one in facts.log.responses("s1")]
    assert took[0] < 60_000_000 and took[1] == study.MOST_US and took[2] == 0


def test_undo_shows_the_last_row_again(app: Starlette, facts: Facts) -> None:
    """With the answer that was given; another one corrects it. No other row can be looked at again."""
    begin(facts)
    ann = Browser(app, "ann")
    ann.say(choice="0")
    ann.say(choice="1")
    place = ann.say(action="undo").headers["location"]
    page = ann.told(place.replace("/label", "/label.json"))
    assert [one["word"] for one in page["choices"] if one["marked"]] == ["delivery"]
    assert not page["undo"]
    ann.post("/label", study="s1", slot=page["item"]["slot"], choice="2")
    assert [one.value for one in facts.log.responses("s1")] == ["damage", "payment"]
    assert ann.get("/label?slot=0-1").status_code == 422
    assert facts.ledger.sequence() == 1


def test_a_skip_is_kept_and_comes_back_when_asked(app: Starlette, facts: Facts) -> None:
    """Everything else is done: the page offers what was skipped."""
    begin(facts, n=2)
    ann = Browser(app, "ann")
    ann.say(action="skip")
    ann.say(choice="0")
    page = ann.get()
    assert "Nothing is left for you" in page.text and "/label?again" in page.text
    again = ann.told("/label.json?again")
    assert ann.post("/label", study="s1", slot=again["item"]["slot"], choice="1", again="1").headers["location"] == (
        "/label?again"
    )
    assert [one.value for one in facts.log.responses("s1")] == ["damage", "delivery"]
    assert "Every row has its labels" in ann.get().text


def test_numbers_are_typed(app: Starlette, facts: Facts) -> None:
    """With a point or a comma; what is none is refused and keeps nothing."""
    begin(facts, classes=(), kind="regression")
    ann = Browser(app, "ann")
    assert 'name="number"' in ann.get().text
    for number in ("12.5", " 7,25 ", "-3e2"):
        assert ann.say(number=number).status_code == 303
    for number in ("", "x", "nan", "inf", "1e999"):
        assert ann.say(number=number).status_code == 422
    assert [one.value for one in facts.log.responses("s1")] == [12.5, 7.25, -300.0]


@pytest.mark.parametrize(
    "form",
    [{"choice": "3"}, {"choice": "-1"}, {"choice": "²"}, {}, {"slot": "6-1", "choice": "0"},
     {"slot": "0-2", "choice": "0"}, {"slot": "x", "choice": "0"}, {"slot": "0-3", "choice": "0"}],
)  # fmt: skip
def test_a_form_that_we_do_not_send_is_refused(app: Starlette, facts: Facts, form: dict[str, str]) -> None:
    """422, and nothing is kept."""
    begin(facts)
    answer = Browser(app, "ann").post("/label", **{"study": "s1", "slot": "0-1", **form})
    assert answer.status_code == 422
    assert facts.log.responses("s1") == []


def test_an_ended_study_takes_nothing_more(app: Starlette, facts: Facts) -> None:
    """The page that was open meanwhile says so; a huge form is not read."""
    begun = begin(facts)
    ann = Browser(app, "ann")
    assert ann.post("/label", study="s1", slot="0-1", choice="0", more="x" * 20_000).status_code == 413
    study.finish(facts.ledger, begun, "v1", at=2, actor="test")
    answer = ann.post("/label", study="s1", slot="0-1", choice="0")
    assert answer.status_code == 409 and "has ended" in answer.text
    assert facts.log.responses("s1") == []


def test_two_people_look_at_different_rows(app: Starlette, facts: Facts) -> None:
    """While one is at it, the other gets another; a reload shows the same."""
    begin(facts)
    ann, ben = Browser(app, "ann"), Browser(app, "ben")
    first = ann.told()["item"]["slot"]
    assert ben.told()["item"]["slot"] != first == ann.told()["item"]["slot"]


# --- a third person


def differing(facts: Facts) -> None:
    begin(facts, reviewers=("ann", "ben", "cleo"))
    facts.log.append_responses(
        [Response("s1", "letter 3", 1, "ann", "damage", 1), Response("s1", "letter 3", 2, "ben", "payment", 1)]
    )


def test_a_third_person_sees_both_answers_and_decides(app: Starlette, facts: Facts) -> None:
    """Without names; the decision is kept apart from the answers."""
    differing(facts)
    cleo = Browser(app, "cleo")
    page = cleo.told("/label/settle.json")
    assert page["item"]["slot"] == "3-1" and page["said"] == ["damage", "payment"]
    text = cleo.get("/label/settle").text
    assert "damage and payment" in text and "ann" not in text.replace("<span", "").replace("</span", "")
    assert cleo.post("/label/settle", study="s1", slot="3-1", choice="2").headers["location"] == "/label/settle"
    (kept,) = facts.log.adjudications("s1")
    assert (kept.item, kept.value, kept.reviewer) == ("letter 3", "payment", "cleo")
    assert len(facts.log.responses("s1")) == 2
    assert "Nothing is left to decide" in cleo.get("/label/settle").text


def test_who_answered_does_not_decide(app: Starlette, facts: Facts) -> None:
    """Neither is it shown to them, nor is it kept when they send it."""
    differing(facts)
    ann = Browser(app, "ann")
    assert ann.told("/label/settle.json")["item"] is None
    ann.post("/label/settle", study="s1", slot="3-1", choice="0")
    assert facts.log.adjudications("s1") == list[Adjudication]()


# --- in a real browser


@pytest.fixture
def url(facts: Facts, app: Starlette, serve: Callable[[Starlette], str]) -> str:
    return serve(app)


@pytest.fixture
def tab(browser: Any, url: str) -> Iterator[Any]:
    """A tab that asks no other host but for pictures, and complains about nothing."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, base_url=url)
    context.route("https://pictures.example/*", lambda route: route.fulfill(body=PNG, content_type="image/png"))
    page, said = context.new_page(), list[str]()
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    yield page
    context.close()
    assert said == []


def named(tab: Any, name: str = "ann") -> None:
    tab.goto("/label")
    tab.wait_for_selector("#name:focus")
    tab.keyboard.type(name)
    press(tab, "Enter")


def press(tab: Any, key: str) -> None:
    """Press a key, and wait for the page that follows."""
    with tab.expect_navigation(wait_until="load"):
        tab.keyboard.press(key)


@pytest.mark.browser
def test_the_keyboard_is_enough(tab: Any, facts: Facts) -> None:
    """The name, then a key for each answer, s to skip, u to undo; the time of each row is measured."""
    begin(facts)
    named(tab)
    for key in "312":
        press(tab, key)
    press(tab, "s")
    press(tab, "u")
    assert "slot=" in tab.url
    press(tab, "1")
    kept = facts.log.responses("s1")
    assert [one.value for one in kept] == ["payment", "damage", "delivery", "damage"]
    assert all(0 < one.took_us < study.MOST_US for one in kept)


@pytest.mark.browser
def test_letters_find_one_of_many_classes(tab: Any, facts: Facts) -> None:
    """What is typed leaves those that hold it, the likeliest first; Enter takes the first, a digit one of the first
    nine; Enter alone takes none. Accents and capitals do not count."""
    begin(facts, classes=MANY)
    named(tab)
    shown = tab.locator(".choices button:visible")
    tab.keyboard.press("Enter")
    assert shown.count() == 30 and facts.log.responses("s1") == []
    tab.keyboard.type("ZUR")
    assert shown.locator("span").all_inner_texts() == ["Zürich", "lake zurich"]
    assert shown.locator("kbd").all_inner_texts() == ["1", "2"]
    assert tab.locator("#found").inner_text() == "2 of 30"
    press(tab, "Enter")
    assert tab.locator("#find").input_value() == "" and shown.count() == 30
    tab.keyboard.type("town b")
    press(tab, "1")
    press(tab, "9")
    tab.keyboard.type("nowhere")
    assert shown.count() == 0 and "None has it" in tab.locator("#found").inner_text()
    tab.keyboard.press("Enter")
    tab.keyboard.press("Escape")
    assert shown.count() == 30
    kept = facts.log.responses("s1")
    assert [one.value for one in kept] == ["Zürich", "town b", MANY[8]]


@pytest.mark.browser
def test_arrows_skip_and_undo_where_letters_find(tab: Any, facts: Facts) -> None:
    """While something is typed they move in the text; letters reach the field from anywhere."""
    begin(facts, classes=MANY)
    named(tab)
    press(tab, "ArrowRight")
    press(tab, "1")
    press(tab, "ArrowLeft")
    assert "slot=" in tab.url
    tab.keyboard.type("ton b")
    for _ in range(3):
        tab.keyboard.press("ArrowLeft")
    tab.keyboard.type("w")
    assert tab.locator("#find").input_value() == "town b"
    tab.locator("h1").click()
    tab.keyboard.press("End")
    tab.keyboard.press("Escape")
    tab.locator("h1").click()
    tab.keyboard.type("c")
    assert "c" in tab.locator("#find").input_value()
    assert [one.value for one in facts.log.responses("s1")] == [None, MANY[0]]


@pytest.mark.browser
def test_classes_that_are_numbers_are_typed(tab: Any, facts: Facts) -> None:
    """Digits are no keys then: the class that is what was typed comes first."""
    begin(facts, classes=tuple(range(30)))
    named(tab)
    tab.keyboard.type("2")
    shown = tab.locator(".choices button:visible")
    assert shown.locator("span").all_inner_texts() == ["2", *map(str, range(20, 30)), "12"]
    assert shown.locator("kbd").count() == 0
    press(tab, "Enter")
    assert [one.value for one in facts.log.responses("s1")] == [2]


@pytest.mark.browser
def test_enter_keeps_a_number(tab: Any, facts: Facts) -> None:
    """The field has the focus already; s in it skips, for it is no digit."""
    begin(facts, classes=(), kind="regression")
    named(tab)
    tab.wait_for_selector("#number:focus")
    tab.keyboard.type("12.5")
    press(tab, "Enter")
    press(tab, "s")
    assert [one.value for one in facts.log.responses("s1")] == [12.5, None]


@pytest.mark.browser
@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_is_wider_than_the_window(tab: Any, facts: Facts, width: int) -> None:
    """Pictures, long text, table and answers, on a telephone too; every answer can be seen there at once."""
    begin(facts)
    tab.set_viewport_size({"width": width, "height": 844})
    named(tab)
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    buttons = tab.locator(".choices button")
    assert all(buttons.nth(i).bounding_box()["y"] < 844 for i in range(buttons.count()))
    grey = tab.locator("figure.shown img").first
    assert grey.evaluate("e => [e.naturalWidth, e.naturalHeight]") == [8, 8]


@pytest.mark.browser
@pytest.mark.parametrize("classes", [CLASSES, (*CLASSES, *"abcdefgh")])
def test_the_page_works_without_its_script(
    browser: Any, url: str, facts: Facts, classes: tuple[Label, ...]
) -> None:
    """Buttons are a plain form, and there is no field that finds nothing; the time is then what the server saw."""
    begin(facts, classes=classes)
    context = browser.new_context(java_script_enabled=False, base_url=url)
    context.route("https://pictures.example/*", lambda route: route.abort())
    page = context.new_page()
    page.goto("/label")
    page.get_by_label("Your name").fill("ann")
    page.get_by_role("button", name="Begin").click()
    assert page.locator("#find:visible").count() == 0
    page.get_by_role("button", name=re.compile("delivery")).click()
    page.get_by_role("button", name=re.compile("Undo")).click()
    page.get_by_role("button", name=re.compile("payment")).click()
    context.close()
    (kept,) = facts.log.responses("s1")
    assert kept.value == "payment" and kept.took_us > 0
    assert [one.value for one in facts.log.responses("s1", history=True)] == ["delivery", "payment"]


@pytest.mark.parametrize(
    ("classes", "keys"),
    [
        (tuple("abcdefghij"), "1234567890"),
        (tuple("abcdefghijk"), "123456789"),
        (tuple(range(11)), ""),
        (("gate 4", *"abcdefghij"), ""),
    ],
    ids=["ten", "eleven", "numbers", "a digit in a word"],
)
def test_every_class_can_be_reached_by_keys(
    app: Starlette, facts: Facts, classes: tuple[Label, ...], keys: str
) -> None:
    """Up to ten have one each; of more, letters find one, and digits too where a class has one in its word."""
    begin(facts, classes=classes)
    page = Browser(app, "ann").told()
    assert "".join(one["key"] for one in page["choices"]) == keys
    assert page["study"]["find"] is (len(classes) > 10)


def test_the_twin_is_what_the_page_shows(app: Starlette, facts: Facts) -> None:
    """One dictionary for both; it is JSON."""
    begin(facts)
    page = Browser(app, "ann").told()
    assert json.loads(json.dumps(page)) == page
    assert [one["key"] for one in page["choices"]] == ["1", "2", "3"]
