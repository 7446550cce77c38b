"""What people reach, and whether a model may replace them: by example, by invariant, and by seeded simulation."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

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


# --- the verdict


def losses(errors: int, n: int) -> np.ndarray:
    return np.array([1.0] * errors + [0.0] * (n - errors))


def ask(person: np.ndarray, model: np.ndarray, margin: float = 0.02, **how: object) -> people.Verdict:
    return people.verdict(person, model, margin, **{"relative": False, "min_rows": 100, **how})  # type: ignore[arg-type]


def test_the_three_verdicts() -> None:
    """As good: automate. Between: assist, with the rows that would do. Worse: not yet. Few: not yet, with how many."""
    person = losses(100, 1000)
    assert ask(person, person).word == people.AUTOMATE
    assert ask(person, losses(160, 1000)).word == people.NOT_YET
    between = ask(person[::-1], losses(105, 1000))
    assert between.word == people.ASSIST
    assert between.rows_needed is not None and between.rows_needed > 1000
    few = ask(losses(2, 20), losses(0, 20))
    assert (few.word, few.too_few, few.rows_needed) == (people.NOT_YET, True, 100)


def test_a_model_that_is_shown_worse_within_the_margin_may_replace_people() -> None:
    """Not inferior by more than the margin is what was asked."""
    person = losses(0, 5000)
    found = ask(person, losses(25, 5000))
    assert found.word == people.AUTOMATE and found.upper is not None and found.upper < 0


def test_more_rows_do_not_help_who_is_worse_than_the_margin() -> None:
    """A gap that looks larger than the margin has no number of rows that would do."""
    found = ask(losses(20, 200)[::-1], losses(26, 200))
    assert (found.word, found.rows_needed) == (people.ASSIST, None)


@given(st.lists(st.sampled_from([0.0, 1.0]), min_size=100, max_size=150), st.floats(0.001, 0.1))
def test_a_model_is_never_inferior_to_itself(person: list[float], margin: float) -> None:
    """Whatever people say: the same answers may replace them, in points and in shares."""
    same = np.array(person)
    assert ask(same, same, margin).word == people.AUTOMATE
    if same.any():
        assert ask(same + 1, same + 1, margin, relative=True).word == people.AUTOMATE


def test_a_model_that_is_worse_by_the_margin_is_automated_one_time_in_twenty() -> None:
    """500 studies of 400 rows at the edge: at most 5 % plus the binomial 99.9 % bound (41)."""
    draw = np.random.default_rng(11)
    automated = 0
    for _ in range(500):
        person, model = draw.random(400) < 0.10, draw.random(400) < 0.15
        automated += ask(person.astype(float), model.astype(float), 0.05).word == people.AUTOMATE
    assert automated <= 41


def test_a_relative_margin_holds_its_level_too() -> None:
    """Squared errors, a model that is worse by exactly 20 % of people's loss: 500 studies of 300 rows."""
    draw = np.random.default_rng(12)
    automated = 0
    for _ in range(500):
        person, model = draw.normal(0, 1, 300) ** 2, draw.normal(0, math.sqrt(1.2), 300) ** 2
        automated += ask(person, model, 0.2, relative=True).word == people.AUTOMATE
    assert automated <= 41


def test_a_published_figure_is_compared_unpaired() -> None:
    """.835 on 1,000 rows: .86 on 2,000 is enough, .70 is shown worse, .83 is neither, ten rows are too few."""
    word = {
        right: people.verdict_published(0.835, 1000, losses(2000 - right, 2000), 0.02, min_rows=100).word
        for right in (1720, 1660, 1400)
    }
    assert word == {1720: people.AUTOMATE, 1660: people.ASSIST, 1400: people.NOT_YET}
    few = people.verdict_published(0.835, 1000, losses(1, 10), 0.02, min_rows=100)
    assert (few.word, few.too_few) == (people.NOT_YET, True)
    figure = people.published(0.835, 1000)
    assert (figure.lower, figure.upper) == (pytest.approx(0.8107, abs=1e-4), pytest.approx(0.8567, abs=1e-4))


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


def test_the_evidence_says_it_in_one_sentence() -> None:
    """Verdict, both values, the gain with its bound, and what flatters."""
    person = losses(100, 1000)
    one = people.interval(person, ACCURACY)
    told = people.evidence(
        "v3", "v2", 5, "accuracy", "labels", one, one, ask(person, person), 0.02, flattered=True
    )
    assert told.sentence.startswith(
        "automate: v3 against people (v2): accuracy 0.9 (95 %: 0.8798 to 0.9171) against 0.9 (95 %: 0.8798 to 0.9171): "
        "not worse by more than 0.02 (gain +0.0000, at least +0.0000 at 95 %)."
    )
    assert told.sentence.endswith("v3 may have been trained on these rows, which flatters it.")
    assert (told.step, told.subject, told.reference, told.verdict) == ("baseline", "v3", "v2", "automate")
