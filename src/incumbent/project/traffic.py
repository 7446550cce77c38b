"""The logged traffic as columns: when, which unit, what was lost; and what another version would have lost on it.

In: the log, and a version to ask again. Out: arrays for a plan or a look back. Writes nothing. At most the latest
MOST_ROWS rows are read, whole days of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from incumbent.errors import DataError, DecisionRefused, NotEnoughData
from incumbent.records import DAY, Evidence, Micros, Version
from incumbent.runtimes.signature import label_index, to_columns
from incumbent.stats.metrics import LARGEST_LOSS, Floats
from incumbent.steps.live import growth
from incumbent.steps.live import plan as step
from incumbent.steps.live.pairs import merge
from incumbent.steps.live.trial import BLOCK
from incumbent.storage.base import LoggedRow

if TYPE_CHECKING:
    from incumbent.project.project import Project

DAYS = 28
MOST_ROWS = 500_000
NEVER = np.iinfo(np.int64).max
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class _Columns:
    """A batch of rows as arrays; `loss` of what was served, `other` of the version that was asked again."""

    at: Ints
    known_at: Ints
    loss: Floats
    other: Floats


def plan(project: "Project", version: str | None, effect: float | None, now: Micros) -> Evidence:
    """What a trial could show: see `steps.live.plan`. `version` None: the latest that is not a rule, if there is one.

    NotEnoughData where nothing was answered yet; DecisionRefused for the incumbent itself.
    """
    incumbent = project.incumbent()
    candidate = _candidate(project, incumbent) if version is None else project.version(version).name
    if candidate == incumbent:
        raise DecisionRefused(f"{incumbent} is the incumbent: name the version that wants its place")
    since = began(project, now)
    shadow = _shadow(project, incumbent, candidate, since, now)
    again = candidate if candidate and not shadow and project.version(candidate).answers else None
    traffic, other = _read(project, incumbent, again, since, now)
    pairs = shadow
    if again and pairs is None:
        window = round(project.config.live.window_hours * step.HOUR)
        rows = growth.matured(traffic.at, traffic.known_at, traffic.loss, now, window)
        both = rows.counts & np.isfinite(other)
        variances = (float(traffic.loss[both].var()), float(other[both].var())) if both.any() else None
        pairs = step.Pairs("replay", growth.blocks(traffic.at, traffic.loss, rows, BLOCK, other), variances)
    return step.plan(
        traffic, project.config.live, project.metric, now, incumbent=incumbent, candidate=candidate, pairs=pairs,
        effect=effect, assigns=bool(project.config.task.unit),
    )  # fmt: skip


def _candidate(project: "Project", incumbent: str) -> str | None:
    """The latest version that could be tried."""
    versions = project.roles().versions.values()
    names = [one.name for one in versions if one.answers and one.runtime != "rule" and one.name != incumbent]
    return names[-1] if names else None


def began(project: "Project", now: Micros) -> Micros:
    """Where the stretch begins: 28 days ago, with the first answer, or so that MOST_ROWS rows are read."""
    totals = project.facts.log.totals()
    if totals.first_at is None or totals.first_at >= now:
        raise NotEnoughData("the log holds no answer yet: serve the incumbent for a week, send outcomes, and ask again")
    since, rows = max(totals.first_at, now - DAYS * DAY), 0
    for day in reversed(project.facts.log.period_sums(DAY, since, now, now, offset=-since)):
        rows += day.rows
        if rows > MOST_ROWS:
            return min(since + (day.period + 1) * DAY, now - DAY)
    return since


def _shadow(
    project: "Project", incumbent: str, candidate: str | None, since: Micros, now: Micros
) -> step.Pairs | None:
    """Pairs from a shadow of the candidate, where there are blocks enough for a variance."""
    if candidate is None:
        return None
    until = now - round(project.config.live.window_hours * step.HOUR)
    blocks = project.facts.log.block_sums(incumbent, candidate, BLOCK, since, until, now)
    return step.Pairs("shadow", blocks) if len(merge(blocks)) >= step.MIN_PAIRED else None


def _read(
    project: "Project", incumbent: str, again: str | None, since: Micros, now: Micros
) -> tuple[step.Traffic, Floats]:
    """The rows, and the losses of the version that was asked again (NaN where it was not)."""
    units: dict[str, int] = {}
    parts: list[_Columns] = []
    codes: list[int] = []
    asked = project.version(again) if again else None
    for batch in project.facts.log.scan(since, now, known_before=now):
        parts.append(_columns(project, batch, incumbent, asked))
        for row in batch:
            unit = row.prediction.unit
            codes.append(-1 if unit is None else units.setdefault(unit, len(units)))
    if not parts:
        raise NotEnoughData(f"the log holds no answer of the last {DAYS} days: serve for a week, and ask again")
    at, known, loss, other = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("at", "known_at", "loss", "other")
    )
    return step.Traffic(since, at, known, np.array(codes, dtype=np.int64), loss), other


def _columns(project: "Project", batch: Sequence[LoggedRow], incumbent: str, asked: Version | None) -> _Columns:
    at = np.array([row.prediction.at for row in batch], dtype=np.int64)
    known = np.array([NEVER if row.known_at is None else row.known_at for row in batch], dtype=np.int64)
    loss, other = np.full(len(batch), np.nan), np.full(len(batch), np.nan)
    labelled = np.array([row.label is not None for row in batch])
    if labelled.any():
        rows = [row for row in batch if row.label is not None]
        loss[labelled] = losses(project, [row.prediction.output for row in rows], rows)
    if asked is not None:
        mine = labelled & np.array([row.prediction.served_by == incumbent for row in batch])
        mine &= at >= (asked.trained_until or 0)  # what it was trained on flatters it
        if mine.any():
            rows = [row for row, is_mine in zip(batch, mine, strict=True) if is_mine]
            said = project.predict(asked.name, to_columns([row.prediction.features for row in rows], asked.signature))
            other[mine] = losses(project, said, rows)
    return _Columns(at, known, loss, other)


def losses(project: "Project", said: Any, rows: Sequence[LoggedRow]) -> Floats:
    """(n,) row losses of what was said of labelled rows, as the log would keep them."""
    signature = project.version(project.incumbent()).signature
    output = np.asarray(said, dtype=np.float64)
    if not signature.classifies:
        output = output.reshape(len(rows), -1)[:, 0]
    labels = [row.label for row in rows if row.label is not None]
    if len(labels) != len(rows):
        raise DataError("a row without a label has no loss")
    truth: Any = label_index(labels, signature) if signature.classifies else np.asarray(labels, dtype=np.float64)
    return np.minimum(project.row_loss(output, truth), LARGEST_LOSS)
