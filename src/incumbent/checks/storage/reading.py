"""What a Log gives back: rows, sums, counts, reviews; and that no reading looks into the future.

Examples say what each rule of the contract means; random stories are compared with `plain`, number by number.
"""

from random import Random
from typing import Any

import numpy as np
import pytest

from incumbent.checks.storage.opened import HOUR, T0, OpenedLog, labels, learnt, predicted, score, shadowed
from incumbent.checks.storage.plain import told
from incumbent.records import DAY, Label, Outcome, Review
from incumbent.storage.base import BlockSum, Log, PeriodSum, Totals, UnitSum

LATER = T0 + 1000 * DAY


class ReadingChecks(OpenedLog):
    """Everything that reads a Log."""

    # --- scan

    def test_rows_come_in_the_order_of_time_and_then_of_arrival(self, log: Log) -> None:
        """Whatever the size of a batch; no batch is empty."""
        log.append([predicted("c", T0 + 2), predicted("b", T0 + 1)])
        log.append([predicted("d", T0 + 2), predicted("a", T0 + 2), predicted("e", T0 - 10**15)])
        for batch in (1, 2, 3, 5, 100):
            found = list(log.scan(batch=batch))
            assert [row.prediction.id for rows in found for row in rows] == ["e", "b", "c", "d", "a"]
            assert all(1 <= len(rows) <= batch for rows in found)

    def test_a_range_holds_its_start_and_not_its_end(self, log: Log) -> None:
        """None leaves an end open."""
        log.append([predicted(f"{i}", T0 + i) for i in range(5)])
        cases = [(1, 3, "12"), (None, 2, "01"), (3, None, "34"), (2, 2, ""), (None, None, "01234")]
        for since, until, expected in cases:
            bounds = (None if since is None else T0 + since, None if until is None else T0 + until)
            assert "".join(row.prediction.id for rows in log.scan(*bounds) for row in rows) == expected

    def test_a_label_exists_only_after_it_was_known(self, log: Log) -> None:
        """At the very moment at which it became known it does not exist yet."""
        log.append([predicted("a"), predicted("b")])
        log.append_outcomes([learnt("a", 1, T0 + 5)])
        assert labels(log, T0 + 5) == {"a": None, "b": None}
        assert labels(log, T0 + 6) == {"a": 1, "b": None}
        for bound, known, unknown in [(T0 + 5, "", "ab"), (T0 + 6, "a", "b"), (None, "a", "b")]:
            for labelled, expected in ((True, known), (False, unknown), (None, "ab")):
                found = log.scan(known_before=bound, labelled=labelled)
                assert "".join(row.prediction.id for rows in found for row in rows) == expected

    def test_the_outcome_appended_last_counts(self, log: Log) -> None:
        """Of those that exist at the bound; also when it was known earlier than the one that it corrects."""
        log.append([predicted("a")])
        for value, known_at in [(1, 50), (2, 30), (3, 70), (4, 60)]:
            log.append_outcomes([learnt("a", value, T0 + known_at)])
        expected = {30: None, 31: 2, 51: 2, 60: 2, 61: 4, 71: 4}
        assert {bound: labels(log, T0 + bound)["a"] for bound in expected} == expected

    def test_rows_may_be_appended_during_a_scan(self, log: Log) -> None:
        """Nothing is locked between two lists, and a scan may be dropped half-way."""
        log.append([predicted(f"{i}", T0 + i) for i in range(4)])
        scan = log.scan(batch=2)
        next(scan)
        log.append([predicted("late", T0 + 9)])
        assert [row.prediction.id for rows in scan for row in rows] == ["2", "3", "late"]
        next(log.scan(batch=1))
        log.append([predicted("later", T0 + 10)])

    # --- sums

    @pytest.mark.parametrize("seed", range(25))
    def test_sums_are_those_of_the_long_way(self, log: Log, seed: int) -> None:
        """Random stories with early, late, repeated and corrected labels, at random bounds."""
        story, random = told(seed, log), Random(seed + 1000)
        for _ in range(12):
            known, offset = T0 + random.randrange(-1, 26) * HOUR // 4, random.randrange(-2, 2) * HOUR
            since = T0 + random.randrange(0, 10) * HOUR // 4
            until, window = since + random.randrange(0, 16) * HOUR // 4, random.randrange(0, 8) * HOUR // 2
            rows = [row for page in log.scan(since, until, known, batch=3) for row in page]
            assert rows == list(story.rows(since, until, known))
            units = sorted(log.unit_sums("t", 1, until, known, window), key=lambda each: (each.unit, each.arm))
            assert units == story.unit_sums("t", 1, until, known, window)
            blocks = log.block_sums("v1", "v2", HOUR, since, until, known, offset)
            assert blocks == story.block_sums("v1", "v2", HOUR, since, until, known, offset)
            periods = log.period_sums(2 * HOUR, since, until, known, offset)
            assert periods == story.period_sums(2 * HOUR, since, until, known, offset)

    def test_a_row_matures_when_its_window_has_closed(self, log: Log) -> None:
        """A label that was known when the window closed, or later, counts no more."""
        log.append([predicted("a", unit="u", trial="t", phase=1, arm="challenger")])
        log.append_outcomes([learnt("a", 1, T0 + 9)])
        score(log, default=5)
        cases = {(10, 10, 10): (1, 1, 5), (9, 20, 10): (0, 0, 0), (20, 20, 9): (1, 0, 0), (20, 9, 10): (1, 0, 0)}
        for (matured, known, window), (rows, labelled, loss) in cases.items():
            found = log.unit_sums("t", 1, T0 + matured, T0 + known, window)
            assert found == [UnitSum("u", "challenger", rows, labelled, 0, loss)]

    def test_a_row_stays_in_the_arm_that_it_was_assigned_to(self, log: Log) -> None:
        """With the loss of the answer that was served; a failure counts before the row matures."""
        fallen: dict[str, Any] = {"version": "v2", "served_by": "v1", "arm": "challenger", "fallback_reason": "timeout"}
        log.append([predicted("a", unit="u", trial="t", phase=1, **fallen),
                    predicted("b", T0 + DAY, unit="u", trial="t", phase=1, **fallen)])  # fmt: skip
        log.append_shadows([shadowed("a", "v2")])
        log.append_outcomes([learnt("a")])
        score(log, {"v1": 5, "v2": 7})
        assert log.unit_sums("t", 1, T0 + DAY, LATER, DAY) == [UnitSum("u", "challenger", 1, 1, 2, 5)]

    def test_a_row_without_a_unit_is_a_unit(self, log: Log) -> None:
        """By its id; other trials and phases are not counted."""
        inside: dict[str, Any] = {"trial": "t", "phase": 1, "arm": "incumbent"}
        log.append([predicted("a", **inside), predicted("b", **inside), predicted("c", unit="u", **inside),
                    predicted("d", trial="t", phase=2, arm="incumbent"), predicted("e")])  # fmt: skip
        assert {each.unit for each in log.unit_sums("t", 1, LATER, LATER, DAY)} == {"a", "b", "u"}

    def test_a_block_holds_rows_that_both_versions_scored(self, log: Log) -> None:
        """Served or shadow; blocks round down, before 1970 too; empty ones are left out."""
        log.append([predicted("a", -1), predicted("b", 0), predicted("c", 9), predicted("d", 10), predicted("e", 35)])
        log.append_shadows([shadowed(id) for id in "abcd"])
        log.append_outcomes([learnt(id, 1, 50) for id in "abce"])
        score(log, {"v1": 3, "v2": 2})
        assert log.block_sums("v1", "v2", 10, -100, 100, 51) == [BlockSum(-1, 1, 3, 2), BlockSum(0, 2, 6, 4)]
        assert log.block_sums("v2", "v1", 10, -100, 100, 51, 1) == [BlockSum(0, 2, 4, 6), BlockSum(1, 1, 2, 3)]
        assert log.block_sums("v1", "v2", 10, 0, 9, 51) == [BlockSum(0, 1, 3, 2)]
        assert log.block_sums("v1", "v2", 10, -100, 100, 50) == []
        assert log.block_sums("v1", "v9", 10, -100, 100, 51) == []

    def test_a_period_holds_what_was_served(self, log: Log) -> None:
        """The loss of a shadow is not in it."""
        log.append([predicted("a", 5), predicted("b", 15), predicted("c", 16)])
        log.append_shadows([shadowed(id) for id in "abc"])
        log.append_outcomes([learnt("b", 1, 50)])
        score(log, {"v1": 3, "v2": 200})
        assert log.period_sums(10, 0, 100, 51) == [PeriodSum(0, 1, 0, 0), PeriodSum(1, 2, 1, 3)]
        assert log.period_sums(10, 0, 100, 50) == [PeriodSum(0, 1, 0, 0), PeriodSum(1, 2, 0, 0)]
        assert log.period_sums(10, 6, 16, 51, 5) == [PeriodSum(2, 1, 1, 3)]

    def test_a_size_is_of_the_outcomes_and_losses_that_a_cap_is_drawn_from(self, log: Log) -> None:
        """Of rows since then, as they were known by then; text is none, and a shadow's loss is nobody's."""
        log.append([predicted("a", 5), predicted("b", 15), predicted("c", 16)])
        log.append_shadows([shadowed(id) for id in "abc"])
        log.append_outcomes([learnt("b", 1, 50), learnt("c", "yes", 51)])
        log.append_outcomes([Outcome("a", 1.0, 20, "paid"), Outcome("b", 2.5, 20, "paid"), Outcome("c", 4, 60, "paid")])
        log.append_outcomes([Outcome("b", 3, 70, "paid"), Outcome("b", True, 20, "clicked")])
        score(log, {"v1": 3 * 10**8, "v2": 200})
        assert (log.size("paid", 0.0, 0, 60), log.size("paid", 1.0, 0, 60)) == ((2, 1.0), (2, 2.5))
        assert (log.size("paid", 0.0, 15, 71), log.size("paid", 1.0, 15, 71)) == ((2, 3.0), (2, 4.0))
        assert (log.size("clicked", 0.5, 0, 71), log.size("label", 0.5, 0, 60)) == ((1, 1.0), (1, 1.0))
        assert (log.size("loss", 0.5, 0, 51), log.size("loss", 0.5, 16, 60)) == ((1, 0.3), (1, 0.3))
        assert log.size("nothing", 0.5, 0, 71) == log.size("loss", 0.5, 17, 71) == (0, 0.0)

    def test_a_size_is_a_quantile_without_the_sign(self, log: Log) -> None:
        """As numpy's, the higher of two; of integers, refunds, tiny and huge numbers, yes and no; no text is among
        them, whatever it looks like."""
        draw = np.random.default_rng(11)
        told: list[Label] = [*(draw.lognormal(0, 8, 200) * draw.choice([-1, 1], 200)).tolist(), 3, -(2**53), True,
                             False, 0, 5e-324, -1.7e308, 1e-7, -2.5e16]  # fmt: skip
        log.append([predicted(f"{n}", n) for n in range(len(told) + 3)])
        words = ["9e9", "true", ""]
        log.append_outcomes([Outcome(f"{n}", one, 500, "paid") for n, one in enumerate([*told, *words])])
        sizes = np.abs(np.array(told, dtype=np.float64))
        for share in (0.0, 0.25, 0.5, 0.9, 0.99, 0.999, 1.0):
            expected = float(np.quantile(sizes, share, method="higher"))
            assert log.size("paid", share, 0, 501) == (len(told), expected)

    def test_a_correction_leaves_earlier_looks_as_they_were(self, log: Log) -> None:
        """Up to the moment at which it became known, every sum has the loss of the first label; then the new one."""
        log.append([predicted("a", unit="u", trial="t", phase=1, arm="challenger")])
        log.append_shadows([shadowed("a")])
        for value, known_at, loss in [(1, T0 + 5, 3), (0, T0 + 9, 4)]:
            log.append_outcomes([learnt("a", value, known_at)])
            score(log, default=loss)
        for bound, expected in [(5, None), (6, 3), (9, 3), (10, 4)]:
            (period,) = log.period_sums(DAY, T0, T0 + DAY, T0 + bound)
            (unit,) = log.unit_sums("t", 1, LATER, T0 + bound, DAY)
            blocks = log.block_sums("v1", "v2", DAY, T0, T0 + DAY, T0 + bound)
            assert (period.labelled, period.loss) == (unit.labelled, unit.loss) == (expected is not None, expected or 0)
            assert [(each.loss_reference, each.loss_candidate) for each in blocks] == (
                [] if expected is None else [(expected, expected)]
            )

    @pytest.mark.parametrize("sign", [1, -1])
    def test_sums_are_exact_beyond_64_bits(self, log: Log, sign: int) -> None:
        """A single loss may be as large as 64 bits hold; losses may be negative."""
        loss = sign * (2**63 - 1)
        ids = [f"{i}" for i in range(40)]
        log.append([predicted(id, unit="u", trial="t", phase=1, arm="challenger") for id in ids])
        log.append_shadows([shadowed(id) for id in ids])
        log.append_outcomes([learnt(id) for id in ids])
        score(log, default=loss)
        assert log.period_sums(DAY, T0, T0 + DAY, LATER)[0].loss == 40 * loss
        assert log.unit_sums("t", 1, LATER, LATER, DAY)[0].loss == 40 * loss
        assert log.block_sums("v1", "v2", DAY, T0, T0 + DAY, LATER)[0].loss_candidate == 40 * loss

    def test_shadow_calls_that_failed(self, log: Log) -> None:
        """Of one version, on rows from a time on."""
        log.append([predicted("a", T0), predicted("b", T0 + 1), predicted("c", T0 + 2)])
        log.append_shadows([shadowed("a", output=None, error="died"), shadowed("b", output=None, error="died"),
                            shadowed("c"), shadowed("c", "v3", None, error="died")])  # fmt: skip
        assert log.shadow_failures("v2", T0) == (2, 3)
        assert log.shadow_failures("v2", T0 + 1) == (1, 2)
        first = log.shadow_failures("v2", T0, T0 + 1)
        assert first == (1, 1) and log.shadow_failures("v2", T0, T0) == (0, 0)
        assert log.shadow_failures("v9", T0) == (0, 0)

    def test_the_last_outcome_grows_with_each(self, log: Log) -> None:
        """A correction too; what is there already, and a prediction, change nothing."""
        seen = [log.last_outcome()]
        log.append_outcomes([learnt("a", 1)])  # before its prediction
        seen.append(log.last_outcome())
        log.append_outcomes([learnt("a", 0)])
        seen.append(log.last_outcome())
        assert seen[0] == 0 and seen == sorted(set(seen))
        log.append_outcomes([learnt("a", 0)])
        log.append([predicted("a", T0)])
        assert log.last_outcome() == seen[-1]

    def test_totals_count_everything(self, log: Log) -> None:
        """An empty log has no first and no last time."""
        assert log.totals() == Totals()
        log.append([predicted("a", T0 + 7), predicted("b", T0, served_by="v2"),
                    predicted("c", T0 + 3, fallback_reason="timeout")])  # fmt: skip
        log.append_shadows([shadowed("a"), shadowed("c", output=None, error="died")])
        log.append_outcomes([learnt("a", 1), learnt("a", 0), learnt("a", 5, name="delay"), learnt("x")])
        assert log.totals() == Totals(3, 2, 1, 2, 1, T0, T0 + 7, {"timeout": 1}, {"v1": 2, "v2": 1})

    # --- reviews

    def test_drawn_rows_come_back_newest_first(self, log: Log) -> None:
        """An id that was drawn before is ignored; `since` is inside the range."""
        times = {"a": T0, "b": T0 + 5, "c": T0 + 5}
        first, second, third = (Review(id, at, "v1", "audit", 0.02, "p1") for id, at in times.items())
        log.append_reviews([first, second])
        log.append_reviews([third, Review("a", T0 + 9, "v2", "doubtful", 0.5, "p2")])
        assert log.reviews() == [third, second, first]
        assert log.reviews(since=T0 + 5) == [third, second]
        assert log.reviews(limit=1) == [third]

    def test_a_drawn_row_is_open_until_its_prediction_has_a_label(self, log: Log) -> None:
        """Then it shows that label."""
        log.append([predicted("a"), predicted("b")])
        log.append_reviews([Review(id, T0, "v1", "audit", 0.02, "p1") for id in "ab"])
        log.append_outcomes([learnt("a", "late"), learnt("b", 3, name="delay")])
        assert [each.id for each in log.reviews(open_only=True)] == ["b"]
        assert {each.id: each.label for each in log.reviews()} == {"a": "late", "b": None}
