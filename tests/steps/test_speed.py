"""Step 4: timings against a budget, and students that keep their teacher's gain."""

import json
import math
from dataclasses import replace
from typing import Any

import lightgbm
import numpy as np
import numpy.typing as npt
import pytest

from incumbent.config import Speed
from incumbent.errors import DataError
from incumbent.records import Column, Signature
from incumbent.runtimes import compile
from incumbent.runtimes.base import Columns, Floats
from incumbent.stats import latency, metrics
from incumbent.steps import StepResult, speed
from incumbent.steps.speed.distil import answers

Array = npt.NDArray[Any]
COLUMNS = (Column("town", "string"), Column("x", "number"), Column("z", "number"))
BINARY = Signature(COLUMNS, "binary", (0, 1))
THREE = Signature(COLUMNS, "multiclass", ("low", "mid", "top"))
NUMBERS = Signature(COLUMNS, "regression")
SETTINGS = Speed(rounds=(30,), leaves=(16,))


def rows(n: int, seed: int) -> tuple[Columns, Floats]:
    """Features with nulls, and the true score that decides each label."""
    generator = np.random.default_rng(seed)
    town = generator.choice(np.array(["u", "v", None], dtype=object), n)
    x, z = generator.normal(size=n), generator.normal(size=n)
    score = 1.5 * x + np.where(town == "u", 1.0, -0.5) * (1 + z * (z > 0))
    x[::17] = np.nan
    return {"town": town, "x": x, "z": z}, np.where(np.isnan(x), score * 0.3, score)


def truth_of(score: Floats, signature: Signature, seed: int) -> tuple[Floats, Floats]:
    """The true probabilities (or means) and labels drawn from them."""
    generator = np.random.default_rng(seed)
    if not signature.classifies:
        return score, score + generator.normal(size=len(score))
    edges = [0.0] if signature is BINARY else [-0.7, 0.7]
    above = np.column_stack([1 / (1 + np.exp(edge - score)) for edge in edges])
    p = -np.diff(np.column_stack([np.ones(len(score)), above, np.zeros(len(score))]), axis=1)
    drawn = (generator.uniform(size=(len(score), 1)) > np.cumsum(p, axis=1)[:, :-1]).sum(axis=1)
    return p, drawn.astype(float)


def distilled(signature: Signature, settings: Speed = SETTINGS, n: int = 1_500, **more: Any) -> StepResult:
    """A teacher that knows the true probabilities, its logged traffic, and a baseline that knows the mean."""
    columns, score = rows(n, 1)
    known, target = truth_of(score, signature, 2)
    held, held_score = rows(4_000, 3)
    held_known, held_target = truth_of(held_score, signature, 4)
    logged, logged_score = rows(6_000, 5)
    logged_known, _ = truth_of(logged_score, signature, 6)
    prior = np.broadcast_to(known.mean(axis=0), held_known.shape)
    soft = speed.soft_targets(lambda train, test: known[test], target, signature, speed.folds(n))
    metric = metrics.get("log_loss" if signature.classifies else "squared_error", signature.kind)
    return speed.distil(
        columns, target, soft, signature, metric, settings,
        speed.HeldOut(held, held_target.astype(int) if signature.classifies else held_target, np.arange(4_000) // 50,
                      prior, held_known),
        teacher="v2", baseline="v1", at=3, transfer=(logged, logged_known), **more,
    )  # fmt: skip


@pytest.mark.parametrize("signature", [BINARY, THREE, NUMBERS], ids=["binary", "multiclass", "regression"])
def test_a_student_on_soft_targets_beats_the_same_one_on_labels(signature: Signature) -> None:
    """With the teacher's logged traffic the student comes closer to the teacher than labels alone bring it."""
    found = distilled(signature, replace(SETTINGS, keep_gain=0.8))
    numbers = found.evidence[0].numbers
    assert numbers["loss_teacher"] <= numbers["loss_student"] < numbers["loss_hard"] < numbers["loss_baseline"]
    assert found.evidence[0].verdict == "ship" and found.evidence[0].reference == "v2"
    assert found.proposals[0].recipe == "distil:v2" and found.proposals[0].parent == "v2"
    json.dumps(dict(numbers), allow_nan=False)


@pytest.mark.parametrize("signature", [BINARY, THREE, NUMBERS], ids=["binary", "multiclass", "regression"])
def test_the_student_compiles_to_an_equal_twin(signature: Signature) -> None:
    """The proposed estimator has an ONNX twin, null and unseen categories included."""
    estimator = distilled(signature, n=600).proposals[0].predictor
    twin = compile.twin(estimator, signature, rows(2_000, 9)[0])
    assert isinstance(twin, compile.Twin), twin


def test_weighted_copies_equal_cross_entropy() -> None:
    """Two weighted copies of each row give what LightGBM's cross_entropy gives: .01 apart in the mean at most."""
    columns, score = rows(3_000, 1)
    p = 1 / (1 + np.exp(-score))
    soft = np.column_stack([1 - p, p])
    copies = speed.student({"x": columns["x"]}, soft, Signature((COLUMNS[1],), "binary", (0, 1)), rounds=30, leaves=8)
    matrix = columns["x"][:, None]
    booster = lightgbm.train(
        {"objective": "cross_entropy", "num_leaves": 8, "verbose": -1, "deterministic": True, "force_row_wise": True,
         "num_threads": 1},
        lightgbm.Dataset(matrix, p), 30,
    )  # fmt: skip
    ours = answers(copies, {"x": columns["x"]}, Signature((COLUMNS[1],), "binary", (0, 1)))[:, 1]
    assert np.abs(ours - booster.predict(matrix)).mean() < 0.01


def test_out_of_fold_answers_never_come_from_their_own_rows() -> None:
    """Each fold is answered by a teacher fitted on the others; the target is half label, half teacher."""
    seen: list[tuple[Array, Array]] = []

    def fit_predict(train: Array, test: Array) -> Floats:
        seen.append((train, test))
        return np.full((len(test), 2), 0.5)

    target = np.array([0.0, 1, 1, 0, 1, 0, 1])
    soft = speed.soft_targets(fit_predict, target, BINARY, speed.folds(7, 3))
    assert all(not set(train) & set(test) and len(train) + len(test) == 7 for train, test in seen)
    assert soft[:, 1].tolist() == [0.25, 0.75, 0.75, 0.25, 0.75, 0.25, 0.75]


def test_a_teacher_that_answers_nonsense_is_refused() -> None:
    """NaN or a wrong shape from the teacher is an error that names the fold."""
    for wrong in (np.full((2, 2), math.nan), np.zeros((2, 3))):
        with pytest.raises(DataError, match="fold 0"):
            speed.soft_targets(lambda train, test, w=wrong: w, np.zeros(4), BINARY, speed.folds(4, 2))
    with pytest.raises(DataError, match="folds"):
        speed.folds(3, 5)


def test_a_student_that_is_too_small_is_held() -> None:
    """One round of two leaves keeps no 95 % of the gain; the larger size of the same call ships."""
    tiny = distilled(BINARY, Speed(rounds=(1,), leaves=(2,)))
    assert tiny.evidence[0].verdict == "hold" and "not shown to keep 95%" in tiny.evidence[0].sentence
    both = distilled(BINARY, Speed(rounds=(1, 40), leaves=(16,), keep_gain=0.8))
    assert both.evidence[0].verdict == "ship" and both.proposals[0].facts["rounds"] == 40
    assert len(both.evidence[0].numbers["table"]) == 4


def test_a_teacher_without_gain_has_no_student() -> None:
    """Where the teacher does not beat the baseline there is nothing to keep."""
    columns, score = rows(400, 1)
    known, target = truth_of(score, BINARY, 2)
    found = speed.distil(
        columns, target, known, BINARY, metrics.get("brier", "binary"), SETTINGS,
        speed.HeldOut(columns, target.astype(int), None, known, np.full_like(known, 0.5)),
        teacher="v2", baseline="v1", at=0,
    )  # fmt: skip
    assert found.evidence[0].verdict == "hold" and "no gain to keep" in found.evidence[0].sentence


def test_the_budget_decides_with_the_gain() -> None:
    """The same student ships inside its budget and is held outside; timings are measured, not numbers."""
    for ms, verdict in ((0.1, "ship"), (9.0, "hold")):
        timed = latency.summarise([ms] * 500)
        found = distilled(
            BINARY, replace(SETTINGS, keep_gain=0.8), time_it=lambda _, t=timed: t, budget_ms=1.0
        ).evidence[0]
        assert found.verdict == verdict
        assert found.measured["soft student, 30 rounds of 16 leaves"]["p99_ms"] == ms


def test_the_same_rows_give_the_same_student() -> None:
    """Fit twice: the evidence repeats byte for byte."""
    first, second = (json.dumps(dict(distilled(BINARY, n=500).evidence[0].numbers)) for _ in range(2))
    assert first == second


def test_every_class_is_an_estimators_own_label() -> None:
    """The student's classes are the signature's labels, not their numbers."""
    estimator = distilled(THREE, n=400).proposals[0].predictor
    assert isinstance(estimator.named_steps["trees"], lightgbm.LGBMClassifier)
    assert estimator.classes_.tolist() == ["low", "mid", "top"]


class Clock:
    """Nanoseconds that pass only while a row is answered."""

    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> int:
        return self.now


def test_each_timed_call_is_one_row_and_the_warm_up_does_not_count() -> None:
    """2,000 rows, one of them slow: exact quantiles from the clock that was passed in."""
    clock, asked = Clock(), []

    def answer(i: int) -> None:
        asked.append(i)
        clock.now += 50_000_000 if len(asked) <= 20 else (i + 1) * 1_000

    found = speed.measure(answer, 2_000, clock)
    assert len(asked) == 2_020 and found.n == 2_000
    assert (found.p50_ms, found.p99_ms, found.p99_upper_ms, found.max_ms) == (1.0, 1.98, 1.988, 2.0)


@pytest.mark.parametrize(
    ("timings", "budget", "verdict"),
    [([1.0] * 500, 2.0, "ship"), ([3.0] * 500, 2.0, "hold"), ([1.0] * 100, 2.0, "not_enough_data"),
     ([1.0] * 500, 0.0, "hold")],
)  # fmt: skip
def test_the_upper_bound_of_p99_is_judged(timings: list[float], budget: float, verdict: str) -> None:
    """Inside, outside, too few, and no budget declared."""
    found = speed.judge(latency.summarise(timings), budget, "v2", 8)
    assert (found.verdict, found.subject, found.at, found.step) == (verdict, "v2", 8, "speed")
    json.dumps([dict(found.numbers), dict(found.measured)], allow_nan=False)
