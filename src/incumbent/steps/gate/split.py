"""Which rows train, and which are held out?

In: the times of rows and of their labels. Out: two masks. With times the latest rows are held out, and a row trains
only if its label was known before the first of them. Judges nothing.
"""

import numpy as np
import numpy.typing as npt

from incumbent.errors import ConfigError, NotEnoughData
from incumbent.records import Micros
from incumbent.stats.compare import day_blocks

NEVER = np.iinfo(np.int64).max

Mask = npt.NDArray[np.bool_]


def split(
    times: npt.ArrayLike | None,
    label_times: npt.ArrayLike | None = None,
    *,
    share: float = 0.2,
    days: int = 0,
    zone: str = "UTC",
    n_rows: int | None = None,
    seed: int = 0,
) -> tuple[Mask, Mask]:
    """Which rows train and which are held out, as two masks (n_rows,).

    With `times` (µs, n_rows) the latest rows are held out: the last `days` local days of `zone`, or the
    last `share` of the rows. A row trains only if its label was known before the first held-out row
    (`label_times`, µs; the largest integer: never). Without times: a seeded draw. Raises NotEnoughData when
    either side is empty.
    """
    if times is None:
        n = n_rows if n_rows is not None else len(np.asarray(label_times))
        held = np.zeros(n, dtype=np.bool_)
        held[np.random.default_rng(seed).permutation(n)[: round(n * share)]] = True
        labelled = (
            np.full(n, True) if label_times is None else np.asarray(label_times, dtype=np.int64) != NEVER
        )
        return _both_sides(~held & labelled, held & labelled)
    at = np.asarray(times, dtype=np.int64)
    if not len(at):
        raise NotEnoughData("found no row to split, expected rows to train on and rows to hold out")
    return split_at(at, label_times, _first_held_out(at, share, days, zone))


def split_at(times: npt.ArrayLike, label_times: npt.ArrayLike | None, cut: Micros) -> tuple[Mask, Mask]:
    """The rows that could be trained on at `cut` (label known before it), and the labelled rows from `cut`
    on.
    """
    at = np.asarray(times, dtype=np.int64)
    known = at if label_times is None else np.asarray(label_times, dtype=np.int64)
    return _both_sides((at < cut) & (known < cut), (at >= cut) & (known != NEVER))


def _first_held_out(at: npt.NDArray[np.int64], share: float, days: int, zone: str) -> Micros:
    if days > 0:
        local = day_blocks(at.astype("M8[us]"), zone)
        latest = local > local.max() - days
        return int(at[latest].min())
    if not 0.0 < share < 1.0:
        raise ConfigError(f"gate.holdout = {share}, expected a share between 0 and 1")
    ordered = np.sort(at)
    return int(ordered[min(int(np.ceil(len(ordered) * (1.0 - share))), len(ordered) - 1)])


def _both_sides(train: Mask, held_out: Mask) -> tuple[Mask, Mask]:
    if not train.any() or not held_out.any():
        raise NotEnoughData(
            f"the split leaves {int(train.sum())} rows to train on and {int(held_out.sum())} held out, "
            "expected some on both sides: give more rows, or another gate.holdout; labels count once known"
        )
    return train, held_out
