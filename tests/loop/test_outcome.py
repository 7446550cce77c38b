"""Outcomes are checked before they are kept, and each label gives every version that scored its row one loss."""

from collections.abc import Sequence

import pytest

from incumbent.errors import RowError
from incumbent.loop.outcome import receive, settle
from incumbent.records import Label, Outcome, Signature
from incumbent.stats import metrics
from incumbent.storage.base import OutcomeCounts, Scored

CLASSES = Signature((), "binary", (0, 1))
WORDS = Signature((), "multiclass", ("a", "b", "c"))
NUMBERS = Signature((), "regression")


class Kept:
    """A log that remembers outcomes and losses, with rows that have no loss yet."""

    def __init__(self, *scored: Scored) -> None:
        self.outcomes: list[Outcome] = []
        self.waiting = list(scored)
        self.losses: dict[tuple[str, str], int] = {}

    def append_outcomes(self, outcomes: Sequence[Outcome]) -> OutcomeCounts:
        self.outcomes += outcomes
        return OutcomeCounts(accepted=len(outcomes))

    def unscored(self, limit: int) -> list[Scored]:
        return [s for s in self.waiting if (s.id, s.version) not in self.losses][:limit]

    def put_losses(self, losses: Sequence[tuple[str, str, int]]) -> None:
        self.losses |= {(id, version): loss for id, version, loss in losses}


@pytest.mark.parametrize(("sent", "kept"), [(1, 1), (1.0, 1), (True, 1), (0, 0), (False, 0)])
def test_a_label_is_kept_as_the_signature_writes_it(sent: Label, kept: Label) -> None:
    """1, 1.0 and true are one class."""
    log = Kept()
    assert receive(log, [Outcome("a", sent, 5)], CLASSES).accepted == 1
    assert log.outcomes == [Outcome("a", kept, 5)]
    assert type(log.outcomes[0].value) is int


@pytest.mark.parametrize(
    ("value", "name", "signature"),
    [
        (2, "label", CLASSES),
        ("1", "label", CLASSES),
        ("d", "label", WORDS),
        (0, "label", WORDS),
        ("3.5", "label", NUMBERS),
        (True, "label", NUMBERS),
        (float("nan"), "label", NUMBERS),
        (float("inf"), "revenue", CLASSES),
        ("much", "revenue", CLASSES),
        (10**400, "revenue", CLASSES),
        (10**400, "label", NUMBERS),
        (10**400, "label", CLASSES),
        (10**5000, "revenue", CLASSES),
    ],
    ids=lambda value: str(value)[:20] if not isinstance(value, int) or value < 10**9 else "huge",
)
def test_a_wrong_value_is_refused_with_its_row(value: Label, name: str, signature: Signature) -> None:
    """Row 1 is named, with what was found; nothing of the request is kept."""
    log = Kept()
    good = Outcome("a", 3.5, 5, "revenue")
    with pytest.raises(RowError) as refused:
        receive(log, [good, Outcome("b", value, 5, name)], signature)
    assert (refused.value.row, refused.value.column) == (1, "value")
    assert log.outcomes == []


def test_any_number_may_be_told_under_another_name() -> None:
    """Names other than label hold numbers; true counts as 1."""
    log = Kept()
    receive(log, [Outcome("a", 12.5, 5, "revenue"), Outcome("a", True, 5, "clicked")], CLASSES)
    assert [o.value for o in log.outcomes] == [12.5, 1]


def test_every_version_that_scored_a_row_gets_its_loss() -> None:
    """Brier of .2 for class 1: .04 with the truth 0 and .64 with 1, in units of 1e-9."""
    log = Kept(
        Scored("a", "v1", (0.8, 0.2), 0),
        Scored("a", "v2", (0.8, 0.2), 0),
        Scored("b", "v1", (0.8, 0.2), 1),
    )
    assert settle(log, CLASSES, metrics.get("brier", "binary")) == 3
    assert log.losses == {("a", "v1"): 40_000_000, ("a", "v2"): 40_000_000, ("b", "v1"): 640_000_000}
    assert settle(log, CLASSES, metrics.get("brier", "binary")) == 0


def test_labels_are_found_by_class_not_by_number() -> None:
    """With classes in words the index is the place in the signature."""
    log = Kept(Scored("x", "v1", (0.2, 0.3, 0.5), "c"), Scored("y", "v1", (0.2, 0.3, 0.5), "a"))
    settle(log, WORDS, metrics.get("zero_one", "multiclass"))
    assert log.losses == {("x", "v1"): 0, ("y", "v1"): 1_000_000_000}


def test_numbers_lose_by_their_distance() -> None:
    """Squared error of 3 against 1.5 is 2.25."""
    log = Kept(Scored("x", "v1", (3.0,), 1.5))
    settle(log, NUMBERS, metrics.get("squared_error", "regression"))
    assert log.losses == {("x", "v1"): 2_250_000_000}


def test_a_loss_too_large_to_store_counts_as_the_largest() -> None:
    """One absurd label must not stop the losses of all others."""
    log = Kept(Scored("x", "v1", (0.0,), 1e9), Scored("y", "v1", (0.0,), 1.0))
    assert settle(log, NUMBERS, metrics.get("squared_error", "regression")) == 2
    assert log.losses["y", "v1"] == 1_000_000_000
    assert 9.2e18 < log.losses["x", "v1"] < 2**63


def test_a_metric_without_row_losses_settles_nothing() -> None:
    """roc_auc is no mean of rows."""
    assert settle(Kept(Scored("a", "v1", (0.8, 0.2), 0)), CLASSES, metrics.get("roc_auc", "binary")) == 0
