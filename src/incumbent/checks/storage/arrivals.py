"""Predictions, shadows, outcomes and losses arrive, in any order: what is kept, refused, and left to do."""

import pytest

from incumbent.checks.storage.opened import HOUR, T0, OpenedLog, labels, learnt, predicted, score, shadowed
from incumbent.errors import DataError, IdReused
from incumbent.records import Label
from incumbent.storage.base import Log, OutcomeCounts, Scored


class ArrivalChecks(OpenedLog):
    """Everything that changes a Log."""

    # --- predictions

    def test_a_prediction_comes_back_as_it_went_in(self, log: Log) -> None:
        """Every field, of a full one and of a bare one."""
        full = predicted(
            "a", unit="u", trial="t", phase=2, arm="challenger", propensity=0.5, fallback_reason="timeout",
            latency_us=1234, version="v2", output=(0.1, 0.2, 0.7),
            features={"ü": "é\u0000\U0001f600", "n": -1.5e-300, "big": 2**53, "deep": {"list": [1, [None, False]]}},
        )  # fmt: skip
        bare = predicted("b", at=-5, features={}, output=(0.1 + 0.2,))
        log.append([full, bare])
        assert log.find(["a", "b"]) == {"a": full, "b": bare}

    def test_the_time_of_a_prediction_is_found_by_its_id(self, log: Log) -> None:
        """Without reading it; unknown ids are left out."""
        log.append([predicted("a", at=-5), predicted("b", at=T0)])
        assert log.times(["b", "a", "nobody"]) == {"a": -5, "b": T0}
        assert log.times([]) == {}

    def test_the_order_of_features_stays(self, log: Log) -> None:
        """A body does not sort them."""
        log.append([predicted("a", features={"z": 1, "a": 2})])
        assert list(log.find(["a"])["a"].features) == ["z", "a"]

    @pytest.mark.parametrize("id", ["", " ", "a'b\"c", "x" * 5000, "é", "e\u0301", "7", "\U0001f600", "a\nb", "%_"])
    def test_any_text_is_an_id(self, log: Log, id: str) -> None:
        """Ids are the client's: quotes, other scripts, long ones. They are compared as they are."""
        log.append([predicted(id), predicted("other")])
        log.append_outcomes([learnt(id, 3)])
        assert list(log.find([id])) == [id]
        assert labels(log) == {id: 3, "other": None}

    def test_an_id_with_a_nul_character_is_refused(self, log: Log) -> None:
        """No store could look it up; nothing of the call is kept."""
        with pytest.raises(DataError, match="NUL"):
            log.append([predicted("a"), predicted("b\0c")])
        assert log.totals().predictions == 0

    @pytest.mark.parametrize("features", [{"a": object()}, {"a": "\ud800"}])
    def test_features_that_json_cannot_write_are_refused(self, log: Log, features: dict[str, object]) -> None:
        """Nothing of the call is kept."""
        with pytest.raises(DataError):
            log.append([predicted("a"), predicted("b", features=features)])
        assert log.totals().predictions == 0

    def test_not_a_number_is_kept_as_null(self, log: Log) -> None:
        """JSON has no NaN; outputs keep theirs."""
        log.append([predicted("a", features={"x": float("nan"), "y": float("inf")})])
        assert log.find(["a"])["a"].features == {"x": None, "y": None}

    def test_a_time_beyond_64_bits_is_refused(self, log: Log) -> None:
        """And the log goes on."""
        with pytest.raises(DataError):
            log.append([predicted("a", at=2**70)])
        log.append([predicted("a")])
        assert log.totals().predictions == 1

    def test_unknown_ids_are_left_out(self, log: Log) -> None:
        """Find gives what is there."""
        log.append([predicted("a")])
        assert list(log.find(["a", "b", "a"])) == ["a"]
        assert log.find([]) == {}

    @pytest.mark.parametrize("ids", [["new", "there"], ["new", "new"], ["new", "other", "there", "new"]])
    def test_a_batch_is_kept_whole_or_not_at_all(self, log: Log, ids: list[str]) -> None:
        """An id that is there, or twice in the batch, raises IdReused, and no row of the batch is kept."""
        log.append([predicted("there")])
        with pytest.raises(IdReused, match="there" if "there" in ids and ids.count("new") == 1 else "new"):
            log.append([predicted(id) for id in ids])
        assert log.totals().predictions == 1
        assert list(log.find(ids)) == (["there"] if "there" in ids else [])

    def test_empty_lists_are_fine(self, log: Log) -> None:
        """They change nothing."""
        log.append([])
        log.append_shadows([])
        log.put_losses([])
        log.append_reviews([])
        assert log.append_outcomes([]) == OutcomeCounts()
        assert log.unscored() == []

    # --- outcomes

    def test_each_outcome_is_counted_once(self, log: Log) -> None:
        """Accepted, pending, repeated or corrected, also inside one call."""
        log.append([predicted("a"), predicted("b")])
        assert log.append_outcomes([learnt("a", 1), learnt("x", 1)]) == OutcomeCounts(accepted=1, pending=1)
        assert log.append_outcomes([learnt("a", 1), learnt("x", 1)]) == OutcomeCounts(repeated=2)
        assert log.append_outcomes([learnt("a", 0), learnt("x", 0)]) == OutcomeCounts(corrected=2)
        inside = [learnt("b", 1), learnt("b", 1), learnt("b", 0), learnt("b", 1), learnt("y", 1), learnt("y", 2)]
        assert log.append_outcomes(inside) == OutcomeCounts(accepted=1, repeated=1, corrected=3, pending=1)
        assert labels(log) == {"a": 0, "b": 1}

    def test_a_repetition_changes_nothing(self, log: Log) -> None:
        """Not even the time at which the label was known, and it makes no work."""
        log.append([predicted("a")])
        log.append_outcomes([learnt("a", 1, T0 + 5)])
        score(log)
        log.append_outcomes([learnt("a", 1, T0 + 1)])
        (rows,) = log.scan()
        assert rows[0].known_at == T0 + 5
        assert log.unscored() == []

    @pytest.mark.parametrize("value", [1, 0, -3, 1.5, True, False, "", "1", "é\n", 2**53, 1e-320])
    def test_a_label_keeps_its_type(self, log: Log, value: Label) -> None:
        """1, 1.0, true and "1" come back as they went in."""
        log.append([predicted("a")])
        log.append_outcomes([learnt("a", value)])
        found = labels(log)["a"]
        assert found == value and type(found) is type(value)

    @pytest.mark.parametrize(("first", "second", "same"), [(1, 1.0, True), (1, True, False), (1, "1", False)])
    def test_what_counts_as_the_same_value(self, log: Log, first: Label, second: Label, same: bool) -> None:
        """Equal numbers do; a boolean is no number, and neither is text."""
        log.append([predicted("a")])
        log.append_outcomes([learnt("a", first)])
        counts = log.append_outcomes([learnt("a", second)])
        assert counts == (OutcomeCounts(repeated=1) if same else OutcomeCounts(corrected=1))

    @pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
    def test_an_outcome_that_is_not_finite_is_refused(self, log: Log, value: float) -> None:
        """All or none."""
        log.append([predicted("a"), predicted("b")])
        with pytest.raises(DataError):
            log.append_outcomes([learnt("a", 1), learnt("b", value)])
        assert labels(log) == {"a": None, "b": None}

    def test_an_outcome_may_come_before_its_prediction(self, log: Log) -> None:
        """It waits, is counted as pending, joins the prediction when that comes, and then makes work."""
        log.append_outcomes([learnt("a", 1), learnt("never", 1), learnt("a", 7, name="delay")])
        assert log.unscored() == [] and log.totals().pending == 3
        log.append([predicted("b"), predicted("a")])
        assert labels(log) == {"a": 1, "b": None}
        assert log.unscored() == [Scored("a", "v1", (0.25, 0.75), 1)]
        assert (log.totals().outcomes, log.totals().pending) == (2, 1)

    def test_a_pending_outcome_may_be_corrected(self, log: Log) -> None:
        """The last one counts, and the first one at a bound before the last was known."""
        log.append_outcomes([learnt("a", 0, T0 + 1), learnt("a", 1, T0 + 9)])
        log.append([predicted("a")])
        assert labels(log) == {"a": 1} and labels(log, T0 + 9) == {"a": 0} and labels(log, T0 + 1) == {"a": None}
        assert log.unscored() == [Scored("a", "v1", (0.25, 0.75), 1)]

    def test_outcomes_of_other_names_are_no_labels(self, log: Log) -> None:
        """They are kept and counted, and make no work."""
        log.append([predicted("a")])
        assert log.append_outcomes([learnt("a", 12.5, name="revenue"), learnt("a", 1)]) == OutcomeCounts(accepted=2)
        assert log.append_outcomes([learnt("a", 13, name="revenue")]) == OutcomeCounts(corrected=1)
        assert labels(log) == {"a": 1}
        assert len(log.unscored()) == 1
        assert log.totals().outcomes == 2

    # --- shadows

    def test_the_first_output_of_a_version_counts(self, log: Log) -> None:
        """A second shadow is ignored, and so is the shadow of the version that answered."""
        log.append([predicted("a", served_by="v1")])
        log.append_shadows([shadowed("a", output=(1.0, 0.0)), shadowed("a", output=(0.0, 1.0))])
        log.append_shadows([shadowed("a", output=(0.0, 1.0)), shadowed("a", "v1", (0.0, 1.0))])
        log.append_outcomes([learnt("a")])
        assert log.unscored() == [Scored("a", "v1", (0.25, 0.75), 1), Scored("a", "v2", (1.0, 0.0), 1)]
        assert log.totals().shadows == 1

    def test_a_shadow_of_an_unknown_id_is_left_out(self, log: Log) -> None:
        """A shadow comes after its prediction."""
        log.append_shadows([shadowed("a")])
        log.append([predicted("a")])
        assert log.totals().shadows == 0

    def test_a_failed_shadow_is_kept_and_not_scored(self, log: Log) -> None:
        """It has no output."""
        log.append([predicted("a")])
        log.append_shadows([shadowed("a", output=None, error="timeout")])
        log.append_outcomes([learnt("a")])
        assert [scored.version for scored in log.unscored()] == ["v1"]
        assert (log.totals().shadows, log.totals().shadow_errors) == (1, 1)

    def test_a_shadow_may_come_after_the_label(self, log: Log) -> None:
        """It makes work once, also when it comes again."""
        log.append([predicted("a")])
        log.append_outcomes([learnt("a")])
        score(log)
        log.append_shadows([shadowed("a")])
        assert log.unscored() == [Scored("a", "v2", (0.5, 0.5), 1)]
        score(log)
        log.append_shadows([shadowed("a")])
        assert log.unscored() == []

    # --- losses

    def test_what_answered_is_scored(self, log: Log) -> None:
        """Where a fallback answered, its output is: not that of the version that was assigned."""
        log.append([predicted("a", version="v2", served_by="v1", fallback_reason="timeout")])
        log.append_outcomes([learnt("a", "late")])
        assert log.unscored() == [Scored("a", "v1", (0.25, 0.75), "late")]

    def test_unscored_gives_at_most_limit_rows_until_none_is_left(self, log: Log) -> None:
        """Asked again before a loss was put, it gives the same rows."""
        log.append([predicted(f"{i}") for i in range(5)])
        log.append_outcomes([learnt(f"{i}") for i in range(5)])
        first = log.unscored(2)
        assert len(first) == 2 and log.unscored(2) == first
        log.put_losses([(each.id, each.version, 1) for each in first])
        assert {each.id for each in log.unscored()} == {f"{i}" for i in range(5)} - {each.id for each in first}

    def test_a_correction_makes_work_again(self, log: Log) -> None:
        """For every version that scored the row."""
        log.append([predicted("a")])
        log.append_shadows([shadowed("a")])
        log.append_outcomes([learnt("a", 1)])
        score(log)
        log.append_outcomes([learnt("a", 0)])
        assert [(each.version, each.label) for each in log.unscored()] == [("v1", 0), ("v2", 0)]

    def test_a_correction_between_unscored_and_put_losses_is_not_lost(self, log: Log) -> None:
        """The loss that was put belongs to the old label, so the row is still unscored, and no sum takes it for new."""
        log.append([predicted("a")])
        log.append_outcomes([learnt("a", 1, T0 + 1)])
        log.unscored()
        log.append_outcomes([learnt("a", 0, T0 + 2)])
        log.put_losses([("a", "v1", 111)])
        assert log.unscored() == [Scored("a", "v1", (0.25, 0.75), 0)]
        assert [(each.labelled, each.loss) for each in log.period_sums(HOUR, T0, T0 + HOUR, T0 + 2)] == [(1, 111)]
        assert [(each.labelled, each.loss) for each in log.period_sums(HOUR, T0, T0 + HOUR, T0 + 3)] == [(0, 0)]

    def test_a_later_loss_replaces_an_earlier_one(self, log: Log) -> None:
        """Of the same label."""
        log.append([predicted("a")])
        log.append_outcomes([learnt("a")])
        score(log, default=5)
        log.put_losses([("a", "v1", 7)])
        assert [each.loss for each in log.period_sums(HOUR, T0, T0 + HOUR, T0 + 2 * HOUR)] == [7]

    def test_losses_of_rows_without_a_label_are_left_out(self, log: Log) -> None:
        """And of rows that are not there."""
        log.append([predicted("a")])
        log.put_losses([("a", "v1", 7), ("b", "v1", 7)])
        assert [each.labelled for each in log.period_sums(HOUR, T0, T0 + HOUR, T0 + 2 * HOUR)] == [0]
