"""Trials are judged at every look: few false promotions, power under an effect, and faults are caught.

Simulations are seeded. Their limits are the 99 % bounds of the binomial law for R runs at the declared rate,
so that a correct method fails one test in a hundred choices of the seed.
"""

import json
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from scipy.stats import binom
from summing import of_units

from incumbent.config import Live
from incumbent.records import DAY, Arm, Evidence, Trial
from incumbent.stats import metrics
from incumbent.steps.live import looks, watch
from incumbent.steps.live import trial as live_trial
from incumbent.storage.base import BlockSum, UnitSum

BRIER = metrics.get("brier", "binary")
ONE = metrics.UNITS_PER_ONE
ARMS: tuple[Arm, Arm] = ("challenger", "incumbent")
LIVE = Live(min_days=2, max_days=14)
SPLIT = Trial("t1", "v2", "v1", "split", started_at=0)
SHADOW = Trial("t1", "v2", "v1", "shadow", started_at=0)
Ints = npt.NDArray[np.int64]


def at_most(rate: float, runs: int) -> int:
    """The largest count that R runs at this rate exceed in 1 % of the cases."""
    return int(binom.ppf(0.99, runs, rate))


def at_least(rate: float, runs: int) -> int:
    """The smallest count that R runs at this rate fall short of in 1 % of the cases."""
    return int(binom.ppf(0.01, runs, rate))


def split_days(
    seed: int, days: int = 14, a_day: int = 120, gain: float = 0.0, share: float = 0.5, failing: float = 0.0
) -> Iterator[list[UnitSum]]:
    """The sums at the end of each day: new units with 1-6 rows each, correlated inside a unit, 80 %
    labelled."""
    rng = np.random.default_rng(seed)
    units: list[UnitSum] = []
    for day in range(days):
        challenger = rng.random(a_day) < share
        rows = rng.integers(1, 7, a_day)
        labelled = rng.binomial(rows, 0.8)
        mean = rng.beta(2, 8, a_day) + 0.05 - gain * challenger
        loss = rng.normal(mean, 0.05, a_day) * labelled
        failed = rng.binomial(rows, np.where(challenger, failing, 0.0))
        units += [
            UnitSum(
                f"{day}-{i}",
                "challenger" if challenger[i] else "incumbent",
                int(rows[i]),
                int(labelled[i]),
                int(failed[i]),
                round(float(loss[i]) * ONE),
            )
            for i in range(a_day)
        ]
        yield units


def run_split(live: Live = LIVE, **world: float) -> Evidence:
    """Look once a day until the verdict is final."""
    evidence = None
    for day, units in enumerate(split_days(**world), start=1):  # type: ignore[arg-type]
        evidence = live_trial.judge_split(
            SPLIT, of_units(units), live, BRIER, day * DAY, before=evidence, planned=1680
        )
        if evidence.verdict != "continue":
            break
    assert evidence is not None
    return evidence


def run_shadow(
    seed: int, gain: float = 0.0, days: int = 14, live: Live = LIVE, shared: float = 0.5
) -> Evidence:
    """Four blocks a day that share the day's weather (half of the variance), looked at once a day."""
    rng = np.random.default_rng(seed)
    blocks: list[BlockSum] = []
    evidence = None
    for day in range(days):
        weather = rng.normal(0, np.sqrt(shared))
        for quarter in range(4):
            rows = int(rng.integers(30, 90))
            difference = gain + 0.01 * (weather + rng.normal(0, np.sqrt(1 - shared)))
            blocks.append(
                BlockSum(
                    4 * day + quarter, rows, round((0.2 + difference) * rows * ONE), round(0.2 * rows * ONE)
                )
            )
        calls = sum(block.rows for block in blocks)
        evidence = live_trial.judge_shadow(
            SHADOW, blocks, live, BRIER, (day + 1) * DAY, failures=(0, calls), before=evidence
        )
        if evidence.verdict != "continue":
            break
    assert evidence is not None
    return evidence


def verdicts(runs: list[Evidence]) -> dict[str, int]:
    words = [evidence.verdict for evidence in runs]
    return {word: words.count(word) for word in ("invalid", "roll_back", "promote", "stop", "continue")}


def test_two_equal_versions_in_a_split_are_seldom_told_apart() -> None:
    """A/A, correlated units, a look a day: promotions within alpha, rollbacks within theirs, the rest
    stops."""
    seen = verdicts([run_split(seed=seed) for seed in range(150)])
    assert seen["promote"] <= at_most(0.05, 150)
    assert seen["roll_back"] <= at_most(0.02, 150)
    assert seen["invalid"] <= at_most(0.002, 150)
    assert seen["continue"] == 0


def test_a_better_challenger_is_promoted_in_a_split() -> None:
    """At the effect for which 1,680 units are twice the fixed sample: power of at least .8."""
    gain = 2.486 * 0.13 * 2 / np.sqrt(840)
    seen = verdicts([run_split(seed=1000 + seed, gain=gain) for seed in range(60)])
    assert seen["promote"] >= at_least(0.8, 60)


def test_a_worse_challenger_is_taken_back_and_never_promoted() -> None:
    """A third more loss: rolled back before the deadline."""
    seen = verdicts([run_split(seed=2000 + seed, gain=-0.08) for seed in range(25)])
    assert seen["promote"] == 0
    assert seen["roll_back"] >= at_least(0.8, 25)


def test_a_split_that_lost_its_shares_is_invalid_even_for_a_better_challenger() -> None:
    """46 of 100 units instead of 50: found within two weeks of 800 units a day; invalid comes before
    promote."""
    live = replace(LIVE, min_days=30, max_days=60)
    seen = verdicts(
        [run_split(live, seed=3000 + seed, gain=0.05, share=0.46, a_day=800) for seed in range(20)]
    )
    assert seen["invalid"] >= at_least(0.9, 20)
    assert seen["promote"] == 0


def test_a_challenger_that_fails_is_rolled_back_though_its_answers_are_better() -> None:
    """One answer in five fails: the first day's 120 units are enough in every run."""
    runs = [run_split(seed=4000 + seed, gain=0.05, failing=0.2) for seed in range(25)]
    assert verdicts(runs)["roll_back"] == 25
    assert "fail" in runs[0].sentence


def test_two_equal_versions_in_shadow_are_seldom_told_apart() -> None:
    """A/A with four blocks a day that share half of their variance."""
    seen = verdicts([run_shadow(seed) for seed in range(300)])
    assert seen["promote"] <= at_most(0.05, 300)
    assert seen["roll_back"] <= at_most(0.02, 300)


def test_a_better_challenger_is_promoted_in_shadow() -> None:
    """A gain of half the spread of a day."""
    seen = verdicts([run_shadow(500 + seed, gain=0.01) for seed in range(60)])
    assert seen["promote"] >= at_least(0.8, 60)


def test_a_version_against_itself_gains_exactly_nothing() -> None:
    """Equal sums: no promotion, no rollback, whatever the bounds."""
    blocks = [BlockSum(i, 50, 10 * ONE, 10 * ONE) for i in range(60)]
    evidence = live_trial.judge_shadow(SHADOW, blocks, LIVE, BRIER, 14 * DAY, failures=(0, 3000))
    assert (evidence.verdict, evidence.numbers["estimate"]) == ("stop", 0.0)


def test_before_anything_came_the_verdict_says_what_is_missing() -> None:
    """No rows at all: continue, with bounds that are None and not a number."""
    for evidence in (
        live_trial.judge_split(SPLIT, of_units([]), LIVE, BRIER, DAY),
        live_trial.judge_shadow(SHADOW, [], LIVE, BRIER, DAY),
    ):
        assert evidence.verdict == "continue"
        assert (evidence.numbers["estimate"], evidence.numbers["lower"]) == (None, None)
        assert "200 label" in evidence.sentence


def test_the_minimum_of_whole_days_is_waited_for() -> None:
    """A large gain on the first day is not promoted before min_days have passed."""
    blocks = [BlockSum(i, 50, 20 * ONE + i * ONE // 100, 10 * ONE) for i in range(40)]
    early = live_trial.judge_shadow(SHADOW, blocks, LIVE, BRIER, DAY, failures=(0, 2000))
    late = live_trial.judge_shadow(SHADOW, blocks, LIVE, BRIER, 2 * DAY, failures=(0, 2000), before=early)
    assert (early.verdict, late.verdict) == ("continue", "promote")
    assert "1 whole day more" in early.sentence


def test_shadow_calls_that_fail_block_or_roll_back() -> None:
    """Half a percent is tolerated: 40 of 2,000 is shown above it; 10 of 2,000 is not shown below it."""
    blocks = [BlockSum(i, 50, 20 * ONE + i * ONE // 100, 10 * ONE) for i in range(40)]

    def judged(failed: int) -> Evidence:
        return live_trial.judge_shadow(SHADOW, blocks, LIVE, BRIER, 3 * DAY, failures=(failed, 2000))

    assert (judged(40).verdict, judged(10).verdict, judged(0).verdict) == ("roll_back", "continue", "promote")


def test_units_in_both_arms_make_a_split_invalid() -> None:
    """Whoever sees both versions is in no arm."""
    units = [UnitSum(f"u{i}", arm, 3, 3, 0, ONE) for i in range(100) for arm in ("challenger", "incumbent")]
    evidence = live_trial.judge_split(SPLIT, of_units(units), LIVE, BRIER, DAY)
    assert evidence.verdict == "invalid" and "both arms" in evidence.sentence


def test_the_numbers_are_json_and_survive_the_ledger() -> None:
    """No NaN and no infinity, with and without data; a look after the round trip goes on where the last one
    was."""
    sums = of_units(next(split_days(7, a_day=900)))
    for evidence in (
        live_trial.judge_split(SPLIT, of_units([]), LIVE, BRIER, DAY),
        live_trial.judge_split(SPLIT, sums, LIVE, BRIER, DAY),
        live_trial.judge_shadow(SHADOW, [BlockSum(0, 50, ONE, ONE)], LIVE, BRIER, DAY),
        watch.judge_watch("v1", "v2", [], LIVE, BRIER, DAY, since=0, watch_days=28),
        watch.judge_record("train", [], LIVE, DAY),
    ):
        assert json.loads(json.dumps(evidence.numbers, allow_nan=False))
    before = live_trial.judge_split(SPLIT, sums, LIVE, BRIER, DAY)
    stored = replace(before, numbers=json.loads(json.dumps(before.numbers)))
    after = [
        live_trial.judge_split(SPLIT, sums, LIVE, BRIER, 2 * DAY, before=one) for one in (before, stored)
    ]
    assert json.dumps(after[0].numbers) == json.dumps(after[1].numbers)


def test_looks_are_counted_and_carry_the_tuning() -> None:
    """The evidence of the last recorded look carries count and tuning into the next one; a new phase begins anew."""
    evidence: Evidence | None = None
    sums = of_units(next(split_days(7, a_day=900)))
    for hour in range(1, 5):
        evidence = live_trial.judge_split(SPLIT, sums, LIVE, BRIER, hour * 3_600_000_000, before=evidence)
    assert evidence is not None
    assert evidence.numbers["looks"] == 4 and "series" not in evidence.numbers
    other = live_trial.judge_split(replace(SPLIT, phase=2), sums, LIVE, BRIER, DAY, before=evidence)
    assert other.numbers["looks"] == 1


def test_the_tuning_follows_from_the_traffic_of_the_first_look_and_stays() -> None:
    """Requests (one row each) go on coming; units that return are soon all known. Half of the total is the
    tuning."""

    def tuned(rows: int, day: int, before: Evidence | None = None) -> Evidence:
        units = [UnitSum(f"u{i}", ARMS[i % 2], rows, rows, 0, rows * ONE // (4 + i % 3)) for i in range(400)]
        return live_trial.judge_split(SPLIT, of_units(units), LIVE, BRIER, day * DAY, before=before)

    assert tuned(rows=1, day=1).numbers["n_star"] == 400 * 14 / 2
    assert tuned(rows=5, day=1).numbers["n_star"] == 400 / 2
    assert tuned(rows=5, day=9, before=tuned(rows=1, day=1)).numbers["n_star"] == 400 * 14 / 2


def test_units_that_return_every_day_are_seldom_told_apart() -> None:
    """A/A: 300 units with 3 rows a day each, a look a day for two weeks, losses that rise with time."""
    promoted = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        arm, mean = rng.integers(0, 2, 300), rng.beta(2, 8, 300)
        rows, loss = np.zeros(300, np.int64), np.zeros(300)
        evidence: Evidence | None = None
        for day in range(1, 15):
            more = rng.poisson(3, 300)
            rows, loss = (
                rows + more,
                loss + more * (mean + 0.002 * day) + np.sqrt(more) * rng.normal(0, 0.2, 300),
            )
            units = [
                UnitSum(str(i), ARMS[arm[i]], int(rows[i]), int(rows[i]), 0, round(float(loss[i]) * ONE))
                for i in range(300)
            ]
            evidence = live_trial.judge_split(SPLIT, of_units(units), LIVE, BRIER, day * DAY, before=evidence)
            if evidence.verdict != "continue":
                break
        promoted += evidence is not None and evidence.verdict == "promote"
    assert promoted <= at_most(0.05, 100)


def test_a_split_p_value_that_was_small_once_stays_small() -> None:
    """Looking again cannot repair a split."""
    broken = [UnitSum(f"u{i}", "incumbent", 1, 1, 0, ONE) for i in range(400)]
    first = live_trial.judge_split(SPLIT, of_units(broken), LIVE, BRIER, DAY)
    repaired = [*broken, *(UnitSum(f"w{i}", "challenger", 1, 1, 0, ONE) for i in range(400))]
    assert first.verdict == "invalid"
    assert live_trial.judge_split(SPLIT, of_units(repaired), LIVE, BRIER, 2 * DAY, before=first).verdict == "invalid"


def test_a_replaced_version_comes_back_when_it_is_shown_better() -> None:
    """The watch shadow against its successor: roll_back, or stop when the days are over."""

    def watched(gain: float, day: int) -> Evidence:
        rng = np.random.default_rng(3)
        blocks = [
            BlockSum(i, 50, round((0.2 + gain + d) * 50 * ONE), 10 * ONE)
            for i, d in enumerate(rng.normal(0, 0.01, 80))
        ]
        return watch.judge_watch("v1", "v2", blocks, LIVE, BRIER, day * DAY, since=0, watch_days=28)

    assert [watched(0.02, 9).verdict, watched(0.0, 9).verdict, watched(0.0, 28).verdict] == [
        "roll_back",
        "continue",
        "stop",
    ]
    assert watched(0.02, 9).subject == "v1"


def test_the_record_of_a_recipe_is_harmful_only_when_shown() -> None:
    """Three refreshes, each a bit worse than what it replaced; and none at all."""
    rng = np.random.default_rng(4)
    worse = [
        [
            BlockSum(i, 50, 10 * ONE, round((0.23 + d) * 50 * ONE))
            for i, d in enumerate(rng.normal(0, 0.01, 30))
        ]
    ] * 3
    assert watch.judge_record("train", worse, LIVE, DAY).verdict == "roll_back"
    assert watch.judge_record("train", [], LIVE, DAY).verdict == "continue"


def test_the_table_has_the_two_columns_of_a_test() -> None:
    """Challenger left, incumbent right, and what was compared below."""
    evidence = run_split(seed=1, gain=0.08)
    table = looks.table(evidence)
    assert table[0] == ("", "Test group (challenger)", "Control (incumbent)")
    assert table[1] == ("version", "v2", "v1")
    names = [row[0] for row in table]
    assert "mean brier" in names and "failed answers" in names and names[-1] == "gain, at least"


def test_a_gain_that_is_asked_for_is_planned_for() -> None:
    """What is to be shown lies above min_gain, so the sample is that of the rest; with no rest the deadline ends it."""

    def planned(**settings: float) -> int | None:
        units = [UnitSum(f"u{i}", ARMS[i % 2], 1, 1, 0, ONE // (4 + i % 3)) for i in range(400)]
        live = replace(LIVE, **settings)  # type: ignore[arg-type]
        found: int | None = live_trial.judge_split(SPLIT, of_units(units), live, BRIER, DAY).numbers["n_max"]
        return found

    assert planned(smallest_effect=0.002) == planned(smallest_effect=0.003, min_gain=0.001)
    assert planned(smallest_effect=0.001, min_gain=0.001) is None
