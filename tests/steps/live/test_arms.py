"""Are the arms what they should be? Shares of two or three arms, units in two, labels of one arm only."""

import math

import pytest

from incumbent.records import Arm, Trial
from incumbent.stats import sequential
from incumbent.steps.live import arms as checks
from incumbent.storage.base import ArmSums, Mark, Moments, TrialSums

SPLIT = Trial("t1", "v2", "v1", "split", 0)
THIRDS = Trial("t1", "v2", "v1", "split", 0, share=1 / 3, called=1 / 3)


def arm(units: int, labelled: int | None = None, matured: int | None = None) -> ArmSums:
    has = units if labelled is None else labelled
    closed = units if matured is None else matured
    return ArmSums(
        units=units, rows=units, matured=closed, labelled=has, labelled_units=has,
        moments={"matured": Moments(n=closed)},
    )  # fmt: skip


def sums(both: int = 0, **arms: ArmSums) -> TrialSums:
    return TrialSums(Mark(0), arms, both)  # type: ignore[arg-type]


def test_two_arms_have_their_shares() -> None:
    """Units exposed and units with a label; the published example of 9,463 against 7,681."""
    found = sums(challenger=arm(9_463, 5_000), incumbent=arm(7_681, 5_000))
    checked = checks.split_check(SPLIT, found.arms, found, {})
    assert checked["units"] == [9_463, 7_681] and checked["shares"] == [0.5, 0.5]
    assert checked["log_e"][0] == pytest.approx(86.20560050464519)
    assert checked["p"] < 1e-30


def test_three_arms_have_theirs() -> None:
    """A third each is fine; a challenger's arm that lacks a fifth is found."""
    even = sums(challenger=arm(3_000), incumbent=arm(3_050), called=arm(2_960))
    checked = checks.split_check(THIRDS, even.arms, even, {})
    assert checked["arms"] == ["challenger", "incumbent", "called"] and checked["p"] > 0.1
    short = sums(challenger=arm(2_400), incumbent=arm(3_050), called=arm(2_960))
    expected = sequential.log_bayes_factor_split([2_400, 3_050, 2_960], list(THIRDS.shares.values()))
    checked = checks.split_check(THIRDS, short.arms, short, {})
    assert checked["p"] == pytest.approx(math.exp(-expected)) and checked["p"] < 0.001


def test_the_smallest_p_of_all_looks_stays() -> None:
    """Looking again repairs no split, and no labels."""
    fine = sums(challenger=arm(500), incumbent=arm(500))
    assert checks.split_check(SPLIT, fine.arms, fine, {"split": {"p": 0.0004}})["p"] == 0.0004
    past = {"guardrails": [{"name": "labels", "p": 0.002}]}
    assert checks.labels(SPLIT, fine.arms, past).numbers["p"] == 0.002


def test_a_unit_in_two_arms_is_one_unit() -> None:
    """15 of 1,000 who were counted 1,015 times."""
    found = sums(15, challenger=arm(510), incumbent=arm(505))
    assert checks.split_check(SPLIT, found.arms, found, {})["both_arms"] == 0.015
    nobody = sums(challenger=ArmSums(), incumbent=ArmSums())
    assert checks.split_check(SPLIT, nobody.arms, nobody, {})["both_arms"] == 0.0


@pytest.mark.parametrize(("challenger", "incumbent", "alike"), [
    (arm(1_000, 800), arm(1_000, 810), True),
    (arm(1_000, 650), arm(1_000, 800), False),
    (arm(1_000, 800), arm(1_000, 650), False),
    (arm(1_000, 960), arm(1_000, 999), False),
    (arm(3_000, 0, 0), arm(3_000, 0, 0), True),
])  # fmt: skip
def test_labels_come_from_both_arms_alike(challenger: ArmSums, incumbent: ArmSums, alike: bool) -> None:
    """Both ways; at 96 against 99.9 % it is those without one that tell. It blocks, and proves no harm."""
    arms: dict[Arm, ArmSums] = {"challenger": challenger, "incumbent": incumbent}
    judged = checks.labels(SPLIT, arms, {})
    assert (judged.harm, judged.cleared) == (False, alike)
    assert judged.numbers["challenger"] == (challenger.labelled / challenger.matured if challenger.matured else None)
    with_label, without = (
        sequential.log_e_share(a, b, 0.5, prior, one_sided=False)
        for (a, b), prior in ((judged.numbers["units"], 100.0), (judged.numbers["units_without"], 10.0))
    )
    assert judged.numbers["log_e"] == pytest.approx(math.log((math.exp(with_label) + math.exp(without)) / 2))
