"""Reliability bins and the expected calibration error."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from incumbent.errors import DataError
from incumbent.stats import calibration


def test_a_calibrated_model_has_a_small_error_and_a_shifted_one_shows_its_shift() -> None:
    """Labels drawn from the probabilities: below .02 on 20,000 rows; claims .1 too high: about .1."""
    generator = np.random.default_rng(1)
    p = generator.uniform(0.1, 0.9, 20_000)
    truth = (generator.uniform(size=20_000) < p).astype(int)
    table = np.column_stack([1 - p, p])
    assert calibration.expected_calibration_error(table, truth) < 0.02
    assert calibration.expected_calibration_error(table + np.array([-0.1, 0.1]), truth) == pytest.approx(
        0.1, abs=0.02
    )
    inside = [b.lower <= b.mean_confidence <= b.upper for b in calibration.reliability(table, truth)]
    assert sum(inside) >= 12


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 10), st.booleans()), min_size=1, max_size=60), st.integers(1, 20))
def test_bins_cover_all_rows_in_order_and_split_no_ties(rows: list[tuple[int, bool]], n_bins: int) -> None:
    """Sizes add up, confidences rise, at most n_bins and at most one bin a distinct confidence."""
    p = np.array([score / 10 for score, _ in rows])
    bins = calibration.reliability(np.column_stack([1 - p, p]), [int(hit) for _, hit in rows], n_bins=n_bins)
    assert sum(b.n for b in bins) == len(rows)
    confidences = [b.mean_confidence for b in bins]
    assert confidences == sorted(confidences) and len(bins) <= min(n_bins, len(set(p.tolist())))


def test_many_classes_use_the_confidence_of_the_most_probable() -> None:
    """Always .6 sure and right every time: the error is .4."""
    table = np.tile([0.6, 0.3, 0.1], (10, 1))
    assert calibration.expected_calibration_error(table, np.zeros(10, dtype=int)) == pytest.approx(0.4)


def test_unusable_probabilities_are_refused() -> None:
    """NaN, no rows, one column."""
    for table, truth in (([[np.nan, 0.5]], [0]), (np.empty((0, 2)), []), ([[1.0]], [0])):
        with pytest.raises(DataError):
            calibration.reliability(table, truth)
