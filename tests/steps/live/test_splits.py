"""A look at a split, part by part: every line of the verdict, guardrails, other measures, three arms, CUPED."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from summing import Row, of_rows

from incumbent.config import Live, Measure
from incumbent.records import DAY, Arm, Evidence, Trial
from incumbent.stats import metrics
from incumbent.stats.sequential import half_width
from incumbent.steps.live.sums import plan
from incumbent.steps.live.trial import judge_split

BRIER = metrics.get("brier", "binary")
SPLIT = Trial("t1", "v2", "v1", "split", 0)
THIRDS = Trial("t1", "v2", "v1", "split", 0, share=1 / 3, called=1 / 3)
LIVE = Live(min_days=7, max_days=28, mode="split")
KEYS = {
    "trial", "phase", "mode", "metric", "primary", "days", "enrolled", "enrolled_since", "looks", "missing", "n",
    "n_kind", "rows", "matured", "labelled", "coverage", "late", "loss", "value", "estimate", "lower", "upper",
    "harm_upper", "n_star", "n_max", "lines", "split", "guardrails", "measures", "called", "cuped", "mark", "settings",
}  # fmt: skip


def world(
    seed: int = 1, units: int = 4_000, arms: tuple[Arm, ...] = ("challenger", "incumbent"), gain: float = 0.03,
    failing: float = 0.0, slow: float = 0.0, lost: float = 0.0, unlabelled: float = 0.0,
) -> list[Row]:  # fmt: skip
    """One answer a unit, arms in turn. The challenger gains `gain` in loss; `failing`, `slow`: the share of its answers
    that fail or are late; `lost`: what of the revenue of 10 it loses; `unlabelled`: the share of its labels that never
    come."""
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(units):
        arm = arms[i % len(arms)]
        new = arm == "challenger"
        answered = arm != "incumbent"
        loss = float(rng.beta(2, 8)) + 0.1 - gain * new
        rows.append(Row(
            f"u{i}", arm, None if new and rng.random() < unlabelled else loss,
            {"revenue": float(rng.gamma(4, 2.5)) - lost * new},
            failed=bool(answered and rng.random() < failing), slow=bool(answered and rng.random() < slow),
        ))  # fmt: skip
    return rows


def judged(rows: list[Row], live: Live = LIVE, day: int = 9, trial: Trial = SPLIT, **more: Any) -> Evidence:
    before = more.pop("known", None)
    return judge_split(trial, of_rows(rows, plan(trial, live), day * DAY, before), live, BRIER, day * DAY, **more)


def guardrail(evidence: Evidence, name: str) -> dict[str, Any]:
    return next(one for one in evidence.numbers["guardrails"] if one["name"] == name)


def test_a_look_has_every_number_behind_it() -> None:
    """Exactly these, with and without traffic."""
    for rows in ([], world(units=600)):
        evidence = judged(rows)
        assert set(evidence.numbers) == KEYS
        assert evidence.numbers["lines"] == {"promote": 0.0, "stop": None}
    assert evidence.numbers["rows"] == evidence.numbers["labelled"] == {"challenger": 300, "incumbent": 300}
    assert evidence.numbers["mark"] == {"now": 9 * DAY, "predictions": 600, "outcomes": 600}


def test_the_bounds_are_those_of_the_difference_of_means() -> None:
    """One answer a unit: Welch's standard error, N of both arms."""
    rows = world()
    evidence = judged(rows, planned=8_000)
    losses = [np.array([row.loss for row in rows if row.arm == arm]) for arm in ("challenger", "incumbent")]
    error = np.sqrt(sum(np.var(of, ddof=1) / len(of) for of in losses))
    estimate = losses[1].mean() - losses[0].mean()
    width = half_width(4_000, error, alpha=0.05, n_star=4_000, side="lower")
    assert evidence.numbers["estimate"] == pytest.approx(estimate)
    assert evidence.numbers["lower"] == pytest.approx(estimate - width)
    assert evidence.numbers["upper"] == pytest.approx(estimate + width)


@pytest.mark.parametrize(("rows", "live", "day", "word", "said"), [
    (world(), LIVE, 9, "promote", "the gain is at least"),
    (world(), LIVE, 3, "continue", "4 whole days more"),
    (world(units=300), LIVE, 9, "continue", "50 labels more of the challenger, about 3 days at the present rate"),
    (world(gain=-0.03), LIVE, 9, "roll_back", "shown worse, by at least"),
    (world(failing=0.05), LIVE, 9, "roll_back", "errors: more of its answers are shown failed"),
    (world(failing=0.004), LIVE, 9, "continue", "errors shown not harmful"),
    (world(arms=("challenger", "incumbent", "incumbent")), LIVE, 9, "invalid", "do not have their shares"),
    (world(gain=0.001), LIVE, 9, "continue", "units more would show it if it stays"),
    (world(gain=0.0), replace(LIVE, smallest_effect=0.02), 9, "stop", "less than the 0.02 that is worth it"),
    (world(gain=0.001), LIVE, 28, "stop", "undecided after 28 days"),
    (world(unlabelled=0.04), LIVE, 9, "continue", "labels that come from both arms alike"),
    (world(), replace(LIVE, min_gain=0.1), 9, "stop", "less than the 0.1 that is worth it"),
])  # fmt: skip
def test_each_line_of_the_verdict(rows: list[Row], live: Live, day: int, word: str, said: str) -> None:
    evidence = judged(rows, live, day)
    assert (evidence.verdict, said in evidence.sentence) == (word, True), evidence.sentence


def test_a_latched_breaker_rolls_back() -> None:
    assert judged(world(), latched=True).verdict == "roll_back"


def test_late_answers_roll_back_or_block_where_there_is_a_budget() -> None:
    """10 % late against none; 1 % is neither shown harmful at once nor cleared; without a budget nobody asks."""
    budget = replace(LIVE, latency_budget_ms=20.0)
    assert "latency: more of its answers are shown late" in judged(world(slow=0.1), budget).sentence
    waits = judged(world(slow=0.004), budget)
    assert waits.verdict == "continue" and not guardrail(waits, "latency")["cleared"]
    assert judged(world(slow=0.1)).verdict == "promote"
    assert judged(world(), budget).verdict == "promote"


@pytest.mark.parametrize(("lost", "word"), [(2.0, "roll_back"), (0.3, "continue"), (0.0, "promote")])
def test_an_outcome_must_not_be_harmed(lost: float, word: str) -> None:
    """Of a revenue of 10 a unit half of one may go: a loss of two is shown, one of .3 is not shown to be less."""
    live = replace(LIVE, measure=(Measure("revenue", margin=0.5),))
    evidence = judged(world(units=4_000, lost=lost), live)
    assert evidence.verdict == word, evidence.sentence
    one = guardrail(evidence, "revenue")
    assert one["challenger"] == pytest.approx(10 - lost, abs=0.3) and one["incumbent"] == pytest.approx(10, abs=0.3)
    assert evidence.numbers["measures"]["revenue"]["estimate"] == pytest.approx(-lost, abs=0.4)


def test_guardrails_share_their_half_of_the_budget() -> None:
    """With latency and two measures each has a quarter of it; what is only shown takes none."""
    live = replace(LIVE, latency_budget_ms=20.0, measure=(
        Measure("revenue"), Measure("sold", outcome="revenue", of="count"),
        Measure("total", outcome="revenue", role="shown"),
    ))  # fmt: skip
    evidence = judged(world(units=600), live)
    names = [one["name"] for one in evidence.numbers["guardrails"]]
    assert names == ["errors", "latency", "revenue", "sold", "labels"]
    assert guardrail(evidence, "errors")["alpha"] == guardrail(evidence, "latency")["alpha"] == 0.02 / 2 / 4
    assert set(evidence.numbers["measures"]) == {"revenue", "sold", "total"}


def test_another_measure_may_decide() -> None:
    """Revenue is primary: its gain promotes, and the row loss is shown."""
    live = replace(LIVE, measure=(Measure("revenue", of="sum", role="primary"),))
    evidence = judged(world(gain=-0.03, lost=-1.0), live)
    assert (evidence.verdict, evidence.numbers["primary"]) == ("promote", "revenue")
    assert evidence.numbers["estimate"] == pytest.approx(1.0, abs=0.4)
    assert evidence.numbers["measures"]["loss"]["role"] == "shown"
    assert evidence.numbers["measures"]["loss"]["estimate"] < 0


def test_a_third_arm_tells_latency_from_predictions_and_decides_nothing() -> None:
    """The called arm is late and fails, its losses are the incumbent's: shown, and the verdict is the one without."""
    rows = world(units=6_000, arms=("challenger", "incumbent", "called"))
    late = [replace(row, slow=row.arm == "called", failed=row.arm == "called") for row in rows]
    live = replace(LIVE, latency_budget_ms=20.0)
    evidence = judged(late, live, trial=THIRDS)
    assert evidence.verdict == "promote" == judged(rows, live, trial=THIRDS).verdict
    called = evidence.numbers["called"]
    assert called["estimate"] == pytest.approx(0.0, abs=0.01) and called["lower"] < 0 < called["upper"]
    assert (called["slow"], called["share_slow"], called["failed"]) == (2_000, 1.0, 2_000)
    assert evidence.numbers["split"]["units"] == [2_000, 2_000, 2_000]
    assert evidence.numbers["n"]["called"] == 2_000
    assert judged(world(units=600)).numbers["called"] is None


def test_what_was_known_before_narrows_the_bounds() -> None:
    """A covariate that explains most of a unit's loss: the share of variance that it takes is told; off, it is not."""
    rng = np.random.default_rng(4)
    rows = world(units=2_000, gain=0.01)
    known = {row.unit: float(row.loss or 0) + 0.01 * (row.arm == "challenger") + rng.normal(0, 0.05) for row in rows}
    with_it, without = judged(rows, known=known), judged(rows, replace(LIVE, cuped="off"), known=known)
    removed = with_it.numbers["cuped"]["share_of_variance_removed"]
    assert 0.7 < removed < 0.95 and with_it.numbers["cuped"]["known"] == {"challenger": 1_000, "incumbent": 1_000}
    assert without.numbers["cuped"] is None and judged(rows).numbers["cuped"] is None
    widths = [one.numbers["upper"] - one.numbers["lower"] for one in (with_it, without)]
    assert widths[0] < 0.6 * widths[1]


def test_an_effect_that_is_planned_for_fixes_the_sample() -> None:
    """Twice the fixed sample at the first valid look, whatever the variance is later; past it, an open trial stops."""
    live = replace(LIVE, smallest_effect=0.02)
    first = judged(world(units=400, gain=0.01), live, day=7)
    later = judged(world(units=8_000, gain=0.017), live, day=8, before=first)
    n_max = first.numbers["n_max"]
    assert 100 <= n_max == later.numbers["n_max"] < 8_000
    assert later.numbers["n_star"] == first.numbers["n_star"] == 400 * 28 / 7 / 2  # fewer than n_max will come
    small = judged(world(units=n_max + 40, gain=0.008), live, day=8, before=first)
    assert small.verdict in ("stop", "promote")
    assert judged(world(units=400, gain=0.01), live, day=7, planned=900).numbers["n_max"] == 900


def test_the_same_sums_give_the_same_bytes_and_other_settings_another_name() -> None:
    rows = world(units=600)
    assert judged(rows) == judged(rows)
    assert judged(rows).numbers["settings"] != judged(rows, replace(LIVE, alpha=0.04)).numbers["settings"]
