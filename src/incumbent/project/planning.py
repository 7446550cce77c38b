"""What could the held-out rows of a project show, and does the gate hold its level on losses like these?

In: the project's held-out rows, and what its versions say of them. Out: plans, and scenarios to simulate. Asks no
candidate anything and writes nothing: it is no look.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from incumbent.errors import DataError
from incumbent.project import asking
from incumbent.project.rows import Rows
from incumbent.records import Micros
from incumbent.runtimes.base import Floats
from incumbent.steps import gate as step
from incumbent.steps.gate import simulate
from incumbent.steps.gate.scenarios import Scenario

if TYPE_CHECKING:
    from incumbent.project.project import Project

MOST_OTHERS = 4


@dataclass(frozen=True, slots=True)
class _Judged:
    """The held-out rows, and what the incumbent says of them."""

    rows: Rows
    truth: npt.NDArray[Any]
    said: Floats
    incumbent: str


def plan(project: "Project", rows: Any, now: Micros) -> list[step.Plan]:
    """What these rows show of a candidate that is as unlike the incumbent as other versions are.

    Where there is no other version: of one whose losses go with the incumbent's at a correlation of .5, so that the
    losses differ as much as they vary. Empty where the metric has no row loss either.
    """
    judged, settings, plans = _judged(project, rows, now), project.config.gate, []
    blocks, asked = judged.rows.blocks(), [settings.better_by]
    for name, output in _others(project, judged, now):
        found = step.difference(project.metric, judged.truth, judged.said, output, blocks, settings)
        if not isinstance(found, str):
            plans.append(step.plan(name, found, asked))
    if not plans and project.metric.row_loss is not None:
        losses = project.row_loss(judged.said, judged.truth)
        found = step.of_losses(losses, np.zeros(len(losses)), blocks, settings)
        if not isinstance(found, str):
            plans.append(step.plan("losses that correlate at .5", found, asked))
    return plans


def own(project: "Project", rows: Any, now: Micros) -> list[Scenario]:
    """A/A on the incumbent's own held-out losses: candidates as unlike it as other versions are, and just as good."""
    judged = _judged(project, rows, now)
    losses, blocks = project.row_loss(judged.said, judged.truth), judged.rows.blocks()
    found = [
        simulate.ours(
            f"equal, as unlike {judged.incumbent} as {name} is", losses, project.row_loss(output, judged.truth), blocks,
            project.config.gate,
        )
        for name, output in _others(project, judged, now)
    ]  # fmt: skip
    if not found:
        raise DataError("found no version beside the incumbent: an equal candidate is made from how two differ")
    return found


def _judged(project: "Project", rows: Any, now: Micros) -> _Judged:
    incumbent = project.incumbent()
    _, held_out = project.gate.split(project.known(rows, now))
    held_out = asking.bounded(project, held_out, [incumbent, *_names(project, incumbent)])
    signature = project.version(incumbent).signature
    said, _ = asking.of(project, incumbent, held_out.columns(signature), now)
    return _Judged(held_out, held_out.truth(signature), said, incumbent)


def _names(project: "Project", incumbent: str) -> list[str]:
    """The latest versions that answer new rows, beside the incumbent."""
    versions = project.roles().versions
    return [name for name, one in versions.items() if one.answers and name != incumbent][-MOST_OTHERS:]


def _others(project: "Project", judged: _Judged, now: Micros) -> Iterator[tuple[str, Floats]]:
    """What they say."""
    for name in _names(project, judged.incumbent):
        signature = project.version(name).signature
        yield name, asking.of(project, name, judged.rows.columns(signature), now)[0]
