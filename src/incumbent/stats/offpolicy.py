"""What would another policy have earned on logged decisions? Weighted means of what was earned, and how sure they are.

In: rewards of what was done, and how much likelier the new policy does it (weights = new probability over logged one).
Out: estimates with standard errors and intervals, and what the weights themselves say. Judges nothing: whether there is
enough to say anything is `steps.live.lookback`'s question.

Inverse propensity: Horvitz & Thompson, JASA 47, 1952. Self-normalised: Swaminathan & Joachims, NIPS 2015. Doubly
robust: Dudík, Langford & Li, ICML 2011; cross-fitted: Chernozhukov et al., Econometrics Journal 21, 2018. Effective
sample size: Kong, Technical Report 348, University of Chicago, 1992.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Model = Callable[[Floats, Integers, Floats, int], Callable[[Floats], Floats]]
"""(features (n, d), actions (n,), rewards (n,), n_actions) -> features (m, d) -> expected rewards (m, n_actions)."""


@dataclass(frozen=True, slots=True, eq=False)
class Estimate:
    """The mean reward a row under a policy (or a difference of two), with a normal interval of level 1 - alpha.

    `influence` (n,) says what each row adds: the value would move by influence/n without it. `groups` (n,) numbers rows
    that depend on each other (those of one unit); None: each stands for itself.
    """

    value: float
    standard_error: float
    lower: float
    upper: float
    alpha: float
    influence: Floats = field(repr=False)
    groups: Integers | None = field(default=None, repr=False)

    def minus(self, other: Estimate) -> Estimate:
        """The difference of two policies on the same rows: what both owe to the same luck cancels."""
        return _estimate(self.value - other.value, self.influence - other.influence, self.alpha, self.groups)


@dataclass(frozen=True, slots=True)
class Weights:
    """What the weights say, before any reward is looked at.

    `effective` is (Σw)²/Σw², over groups where there are some: so many rows drawn by the new policy itself would be as
    good. `mean` is 1 in expectation where the logged policy may do all that the new one does; what is missing is the
    share of the new policy that the log cannot speak of (`lower`, `upper`: its interval).
    """

    n: int
    n_groups: int
    effective: float
    largest: float
    mean: float
    lower: float
    upper: float


def weigh(weights: npt.ArrayLike, *, alpha: float = 0.05, groups: Integers | None = None) -> Weights:
    """Effective sample size, largest weight and mean weight.

    >>> weigh([1.0, 1.0, 2.0]).effective
    2.6666666666666665
    """
    w = _column(weights)
    total = w if groups is None else np.bincount(_codes(groups), w)
    squares = float(total @ total)
    mean = _estimate(float(w.mean()), w - w.mean(), alpha, groups)
    effective = float(total.sum() ** 2 / squares) if squares else 0.0
    return Weights(len(w), len(total), effective, float(w.max()), mean.value, mean.lower, mean.upper)


def mean(rewards: npt.ArrayLike, *, alpha: float = 0.05, groups: Integers | None = None) -> Estimate:
    """What the logged policy itself earned a row."""
    return inverse_propensity(rewards, np.ones(len(_column(rewards))), alpha=alpha, groups=groups)


def inverse_propensity(
    rewards: npt.ArrayLike, weights: npt.ArrayLike, *, alpha: float = 0.05, groups: Integers | None = None
) -> Estimate:
    """Σwr/n (Horvitz & Thompson): unbiased, and as loud as its largest weights.

    >>> round(inverse_propensity([1.0, 0.0, 1.0, 0.0], [2.0, 0.0, 0.0, 2.0]).value, 6)
    0.5
    """
    r, w = _columns(rewards, weights)
    value = float((w * r).mean())
    return _estimate(value, w * r - value, alpha, groups)


def self_normalised(
    rewards: npt.ArrayLike, weights: npt.ArrayLike, *, alpha: float = 0.05, groups: Integers | None = None
) -> Estimate:
    """Σwr/Σw (Swaminathan & Joachims): stays inside the range of the rewards, and does not move when all of them are
    raised by a constant. ValueError where no weight is above 0."""
    r, w = _columns(rewards, weights)
    if not w.sum() > 0.0:
        raise ValueError("no row has a weight above 0: the new policy does nothing that was logged")
    value = float((w * r).sum() / w.sum())
    return _estimate(value, w * (r - value) / w.mean(), alpha, groups)


def doubly_robust(
    rewards: npt.ArrayLike,
    weights: npt.ArrayLike,
    logged: npt.ArrayLike,
    new: npt.ArrayLike,
    *,
    alpha: float = 0.05,
    groups: Integers | None = None,
) -> Estimate:
    """Mean of new + w(r - logged) (Dudík, Langford & Li): right where the probabilities or the model are right.

    `logged` (n,) is the reward that a model expects of what was done, `new` (n,) what it expects of the new policy on
    the same row. The model must not have been fitted on the row itself: see `cross_fitted`.
    """
    r, w = _columns(rewards, weights)
    of_logged, of_new = _columns(logged, new)
    if len(of_logged) != len(r):
        raise ValueError(f"one estimate a row: found {len(of_logged)} for {len(r)} rows")
    each = of_new + w * (r - of_logged)
    value = float(each.mean())
    return _estimate(value, each - value, alpha, groups)


def linear(features: Floats, actions: Integers, rewards: Floats, n_actions: int) -> Callable[[Floats], Floats]:
    """A reward model: a level for each action and a straight line in the features (ridge, one row's worth of it)."""
    center = float(rewards.mean())
    scale = np.where(features.std(axis=0) > 0.0, features.std(axis=0), 1.0)
    middle = features.mean(axis=0)
    design = np.hstack([np.eye(n_actions)[actions], (features - middle) / scale])
    gram = design.T @ design + np.eye(design.shape[1])
    found = np.linalg.solve(gram, design.T @ (rewards - center))

    def expected(rows: Floats) -> Floats:
        line = (rows - middle) / scale @ found[n_actions:]
        return np.asarray(center + line[:, None] + found[None, :n_actions])

    return expected


def cross_fitted(
    rewards: npt.ArrayLike,
    actions: Integers,
    policy: Floats,
    features: Floats | None = None,
    *,
    groups: Integers | None = None,
    folds: int = 5,
    seed: int = 0,
    model: Model = linear,
) -> tuple[Floats, Floats]:
    """`logged` and `new` for `doubly_robust`: each row's by a model that was fitted on other folds (on other groups).

    `actions` (n,) count from 0; `policy` is what the new policy does, (n_actions,) or (n, n_actions).
    """
    r = _column(rewards)
    x = np.zeros((len(r), 0)) if features is None else np.asarray(features, dtype=np.float64)
    chances = np.broadcast_to(policy, (len(r), policy.shape[-1]))
    codes = np.arange(len(r)) if groups is None else _codes(groups)
    fold = np.random.default_rng(seed).permutation(int(codes.max()) + 1)[codes] % folds
    logged, new = np.empty(len(r)), np.empty(len(r))
    for one in range(folds):
        held, rest = np.flatnonzero(fold == one), np.flatnonzero(fold != one)
        if not len(held) or not len(rest):
            raise ValueError(f"found {int(codes.max()) + 1} groups of rows, expected at least {folds}, one a fold")
        said = model(x[rest], actions[rest], r[rest], chances.shape[1])(x[held])
        logged[held] = said[np.arange(len(held)), actions[held]]
        new[held] = (said * chances[held]).sum(axis=1)
    return logged, new


# --- parts


def _estimate(value: float, influence: Floats, alpha: float, groups: Integers | None) -> Estimate:
    """The standard error from sums of the influence over groups, and the interval."""
    sums = influence if groups is None else np.bincount(_codes(groups), influence)
    n_groups = len(sums)
    error = math.inf
    if n_groups > 1:
        error = math.sqrt(float(sums @ sums) * n_groups / (n_groups - 1)) / len(influence)
    half = float(ndtri(1.0 - alpha / 2.0)) * error
    return Estimate(value, error, value - half, value + half, alpha, influence, groups)


def _codes(groups: Integers) -> Integers:
    return np.asarray(np.unique(groups, return_inverse=True)[1], dtype=np.int64)


def _column(values: npt.ArrayLike) -> Floats:
    found = np.asarray(values, dtype=np.float64)
    if found.ndim != 1 or not len(found) or not np.isfinite(found).all():
        raise ValueError(f"expected finite numbers, one a row, found shape {found.shape}")
    return found


def _columns(rewards: npt.ArrayLike, weights: npt.ArrayLike) -> tuple[Floats, Floats]:
    r, w = _column(rewards), _column(weights)
    if len(r) != len(w):
        raise ValueError(f"one weight a row: found {len(w)} for {len(r)} rows")
    return r, w
