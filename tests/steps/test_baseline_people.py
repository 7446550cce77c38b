"""What people reach, and whether a model may replace them: by example, by invariant, and by seeded simulation."""

import math

import numpy as np
import pytest
from scipy import stats

from incumbent.errors import NotEnoughData
from incumbent.stats import metrics
from incumbent.steps.baseline import people
from incumbent.steps.baseline.people import Answer, Comparison, Settled

ACCURACY = metrics.get("accuracy", "binary")
SQUARED = metrics.get("squared_error", "regression")


def a(value: float, reviewer: str = "ann", copy: int = 1, seconds: float = 2.0) -> Answer:
    return Answer(reviewer, value, copy, seconds)


def pair(first: float, second: float) -> list[Answer]:
    return [a(first), a(second, "ben", 2)]


# --- what is held against what


def test_with_labels_the_first_answer_counts() -> None:
    """One a row, as the model answers once; rows without an answer or a label are left out."""
    answers = [pair(0, 1), [a(1)], [], [a(1)]]
    source, held = people.compare(answers, [0, 0, 1, None], {}, True)
    assert source == "labels"
    assert held == [Comparison(0, "ann", 0, 0), Comparison(1, "ann", 1, 0)]


def test_without_labels_nobody_judges_themselves() -> None:
    """Each answer is held against the other's; a row that one person answered says nothing, twice or not."""
    answers = [pair(0, 1), [a(1)], [a(1), a(1, copy=2)], pair(1, 1)]
    source, held = people.compare(answers, [None] * 4, {}, True)
    assert source == "people"
    assert held == [Comparison(0, "ann", 0, 1), Comparison(0, "ben", 1, 0), Comparison(3, "ann", 1, 1),
                    Comparison(3, "ben", 1, 1)]  # fmt: skip


def test_a_third_person_is_the_truth_for_the_two() -> None:
    """And not for themselves, where they are one of the two."""
    answers = [pair(0, 1)]
    _, held = people.compare(answers, [None], {0: Settled(1, "cleo")}, True)
    assert [(one.reviewer, one.truth) for one in held] == [("ann", 1), ("ben", 1)]
    _, held = people.compare(answers, [None], {0: Settled(1, "ben")}, True)
    assert [(one.reviewer, one.truth) for one in held] == [("ann", 1), ("ben", 0)]


def test_others_that_are_of_two_minds_are_no_truth() -> None:
    """Three people, three classes: nobody is held against a tie; of numbers the mean is taken."""
    three = [[a(0), a(1, "ben"), a(2, "cleo")]]
    assert people.compare(three, [None], {}, True)[1] == []
    _, held = people.compare(three, [None], {}, False)
    assert [one.truth for one in held] == [1.5, 1.0, 0.5]


# --- measures


def test_what_people_reach_against_labels() -> None:
    """90 of 100 right: Wilson's interval, by person, the error and the ceiling, the time."""
    answers = [[a(1, "ann" if i < 50 else "ben", seconds=1 + i % 3)] for i in range(100)]
    gold = [1.0 if i % 10 else 0.0 for i in range(100)]
    found = people.measure(answers, gold, {}, metrics.get("log_loss", "binary"), 2)
    assert (found.metric, found.gold, found.people.n) == ("accuracy", "labels", 100)
    assert found.people.value == pytest.approx(0.9)
    assert found.people.lower == pytest.approx(0.8256, abs=1e-4)
    assert found.people.upper == pytest.approx(0.9448, abs=1e-4)
    assert {name: one.n for name, one in found.by_reviewer.items()} == {"ann": 50, "ben": 50}
    assert (found.error, found.ceiling) == (pytest.approx(0.1), pytest.approx(0.9))
    assert found.reads == pytest.approx(0.95 * 0.9 + 0.05 * 0.1)
    assert found.seconds == 2.0
    assert found.hours_per_1000 == pytest.approx(1000 * 1.99 / 3600)
    assert found.task["log_loss"] == pytest.approx(0.1 * -math.log(1e-15))
    assert found.agreement is None


def test_the_error_of_a_person_is_found_from_doubles() -> None:
    """No labels, a true error of 10 %, 4,000 doubles: the error to ±.012 (four standard errors of the agreement, .0061,
    by the slope 1/(2·.8)), and people read what a truth with that error lets them read, 1 - 2·.1·.9 = .82."""
    draw = np.random.default_rng(5)
    truth = draw.integers(0, 2, 4000)
    said = [np.where(draw.random(4000) < 0.1, 1 - truth, truth) for _ in range(2)]
    found = people.measure([pair(x, y) for x, y in zip(*said, strict=True)], [None] * 4000, {}, ACCURACY, 2)
    assert found.error == pytest.approx(0.1, abs=0.016)
    assert found.ceiling == pytest.approx(0.9, abs=0.016)
    assert found.people.value == pytest.approx(0.82, abs=0.025)
    assert found.agreement is not None and found.between == "people"
    assert found.agreement.alpha == pytest.approx(1 - 0.18 / 0.5, abs=0.05)


def test_one_person_asked_twice_is_called_so() -> None:
    """Their agreement with themselves is no agreement between people."""
    answers = [[a(i % 2), a(i % 2 if i else 1, copy=2)] for i in range(10)]
    found = people.measure(answers, [float(i % 2) for i in range(10)], {}, ACCURACY, 2)
    assert found.between == "one person"
    assert "One person, asked twice, agrees on 90.0% of 10 rows" in " ".join(people.lines(found))


def test_numbers_have_noise_instead_of_an_error() -> None:
    """Two people who differ by 2 each: noise √2, so a perfect model reads a squared error of 2."""
    answers = [pair(float(i), i + 2.0) for i in range(20)]
    found = people.measure(answers, [i + 1.0 for i in range(20)], {}, SQUARED, 0)
    assert (found.metric, found.error) == ("squared_error", None)
    assert found.people.value == 1.0
    assert found.ceiling == pytest.approx(2.0)
    assert found.agreement is not None and found.agreement.metric == "interval"
    assert "still reads squared_error 2" in " ".join(people.lines(found))


def test_a_rare_label_is_warned_of() -> None:
    """19 of 20 labels are the same: alpha is to be read."""
    answers = [pair(float(i % 20 == 0), float(i % 20 == 0 and i > 0)) for i in range(200)]
    said = " ".join(people.lines(people.measure(answers, [0.0] * 200, {}, ACCURACY, 2)))
    assert "read alpha, not the agreement" in said


def test_nothing_to_hold_against_is_said() -> None:
    """One person, no labels."""
    with pytest.raises(NotEnoughData, match="let a second person label"):
        people.measure([[a(1)], [a(0)]], [None, None], {}, ACCURACY, 2)


# --- what is said


def test_what_people_reach_is_told_in_the_tasks_metric_or_not_at_all() -> None:
    """Others set it beside the rules' values: an accuracy is no log loss."""
    one = people.Interval(0.9, 0.88, 0.92, 1000)
    told = people.reached("v2", "people", 5, ACCURACY, one)
    assert (told.step, told.verdict, told.numbers["rule"], told.numbers["value"]) == (
        "baseline", "reference", "people", 0.9
    )  # fmt: skip
    other = people.reached("v2", "people", 5, metrics.get("log_loss", "binary"), one)
    assert other.numbers["value"] is None and other.numbers["reached"]["value"] == 0.9


# --- rows that belong together


def units(draw: np.random.Generator, n: int = 40) -> np.ndarray:
    """The unit of each row: 5 to 35 rows each."""
    return np.repeat(np.arange(n), draw.integers(5, 36, n))


def wrong_by_unit(draw: np.random.Generator, of: np.ndarray, share: float, rho: float = 0.2) -> np.ndarray:
    """Errors whose share varies from unit to unit: a beta of this mean, two rows of one unit correlate by rho."""
    spread = (1 - rho) / rho
    each = draw.beta(share * spread, (1 - share) * spread, of.max() + 1)
    return (draw.random(len(of)) < each[of]).astype(float)


def test_the_interval_covers_what_people_reach_where_rows_belong_together() -> None:
    """600 studies of 40 units: 95 % of the intervals hold it but for luck (≥ 552 by the binomial 99.9 % bound, less 2
    points for the normal law of 40 means); row by row it is less than three in four."""
    draw = np.random.default_rng(1)
    held = row_by_row = 0
    for _ in range(600):
        of = units(draw)
        losses = wrong_by_unit(draw, of, 0.15)
        found, plain = people.interval(losses, ACCURACY, of), people.interval(losses, ACCURACY)
        assert found.lower is not None and found.upper is not None
        assert plain.lower is not None and plain.upper is not None
        held += found.lower <= 0.85 <= found.upper
        row_by_row += plain.lower <= 0.85 <= plain.upper
    assert held >= int(stats.binom.ppf(0.001, 600, 0.93))
    assert row_by_row < 450


def test_the_interval_of_numbers_covers_too() -> None:
    """Squared errors with a part that all rows of a unit share: their mean is 2."""
    draw = np.random.default_rng(2)
    held = 0
    for _ in range(400):
        of = units(draw)
        losses = (draw.normal(size=of.max() + 1)[of] + draw.normal(size=len(of))) ** 2
        found = people.interval(losses, SQUARED, of)
        assert found.lower is not None and found.upper is not None
        held += found.lower <= 2.0 <= found.upper
    assert held >= int(stats.binom.ppf(0.001, 400, 0.93))


def test_units_of_one_row_change_nothing() -> None:
    """Each row by itself is a unit by itself."""
    answers, gold = [[a(float(i % 10 > 0))] for i in range(100)], [1.0] * 100
    plain = people.measure(answers, gold, {}, ACCURACY, 2)
    alone = people.measure(answers, gold, {}, ACCURACY, 2, blocks=range(100))
    assert (alone.blocks, alone.people) == (None, plain.people)
    assert people.numbers_of(alone)["n_units"] is None


def test_people_who_never_err_are_as_sure_as_there_are_units() -> None:
    """Without an error nothing tells how alike the rows of a unit are: ten units count as ten rows. Of one unit with
    some errors nothing is known."""
    found = people.interval(np.zeros(200), ACCURACY, np.repeat(np.arange(10), 20))
    ten = people.interval(np.zeros(10), ACCURACY)
    assert (found.value, found.lower, found.upper) == (1.0, ten.lower, 1.0)
    one = people.interval(np.array([1.0] * 5 + [0.0] * 15), ACCURACY, np.zeros(20, dtype=np.int64))
    assert (one.value, one.lower, one.upper) == (0.75, None, None)


def test_units_are_told_and_hold_for_each_person_and_for_their_agreement() -> None:
    """Two persons, ten rows a unit, who err on whole units: every interval is wider than row by row."""
    draw = np.random.default_rng(3)
    of = np.repeat(np.arange(40), 10)
    wrong = [np.repeat(draw.random(40) < 0.2, 10) for _ in range(2)]
    truth = draw.integers(0, 2, 400)
    answers = [
        [a(float(truth[i] != wrong[0][i])), a(float(truth[i] != wrong[1][i]), "ben", 2)] for i in range(400)
    ]
    gold = [float(one) for one in truth]
    found = people.measure(answers, gold, {}, ACCURACY, 2, blocks=of.tolist())
    plain = people.measure(answers, gold, {}, ACCURACY, 2)

    def widths(measured: people.Measured) -> list[float]:
        assert measured.agreement is not None
        ends = [(one.lower, one.upper) for one in (measured.people, *measured.by_reviewer.values())]
        ends.append((measured.agreement.lower, measured.agreement.upper))
        return [high - low for low, high in ends if low is not None and high is not None]

    assert all(wide > 2 * narrow for wide, narrow in zip(widths(found), widths(plain), strict=True))
    assert "These rows are of 40 units; rows of one belong together" in " ".join(people.lines(found))
    assert people.numbers_of(found)["n_units"] == 40
