"""The log as rows to train and judge on: features as they were served, joined with what became known.

In: the log, and rows of the user's `load` whose kind of DataFrame is copied. Out: Rows. Labels that were not known
before `now` are null, and rows outside the range are left out.
"""

from typing import Any

import narwhals.stable.v1 as nw
import numpy as np

from incumbent.project.rows import NEVER, Rows
from incumbent.records import Micros, Signature, moment
from incumbent.runtimes import schema
from incumbent.runtimes.signature import to_columns
from incumbent.storage.base import Log, LoggedRow


def served_rows(
    log: Log,
    like: Rows,
    signature: Signature,
    now: Micros,
    *,
    since: Micros | None = None,
    labelled: bool | None = True,
) -> Rows | None:
    """Logged rows with since <= at < now, in the order of time; None when there are none."""
    rows = [row for batch in log.scan(since, now, known_before=now, labelled=labelled) for row in batch]
    if not rows:
        return None
    at = np.array([row.prediction.at for row in rows], dtype=np.int64)
    known = np.array([NEVER if row.known_at is None else row.known_at for row in rows], dtype=np.int64)
    return Rows(_frame(rows, like, signature), like.config, at, known)


def joined(first: Rows, second: Rows) -> Rows:
    """Both, with the columns that they share, in the order of time."""
    names = [name for name in second.frame.columns if name in first.frame.columns]
    frame = nw.concat([first.frame.select(names), _typed_like(second.frame.select(names), first.frame)], how="vertical")
    at, known = np.concatenate([first.at, second.at]), np.concatenate([first.known_at, second.known_at])
    order = np.argsort(at, kind="stable")
    return Rows(frame[order.tolist()], first.config, at[order], known[order])


def _typed_like(frame: Any, other: Any) -> Any:
    """Columns with the dtypes that `other` has: a label that was never null in the log may be float in `load`."""
    wanted = {name: other.schema[name] for name in frame.columns if frame.schema[name] != other.schema[name]}
    known = {name: dtype for name, dtype in wanted.items() if dtype not in (nw.Object, nw.Unknown)}
    return frame.with_columns(*(nw.col(name).cast(dtype) for name, dtype in known.items())) if known else frame


def _frame(rows: list[LoggedRow], like: Rows, signature: Signature) -> Any:
    """A DataFrame of the same library and dtypes as `like`: features, target, and the columns that tell rows apart."""
    task = like.config.task
    columns = to_columns([row.prediction.features for row in rows], signature)
    frame = nw.from_native(schema.native(columns, signature, schema.of(like.native())), eager_only=True)
    beside: dict[str, list[Any]] = {task.target: [row.label for row in rows]}
    if task.id:
        beside[task.id] = [row.prediction.id for row in rows]
    if task.time:
        beside[task.time] = [moment(row.prediction.at) for row in rows]
    if task.label_time:
        beside[task.label_time] = [None if row.known_at is None else moment(row.known_at) for row in rows]
    new = {name: values for name, values in beside.items() if name not in signature.names}
    made = nw.from_dict(new, backend=frame.implementation)
    return nw.concat([frame, made], how="horizontal").select([*signature.names, *new])
