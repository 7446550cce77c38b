"""Gain by segments: found where it is, by unit or by day, and honest about how many were looked at."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from incumbent.steps.live import segments
from incumbent.steps.live.segments import MOST, TOP, cut, of_shadow, of_split

CUTS = {"hour": [6.0, 12.0, 18.0]}


def rows(n: int, seed: int, effect: float = 0.0) -> dict[str, np.ndarray]:
    """Rows of 400 units; at carrier UA the challenger's loss is smaller by `effect`."""
    draw = np.random.default_rng(seed)
    unit = draw.integers(0, 400, n)
    challenger = unit % 2 == 0
    carrier = np.array(["AA", "UA", "DL"], dtype=object)[draw.integers(0, 3, n)]
    loss = draw.normal(0.2, 0.05, n) + draw.normal(0.0, 0.02, 400)[unit]
    loss -= effect * ((carrier == "UA") & challenger)
    return {"unit": unit.astype(str), "challenger": challenger, "carrier": carrier, "loss": loss,
            "hour": draw.integers(0, 24, n).astype(float)}  # fmt: skip


def split(of: dict[str, np.ndarray]) -> segments.Segments:
    found = of_split({"carrier": of["carrier"], "hour": of["hour"]}, CUTS, of["loss"], of["challenger"], of["unit"])
    assert found is not None
    return found


def test_a_gain_is_found_where_it_is() -> None:
    """The segment that gains is shown above zero, and only that one."""
    found = split(rows(8_000, 1, effect=0.05))
    assert {(one.feature, one.value) for one in found.segments if one.feature == "carrier"} == {
        ("carrier", "AA"), ("carrier", "DL"), ("carrier", "UA"),
    }  # fmt: skip
    gains = {one.value: one for one in found.segments if one.feature == "carrier"}
    assert gains["UA"].gain == pytest.approx(0.05, abs=0.01) and gains["UA"].lower > 0.0
    assert gains["AA"].lower < 0.0 < gains["AA"].upper
    assert sum(one.rows for one in gains.values()) == found.overall.rows == 8_000


def test_the_gain_is_the_incumbents_loss_minus_the_challengers() -> None:
    """A ratio of sums by arm, as a look has it."""
    of = rows(2_000, 2, effect=0.02)
    at_ua = of["carrier"] == "UA"
    one = next(one for one in split(of).segments if one.value == "UA")
    mine, theirs = (of["loss"][at_ua & arm].mean() for arm in (of["challenger"], ~of["challenger"]))
    assert one.gain == pytest.approx(theirs - mine)


def test_intervals_cover_all_segments_together() -> None:
    """Nothing differs: in 200 draws of seven segments, a false alarm anywhere in at most 5 % (binomial 99.9 % limit:
    22)."""
    alarms = 0
    for seed in range(200):
        found = split(rows(1_500, 1_000 + seed))
        assert len(found.segments) == 7
        alarms += any(one.lower > 0.0 or one.upper < 0.0 for one in found.segments)
    assert alarms <= 22


def test_a_shadow_is_paired_by_day() -> None:
    """Rows of one day share their weather: one bad day makes no segment sure."""
    days = np.repeat(np.arange(20), 50)
    carrier = np.tile(np.array(["AA", "UA"], dtype=object), 500)
    gains = np.where(carrier == "UA", 0.03, 0.0) + np.random.default_rng(3).normal(0.0, 0.01, 20)[days]
    found = of_shadow({"carrier": carrier}, {}, gains, days)
    assert found is not None and found.kind == "days"
    one = next(one for one in found.segments if one.value == "UA")
    assert one.gain == pytest.approx(gains[carrier == "UA"].mean()) and one.lower > 0.0
    few = of_shadow({"carrier": carrier[:200]}, {}, gains[:200], days[:200])
    assert few is None  # four days


def test_what_is_too_good_to_be_true_says_so() -> None:
    """Twyman: a huge gain on few rows. The same gain on many rows is no surprise."""
    of = rows(8_000, 4)
    odd = np.arange(8_000) < 400
    of["carrier"][odd] = "ZZ"
    of["loss"] -= 0.6 * (odd & of["challenger"])
    found = {one.value: one for one in split(of).segments}
    assert found["ZZ"].note.startswith("too good to be true?")
    assert [one.value for one in found.values() if one.note] == ["ZZ"]
    many = rows(8_000, 4, effect=0.6)
    assert not any(one.note for one in split(many).segments)


def test_too_few_units_are_left_out_and_counted() -> None:
    """A segment of a handful of units has no interval worth reading."""
    of = rows(4_000, 5)
    of["carrier"][:10] = "rare"
    found = split(of)
    assert "rare" not in {one.value for one in found.segments}
    assert found.left_out == 1 and "1 more have fewer than 20 units an arm" in found.said


def test_no_more_than_can_be_read() -> None:
    """Many features: the first segments are shown, and Bonferroni counts those."""
    of = rows(4_000, 6)
    many = {f"f{i}": of["carrier"] for i in range(40)}
    found = of_split(many, {}, of["loss"], of["challenger"], of["unit"])
    assert found is not None and len(found.segments) == MOST and found.left_out == 120 - MOST


def test_an_empty_trial_has_no_segments() -> None:
    none = np.array([], dtype=float)
    assert of_split({"x": none}, {}, none, none.astype(bool), none.astype(str)) is None
    assert of_shadow({"x": none}, {}, none, none.astype(np.int64)) is None


def test_nulls_are_a_segment() -> None:
    """Of numbers and of categories."""
    numbers = dict(cut("x", np.array([1.0, math.nan, 9.0]), [5.0]))
    assert numbers["null"].tolist() == [False, True, False]
    texts = dict(cut("x", np.array(["a", None, "a"], dtype=object), None))
    assert texts["a"].tolist() == [True, False, True] and texts["null"].tolist() == [False, True, False]


@given(st.lists(st.one_of(st.none(), st.integers(0, 9)), min_size=1, max_size=60), st.booleans())
def test_segments_of_a_column_never_overlap(values: list[int | None], numeric: bool) -> None:
    """Numbers and nulls are covered exactly; of categories the most frequent ones."""
    column = np.array([math.nan if v is None else float(v) for v in values])
    found = cut("x", column, [2.0, 5.0, 7.0] if numeric else None)
    covered = np.sum([mask for _, mask in found], axis=0)
    assert covered.max() <= 1
    if numeric:
        assert covered.min() == 1
    else:
        assert len(found) <= TOP + 1
