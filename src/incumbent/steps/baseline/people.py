"""Step 1. What do people reach on this task?

In: each item's answers by people, its gold where there is one. Out: what people measure (value, agreement, ceiling,
time), in numbers and in sentences. Whether a model is as good is `replacing`'s. Draws no row, reads no store.

People give labels, no probabilities: classes are compared by accuracy whatever the task's metric is, numbers by it.
Where the gold comes from the same people, each answer is held against what the others said: nobody judges themselves.
Rows of one unit (a customer, a day) may belong together: `blocks` says which, and every interval then counts units.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import NamedTuple

import numpy as np

from incumbent.errors import DataError, NotEnoughData
from incumbent.records import Evidence, Json, Micros
from incumbent.runtimes.base import Floats
from incumbent.stats import metrics
from incumbent.stats.agreement import Agreement, Level, krippendorff, read_accuracy, reviewer_error, reviewer_noise
from incumbent.stats.compare import paired
from incumbent.stats.metrics import Metric
from incumbent.stats.share import clustered, wilson
from incumbent.steps.baseline.held import Ints

ALPHA = 0.05
GOOD = 0.95
"""The true accuracy by which the effect of label errors is shown."""


class Answer(NamedTuple):
    """What one person said of an item: a class index or a number, and how long it took."""

    reviewer: str
    value: float
    copy: int = 1
    seconds: float = 0.0


class Settled(NamedTuple):
    """What was decided for an item whose answers differ, and by whom."""

    value: float
    reviewer: str


class Comparison(NamedTuple):
    """One answer held against one truth. Comparisons of an item are weighed together as one row."""

    item: int
    reviewer: str
    said: float
    truth: float


@dataclass(frozen=True, slots=True)
class Interval:
    """A value with its two-sided 95 % interval (None: too few rows)."""

    value: float
    lower: float | None
    upper: float | None
    n: int

    def to_dict(self) -> dict[str, Json]:
        return {"value": self.value, "lower": self.lower, "upper": self.upper, "n": self.n}


@dataclass(frozen=True, slots=True)
class Measured:
    """What people reach. `gold` says against what: labels, or people (each other).

    `ceiling` is what a perfect model would read against labels of these people: for classes 1 - error of a person, for
    squared errors the square of their noise; `reads` is what a true .95 model would read. `task` is the task's own
    metric of people where their labels suffice for it. `seconds` are the median and the sum a 1,000 rows. `blocks` is
    the unit of each row that was compared, None where each stands for itself.
    """

    metric: str
    gold: str
    people: Interval
    by_reviewer: Mapping[str, Interval]
    comparisons: tuple[Comparison, ...]
    agreement: Agreement | None
    between: str
    error: float | None
    ceiling: float | None
    reads: float | None
    seconds: float | None
    hours_per_1000: float | None
    n_answers: int
    unsettled: int
    task: Mapping[str, float]
    blocks: Ints | None = None


def judged_by(metric: Metric) -> Metric:
    """The metric that people and model are compared by: accuracy for classes, the task's own for numbers (squared error
    where that is no mean over rows).

    >>> judged_by(metrics.get("log_loss", "binary")).name, judged_by(metrics.get("rmse", "regression")).name
    ('accuracy', 'rmse')
    >>> judged_by(metrics.get("r2", "regression")).name
    'squared_error'
    """
    if metric.kind in ("binary", "multiclass"):
        return metrics.get("accuracy", metric.kind)
    return metric if metric.is_mean else metrics.get("squared_error", metric.kind)


def compare(
    answers: Sequence[Sequence[Answer]], gold: Sequence[float | None], settled: Mapping[int, Settled], classes: bool
) -> tuple[str, list[Comparison]]:
    """Whose word is the truth ("labels" or "people"), and every answer held against it.

    With labels: the first answer to each labelled item, because the model answers once too. Without: each answer to an
    item that others answered, against the decision of a third person, else what the others say.
    """
    first = [min(said, key=lambda one: one.copy, default=None) for said in answers]
    if any(label is not None for label in gold):
        found = [
            Comparison(item, one.reviewer, one.value, label)
            for item, (one, label) in enumerate(zip(first, gold, strict=True))
            if one is not None and label is not None
        ]
        return "labels", found
    held = []
    for item, said in enumerate(answers):
        for one in said:
            truth = _truth_without(one.reviewer, said, settled.get(item), classes)
            if truth is not None:
                held.append(Comparison(item, one.reviewer, one.value, truth))
    return "people", held


def _truth_without(reviewer: str, said: Sequence[Answer], settled: Settled | None, classes: bool) -> float | None:
    """What the others say of an item: their decision, their most frequent class, or the mean of their numbers."""
    if settled is not None and settled.reviewer != reviewer:
        return settled.value
    others = [one.value for one in said if one.reviewer != reviewer]
    if not others:
        return None
    if not classes:
        return math.fsum(others) / len(others)
    ((value, most), *rest) = Counter(others).most_common(2)
    return None if rest and rest[0][1] == most else value


def measure(
    answers: Sequence[Sequence[Answer]],
    gold: Sequence[float | None],
    settled: Mapping[int, Settled],
    metric: Metric,
    n_classes: int,
    *,
    unsettled: int = 0,
    seed: int = 0,
    blocks: Sequence[int] | None = None,
) -> Measured:
    """What people reach; `metric` is the task's. `n_classes` is 0 for numbers. `blocks` has the unit of each item: rows
    of one may depend on each other, units may not.

    Raises NotEnoughData where no answer can be held against anything: no labels, and no item that two people answered.
    """
    by = judged_by(metric)
    source, held = compare(answers, gold, settled, bool(n_classes))
    if not held:
        raise NotEnoughData(
            f"found {sum(map(len, answers)):,} answers and nothing to hold them against, expected labels (load gives "
            "none for these rows) or items that two people answered: let a second person label"
        )
    agreement, between = _agreement(answers, n_classes, seed, blocks)
    error = None if agreement is None or not n_classes else reviewer_error(agreement.agreement, n_classes)
    if source == "labels" and n_classes:
        error = float(np.mean([one.said != one.truth for one in held]))
    times = [one.seconds for said in answers for one in said if one.seconds > 0]
    names = sorted({one.reviewer for one in held})
    return Measured(
        by.name,
        source,
        _reached(held, by, n_classes, blocks),
        {name: _reached(_of(held, name), by, n_classes, blocks) for name in names},
        tuple(held),
        agreement,
        between,
        error,
        _ceiling(by, error, answers, n_classes),
        None if error is None or not n_classes else read_accuracy(GOOD, error, n_classes),
        median(times) if times else None,
        1000.0 * math.fsum(times) / len(times) / 3600.0 if times else None,
        sum(map(len, answers)),
        unsettled,
        _own_metric(metric, by, source, held, n_classes),
        blocks_of(held, blocks),
    )


def _reached(held: Sequence[Comparison], by: Metric, n_classes: int, blocks: Sequence[int] | None) -> Interval:
    return interval(people_losses(held, by, n_classes), by, blocks_of(held, blocks))


def blocks_of(held: Sequence[Comparison], blocks: Sequence[int] | None) -> Ints | None:
    """The unit of each row of `people_losses`; None where no two rows share one."""
    if blocks is None:
        return None
    found = np.array([blocks[item] for item in sorted({one.item for one in held})], dtype=np.int64)
    return None if len(np.unique(found)) == len(found) else found


def _of(held: Sequence[Comparison], reviewer: str) -> list[Comparison]:
    return [one for one in held if one.reviewer == reviewer]


def _agreement(
    answers: Sequence[Sequence[Answer]], n_classes: int, seed: int, blocks: Sequence[int] | None
) -> tuple[Agreement | None, str]:
    """Between people where two answered the same items; of one person with themselves where nobody else did."""
    between = [list({one.reviewer: one.value for one in said}.values()) for said in answers]
    within = [[one.value for one in said] for said in answers]
    for what, items in (("people", between), ("one person", within)):
        try:
            level: Level = "nominal" if n_classes else "interval"
            return krippendorff(items, metric=level, seed=seed, blocks=blocks), what
        except DataError:  # no such doubles, or one label only: alpha is undefined
            continue
    return None, ""


def _ceiling(by: Metric, error: float | None, answers: Sequence[Sequence[Answer]], n_classes: int) -> float | None:
    if n_classes:
        return None if error is None else 1.0 - error
    doubles = [[one.value for one in said] for said in answers if len(said) > 1]
    if by.name not in ("squared_error", "rmse") or not doubles:
        return None
    noise = reviewer_noise(doubles)
    return noise if by.name == "rmse" else noise**2


def _own_metric(
    metric: Metric, by: Metric, source: str, held: Sequence[Comparison], n_classes: int
) -> dict[str, float]:
    """The task's metric of people, where labels are known and it is another one; left out where it has no value."""
    if metric.name == by.name or source != "labels" or not n_classes:
        return {}
    said = np.eye(n_classes)[[int(one.said) for one in held]]
    try:
        return {metric.name: metric.value(said, np.array([one.truth for one in held]))}
    except DataError:
        return {}


# --- losses, one a row


def people_losses(held: Sequence[Comparison], by: Metric, n_classes: int) -> Floats:
    """(n items with a comparison,): the mean loss of the answers to each item, in the order of the items."""
    said = np.array([one.said for one in held])
    return _by_item(held, _losses(by, np.eye(n_classes)[said.astype(int)] if n_classes else said, held))


def model_losses(held: Sequence[Comparison], output: Floats, by: Metric) -> Floats:
    """The same of a model, held against the same truths. `output` has a row for each item of the study."""
    return _by_item(held, _losses(by, output[[one.item for one in held]], held))


def _losses(by: Metric, output: Floats, held: Sequence[Comparison]) -> Floats:
    if by.row_loss is None:
        raise DataError(f"{by.name} is no mean of row losses: people and model cannot be compared by it")
    return by.row_loss(output, np.array([one.truth for one in held]))


def _by_item(held: Sequence[Comparison], losses: Floats) -> Floats:
    of: dict[int, list[float]] = defaultdict(list)
    for one, loss in zip(held, losses.tolist(), strict=True):
        of[one.item].append(loss)
    return np.array([math.fsum(of[item]) / len(of[item]) for item in sorted(of)])


def interval(losses: Floats, by: Metric, blocks: Ints | None = None) -> Interval:
    """The metric of some rows with its 95 % interval: Wilson's for shares, else Student's t of the mean loss; by the
    means of `blocks` where rows belong together."""
    of_mean = by.of_mean_loss or float
    n = len(losses)
    found = paired(losses, np.zeros(n), blocks=blocks, alpha=ALPHA / 2)
    known = math.isfinite(found.standard_error)
    if by.high == 1.0 and bool(np.isin(losses, (0.0, 1.0)).all()) and (known or blocks is None):
        wrong = int(losses.sum())
        share = wilson(wrong, n) if blocks is None else clustered(wrong / n, n, found.n_blocks, found.standard_error)
        ends = sorted((of_mean(share.lower), of_mean(share.upper)))
        return Interval(of_mean(share.share), ends[0], ends[1], n)
    if not known:
        return Interval(of_mean(found.gain), None, None, n)
    ends = sorted(of_mean(min(max(bound, by.low), by.high)) for bound in (found.lower, found.upper))
    return Interval(of_mean(found.gain), ends[0], ends[1], n)


def published(accuracy: float, n: int) -> Interval:
    """A published accuracy with Wilson's interval from its number of rows."""
    share = wilson(round(accuracy * n), n)
    return Interval(accuracy, share.lower, share.upper, n)


# --- what is said


def reached(
    subject: str, description: str, at: Micros, metric: Metric, value: Interval, measured: Measured | None = None
) -> Evidence:
    """What people reach, as evidence of step 1 that `expect` and others set beside the rules. `value` counts only where
    it is one of the task's own metric."""
    own = judged_by(metric).name == metric.name
    known: dict[str, Json] = value.to_dict() if own else dict.fromkeys(("value", "lower", "upper"))
    numbers: dict[str, Json] = {
        "rule": "people", "metric": metric.name, **known, "n_rows": value.n, "reached": value.to_dict(),
        "reached_by": judged_by(metric).name,
    }  # fmt: skip
    if measured is not None:
        numbers |= {"gold": measured.gold, **numbers_of(measured)}
    return Evidence("baseline", subject, "reference", f"{subject}: {description}.", at, None, numbers)


def numbers_of(measured: Measured) -> dict[str, Json]:
    """What people measure as the JSON of evidence and `--json`."""
    agreed = measured.agreement
    return {
        "n_units": None if measured.blocks is None else len(np.unique(measured.blocks)),
        "n_answers": measured.n_answers, "unsettled": measured.unsettled, "task_metric": dict(measured.task),
        "by_reviewer": {name: one.to_dict() for name, one in measured.by_reviewer.items()},
        "agreement": None if agreed is None else {
            "between": measured.between, "n_items": agreed.n_items, "alpha": agreed.alpha, "lower": agreed.lower,
            "upper": agreed.upper, "agreement": agreed.agreement, "by_chance": agreed.by_chance,
            "prevalence": agreed.prevalence, "metric": agreed.metric,
        },
        "error": measured.error, "ceiling": measured.ceiling, "a_true_95_reads": measured.reads,
        "seconds_median": measured.seconds, "hours_per_1000": measured.hours_per_1000,
    }  # fmt: skip


def lines(measured: Measured, cost_per_hour: float = 0.0) -> list[str]:
    """What people measure, in sentences."""
    against = "the labels of these rows" if measured.gold == "labels" else "what other people said of the same rows"
    told = [f"People: {measured.metric} {said(measured.people)} on {measured.people.n:,} rows, against {against}."]
    if measured.blocks is not None:
        units = len(np.unique(measured.blocks))
        told.append(f"These rows are of {units:,} units; rows of one belong together, so the intervals count units.")
    told += [f"They reach {name} {value:.4g} by the task's own metric, with labels as certainties."
             for name, value in measured.task.items()]  # fmt: skip
    if len(measured.by_reviewer) > 1:
        each = "; ".join(f"{name} {said(one)} on {one.n:,}" for name, one in measured.by_reviewer.items())
        told.append(f"By person: {each}.")
    told += _agreed(measured)
    if measured.ceiling is not None and measured.error is not None:
        told.append(
            f"A person errs on {measured.error:.1%} of the rows: held against such labels a perfect model reads "
            f"{measured.ceiling:.3f}, and one that is right on {GOOD:.0%} reads {measured.reads:.3f}."
        )
    elif measured.ceiling is not None:
        told.append(
            f"Two people differ, so against one person's numbers a perfect model still reads {measured.metric} "
            f"{measured.ceiling:.4g}."
        )
    if measured.unsettled and measured.gold == "people":
        wait = "1 row with two different answers waits" if measured.unsettled == 1 else (
            f"{measured.unsettled:,} rows with two different answers wait"
        )
        told.append(f"{wait} for a third person (/label/settle).")
    if measured.hours_per_1000 is not None:
        cost = f", {measured.hours_per_1000 * cost_per_hour:,.0f} in money" if cost_per_hour else ""
        told.append(
            f"A row takes {measured.seconds:.1f} s (median); 1,000 rows take {measured.hours_per_1000:.1f} hours{cost}."
        )
    return told


def _agreed(measured: Measured) -> list[str]:
    agreed = measured.agreement
    if agreed is None:
        return ["Agreement: not known, no row was answered twice with two different labels among them."]
    who = "Two people" if measured.between == "people" else "One person, asked twice,"
    verb = "agree" if measured.between == "people" else "agrees"
    share = "" if agreed.metric == "interval" else f" on {agreed.agreement:.1%} of {agreed.n_items:,} rows"
    told = [
        f"{who} {verb}{share}: Krippendorff's alpha {agreed.alpha:.2f} (95 %: {agreed.lower:.2f} to {agreed.upper:.2f})"
        f"{f' on {agreed.n_items:,} rows' if not share else ''}."
    ]
    if agreed.lopsided:
        told.append(
            f"{agreed.prevalence:.0%} of the labels are the same one, so {agreed.by_chance:.1%} would agree by chance: "
            "read alpha, not the agreement."
        )
    return told


def said(one: Interval) -> str:
    """A value and its interval in words."""
    if one.lower is None or one.upper is None:
        return f"{one.value:.4g}"
    return f"{one.value:.4g} (95 %: {one.lower:.4g} to {one.upper:.4g})"
