"""Would a trial on this project's traffic keep its promises? Its own log, dealt into two equal arms again and again.

In: the rows of the last 28 days and what became known of them, blocks of the latest shadow. Out: scenarios to run.
Reads the log and writes nothing: it is no look, and no trial needs to run.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from incumbent.errors import DataError
from incumbent.loop import route
from incumbent.records import DAY, SECOND, Arm, Label, Micros, Routes, Signature
from incumbent.runtimes.base import Floats
from incumbent.runtimes.signature import label_index
from incumbent.stats.metrics import LARGEST_LOSS
from incumbent.steps.live import simulating
from incumbent.steps.live.simulating import own
from incumbent.steps.live.simulating.blocks import merge
from incumbent.steps.live.simulating.scenarios import Scenario
from incumbent.steps.live.trial import BLOCK
from incumbent.storage.base import BlockSum, LoggedRow

if TYPE_CHECKING:
    from incumbent.project.project import Project

DAYS = 28


def made_up() -> Sequence[Scenario]:
    """Every made-up scenario, with the assignment that requests go through."""
    return simulating.all_of(arms)


def arms(now: Routes) -> Callable[[str], Arm | None]:
    """The arm of each unit, as the server assigns it."""
    assign = route.Router(now).assign
    return lambda unit: assign(unit).arm


def of_log(project: "Project", now: Micros) -> Sequence[Scenario]:
    """A split of the log's units, and a shadow of its latest pair, where there was one.

    DataError where the log holds too little for either, saying what it holds and what is expected.
    """
    live, scenarios, found = project.config.live, [], _rows(project, now)
    lacks = own.lacks(found, live)
    if not lacks:
        scenarios.append(own.split(found, live))
    pair, blocks = _pair(project, now)
    if pair and len(blocks) >= own.LEAST_BLOCKS:
        scenarios.append(own.shadow(" and ".join(pair), blocks, BLOCK, live))
    if not scenarios:
        paired = f"{len(blocks)} blocks of pairs, expected {own.LEAST_BLOCKS}" if pair else "no shadow ran yet"
        raise DataError(
            f"the log of the last {DAYS} days is too little to rehearse a trial on: a split found {lacks}; {paired}. "
            "Let it answer for longer (labels count once live.window_hours are over), or simulate without --own."
        )
    return scenarios


def _rows(project: "Project", now: Micros) -> own.Rows:
    """Served rows in the order of time. Of a unit only what counts in a trial: `live.unit_days` from its first row."""
    live, signature = project.config.live, project.version(project.incumbent()).signature
    window, unit_window = (round(days * DAY) for days in (live.window_hours / 24.0, live.unit_days))
    budget = live.latency_budget_ms or project.config.plan.latency_budget_ms
    at, units, losses, failed, slow = [], [], [], [], []
    first: dict[str, Micros] = {}
    for batch in project.facts.log.scan(now - DAYS * DAY, now, known_before=now):
        open_until = [first.setdefault(_unit(row), row.prediction.at) + unit_window for row in batch]
        kept = [row for row, end in zip(batch, open_until, strict=True) if row.prediction.at < end]
        losses.append(_losses(project, signature, kept, window))
        at += [row.prediction.at for row in kept]
        units += [_unit(row) for row in kept]
        failed += [row.prediction.fallback_reason is not None for row in kept]
        slow += [row.prediction.latency_us > 1_000.0 * budget for row in kept]
    if not at:
        raise DataError(f"found no answered row in the last {DAYS} days: there is nothing to rehearse a trial on")
    return own.Rows(
        np.array(at, dtype=np.int64),
        np.unique(units, return_inverse=True)[1].astype(np.int64),
        np.concatenate(losses),
        np.array(failed, dtype=np.bool_),
        np.array(slow, dtype=np.bool_) if budget else None,
    )


def _unit(row: LoggedRow) -> str:
    """A row without a unit is a unit by itself."""
    one = row.prediction
    return f"id\x1f{one.id}" if one.unit is None else one.unit


def _losses(project: "Project", signature: Signature, rows: list[LoggedRow], window: Micros) -> Floats:
    """The loss of what was served; NaN where no label came inside the row's window."""
    losses = np.full(len(rows), np.nan)
    known: list[int] = []
    labels: list[Label] = []
    for i, row in enumerate(rows):
        if row.label is not None and row.known_at is not None and row.known_at < row.prediction.at + window:
            known.append(i)
            labels.append(row.label)
    if known:
        outputs = np.array([rows[i].prediction.output for i in known], dtype=np.float64)
        truth = label_index(labels, signature) if signature.classifies else np.array(labels, dtype=np.float64)
        said = outputs if signature.classifies else outputs[:, 0]
        losses[known] = np.minimum(project.row_loss(said, truth), LARGEST_LOSS)
    return losses


def _pair(project: "Project", now: Micros) -> tuple[tuple[str, str] | None, list[BlockSum]]:
    """Incumbent and challenger of the latest shadow, or the watched pair, and their merged blocks."""
    live, log = project.config.live, project.facts.log
    started = [event.data["trial"] for event in project.facts.ledger.events(types=["TrialStarted"])]
    pairs = [(str(one["incumbent"]), str(one["challenger"])) for one in started if one["mode"] == "shadow"]
    if not pairs:
        return None, []
    until = now - round(live.window_hours * 3600 * SECOND)
    blocks = log.block_sums(*pairs[-1], BLOCK, now - DAYS * DAY, until, now)
    return pairs[-1], merge(blocks)
