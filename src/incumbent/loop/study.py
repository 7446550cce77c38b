"""Which row does this person label next? A study: rows that people label blind, so that they can be compared with.

In: the ledger, a study's responses, a person's name. Out: studies as a fold over StudyStarted and StudyFinished, the
next open slot, what differs and waits for a third person. Draws no row, scores nobody, imports no other stage.

A slot is one blind copy of an item. Rows were drawn in random order, so items are dealt in theirs; the second copy of a
double comes later, with another item between at least. What one person was given nobody else gets while it is leased.
"""

import json
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, NamedTuple

from incumbent.errors import StoreDamaged
from incumbent.records import Adjudication, Event, Json, Kind, Label, Micros, Response
from incumbent.storage.base import Blobs, Ledger, Log

LEASE_S = 600.0
"""How long an item is kept for the person who looks at it."""
MOST_US: Micros = 300_000_000
"""No row takes a person longer than five minutes; who was longer was elsewhere."""
TYPES = ("StudyStarted", "StudyFinished", "Erased")


class Slot(NamedTuple):
    """Which copy (1, or 2 for a double) of which item (its place among the study's rows)."""

    item: int
    copy: int


@dataclass(frozen=True, slots=True)
class Study:
    """A study as the ledger tells it. `rows` and `gold` are hashes of blobs: who shows rows never reads the gold.

    `n` items, `twice` of them (a count) with a second copy. `reviewers` are those named at its start (none: whoever
    comes). `version` is the measured people, once it has ended.
    """

    name: str
    rows: str
    gold: str
    n: int
    twice: int
    seed: int
    kind: Kind
    target: str
    classes: tuple[Label, ...] = ()
    reviewers: tuple[str, ...] = ()
    started_at: Micros = 0
    version: str | None = None

    @property
    def is_open(self) -> bool:
        return self.version is None


@dataclass(frozen=True, slots=True)
class Item:
    """One row as a person sees it: its id, its features, and how some of them are shown (`pictures`, `texts`)."""

    id: str
    features: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of a study. `pictures` says of a column what it holds: pixels, url, data or file; `texts` are long."""

    items: tuple[Item | None, ...]  # None: erased
    pictures: Mapping[str, Mapping[str, Json]]
    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a study is: slots with an answer, of how many; `mine` by this person; `waiting` for somebody else."""

    done: int
    slots: int
    mine: int
    waiting: int
    skipped: int
    unsettled: int


# --- what the ledger says


def start(ledger: Ledger, study: Study, *, at: Micros, actor: str, expected: int, reason: str = "") -> Event:
    """Begin a study. LedgerConflict when somebody else appended first."""
    data = {
        "study": study.name, "rows": study.rows, "gold": study.gold, "n": study.n, "twice": study.twice,
        "seed": study.seed, "kind": study.kind, "target": study.target, "classes": list(study.classes),
        "reviewers": list(study.reviewers),
    }  # fmt: skip
    return ledger.append("StudyStarted", at=at, actor=actor, reason=reason, data=data, expected=expected)


def finish(ledger: Ledger, study: Study, version: str, *, at: Micros, actor: str, reason: str = "") -> Event:
    """End a study: what its people said is `version` from now on, and no more is taken."""
    return ledger.append("StudyFinished", at=at, actor=actor, reason=reason,
                         data={"study": study.name, "version": version})  # fmt: skip


def studies(events: Iterable[Event]) -> dict[str, Study]:
    """Every study by its name, in the order of their start. Events of other types are passed over."""
    found: dict[str, Study] = {}
    for event in events:
        data = event.data
        if event.type == "StudyStarted":
            found[data["study"]] = Study(
                data["study"], data["rows"], data["gold"], data["n"], data["twice"], data["seed"], data["kind"],
                data["target"], tuple(data["classes"]), tuple(data["reviewers"]), event.at,
            )  # fmt: skip
        elif event.type == "StudyFinished":
            found[data["study"]] = replace(found[data["study"]], version=data["version"])
        elif event.type == "Erased":
            for name, (rows, gold) in data.get("studies", {}).items():
                found[name] = replace(found[name], rows=rows, gold=gold)
    return found


def running(ledger: Ledger) -> Study | None:
    """The study that takes answers now, if there is one."""
    open_ones = [study for study in studies(ledger.events(types=TYPES)).values() if study.is_open]
    return open_ones[-1] if open_ones else None


# --- rows as a blob


def rows_to_bytes(rows: Rows) -> bytes:
    """Rows as the blob that `rows_of` reads."""
    items = [None if one is None else {"id": one.id, "features": dict(one.features)} for one in rows.items]
    return json.dumps(
        {"items": items, "pictures": {k: dict(v) for k, v in rows.pictures.items()}, "texts": list(rows.texts)},
        separators=(",", ":"), ensure_ascii=False,  # features stay in the order of the signature
    ).encode()  # fmt: skip


def rows_of(blobs: Blobs, digest: str) -> Rows:
    """The rows of a study, kept for the next page. StoreDamaged when they are gone."""
    return _rows(_Hashed(digest, blobs))


class _Hashed:
    """Blobs that are cached by the hash alone."""

    def __init__(self, digest: str, blobs: Blobs) -> None:
        self.digest, self.blobs = digest, blobs

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Hashed) and other.digest == self.digest

    def __hash__(self) -> int:
        return hash(self.digest)


@lru_cache(maxsize=2)
def _rows(hashed: _Hashed) -> Rows:
    try:
        found = json.loads(hashed.blobs.get(hashed.digest))
    except KeyError:
        raise StoreDamaged(f"the rows of the study ({hashed.digest[:12]}…) are missing from the store") from None
    items = tuple(None if one is None else Item(one["id"], one["features"]) for one in found["items"])
    return Rows(items, found["pictures"], tuple(found["texts"]))


@dataclass(frozen=True, slots=True)
class Cleaned:
    """A study's blobs without some rows, the ids of these, and the blobs that held them."""

    rows: str
    gold: str
    ids: tuple[str, ...]
    replaced: tuple[str, ...]


def without(blobs: Blobs, study: Study, goes: Callable[[Item], bool]) -> Cleaned | None:
    """The study without the rows for which `goes` holds: their features, their labels and the files that only they name
    are in no new blob. None where there is no such row. The old blobs are still there: delete them when nothing names
    them any more."""
    old = rows_of(blobs, study.rows)
    gone = [place for place, item in enumerate(old.items) if item is not None and goes(item)]
    if not gone:
        return None
    items = tuple(None if place in gone else item for place, item in enumerate(old.items))
    named = {str(value) for item in items if item is not None for value in item.features.values()}
    pictures, left = {}, []
    for column, how in old.pictures.items():
        files = how.get("files", {})
        left += [digest for value, (digest, _) in files.items() if value not in named]
        pictures[column] = {**how, **({"files": {v: f for v, f in files.items() if v in named}} if files else {})}
    gold = json.loads(blobs.get(study.gold))
    gold["labels"] = [None if place in gone else label for place, label in enumerate(gold["labels"])]
    return Cleaned(
        blobs.put(rows_to_bytes(Rows(items, pictures, old.texts))),
        blobs.put(json.dumps(gold, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()),
        tuple(item.id for place in gone if (item := old.items[place]) is not None),
        (study.rows, study.gold, *left),
    )


# --- who gets what


@lru_cache(maxsize=8)
def dealt(n: int, twice: int, seed: int) -> tuple[Slot, ...]:
    """Every slot in the order in which they are dealt. A second copy never follows its first directly.

    >>> dealt(3, 1, 0)
    (Slot(item=0, copy=1), Slot(item=1, copy=1), Slot(item=2, copy=1), Slot(item=1, copy=2))
    """
    generator = random.Random(seed)
    places = [(float(item), Slot(item, 1)) for item in range(n)]
    for item in generator.sample(range(max(n - 1, 0)), min(twice, max(n - 1, 0))):
        places.append((generator.uniform(item + 1.5, float(max(n, item + 2))), Slot(item, 2)))
    return tuple(slot for _, slot in sorted(places))


def open_slots(
    study: Study, items: Sequence[Item | None], responses: Sequence[Response], reviewer: str, again: bool = False
) -> Iterator[Slot]:
    """The slots that this person may be given, the next one first.

    Nobody gets both copies of an item where there is somebody else. Who is the only one that was named gets the second
    copies last, never one directly after its first; where nobody was named, and nobody else has answered, only when
    asked for (`again`): a second person may still come. `again` brings back what this person skipped, too.
    """
    place = {item.id: number for number, item in enumerate(items) if item is not None}
    done = {(place.get(one.item), one.copy) for one in responses if one.value is not None}
    mine = {(place.get(one.item), one.copy): one.value for one in responses if one.reviewer == reviewer}
    seen = {item for item, _ in mine}
    last = next((place.get(one.item) for one in reversed(responses) if one.reviewer == reviewer), None)
    alone = is_alone(study, responses, reviewer) and (again or bool(study.reviewers))
    later: list[Slot] = []
    for slot in dealt(study.n, study.twice, study.seed):
        if slot in done or items[slot.item] is None:
            continue
        if slot in mine:
            if again:
                later.append(slot)
        elif slot.item in seen:
            if alone:
                later.append(slot)
        else:
            yield slot
    yield from (slot for slot in later if slot.item != last)


def is_alone(study: Study, responses: Iterable[Response], reviewer: str) -> bool:
    """Is there nobody else, as far as we know?"""
    return len(people(study, responses) | {reviewer}) < 2


def people(study: Study, responses: Iterable[Response]) -> set[str]:
    """Who was named, and who has answered."""
    return set(study.reviewers) | {one.reviewer for one in responses}


def next_slot(
    ledger: Ledger, log: Log, study: Study, items: Sequence[Item | None], reviewer: str, again: bool = False
) -> Slot | None:
    """Lease the next open slot to this person; None when nothing is left for them.

    Responses are read again once the lease is held: who had it before may have answered just then.
    """
    for slot in open_slots(study, items, log.responses(study.name), reviewer, again):
        if not ledger.lease(_lease(study, slot), reviewer, LEASE_S):
            continue
        if slot in open_slots(study, items, log.responses(study.name), reviewer, again):
            return slot
        ledger.release(_lease(study, slot), reviewer)
    return None


def answer(
    ledger: Ledger, log: Log, study: Study, item: Item, slot: Slot, reviewer: str, value: Label | None, *,
    at: Micros, took_us: Micros,
) -> None:  # fmt: skip
    """Keep what this person said, and give the slot back."""
    took = min(max(int(took_us), 0), MOST_US)
    log.append_responses([Response(study.name, item.id, slot.copy, reviewer, value, at, took)])
    ledger.release(_lease(study, slot), reviewer)


def last_slot(items: Sequence[Item | None], responses: Sequence[Response], reviewer: str) -> Slot | None:
    """The slot that this person answered last: what an undo shows again."""
    place = {item.id: number for number, item in enumerate(items) if item is not None}
    mine = [one for one in responses if one.reviewer == reviewer and one.item in place]
    return Slot(place[mine[-1].item], mine[-1].copy) if mine else None


def unsettled(
    study: Study, responses: Sequence[Response], adjudications: Sequence[Adjudication], reviewer: str | None = None
) -> list[str]:
    """Items whose responses differ and that nobody has decided; of classes only: two numbers always differ.

    With a `reviewer`, those that this person may decide: not their own, where there is a third person.
    """
    if not study.classes:
        return []
    settled = {one.item for one in adjudications}
    said: dict[str, dict[str, list[Label]]] = {}
    for one in responses:
        if one.value is not None:
            said.setdefault(one.item, {}).setdefault(one.reviewer, []).append(one.value)
    third = len(people(study, responses) | ({reviewer} if reviewer else set())) > 2
    return [
        item
        for item, by in said.items()
        if item not in settled
        and len({label_key(value) for values in by.values() for value in values}) > 1
        and not (third and reviewer in by)
    ]


def progress(
    study: Study, items: Sequence[Item | None], responses: Sequence[Response],
    adjudications: Sequence[Adjudication], reviewer: str | None = None,
) -> Progress:  # fmt: skip
    """How far the study is, and how much of it this person may still do."""
    done = {(one.item, one.copy) for one in responses if one.value is not None}
    skipped = {(one.item, one.copy) for one in responses if one.value is None} - done
    mine = [one for one in responses if one.reviewer == reviewer]
    slots = [slot for slot in dealt(study.n, study.twice, study.seed) if items[slot.item] is not None]
    left = 0 if reviewer is None else sum(1 for _ in open_slots(study, items, responses, reviewer))
    return Progress(
        len(done), len(slots), len(mine), len(slots) - len(done) - left, len(skipped),
        len(unsettled(study, responses, adjudications, reviewer)),
    )  # fmt: skip


def label_key(value: Label) -> Any:
    """A label such that 1 and 1.0 are one, and 1 and true are two."""
    return isinstance(value, bool), value


def _lease(study: Study, slot: Slot) -> str:
    return f"label/{study.name}/{slot.item}/{slot.copy}"
