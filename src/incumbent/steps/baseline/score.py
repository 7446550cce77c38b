"""Is that good? A score that somebody has, between the best naive rule and a perfect one.

In: the evidence of the rules, and one value of the same metric. Out: one Evidence whose sentence answers. A score comes
without its rows, so that its own error is unknown: the interval is that of the rules alone, and too narrow where the
score was measured on few rows, or on others than these.
"""

from collections.abc import Sequence

from incumbent.errors import ConfigError
from incumbent.records import Evidence, Json, Micros
from incumbent.stats.metrics import Metric

BETTER, WORSE, UNTOLD = "better", "worse", "not_told_apart"
_PLAIN = ("last value", "prior of the training rows", "mean", "median")
"""The rule that looks at nothing but the target, by kind: what everybody would try first."""


def judge(score: float, found: Sequence[Evidence], metric: Metric, at: Micros = 0) -> Evidence:
    """`found` is the evidence of `steps.baseline.fit`, with the best rule first. Verdict: better, worse, or
    not_told_apart where the best rule's interval holds the score.

    Raises ConfigError for a score that no prediction can have: better than perfect, or outside of the metric's range.
    """
    refuse_impossible(score, metric)
    best = found[0]
    plain = next((one for name in _PLAIN for one in found if one.subject == name), best)
    against = _against(score, best, metric)
    verdict = _verdict(against)
    names = {"better": "better than", "worse": "worse than", "not_told_apart": "not to be told apart from"}
    sentence = f"{metric.name} {score:.4g} is {names[verdict]} the best naive rule, {_said(against)}"
    numbers: dict[str, Json] = {"score": score, "metric": metric.name, "perfect": metric.perfect, "best": against}
    if plain is not best:
        beside = _against(score, plain, metric)
        sentence += f"; and {_said(beside)}"
        numbers["plain"] = beside
    sentence += f"; perfect is {metric.perfect:g}."
    if verdict == UNTOLD:
        sentence += " A score alone says no more: let `incumbent gate` compare the answers row by row."
    turned = _turned(score, found, metric)
    if turned:
        sentence += f" Warning: {turned}."
        numbers["warnings"] = [{"trap": "direction", "sentence": turned}]
    return Evidence("baseline", f"{metric.name} {score:.4g}", verdict, sentence, at, best.subject, numbers)


def refuse_impossible(score: float, metric: Metric) -> None:
    """Raises ConfigError for a value on the wrong side of perfect, with a guess at what was meant.

    >>> from incumbent.stats import metrics
    >>> refuse_impossible(97, metrics.get("accuracy", "binary"))
    Traceback (most recent call last):
    incumbent.errors.ConfigError: a score of 97 is better than perfect: accuracy ends at 1, and higher is better. \
Given in percent? Then it is 0.97
    """
    if metric.gain(metric.perfect, score) > 0.0:
        way = "lower" if metric.lower_is_better else "higher"
        ends = f"{metric.name} ends at {metric.perfect:g}, and {way} is better"
        ends = f"a score of {score:g} is better than perfect: {ends}"
        if metric.lower_is_better:
            raise ConfigError(f"{ends}. scikit-learn's neg_… scores are negative: did you mean {-score:g}?")
        hint = f"Given in percent? Then it is {score / 100:g}" if score <= 100.0 else "Is it another metric?"
        raise ConfigError(f"{ends}. {hint}")
    if metric.lower_is_better and score > metric.high:
        hint = f" Given in percent? Then it is {score / 100:g}" if score <= 100.0 else ""
        raise ConfigError(f"a score of {score:g} cannot be: {metric.name} is at most {metric.high:g}.{hint}")
    if not metric.lower_is_better and score < 0.0 and metric.name != "r2":
        raise ConfigError(f"a score of {score:g} cannot be: {metric.name} is at least 0")


def _against(score: float, rule: Evidence, metric: Metric) -> dict[str, Json]:
    """How far the score lies from the rule's value, with the ends that the rule's interval gives; `gain` is positive
    where it is better, and `share` is that part of the way from the rule to perfect."""
    value, lower, upper = (rule.numbers[key] for key in ("value", "lower", "upper"))
    ends = (None, None) if lower is None else (score - upper, score - lower)
    gain, distance = metric.gain(value, score), abs(metric.perfect - value)
    return {
        "rule": rule.subject, "value": value, "difference": score - value, "lower": ends[0], "upper": ends[1],
        "gain": gain, "share": gain / distance if distance else None,
    }  # fmt: skip


def _verdict(against: dict[str, Json]) -> str:
    low, high = against["lower"], against["upper"]
    if low is None or low <= 0.0 <= high:
        return UNTOLD
    return BETTER if against["gain"] > 0.0 else WORSE


def _said(against: dict[str, Json]) -> str:
    difference, low, high = (against[key] for key in ("difference", "lower", "upper"))
    side = "above" if difference > 0.0 else "below"
    ends = "" if low is None else f" (95 %: {low:+.3g} to {high:+.3g})"
    far = f"{abs(difference):.4g} {side} the {against['value']:.4g} of {against['rule']}"
    return f"{far}{ends}{_share(against['share'])}"


def _share(share: float | None) -> str:
    if share is None or share == 0.0:
        return ""
    return f", {share:.0%} of the way from there to perfect" if share > 0.0 else f", {-share:.0%} further from perfect"


def _turned(score: float, found: Sequence[Evidence], metric: Metric) -> str:
    """A score that is worse than every rule, and whose complement is better than every one: the direction is mixed
    up."""
    if not 0.0 <= score <= 1.0 or metric.name not in ("accuracy", "zero_one", "roc_auc"):
        return ""
    values = [one.numbers["value"] for one in found]
    worst = all(metric.gain(value, score) < 0.0 for value in values)
    best = all(metric.gain(value, 1.0 - score) > 0.0 for value in values)
    if not (worst and best):
        return ""
    other = {"accuracy": "an error rate (zero_one)", "zero_one": "an accuracy", "roc_auc": "of the other class"}
    return f"it is worse than every rule, and 1 - {score:g} is better than all: is it {other[metric.name]}?"
