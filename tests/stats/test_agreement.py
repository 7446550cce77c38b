"""Krippendorff's alpha: the published example, chance, prevalence."""

import numpy as np
import pytest

from incumbent.errors import DataError
from incumbent.stats import agreement

# Krippendorff, "Computing Krippendorff's Alpha-Reliability" (2011): four observers, twelve units, gaps.
PUBLISHED = [
    [1, 1, None, 1], [2, 2, 3, 2], [3, 3, 3, 3], [3, 3, 3, 3], [2, 2, 2, 2], [1, 2, 3, 4], [4, 4, 4, 4],
    [1, 1, 2, 1], [2, 2, 2, 2], [None, 5, 5, 5], [None, None, 1, 1], [None, None, 3, None],
]  # fmt: skip


def test_the_published_example_is_reproduced() -> None:
    """Nominal alpha .743 over eleven items with at least two labels."""
    result = agreement.krippendorff(PUBLISHED)
    assert result.alpha == pytest.approx(0.743, abs=0.0005)
    assert result.n_items == 11
    assert result.lower < result.alpha < result.upper


def test_labels_drawn_at_random_agree_by_chance_only() -> None:
    """The interval of 500 random doubles holds 0, and the same seed gives the same bytes."""
    labels = np.random.default_rng(1).integers(0, 3, size=(500, 2)).tolist()
    result = agreement.krippendorff(labels)
    assert result.lower < 0.0 < result.upper
    assert result == agreement.krippendorff(labels)


def test_high_agreement_on_a_rare_label_is_little_evidence() -> None:
    """95 % agreement at 5 % prevalence: alpha near .47, as kappa."""
    doubles = [["no", "no"]] * 925 + [["yes", "no"]] * 25 + [["no", "yes"]] * 25 + [["yes", "yes"]] * 25
    result = agreement.krippendorff(doubles)
    assert result.agreement == 0.95 and result.prevalence == 0.95
    assert result.alpha == pytest.approx(0.47, abs=0.01)


@pytest.mark.parametrize("items", [[], [["a"]], [["a", None]], [["a", "a"], ["a", "a"]]])
def test_what_is_undefined_is_refused(items: list[list[str | None]]) -> None:
    """No doubles, or one label only: neither 0 nor 1 would be true."""
    with pytest.raises(DataError, match="two different"):
        agreement.krippendorff(items)
