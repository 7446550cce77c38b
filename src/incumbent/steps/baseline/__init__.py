"""Step 1. What must be beaten: every naive rule that suits the task, the best first.

In: typed feature columns and truth (class index, or number), and later rows held out. Out: rule
specifications for `runtimes.rule`, and one Evidence each with the held-out value of the metric and its 95 %
interval. Registers nothing.

    rules   which naive rules suit the kind, fitted on the training rows
    traps   a feature that knows the target, rows on both sides of the split
    expect  floor, ceiling and goal, with `noise` (equal rows) and `quick` (a model on growing shares)
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from incumbent.config import Task
from incumbent.errors import ConfigError, DataError
from incumbent.records import Evidence, Json, Micros, Signature
from incumbent.runtimes.base import Columns, Floats, n_rows
from incumbent.runtimes.rule import Rule
from incumbent.stats.compare import PairedDifference, bootstrap_difference, paired
from incumbent.stats.metrics import Metric
from incumbent.steps import Proposal, StepResult
from incumbent.steps.baseline import traps
from incumbent.steps.baseline.rules import NaiveRule, rules

N_RESAMPLES = 200
ALPHA = 0.025
"""Each end of the interval: together 95 %."""

Labels = npt.NDArray[np.generic]
HeldOut = tuple[Columns, Labels, npt.NDArray[np.int64] | None]


@dataclass(frozen=True, slots=True)
class Score:
    """The held-out value of the metric for one rule, with its 95 % interval (None: too few blocks)."""

    rule: NaiveRule
    value: float
    lower: float | None
    upper: float | None
    n_rows: int
    n_blocks: int
    scaled: float | None = None


def fit(
    columns: Columns,
    truth: Labels,
    signature: Signature,
    metric: Metric,
    task: Task,
    held_out: HeldOut | None = None,
    *,
    only: str = "",
    at: Micros = 0,
) -> StepResult:
    """Fit the naive rules on `columns` (n rows) and `truth` (n,), and order them by their held-out value.

    `held_out` = (columns, truth, block of each row or None). Without it rules come in a fixed order and
    without evidence. `only` fits the one rule of that description (a refit on more rows). Raises DataError
    when no row is labelled, one class only occurs or a number is missing, ConfigError for a description
    nobody knows.
    """
    target = _checked(truth, columns, signature)
    if signature.classifies and len(np.unique(target)) == 1:
        only_class = signature.classes[int(target[0])]
        raise DataError(f"all {len(target)} labels are {only_class!r}, expected two classes or more")
    fitted = rules(columns, target, signature, metric, task, every=bool(only))
    if only:
        fitted = [rule for rule in fitted if rule.description == only]
        if not fitted:
            raise ConfigError(f"no naive rule for these rows is described as {only!r}")
    if held_out is None:
        return StepResult((), tuple(_proposal(rule) for rule in fitted))
    held_columns, held_truth, blocks = held_out
    held = _checked(held_truth, held_columns, signature)
    scores = _scores(fitted, held_columns, held, blocks, signature, metric)
    warned = _warnings(columns, target, held_columns, held, signature, metric, scores)
    evidence = [_evidence(rank, scores, metric, at, warned) for rank in range(len(scores))]
    return StepResult(tuple(evidence), tuple(_proposal(score.rule) for score in scores))


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


# --- scoring ----------------------------------------------------------------------------------------------


def _scores(
    fitted: list[NaiveRule],
    columns: Columns,
    held: Floats,
    blocks: npt.NDArray[np.int64] | None,
    signature: Signature,
    metric: Metric,
) -> list[Score]:
    """The best first; rules for which the metric has no value (f1 without a positive) are left out."""
    found = [_score(rule, columns, held, blocks, signature, metric) for rule in fitted]
    scores = [score for score in found if score is not None]
    if not scores:
        raise DataError(
            f"{metric.name} has no value for any naive rule on {len(held)} held-out rows: hold out more, "
            "so that every class occurs"
        )
    if signature.kind == "forecast":
        last = next(score.value for score in scores if score.rule.description == "last value")
        scores = [_scaled(score, last) for score in scores]
    return sorted(scores, key=lambda score: score.value if metric.lower_is_better else -score.value)


def _score(
    rule: NaiveRule,
    columns: Columns,
    held: Floats,
    blocks: npt.NDArray[np.int64] | None,
    signature: Signature,
    metric: Metric,
) -> Score | None:
    answering = Rule(rule.spec, signature)
    output = answering.predict(columns) if columns else answering.answer(len(held))
    truth = held.astype(np.int64) if signature.classifies else held
    try:
        value = metric.value(output, truth)
        ends = _interval(output, truth, blocks, metric)
    except (DataError, ValueError):  # no value of this metric for this rule: it is left out, see _scores
        return None
    return Score(rule, value, *ends[:2], len(held), ends[2])


def _interval(
    output: Floats, truth: Labels, blocks: npt.NDArray[np.int64] | None, metric: Metric
) -> tuple[float | None, float | None, int]:
    """The 95 % interval of the value: that of the distance to a perfect prediction."""
    if metric.row_loss is not None and metric.of_mean_loss is not None:
        losses = metric.row_loss(output, truth)
        found = paired(losses, np.zeros(len(losses)), blocks=blocks, alpha=ALPHA)
        bounds = [min(max(bound, metric.low), metric.high) for bound in (found.lower, found.upper)]
        ends = sorted(metric.of_mean_loss(bound) for bound in bounds)
        return *_finite(found, *ends), found.n_blocks
    perfect = np.eye(output.shape[1])[truth.astype(np.int64)]
    found = bootstrap_difference(
        metric, truth, output, perfect, blocks=blocks, alpha=ALPHA, n_resamples=N_RESAMPLES
    )
    ends = sorted((metric.perfect - found.lower, metric.perfect - found.upper))
    return *_finite(found, *ends), found.n_blocks


def _finite(found: PairedDifference, lower: float, upper: float) -> tuple[float | None, float | None]:
    return (lower, upper) if math.isfinite(found.standard_error) else (None, None)


def _scaled(score: Score, last: float) -> Score:
    """With the value as a share of the last value's (Hyndman & Koehler 2006 scale the absolute error
    alike).
    """
    scaled = score.value / last if last else None
    return Score(score.rule, score.value, score.lower, score.upper, score.n_rows, score.n_blocks, scaled)


# --- what is said -----------------------------------------------------------------------------------------


def _warnings(
    columns: Columns,
    target: Floats,
    held_columns: Columns,
    held: Floats,
    signature: Signature,
    metric: Metric,
    scores: list[Score],
) -> list[dict[str, Json]]:
    found = traps.leaks(columns, target, held_columns, held, signature, metric)
    found += traps.twice(columns, target, held_columns, held)
    best = scores[0]
    if signature.kind == "forecast" and best.rule.season and best.scaled is not None:
        sentence = (
            f"the last value is the wrong baseline: {best.rule.description} has {best.scaled:.2f} of its loss"
        )
        found.append({"trap": "season", "season": best.rule.season, "sentence": sentence})
    if not signature.classifies and target.min() == target.max():
        found.append({"trap": "constant", "sentence": f"every training row has the target {target[0]:g}"})
    return found


def _evidence(
    rank: int, scores: list[Score], metric: Metric, at: Micros, warned: list[dict[str, Json]]
) -> Evidence:
    score = scores[rank]
    numbers: dict[str, Json] = {
        "rank": rank + 1, "rule": score.rule.spec["rule"], "metric": metric.name, "value": score.value,
        "lower": score.lower, "upper": score.upper, "perfect": metric.perfect, "n_rows": score.n_rows,
        "n_blocks": score.n_blocks, "scaled": score.scaled, "season": score.rule.season,
        "warnings": warned if rank == 0 else [],
    }  # fmt: skip
    sentence = f"{_line(score, metric)} on {score.n_rows:,} held-out rows; perfect is {metric.perfect:g}."
    if rank == 0:
        others = "; ".join(_line(other, metric) for other in scores[1:3])
        sentence = f"Best of {len(scores)} naive rules: {sentence}" + (f" Then {others}." if others else "")
        sentence += "".join(f" Warning: {warning['sentence']}." for warning in warned)
    verdict = "best" if rank == 0 else "beaten"
    return Evidence("baseline", score.rule.description, verdict, sentence, at, None, numbers)


def _line(score: Score, metric: Metric) -> str:
    interval = "" if score.lower is None else f" (95 %: {score.lower:.4g} to {score.upper:.4g})"
    scaled = "" if score.scaled is None else f", {score.scaled:.2f} × the last value's"
    return f"{score.rule.description}: {metric.name} {score.value:.4g}{interval}{scaled}"
