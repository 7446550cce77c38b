"""What a shadow trial makes of its blocks of time: the trial's own functions and no other, so that what is simulated
is what runs."""

from collections.abc import Mapping, Sequence

from incumbent.config import Live
from incumbent.records import Micros
from incumbent.steps.live import bounds, pairs
from incumbent.steps.live.pairs import MIN_BLOCK_ROWS, MIN_BLOCKS, merge
from incumbent.storage.base import BlockSum

__all__ = ["MIN_BLOCKS", "MIN_BLOCK_ROWS", "bounded", "merge"]


def bounded(blocks: Sequence[BlockSum], block: Micros, live: Live, n_star: float) -> Mapping[str, float]:
    """Estimate, lower, upper and harm_upper bound of the gain a row, widened by what the blocks of a day share."""
    found = pairs.gain(blocks, block)
    return bounds.of_gain(
        found,
        n_star if found.n >= MIN_BLOCKS else None,
        alpha=live.alpha,
        alpha_harm=live.alpha_roll_back / 2,
    )
