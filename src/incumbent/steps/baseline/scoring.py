"""What does each rule score on the held-out rows, and how sure is that?

In: fitted rules, references and the held-out rows. Out: a `Score` each. A forecast is judged with a rolling origin
(Tashman, International Journal of Forecasting 16 (2000)): at each origin the rules are fitted again on all that was
known by then, and the losses of all origins are one column. Orders nothing.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from incumbent.errors import BadOutput, DataError
from incumbent.records import Json, Signature
from incumbent.runtimes.base import Columns, Floats, checked, n_rows
from incumbent.runtimes.rule import Rule
from incumbent.stats.interval import Measured, measured
from incumbent.stats.metrics import Metric
from incumbent.steps.baseline.held import HeldOut, Ints, Reference, taken
from incumbent.steps.baseline.rules import NaiveRule

Refit = Callable[[Ints], list[NaiveRule]]
"""Places of held-out rows that are known by now; the same rules, fitted on the training rows and these."""

LAST_VALUE = "last value"


@dataclass(frozen=True, slots=True)
class Score:
    """The held-out value of the metric for one rule (or reference: `rule` is None), with its 95 % interval.

    `scaled` is the loss as a share of the last value's, the mean over the series: 0.7 is 30 % less. `origins` are the
    values from each origin, the earliest first. `existing`: a reference that answers new rows.
    """

    name: str
    rule: NaiveRule | None
    found: Measured
    scaled: float | None = None
    origins: tuple[float | None, ...] = ()
    facts: Mapping[str, Json] = field(default_factory=dict)
    existing: bool = False

    @property
    def may_answer(self) -> bool:
        """Is it a version that can be served?"""
        return self.rule is not None


def scores(
    fitted: list[NaiveRule],
    held: HeldOut,
    truth: Floats,
    signature: Signature,
    metric: Metric,
    refit: Refit,
    references: tuple[Reference, ...] = (),
) -> list[Score]:
    """One for each rule and reference, in that order. `truth` (n,) is that of `held`, checked.

    A rule for which the metric has no value (f1 without a positive) is left out. Raises DataError for a reference
    or a declared column whose output does not suit.
    """
    target = truth.astype(np.int64) if signature.classifies else truth
    found = []
    for rule, output in zip(fitted, _outputs(fitted, held, signature, refit), strict=True):
        try:
            value = measured(metric, output, target, held.blocks)
        except (DataError, ValueError) as error:  # no value of this metric for this rule: left out, unless asked for
            if rule.role == "declared":
                raise DataError(f"{rule.description} (baseline.columns): {error}") from error
            continue
        each = tuple(_value(metric, output, target, origin.rows) for origin in held.origins)
        found.append(Score(rule.description, rule, value, origins=each))
    found += [_referred(reference, held, target, signature, metric) for reference in references]
    last = next((score for score in found if score.name == LAST_VALUE), None)
    return found if last is None else [replace(s, scaled=_scaled(s, last, metric, held.series)) for s in found]


def _outputs(fitted: list[NaiveRule], held: HeldOut, signature: Signature, refit: Refit) -> list[Floats]:
    """What each rule says of the held-out rows, each time from the latest origin."""
    rows = len(held.truth)
    if len(held.origins) < 2:
        return [_answers(rule, held.columns, signature, rows) for rule in fitted]
    shape = (rows, len(signature.classes)) if signature.classifies else (rows,)
    outputs = [np.full(shape, np.nan) for _ in fitted]
    for number, origin in enumerate(held.origins):
        rules = {rule.description: rule for rule in (refit(origin.known) if number else fitted)}
        columns = taken(held.columns, origin.rows)
        for rule, output in zip(fitted, outputs, strict=True):
            now = rules.get(rule.description, rule)
            output[origin.rows] = _answers(now, columns, signature, len(origin.rows))
    return outputs


def _answers(rule: NaiveRule, columns: Columns, signature: Signature, rows: int) -> Floats:
    answering = Rule(rule.spec, signature)
    return answering.predict(columns) if n_rows(columns) else answering.answer(rows)


def _value(metric: Metric, output: Floats, truth: npt.NDArray[np.generic], rows: Ints) -> float | None:
    try:
        return metric.value(output[rows], truth[rows])
    except DataError:
        return None


def _referred(
    reference: Reference, held: HeldOut, truth: npt.NDArray[np.generic], signature: Signature, metric: Metric
) -> Score:
    places = np.arange(len(truth)) if reference.rows is None else reference.rows
    try:
        output = checked(reference.output, signature, len(places))
    except (BadOutput, TypeError, ValueError) as error:
        raise DataError(f"{reference.name}: {error}") from error
    blocks = None if held.blocks is None else held.blocks[places]
    found = measured(metric, output, truth[places], blocks)
    return Score(reference.name, None, found, facts=reference.facts, existing=reference.answers)


def _scaled(score: Score, last: Score, metric: Metric, series: Ints | None) -> float | None:
    """The loss as a share of the last value's on the same rows (Hyndman & Koehler 2006 scale the absolute error
    alike); with several series the mean of their shares, so that a large one does not speak for all.
    """
    own, base = score.found.losses, last.found.losses
    if own is None or base is None or len(own) != len(base):
        return None
    each = np.zeros(len(own), dtype=np.int64) if series is None else series
    means = [np.bincount(each, losses) / np.maximum(np.bincount(each), 1) for losses in (own, base)]
    asked = means[1] > 0.0
    if not asked.any():
        return None
    of = metric.of_mean_loss or float
    return float(np.mean([of(mine) / of(its) for mine, its in zip(*(m[asked] for m in means), strict=True)]))
