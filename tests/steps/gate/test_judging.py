"""Step 2: what ships, what is held, and what needs more rows."""

import json
import math
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats

from incumbent import config
from incumbent.config import Gate
from incumbent.records import Evidence
from incumbent.stats import latency, metrics
from incumbent.steps import gate

Floats = npt.NDArray[np.float64]
SETTINGS = Gate()


def losses(gain: float, n: int = 2_000, seed: int = 0, noise: float = 0.1) -> tuple[Floats, Floats]:
    """Row losses of an incumbent and of a candidate that is better by `gain` in the mean."""
    generator = np.random.default_rng(seed)
    incumbent = generator.uniform(0.0, 1.0, n)
    return incumbent, incumbent - gain + generator.normal(0.0, noise, n)


def judged(gain: float, settings: Gate = SETTINGS, **more: float) -> Evidence:
    return gate.judge(*losses(gain, **more), None, settings, "v2", "v1", 5)  # type: ignore[arg-type]


def test_a_clear_gain_ships() -> None:
    """A gain of five standard errors ships, and the evidence says by how much."""
    found = judged(0.02)
    assert found.verdict == "ship"
    assert found.numbers["lower"] > 0 and found.reference == "v1" and found.step == "gate"
    assert "v2 against v1" in found.sentence


def test_a_version_compared_with_itself_differs_by_exactly_zero_and_is_held() -> None:
    """Identical losses have a gain of 0, no width, and never ship as better."""
    same, _ = losses(0.0)
    found = gate.judge(same, same, None, SETTINGS, "v2", "v1", 0)
    assert (found.verdict, found.numbers["gain"], found.numbers["standard_error"]) == ("hold", 0.0, 0.0)


def test_a_gain_that_is_not_sure_says_how_many_rows_would_do() -> None:
    """The number of rows it names does show a gain of that size, at about the promised power."""
    incumbent, candidate = losses(0.0, n=400)
    candidate = candidate + (incumbent - candidate).mean() - 0.004
    found = gate.judge(incumbent, candidate, None, SETTINGS, "v2", "v1", 0)
    assert found.verdict == "not_enough_data"
    needed = found.numbers["rows_needed"]
    assert needed > 400 and f"{needed:,}" in found.sentence
    ships = sum(judged(0.004, n=needed, seed=seed).verdict == "ship" for seed in range(100))
    assert ships >= 65  # power .80: fewer than 65 of 100 has a chance below 1e-3


def test_a_worse_mean_is_held_and_not_called_a_lack_of_data() -> None:
    """More rows would not help a candidate whose mean is worse."""
    assert judged(-0.01).verdict == "hold"


def test_too_few_rows_give_no_verdict() -> None:
    """Below min_rows even a clear gain is not enough data, with the number of rows asked for."""
    found = judged(0.2, n=150)
    assert (found.verdict, found.numbers["rows_needed"]) == ("not_enough_data", 200)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_not_finite_never_ships(bad: float) -> None:
    """One NaN or infinite loss on either side holds the candidate, and the row is named."""
    for side in (0, 1):
        pair = losses(0.05)
        pair[side][7] = bad
        found = gate.judge(*pair, None, SETTINGS, "v2", "v1", 0)
        assert found.verdict == "hold" and "row 7" in found.sentence


def test_missing_and_unequal_losses_never_ship() -> None:
    """No rows, or other rows on the two sides, hold."""
    assert gate.judge([], [], None, SETTINGS, "v2", "v1", 0).verdict == "hold"
    assert gate.judge([0.1] * 300, [0.1] * 299, None, SETTINGS, "v2", "v1", 0).verdict == "hold"


def test_non_inferiority_allows_a_small_loss_and_no_more() -> None:
    """With a margin of .01 a version that is .001 worse ships, one that is .03 worse is held."""
    settings = replace(SETTINGS, no_worse_than=0.01)
    assert judged(-0.001, settings).verdict == "ship"
    assert judged(-0.03, settings).verdict == "hold"
    same, _ = losses(0.0)
    assert gate.judge(same, same, None, replace(settings, no_worse_than=0.0), "v2", "v1", 0).verdict == "ship"


def test_a_gain_too_good_to_be_true_is_held() -> None:
    """A candidate that takes away 90 % of the loss smells of leakage."""
    incumbent, _ = losses(0.0)
    found = gate.judge(incumbent, incumbent * 0.1, None, SETTINGS, "v2", "v1", 0)
    assert found.verdict == "hold" and "knows the target" in found.sentence
    open_minded = replace(SETTINGS, suspicious_if_better_by=0.95)
    assert gate.judge(incumbent, incumbent * 0.1, None, open_minded, "v2", "v1", 0).verdict == "ship"


def test_negative_and_zero_baselines_are_handled() -> None:
    """Losses below zero, and an incumbent whose mean loss is exactly 0, give a verdict and no error."""
    incumbent, candidate = losses(0.02)
    assert gate.judge(incumbent - 5, candidate - 5, None, SETTINGS, "v2", "v1", 0).verdict == "ship"
    zero = np.zeros(500)
    assert gate.judge(zero, zero + 0.01, None, SETTINGS, "v2", "v1", 0).verdict == "hold"


def test_one_block_cannot_ship() -> None:
    """Rows of a single day cannot show how much days differ."""
    found = gate.judge(*losses(0.2), np.zeros(2_000), SETTINGS, "v2", "v1", 0)
    assert found.verdict == "not_enough_data" and found.numbers["lower"] is None


def test_few_blocks_use_the_wider_law_of_student() -> None:
    """Fourteen days: the bound is Student's t with 13 degrees of freedom, 1.771 standard errors."""
    found = gate.judge(*losses(0.02, n=1_400), np.arange(1_400) // 100, SETTINGS, "v2", "v1", 0)
    width = (found.numbers["gain"] - found.numbers["lower"]) / found.numbers["standard_error"]
    assert width == pytest.approx(1.7709, abs=1e-3)


def test_the_latency_budget_is_a_rule() -> None:
    """Outside its budget a better version is held; few timings: not enough data; timings are `measured`."""
    verdicts = {}
    for name, timings in (("slow", [30.0] * 2_000), ("fast", [1.0] * 2_000), ("few", [1.0] * 100)):
        found = gate.judge(
            *losses(0.02), None, SETTINGS, "v2", "v1", 0, latency=latency.summarise(timings), budget_ms=10.0
        )
        verdicts[name] = found.verdict
        assert found.measured["budget_ms"] == 10.0 and "p99_ms" not in found.numbers
    assert verdicts == {"slow": "hold", "fast": "ship", "few": "not_enough_data"}


def test_the_same_rows_give_the_same_bytes() -> None:
    """Evidence is plain finite JSON and repeats byte for byte, for a metric without row loss too."""
    generator = np.random.default_rng(1)
    truth = generator.integers(0, 2, 400)
    outputs = [np.column_stack([1 - p, p]) for p in (generator.uniform(size=400), (truth + 0.5) / 2)]
    auc = metrics.get("roc_auc", "binary")
    for make in (
        lambda: judged(0.003),
        lambda: gate.judge_outputs(auc, truth, outputs[0], outputs[1], None, SETTINGS, "v2", "v1", 0),
    ):
        first, second = (json.dumps(dict(make().numbers), allow_nan=False) for _ in range(2))
        assert first == second


def test_a_metric_without_row_loss_is_judged() -> None:
    """roc_auc: a better ranking ships, an equal one does not, one class only never does."""
    generator = np.random.default_rng(2)
    truth = generator.integers(0, 2, 500)

    def ranked(signal: float) -> Floats:
        p = 1 / (1 + np.exp(-(signal * (truth - 0.5) + generator.normal(size=500))))
        return np.column_stack([1 - p, p])

    auc = metrics.get("roc_auc", "binary")
    weak, strong = ranked(0.8), ranked(1.3)
    judge = gate.judge_outputs
    assert judge(auc, truth, weak, strong, None, SETTINGS, "v2", "v1", 0).verdict == "ship"
    assert judge(auc, truth, weak, weak, None, SETTINGS, "v2", "v1", 0).verdict == "hold"
    assert judge(auc, np.ones(500, dtype=int), weak, strong, None, SETTINGS, "v2", "v1", 0).verdict == "hold"


def test_outputs_that_are_no_probabilities_never_ship() -> None:
    """NaN in a candidate's outputs is found before any loss is averaged."""
    brier = metrics.get("brier", "binary")
    truth = np.arange(300) % 2
    good = np.full((300, 2), 0.5)
    bad = good.copy()
    bad[3] = math.nan
    found = gate.judge_outputs(brier, truth, good, bad, None, SETTINGS, "v2", "v1", 0)
    assert found.verdict == "hold" and "row 3" in found.sentence


def test_two_equal_versions_rarely_ship() -> None:
    """A/A on 20 blocks of correlated rows: at most 5 % of 400 runs ship, within two standard errors."""
    generator = np.random.default_rng(3)
    shipped = 0
    for _ in range(400):
        blocks = np.repeat(np.arange(20), 20)
        shift = generator.normal(0.0, 0.1, 20)[blocks] + generator.normal(0.0, 0.1, 400)
        base = generator.uniform(0.0, 1.0, 400)
        shipped += gate.judge(base, base + shift, blocks, SETTINGS, "v2", "v1", 0).verdict == "ship"
    assert shipped / 400 <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / 400)


def test_a_refresh_ships_unless_it_is_shown_worse() -> None:
    """Equal and slightly worse refreshes ship; a clearly worse one is held; the harm is printed."""
    results = [
        gate.not_shown_worse(*losses(gain), np.arange(2_000) // 100, SETTINGS, "v3", "v2", 0)
        for gain in (0.0, -0.001, -0.05)
    ]
    assert [found.verdict for found in results] == ["ship", "ship", "hold"]
    assert "shown worse" in results[2].sentence and "not shown worse" in results[0].sentence


def test_an_equal_refresh_is_rarely_held() -> None:
    """A/A: at most 5 % of 400 equal refreshes are called worse, within two standard errors."""
    held = sum(
        gate.not_shown_worse(*losses(0.0, 420, seed), np.arange(420) // 30, SETTINGS, "v3", "v2", 0).verdict
        == "hold"
        for seed in range(400)
    )
    assert held / 400 <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / 400)


def test_a_refresh_with_invalid_losses_never_ships() -> None:
    """No evidence of harm is no excuse for NaN, for a single day, or for a handful of rows."""
    pair = losses(0.0)
    pair[1][0] = math.nan
    assert gate.not_shown_worse(*pair, None, SETTINGS, "v3", "v2", 0).verdict == "hold"
    one_day = gate.not_shown_worse(*losses(0.0), np.zeros(2_000), SETTINGS, "v3", "v2", 0)
    few = gate.not_shown_worse(*losses(0.0, n=50), None, SETTINGS, "v3", "v2", 0)
    assert (one_day.verdict, few.verdict) == ("not_enough_data", "not_enough_data")


def test_accuracy_has_its_leakage_alarm_at_the_error_rate() -> None:
    """Half of the errors gone is 50 % of the way to perfect, though accuracy moves by 15 points only."""
    accuracy = metrics.get("accuracy", "binary")
    truth = np.zeros(1_000, dtype=int)

    def wrong(n: int) -> Floats:
        p = np.where(np.arange(1_000) < n, 0.9, 0.1)
        return np.column_stack([1 - p, p])

    found = gate.judge_outputs(accuracy, truth, wrong(300), wrong(100), None, SETTINGS, "v2", "v1", 0)
    assert found.verdict == "hold" and "67% of the loss is gone" in found.sentence


@pytest.mark.parametrize("reference", [1e-12, 0.0, -1e-12])
def test_a_baseline_near_zero_gives_a_verdict_and_no_error(reference: float) -> None:
    """A reference loss at, just above or just below zero: worse is held, and the numbers stay finite."""
    base = np.full(500, reference)
    found = gate.judge(base, base + 0.01, None, SETTINGS, "v2", "v1", 0)
    assert found.verdict == "hold"
    json.dumps(dict(found.numbers), allow_nan=False)


def test_an_incumbent_that_is_perfect_is_beaten_by_nobody() -> None:
    """No loss is left to take away: the same loss differs by 0 and is held, non-inferiority holds."""
    zero = np.zeros(500)
    assert gate.judge(zero, zero, None, SETTINGS, "v2", "v1", 0).verdict == "hold"
    assert gate.judge(zero, zero, None, replace(SETTINGS, no_worse_than=0.0), "v2", "v1", 0).verdict == "ship"


def test_both_directions_of_a_metric_mean_better_is_more_gain() -> None:
    """Higher is better (roc_auc) and lower is better (rmse): the better one ships, the worse one is held."""
    g = np.random.default_rng(5)
    y = g.normal(size=800)
    near, far = y + g.normal(0.0, 0.5, 800), y + g.normal(0.0, 0.8, 800)
    rmse = metrics.get("rmse", "regression")
    assert gate.judge_outputs(rmse, y, far, near, None, SETTINGS, "v2", "v1", 0).verdict == "ship"
    assert gate.judge_outputs(rmse, y, near, far, None, SETTINGS, "v2", "v1", 0).verdict == "hold"
    truth = (y > 0).astype(int)
    p, q = (np.column_stack([1 - one, one]) for one in (1 / (1 + np.exp(-near)), 1 / (1 + np.exp(-far))))
    auc = metrics.get("roc_auc", "binary")
    assert gate.judge_outputs(auc, truth, q, p, None, SETTINGS, "v2", "v1", 0).verdict == "ship"
    assert gate.judge_outputs(auc, truth, p, q, None, SETTINGS, "v2", "v1", 0).verdict == "hold"


def test_rmse_is_asked_for_in_its_own_units() -> None:
    """better_by = .25 means .25 of rmse, not of its square: .8 to .5 passes, .8 to .6 does not."""
    g = np.random.default_rng(6)
    y = g.normal(size=4_000)
    settings = replace(SETTINGS, better_by=0.25, suspicious_if_better_by=0.0)
    rmse = metrics.get("rmse", "regression")
    noise = g.normal(size=4_000)
    verdicts = [
        gate.judge_outputs(rmse, y, y + 0.8 * noise, y + size * noise, None, settings, "v2", "v1", 0).verdict
        for size in (0.5, 0.6)
    ]
    assert verdicts == ["ship", "hold"]


def test_a_second_metric_is_a_rule_of_its_own() -> None:
    """Better by Brier, worse by accuracy than is allowed: held, and the line names the metric."""
    truth = np.arange(1_000) % 2
    sure = np.where(truth == 1, 0.55, 0.45)
    bold = np.where(truth == 1, 0.9, 0.1)
    bold[:100] = 1 - np.where(truth[:100] == 1, 0.51, 0.49)  # a hundred rows on the wrong side, just so
    old, new = (np.column_stack([1 - p, p]) for p in (sure, bold))
    brier = metrics.get("brier", "binary")
    settings = replace(
        SETTINGS, suspicious_if_better_by=0.0, rule=(config.Rule("accuracy", no_worse_than=0.01),)
    )
    found = gate.judge_outputs(brier, truth, old, new, None, settings, "v2", "v1", 0)
    lines = {one["rule"]: one["verdict"] for one in found.numbers["rules"]}
    assert lines["better_by"] == "ship" and lines["no_worse_than (accuracy)"] == "hold"
    assert found.verdict == "hold" and found.sentence.count("accuracy: gain -0.1") == 1


def test_a_second_metric_that_is_missing_never_ships() -> None:
    """One class only: roc_auc has no value, so its rule holds; from losses alone no second metric can be told."""
    truth, p = np.zeros(500, dtype=int), np.full(500, 0.4)
    old, new = (np.column_stack([1 - one, one]) for one in (p, p - 0.05 + 0.01 * np.arange(500) % 2))
    settings = replace(SETTINGS, rule=(config.Rule("roc_auc", no_worse_than=0.01),))
    brier = metrics.get("brier", "binary")
    found = gate.judge_outputs(brier, truth, old, new, None, settings, "v2", "v1", 0)
    assert found.verdict == "hold" and "one class only" in found.sentence
    assert gate.judge(*losses(0.02), None, settings, "v2", "v1", 0).verdict == "hold"


def test_a_budget_without_timings_never_ships() -> None:
    """A latency rule that nobody measured lacks data."""
    found = gate.judge(*losses(0.02), None, SETTINGS, "v2", "v1", 0, budget_ms=10.0)
    assert found.verdict == "not_enough_data" and "no answer was timed" in found.sentence


def test_every_rule_is_a_line_with_a_sentence() -> None:
    """Also the rules that are met, so that a report can show them all."""
    found = judged(0.02)
    assert [one["rule"] for one in found.numbers["rules"]] == ["min_rows", "better_by", "suspicious_if_better_by"]
    assert all(one["sentence"] and one["verdict"] == "ship" for one in found.numbers["rules"])


def test_the_smallest_gain_that_these_rows_show_is_said() -> None:
    """A true gain of that size ships in about 80 % of such holdouts; it is in the sentence where data lack."""
    found = judged(0.0, n=400, seed=1)
    least = found.numbers["smallest_gain"]
    ships = sum(judged(least, n=400, seed=seed).verdict == "ship" for seed in range(200))
    assert stats.binom.ppf(1e-4, 200, 0.8) <= ships <= stats.binom.ppf(1 - 1e-4, 200, 0.8)
    incumbent, candidate = losses(0.0, n=400)
    candidate = candidate + (incumbent - candidate).mean() - 0.004
    lacking = gate.judge(incumbent, candidate, None, SETTINGS, "v2", "v1", 0)
    assert "show a gain of" in lacking.sentence and "power of 80%" in lacking.sentence


def test_a_gate_that_is_off_says_that_nobody_was_judged() -> None:
    """Neither ship nor hold, and no rule pretends to have been asked."""
    found = gate.unjudged("v2", "v1", replace(SETTINGS, mode="off"), 7)
    assert found.verdict == "off" and "NOT judged" in found.sentence and found.numbers["rules"] == []


def test_a_refresh_is_judged_whatever_the_mode() -> None:
    """It goes live without a trial, so a dry run does not excuse it."""
    found = gate.not_shown_worse(
        *losses(-0.05), np.arange(2_000) // 100, replace(SETTINGS, mode="dry_run"), "v3", "v2", 0
    )
    assert found.verdict == "hold" and found.numbers["mode"] == "enforce" and "Dry run" not in found.sentence
