"""The verdict is a pure function of one reading; the first match wins."""

import math
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from incumbent.config import Live
from incumbent.steps.live.verdict import Guardrail, Reading, verdict, waits_for

LIVE = Live(min_days=7, max_days=28)
GOOD = Reading(estimate=0.02, lower=0.01, upper=0.03, harm_upper=0.03, days=9)


def word(reading: Reading, live: Live = LIVE) -> str:
    return verdict(reading, live)[0]


def test_the_first_match_wins() -> None:
    """invalid before roll_back before promote before stop before continue."""
    harmful = replace(GOOD, harm_upper=-0.001, days=30)
    assert word(replace(harmful, split_p=0.001)) == "invalid"
    assert word(replace(harmful, both_arms=0.02)) == "invalid"
    assert word(harmful) == "roll_back"
    assert word(replace(GOOD, guardrails=(Guardrail("errors", harm=True),))) == "roll_back"
    assert word(replace(GOOD, latched=True)) == "roll_back"
    assert word(replace(GOOD, days=30)) == "promote"
    assert word(replace(GOOD, lower=-0.01, days=28)) == "stop"
    assert word(replace(GOOD, lower=-0.01)) == "continue"


def test_a_gain_is_not_enough_for_a_promotion() -> None:
    """Too few days, a suspect split, failures not cleared, labels missing: each alone keeps the trial
    open."""
    for open_ in (
        replace(GOOD, days=6),
        replace(GOOD, split_p=0.005),
        replace(GOOD, guardrails=(Guardrail("latency"), Guardrail("errors", cleared=False))),
        replace(GOOD, missing=("12 labelled rows more of the challenger",)),
    ):
        decided, reason = verdict(open_, LIVE)
        assert decided == "continue" and waits_for(open_, LIVE)[0] in reason


def test_a_gain_must_be_above_the_one_that_was_declared() -> None:
    """min_gain .01 is not passed by a bound of .01; a trial that cannot reach it any more stops."""
    live = replace(LIVE, min_gain=0.01)
    assert word(GOOD, live) == "continue"
    assert word(replace(GOOD, lower=0.001, upper=0.009), live) == "stop"
    assert word(replace(GOOD, lower=0.001, upper=0.009), replace(LIVE, smallest_effect=0.01)) == "promote"


def test_harm_names_what_was_found() -> None:
    """The primary measure, a guardrail by its name, a breaker that latched."""
    late = Guardrail("latency", harm=True, said="more of its answers are shown late")
    assert verdict(replace(GOOD, harm_upper=-0.002), LIVE) == (
        "roll_back", "the challenger is shown worse, by at least 0.002",
    )  # fmt: skip
    assert verdict(replace(GOOD, guardrails=(late,)), LIVE)[1] == "latency: more of its answers are shown late"
    assert "breaker" in verdict(replace(GOOD, latched=True), LIVE)[1]


def test_a_trial_stops_when_its_planned_sample_is_used_up() -> None:
    """Not before its least run, and not while a gain that is shown waits for a guardrail: then the deadline ends it."""
    full = replace(GOOD, lower=-0.01, n=5_000, n_max=5_000)
    assert verdict(full, LIVE) == ("stop", "undecided after 5,000 of at most 5,000: the incumbent stays")
    assert word(replace(full, n=4_999)) == "continue"
    assert word(replace(full, n_max=None)) == "continue"
    assert word(replace(full, days=6)) == "continue"
    assert word(replace(full, missing=("5 labels more of the challenger",))) == "continue"
    waits = replace(full, lower=0.01, guardrails=(Guardrail("errors", cleared=False, said="errors shown not harmful"),))
    assert verdict(waits, LIVE) == ("continue", "needs errors shown not harmful")
    assert word(replace(waits, days=28)) == "stop"


def test_an_open_trial_says_what_it_needs() -> None:
    """Labels, days, the split, guardrails, and how far off the gain is."""
    reading = replace(
        GOOD, lower=-0.01, days=5, split_p=0.004, missing=("40 labels more of the challenger",),
        guardrails=(Guardrail("errors", cleared=False, said="errors shown not harmful (a rate of at most 0.5 %)"),),
        outlook="1,200 units more would show it if it stays +0.02",
    )  # fmt: skip
    assert verdict(reading, LIVE)[1] == (
        "needs 40 labels more of the challenger, 2 whole days more, a split that is not suspect (p = 0.004), "
        "errors shown not harmful (a rate of at most 0.5 %), a gain that is shown above 0 "
        "(1,200 units more would show it if it stays +0.02)"
    )


@given(
    estimate=st.floats(-1, 1),
    width=st.one_of(st.floats(0, 1), st.just(math.inf)),
    days=st.integers(0, 40),
    split_p=st.floats(0, 1),
    harm=st.booleans(),
    cleared=st.booleans(),
    latched=st.booleans(),
    n=st.integers(0, 100),
    n_max=st.none() | st.integers(1, 100),
)
def test_whatever_is_read_a_promotion_has_all_that_it_needs(
    estimate: float, width: float, days: int, split_p: float, harm: bool, cleared: bool, latched: bool, n: int,
    n_max: int | None,
) -> None:  # fmt: skip
    """Harm never promotes, an invalid split decides nothing else, and no trial outlives its last day or its sample."""
    errors = Guardrail("errors", harm, cleared)
    reading = Reading(estimate, estimate - width, estimate + width, estimate + 1.2 * width, days, split_p,
                      guardrails=(errors,), latched=latched, n=n, n_max=n_max)  # fmt: skip
    decided, reason = verdict(reading, LIVE)
    assert (decided == "invalid") is (split_p <= 0.001)
    assert (decided == "roll_back") is (split_p > 0.001 and (harm or latched or reading.harm_upper < 0))
    if decided == "promote":
        assert reading.lower > 0 and days >= 7 and split_p >= 0.01 and cleared and not harm and not latched
    if decided == "continue" and n_max is not None and n >= n_max:
        assert days < 7 or reading.lower > 0
    assert decided != "continue" or (days < 28 and reason.startswith("needs "))
