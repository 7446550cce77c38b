"""An outcome says the same to every output: its verdict, its cases, its intervals, and what to do."""

import pytest
from made import ALL, AT, ERROR, FEW, HOLD, INVALID, NO_ROWS, OFF, SHIP, SLICED, outcome, rule

from incumbent.ci.outcome import WORDS, cases, drawn, failed, intervals, next_step
from incumbent.config import Gate


def test_the_title_says_the_verdict_and_whom_it_is_about() -> None:
    assert SHIP.title == "Ship: v7 against v1"
    assert FEW.title == "Not enough data: v7 against v1"
    assert ERROR.title == "Error: gate of seattle"


def test_the_sentence_does_not_repeat_the_verdict() -> None:
    assert FEW.sentence == "v7 against v1: as the rules say."


@pytest.mark.parametrize("name", ALL)
def test_every_outcome_has_a_verdict_that_is_known_and_something_to_do(name: str) -> None:
    assert ALL[name].verdict in WORDS
    assert next_step(ALL[name]).endswith(".")


def test_a_rule_is_a_case_and_an_error_the_only_one() -> None:
    assert [(one.name, one.verdict) for one in cases(SLICED)] == [
        ("better_by", "ship"),
        ("no_worse_than (season = winter)", "hold"),
        ("no_worse_than (season = summer)", "not_enough_data"),
        ("no_worse_than (squared_error)", "ship"),
        ("min_rows (season = fall)", "not_enough_data"),
        ("latency_p99_ms", "ship"),
    ]
    assert [(one.name, one.verdict) for one in cases(ERROR)] == [("gate", "error")]


def test_too_few_rows_to_split_are_a_verdict_and_no_error() -> None:
    """NotEnoughData is exit code 3 on the terminal, and skipped in JUnit."""
    assert NO_ROWS.verdict == "not_enough_data"


def test_an_error_without_words_is_called_by_its_name() -> None:
    assert failed(ZeroDivisionError(), "seattle", AT).sentence == "ZeroDivisionError"


@pytest.mark.parametrize(
    ("name", "gate", "threshold"),
    [
        ("better_by", Gate(better_by=0.02), 0.02),
        ("no_worse_than", Gate(no_worse_than=0.01), -0.01),
        ("not_shown_worse", Gate(), 0.0),
        ("latency_p99_ms", Gate(), None),
    ],
)
def test_thresholds_of_the_settings_are_in_units_of_the_gain(name: str, gate: Gate, threshold: float | None) -> None:
    (case,) = cases(outcome("ship", [rule(name, "ship")], gate))
    assert case.threshold == threshold


def test_a_threshold_in_the_evidence_goes_before_the_settings() -> None:
    (case,) = cases(outcome("ship", [rule("better_by", "ship", threshold=0.5)], Gate(better_by=0.02)))
    assert case.threshold == 0.5


def test_all_rows_come_first_and_then_each_slice() -> None:
    """All rows have the verdict of their own rules, a slice has its own threshold. What has no gain, or another metric,
    is not on this scale; nor are thresholds that are rows or milliseconds."""
    assert [(one.label, one.verdict, one.thresholds) for one in intervals(SLICED)] == [
        ("all rows", "ship", (("better_by", 0.02),)),
        ("season = winter", "hold", (("no_worse_than", -0.01),)),
        ("season = summer", "not_enough_data", (("no_worse_than", -0.01),)),
    ]


def test_a_picture_of_many_slices_shows_all_rows_and_what_does_not_ship() -> None:
    """In the order of the rules; what ships is left out first, and counted."""
    verdicts = ["hold" if i % 10 == 7 else "ship" for i in range(90)]
    rules = [rule("better_by", verdict, slice=f"s = {i}", gain=0.1) for i, verdict in enumerate(verdicts)]
    shown, left_out = drawn(intervals(outcome("hold", [rule("better_by", "ship"), *rules])))
    assert (len(shown), left_out) == (20, 71)
    assert shown[0].label == "all rows"
    assert [one.label for one in shown if one.verdict == "hold"] == [f"s = {i}" for i in range(7, 90, 10)]
    assert drawn(shown) == (shown, 0)


def test_without_a_gain_there_is_no_interval() -> None:
    assert intervals(INVALID) == intervals(ERROR) == []


def test_a_rule_of_a_slice_is_named_after_it() -> None:
    """Once, where the gate has done so already."""
    (case,) = cases(outcome("hold", [rule("no_worse_than", "hold", slice="season = winter")]))
    assert case.name == "no_worse_than (season = winter)"


def test_a_gate_that_is_off_is_one_case_that_says_so() -> None:
    assert [(one.name, one.verdict) for one in cases(OFF)] == [("gate", "off")]
    assert OFF.title == "Not judged: v7 against v1" and "enforce" in next_step(OFF)


def test_one_rule_that_holds_holds_all_rows() -> None:
    assert [one.verdict for one in intervals(HOLD)] == ["hold"]


def test_what_to_do_names_the_version_and_the_rows() -> None:
    assert "`incumbent promote v7 " in next_step(SHIP)
    assert "2,500 such rows" in next_step(FEW)
