"""One unit, or one id, is forgotten when asked: it goes from the log and from the golden rows of the versions.

In: the stores, the registered versions, a name. Out: how much went and what came in place of golden rows, and an event
on the ledger that says the same, never of whom. Run twice it changes nothing more. Opens a version only where golden
rows are to be replaced.
"""

import os
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import chain

from incumbent.config import Config
from incumbent.errors import ConfigError
from incumbent.loop import study
from incumbent.records import Json, Micros, Version
from incumbent.runtimes import artefact, golden
from incumbent.storage.base import Blobs, Gone, Log
from incumbent.storage.opening import Facts

Versions = Mapping[str, Version]
Names = tuple[str, ...]
_AT_ONCE = 5_000
_SPARE, _SPARE_EACH = 100, 4
"""So many rows of the log are kept at hand, and so many more for each golden row that goes."""


@dataclass(frozen=True, slots=True)
class Exchanged:
    """A version some of whose golden rows had to go: how many went, how many came in their place, and why those are
    fewer. Where all are of the unit and no other came, none went: it could prove nothing without them."""

    version: str
    gone: int
    replaced: int
    why: str = ""


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What was erased of a unit or an id. `golden` are the versions that had golden rows of it; `named` hold the unit's
    name still: among the categories of their training rows, or because no golden row would be left."""

    gone: Gone
    golden: tuple[Exchanged, ...] = ()
    named: tuple[str, ...] = ()

    @property
    def golden_rows(self) -> int:
        """How many golden rows went."""
        return sum(one.gone for one in self.golden)

    @property
    def versions(self) -> tuple[str, ...]:
        """The versions that lost golden rows."""
        return tuple(one.version for one in self.golden if one.gone)

    @property
    def nothing(self) -> bool:
        """Was nothing found?"""
        return self.gone == Gone() and not self.golden and not self.named


def forget(
    facts: Facts,
    versions: Versions,
    config: Config,
    *,
    unit: str | None = None,
    id: str | None = None,
    hashed: Callable[[Json], str] | None = None,
    at: Micros,
    actor: str,
    reason: str = "",
) -> Forgotten:
    """Erase one unit, or one id, from log, journal, Parquet, golden rows and studies, so that no byte is left there.

    `hashed` says how the log keeps a unit, where that is private. The log is read once as a whole. Rows are found by
    their unit, and by the unit's column where that is a feature; golden rows of an id are those with its values. What
    replaces golden rows comes from the log and from other versions: see `runtimes.golden`. Raises ConfigError without
    a unit or an id, or for both.
    """
    if (unit is None) == (id is None):
        raise ConfigError("expected one of --unit and --id: whose rows, or which one")
    keys = [] if unit is None else _forms(unit, hashed)
    going = golden.Going(config.task.unit, keys, None if id is None else _features(facts.log, id))
    losing = _losing(facts.blobs, versions, going)
    spare = _spare(versions, losing, config.task.private)
    ids = _read(facts.log, config.task.unit, keys, spare.values()) if id is None or losing else []
    ids = ids if id is None else [id]
    studies = {
        name: left
        for name, one in study.studies(facts.ledger.events(types=study.TYPES)).items()
        if (left := study.without(facts.blobs, one, _goes(config.task.unit, keys, id))) is not None
    }
    ids += [item for left in studies.values() for item in left.ids]
    gone = Gone()
    for place in range(0, max(1, len(ids)), _AT_ONCE):
        gone += facts.log.erase(ids[place : place + _AT_ONCE])
    facts.log.scrub()
    cleaned = {name: _cleaned(facts.blobs, versions, name, config, going, spare) for name in losing}
    new = {name: found.manifest for name, found in cleaned.items() if found.manifest}
    exchanged = tuple(Exchanged(name, found.gone, found.came, found.why) for name, found in cleaned.items())
    facts.ledger.append("Erased", at=at, actor=actor, reason=reason,
                        data=_erased("id" if unit is None else "unit", gone, exchanged, new, studies))  # fmt: skip
    if (new or studies) and sys.platform != "win32":
        os.sync()  # a power cut must not take the event back, and leave versions without golden rows
    now = {name: new.get(name, version.manifest) for name, version in versions.items()}
    for digest in {cleaned[name].held for name in new} - golden.held_by(facts.blobs, now.values()):
        facts.blobs.delete(digest)
    for digest in {digest for left in studies.values() for digest in left.replaced}:
        facts.blobs.delete(digest)
    named = [
        name
        for name in now
        if (name in cleaned and name not in new)
        or golden.still_names(facts.blobs, now[name], config.task.unit, keys)
    ]
    return Forgotten(gone, exchanged, tuple(named))


def _features(log: Log, id: str) -> Mapping[str, Json] | None:
    found = log.find([id]).get(id)
    return None if found is None else found.features


def _losing(blobs: Blobs, versions: Versions, going: golden.Going) -> dict[str, int]:
    """The versions that lose golden rows, and how many."""
    found = {name: golden.leaving(blobs, one.manifest, going) for name, one in versions.items()}
    return {name: count for name, count in found.items() if count}


def _spare(versions: Versions, losing: Mapping[str, int], private: Sequence[str]) -> dict[Names, golden.Spare]:
    """A sample to draw from the log for each set of columns; more than go, as a version may refuse some."""
    most = _SPARE + _SPARE_EACH * max(losing.values(), default=0)
    columns = {versions[name].signature.names for name in losing}
    return {names: golden.Spare(names, private, most) for names in columns}


def _cleaned(
    blobs: Blobs,
    versions: Versions,
    name: str,
    config: Config,
    going: golden.Going,
    spare: Mapping[Names, golden.Spare],
) -> golden.Cleaned:
    """A version without the golden rows that must go."""
    manifests = [one.manifest for other, one in versions.items() if other != name]
    others = (row for manifest in manifests for row in artefact.golden_rows(blobs, manifest))
    names = versions[name].signature.names
    logged = spare[names].rows
    whole = set(names).isdisjoint(config.task.private)  # else a golden row of another version says more than these
    return golden.without(
        blobs, versions[name].manifest, going, spare=chain(logged, others) if whole else chain(others, logged),
        versions=config.versions, known=[one.manifest for one in versions.values()],
    )  # fmt: skip


def _erased(
    what: str, gone: Gone, exchanged: Sequence[Exchanged], new: Mapping[str, str],
    studies: Mapping[str, study.Cleaned],
) -> dict[str, Json]:  # fmt: skip
    """What the ledger keeps: numbers and names of versions. Reasons stay out of it: a model's may quote a row."""
    counts = {one.version: {"gone": one.gone, "replaced": one.replaced} for one in exchanged if one.gone}
    return {"what": what, **asdict(gone), "golden_rows": sum(one.gone for one in exchanged), "golden": counts,
            "manifests": dict(new),
            "studies": {name: [left.rows, left.gold] for name, left in studies.items()}}  # fmt: skip


def _goes(column: str, keys: Sequence[Json], id: str | None) -> Callable[[study.Item], bool]:
    """Is a row of a study that of the unit, or the one with this id?"""
    return lambda item: item.id == id or bool(column and golden.among(item.features.get(column), keys))


def _forms(unit: str, hashed: Callable[[Json], str] | None) -> list[Json]:
    """What a unit may look like: text as in a request, a number as in a feature, and both as the log keeps them.

    >>> _forms("7", None), _forms("007", str)
    (['7', 7], ['007', '007'])
    """
    forms: list[Json] = [unit]
    if unit.removeprefix("-").isdecimal() and str(int(unit)) == unit:  # 007 is no number
        forms.append(int(unit))
    return forms if hashed is None else [*forms, *map(hashed, forms)]


def _read(log: Log, column: str, keys: Sequence[Json], spare: Collection[golden.Spare]) -> list[str]:
    """The ids of the unit's rows; all other rows are offered to `spare`."""
    texts = {key for key in keys if isinstance(key, str)}
    ids = []
    for row in (one.prediction for some in log.scan() for one in some):
        if row.unit in texts or (column and golden.among(row.features.get(column), keys)):
            ids.append(row.id)
        else:
            for sample in spare:
                sample.offer(row.features)
    return ids
