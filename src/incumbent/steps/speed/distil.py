"""A large teacher's knowledge in a small student: is the student nearly as good, and fast enough?

In: labelled rows with the teacher's out-of-fold answers, and logged rows with its answers (they need no
label). Out: a student trained on these soft targets, beside the same student trained on the labels alone,
and one Evidence: does it keep the teacher's gain over the baseline? The student is a Pipeline that
`runtimes.compile` turns into ONNX. Hinton, Vinyals & Dean, arXiv 1503.02531; soft and hard targets in
halves.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from incumbent import config
from incumbent.errors import DataError
from incumbent.records import Evidence, Json, Micros, Signature
from incumbent.runtimes.base import SCALAR, Columns, Floats, n_rows
from incumbent.runtimes.schema import native
from incumbent.stats import metrics
from incumbent.stats.calibration import expected_calibration_error
from incumbent.stats.compare import paired
from incumbent.stats.latency import LatencySummary
from incumbent.stats.metrics import Metric
from incumbent.steps import Proposal, StepResult
from incumbent.steps.speed.measure import timings

Ints = npt.NDArray[np.int64]
FitPredict = Callable[[Ints, Ints], Floats]
TimeIt = Callable[[Any], LatencySummary]

ALPHA = 0.05
LEAST_WEIGHT = 1e-4
CALIBRATION_SLACK = 0.02
"""How much larger than the teacher's the student's expected calibration error may be."""


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Rows that neither teacher nor student was fitted on: `truth` (n,) class index or number, `blocks`
    (n,) or None, and what baseline and teacher say of them.
    """

    columns: Columns
    truth: npt.NDArray[Any]
    blocks: Ints | None
    baseline: Floats
    teacher: Floats


@dataclass(frozen=True, slots=True)
class Fitted:
    """One student of one size, its held-out output, and how it was timed."""

    targets: str
    rounds: int
    leaves: int
    estimator: Any
    output: Floats
    latency: LatencySummary | None = None

    @property
    def name(self) -> str:
        return f"{self.targets} student, {self.rounds} rounds of {self.leaves} leaves"


def folds(rows: int, k: int = 5) -> Ints:
    """A fold for each row: `k` stretches of equal length, in row order (time), so that neighbours stay
    together.

    >>> folds(7, 3).tolist()
    [0, 0, 0, 1, 1, 2, 2]
    """
    if not 2 <= k <= rows:
        raise DataError(f"found {rows} rows for {k} folds, expected at least 2 folds and a row in each")
    return np.arange(rows, dtype=np.int64) * k // rows


def soft_targets(fit_predict: FitPredict, target: Floats, signature: Signature, fold_of: Ints) -> Floats:
    """½·label + ½·out-of-fold teacher: (n, n_classes) probabilities, or (n,) numbers.

    `fit_predict(train, test)` fits the teacher on the rows numbered `train` and answers those numbered
    `test`. In-sample answers would be useless: a forest repeats its own labels.
    """
    hard = np.eye(len(signature.classes))[target.astype(np.int64)] if signature.classifies else target
    teacher = np.empty_like(hard)
    for fold in np.unique(fold_of):
        test = np.flatnonzero(fold_of == fold)
        answered = np.asarray(fit_predict(np.flatnonzero(fold_of != fold), test), dtype=np.float64)
        if answered.shape != hard[test].shape or not np.isfinite(answered).all():
            raise DataError(f"the teacher's answers of fold {fold} have shape {answered.shape}, or are not finite; "
                            f"expected finite {hard[test].shape}")  # fmt: skip
        teacher[test] = answered
    return np.asarray(0.5 * hard + 0.5 * teacher, dtype=np.float64)


def distil(
    columns: Columns,
    target: Floats,
    soft: Floats,
    signature: Signature,
    metric: Metric,
    settings: config.Speed,
    held_out: HeldOut,
    *,
    teacher: str,
    baseline: str,
    at: Micros,
    transfer: tuple[Columns, Floats] | None = None,
    time_it: TimeIt | None = None,
    budget_ms: float = 0.0,
) -> StepResult:
    """Fit students of each size of `settings` on soft targets, and on the labels alone, and judge the
    smallest that will do (else the best).

    `soft` as `soft_targets` gives it; `transfer` = unlabelled (logged) rows and the teacher's answers.
    `time_it` times single rows of an estimator as it would be served. ship: the upper 95 % bound of p99 is
    inside the budget (where both are given), the student keeps `keep_gain` of the teacher's gain over the
    baseline (paired, 95 %), and stays calibrated. One Evidence and one Proposal: the soft student, whatever
    the verdict.
    """
    rows, targets = columns, soft
    if transfer is not None and n_rows(transfer[0]):
        rows = {name: np.concatenate([columns[name], transfer[0][name]]) for name in signature.names}
        targets = np.concatenate([soft, transfer[1]])
    hard = np.eye(len(signature.classes))[target.astype(np.int64)] if signature.classifies else target
    students = []
    for rounds, leaves in sorted(_sizes(settings), key=lambda size: size[0] * size[1]):
        for name, on, to in (("soft", rows, targets), ("hard", columns, hard)):
            estimator = student(on, to, signature, rounds=rounds, leaves=leaves)
            output = answers(estimator, held_out.columns, signature)
            students.append(Fitted(name, rounds, leaves, estimator, output, time_it(estimator) if time_it else None))
    judged = [
        (one, _evidence(one, students, held_out, signature, metric, settings, teacher, baseline, at, budget_ms))
        for one in students
        if one.targets == "soft"
    ]
    shipped = [pair for pair in judged if pair[1].verdict == "ship"]
    chosen, evidence = shipped[0] if shipped else min(judged, key=lambda pair: pair[1].numbers["loss_student"])
    facts = {"teacher": teacher, "rounds": chosen.rounds, "leaves": chosen.leaves, "n_soft": len(targets)}
    proposal = Proposal(
        chosen.estimator, "sklearn", f"{chosen.name}, distilled from {teacher}", f"distil:{teacher}", teacher, facts
    )
    return StepResult((evidence,), (proposal,))


def student(columns: Columns, targets: Floats, signature: Signature, *, rounds: int, leaves: int) -> Any:
    """A small LightGBM model on soft targets: a Pipeline that takes the DataFrame of `columns`.

    Classes: each row once a class with the probability as its weight, which has the gradient of cross
    entropy and, unlike LightGBM's own `cross_entropy`, converts to ONNX. Words are numbered, null and
    unseen ones are −1.
    """
    # Heavy, and needed by this step alone.
    from lightgbm import LGBMClassifier, LGBMRegressor
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import OrdinalEncoder

    frame = native(columns, signature, None)
    words = [column.name for column in signature.columns if column.type == "string"]
    numbers = [column.name for column in signature.columns if column.type in SCALAR]
    codes = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-1)
    parts = [part for part in (("words", codes, words), ("numbers", "passthrough", numbers)) if part[2]]
    shared: Mapping[str, Any] = {
        "n_estimators": rounds, "num_leaves": leaves, "random_state": 0, "n_jobs": 1, "deterministic": True,
        "force_row_wise": True, "verbose": -1,
    }  # fmt: skip
    if not signature.classifies:
        return Pipeline([("columns", ColumnTransformer(parts)), ("trees", LGBMRegressor(**shared))]).fit(frame, targets)
    row, label, weight = weighted_copies(targets)
    trees = LGBMClassifier(min_child_samples=max(20, round(20 * len(row) / len(targets))), **shared)
    pipeline = Pipeline([("columns", ColumnTransformer(parts)), ("trees", trees)])
    classes = np.asarray(signature.classes)[label]
    return pipeline.fit(frame.iloc[row], classes, trees__sample_weight=weight)


def weighted_copies(targets: Floats) -> tuple[Ints, Ints, Floats]:
    """Soft targets (n, n_classes) as plain labels: (row, class, weight) of each copy; weights below 1e-4
    are left out.

    >>> [part.tolist() for part in weighted_copies(np.array([[0.25, 0.75], [1.0, 0.0]]))]
    [[0, 0, 1], [0, 1, 0], [0.25, 0.75, 1.0]]
    """
    row, label = np.nonzero(targets >= LEAST_WEIGHT)
    return row, label, targets[row, label]


def answers(estimator: Any, columns: Columns, signature: Signature) -> Floats:
    """What an estimator says: (n, n_classes) in the signature's order (classes it never saw: 0), or (n,)."""
    frame = native(columns, signature, None)
    if not signature.classifies:
        return np.asarray(estimator.predict(frame), dtype=np.float64)
    place = {label: i for i, label in enumerate(signature.classes)}
    output = np.zeros((n_rows(columns), len(place)))
    output[:, [place[label] for label in np.asarray(estimator.classes_).tolist()]] = estimator.predict_proba(frame)
    return output


# --- judging ----------------------------------------------------------------------------------------------


def _sizes(settings: config.Speed) -> list[tuple[int, int]]:
    return [(rounds, leaves) for rounds in settings.rounds for leaves in settings.leaves]


def _evidence(
    one: Fitted,
    students: list[Fitted],
    held_out: HeldOut,
    signature: Signature,
    metric: Metric,
    settings: config.Speed,
    teacher: str,
    baseline: str,
    at: Micros,
    budget_ms: float,
) -> Evidence:
    fallback = "brier" if signature.classifies else "squared_error"
    judged_by = metric if metric.row_loss is not None else metrics.get(fallback, signature.kind)
    assert judged_by.row_loss is not None
    row_loss = judged_by.row_loss
    losses = {"baseline": row_loss(held_out.baseline, held_out.truth)}
    losses["teacher"] = row_loss(held_out.teacher, held_out.truth)
    losses |= {fitted.name: row_loss(fitted.output, held_out.truth) for fitted in students}
    means = {name: math.fsum(values) / len(values) for name, values in losses.items()}
    keeps = _keeps(losses["baseline"], losses["teacher"], losses[one.name], held_out.blocks, settings.keep_gain)
    checks = [keeps, *_calibrated(one, held_out, signature), *_fast(one, budget_ms)]
    verdicts = [check[0] for check in checks]
    verdict = next((word for word in ("hold", "not_enough_data") if word in verdicts), "ship")
    hard = next(f for f in students if f.targets == "hard" and (f.rounds, f.leaves) == (one.rounds, one.leaves))
    named = {f"baseline {baseline}": "baseline", "teacher": "teacher", "student on soft targets": one.name,
             "on labels alone": hard.name}  # fmt: skip
    shown = ", ".join(f"{name} {means[of]:.4f}" for name, of in named.items())
    numbers: dict[str, Json] = {
        "metric": judged_by.name, "loss_baseline": means["baseline"], "loss_teacher": means["teacher"],
        "loss_student": means[one.name], "loss_hard": means[hard.name], "keep_gain": settings.keep_gain,
        "gain_kept": _share(means, one.name), "n_rows": len(held_out.truth), "budget_ms": budget_ms,
        "checks": [{"verdict": word, "sentence": said} for word, said in checks],
        "table": [_line(fitted, means) for fitted in students],
    }  # fmt: skip
    sentence = (
        f"{verdict.replace('_', ' ')}: {one.name} of {teacher}: {judged_by.name} {shown}; "
        + "; ".join(said for _, said in checks) + "."
    )  # fmt: skip
    measured = {fitted.name: timings(fitted.latency) for fitted in students if fitted.latency is not None}
    return Evidence("speed", one.name, verdict, sentence, at, teacher, numbers, measured)


def _keeps(baseline: Floats, teacher: Floats, student: Floats, blocks: Ints | None, share: float) -> tuple[str, str]:
    """Non-inferiority: (baseline − student) ≥ share·(baseline − teacher), row by row, shown at 95 %."""
    if math.fsum(baseline - teacher) <= 0.0:
        return "hold", "the teacher itself does not beat the baseline: there is no gain to keep"
    found = paired((1.0 - share) * baseline + share * teacher, student, blocks=blocks, alpha=ALPHA)
    if not math.isfinite(found.standard_error):
        return "not_enough_data", f"{found.n_rows} rows in {found.n_blocks} block(s) show no variation"
    if found.lower >= 0.0:
        return "ship", f"keeps {share:.0%} of the gain (surplus {found.gain:.2g}, at least {found.lower:.2g})"
    word = "hold" if found.gain <= 0.0 else "not_enough_data"
    return word, f"not shown to keep {share:.0%} of the gain (surplus {found.gain:.2g}, at least {found.lower:.2g})"


def _calibrated(one: Fitted, held_out: HeldOut, signature: Signature) -> list[tuple[str, str]]:
    if not signature.classifies:
        return []
    errors = [expected_calibration_error(output, held_out.truth) for output in (held_out.teacher, one.output)]
    kept = errors[1] <= errors[0] + CALIBRATION_SLACK
    return [("ship" if kept else "hold", f"calibration error {errors[1]:.3f} (teacher {errors[0]:.3f})")]


def _fast(one: Fitted, budget_ms: float) -> list[tuple[str, str]]:
    """The budget, without the timing itself: what repeats goes to numbers, what does not to `measured`."""
    if one.latency is None or not budget_ms > 0.0:
        return []
    if not math.isfinite(one.latency.p99_upper_ms):
        return [("not_enough_data", f"{one.latency.n} timings are too few to bound p99")]
    inside = one.latency.p99_upper_ms <= budget_ms
    return [
        ("ship" if inside else "hold", f"p99 is {'inside' if inside else 'outside'} the budget of {budget_ms:g} ms")
    ]


def _share(means: Mapping[str, float], name: str) -> float | None:
    gain = means["baseline"] - means["teacher"]
    return (means["baseline"] - means[name]) / gain if gain > 0.0 else None


def _line(fitted: Fitted, means: Mapping[str, float]) -> dict[str, Json]:
    return {
        "student": fitted.name, "targets": fitted.targets, "rounds": fitted.rounds, "leaves": fitted.leaves,
        "loss": means[fitted.name], "gain_kept": _share(means, fitted.name),
        "n_trees": int(fitted.estimator.named_steps["trees"].booster_.num_trees()),
    }  # fmt: skip
