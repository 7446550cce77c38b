"""The HTML report of a gate needs nothing beside it, and says all that the summary says."""

import re
from dataclasses import replace

import pytest
from made import ALL, ERROR, HOLD, SHIP, SLICED

from incumbent.ci.page import html


@pytest.mark.parametrize("name", ALL)
def test_every_outcome_is_a_page_that_needs_nothing_beside_it(name: str) -> None:
    page = html(ALL[name])
    assert f"<h1>{ALL[name].title}</h1>" in page
    addresses = set(re.findall(r"https?://[^\"'\s<)]+", page))
    assert addresses <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert "<script" not in page
    assert re.findall(r"<(?:link|img|source)[^>]+(?:href|src)=\"(?!data:)", page) == []


def test_the_picture_is_there_in_light_and_dark() -> None:
    assert html(SHIP).count("<svg") == 2
    assert "<svg" not in html(ERROR)


def test_each_rule_has_its_verdict_in_colour() -> None:
    page = html(SLICED)
    for colour, word in (("good", "ship"), ("bad", "hold"), ("open", "not enough data")):
        assert f'<td><span class="verdict {colour}">{word}</span></td>' in page


def test_data_stays_text_and_notes_are_seen() -> None:
    page = html(replace(HOLD, notes=("There was no <incumbent>.",)))
    assert "<b>bold" not in page and "There was no &lt;incumbent&gt;." in page
