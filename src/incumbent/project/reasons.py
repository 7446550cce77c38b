"""What `why` is told: the latest logged rows, the rows before them, and the same rows as training computes them."""

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from incumbent.errors import DataError, NotEnoughData
from incumbent.project.rows import Rows
from incumbent.records import DAY, SECOND, Micros, Signature
from incumbent.runtimes import artefact
from incumbent.runtimes.base import Columns
from incumbent.runtimes.signature import to_columns
from incumbent.stats.profile import Profile
from incumbent.steps.live.why import Case, Labels
from incumbent.storage.base import LoggedRow

if TYPE_CHECKING:
    from incumbent.project.project import Project

TWIN_TOLERANCE = 1e-5


def case(project: "Project", days: int, now: Micros) -> Case:
    """The latest `days` of the version that served most of them, against everything that was served before.

    Raises NotEnoughData where the log holds no labelled row on one of the two sides.
    """
    roles, log = project.roles(), project.facts.log
    cut = now - days * DAY
    logged = [row for batch in log.scan(None, now, known_before=now) for row in batch]
    known = [row for row in logged if row.label is not None]
    before = [row for row in known if row.prediction.at < cut]
    recent = [row for row in known if row.prediction.at >= cut]
    if not before or not recent:
        raise NotEnoughData(
            f"found {len(recent)} labelled rows in the last {days} days and {len(before)} before them, expected some "
            "on both sides: wait for outcomes, or choose other --days"
        )
    version = roles.versions[Counter(row.prediction.served_by for row in recent).most_common(1)[0][0]]
    latest = [row for row in recent if row.prediction.served_by == version.name]
    signature = version.signature
    truth = [signature.classes.index(row.label) if signature.classifies else row.label for row in known]
    outputs = np.array([row.prediction.output for row in known], dtype=np.float64)
    outputs = outputs if signature.classifies else outputs[:, 0]
    losses = project.row_loss(outputs, np.array(truth))
    place = {row.prediction.id: i for i, row in enumerate(known)}
    now_at = np.array([place[row.prediction.id] for row in latest])
    past_at = np.array([place[row.prediction.id] for row in before])
    stored = artefact.profile(project.facts.blobs, version.manifest) or {}
    window = int(project.config.live.window_hours * 3600 * SECOND)
    ripe = [row for row in logged if row.prediction.at < now - window]
    recomputed = _recomputed(project, [row.prediction.id for row in latest], now)
    return Case(
        subject=version.name, metric=project.metric, columns=_as_served(project, latest, signature, recomputed),
        outputs=outputs[now_at], truth=np.array(truth)[now_at], past_losses=losses[past_at],
        profiles={name: Profile.from_dict(one) for name, one in stored.items()},
        predict=project.predictor(version.name).predict, tolerance=TWIN_TOLERANCE,
        recomputed=recomputed,
        labels_before=_labels([row for row in ripe if row.prediction.at < cut], window),
        labels_now=_labels([row for row in ripe if row.prediction.at >= cut], window),
        blocks=np.array([row.prediction.at // DAY for row in latest]),
        past_blocks=np.array([row.prediction.at // DAY for row in before]),
    )  # fmt: skip


def _labels(rows: list[LoggedRow], window: Micros) -> Labels:
    """How labels came in within the window after the prediction, which must be over: later rows would seem to lack
    theirs."""
    delays = [float(row.known_at - row.prediction.at) for row in rows if row.known_at is not None]
    within = [delay for delay in delays if delay <= window]
    return Labels(len(rows), len(within), within)


def _as_served(
    project: "Project", rows: list[LoggedRow], signature: Signature, recomputed: Columns | None
) -> Columns:
    """Features from the log; private ones, which the log holds hashed, as `load` gives them now."""
    private = set(project.config.task.private) & set(signature.names)
    if not private:
        return to_columns([row.prediction.features for row in rows], signature)
    if recomputed is None:
        raise DataError(
            f"the log holds {', '.join(sorted(private))} hashed (task.private), and load() does not give these rows "
            "by task.id: they cannot be looked at again"
        )
    hidden = dict.fromkeys(private)
    columns = to_columns([{**row.prediction.features, **hidden} for row in rows], signature)
    return {**columns, **{name: recomputed[name] for name in private}}


def _recomputed(project: "Project", ids: list[str], now: Micros) -> Columns | None:
    """The same rows as `load` gives them now; None where rows cannot be told apart, or one is gone."""
    task = project.config.task
    if project.code is None or not task.id:
        return None
    rows: Rows = project.rows(now)
    places = {one: i for i, one in enumerate(rows.texts(task.id))}
    if any(one not in places for one in ids):
        return None
    same = rows.at_places(np.array([places[one] for one in ids], dtype=np.int64))
    return dict(same.columns(project.signature(rows)))
