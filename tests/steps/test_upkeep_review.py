"""Step 5: who is asked about which row, and what the answers say about all rows."""

import numpy as np
import pytest

from incumbent.config import Reviewing
from incumbent.errors import NotEnoughData
from incumbent.records import Review
from incumbent.steps.upkeep.review import AUDIT, DOUBTFUL, doubt, draw, estimate, propensities

SETTINGS = Reviewing()
N = 20_000
GENERATOR = np.random.default_rng(0)
P = GENERATOR.beta(2, 2, N)
OUTPUTS = np.column_stack([1 - P, P])
RIGHT = GENERATOR.uniform(size=N) < np.maximum(P, 1 - P)
IDS = [f"r{i}" for i in range(N)]


def drawn(settings: Reviewing = SETTINGS) -> list[Review]:
    return draw(IDS, list(range(N)), OUTPUTS, "v3", settings)


def test_the_budget_is_kept_and_a_fifth_is_pure_chance() -> None:
    """100 rows a day: 60 to 140 are drawn (four standard deviations), 2 to 38 of them as audit rows."""
    found = drawn()
    audit = sum(review.reason == AUDIT for review in found)
    assert 60 <= len(found) <= 140 and 2 <= audit <= 38
    assert {review.reason for review in found} == {AUDIT, DOUBTFUL}
    assert all(review.version == "v3" and 0 < review.propensity <= 1 for review in found)


def test_the_same_ids_are_drawn_again_and_another_seed_draws_others() -> None:
    """The draw is a hash: it needs no memory; it does not depend on the order of the rows."""
    assert drawn() == drawn()
    assert {r.id for r in drawn()} != {r.id for r in drawn(Reviewing(seed="other"))}
    backwards = draw(IDS[::-1], list(range(N))[::-1], OUTPUTS[::-1], "v3", SETTINGS)
    assert {r.id for r in backwards} == {r.id for r in drawn()}


def test_propensities_sum_to_the_budget() -> None:
    """Σπ is the budget while no row is certain, and every row keeps its chance."""
    doubts = doubt(OUTPUTS)
    chances = propensities(doubts, SETTINGS, N, float(doubts.sum()))
    assert chances.sum() == pytest.approx(100)
    assert chances.min() >= 100 * 0.2 / N


def test_doubtful_rows_are_drawn_more_often_and_audit_rows_are_not() -> None:
    """Doubtful rows have more doubt than all rows; audit rows have the same, within 5 standard errors."""
    many = Reviewing(per_day=2_000)
    doubts = dict(zip(IDS, doubt(OUTPUTS).tolist(), strict=True))
    by_reason = {
        reason: np.array([doubts[r.id] for r in drawn(many) if r.reason == reason])
        for reason in (AUDIT, DOUBTFUL)
    }
    overall, spread = np.mean(list(doubts.values())), np.std(list(doubts.values()))
    assert abs(by_reason[AUDIT].mean() - overall) < 5 * spread / len(by_reason[AUDIT]) ** 0.5
    assert by_reason[DOUBTFUL].mean() > overall + 5 * spread / len(by_reason[DOUBTFUL]) ** 0.5


def test_the_weighted_estimate_covers_the_truth_and_the_plain_mean_misleads() -> None:
    """Over 200 draws of 500 rows the 95 % interval holds the true accuracy at least 180 times."""
    doubts = doubt(OUTPUTS)
    chances = propensities(doubts, Reviewing(per_day=500), N, float(doubts.sum()))
    generator, truth = np.random.default_rng(1), float(RIGHT.mean())
    inside, plain = 0, []
    for _ in range(200):
        picked = generator.uniform(size=N) < chances
        found = estimate(RIGHT[picked], chances[picked])
        inside += found.lower <= truth <= found.upper
        plain.append(RIGHT[picked].mean())
    assert inside >= 180  # coverage .95: fewer than 180 of 200 has a chance below .003
    assert np.mean(plain) < truth - 0.03


def test_equal_chances_give_the_plain_mean() -> None:
    """Audit rows alone: the mean, with Student's interval."""
    found = estimate([1, 0, 1, 1], [0.1] * 4)
    assert (found.value, found.effective_n, found.n) == (0.75, pytest.approx(4), 4)
    assert found.lower == pytest.approx(0.75 - 3.1824 * 0.25, abs=1e-3)  # s/√n = .5/2, t(3) = 3.1824


def test_numbers_are_drawn_by_chance_alone() -> None:
    """A regression has no margin: every row is as doubtful as the next."""
    found = draw(IDS, list(range(N)), P, "v1", SETTINGS)
    assert len({round(r.propensity, 12) for r in found}) == 1


def test_too_few_or_impossible_rows_are_errors() -> None:
    """One reviewed row is not enough data; a chance of 0 cannot have been drawn."""
    with pytest.raises(NotEnoughData, match="1 reviewed"):
        estimate([1], [0.5])
    with pytest.raises(ValueError, match="chance in"):
        estimate([1, 0], [0.5, 0.0])
    assert draw([], [], np.zeros((0, 2)), "v1", SETTINGS) == []
