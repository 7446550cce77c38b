"""Rows of a task, with the order of time and what was known when.

In: any DataFrame that the user's `load` returns. Out: `Rows`, which never shows a label before it was known.
Trains nothing and reads no store.
"""

from dataclasses import dataclass
from typing import Any

import narwhals.stable.v1 as nw
import numpy as np
import numpy.typing as npt

from incumbent.config import Config
from incumbent.errors import DataError
from incumbent.records import Label, Micros, Signature
from incumbent.runtimes import frames, signature
from incumbent.runtimes.base import Columns
from incumbent.stats.compare import day_blocks, season_blocks

Ints = npt.NDArray[np.int64]
NEVER = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True)
class Rows:
    """A DataFrame with its times: `at` (n,) of each row, `known_at` (n,) of its label (NEVER where none came).

    Without `task.time` rows keep their order and count as known: `at` is 0 for each.
    """

    frame: Any
    config: Config
    at: Ints
    known_at: Ints

    def __len__(self) -> int:
        return len(self.at)

    def where(self, mask: npt.NDArray[np.bool_]) -> "Rows":
        """The rows for which `mask` (n,) holds, in the same order."""
        return self if mask.all() else self.at_places(np.flatnonzero(mask))

    def at_places(self, picked: npt.NDArray[np.int64]) -> "Rows":
        """The rows with these numbers."""
        return Rows(self.frame[picked.tolist()], self.config, self.at[picked], self.known_at[picked])

    def as_fed(self, native: Any) -> "Rows":
        """The same rows with other values, as a feed delivers them; a label that is gone is not known any more."""
        frame = nw.from_native(native, eager_only=True)
        if len(frame) != len(self):
            raise DataError(f"the feed returned {len(frame)} rows for {len(self)}, expected the same rows")
        lost = frame[self.config.task.target].is_null().to_numpy().astype(bool)
        return Rows(frame, self.config, self.at, np.where(lost, NEVER, self.known_at))

    def between(self, since: Micros | None, until: Micros | None) -> "Rows":
        """Rows with since <= at < until."""
        low = since if since is not None else np.iinfo(np.int64).min
        return self.where((self.at >= low) & (self.at < (until if until is not None else NEVER)))

    def labelled(self, now: Micros | None = None) -> "Rows":
        """Rows whose label was known before `now` (any time when None)."""
        return self.where(self.known_at < (NEVER if now is None else now))

    def training_frame(self) -> Any:
        """What the user's `train` gets: features and target, in the user's own kind of DataFrame."""
        names = [*frames.feature_names(self.frame, self.config.task), self.config.task.target]
        return nw.to_native(self.frame.select(names))

    def native(self) -> Any:
        return nw.to_native(self.frame)

    def columns(self, sig: Signature) -> Columns:
        """Typed feature columns as a predictor takes them."""
        return frames.columns(self.frame, sig)

    def labels(self) -> list[Label | None]:
        return frames.labels(self.frame, self.config.task)

    def truth(self, sig: Signature) -> npt.NDArray[Any]:
        """(n,) class indices, or (n,) numbers. All rows must be labelled."""
        values = self.labels()
        if sig.classifies:
            return signature.label_index([v for v in values if v is not None], sig)
        return np.asarray(values, dtype=np.float64)

    def blocks(self) -> npt.NDArray[np.int64] | None:
        """(n,) numbers of rows that may depend on each other; None where each stands for itself.

        Local days; in a forecast whole seasons of at least 20 steps: row by row, 36 % of useless candidates pass.
        `gate.block = "group"`: rows of one unit, or of one value of `gate.block_column` (null: a group of its own).
        """
        gate, task = self.config.gate, self.config.task
        if gate.block == "group":
            return self._groups(gate.block_column or task.unit)
        if not task.time or gate.block == "row":
            return None
        if gate.block == "season" or task.kind == "forecast":
            steps, step = np.unique(self.at, return_inverse=True)
            return season_blocks(len(steps), max(task.season, 1))[step] if len(steps) else step
        return self._local_days()

    def units(self) -> npt.NDArray[np.int64] | None:
        """(n,) a number for the unit of each row (`task.unit`; the group of `gate.block = "group"`), whose rows belong
        together; None where none is named."""
        gate = self.config.gate
        column = (gate.block_column if gate.block == "group" else "") or self.config.task.unit
        return self._groups(column) if column else None

    def days(self) -> npt.NDArray[np.str_] | None:
        """(n,) the local day of each row as an ISO date, to name a broken one; None where rows have no time."""
        if not self.config.task.time:
            return None
        return np.asarray(self._local_days().astype("M8[D]").astype(str))

    def _local_days(self) -> npt.NDArray[np.int64]:
        return day_blocks(self.at.astype("M8[us]"), self.config.task.timezone or "UTC")

    def _groups(self, column: str) -> npt.NDArray[np.int64]:
        if column not in self.frame.columns:
            found = ", ".join(self.frame.columns)
            raise DataError(f'gate.block = "group": found no column {column!r} among the rows; found {found}')
        places: dict[Any, int] = {}
        alone = ((None, i) for i in range(len(self)))
        return np.array(
            [places.setdefault(one if v is None or v != v else v, len(places))
             for v, one in zip(self.frame[column].to_list(), alone, strict=True)], dtype=np.int64
        )  # fmt: skip

    def texts(self, column: str) -> list[str | None]:
        """A column as text: ids and units are strings in the log (a float is refused: 1.0 and 1 would differ)."""
        values = self.frame[column].to_list()
        if any(isinstance(v, float) and v == v for v in values):
            raise DataError(f"column {column!r} holds floats, expected text or integers to identify rows or units")
        return [None if v is None or v != v else str(v) for v in values]


def read(native: Any, config: Config) -> Rows:
    """Rows from the user's DataFrame, in the order of time.

    Raises DataError when the target or a declared column is missing, when ids repeat, or when a time is null.
    """
    frame = nw.from_native(native, eager_only=True)
    task = config.task
    for key in ("target", "time", "label_time", "unit", "id", "series"):
        name = getattr(task, key)
        if name and name not in frame.columns:
            raise DataError(f"task.{key} = {name!r}: no such column; found {', '.join(frame.columns)}")
    if task.id and frame[task.id].is_duplicated().any():
        twice = frame.filter(nw.col(task.id).is_duplicated())[task.id].to_list()[0]
        raise DataError(f"task.id = {task.id!r}: {twice!r} stands in more than one row, expected one row an id")
    if task.kind == "forecast":
        frame = nw.from_native(frames.lag_frame(nw.to_native(frame), task), eager_only=True)
    present = ~frame[task.target].is_null().to_numpy().astype(bool)
    at = np.zeros(len(frame), dtype=np.int64)
    if task.time:
        at = frames.times(frame, task.time, config)
        if (at == NEVER).any():
            raise DataError(f"task.time = {task.time!r}: row {int(np.argmax(at == NEVER))} has no time")
    known = frames.times(frame, task.label_time, config) if task.label_time else at
    rows = Rows(frame, config, at, np.where(present, known, NEVER))
    order = np.argsort(at, kind="stable")
    if (order[1:] > order[:-1]).all():
        return rows
    return Rows(frame[order.tolist()], config, at[order], rows.known_at[order])
