"""Whether a model may replace people: by example, by invariant, and by seeded simulation."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from incumbent.stats import metrics
from incumbent.steps.baseline import people, replacing

ACCURACY = metrics.get("accuracy", "binary")


def losses(errors: int, n: int) -> np.ndarray:
    return np.array([1.0] * errors + [0.0] * (n - errors))


def ask(person: np.ndarray, model: np.ndarray, margin: float = 0.02, **how: object) -> replacing.Verdict:
    return replacing.verdict(person, model, margin, **{"relative": False, "min_rows": 100, **how})  # type: ignore[arg-type]


def test_the_three_verdicts() -> None:
    """As good: automate. Between: assist, with the rows that would do. Worse: not yet. Few: not yet, with how many."""
    person = losses(100, 1000)
    assert ask(person, person).word == replacing.AUTOMATE
    assert ask(person, losses(160, 1000)).word == replacing.NOT_YET
    between = ask(person[::-1], losses(105, 1000))
    assert between.word == replacing.ASSIST
    assert between.rows_needed is not None and between.rows_needed > 1000
    few = ask(losses(2, 20), losses(0, 20))
    assert (few.word, few.too_few, few.rows_needed) == (replacing.NOT_YET, True, 100)


def test_a_model_that_is_shown_worse_within_the_margin_may_replace_people() -> None:
    """Not inferior by more than the margin is what was asked."""
    person = losses(0, 5000)
    found = ask(person, losses(25, 5000))
    assert found.word == replacing.AUTOMATE and found.upper is not None and found.upper < 0


def test_more_rows_do_not_help_who_is_worse_than_the_margin() -> None:
    """A gap that looks larger than the margin has no number of rows that would do."""
    found = ask(losses(20, 200)[::-1], losses(26, 200))
    assert (found.word, found.rows_needed) == (replacing.ASSIST, None)


@given(st.lists(st.sampled_from([0.0, 1.0]), min_size=100, max_size=150), st.floats(0.001, 0.1))
def test_a_model_is_never_inferior_to_itself(person: list[float], margin: float) -> None:
    """Whatever people say: the same answers may replace them, in points and in shares."""
    same = np.array(person)
    assert ask(same, same, margin).word == replacing.AUTOMATE
    if same.any():
        assert ask(same + 1, same + 1, margin, relative=True).word == replacing.AUTOMATE


def test_a_model_that_is_worse_by_the_margin_is_automated_one_time_in_twenty() -> None:
    """500 studies of 400 rows at the edge: at most 5 % plus the binomial 99.9 % bound (41)."""
    draw = np.random.default_rng(11)
    automated = 0
    for _ in range(500):
        person, model = draw.random(400) < 0.10, draw.random(400) < 0.15
        automated += ask(person.astype(float), model.astype(float), 0.05).word == replacing.AUTOMATE
    assert automated <= 41


def test_the_level_holds_where_rows_belong_together() -> None:
    """At the edge again, in 40 units whose rows correlate by .2: row by row a quarter is automated. 500 studies: at
    most 5 % plus the binomial 99.9 % bound, and 1 point for the normal law of 40 means (47)."""
    draw = np.random.default_rng(13)
    automated = row_by_row = 0
    for _ in range(500):
        of = np.repeat(np.arange(40), draw.integers(5, 36, 40))
        shares = [draw.beta(4 * share, 4 * (1 - share), 40)[of] for share in (0.10, 0.15)]
        person, model = ((draw.random(len(of)) < share).astype(float) for share in shares)
        automated += ask(person, model, 0.05, blocks=of).word == replacing.AUTOMATE
        row_by_row += ask(person, model, 0.05).word == replacing.AUTOMATE
    assert automated <= 47 and row_by_row > 100


def test_a_relative_margin_holds_its_level_too() -> None:
    """Squared errors, a model that is worse by exactly 20 % of people's loss: 500 studies of 300 rows."""
    draw = np.random.default_rng(12)
    automated = 0
    for _ in range(500):
        person, model = draw.normal(0, 1, 300) ** 2, draw.normal(0, math.sqrt(1.2), 300) ** 2
        automated += ask(person, model, 0.2, relative=True).word == replacing.AUTOMATE
    assert automated <= 41


def test_a_published_figure_is_compared_unpaired() -> None:
    """.835 on 1,000 rows: .86 on 2,000 is enough, .70 is shown worse, .83 is neither, ten rows are too few."""
    word = {
        right: replacing.verdict_published(0.835, 1000, losses(2000 - right, 2000), 0.02, min_rows=100).word
        for right in (1720, 1660, 1400)
    }
    assert word == {1720: replacing.AUTOMATE, 1660: replacing.ASSIST, 1400: replacing.NOT_YET}
    few = replacing.verdict_published(0.835, 1000, losses(1, 10), 0.02, min_rows=100)
    assert (few.word, few.too_few) == (replacing.NOT_YET, True)
    figure = people.published(0.835, 1000)
    assert (figure.lower, figure.upper) == (pytest.approx(0.8107, abs=1e-4), pytest.approx(0.8567, abs=1e-4))


def test_the_evidence_says_it_in_one_sentence() -> None:
    """Verdict, both values, the gain with its bound, and what flatters."""
    person = losses(100, 1000)
    one = people.interval(person, ACCURACY)
    told = replacing.evidence(
        "v3", "v2", 5, "accuracy", "labels", one, one, ask(person, person), 0.02, flattered=True
    )
    assert told.sentence.startswith(
        "automate: v3 against people (v2): accuracy 0.9 (95 %: 0.8798 to 0.9171) against 0.9 (95 %: 0.8798 to 0.9171): "
        "not worse by more than 0.02 (gain +0.0000, at least +0.0000 at 95 %)."
    )
    assert told.sentence.endswith("v3 may have been trained on these rows, which flatters it.")
    assert (told.step, told.subject, told.reference, told.verdict) == ("baseline", "v3", "v2", "automate")
