"""Guardrails: harm is shown at their part of the budget, no harm at alpha, and till then neither is."""

import math

import numpy as np
import pytest

from incumbent.config import Live, Measure
from incumbent.records import Trial
from incumbent.stats import sequential
from incumbent.stats.share import upper_rate_sequence
from incumbent.steps.live import guardrails
from incumbent.steps.live.gain import Gain
from incumbent.steps.live.horizon import Horizon
from incumbent.steps.live.measures import Arms, Compared
from incumbent.steps.live.verdict import Guardrail
from incumbent.storage.base import ArmSums

SPLIT = Trial("t1", "v2", "v1", "split", 0)
LIVE = Live(latency_budget_ms=20.0)
ALPHA = 0.005


def arms(failed: tuple[int, int] = (0, 0), slow: tuple[int, int] = (0, 0), rows: int = 4_000) -> Arms:
    """Every unit that was hit was hit once."""
    one, other = (
        ArmSums(units=rows // 2, rows=rows, failed=f, units_failed=f, slow=s, units_slow=s)
        for f, s in zip(failed, slow, strict=True)
    )
    return {"challenger": one, "incumbent": other}


def test_failed_answers_harm_are_cleared_or_neither() -> None:
    """20 against 2 are shown more; 0 of 4,000 are at most .5 %; 30 against 30 are neither more nor less than twice."""
    judged = [guardrails.errors(SPLIT, arms(failed), LIVE, ALPHA) for failed in ((20, 2), (0, 0), (30, 30))]
    assert [(one.harm, one.cleared) for one in judged] == [(True, False), (False, True), (False, False)]
    assert "failed" in judged[0].said and "0.5 %, the incumbent's 0.05 %" in judged[0].said
    assert "errors shown not harmful" in judged[2].said
    assert judged[0].numbers["log_e"] == sequential.log_e_share(20, 2, 0.5, 10.0)
    assert judged[1].numbers["upper"] == upper_rate_sequence(0, 4_000, alpha=LIVE.alpha)
    assert judged[0].numbers["events"] == {"challenger": 20, "incumbent": 2}


def test_failures_that_both_have_are_cleared_by_the_share_test() -> None:
    """5 % in each arm is far above .5 %, and shown below twice the incumbent's."""
    assert guardrails.errors(SPLIT, arms((200, 200)), LIVE, ALPHA).cleared
    assert not guardrails.errors(SPLIT, arms((200, 200)), Live(harm_margin=1.05), ALPHA).cleared


def test_a_third_arm_leaves_the_two_their_shares() -> None:
    """Of the units of challenger and incumbent half are the challenger's, whatever the third arm has."""
    thirds = Trial("t1", "v2", "v1", "split", 0, share=1 / 3, called=1 / 3)
    one, other = (guardrails.errors(trial, arms((9, 3)), LIVE, ALPHA) for trial in (thirds, SPLIT))
    assert one.numbers["log_e"] == pytest.approx(other.numbers["log_e"])


def test_late_answers_are_tested_by_units_with_their_own_prior() -> None:
    """k = 50; cleared below 1 %, or below twice the incumbent's; the budget is told."""
    judged = [guardrails.latency(SPLIT, arms(slow=slow), LIVE, ALPHA) for slow in ((160, 80), (10, 90), (75, 50))]
    assert [(one.harm, one.cleared) for one in judged] == [(True, False), (False, True), (False, False)]
    assert judged[0].numbers["log_e"] == sequential.log_e_share(160, 80, 0.5, 50.0)
    assert judged[0].numbers["budget_ms"] == 20.0 and "late" in judged[0].said
    many = ArmSums(units=2_000, rows=4_000, slow=400, units_slow=3)  # one unit that is always late is one event
    few = ArmSums(units=2_000, rows=4_000, slow=3, units_slow=3)
    assert not guardrails.latency(SPLIT, {"challenger": many, "incumbent": few}, LIVE, ALPHA).harm


@pytest.mark.parametrize(("lower", "harm_upper", "harm", "cleared"), [
    (-0.25, -0.15, True, False),
    (-0.05, -0.01, False, True),
    (-0.2, 0.3, False, False),
    (0.01, 0.3, False, True),
])  # fmt: skip
def test_an_outcome_may_lose_its_margin(lower: float, harm_upper: float, harm: bool, cleared: bool) -> None:
    """Harm is more than the margin, shown; cleared is less than it, shown."""
    found = {"estimate": 0.0, "lower": lower, "upper": np.inf, "harm_upper": harm_upper}
    one = Compared(
        Measure("revenue", margin=0.1), Gain(500, 0.0, 1.0), found, {"challenger": 1.0, "incumbent": 1.0}, {}, True,
        Horizon(100.0),
    )  # fmt: skip
    judged = guardrails.measure(one)
    assert (judged.name, judged.harm, judged.cleared) == ("revenue", harm, cleared)
    assert judged.numbers["margin"] == 0.1 and judged.numbers["upper"] is None
    assert ("lose at least 0.15" in judged.said) is harm


def test_a_margin_of_nothing_asks_for_a_gain_and_says_so() -> None:
    found = {"estimate": 0.0, "lower": -0.001, "upper": 1.0, "harm_upper": 1.0}
    one = Compared(Measure("revenue"), Gain(500, 0.0, 1.0), found, {}, {}, True, Horizon(100.0))
    assert guardrails.measure(one).said == "revenue shown not harmful (a gain: its margin is 0)"


def test_shadow_calls_have_no_control() -> None:
    """Shown above what is tolerated, shown to be no more than that, or neither; without calls neither."""

    def words(judged: list[Guardrail]) -> list[tuple[bool, bool]]:
        return [(one.harm, one.cleared) for one in judged]

    failing = [guardrails.shadow_errors(failed, 2_000, LIVE, ALPHA) for failed in (40, 0, 10)]
    late = [guardrails.shadow_latency(slow, 2_000, LIVE, ALPHA) for slow in (60, 3, 20)]
    assert words(failing) == words(late) == [(True, False), (False, True), (False, False)]
    assert "fail in at least" in failing[0].said and "be late in at least" in late[0].said
    nothing = guardrails.shadow_errors(0, 0, LIVE, ALPHA)
    assert (nothing.harm, nothing.cleared, nothing.numbers["challenger"]) == (False, False, None)


def test_a_smaller_part_of_the_budget_takes_more_to_show() -> None:
    """The same counts, at a half and at a sixth of alpha_roll_back."""
    counts = arms((16, 1))
    log_e = sequential.log_e_share(16, 1, 0.5, 10.0)
    assert -math.log(0.01) < log_e < -math.log(0.01 / 3)
    assert guardrails.errors(SPLIT, counts, LIVE, 0.01).harm
    assert not guardrails.errors(SPLIT, counts, LIVE, 0.01 / 3).harm


def test_events_that_come_in_clusters_say_less() -> None:
    """8 failures of one unit are one event of an eighth of the rows: the bound is wider than that of 8 alone."""
    of = {"challenger": ArmSums(units=50, rows=8_000, failed=8, units_failed=1), "incumbent": ArmSums(50, 8_000)}
    clustered = guardrails.errors(SPLIT, of, LIVE, ALPHA)
    assert clustered.numbers["upper"] == upper_rate_sequence(1, 1_000, alpha=LIVE.alpha)
    assert clustered.numbers["upper"] > upper_rate_sequence(8, 8_000, alpha=LIVE.alpha)


def test_a_challenger_that_mends_what_failed_can_be_told() -> None:
    """None late against most of them: that is beyond any number, and evidence holds no infinity."""
    found = guardrails.latency(SPLIT, arms(slow=(0, 2_000)), LIVE, ALPHA)
    assert found.cleared and not found.harm and found.numbers["log_e"] is None
