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


@given(
    estimate=st.floats(-1, 1),
    width=st.one_of(st.floats(0, 1), st.just(math.inf)),
    days=st.integers(0, 40),
    split_p=st.floats(0, 1),
    harm=st.booleans(),
    cleared=st.booleans(),
)
def test_whatever_is_read_a_promotion_has_all_that_it_needs(
    estimate: float, width: float, days: int, split_p: float, harm: bool, cleared: bool
) -> None:
    """And no trial outlives its last day."""
    errors = Guardrail("errors", harm, cleared)
    reading = Reading(estimate, estimate - width, estimate + width, estimate + 1.2 * width, days, split_p,
                      guardrails=(errors,))  # fmt: skip
    decided, reason = verdict(reading, LIVE)
    if decided == "promote":
        assert reading.lower > 0 and days >= 7 and split_p >= 0.01 and cleared and not harm
    assert decided != "continue" or (days < 28 and reason.startswith("needs "))
