"""The Markdown summary: verdict first, a picture that renders, and data that stays text."""

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made import ALL, FEW, HOLD, NASTY, SHIP, SLICED, outcome, rule

from incumbent.ci.summary import MOST, escaped, markdown


@pytest.mark.parametrize("name", ALL)
def test_the_verdict_is_in_the_heading_and_what_to_do_follows(name: str) -> None:
    lines = markdown(ALL[name]).splitlines()
    assert lines[0].startswith("### ") and lines[0].endswith(escaped(ALL[name].title))
    assert any(line.startswith("**Next.** ") for line in lines)


def test_each_rule_is_a_row_of_the_table() -> None:
    rows = re.findall(r"^\| (\S+?)(?: .*?)? \| \S+ ([\w ]+) \| .* \| (\S+) \|$", markdown(SLICED), re.MULTILINE)
    assert rows[:3] == [("better\\_by", "ship", "–"), ("no\\_worse\\_than", "hold", "–"),
                        ("no\\_worse\\_than", "not enough data", "1,234")]  # fmt: skip
    assert len(rows) == 6


def test_the_picture_is_text_that_every_service_shows() -> None:
    """GitHub takes data: addresses and SVG out of Markdown, so there is neither."""
    said = markdown(SHIP)
    assert "```text\nall rows " in said
    assert "<svg" not in said and "data:" not in said and "![" not in said


def test_data_neither_becomes_markup_nor_calls_anybody() -> None:
    said = markdown(HOLD)
    (row,) = [line for line in said.splitlines() if line.startswith("| suspicious")]
    assert len(re.findall(r"(?<!\\)\|", row)) == 5
    assert "<b>" not in said.replace("\\<", "") and "@everybody" not in said


def test_notes_stand_before_the_table() -> None:
    said = markdown(replace(SHIP, notes=("There was no incumbent.",)))
    assert said.index("> **Note.** There was no incumbent.") < said.index("| rule |")


def test_a_thousand_slices_fit_into_what_github_takes() -> None:
    """Rows at the end are left out, their number is said, and the verdict and the picture stay."""
    many = [rule("no_worse_than", "hold", NASTY * 20, slice=f"user=u{i}") for i in range(3000)]
    said = markdown(outcome("hold", many))
    assert MOST // 2 < len(said.encode()) <= MOST
    (left_out,) = re.findall(r"^([\d,]+) more are left out here", said, re.MULTILINE)
    assert int(left_out.replace(",", "")) + said.count("| no\\_worse") == 3000
    assert "**Next.**" in said and "```text" in said


@pytest.mark.parametrize("most", [0, 10, 300, 2000])
def test_whatever_room_there_is_is_kept(most: int) -> None:
    """A step that has nearly filled its summary gets what fits."""
    assert len(markdown(FEW, most).encode()) <= most


@given(st.text())
def test_escaped_text_is_one_line_without_markup(text: str) -> None:
    said = escaped(text)
    assert "\n" not in said
    assert not re.search(r"(?<!\\)(\\\\)*[|`*_\[]", said)
