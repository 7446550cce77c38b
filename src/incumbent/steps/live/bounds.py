"""How sure is the gain? One-sided bounds that hold at every look, from sums by unit or by block of time.

In: sums of row losses. Out: the estimate with three bounds: for promoting, for stopping, for rolling back.
Blocks are joined until each has enough rows for a mean; blocks of one day share their weather, and the
variance is widened by what they share. Judges nothing. Formulas in `stats.sequential`.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from incumbent.config import Live
from incumbent.records import DAY, Micros
from incumbent.stats import sequential
from incumbent.stats.metrics import UNITS_PER_ONE, Floats
from incumbent.stats.sequential import UnitSums
from incumbent.storage.base import BlockSum

MIN_BLOCKS = 30
MIN_BLOCK_ROWS = 20


def of_split(incumbent: UnitSums, challenger: UnitSums, live: Live, n_star: float | None) -> dict[str, float]:
    if n_star is None:
        known = incumbent.sum_x > 0 and challenger.sum_x > 0
        return _unbounded(incumbent.mean - challenger.mean if known else math.nan)

    def at(alpha: float, side: sequential.Side) -> sequential.SequenceBounds:
        return sequential.difference_sequence(incumbent, challenger, alpha=alpha, n_star=n_star, side=side)

    lower = at(live.alpha, "lower")
    return {
        "estimate": lower.estimate,
        "lower": lower.lower,
        "upper": at(live.alpha, "upper").upper,
        "harm_upper": at(live.alpha_roll_back / 2, "upper").upper,
    }


def of_pairs(
    blocks: Sequence[BlockSum],
    live: Live,
    block: Micros,
    past: Mapping[str, Any],
    max_days: int,
    alpha: float | None = None,
) -> tuple[dict[str, float], float]:
    """Bounds on the mean gain a row, and the n at which they are tightest (fixed for the whole trial)."""
    n_star: float = past.get("n_star") or max(max_days * DAY / block, MIN_BLOCKS) / 2
    level = live.alpha if alpha is None else alpha
    gains = np.array([(one.loss_reference - one.loss_candidate) / UNITS_PER_ONE for one in blocks])
    sizes = np.array([one.rows for one in blocks], dtype=np.float64)
    if not blocks:
        return _unbounded(math.nan), n_star
    sums = UnitSums.of(gains, sizes)
    if sums.n < MIN_BLOCKS:
        return _unbounded(sums.mean), n_star
    a_day = max(round(DAY / block), 1)
    days = np.array([one.block // a_day for one in blocks])
    variance = sums.variance * _widening(gains - sums.mean * sizes, days)

    def at(alpha: float, side: sequential.Side) -> sequential.SequenceBounds:
        return sequential.mean_sequence(sums.n, sums.mean, variance, alpha=alpha, n_star=n_star, side=side)

    return {
        "estimate": sums.mean,
        "lower": at(level, "lower").lower,
        "upper": at(level, "upper").upper,
        "harm_upper": at(live.alpha_roll_back / 2, "upper").upper,
    }, n_star


def _widening(residuals: Floats, days: npt.NDArray[np.int64]) -> float:
    """Variance by day over variance by block, at least 1: blocks of a day share their weather.

    Sums over clusters (Cochran, Sampling Techniques, 3rd ed., 9A); 1 where each block has a day for itself.
    """
    distinct, index = np.unique(days, return_inverse=True)
    plain = float(residuals @ residuals)
    if plain == 0.0 or len(distinct) < 2:
        return 1.0
    by_day = np.bincount(index, weights=residuals)
    n_days, n_blocks = len(distinct), len(residuals)
    return max(1.0, float(by_day @ by_day) / plain * (n_days / (n_days - 1)) * ((n_blocks - 1) / n_blocks))


def _unbounded(estimate: float) -> dict[str, float]:
    return {"estimate": estimate, "lower": -math.inf, "upper": math.inf, "harm_upper": math.inf}


def merge(blocks: Sequence[BlockSum], least: int = MIN_BLOCK_ROWS) -> list[BlockSum]:
    """Blocks in order of time, thin neighbours joined until each has `least` rows; the remainder joins the
    last.

    >>> [one.rows for one in merge([BlockSum(at, rows, 0, 0) for at, rows in enumerate([15, 6, 30, 1])])]
    [21, 31]
    """
    merged: list[BlockSum] = []
    for one in sorted(blocks, key=lambda block: block.block):
        if merged and (merged[-1].rows < least):
            merged[-1] = _joined(merged[-1], one)
        else:
            merged.append(one)
    if len(merged) > 1 and merged[-1].rows < least:
        last = merged.pop()
        merged[-1] = _joined(merged[-1], last)
    return merged


def _joined(first: BlockSum, second: BlockSum) -> BlockSum:
    return BlockSum(
        first.block,
        first.rows + second.rows,
        first.loss_reference + second.loss_reference,
        first.loss_candidate + second.loss_candidate,
    )
