"""What can this holdout show at all?

In: how much two versions differ on it. Out: the smallest gain that it shows with 80 % power, and the rows that smaller
ones need. A plan, made before there is a candidate: it asks nothing of anybody's answers, so it is no look.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from incumbent.stats.compare import PairedDifference, rows_needed, smallest_gain

POWER = 0.8
HALVES = (1.0, 0.5, 0.25)


@dataclass(frozen=True, slots=True)
class Plan:
    """A candidate that differs from the incumbent as much as `like` does: what these rows would show of it.

    `smallest` is the smallest gain shown with 80 % power (None: none at all); `rows` pairs gains with the rows that
    each needs; `share` is the smallest gain over the incumbent's own loss.
    """

    like: str
    n_rows: int
    n_blocks: int
    loss: float
    standard_error: float | None
    smallest: float | None
    share: float | None
    rows: tuple[tuple[float, int], ...]


def plan(like: str, found: PairedDifference, gains: Sequence[float] = ()) -> Plan:
    """The plan for candidates that are as unlike the incumbent as `found` is. `gains`: ask for these, too."""
    least = smallest_gain(found, power=POWER)
    if least is None or found.standard_error == 0.0:
        none = found.standard_error if math.isfinite(found.standard_error) else None
        return Plan(like, found.n_rows, found.n_blocks, found.mean_reference, none, None, None, ())
    wanted = sorted({*(least * share for share in HALVES), *(gain for gain in gains if gain > 0.0)}, reverse=True)
    rows = tuple((gain, rows_needed(found, gain, power=POWER)) for gain in wanted)
    share = least / abs(found.mean_reference) if found.mean_reference else None
    return Plan(
        like, found.n_rows, found.n_blocks, found.mean_reference, found.standard_error, least, share, rows
    )
