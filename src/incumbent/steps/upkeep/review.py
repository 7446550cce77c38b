"""Which predictions go to a person, and what do their answers say about all of them?

In: ids, confidence margins, the trailing day's totals. Out: `Review` rows with the propensity with which
each was drawn, and an estimate for all rows from the drawn ones. The draw is a hash of the id: it needs no
storage, and the same row is always drawn alike. Doubtful rows are drawn more often, so a plain mean over
drawn rows says nothing.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

from incumbent import config
from incumbent.errors import NotEnoughData
from incumbent.records import Micros, Review

Floats = npt.NDArray[np.float64]

AUDIT, DOUBTFUL = "audit", "doubtful"


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over all rows from the drawn ones, with two-sided bounds. `effective_n`: equal-weight rows'
    worth.
    """

    value: float
    lower: float
    upper: float
    n: int
    effective_n: float
    alpha: float


def doubt(outputs: npt.ArrayLike) -> Floats:
    """1 − margin (n_rows,): how close the two most probable classes are; 1 for numbers, which have no margin.

    >>> doubt([[0.5, 0.5], [0.9, 0.1]]).round(2).tolist()
    [1.0, 0.2]
    """
    values = np.asarray(outputs, dtype=np.float64)
    if values.ndim == 1 or values.shape[1] < 2:
        return np.ones(len(values))
    top = np.sort(values, axis=1)
    return np.asarray(1.0 - (top[:, -1] - top[:, -2]), dtype=np.float64)


def propensities(doubts: Floats, settings: config.Reviewing, rows_a_day: float, doubt_a_day: float) -> Floats:
    """The chance of each row to be drawn: π = min(1, B(ε/N + (1 − ε)s/Σs)), (n_rows,).

    B rows a day, ε of them by pure chance; N and Σs are the trailing day's totals, so that it works online.
    Keeping ε above 0 keeps every row possible (Beygelzimer, Dasgupta & Langford, ICML 2009).
    """
    by_chance = settings.per_day * settings.audit / max(rows_a_day, 1.0)
    share = doubts / doubt_a_day if doubt_a_day > 0.0 else np.zeros(len(doubts))
    return np.asarray(np.minimum(1.0, by_chance + settings.per_day * (1.0 - settings.audit) * share))


def draw(
    ids: Sequence[str],
    times: Sequence[Micros],
    outputs: npt.ArrayLike,
    version: str,
    settings: config.Reviewing,
    *,
    rows_a_day: float | None = None,
    doubt_a_day: float | None = None,
) -> list[Review]:
    """The rows that go to people, in the order that they came: audit rows (pure chance) and doubtful ones.

    With u = hash(seed, policy, id): audit where u < Bε/N, doubtful where Bε/N ≤ u < π. Without the trailing
    day's totals, these rows are the day.
    """
    doubts = doubt(outputs)
    rows = float(len(ids)) if rows_a_day is None else rows_a_day
    total = math.fsum(doubts) if doubt_a_day is None else doubt_a_day
    chances = propensities(doubts, settings, rows, total)
    by_chance = min(1.0, settings.per_day * settings.audit / max(rows, 1.0))
    policy = f"margin/{settings.per_day}/{settings.audit:g}"
    drawn = []
    for one, at, chance in zip(ids, times, chances.tolist(), strict=True):
        u = _uniform(settings.seed, policy, one)
        if u < chance:
            reason = AUDIT if u < by_chance else DOUBTFUL
            drawn.append(Review(one, at, version, reason, chance, policy))
    return drawn


def estimate(values: npt.ArrayLike, chances: npt.ArrayLike, *, alpha: float = 0.05) -> Estimate:
    """The mean of `values` (n,) over all rows, from drawn rows and the chance of each: Σ(v/π)/Σ(1/π), Hájek
    1971.

    Bounds by the linearised variance Σw²(v − mean)²/(Σw)² (Särndal, Swensson & Wretman 1992, 5.7) with
    Student's t on the effective n. Rows of which there is only a label because they were doubtful are
    weighted down, not left out.
    """
    v, p = np.asarray(values, dtype=np.float64), np.asarray(chances, dtype=np.float64)
    if v.shape != p.shape or v.ndim != 1 or (p <= 0).any() or (p > 1).any():
        raise ValueError(
            f"expected a value and a chance in (0, 1] a row, found shapes {v.shape} and {p.shape}"
        )
    if len(v) < 2:
        raise NotEnoughData(f"{len(v)} reviewed rows say nothing about all rows, expected at least 2")
    weights = 1.0 / p
    total = math.fsum(weights)
    mean = math.fsum(weights * v) / total
    effective = total**2 / math.fsum(weights**2)
    spread = math.fsum((weights * (v - mean)) ** 2) * len(v) / (len(v) - 1)
    width = float(stdtrit(max(effective - 1.0, 1.0), 1.0 - alpha / 2.0)) * math.sqrt(spread) / total
    return Estimate(mean, mean - width, mean + width, len(v), effective, alpha)


def _uniform(seed: str, policy: str, one: str) -> float:
    """A number in [0, 1) that only the id, the seed and the policy decide."""
    digest = blake2b(f"{seed}\x1f{policy}\x1f{one}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64
