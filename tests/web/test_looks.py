"""What looks found, in words and numbers: guardrails, the split, arms; whatever a look does not know is left out."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from incumbent.records import Evidence
from incumbent.web import looks

sys.path.insert(0, str(Path(__file__).parent))

import trials  # found by the line above


def found(**more: Any) -> str:
    (one,) = looks.guardrails({"guardrails": [trials.guardrail("g", "undecided", **more)]})
    return str(one["found"]).replace("\xa0", " ")


def test_a_rate_is_said_against_what_is_allowed() -> None:
    """Both arms' rates, the bound, the limit; a shadow has no control."""
    assert found() == (
        "0.12 % of the challenger's answers, 0.1 % of the incumbent's, at most 0.41 % of the challenger's in the long "
        "run; allowed: 0.5 %, or less than 2 times the incumbent's rate"
    )
    assert found(challenger=None, incumbent=None, margin=None) == (
        "at most 0.41 % of the challenger's answers in the long run; allowed: 0.5 %"
    )


def test_a_measure_is_said_by_its_bounds() -> None:
    """With the loss that is allowed; before the first bound it says so."""
    measure = {"tolerated": None, "margin": 0.2}
    both = "the gain is at least −0.4 and at most +0.3; a loss of 0.2 is allowed"
    assert found(**measure, lower=-0.4, upper=0.3) == both
    assert found(**measure, lower=None, upper=None) == "no bound yet; a loss of 0.2 is allowed"
    one = "the gain is at least +0.1; a loss of 0 is allowed"
    assert found(tolerated=None, margin=0.0, lower=0.1, upper=None) == one


def test_a_check_without_an_interval_is_suspect_or_not() -> None:
    """Labels that come from one arm only."""
    check = trials.guardrail("labels", "cleared", tolerated=None, margin=None, upper=None, p=0.4)
    (one,) = looks.guardrails({"guardrails": [check]})
    assert (one["kind"], one["state_said"]) == ("other", "not suspect") and one["found"].endswith("p = 0.4")


@pytest.mark.parametrize(
    ("p", "both", "state"),
    [(0.5, 0.0, "clean"), (0.005, 0.0, "suspect"), (0.0005, 0.0, "invalid"), (0.5, 0.02, "invalid")],
)
def test_the_split_is_clean_suspect_or_invalid(p: float, both: float, state: str) -> None:
    """By the limits of the verdict."""
    numbers = {"split": {"units": [60, 40], "labelled_units": [6, 4], "shares": [0.5, 0.5], "p": p, "both_arms": both}}
    told: Any = looks.split(numbers)
    assert told["state"] == state
    assert [(one["arm"], one["seen"]) for one in told["arms"]] == [("challenger", 0.6), ("incumbent", 0.4)]


def test_the_limits_of_the_split_are_those_of_the_verdict() -> None:
    """A page may not import a step, so the numbers stand twice."""
    from incumbent.steps.live import verdict

    assert (looks.SPLIT_SUSPECT, looks.SPLIT_INVALID) == (verdict.SPLIT_SUSPECT, verdict.SPLIT_INVALID)
    assert verdict.BOTH_ARMS == looks.BOTH_ARMS


def test_an_earlier_split_has_one_share() -> None:
    """Its arms were two."""
    numbers = {"split": {"units": [9, 11], "labelled_units": [0, 0], "share": 0.5, "p": 1.0, "both_arms": 0.0}}
    told: Any = looks.split(numbers)
    assert [one["expected"] for one in told["arms"]] == [0.5, 0.5] and told["arms"][0]["seen_labelled"] is None
    assert looks.split({"split": None}) is None


def test_a_watch_is_no_trial() -> None:
    """Nor is other evidence of the step."""
    one = trials.look("t6", "split", 1)
    watch = replace(one, numbers={**one.numbers, "mode": "watch", "trial": "watch-v1-0"})
    plan = Evidence("live", "v3", "ok", "s", 0, None, {})
    assert looks.by_trial([one, watch, plan]) == {"t6": [one]}


def test_the_first_look_knows_nothing_yet() -> None:
    """Every row is there, every cell is empty."""
    arms = {"challenger": None, "incumbent": None}
    units = {"challenger": 3, "incumbent": 4}
    rows = looks.arms({"n": units, "matured": {}, "coverage": arms, "late": None, "loss": arms})
    names = [row["name"] for row in rows]
    assert names == ["units", "answers whose window is closed", "share with a label", "mean row loss"]
    assert looks.third_arm({"called": None}) == []
    assert looks.third_arm({"called": {"n": 3, "lower": None, "called": 0.2}}) == [
        ("called", 0.2), ("gain, at least", None), ("n", 3),
    ]  # fmt: skip
