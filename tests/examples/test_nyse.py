"""The volume of the New York Stock Exchange: the figures of An Introduction to Statistical Learning, and our verdict.

James, Witten, Hastie, Tibshirani & Taylor, An Introduction to Statistical Learning with Applications in Python (2023),
10.5.2 and 10.9.6: on the test days from 2 January 1980 on, the day before reaches an R² of .18, a straight line through
five days of volume, return and volatility .41, and .46 with the day of the week.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from incumbent.cli import run
from incumbent.project import Project, open_project
from incumbent.project.rows import Rows
from incumbent.runtimes.rule import Rule
from incumbent.steps import gate

NYSE = Path(__file__).parents[2] / "examples" / "nyse"


@pytest.fixture
def nyse(tmp_path: Path) -> Iterator[Project]:
    """The example in a folder of its own."""
    shutil.copytree(NYSE, tmp_path / "nyse", ignore=shutil.ignore_patterns(".incumbent", "__pycache__"))
    with open_project(tmp_path / "nyse") as project:
        yield project


@pytest.fixture
def sides(nyse: Project) -> tuple[Rows, Rows]:
    """Training and test days, as the gate splits them."""
    return nyse.gate.split(nyse.known(None, nyse.clock()))


def answers(project: Project, recipe: str, sides: tuple[Rows, Rows]) -> np.ndarray:
    """What a recipe, fitted on the training days, says of the test days."""
    model = project.written().fit(recipe, sides[0].training_frame())
    return np.asarray(model.predict(sides[1].training_frame().drop(columns="log_volume")))


def test_the_test_days_are_the_books(sides: tuple[Rows, Rows]) -> None:
    """1,770 days from 2 January 1980 to 31 December 1986; trained on all before them."""
    train, held_out = sides
    assert (len(train), len(held_out)) == (4281, 1770)
    days = held_out.native()["day"].dt.strftime("%Y-%m-%d")
    assert (days.iloc[0], days.iloc[-1]) == ("1980-01-02", "1986-12-31")


@pytest.mark.parametrize(("recipe", "book"), [("train_without_weekday", 0.413), ("train", 0.460)])
def test_the_lag_regressions_reach_what_the_book_prints(
    nyse: Project, sides: tuple[Rows, Rows], recipe: str, book: float
) -> None:
    """R² .413 from fifteen lags, .460 with the day of the week."""
    value = nyse.metric.value(answers(nyse, recipe, sides), sides[1].truth(nyse.signature(sides[1])))
    assert value == pytest.approx(book, abs=0.005)


def test_the_straw_man_is_the_books_and_not_the_best(nyse: Project) -> None:
    """The day before reaches .180; the mean of five days is better, becomes the baseline, and the step says so."""
    found = nyse.baseline()
    values = {evidence.subject: evidence.numbers["value"] for evidence in found.evidence}
    assert values["last value"] == pytest.approx(0.180, abs=0.005)
    assert found.evidence[0].subject == "mean of the last 5 values"
    assert values["autoregression on 5 lags"] == pytest.approx(0.374, abs=0.005)
    assert [w["trap"] for w in found.evidence[0].numbers["warnings"]] == ["last_value", "simple"]
    assert nyse.version("v1").description == "mean of the last 5 values"


def test_the_lag_regression_ships_against_the_last_day(nyse: Project, sides: tuple[Rows, Rows]) -> None:
    """On the same test days, in blocks of twenty, tested on the squared error that r2 stands for."""
    _, held_out = sides
    signature = nyse.signature(held_out)
    last = Rule({"rule": "lag", "column": "lag_1", "default": 0.0}, signature)
    evidence = gate.judge_outputs(
        nyse.metric, held_out.truth(signature), last.predict(held_out.columns(signature)),
        answers(nyse, "train", sides), held_out.blocks(), nyse.config.gate, "lag regression", "last value", 0,
    )  # fmt: skip
    assert evidence.verdict == "ship" and evidence.numbers["lower"] > 0


def test_it_ships_against_the_best_rule_too(nyse: Project) -> None:
    """Which is the incumbent; a compiled twin answers."""
    nyse.baseline()
    version, evidence = nyse.train()
    assert evidence.verdict == "ship" and version is not None and version.serves == "twin.linear.json"


def test_what_may_be_expected_is_an_r2(nyse: Project) -> None:
    """Of a metric that is no mean of row losses the quick model has the value itself: .444, near the book's .46."""
    curve = nyse.expect(goal=0.46).numbers["curve"]
    assert curve["points"][-1]["value"] == pytest.approx(0.444, abs=0.03)


@pytest.mark.parametrize(("score", "code", "words"), [("0.46", 0, "better than"), ("0.18", 3, "not to be told apart"),
                                                      ("46", 2, "Then it is 0.46")])  # fmt: skip
def test_is_the_books_score_good(
    nyse: Project, capsys: pytest.CaptureFixture[str], score: str, code: int, words: str
) -> None:
    """.46 is better than every rule, the straw man's own .18 is not; 46 was given in percent."""
    assert run(["baseline", "-p", str(nyse.config.folder), "--score", score]) == code
    said = capsys.readouterr()
    assert words in said.out + said.err
