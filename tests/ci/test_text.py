"""The picture in characters: one scale, every mark in its place."""

from hypothesis import given
from hypothesis import strategies as st
from made import SLICED

from incumbent.ci.outcome import Interval, intervals
from incumbent.ci.text import WIDTH, picture

FINITE = st.floats(-1e6, 1e6)


def drawn(said: str) -> list[str]:
    """The rows of the picture, without axis and key."""
    return said.split("\n\n")[0].splitlines()[:-1]


def test_each_interval_has_a_line_and_each_threshold_is_explained() -> None:
    said = picture(intervals(SLICED), "absolute_error")
    assert [line.split("  ")[0] for line in drawn(said)] == ["all rows", "season = winter", "season = summer"]
    assert "┊ better_by 0.02   ┊ no_worse_than -0.01" in said
    assert "gain in absolute_error" in said
    assert "(no bounds)  not enough data" in said and "(at least -0.1)  hold" in said


def test_more_slices_than_anybody_reads_are_counted() -> None:
    many = [Interval(f"s = {i}", "ship", 0.1, 0.05, None) for i in range(31)]
    said = picture(many)
    assert said.count("●") == 21 and "(11 more slices are not drawn)" in said  # the key has one


def test_the_line_of_zero_is_one_column() -> None:
    """Also where an interval crosses it."""
    lines = drawn(picture(intervals(SLICED)))
    places = {line.find("│") if "│" in line else line.find("┼") for line in lines}
    assert len(places) == 1


def test_zero_is_written_below_its_line() -> None:
    """Where an end of the scale is too near, the end gives way."""
    for lower in (-5.0, -0.2, 0.5):
        said = picture([Interval("all", "ship", 4.0, lower, 9.0)]).splitlines()
        assert said[1][said[0].find("┼" if lower < 0 else "│")] == "0"


def test_nothing_to_draw_is_no_text() -> None:
    assert picture([]) == ""


def test_a_long_name_is_cut_to_keep_the_picture_narrow() -> None:
    said = picture([Interval("x" * 200 + "\n```", "ship", 1.0, 0.5, 1.5)])
    assert max(map(len, said.splitlines())) < 130
    assert "```" not in said


@given(FINITE, st.tuples(FINITE, FINITE) | st.none(), st.lists(FINITE, max_size=3))
def test_any_numbers_can_be_drawn(gain: float, bounds: tuple[float, float] | None, asked: list[float]) -> None:
    """Equal, huge, tiny or missing bounds: a row of the same width with the gain in it once."""
    lower, upper = (min(*bounds, gain), max(*bounds, gain)) if bounds else (None, None)
    one = Interval("all", "ship", gain, lower, upper, tuple(("better_by", at) for at in asked))
    (line,) = drawn(picture([one]))
    assert line[5 : 5 + WIDTH].count("●") == 1
    assert line[5 + WIDTH] == " "
