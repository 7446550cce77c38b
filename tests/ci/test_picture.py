"""The picture as a file: words, colours of the verdict, light and dark, and something to see without an interval."""

from dataclasses import replace
from xml.etree import ElementTree as Xml

import pytest
from made import ALL, ERROR, FEW, INVALID, NASTY, SHIP, SLICED, outcome, rule

from incumbent import drawing
from incumbent.ci import picture
from incumbent.ci.outcome import Failure

SVG = "{http://www.w3.org/2000/svg}"
PNG = b"\x89PNG\r\n\x1a\n"


def words(drawn: bytes) -> str:
    return " | ".join("".join(node.itertext()) for node in Xml.fromstring(drawn).iter(f"{SVG}text"))


@pytest.mark.parametrize("name", ALL)
def test_every_outcome_is_a_picture_with_its_verdict(name: str) -> None:
    """Also an error, or losses that are not finite: then the picture is the words."""
    drawn = picture.svg(ALL[name])
    assert ALL[name].title in words(drawn)
    assert picture.png(ALL[name]).startswith(PNG)


def test_intervals_and_thresholds_are_named() -> None:
    said = words(picture.svg(SLICED))
    for told in ("all rows", "season = winter", "better_by +0.02", "no_worse_than −0.01", "−0.05, hold",
                 "gain in absolute_error"):  # fmt: skip
        assert told in said


def test_one_file_follows_the_readers_light_or_dark() -> None:
    """Both drawings are inside, each on its own ground, and their ids differ."""
    root = Xml.fromstring(picture.svg(SHIP))
    assert [group.get("class") for group in root.findall(f"{SVG}g")] == ["light", "dark"]
    assert "prefers-color-scheme:dark" in "".join(root.itertext())
    ids = [node.get("id") for node in root.iter() if node.get("id")]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize(("judged", "colour"), [(SHIP, "good"), (SLICED, "bad"), (FEW, "open"), (ERROR, "bad")])
def test_the_title_has_the_colour_of_the_verdict(judged: picture.Outcome, colour: str) -> None:
    drawn = Xml.fromstring(picture.svg(judged))
    titles = [node for node in drawn.iter(f"{SVG}text") if "".join(node.itertext()) == judged.title]
    assert [node.get("fill") for node in titles] == [drawing.LIGHT[colour], drawing.DARK[colour]]


def test_words_from_outside_are_text() -> None:
    drawn = picture.svg(replace(ERROR, failure=Failure("DataError", NASTY.replace("\x00", ""))))
    assert "<b>bold</b>" in words(drawn)


def test_a_thousand_slices_are_a_picture_that_can_be_looked_at() -> None:
    many = [rule(f"better_by (s = {i})", "ship", slice=f"s = {i}", gain=0.1, lower=0.05) for i in range(1000)]
    drawn = picture.svg(outcome("ship", [rule("better_by", "ship"), *many]))
    assert "981 more slices are not drawn" in words(drawn)
    assert float(Xml.fromstring(drawn).get("height", "")) < 2000


def test_no_gain_no_chart() -> None:
    assert picture.chart(INVALID) is None and picture.chart(ERROR) is None
