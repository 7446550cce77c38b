"""The sums of a trial: each rule by example, and any story, looked at anywhere, against the long way (`plain_trial`).

Hypothesis tells the stories; all of a test's go into one log, each as a trial of its own.
"""

from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from incumbent.checks.storage.children import at_once, look_at_trial
from incumbent.checks.storage.opened import HOUR, T0, OpenedLog, learnt, predicted, score, shadowed
from incumbent.checks.storage.plain_trial import Arrived
from incumbent.records import DAY, SECOND, Column, Label, Micros, Outcome, Prediction, Signature
from incumbent.storage.base import BlockSum, Log, Mark, Moments, SumMeasure, SumPlan, TrialSums

IN: dict[str, Any] = {"trial": "t", "phase": 1, "arm": "challenger"}
PLAN = SumPlan("t", 1, T0, window=DAY, unit_window=10 * DAY)
LATER = T0 + 100 * DAY
REVENUE = SumMeasure("revenue", "revenue", "sum")
SIGNATURES = {"v1": Signature((Column("hour", "integer"), Column("wind", "number")), "binary", (0, 1))}

MEASURES = (
    SumMeasure("loss", cap=5 * 10**8),
    SumMeasure("revenue", "revenue", "sum", cap=3 * 10**9),
    SumMeasure("clicks", "revenue", "count"),
    SumMeasure("per click", "revenue", "ratio", "label"),
    SumMeasure("mean", "revenue"),
    SumMeasure("loss per unit", "loss", "sum"),
)


def looked(log: Log, plan: SumPlan = PLAN, now: Micros = LATER) -> TrialSums:
    """A look, which must be what the long one at its mark is."""
    sums = log.trial_sums(plan, now)
    assert sums.mark.now == now
    assert sums == log.trial_sums_at(plan, sums.mark)
    return sums


def moments(sums: TrialSums, name: str = "loss", arm: Any = "challenger") -> tuple[int, int, int]:
    """Units, size and total of a measure."""
    found = sums.arms[arm].moments[name]
    return found.n, found.x, found.y


class TrialChecks(OpenedLog):
    """`mark`, `trial_sums`, `trial_sums_at` and `pair_sums`."""

    # --- marks

    def test_a_mark_counts_what_has_arrived(self, log: Log) -> None:
        """Rows and outcomes, those that wait for their row too."""
        assert log.mark(T0) == Mark(T0, 0, 0)
        log.append([predicted("a"), predicted("b")])
        first = log.mark(T0)
        log.append_outcomes([learnt("a"), learnt("nowhere")])
        second = log.mark(T0 + 1)
        assert second.predictions == first.predictions > 0 == first.outcomes < second.outcomes
        log.append_outcomes([learnt("a")])
        assert log.mark(T0 + 1) == second

    def test_a_mark_of_versions_stops_before_what_waits_for_their_loss(self, log: Log) -> None:
        """Another version's does not matter."""
        log.append([predicted("a"), predicted("b")])
        log.append_shadows([shadowed("b")])
        log.append_outcomes([learnt("a")])
        before = log.mark(T0)
        score(log)
        log.append_outcomes([learnt("b")])
        assert log.mark(T0, ["v1"]) == before != log.mark(T0)
        log.put_losses([("b", "v1", 5)])
        assert log.mark(T0, ["v1"]) == log.mark(T0, ["v3"]) == log.mark(T0)
        assert log.mark(T0, ["v1", "v2"]) == before

    # --- the rules

    def test_a_trial_nobody_is_in(self, log: Log) -> None:
        """Both arms are there, with nothing."""
        log.append([predicted("a"), predicted("b", trial="t", phase=2, arm="challenger")])
        sums = looked(log)
        assert set(sums.arms) == {"incumbent", "challenger"}
        assert {arm.units for arm in sums.arms.values()} == {0} and moments(sums) == (0, 0, 0)

    def test_a_row_is_exposed_at_once_and_matures_when_its_window_has_closed(self, log: Log) -> None:
        """Only then its label counts; a label that is known when the window closes comes too late."""
        log.append([predicted("a", unit="u", **IN), predicted("b", unit="w", **IN)])
        log.append_outcomes([learnt("a", 1, T0 + DAY - 1), learnt("b", 1, T0 + DAY)])
        score(log, default=7)
        early, late = looked(log, now=T0 + DAY - 1), looked(log, now=T0 + DAY)
        assert (early.arms["challenger"].units, early.arms["challenger"].matured, moments(early)) == (2, 0, (0, 0, 0))
        arm = late.arms["challenger"]
        assert (arm.units, arm.rows, arm.matured, arm.labelled, arm.labelled_units, arm.late) == (2, 2, 2, 1, 1, 1)
        assert moments(late) == (1, 1, 7)
        assert looked(log, now=T0 + DAY - 1) == early

    def test_a_correction_counts_inside_the_window_and_not_after_it(self, log: Log) -> None:
        """Whenever it is posted: the time at which it was known decides, and then the order of arrival."""
        log.append([predicted(id, unit=id, **IN) for id in "abc"])
        log.append_outcomes([learnt(id, 1, T0 + HOUR) for id in "abc"])
        score(log, default=100)
        assert moments(looked(log)) == (3, 3, 300)
        log.append_outcomes([learnt("a", 0, T0 + 2 * HOUR), learnt("b", 0, T0 + 2 * DAY), learnt("c", 0, T0)])
        score(log, default=1)
        after = looked(log)
        assert moments(after) == (3, 3, 102) and after.arms["challenger"].late == 1
        log.append_outcomes([learnt("b", 1, T0 + 3 * HOUR)])
        score(log, default=10)
        assert moments(looked(log)) == (3, 3, 12)

    def test_a_label_that_is_posted_late_counts_when_it_was_known_early(self, log: Log) -> None:
        """Also where its row had matured without it, and where the row itself comes last."""
        log.append([predicted("a", unit="u", **IN)])
        assert looked(log).arms["challenger"].labelled == 0
        log.append_outcomes([learnt("a", 1, T0 + HOUR), learnt("b", 1, T0 + HOUR)])
        score(log, default=5)
        assert moments(looked(log)) == (1, 1, 5)
        log.append([predicted("b", unit="w", **IN)])
        assert moments(looked(log)) == (1, 1, 5)
        score(log, default=6)
        assert moments(looked(log)) == (2, 2, 11)

    def test_a_look_waits_for_losses(self, log: Log) -> None:
        """What is there without its loss is not within the mark: neither it nor what came after it."""
        log.append([predicted(id, unit=id, **IN) for id in "ab"])
        log.append_outcomes([learnt("a")])
        score(log, default=5)
        log.append_outcomes([learnt("b"), learnt("a", 0)])
        sums = looked(log)
        assert moments(sums) == (1, 1, 5)
        score(log, default=9)
        assert moments(looked(log)) == (2, 2, 18)
        assert log.trial_sums_at(PLAN, sums.mark) == sums
        without = replace(PLAN, measures=(REVENUE,))
        log.append_outcomes([learnt("b", 0)])
        assert looked(log, without).mark == log.mark(LATER)

    def test_a_loss_comes_in_behind_no_look(self, log: Log, tmp_path: Path) -> None:
        """Somebody computed one for a label that was corrected and scored meanwhile: it is left out."""
        other = self.opener()(tmp_path)
        log.append([predicted("a", unit="u", **IN)])
        log.append_outcomes([learnt("a", 1)])
        other.unscored()
        log.append_outcomes([learnt("a", 0, T0 + 2 * DAY)])
        score(log, default=3)
        sums = looked(log)
        other.put_losses([("a", "v1", 77)])
        assert looked(log) == sums
        assert sums.arms["challenger"].labelled == 0
        other.close()

    def test_rows_of_a_closed_unit_do_not_count(self, log: Log) -> None:
        """It closes a while after its first row, over all arms; a unit that came later is open still."""
        plan = replace(PLAN, unit_window=DAY)
        log.append([predicted("a", T0, unit="u", trial="t", phase=1, arm="incumbent"),
                    predicted("b", T0 + DAY - 1, unit="u", **IN), predicted("c", T0 + DAY, unit="u", **IN),
                    predicted("d", T0 + DAY, unit="w", **IN)])  # fmt: skip
        sums = looked(log, plan)
        assert (sums.arms["challenger"].rows, sums.arms["incumbent"].rows, sums.both_arms) == (2, 1, 1)

    def test_a_row_that_comes_late_and_is_the_first_closes_its_unit_earlier(self, log: Log) -> None:
        """Rows that counted before leave, with their losses, and with the arm if there was no other in it."""
        plan = replace(PLAN, unit_window=DAY)
        log.append([predicted("a", T0 + HOUR, unit="u", trial="t", phase=1, arm="incumbent"),
                    predicted("b", T0 + DAY, unit="u", fallback_reason="timeout", **IN)])  # fmt: skip
        log.append_outcomes([learnt(id, 1, T0 + DAY + 1) for id in "ab"])
        score(log, default=5)
        before = looked(log, plan)
        assert (before.both_arms, before.arms["challenger"].units_failed, moments(before)) == (1, 1, (1, 1, 5))
        log.append([predicted("c", T0, unit="u", trial="t", phase=1, arm="incumbent")])
        after = looked(log, plan)
        assert (after.both_arms, after.twice, after.arms["challenger"].units, moments(after)) == (0, 1, 0, (0, 0, 0))
        assert after.arms["incumbent"].rows == 2

    def test_a_row_stays_in_its_arm_with_the_loss_of_what_was_served(self, log: Log) -> None:
        """Failed or not, and whatever a shadow said."""
        fallen: dict[str, Any] = {**IN, "version": "v2", "served_by": "v1", "fallback_reason": "timeout"}
        log.append([predicted("a", unit="u", **fallen), predicted("b", T0 + 50 * DAY, unit="w", **fallen),
                    predicted("c", unit="w", trial="t", phase=1, arm="called")])  # fmt: skip
        log.append_shadows([shadowed("a", "v2")])
        log.append_outcomes([learnt("a")])
        score(log, {"v1": 5, "v2": 7})
        sums = looked(log, replace(PLAN, unit_window=100 * DAY), T0 + DAY)
        arm = sums.arms["challenger"]
        assert (arm.failed, arm.units_failed, arm.matured, moments(sums)) == (2, 2, 1, (1, 1, 5))
        assert (sums.arms["called"].units, sums.both_arms, sums.once, sums.twice) == (1, 1, 1, 1)

    def test_an_answer_is_slow_above_the_budget(self, log: Log) -> None:
        """Not at it; without a budget none is."""
        log.append([predicted(f"{n}", unit=f"{n % 2}", latency_us=1_000 + n % 3, **IN) for n in range(6)])
        arm = looked(log, replace(PLAN, budget_us=1_000)).arms["challenger"]
        assert (arm.slow, arm.units_slow) == (4, 2)
        assert looked(log).arms["challenger"].slow == 0

    def test_a_row_without_a_unit_is_one_by_its_id(self, log: Log) -> None:
        """A row without an arm is in no trial."""
        log.append([predicted("a", **IN), predicted("b", **IN), predicted("c", trial="t", phase=1)])
        sums = looked(log)
        assert (sums.arms["challenger"].units, sums.once) == (2, 2)

    def test_measures(self, log: Log) -> None:
        """Size and total of a unit by each kind; the cap is of one row; text is no number, true is 1."""
        measures = (
            SumMeasure("mean", "v"), SumMeasure("sum", "v", "sum"), SumMeasure("count", "v", "count"),
            SumMeasure("ratio", "v", "ratio", "w"), SumMeasure("capped", "v", "sum", cap=2 * 10**9),
            SumMeasure("label", "label", "sum"),
        )  # fmt: skip
        log.append([predicted(id, unit="u", **IN) for id in "abcde"] + [predicted("f", unit="w", **IN)])
        given: list[tuple[str, Label, str]] = [
            ("a", 2.5, "v"), ("b", -1e300, "v"), ("c", "text", "v"), ("d", True, "v"), ("e", 0, "v"), ("a", 3, "w"),
            ("e", 0.5, "w"), ("f", 4, "w"), ("a", 1, "label"), ("b", "late", "label"),
        ]  # fmt: skip
        log.append_outcomes([learnt(id, value, name=name) for id, value, name in given])
        sums = looked(log, replace(PLAN, measures=measures))
        big = 9_200_000_000 * 10**9
        y = 2_500_000_000 - big + 10**9
        assert moments(sums, "mean") == (1, 4, y)
        assert moments(sums, "sum") == (2, 2, y)
        assert moments(sums, "count") == (2, 2, 3 * 10**9)
        assert moments(sums, "ratio") == (2, 7_500_000_000, y)
        assert moments(sums, "capped") == (2, 2, 10**9)
        assert moments(sums, "label") == (2, 2, 10**9)
        assert sums.arms["challenger"].moments["sum"].yy == y * y
        assert sums.arms["challenger"].labelled == 2

    def test_a_unit_is_known_by_its_mean_loss_before_the_trial(self, log: Log) -> None:
        """Rounded down; rows and labels of the time before only; a unit that was never there has none."""
        plan = replace(PLAN, before=DAY)
        log.append([predicted("a", T0 - DAY, unit="u"), predicted("b", T0 - 1, unit="u", trial="s", arm="incumbent"),
                    predicted("c", T0 - DAY - 1, unit="u"), predicted("d", T0 - HOUR, unit="u")])  # fmt: skip
        log.append([predicted("x", unit="u", **IN), predicted("y", unit="new", **IN)])
        log.append_outcomes([learnt(id, 1, T0 - 1) for id in "abc"] + [learnt("d", 1, T0), learnt("x"), learnt("y")])
        for due in log.unscored():
            log.put_losses([(due.id, "v1", {"a": 3, "b": 4, "c": 99, "d": 99}.get(due.id, 10))])
        (found,) = [looked(log, plan).arms["challenger"].moments["loss"]]
        assert found == Moments(2, 2, 20, 2, 200, 20, z=3, zz=9, xz=3, yz=30, known=1)
        log.append_outcomes([learnt("d", 0, T0 - 2)])
        score(log, default=20)
        assert looked(log, plan).arms["challenger"].moments["loss"].z == 9
        log.append_outcomes([learnt("a", 0, T0 - 2), learnt("b", 0, T0 + 1)])
        score(log, default=8)
        assert looked(log, plan).arms["challenger"].moments["loss"].z == (8 + 4 + 20) // 3
        capped = replace(plan, measures=(SumMeasure("loss", cap=3),))
        assert looked(log, capped).arms["challenger"].moments["loss"] == Moments(2, 2, 6, 2, 18, 6, 3, 9, 3, 9, 1)

    @pytest.mark.parametrize("sign", [1, -1])
    def test_sums_are_exact_beyond_64_bits_in_a_trial(self, log: Log, sign: int) -> None:
        """Of one unit and of many, and their squares."""
        loss = sign * (2**63 - 1)
        log.append([predicted(f"{n}", unit=f"{n % 4}", **IN) for n in range(40)])
        log.append_outcomes([learnt(f"{n}") for n in range(40)])
        score(log, default=loss)
        found = looked(log).arms["challenger"].moments["loss"]
        assert (found.y, found.yy, found.xy) == (40 * loss, 4 * (10 * loss) ** 2, 4 * 100 * loss)

    def test_another_plan_begins_anew(self, log: Log) -> None:
        """Whatever differs; and the first one is still true after it."""
        log.append([predicted("a", unit="u", **IN), predicted("b", trial="t", phase=2, arm="challenger")])
        log.append_outcomes([learnt("a", 1), learnt("a", 3, name="revenue")])
        score(log, default=5)
        first = looked(log)
        for other in ({"phase": 2}, {"window": HOUR}, {"measures": (REVENUE,)}, {"unit_window": DAY}, {"budget_us": 5},
                      {"before": DAY}):  # fmt: skip
            looked(log, replace(PLAN, **other))
        assert moments(looked(log, replace(PLAN, measures=(REVENUE,))), "revenue") == (1, 1, 3 * 10**9)
        assert looked(log) == first

    def test_two_processes_look_at_once(self, tmp_path: Path) -> None:
        """While both append: each look is true at its mark, and the last one holds everything."""
        log = self.opener()(tmp_path)
        log.append([predicted(f"old {n}", T0 + n, unit=f"{n % 7}", **IN) for n in range(40)])
        at_once(look_at_trial, *((self.opener(), tmp_path, PLAN, name) for name in ("one", "two")))
        score(log)
        sums = looked(log)
        assert sums.arms["challenger"].rows == 40 + 2 * 12 * 5 and sums.mark == log.mark(LATER)
        assert sums.arms["challenger"].labelled == 2 * 12 * 5
        log.close()

    # --- what leaves

    def test_sums_stay_true_when_rows_leave(self, log: Log, tmp_path: Path) -> None:
        """Archived: nothing changes. Erased or dropped: it is as if they had never come."""
        plan = replace(PLAN, before=DAY)
        log.append([predicted("old", T0 - HOUR, unit="u"), predicted("older", T0 - 2 * HOUR, unit="w")])
        log.append([predicted(id, T0 + n * HOUR, unit="uwx"[n % 3], **IN) for n, id in enumerate("abcdef")])
        log.append_outcomes([learnt(id, 1, T0 - 1 if "old" in id else T0 + 6 * HOUR)
                             for id in ("old", "older", *"abcdef")])  # fmt: skip
        score(log, default=5)
        before = looked(log, plan)
        log.archive_day("2013-04-01", T0 - DAY, T0 + DAY, SIGNATURES)
        assert looked(log, plan) == before
        log.erase(["a", "d"])
        after = looked(log, plan)
        assert (after.arms["challenger"].units, moments(after)) == (2, (2, 4, 20))
        log.erase(["old"])
        assert looked(log, plan).arms["challenger"].moments["loss"].known == 1
        log.drop_before(T0 + 2 * HOUR)
        assert looked(log, plan).arms["challenger"].moments["loss"] == Moments(2, 3, 15, 5, 125, 25)

    def test_rows_that_come_after_the_last_ones_were_erased_are_counted(self, log: Log) -> None:
        """Though a file gives their numbers again."""
        log.append([predicted("a", unit="u", **IN), predicted("out")])
        log.append_outcomes([learnt("out")])
        score(log)
        assert looked(log).arms["challenger"].units == 1
        log.erase(["out"])
        log.append([predicted("b", unit="w", **IN)])
        log.append_outcomes([learnt("b")])
        score(log, default=4)
        sums = looked(log)
        assert (sums.arms["challenger"].units, moments(sums)) == (2, (1, 1, 4))

    # --- any story

    def test_any_look_is_that_of_the_long_way(self, log: Log) -> None:
        """After any order of rows, outcomes, corrections, losses and looks; at the end each look can be repeated."""

        @settings(max_examples=40)
        @given(
            acts=st.lists(ACTS, min_size=4, max_size=25),
            before=st.sampled_from([0, DAY]),
            unit_window=st.sampled_from([HOUR, 3 * HOUR, 50 * DAY]),
            measures=st.sampled_from([MEASURES, MEASURES[:1], MEASURES[1:4]]),
        )
        def true(acts: list[Act], before: Micros, unit_window: Micros, measures: tuple[SumMeasure, ...]) -> None:
            plan = SumPlan(f"story {next(_STORIES)} ", 1, T0, 2 * HOUR, unit_window, 100, before, measures)
            arrived, looks = Arrived(log.mark(0)), list[TrialSums]()
            for act in acts:
                act(log, arrived, plan, looks)
            arrived.settle(log)
            _look(T0 + 6 * HOUR)(log, arrived, plan, looks)
            assert looks[-1].mark == log.mark(T0 + 6 * HOUR)
            for look in looks:
                assert log.trial_sums_at(plan, look.mark) == look

        true()

    # --- pairs

    def test_pairs_are_the_block_sums_and_where_the_two_disagree(self, log: Log) -> None:
        """Slow are the shadow calls of the candidate above the budget."""
        log.append([predicted(f"{n}", n * 5) for n in range(6)])
        log.append_shadows([shadowed(f"{n}", latency_us=n) for n in range(5)])
        log.append_outcomes([learnt(f"{n}", 1, 50) for n in range(6)])
        for due in log.unscored():
            log.put_losses([(due.id, due.version, 10 + int(due.id) * (due.version == "v2"))])
        blocks = [BlockSum(0, 2, 20, 21, 1, 0), BlockSum(1, 2, 20, 25, 2, 0), BlockSum(2, 1, 10, 14, 1, 1)]
        assert log.pair_sums("v1", "v2", 10, 0, 100, 51, 0, 3) == blocks
        assert [each.slow for each in log.pair_sums("v1", "v2", 10, 0, 100, 51)] == [0, 0, 0]
        assert log.pair_sums("v2", "v1", 10, 0, 100, 51)[0] == BlockSum(0, 2, 21, 20, 1, 0)
        assert log.pair_sums("v1", "v2", 10, 0, 100, 50) == []
        assert log.pair_sums("v1", "v2", 10, 5, 15, 51) == [BlockSum(0, 1, 10, 11, 1), BlockSum(1, 1, 10, 12, 1)]
        assert log.pair_sums("v1", "v2", 10, 0, 100, 51, 5)[0] == BlockSum(0, 1, 10, 10)

    def test_pairs_follow_corrections_and_what_leaves(self, log: Log) -> None:
        """A block that was read before is read again where something in it changed, and only then."""
        log.append([predicted(f"{n}", T0 + n * HOUR) for n in range(4)])
        log.append_shadows([shadowed(f"{n}") for n in range(4)])
        log.append_outcomes([learnt(f"{n}", 1, T0) for n in range(4)])
        score(log, {"v1": 5, "v2": 7})

        def sums(at: Mark | Micros = LATER) -> list[tuple[int, int]]:
            found = log.pair_sums("v1", "v2", HOUR, T0, T0 + 4 * HOUR, at)
            assert found == log.pair_sums("v1", "v2", HOUR, T0, T0 + 4 * HOUR, at)
            return [(each.rows, each.loss_candidate) for each in found]

        mark = log.mark(LATER, ["v1", "v2"])
        assert sums() == sums(mark) == [(1, 7)] * 4
        log.append_outcomes([learnt("1", 0, T0 + 9)])
        assert sums() == [(1, 7)] * 3
        assert sums(mark) == [(1, 7)] * 4
        assert sums(log.mark(LATER, ["v1", "v2"])) == [(1, 7)] * 4
        score(log, {"v1": 0, "v2": 1})
        assert sums() == [(1, 7), (1, 1), (1, 7), (1, 7)]
        assert sums(T0 + 9) == sums(mark) == [(1, 7)] * 4
        log.erase(["2"])
        assert sums() == [(1, 7), (1, 1), (1, 7)]
        log.append([predicted("late", T0 + 2 * HOUR)])
        log.append_shadows([shadowed("late")])
        log.append_outcomes([learnt("late", 1, T0)])
        score(log, {"v1": 0, "v2": 1})
        assert sums() == [(1, 7), (1, 1), (1, 1), (1, 7)]

    @pytest.mark.parametrize("sign", [1, -1])
    def test_pairs_are_exact_beyond_64_bits(self, log: Log, sign: int) -> None:
        """As other sums."""
        loss = sign * (2**63 - 1)
        log.append([predicted(f"{n}") for n in range(40)])
        log.append_shadows([shadowed(f"{n}") for n in range(40)])
        log.append_outcomes([learnt(f"{n}") for n in range(40)])
        score(log, {"v1": loss, "v2": 1})
        for _ in range(2):
            (found,) = log.pair_sums("v1", "v2", DAY, T0, T0 + DAY, LATER)
            assert (found.loss_reference, found.loss_candidate, found.disagree) == (40 * loss, 40, 40)

    def test_any_pairs_are_those_of_the_long_way(self, log: Log) -> None:
        """Rows with a shadow from the start, outcomes, corrections, losses and looks in any order."""

        @settings(max_examples=25)
        @given(acts=st.lists(PAIRED, max_size=25))
        def true(acts: list[tuple[Any, ...]]) -> None:
            number = next(_STORIES)
            name, since = f"pairs {number} ", T0 - 500 * DAY * (1 + number)
            arrived, shadows = Arrived(log.mark(0)), dict[str, tuple[str, int]]()
            looks: list[tuple[Mark, list[BlockSum]]] = []

            def pairs(at: Mark | Micros) -> list[BlockSum]:
                return log.pair_sums("v1", "v2", HOUR, since, since + 4 * HOUR, at, 0, 100)

            for act, *what in acts:
                if act == "rows":
                    first = len(arrived.predictions)
                    times = [since + half * HOUR // 2 for half in what]
                    rows = [predicted(f"{name}{n}", at, served_by=f"v{1 + n % 2}") for n, at in enumerate(times, first)]
                    arrived.append(log, rows)
                    some = [shadowed(row.id, "v2" if row.served_by == "v1" else "v1", latency_us=90 + 20 * (n % 4 == 0))
                            for n, row in enumerate(rows)]  # fmt: skip
                    log.append_shadows(some)
                    shadows |= {each.id: (each.version, each.latency_us) for each in some}
                elif act == "learn":
                    row, value, known = what
                    arrived.learn(log, [Outcome(f"{name}{row}", value, since + known * HOUR)])
                elif act == "settle":
                    arrived.settle(log)
                else:
                    mark = log.mark(since + what[0] * HOUR, ["v1", "v2"])
                    looks.append((mark, pairs(mark)))
                    if not log.unscored():
                        assert pairs(mark.now) == looks[-1][1]
            arrived.settle(log)
            looks.append((log.mark(since + 8 * HOUR), pairs(since + 8 * HOUR)))
            for mark, found in looks:
                assert pairs(mark) == found
                assert found == arrived.pairs("v1", "v2", HOUR, since, since + 4 * HOUR, mark, shadows, 100)

        true()


# --- stories

_STORIES = count()
_ROW = st.tuples(
    st.sampled_from(["u", "w", None]), st.integers(-9, 12),
    st.sampled_from(["incumbent", "challenger", "called", None]), st.sampled_from([1, 1, 1, 1, 2]), st.booleans(),
    st.sampled_from([50, 101]),
)  # fmt: skip
Act = Callable[[Log, Arrived, SumPlan, list[TrialSums]], None]


def _append(rows: list[Any]) -> Act:
    def act(log: Log, arrived: Arrived, plan: SumPlan, looks: list[TrialSums]) -> None:
        first = len(arrived.predictions)
        arrived.append(log, [_told(plan, first + n, *row) for n, row in enumerate(rows)])

    return act


def _told(plan: SumPlan, n: int, unit: str | None, at: int, arm: Any, phase: int, failed: bool, us: int) -> Prediction:
    return predicted(
        f"{plan.trial}{n}",
        T0 + at * HOUR // 2,
        unit=unit and plan.trial + unit,
        trial=plan.trial if arm else None,
        phase=phase,
        arm=arm,
        served_by="v1" if failed else "v2",
        version="v2",
        fallback_reason="timeout" if failed else None,
        latency_us=us,
    )


def _learn(row: int, value: Label, known: int, name: str) -> Act:
    def act(log: Log, arrived: Arrived, plan: SumPlan, looks: list[TrialSums]) -> None:
        number = int(value) if name == "label" else value
        arrived.learn(log, [Outcome(f"{plan.trial}{row}", number, T0 + known * HOUR // 2 - SECOND, name)])

    return act


def _settle(log: Log, arrived: Arrived, plan: SumPlan, looks: list[TrialSums]) -> None:
    arrived.settle(log)


def _look(now: Micros) -> Act:
    def act(log: Log, arrived: Arrived, plan: SumPlan, looks: list[TrialSums]) -> None:
        looks.append(looked(log, plan, now))
        assert looks[-1] == arrived.sums(plan, looks[-1].mark)

    return act


ACTS: st.SearchStrategy[Act] = st.one_of(
    st.builds(_append, st.lists(_ROW, min_size=1, max_size=4)),
    st.builds(
        _learn,
        st.integers(0, 12),
        st.sampled_from([0, 1, 2, 0.25, -7.5]),
        st.integers(-8, 14),
        st.sampled_from(["label", "label", "revenue"]),
    ),
    st.just(_settle),
    st.builds(_look, st.integers(-2, 16).map(lambda half: T0 + half * HOUR // 2)),
)


PAIRED: st.SearchStrategy[tuple[Any, ...]] = st.one_of(
    st.lists(st.integers(0, 7), min_size=1, max_size=4).map(lambda halves: ("rows", *halves)),
    st.tuples(st.just("learn"), st.integers(0, 8), st.integers(0, 2), st.integers(0, 6)),
    st.just(("settle",)),
    st.tuples(st.just("look"), st.integers(1, 8)),
)
