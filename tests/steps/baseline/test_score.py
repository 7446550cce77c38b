"""Is that good? The answer follows the metric's direction, the interval and common sense."""

from dataclasses import replace

import pytest

from incumbent.errors import ConfigError
from incumbent.records import Evidence, Kind
from incumbent.stats import metrics
from incumbent.steps.baseline.score import judge, refuse_impossible


def rule(name: str, value: float, lower: float | None, upper: float | None) -> Evidence:
    numbers = {"value": value, "lower": lower, "upper": upper}
    return Evidence("baseline", name, "beaten", "", 0, None, numbers)


WEEK, DAY = rule("last season's value (season 7)", 2.0, 1.8, 2.2), rule("last value", 6.0, 5.5, 6.5)
ERROR = metrics.get("absolute_error", "forecast")


@pytest.mark.parametrize(("score", "verdict"), [(1.5, "better"), (1.9, "not_told_apart"), (2.1, "not_told_apart"),
                                                (3.64, "worse")])  # fmt: skip
def test_the_verdict_is_that_of_the_best_rule_and_its_interval(score: float, verdict: str) -> None:
    """Lower is better: below the interval, inside of it, above it."""
    assert judge(score, [WEEK, DAY], ERROR).verdict == verdict


def test_the_sentence_names_both_rules_and_what_perfect_is() -> None:
    """One sentence: worse than last week, better than yesterday."""
    found = judge(3.64, [WEEK, DAY], ERROR)
    assert found.sentence == (
        "absolute_error 3.64 is worse than the best naive rule, 1.64 above the 2 of last season's value (season 7) "
        "(95 %: +1.44 to +1.84), 82% further from perfect; and 2.36 below the 6 of last value (95 %: -2.86 to -1.86), "
        "39% of the way from there to perfect; perfect is 0."
    )
    assert found.numbers["best"]["gain"] == pytest.approx(-1.64)
    assert found.numbers["plain"]["gain"] == pytest.approx(2.36)


def test_higher_is_better_where_the_metric_says_so() -> None:
    """An r2 above the interval is better, below it worse."""
    best, metric = rule("mean of the last 5 values", 0.23, 0.12, 0.34), metrics.get("r2", "forecast")
    assert [judge(s, [best], metric).verdict for s in (0.46, 0.3, 0.05, -2.0)] == [
        "better", "not_told_apart", "worse", "worse",
    ]  # fmt: skip
    assert "0.23 above the 0.23 of mean of the last 5" in judge(0.46, [best], metric).sentence


def test_without_an_interval_nothing_is_told_apart() -> None:
    """One block of rows says what the value is, and not how sure."""
    found = judge(1.0, [rule("last value", 6.0, None, None)], ERROR)
    assert found.verdict == "not_told_apart" and "95 %" not in found.sentence


@pytest.mark.parametrize(
    ("name", "kind", "score", "hint"),
    [
        ("accuracy", "binary", 97.0, "Then it is 0.97"),
        ("roc_auc", "binary", 1.01, "better than perfect"),
        ("accuracy", "binary", -0.1, "at least 0"),
        ("absolute_error", "regression", -3.64, "did you mean 3.64?"),
        ("zero_one", "binary", 7.0, "Then it is 0.07"),
        ("brier", "multiclass", 2.5, "at most 2"),
        ("r2", "regression", 1.2, "better than perfect"),
        ("r2", "regression", 500.0, "another metric"),
    ],
)
def test_a_score_that_cannot_be_is_refused_with_a_guess(name: str, kind: Kind, score: float, hint: str) -> None:
    """On the wrong side of perfect, in percent, scikit-learn's negated losses."""
    with pytest.raises(ConfigError, match=hint.replace("?", r"\?")):
        refuse_impossible(score, metrics.get(name, kind))


@pytest.mark.parametrize(
    ("name", "kind", "score"),
    [("absolute_error", "regression", 1e9), ("rmse", "forecast", 0.0), ("r2", "regression", -40.0),
     ("log_loss", "binary", 5.0), ("accuracy", "binary", 1.0)],
)  # fmt: skip
def test_a_score_that_can_be_is_taken(name: str, kind: Kind, score: float) -> None:
    """The ends of the range, and however bad."""
    refuse_impossible(score, metrics.get(name, kind))
    found = judge(score, [replace(WEEK, numbers=WEEK.numbers | {"value": 0.5})], metrics.get(name, kind))
    assert found.verdict in ("better", "worse", "not_told_apart")


def test_a_metric_that_was_mixed_up_with_its_complement_is_said() -> None:
    """An error rate handed in as an accuracy: worse than every rule, and one minus it better than all."""
    rules = [rule("most frequent class", 0.8, 0.78, 0.82), rule("stratified draw", 0.68, 0.66, 0.7)]
    found = judge(0.07, rules, metrics.get("accuracy", "binary"))
    assert "is it an error rate" in found.sentence and found.verdict == "worse"
    assert "Warning" not in judge(0.3, rules, metrics.get("accuracy", "binary")).sentence
