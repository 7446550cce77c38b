"""What does a version gain where both score the same rows? Blocks of time are the units.

In: paired sums by block. Out: the same with thin blocks joined; their mean gain a row, with its variance. Neighbouring
rows share their weather (AR(1) with .6: row by row 36 % false alarms), so a block is one difference, and the variance
is widened by what the blocks of a day share. Makes no bound: `bounds` does.
"""

import math
from collections.abc import Sequence
from dataclasses import fields

import numpy as np
import numpy.typing as npt

from incumbent.records import DAY, Micros
from incumbent.stats.metrics import UNITS_PER_ONE, Floats
from incumbent.stats.sequential import UnitSums
from incumbent.steps.live.gain import Gain
from incumbent.storage.base import BlockSum

MIN_BLOCKS = 30
MIN_BLOCK_ROWS = 20


def gain(blocks: Sequence[BlockSum], block: Micros) -> Gain:
    """The candidate's mean gain a row on the reference; `block` is how long a block lasts. Where all blocks were alike
    the variance is that of one which differs by the whole gain: the next one might.

    >>> gain([BlockSum(0, 50, 20_000_000_000, 10_000_000_000)], 21_600_000_000).estimate
    0.2
    """
    if not blocks:
        return Gain(0, math.nan, math.inf)
    gains = np.array([(one.loss_reference - one.loss_candidate) / UNITS_PER_ONE for one in blocks])
    sizes = np.array([one.rows for one in blocks], dtype=np.float64)
    sums = UnitSums.of(gains, sizes)
    a_day = max(round(DAY / block), 1)
    days = np.array([one.block // a_day for one in blocks])
    widened = sums.variance * _widening(gains - sums.mean * sizes, days)
    return Gain(sums.n, sums.mean, max(widened / sums.n, (sums.mean / sums.n) ** 2))


def means(blocks: Sequence[BlockSum]) -> dict[str, float | None]:
    """Mean loss a row of each arm; None without rows."""
    rows = sum(one.rows for one in blocks)
    if not rows:
        return {"challenger": None, "incumbent": None}
    return {
        "challenger": sum(one.loss_candidate for one in blocks) / UNITS_PER_ONE / rows,
        "incumbent": sum(one.loss_reference for one in blocks) / UNITS_PER_ONE / rows,
    }


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
    """Every count of both; the block is the first's."""
    names = [one.name for one in fields(BlockSum) if one.name != "block"]
    return BlockSum(first.block, *(getattr(first, name) + getattr(second, name) for name in names))


def _widening(residuals: Floats, days: npt.NDArray[np.int64]) -> float:
    """Variance by day over variance by block, at least 1: blocks of a day share their weather.

    Sums over clusters (Cochran, Sampling Techniques, 3rd ed., 9A); 1 where each block has a day for itself.
    """
    distinct, index = np.unique(days, return_inverse=True)
    plain = math.fsum(residuals * residuals)  # in no order that a processor may choose: looks repeat to the byte
    if plain == 0.0 or len(distinct) < 2:
        return 1.0
    by_day = np.bincount(index, weights=residuals)
    n_days, n_blocks = len(distinct), len(residuals)
    return max(1.0, math.fsum(by_day * by_day) / plain * (n_days / (n_days - 1)) * ((n_blocks - 1) / n_blocks))
