"""Krippendorff's alpha: the published example, chance, prevalence."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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


def test_the_published_example_for_numbers_is_reproduced() -> None:
    """Interval alpha .849 of the same four observers (section E)."""
    result = agreement.krippendorff(PUBLISHED, metric="interval")
    assert result.alpha == pytest.approx(0.849, abs=0.0005)
    assert (result.n_items, result.metric) == (11, "interval")
    assert result.lower < result.alpha < result.upper


def test_the_published_examples_of_two_observers_are_reproduced() -> None:
    """Binary alpha .095 (section A) and nominal alpha .692 (section B)."""
    binary = zip([0, 1, 0, 0, 0, 0, 0, 0, 1, 0], [1, 1, 1, 0, 0, 1, 0, 0, 0, 0], strict=True)
    assert agreement.krippendorff([list(pair) for pair in binary]).alpha == pytest.approx(0.095, abs=0.0005)
    nominal = zip("aabbdcccedda", "babbbccceddd", strict=True)
    assert agreement.krippendorff([list(pair) for pair in nominal]).alpha == pytest.approx(0.692, abs=0.0005)


def test_a_lopsided_table_is_warned_of() -> None:
    """Nine in ten labels are the same: what agrees by chance is said beside it."""
    doubles = [["no", "no"]] * 925 + [["yes", "no"]] * 25 + [["no", "yes"]] * 25 + [["yes", "yes"]] * 25
    result = agreement.krippendorff(doubles)
    assert result.lopsided and result.by_chance == pytest.approx(0.905, abs=0.001)
    assert not agreement.krippendorff(PUBLISHED).lopsided


doubles_of_numbers = st.lists(
    st.lists(st.integers(-50, 50), min_size=1, max_size=4), min_size=3, max_size=12
).filter(lambda items: len({v for item in items if len(item) > 1 for v in item}) > 1)


@given(doubles_of_numbers)
@settings(max_examples=40, deadline=None)
def test_alpha_is_its_definition(items: list[list[int]]) -> None:
    """Both metrics, pair by pair as the paper writes them."""
    for metric, delta in (("nominal", lambda a, b: float(a != b)), ("interval", lambda a, b: float((a - b) ** 2))):
        found = agreement.krippendorff(items, metric=metric, n_resamples=2)  # type: ignore[arg-type]
        paired = [item for item in items if len(item) > 1]
        every = [value for item in paired for value in item]
        n = len(every)
        observed = sum(
            sum(delta(a, b) for i, a in enumerate(item) for j, b in enumerate(item) if i != j) / (len(item) - 1)
            for item in paired
        ) / n
        chance = sum(delta(a, b) for i, a in enumerate(every) for j, b in enumerate(every) if i != j) / (n * (n - 1))
        assert found.alpha == pytest.approx(1.0 - observed / chance, abs=1e-9)


@given(doubles_of_numbers, st.integers(-1000, 1000), st.integers(1, 9))
@settings(max_examples=40, deadline=None)
def test_alpha_of_numbers_sees_neither_origin_nor_unit(items: list[list[int]], shift: int, scale: int) -> None:
    """Degrees Celsius and Fahrenheit agree alike; nominal alpha sees no renaming."""
    moved = [[shift + scale * value for value in item] for item in items]
    for metric in ("nominal", "interval"):
        first = agreement.krippendorff(items, metric=metric, n_resamples=2)  # type: ignore[arg-type]
        second = agreement.krippendorff(moved, metric=metric, n_resamples=2)  # type: ignore[arg-type]
        assert first.alpha == pytest.approx(second.alpha, abs=1e-9)


def test_the_interval_of_alpha_covers_it() -> None:
    """Two reviewers with 10 % errors each: alpha is known, and 95 % of 200 intervals hold it but for luck (≥ 181 by the
    binomial 99.9 % bound at 95 %, less 2 points for a percentile interval of 150 items)."""
    generator = np.random.default_rng(3)
    truth = generator.integers(0, 2, size=(200, 150))
    answers = [np.where(generator.random(truth.shape) < 0.1, 1 - truth, truth) for _ in range(2)]
    expected = 1.0 - (2 * 0.1 * 0.9) / 0.5
    held = 0
    for one, two in zip(*answers, strict=True):
        found = agreement.krippendorff(np.stack([one, two], axis=1).tolist(), n_resamples=200)
        held += found.lower <= expected <= found.upper
    assert held >= 177


def test_the_interval_of_alpha_covers_it_where_items_belong_together() -> None:
    """60 blocks of ten, hard ones (40 % errors) and easy ones: of 150 intervals by blocks 95 % hold alpha but for luck
    (≥ 125 by the binomial 99.9 % bound at 92 %: percentiles of 60 blocks); item by item less than three in four."""
    generator = np.random.default_rng(4)
    expected = 1.0 - 0.3 * (2 * 0.4 * 0.6) / 0.5
    held = item_by_item = 0
    for _ in range(150):
        blocks = np.repeat(np.arange(60), 10)
        truth, errors = generator.integers(0, 2, 600), np.where(generator.random(60) < 0.3, 0.4, 0.0)[blocks]
        said = [np.where(generator.random(600) < errors, 1 - truth, truth) for _ in range(2)]
        items = np.stack(said, axis=1).tolist()
        found = agreement.krippendorff(items, n_resamples=200, blocks=blocks.tolist())
        plain = agreement.krippendorff(items, n_resamples=200)
        assert found.alpha == plain.alpha
        held += found.lower <= expected <= found.upper
        item_by_item += plain.lower <= expected <= plain.upper
    assert held >= 125 and item_by_item < 113


@given(st.floats(0.0, 0.45), st.integers(2, 20))
def test_the_error_is_found_from_the_agreement(error: float, n_classes: int) -> None:
    """It is the inverse of what two such reviewers agree on."""
    agreed = (1 - error) ** 2 + error**2 / (n_classes - 1)
    assert agreement.reviewer_error(agreed, n_classes) == pytest.approx(error, abs=1e-6)


def test_a_reviewer_error_of_five_percent_hides_a_good_model() -> None:
    """A true .95 reads .905, and nobody reads more than .95."""
    assert agreement.read_accuracy(0.95, 0.05, 2) == pytest.approx(0.905)
    assert agreement.read_accuracy(1.0, 0.05, 2) == pytest.approx(0.95)


def test_the_noise_of_a_reviewer_is_found() -> None:
    """Pairs with a deviation of 2 about any truth; four standard errors are allowed (2/√(2·4000) = .022 each)."""
    generator = np.random.default_rng(0)
    pairs = generator.normal(0, 100, (4000, 1)) + generator.normal(0, 2, (4000, 2))
    assert agreement.reviewer_noise(pairs.tolist()) == pytest.approx(2.0, abs=0.09)
    with pytest.raises(DataError, match="two numbers"):
        agreement.reviewer_noise([[1.0]])
