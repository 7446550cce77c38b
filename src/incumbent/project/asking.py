"""What does a version behind an address say of rows: today, or when it was last asked about the same ones?

In: a version, and rows as columns. Out: its answers, and where they come from. Answers are kept under the fingerprint
of the rows: while it repeats its golden rows (which is asked each time, 50 rows at most), or does not answer at all,
the kept ones stand; when it answers them otherwise there is an alarm, and the rows are asked about anew.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from incumbent.errors import IncumbentError
from incumbent.loop import promote
from incumbent.project.rows import Rows
from incumbent.records import DAY, Event, Evidence, Json, Micros, Roles, Signature, Version, moment
from incumbent.runtimes import artefact, kinds
from incumbent.runtimes import signature as signatures
from incumbent.runtimes.artefact import GoldenGap
from incumbent.runtimes.base import Columns, Floats, checked, n_rows
from incumbent.steps.baseline.held import evenly

if TYPE_CHECKING:
    from incumbent.project.project import Project

ALARM = "existing_changed"
HOUR: Micros = DAY // 24
_TOLD = ("GateDecided", "EvidenceRecorded")


@dataclass(frozen=True, slots=True)
class Asked:
    """Answers of a version about some rows: the fingerprint of the rows, and the blob that holds the answers."""

    version: str
    rows: str
    answers: str
    note: str = ""

    def numbers(self) -> dict[str, Json]:
        return {"version": self.version, "rows": self.rows, "answers": self.answers}

    def told(self, evidence: Evidence) -> Evidence:
        """The evidence, saying whose answers these are and when they were given."""
        asked = [*evidence.numbers.get("asked", []), self.numbers()]
        return replace(
            evidence, sentence=f"{evidence.sentence} {self.note}", numbers={**evidence.numbers, "asked": asked}
        )


def is_remote(version: Version) -> bool:
    """Does it ask another machine?"""
    return version.serves in kinds.REMOTE


def bounded(project: "Project", rows: Rows, names: Iterable[str]) -> Rows:
    """At most `baseline.url_rows` of the rows, evenly over all of them, where one of the versions is behind an address;
    else all of them."""
    versions, most = project.roles().versions, project.config.baseline.url_rows
    if not most or len(rows) <= most or not any(is_remote(versions[name]) for name in names if name in versions):
        return rows
    return rows.at_places(evenly(len(rows), most))


def of(project: "Project", name: str, columns: Columns, now: Micros) -> tuple[Floats, Asked | None]:
    """What a version says of these rows; of one behind an address also how that is known.

    Raises DataError where such a one does not answer and nothing was kept.
    """
    version = project.version(name)
    if not is_remote(version):
        return project.predict(name, columns), None
    rows = fingerprint(columns, version.signature)
    before = kept(project.facts.ledger.events(types=_TOLD), name, rows)
    now_says = standing(project, name, now)
    address = f"{name} ({version.description})"
    if before is not None and (isinstance(now_says, IncumbentError) or not now_says.differ):
        digest, at = before
        why = "it does not answer now" if isinstance(now_says, IncumbentError) else "it repeats its golden rows"
        said = checked(read(project, digest), version.signature, n_rows(columns))
        note = f"The answers of {address} are those kept from {moment(at):%Y-%m-%d}: {why}."
        return said, Asked(name, rows, digest, note)
    if isinstance(now_says, IncumbentError):
        raise now_says
    said = project.predict(name, columns)
    digest = keep(project, version.description, said)
    return said, Asked(name, rows, digest, f"{address} was asked about {n_rows(columns):,} rows.")


def gap(project: "Project", name: str) -> GoldenGap:
    """How a version behind an address answers its golden rows now. Raises why it does not."""
    manifest = project.version(name).manifest
    return artefact.golden_gap(project.facts.blobs, manifest, project.predictor(name))


def standing(project: "Project", name: str, now: Micros) -> GoldenGap | IncumbentError:
    """The same, with an alarm where it answers them otherwise than when it was registered; why it does not answer is
    returned."""
    try:
        found = gap(project, name)
    except IncumbentError as error:
        return error
    alarm(project, name, found, now)
    return found


def watch(project: "Project", roles: Roles, now: Micros) -> None:
    """Ask each version behind an address that holds a place about its golden rows."""
    places = [roles.incumbent, roles.previous, roles.watch, roles.trial.challenger if roles.trial else None]
    for name in dict.fromkeys(place for place in places if place is not None):
        if is_remote(roles.versions[name]):
            standing(project, name, now)


def fingerprint(columns: Columns, signature: Signature) -> str:
    """The first 16 digits of a sha256 over rows as they are sent."""
    rows = signatures.to_rows(columns, signature)
    return hashlib.sha256(json.dumps(rows, sort_keys=True, ensure_ascii=False).encode()).hexdigest()[:16]


def keep(project: "Project", name: str, output: Any, places: list[int] | None = None) -> str:
    """Keep answers as bytes; their hash. `places` are those of the held-out rows that were asked about."""
    content = {"name": name, "rows": places, "output": np.asarray(output).tolist()}
    return project.facts.blobs.put(json.dumps(content).encode())


def read(project: "Project", digest: str) -> Floats:
    """The answers that `keep` wrote."""
    return np.asarray(json.loads(project.facts.blobs.get(digest))["output"], dtype=np.float64)


def kept(events: Iterable[Event], name: str, rows: str) -> tuple[str, Micros] | None:
    """The blob of the latest answers of a version about these rows, and when they were given; None: never asked."""
    found = None
    for event in events:
        for one in event.data.get("evidence", {}).get("numbers", {}).get("asked", []):
            if (one["version"], one["rows"]) == (name, rows) and (found is None or one["answers"] != found[0]):
                found = one["answers"], event.at
    return found


def alarm(project: "Project", name: str, gap: GoldenGap | None, now: Micros) -> None:
    """Say on the ledger that it answers otherwise: once for the same answers, and once a day for others."""
    if gap is None or not gap.differ:
        return
    version = project.version(name)
    today = hashlib.sha256(np.round(gap.today, 9).tobytes()).hexdigest()[:16]
    for event in reversed(project.facts.ledger.events(types=["AlarmRaised"])):
        told = event.data.get("evidence", {})
        if event.data["alarm"] == ALARM and told.get("subject") == version.name:
            if told["numbers"]["today"] == today or now - event.at < DAY:
                return
            break
    sentence = (
        f"{version.name} ({version.description}) answers {gap.differ} of its {gap.rows} golden rows otherwise than "
        f"when it was registered (by at most {gap.most:.3g}): what was judged is not what answers. "
        "`incumbent baseline` registers what it is today."
    )
    numbers: dict[str, Json] = {"differ": gap.differ, "rows": gap.rows, "most": gap.most, "today": today}
    evidence = Evidence("upkeep", version.name, "alarm", sentence, now, None, numbers)
    promote.alarm(project.facts.ledger, ALARM, at=now, actor=project.actor, reason=sentence, evidence=evidence)
