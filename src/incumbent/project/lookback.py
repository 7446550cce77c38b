"""What would another policy have earned? From a file of logged decisions with their probabilities.

In: rows of a file, and the names of its columns. Out: evidence of `steps.live.lookback`. Knows no project (that is
`project.decisions`). A wrong cell is a RowError that names row (from 0), column, value and what was expected.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from incumbent.errors import ConfigError, DataError, NotEnoughData, RowError
from incumbent.records import Evidence, Micros
from incumbent.stats import offpolicy
from incumbent.stats.metrics import Floats
from incumbent.steps.live import lookback as step
from incumbent.steps.live.lookback import Logged

THE_NEW, THE_OLD = "the new policy", "the logged one"


@dataclass(frozen=True, slots=True)
class Columns:
    """The names of the columns of a file of decisions; empty: none.

    `policy` is the probability of what was done under the new policy. `model` and `model_new` are what a reward model
    expects of what was done, and of the new policy. `unit` names rows that depend on each other. `context` are numbers
    that a reward model may read, where the new policy is another log.
    """

    reward: str
    propensity: str
    policy: str = ""
    action: str = ""
    unit: str = ""
    model: str = ""
    model_new: str = ""
    context: tuple[str, ...] = ()


def of_file(
    rows: pd.DataFrame, names: Columns, *, at: Micros, subject: str = THE_NEW, reference: str = THE_OLD
) -> Evidence:
    """A look back at a file that says how likely the new policy does what was done."""
    expected = None
    if names.model or names.model_new:
        if not (names.model and names.model_new):
            raise ConfigError("--model and --model-new go together: expected of what was done, and of the new policy")
        expected = _numbers(rows, names.model), _numbers(rows, names.model_new)
    chance = _numbers(rows, names.policy, _share, "a probability from 0 to 1")
    logged = Logged(_rewards(rows, names), chance / _propensity(rows, names), None, _units(rows, names), expected)
    return step.lookback(logged, subject=subject, reference=reference, at=at, reward=names.reward)


def of_logs(
    rows: pd.DataFrame,
    other: pd.DataFrame,
    names: Columns,
    *,
    at: Micros,
    subject: str = THE_NEW,
    reference: str = THE_OLD,
) -> list[Evidence]:
    """A look back at a file, where the new policy is what made another file of the same actions.

    Its probability of an action is taken to be the action's share in `other`, whatever the context. Where columns of
    `context` are named, a cross-fitted reward model makes the look back doubly robust. Where `other` has rewards too, a
    second Evidence sets the two logs side by side: that is what was measured, and it comes first.
    """
    if not names.action:
        raise ConfigError("--new needs --action: the column that names what was done")
    rewards, groups = _rewards(rows, names), _units(rows, names)
    labels, actions = np.unique(_texts(rows, names.action), return_inverse=True)
    theirs = pd.Series(_texts(other, names.action)).value_counts(normalize=True)
    shares = theirs.reindex(labels, fill_value=0.0).to_numpy(dtype=np.float64)
    weights = shares[actions] / _propensity(rows, names)
    expected = None
    if names.context and shares.sum() > 0.0:
        features = np.column_stack([_numbers(rows, one) for one in names.context])
        expected = offpolicy.cross_fitted(rewards, actions.astype(np.int64), shares, features, groups=groups)
    logged = Logged(rewards, weights, None, groups, expected)
    found = [step.lookback(logged, subject=subject, reference=reference, at=at, reward=names.reward)]
    if names.reward in other:
        measured = step.side_by_side(
            _rewards(other, names), rewards, subject=subject, reference=reference, at=at, reward=names.reward
        )
        found.insert(0, measured)
    return found


# --- cells of a file


def _share(values: Floats) -> npt.NDArray[np.bool_]:
    return (values >= 0.0) & (values <= 1.0)


def _rewards(rows: pd.DataFrame, names: Columns) -> Floats:
    return _numbers(rows, names.reward)


def _propensity(rows: pd.DataFrame, names: Columns) -> Floats:
    expected = "the probability with which it was done, above 0 and at most 1"
    return _numbers(rows, names.propensity, lambda values: (values > 0.0) & (values <= 1.0), expected)


def _numbers(
    rows: pd.DataFrame,
    name: str,
    holds: Callable[[Floats], npt.NDArray[np.bool_]] = np.isfinite,
    expected: str = "a finite number",
) -> Floats:
    """A column as numbers. RowError for the first cell that is none, or that does not hold."""
    values = _column(rows, name)
    found: Floats = pd.to_numeric(values, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    good = np.isfinite(found)
    good[good] = holds(found[good])
    if not good.all():
        row = int(np.argmin(good))
        raise RowError(row, name, _cell(values.iloc[row]), expected)
    return found


def _texts(rows: pd.DataFrame, name: str) -> npt.NDArray[Any]:
    values = _column(rows, name)
    if values.isna().any():
        raise RowError(int(np.argmax(values.isna().to_numpy())), name, None, "the name of what was done")
    return np.asarray(values.astype(str))


def _units(rows: pd.DataFrame, names: Columns) -> npt.NDArray[np.int64] | None:
    """Numbers of the units; a row without one stands for itself."""
    if not names.unit:
        return None
    codes = np.array(pd.factorize(_column(rows, names.unit))[0], dtype=np.int64)
    alone = codes < 0
    codes[alone] = codes.max(initial=-1) + 1 + np.arange(alone.sum())
    return codes


def _column(rows: pd.DataFrame, name: str) -> "pd.Series[Any]":
    if name not in rows:
        raise DataError(f"column {name!r}: no such column; found {', '.join(map(str, rows.columns))}")
    if not len(rows):
        raise NotEnoughData("the file holds no row")
    return rows[name]


def _cell(value: Any) -> Any:
    """A cell as a person wrote it: a null is None, a number no numpy type."""
    if value is None or value != value:
        return None
    return value.item() if isinstance(value, np.generic) else value
