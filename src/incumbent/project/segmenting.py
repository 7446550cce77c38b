"""The gain of a trial by segments, from the log: read, computed and kept for the pages. Exploratory.

In: a trial, the log, the incumbent's training profile. Out: JSON values under `segments-<trial>` of the store's
findings, and a picture; at most once an hour of task time, for they are costly. A shadow's rows are scored by the
challenger again, from the features as they were served; one behind an address is asked nothing, and that is said.
Records nothing on the ledger, and decides nothing.
"""

import json
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from incumbent.loop.trials import Past, trials
from incumbent.project import asking
from incumbent.records import SECOND, Column, Json, Micros, Signature, moment
from incumbent.runtimes import artefact
from incumbent.runtimes.signature import label_index, to_columns
from incumbent.stats import profile as profiles
from incumbent.stats.metrics import Floats
from incumbent.stats.profile import Profile
from incumbent.steps.live import segments
from incumbent.steps.live.segments import Segments
from incumbent.storage.base import LoggedRow
from incumbent.storage.pictures import FINDINGS, Pictures

if TYPE_CHECKING:
    from incumbent.project.project import Project

HOUR: Micros = 3600 * SECOND
MOST_ROWS = 50_000
"""The first labelled rows of the phase that are read: reading more would hold the ticker up."""
MOST_SCANNED = 20 * MOST_ROWS
QUARTILES = (0.25, 0.5, 0.75)
TYPES = ("integer", "number", "boolean", "string")
NOT_ASKED = (
    "A shadow's segments need its challenger's word on up to {rows:,} rows once more. {name} answers at an address "
    "({address}), and is not asked for that."
)


def due(project: "Project", now: Micros) -> Past | None:
    """The trial whose segments are to be found now: the one that runs, or the last, if it was not looked at within the
    last hour (of task time) or since its end."""
    if project.metric.row_loss is None:
        return None
    past = next(reversed(list(trials(project.facts.ledger.events()).values())), None)
    if past is None:
        return None
    kept = findings(project).index().get(f"segments-{past.name}")
    if kept is None:
        return past
    if past.ended_at is not None:
        return past if kept.at < past.ended_at else None
    return past if now - kept.at >= HOUR else None


def find(project: "Project", past: Past, now: Micros) -> dict[str, Json] | None:
    """The segments of a trial as JSON values; None where there are too few rows, units or days, or where private
    columns keep the challenger from being asked again. None are found of a shadow whose challenger is behind an address
    (it would be asked on the ticker's thread, for as long as that takes): `not_asked` says so."""
    if (why := _not_asked(project, past)) is not None:
        none: dict[str, Json] = {"overall": None, "segments": [], "left_out": 0, "said": why, "not_asked": True}
        return {**none, **_of(project, past, now)}
    rows = list(_rows(project, past, now))
    if not rows:
        return None
    signature = project.version(past.trial["incumbent"]).signature
    found = (_split if past.trial["mode"] == "split" else _shadow)(project, past, rows, signature)
    if found is None:
        return None
    told = found.to_dict()
    if len(rows) == MOST_ROWS:
        told["said"] = f"The first {MOST_ROWS:,} labelled rows of the phase. {told['said']}"
    return {**told, **_of(project, past, now)}


def _of(project: "Project", past: Past, now: Micros) -> dict[str, Json]:
    return {"metric": project.metric.name, "at": now, "trial": past.name, "phase": past.trial.get("phase", 1)}


def _not_asked(project: "Project", past: Past) -> str | None:
    """Why the challenger is not asked again; None where nothing keeps it from that."""
    version = project.version(past.trial["challenger"])
    if past.trial["mode"] != "shadow" or not asking.is_remote(version):
        return None
    return NOT_ASKED.format(rows=MOST_ROWS, name=version.name, address=version.description)


def keep(project: "Project", past: Past, found: Mapping[str, Json] | None, now: Micros) -> None:
    """Keep what was found (nothing, too, so that the next tick does not look again) where the pages find it."""
    content = json.dumps(found, sort_keys=True, ensure_ascii=False).encode()
    findings(project).put(f"segments-{past.name}", content, now)


def findings(project: "Project") -> Pictures:
    return Pictures(project.config.store_path, project.facts.blobs, FINDINGS)


def _rows(project: "Project", past: Past, now: Micros) -> Iterator[LoggedRow]:
    """The trial's matured rows whose label came inside its window, the first `MOST_ROWS`."""
    window = int(project.config.live.window_hours * 3600 * SECOND)
    since = past.trial.get("phase_started_at") or past.trial["started_at"]
    until = min(past.ended_at if past.ended_at is not None else now, now) - window
    scanned = project.facts.log.scan(since, max(until, since), known_before=now, labelled=True)
    rows = (row for batch in scanned for row in batch)
    return islice((row for row in islice(rows, MOST_SCANNED) if _counts(row, past, window)), MOST_ROWS)


def _counts(row: LoggedRow, past: Past, window: Micros) -> bool:
    one, trial = row.prediction, past.trial
    if row.known_at is None or row.known_at >= one.at + window:
        return False
    if trial["mode"] == "shadow":
        return bool(one.served_by == trial["incumbent"])
    mine = one.trial == past.name and one.phase == trial.get("phase", 1)
    return mine and one.arm in ("challenger", "incumbent")


def _split(project: "Project", past: Past, rows: list[LoggedRow], signature: Signature) -> Segments | None:
    columns, cuts = _shown(project, past, rows, signature)
    return segments.of_split(
        columns,
        cuts,
        _losses(project, rows, _served(rows, signature), signature),
        np.array([row.prediction.arm == "challenger" for row in rows]),
        np.array([row.prediction.unit or row.prediction.id for row in rows]),
    )


def _shadow(project: "Project", past: Past, rows: list[LoggedRow], signature: Signature) -> Segments | None:
    challenger = project.version(past.trial["challenger"])
    if set(project.config.task.private) & set(challenger.signature.names):
        return None
    features = [row.prediction.features for row in rows]
    again = project.predict(challenger.name, to_columns(features, challenger.signature))
    columns, cuts = _shown(project, past, rows, signature)
    gains = _losses(project, rows, _served(rows, signature), signature) - _losses(project, rows, again, signature)
    zone = project.config.zone
    days = np.array([moment(row.prediction.at).astimezone(zone).toordinal() for row in rows], dtype=np.int64)
    return segments.of_shadow(columns, cuts, gains, days)


def _served(rows: list[LoggedRow], signature: Signature) -> Floats:
    outputs = np.array([row.prediction.output for row in rows], dtype=np.float64)
    return outputs if signature.classifies else outputs[:, 0]


def _losses(project: "Project", rows: list[LoggedRow], outputs: Floats, signature: Signature) -> Floats:
    labels = [row.label for row in rows if row.label is not None]
    truth: npt.NDArray[Any] = (
        label_index(labels, signature) if signature.classifies else np.array(labels, dtype=np.float64)
    )
    return project.row_loss(outputs, truth)


def _shown(
    project: "Project", past: Past, rows: list[LoggedRow], signature: Signature
) -> tuple[dict[str, Any], dict[str, list[float]]]:
    """The columns that may be segments, and the quartiles of the numbers: of the incumbent's training rows, or of these
    rows where there is no profile. Who is assigned is none, nor what is private."""
    task = project.config.task
    hidden = {*task.private, task.unit, task.id}
    chosen = tuple(one for one in signature.columns if one.type in TYPES and one.name not in hidden)
    features = [{one.name: row.prediction.features.get(one.name) for one in chosen} for row in rows]
    columns: dict[str, Any] = dict(to_columns(features, Signature(chosen, signature.kind, signature.classes)))
    stored = artefact.profile(project.facts.blobs, project.version(past.trial["incumbent"]).manifest) or {}
    cuts = {one.name: _cuts(one, columns[one.name], stored) for one in chosen if one.type in ("integer", "number")}
    named = {one.name: _booleans(columns[one.name]) for one in chosen if one.type == "boolean"}
    return columns | named, {name: found for name, found in cuts.items() if found}


def _booleans(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return np.array([None if np.isnan(value) else bool(value) for value in values.astype(np.float64)], dtype=object)


def _cuts(column: Column, values: npt.NDArray[Any], stored: Mapping[str, Any]) -> list[float]:
    if column.name in stored:
        reference = Profile.from_dict(stored[column.name])
        if reference.kind == "numeric" and reference.moments.low is not None:
            return [float(one) for one in profiles.quantiles(reference, QUARTILES)]
    finite = values[np.isfinite(values.astype(np.float64))]
    return [float(one) for one in np.quantile(finite, QUARTILES)] if len(finite) else []
