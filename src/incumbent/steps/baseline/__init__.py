"""Step 1. What must be beaten: every naive rule that suits the task, the best first.

In: typed feature columns and truth (class index, or number), later rows held out, and what references said of them.
Out: rule specifications for `runtimes.rule`, and one Evidence each with the held-out value of the metric and its 95 %
interval. Registers nothing.

    held      the rows to be judged on, the origins of a forecast, references
    groups    a column as groups, and their rates or means
    rules     which naive rules suit the kind, fitted on the training rows
    simple    a tree of depth 3 and a straight line
    scoring   the value of each rule and reference, with its interval
    traps     what makes these values worthless
    score     is a score that somebody has good?
    expect    floor, ceiling and goal, with `noise` (equal rows) and `quick` (a model on growing shares)
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from incumbent.config import Baseline, Task
from incumbent.errors import ConfigError, DataError
from incumbent.records import Evidence, Json, Micros, Signature
from incumbent.runtimes.base import Columns, Floats, n_rows
from incumbent.stats.metrics import Metric
from incumbent.steps import Proposal, StepResult
from incumbent.steps.baseline import traps
from incumbent.steps.baseline.held import HeldOut, Ints, Origin, Reference, taken
from incumbent.steps.baseline.rules import NaiveRule, rules
from incumbent.steps.baseline.score import judge, refuse_impossible
from incumbent.steps.baseline.scoring import LAST_VALUE, Score, scores

__all__ = ["HeldOut", "NaiveRule", "Origin", "Reference", "Score", "fit", "judge", "refuse_impossible"]

Labels = npt.NDArray[np.generic]
Held = HeldOut | tuple[Columns, Labels, Ints | None]


@dataclass(frozen=True, slots=True)
class _Training:
    """The rows that rules are fitted on, and how the task is judged."""

    columns: Columns
    target: Floats
    signature: Signature
    metric: Metric
    task: Task
    settings: Baseline

    def rules(self, wanted: set[str] | None = None) -> list[NaiveRule]:
        return rules(
            self.columns, self.target, self.signature, self.metric, self.task, self.settings, wanted=wanted
        )

    def with_rows(self, columns: Columns, target: Floats) -> "_Training":
        joined = {name: np.concatenate([values, columns[name]]) for name, values in self.columns.items()}
        both = np.concatenate([self.target, target])
        return _Training(joined, both, self.signature, self.metric, self.task, self.settings)


def fit(
    columns: Columns,
    truth: Labels,
    signature: Signature,
    metric: Metric,
    task: Task,
    held_out: Held | None = None,
    *,
    settings: Baseline | None = None,
    references: tuple[Reference, ...] = (),
    only: str = "",
    at: Micros = 0,
) -> StepResult:
    """Fit the naive rules on `columns` (n rows) and `truth` (n,), and order them by their held-out value.

    The best rule that may become the baseline comes first, in evidence and proposals; the other rules follow by their
    value, then small models and `references`, which have evidence and no proposal. `rank` is the place among all.
    Without `held_out` rules come in a fixed order and without evidence. `only` fits the one rule of that description
    (a refit on more rows). Raises DataError when no row is labelled, one class only occurs, a number is missing or a
    reference does not suit, ConfigError for a description nobody knows.
    """
    target = _checked(truth, columns, signature)
    if signature.classifies and target.min() == target.max():
        only_class = signature.classes[int(target[0])]
        raise DataError(f"all {len(target)} labels are {only_class!r}, expected two classes or more")
    training = _Training(columns, target, signature, metric, task, settings or Baseline())
    fitted = training.rules({only} if only else None)
    if only and not fitted:
        raise ConfigError(f"no naive rule for these rows is described as {only!r}")
    if held_out is None:
        return StepResult((), tuple(_proposal(rule) for rule in fitted))
    return _judged(training, fitted, HeldOut(*held_out), references, at)


def _judged(
    training: _Training, fitted: list[NaiveRule], held: HeldOut, references: tuple[Reference, ...], at: Micros
) -> StepResult:
    truth = _checked(held.truth, held.columns, training.signature)
    names = {rule.description for rule in fitted}

    def refit(known: Ints) -> list[NaiveRule]:
        return training.with_rows(taken(held.columns, known), truth[known]).rules(names)

    found = scores(fitted, held, truth, training.signature, training.metric, refit, references)
    ordered = _ordered(found, training.metric, training.settings)
    if not ordered or not ordered[0].may_answer:
        raise DataError(
            f"{training.metric.name} has no value for any naive rule on {len(truth)} held-out rows: hold out more, "
            "so that every class occurs"
        )
    warned = _warnings(training, held, truth, ordered)
    ranks = {id(score): i + 1 for i, score in enumerate(_by_value(ordered, training.metric))}
    evidence = tuple(_evidence(i, ranks, ordered, training.metric, at, warned) for i in range(len(ordered)))
    proposals = tuple(_proposal(s.rule) for s in ordered if s.rule and _may_stay(s, training.settings))
    return StepResult(evidence, proposals)


def _checked(truth: Labels, columns: Columns, signature: Signature) -> Floats:
    """Labels as floats (class index, or number), all there."""
    target = np.asarray(truth, dtype=np.float64)
    n = n_rows(columns) if columns else len(target)
    if target.shape != (n,):
        raise DataError(f"found labels of shape {target.shape} for {n} rows, expected one a row")
    missing = ~np.isfinite(target)
    if missing.all():
        raise DataError(f"none of the {n} rows has a label, expected labelled rows: is the target filled?")
    if missing.any():
        raise DataError(
            f"row {int(np.argmax(missing))} has the label {target[missing][0]}; leave such rows out"
        )
    if signature.classifies and (target.min() < 0 or target.max() >= len(signature.classes)):
        raise DataError(f"a label is no index of the classes {signature.classes}")
    return target


def _proposal(rule: NaiveRule) -> Proposal:
    facts: dict[str, Json] = {"season": rule.season} if rule.season else {}
    return Proposal(rule.spec, "rule", rule.description, f"rule:{rule.spec['rule']}", facts=facts)


# --- order ------------------------------------------------------------------------------------------------


def _may_stay(score: Score, settings: Baseline) -> bool:
    """May it become the baseline? A small model only where the project says so."""
    return score.rule is not None and (score.rule.role != "simple" or settings.simple == "incumbent")


def _by_value(found: list[Score], metric: Metric) -> list[Score]:
    return sorted(found, key=lambda score: score.found.value if metric.lower_is_better else -score.found.value)


def _ordered(found: list[Score], metric: Metric, settings: Baseline) -> list[Score]:
    """Rules by their value, then what is only listed."""
    by_value = _by_value(found, metric)
    return sorted(by_value, key=lambda score: not _may_stay(score, settings))


# --- what is said -----------------------------------------------------------------------------------------


def _warnings(training: _Training, held: HeldOut, truth: Floats, ordered: list[Score]) -> list[dict[str, Json]]:
    signature, metric = training.signature, training.metric
    found = traps.direction(metric, truth, signature, ordered)
    found += traps.leaks(training.columns, training.target, held.columns, truth, signature, metric)
    found += traps.twice(training.columns, training.target, held.columns, truth)
    found += traps.one_value(training.target, truth, signature)
    found += traps.last_value(ordered) + traps.simple_is_better(ordered, metric, held.blocks)
    return found


def _evidence(
    place: int, ranks: dict[int, int], ordered: list[Score], metric: Metric, at: Micros, warned: list[dict[str, Json]]
) -> Evidence:
    score = ordered[place]
    found, rule = score.found, score.rule
    beside = "existing" if score.existing else "reference"
    numbers: dict[str, Json] = {
        "rank": ranks[id(score)], "rule": rule.spec["rule"] if rule else beside,
        "role": rule.role if rule else beside, "metric": metric.name, "value": found.value,
        "lower": found.lower, "upper": found.upper, "perfect": metric.perfect, "n_rows": found.n_rows,
        "n_blocks": found.n_blocks, "scaled": score.scaled, "season": rule.season if rule else 0,
        "origins": list(score.origins), "warnings": warned if place == 0 else [],
    } | dict(score.facts)  # fmt: skip
    if found.losses is not None:
        numbers["mean_loss"] = float(np.mean(found.losses))
    sentence = f"{_line(score, metric)} on {found.n_rows:,} held-out rows; perfect is {metric.perfect:g}."
    if place == 0:
        others = "; ".join(_line(other, metric) for other in ordered[1:3])
        n_rules = sum(1 for other in ordered if other.rule and other.rule.role != "simple")
        sentence = f"Best of {n_rules} naive rules: {sentence}" + (f" Then {others}." if others else "")
        sentence += "".join(f" Warning: {warning['sentence']}." for warning in warned)
    return Evidence("baseline", score.name, _verdict(place, score), sentence, at, None, numbers)


def _verdict(place: int, score: Score) -> str:
    """best, beaten, listed (a small model), existing (a system in place that answers new rows) or reference (one that
    does not)."""
    if place == 0:
        return "best"
    if score.rule is None:
        return "existing" if score.existing else "reference"
    return "listed" if score.rule.role == "simple" else "beaten"


def _line(score: Score, metric: Metric) -> str:
    found = score.found
    interval = "" if found.lower is None else f" (95 %: {found.lower:.4g} to {found.upper:.4g})"
    scaled = "" if score.scaled is None or score.name == LAST_VALUE else f", {score.scaled:.2f} × the last value's"
    return f"{score.name}: {metric.name} {found.value:.4g}{interval}{scaled}"
