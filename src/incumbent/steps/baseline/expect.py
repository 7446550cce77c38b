"""What may be expected, before there is a model: floor, ceiling, the curve of a quick model, and the goal between them.

In: training and held-out rows, the best naive rule, measured people where there are any, the team's goal. Out: one
Evidence (reachable, reached, out_of_reach, no_goal or not_enough_data) with all that the picture shows, as values of
the metric. It promises nothing: rows of another kind, or a better feature, change the curve.

    noise   the least loss that rows without a difference but the label allow
    quick   small trees on growing shares of the rows
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from incumbent.errors import DataError
from incumbent.records import Evidence, Json, Micros, Signature
from incumbent.runtimes.base import Columns, Floats
from incumbent.stats.learning import PRACTICAL, Curve, Estimate, curve, resampled
from incumbent.stats.metrics import Metric
from incumbent.steps.baseline.noise import Noise, noise
from incumbent.steps.baseline.quick import Fits, fits

MOST_ROWS, MOST_HELD, MOST_HELD_WHOLE = 100_000, 20_000, 5_000
"""What is fitted on, and asked, at most; the last where the metric is no mean of row losses."""
DRAWS, DRAWS_WHOLE = 400, 60
MORE = (2, 10)
"""How many times the rows of today the curve is drawn on to."""
SUBJECT = "what may be expected"

Labels = npt.NDArray[np.generic]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Sample:
    """Labelled rows as the step takes them. `blocks` (n,) of the held-out rows, or None: each by itself. `n_rows` is
    how many training rows there are, of which these are some."""

    columns: Columns
    truth: Labels
    held: Columns
    held_truth: Labels
    blocks: Ints | None
    n_rows: int


@dataclass(frozen=True, slots=True)
class Reference:
    """A value of the metric with its 95 % interval (None: not known): the floor, or people."""

    name: str
    value: float
    lower: float | None = None
    upper: float | None = None


def expect(
    sample: Sample,
    signature: Signature,
    metric: Metric,
    floor: Reference,
    goal: float | None = None,
    people: Sequence[Reference] = (),
    *,
    at: Micros = 0,
    progress: Callable[[float], None] = lambda share: None,
) -> Evidence:
    """The expectation as evidence of step "expect". About four fits of small trees on all rows of the sample."""
    irreducible = noise(sample.columns, sample.truth, signature, metric)
    quick = fits(sample.columns, sample.truth, sample.held, signature, metric, progress=progress)
    found = learned(quick, sample, metric)
    verdict, sentences, needed = _judged(found, irreducible, metric, floor, goal, people, sample.n_rows)
    numbers: dict[str, Json] = {
        "metric": metric.name, "lower_is_better": metric.lower_is_better, "perfect": metric.perfect,
        "floor": _reference(floor), "people": [_reference(one) for one in people],
        "noise": _noise(irreducible, metric), "goal": goal, "rows_needed": needed,
        "curve": _curve(found, metric, sample.n_rows), "n_rows": sample.n_rows, "n_fitted": len(sample.truth),
        "n_held_out": len(sample.held_truth), "warnings": sentences[1:],
    }  # fmt: skip
    return Evidence("expect", SUBJECT, verdict, " ".join(sentences), at, None, numbers)


def learned(quick: Fits, sample: Sample, metric: Metric) -> Curve:
    """The learning curve of the fits, in mean row losses (or the distance to perfect, where the metric is no mean)."""
    if not len(quick.sizes):
        return curve(quick.sizes, np.zeros(0), np.zeros((0, 0)), len(sample.held_truth))
    blocks = np.arange(len(sample.held_truth)) if sample.blocks is None else sample.blocks
    distinct, index = np.unique(blocks, return_inverse=True)
    rows = np.bincount(index).astype(np.float64)
    if metric.row_loss is None or not metric.is_mean:
        means, boot = _whole(quick, sample.held_truth, index, metric)
        return curve(quick.sizes, means, boot, len(distinct))
    sums = []
    for outputs in quick.outputs:
        losses = [metric.row_loss(output, sample.held_truth) for output in outputs]
        sums.append(np.array([np.bincount(index, loss, minlength=len(rows)) for loss in losses]))
    means = np.array([of_size.mean(axis=0).sum() / rows.sum() for of_size in sums])
    return curve(quick.sizes, means, resampled(sums, rows, DRAWS), len(distinct))


def _whole(quick: Fits, truth: Labels, index: Ints, metric: Metric) -> tuple[Floats, Floats]:
    """Distances to a perfect value, and the same for resampled blocks: every size of a draw sees the same ones."""

    def distance(outputs: list[Floats], rows: Ints) -> float:
        return float(np.mean([abs(metric.perfect - metric.value(output[rows], truth[rows])) for output in outputs]))

    random = np.random.default_rng(0)
    of_block = np.split(np.argsort(index, kind="stable"), np.cumsum(np.bincount(index))[:-1])
    everything = np.arange(len(truth))
    means = np.array([distance(outputs, everything) for outputs in quick.outputs])
    boot = []
    for _ in range(DRAWS_WHOLE):
        rows = np.concatenate([of_block[i] for i in random.integers(0, len(of_block), len(of_block))])
        try:
            boot.append([distance(outputs, rows) for outputs in quick.outputs])
        except DataError:  # a draw on which the metric has no value (one class only) says nothing
            continue
    if len(boot) < DRAWS_WHOLE // 2:
        raise DataError(f"{metric.name} has no value on most samples of {len(truth)} held-out rows: hold out more")
    return means, np.array(boot)


# --- what it says -----------------------------------------------------------------------------------------


def loss_of(value: float, metric: Metric) -> float:
    """The mean row loss behind a value of the metric, or its distance to perfect: the inverse of `value_of`."""
    if not metric.is_mean or not metric.lower_is_better:
        return abs(metric.perfect - value)
    return value * value if metric.name == "rmse" else value


def value_of(loss: float, metric: Metric) -> float:
    """The metric's value of a mean row loss, kept inside what it can take."""
    kept = min(max(loss, 0.0), metric.high)
    if metric.of_mean_loss is not None:
        return metric.of_mean_loss(kept)
    return metric.perfect - kept if not metric.lower_is_better else kept


def _judged(
    found: Curve,
    irreducible: Noise,
    metric: Metric,
    floor: Reference,
    goal: float | None,
    people: Sequence[Reference],
    n_rows: int,
) -> tuple[str, list[str], Json]:
    """Verdict, sentences (the first says it, the others warn), and the rows that the goal takes."""
    name = metric.name
    last = found.points[-1] if found.points else None
    quick = f" a quick model on {last.n_rows:,} rows has {name} {value_of(last.loss, metric):.4g};" if last else ""
    head = f"Floor ({floor.name}): {name} {floor.value:.4g};{quick} {_ceiling(irreducible, metric)}."
    told = [head]
    if found.verdict == "flat":
        told.append(f"More rows of this kind do not help the quick model: {found.why}.")
    elif found.verdict == "not_enough_data":
        told.append(f"Not enough data to draw the curve on: {found.why}.")
    if goal is None:
        return "no_goal", [*told, "No goal is set: answer plan.goal, or say --goal."], None
    wanted = loss_of(goal, metric)
    told += _warned(wanted, goal, metric, floor, people)
    if irreducible.lower is not None and wanted < irreducible.lower:
        least = value_of(irreducible.lower, metric)
        told.append(
            f"The goal {goal:g} is out of reach of any model on these features: rows that share all of them and "
            f"differ in the truth leave {name} {least:.4g} or worse. It takes other features."
        )
        return "out_of_reach", told, None
    if last is not None and last.loss <= wanted:
        told.append(f"The quick model reaches the goal {goal:g} already, with {last.n_rows:,} rows.")
        return "reached", told, {"rows": last.n_rows, "lower": None, "upper": None}
    if found.verdict != "falls":
        lacks = "not_enough_data" if found.verdict == "not_enough_data" else "out_of_reach"
        if lacks == "out_of_reach":
            told.append(
                f"The goal {goal:g} is out of reach of the quick model, however many rows: it takes another model, or "
                "other features."
            )
        return lacks, told, None
    return _with_rows(found, wanted, goal, metric, told, n_rows)


def _with_rows(
    found: Curve, wanted: float, goal: float, metric: Metric, told: list[str], n_rows: int
) -> tuple[str, list[str], Json]:
    """Beyond the asymptote, or so many rows."""
    rows = found.rows_for(wanted)
    assert rows is not None and found.law is not None
    measured = 1.0 * found.points[-1].n_rows  # the largest size, which does not reach it: more are needed
    guess, lower, upper = (max(of, measured) for of in rows)
    end = f"{metric.name} {value_of(found.law[0], metric):.4g}"
    if not guess <= PRACTICAL * n_rows:
        at_best = "" if lower > PRACTICAL * n_rows else f" (at best, {_count(lower)} would do)"
        how = f"its curve ends at {end}" if math.isinf(guess) else f"by its curve it takes about {_count(guess)} rows"
        told.append(
            f"The goal {goal:g} is out of reach of this kind of model: {how}{at_best}. More rows alone do not do it: "
            "it takes another model, or other features."
        )
        return "out_of_reach", told, {"rows": None, "lower": _finite(lower), "upper": None}
    most = "no number of rows is sure to do" if math.isinf(upper) else f"at most {_count(upper)}"
    told.append(
        f"The goal {goal:g} takes about {_count(guess)} rows like these, {guess / n_rows:.2g} times what there is "
        f"(95 %: at least {_count(lower)}, {most})."
    )
    return "reachable", told, {"rows": _finite(guess), "lower": _finite(lower), "upper": _finite(upper)}


def _warned(wanted: float, goal: float, metric: Metric, floor: Reference, people: Sequence[Reference]) -> list[str]:
    told = []
    if wanted >= loss_of(floor.value, metric):
        told.append(f"The goal {goal:g} is no better than the floor: {floor.name} reaches it without a model.")
    told += [
        f"The goal {goal:g} is better than people: {one.name} reach {one.value:.4g}."
        for one in people
        if wanted < loss_of(one.value, metric)
    ]
    return told


def _ceiling(irreducible: Noise, metric: Metric) -> str:
    if irreducible.loss is None:
        return f"no ceiling is known ({irreducible.why}), perfect is {metric.perfect:g}"
    value = f"{metric.name} {value_of(irreducible.loss, metric):.4g}"
    side = "is" if irreducible.exact else "is at best"
    return f"the ceiling {side} {value}, by the {irreducible.n_rows:,} rows ({irreducible.share:.1%}) that have a twin"


def _count(rows: float) -> str:
    """A number of rows with the two digits that can be meant.

    >>> _count(123456.0), _count(740.2)
    ('120,000', '740')
    """
    if math.isinf(rows):
        return "more than any number of"
    digits = max(0, math.floor(math.log10(max(rows, 1.0))) - 1)
    return f"{round(rows / 10**digits) * 10**digits:,}"


# --- as JSON ----------------------------------------------------------------------------------------------


def _reference(one: Reference) -> dict[str, Json]:
    return {"name": one.name, "value": one.value, "lower": one.lower, "upper": one.upper}


def _noise(irreducible: Noise, metric: Metric) -> dict[str, Json]:
    ends = (irreducible.loss, irreducible.lower, irreducible.upper)
    value, one, other = (None if end is None else value_of(end, metric) for end in ends)
    low, high = (None, None) if one is None or other is None else (min(one, other), max(one, other))
    return {"value": value, "lower": low, "upper": high, "exact": irreducible.exact, "n_rows": irreducible.n_rows,
            "n_groups": irreducible.n_groups, "share": irreducible.share, "why": irreducible.why}  # fmt: skip


def _curve(found: Curve, metric: Metric, n_rows: int) -> dict[str, Json]:
    """The points, the law's line for the picture, and what it says of more rows."""
    told: dict[str, Json] = {
        "verdict": found.verdict, "why": found.why,
        "points": [{**_estimate(one, metric), "along": _ends(along, metric)}
                   for one, along in zip(found.points, found.beside or found.points, strict=True)],
        "law": None, "asymptote": None, "more": [], "line": [],
    }  # fmt: skip
    if found.law is None or found.draws is None or found.asymptote is None:
        return told
    a, b, c = found.law
    told |= {"law": {"a": a, "b": b, "c": c}, "asymptote": _estimate(found.asymptote, metric)}
    told["more"] = [
        {"times": k, **_estimate(one, metric), "along": _ends(along, metric)}
        for k in MORE
        if (one := found.at(k * n_rows)) is not None and (along := found.along(k * n_rows)) is not None
    ]
    first, end = found.points[0].n_rows, MORE[-1] * n_rows
    told["line"] = [
        _estimate(one, metric) for n in np.geomspace(first, end, 60) if (one := found.along(round(n))) is not None
    ]
    return told


def _estimate(one: Estimate, metric: Metric) -> dict[str, Json]:
    lower, upper = _ends(one, metric)
    return {"n_rows": one.n_rows, "value": value_of(one.loss, metric), "lower": lower, "upper": upper}


def _ends(one: Estimate, metric: Metric) -> list[float | None]:
    ends = sorted(value_of(end, metric) for end in (one.lower, one.upper) if math.isfinite(end))
    return [*ends] if len(ends) == 2 else [None, None]


def _finite(rows: float) -> int | None:
    return round(rows) if math.isfinite(rows) else None
