"""What other policies would have scored on the same rows, beside what was served.

In: labelled rows, what each policy predicted for them. Out: a table by calendar month.
The policies are: the prior of the training rows, the first model left untouched, and "always ship the retrained".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import tzinfo

import numpy as np
import numpy.typing as npt

from incumbent.records import moment

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Month:
    """One calendar month: rows served, rows whose label came, mean truth, and the mean loss of each policy."""

    name: str
    rows: int
    labelled: int
    mean_truth: float
    loss: Mapping[str, float]
    gain_kept: float | None


def months(at: npt.NDArray[np.int64], zone: tzinfo) -> npt.NDArray[np.str_]:
    """(n,) "2013-04" of each time, in the task's zone (looked up once an hour of the data)."""
    hours, inverse = np.unique(at // 3_600_000_000, return_inverse=True)
    names = np.array([moment(int(h) * 3_600_000_000).astimezone(zone).strftime("%Y-%m") for h in hours])
    return np.asarray(names[inverse], dtype=np.str_)


def by_month(
    names: npt.NDArray[np.str_],
    served: npt.NDArray[np.bool_],
    labelled: npt.NDArray[np.bool_],
    truth: Floats,
    losses: Mapping[str, Floats],
    *,
    floor: str,
    loop: str,
) -> list[Month]:
    """The table. `losses` hold (n,) row losses of each policy; `floor` is the baseline and `loop` what was served.

    `gain_kept` is the loop's gain over the floor divided by the floor: the share of the loss that is gone.
    """
    table = []
    for name in sorted(set(names.tolist())):
        rows = names == name
        judged = rows & labelled
        mean = {policy: float(loss[judged].mean()) for policy, loss in losses.items()} if judged.any() else {}
        gain = (mean[floor] - mean[loop]) / mean[floor] if mean and mean[floor] else None
        happened = float(truth[judged].mean()) if judged.any() else float("nan")
        table.append(Month(name, int((rows & served).sum()), int(judged.sum()), happened, mean, gain))
    return table


def overall(table: Sequence[Month]) -> dict[str, float]:
    """The mean over months of each policy's loss: every month counts the same."""
    filled = [month.loss for month in table if month.loss]
    return {policy: float(np.mean([loss[policy] for loss in filled])) for policy in filled[0]} if filled else {}
