"""Step 2: what ships, what is held, and what needs more rows."""

import json
import math
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from incumbent.config import Gate
from incumbent.errors import ConfigError, NotEnoughData
from incumbent.records import DAY, Evidence
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
    """Evidence is plain finite JSON and repeats byte for byte, the seeded bootstrap included."""
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


def test_a_metric_without_row_loss_is_judged_by_the_bootstrap() -> None:
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


def test_a_split_by_time_never_looks_ahead() -> None:
    """No training row's label became known at or after the first held-out row; unknown labels are nowhere."""
    generator = np.random.default_rng(4)
    times = np.sort(generator.integers(0, 100 * DAY, 1_000))
    known = times + generator.integers(0, 3 * DAY, 1_000)
    known[::50] = gate.NEVER
    train, held = gate.split(times, known, share=0.2)
    assert known[train].max() < times[held].min() and times[train].max() < times[held].min()
    assert not train[::50].any() and not held[::50].any() and not (train & held).any()
    assert 180 <= held.sum() <= 200


def test_a_split_by_days_holds_out_whole_local_days() -> None:
    """The last two days of New York, which touch three dates of UTC, are held out whole."""
    hour = DAY // 24
    times = np.arange(0, 10 * 24) * hour + 4 * hour  # from midnight in New York in summer time
    _, held = gate.split(times + 5_000 * DAY, days=2, zone="America/New_York")
    assert held.sum() == 48 and held[-48:].all()


def test_a_split_without_times_is_seeded() -> None:
    """The same seed draws the same rows, each on one side."""
    first, second = (gate.split(None, n_rows=100, share=0.25, seed=9) for _ in range(2))
    assert (first[1] == second[1]).all() and first[1].sum() == 25 and (first[0] ^ first[1]).all()


def test_a_split_that_leaves_nothing_says_so() -> None:
    """One day only, no rows, or a share that is none: errors that name what lacks."""
    with pytest.raises(NotEnoughData, match="0 rows to train on"):
        gate.split(np.arange(10), days=3)
    with pytest.raises(NotEnoughData, match="no row to split"):
        gate.split([])
    with pytest.raises(ConfigError, match=r"gate\.holdout"):
        gate.split(np.arange(10), share=1.5)
