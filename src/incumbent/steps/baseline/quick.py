"""How well does a quick model do on so many rows? Small boosted trees, fitted on growing shares of the rows.

In: typed columns and truth of training and held-out rows. Out: the held-out outputs of each fit. The model is one that
anybody has in an afternoon: it says what a start costs, not what the best model can do.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from incumbent.records import Signature
from incumbent.runtimes.base import Columns, Floats
from incumbent.stats.metrics import Metric

ROUNDS, LEAVES, PATIENCE = 200, 31, 20
INNER = 0.2
"""Share of the rows of a fit that says when to stop."""
SMALLEST, MOST_SIZES, REPEATS = 100, 9, 3

Ints = npt.NDArray[np.int64]
Labels = npt.NDArray[np.generic]


@dataclass(frozen=True, slots=True)
class Fits:
    """`outputs[k][r]`: what the r-th fit on `sizes[k]` rows says of the held-out rows."""

    sizes: Ints
    outputs: list[list[Floats]]


def sizes_of(n_rows: int) -> Ints:
    """Halved from `n_rows` down to 100, at most 9 of them, ascending.

    >>> sizes_of(1000).tolist()
    [125, 250, 500, 1000]
    """
    halved = [n_rows >> i for i in range(MOST_SIZES) if n_rows >> i >= SMALLEST]
    return np.array(halved[::-1], dtype=np.int64)


def fits(
    columns: Columns,
    truth: Labels,
    held: Columns,
    signature: Signature,
    metric: Metric,
    *,
    seed: int = 0,
    progress: Callable[[float], None] = lambda share: None,
) -> Fits:
    """Fit on nested random shares of the rows, three draws of each but the whole."""
    rows, asked = matrices(columns, held)
    target = np.asarray(truth)
    sizes = sizes_of(len(target))
    orders = [np.random.default_rng([seed, r]).permutation(len(target)) for r in range(REPEATS)]
    outputs: list[list[Floats]] = []
    done, work = 0, sum(int(n) * (1 if n == len(target) else REPEATS) for n in sizes)
    for n in sizes:
        said = []
        for order in orders[: 1 if n == len(target) else REPEATS]:
            some = order[:n]
            said.append(_answers(rows[some], target[some], asked, signature, metric))
            done += int(n)
            progress(done / work)
        outputs.append(said)
    return Fits(sizes, outputs)


def matrices(columns: Columns, held: Columns) -> tuple[Floats, Floats]:
    """Both sides as numbers: words are numbered by their order in the training rows, unseen and null ones are NaN."""
    left: list[Floats] = []
    right: list[Floats] = []
    for name, values in columns.items():
        if values.dtype == object:
            known = {word: i for i, word in enumerate(sorted({v for v in values if v is not None}))}
            for side, words in ((left, values), (right, held[name])):
                side.append(np.array([known.get(word, np.nan) for word in words], dtype=np.float64)[:, None])
        else:
            for side, numbers in ((left, values), (right, held[name])):
                side.append(np.asarray(numbers, dtype=np.float64).reshape(len(numbers), -1))
    return np.hstack(left), np.hstack(right)


def _answers(rows: Floats, target: Labels, asked: Floats, signature: Signature, metric: Metric) -> Floats:
    """Held-out outputs of one fit: (n_held, n_classes), or (n_held,)."""
    k = len(signature.classes)
    if signature.classifies and len(np.unique(target)) == 1:  # one class only: nothing to fit
        output = np.eye(k)[np.full(len(asked), int(target[0]))]
    else:
        output = _trees(rows, target.astype(np.float64), _objective(metric, k)).predict(asked)
    if not signature.classifies:
        return np.asarray(output, dtype=np.float64)
    if output.ndim == 1:
        output = np.column_stack([1.0 - output, output])
    smoothed: Floats = (output * len(rows) + 1.0) / (len(rows) + k)  # what a few rows never showed is not impossible
    return smoothed


def _trees(rows: Floats, target: Floats, objective: dict[str, Any]) -> Any:
    """Boosted trees that stop where a fifth of the rows gets no better."""
    import lightgbm  # heavy, and needed by this step alone

    params = {
        **objective, "num_leaves": LEAVES, "learning_rate": 0.1, "max_bin": 63, "seed": 0, "num_threads": 1,
        "deterministic": True, "force_row_wise": True, "verbose": -1,
    }  # fmt: skip
    inner = max(1, round(INNER * len(rows)))
    fit_on = lightgbm.Dataset(rows[inner:], target[inner:])
    stop_by = lightgbm.Dataset(rows[:inner], target[:inner], reference=fit_on)
    stop = lightgbm.early_stopping(PATIENCE, verbose=False)
    return lightgbm.train(params, fit_on, ROUNDS, valid_sets=[stop_by], callbacks=[stop])


def _objective(metric: Metric, n_classes: int) -> dict[str, Any]:
    """What is minimised: the metric itself where the trees know it, else the likelihood."""
    if n_classes:
        return {"objective": "binary"} if n_classes == 2 else {"objective": "multiclass", "num_class": n_classes}
    if metric.name == "absolute_error":
        return {"objective": "l1"}
    if metric.name.startswith("quantile_loss_"):
        return {"objective": "quantile", "alpha": float(metric.name.rpartition("_")[2])}
    return {"objective": "l2"}
