"""What becomes of a version's golden rows where some must be forgotten? They go, and other rows take their place.

In: a manifest, which rows must go, rows that may come in. Out: a new manifest, how many rows went and came, and
why fewer came than went. Rows that stay keep what was stored of them; a row that comes in gets the output of every
stored part, each opened here and proved on the golden rows as they were. Deletes nothing, and tells no ledger.
"""

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from random import Random
from typing import Any

from incumbent.config import Versions
from incumbent.errors import PredictError, RowError, VersionError
from incumbent.records import Json, Signature
from incumbent.runtimes import artefact
from incumbent.runtimes import signature as signatures
from incumbent.runtimes.base import Predictor
from incumbent.storage.base import Blobs

Row = Mapping[str, Json]
Golden = dict[str, Any]
"""{rows, outputs {part: one for each row}}, as `artefact.golden` has it."""

NO_ROW = "no other row that it takes was found in the log, or among the golden rows of other versions"


@dataclass(frozen=True, slots=True)
class Cleaned:
    """A manifest whose golden rows lost some: how many went, how many came in their place, the blob that held them,
    and why fewer came. No manifest, and none gone, where no golden row would be left: it could prove nothing."""

    manifest: str
    gone: int
    came: int
    held: str
    why: str = ""


class Going:
    """Which rows must go: those that have one of `values` in a column, and those that are the same as `row`."""

    def __init__(self, column: str = "", values: Collection[Json] = (), row: Row | None = None) -> None:
        self._column, self._values, self._row = column, values, row
        self._texts = {value for value in values if isinstance(value, str)}

    def of(self, signature: Signature) -> Callable[[Row], bool]:
        """Must a golden row of a version with this signature go?"""
        same = None if self._row is None else taken(self._row, signature)
        return lambda row: among(row.get(self._column), self._values) or row == same

    def named_in(self, row: Row) -> bool:
        """Is one of the values a text of any column? Then nobody knows whose it is, and the row may not come in."""
        return any(isinstance(value, str) and value in self._texts for value in row.values())


class Spare:
    """Rows that may become golden rows: a sample of at most `most`, each of the rows offered as likely in it as any
    other (algorithm R of Vitter, "Random Sampling with a Reservoir", 1985), and the same at each run.

    It takes rows that have all of `names`, and leaves columns of `private` empty in them: the log holds hashes of
    those, which are no values of the column.
    """

    def __init__(self, names: Collection[str], private: Collection[str], most: int) -> None:
        self.rows: list[Row] = []
        self._names, self._most = frozenset(names), most
        self._empty: Row = dict.fromkeys(self._names & frozenset(private))
        self._offered, self._random = 0, Random(0)

    def offer(self, row: Row) -> None:
        """Maybe keep a row."""
        if not row.keys() >= self._names:
            return
        self._offered += 1
        if len(self.rows) < self._most:
            self.rows.append({**row, **self._empty})
        elif (place := self._random.randrange(self._offered)) < self._most:
            self.rows[place] = {**row, **self._empty}


def leaving(blobs: Blobs, digest: str, going: Going) -> int:
    """How many golden rows of a version must go."""
    return sum(map(going.of(_signature(blobs, digest)), artefact.golden_rows(blobs, digest)))


def without(
    blobs: Blobs,
    digest: str,
    going: Going,
    *,
    spare: Iterable[Row] = (),
    versions: Versions | None = None,
    known: Collection[str] = (),
) -> Cleaned:
    """A manifest without the golden rows that must go; the same one where none must.

    As many rows of `spare` come in as went: the first that the signature takes, that need not go themselves, and that
    every part answers. None come where a part cannot be opened (`versions` and `known` as for `artefact.open_version`)
    or does not repeat the golden rows as they were: what is left keeps what was stored of it, so that each load refuses
    the version by those rows as before. The blob that held the old rows is still there: delete it when nothing names it
    any more.
    """
    golden, held = artefact.golden(blobs, digest), str(artefact.manifest(blobs, digest)["golden"])
    signature = _signature(blobs, digest)
    goes = going.of(signature)
    stay = [i for i, row in enumerate(golden["rows"]) if not goes(row)]
    gone = len(golden["rows"]) - len(stay)
    if not gone:
        return Cleaned(digest, 0, 0, held)
    kept = {
        "rows": [golden["rows"][i] for i in stay],
        "outputs": {part: [outputs[i] for i in stay] for part, outputs in golden["outputs"].items()},
    }
    others = _suiting(spare, signature, going, golden["rows"])
    came, why = _others(blobs, digest, others, gone, versions or Versions(), known)
    whole = _joined(kept, came)
    if not whole["rows"]:
        return Cleaned("", 0, 0, held, why)
    return Cleaned(artefact.with_golden(blobs, digest, whole), gone, len(came["rows"]), held, why)


def still_names(blobs: Blobs, digest: str, column: str, values: Collection[Json]) -> bool:
    """May a version that has this column hold one of the values as text: in its golden rows, in the categories of its
    profile or of its training rows' schema? (In the predictor itself nobody looked.)"""
    if column not in {one["name"] for one in artefact.manifest(blobs, digest)["signature"]["columns"]}:
        return False
    texts = [json.dumps(value, ensure_ascii=False).encode() for value in values if isinstance(value, str)]
    return artefact.holds(blobs, digest, texts)


def held_by(blobs: Blobs, manifests: Collection[str]) -> set[str]:
    """The blobs that hold the golden rows of these manifests."""
    return {str(artefact.manifest(blobs, digest)["golden"]) for digest in manifests}


def among(value: Json, values: Collection[Json]) -> bool:
    """Is a value one of these, or the same number (5 and 5.0), or the text of one?"""
    if value is None or isinstance(value, bool | list | dict):
        return False
    return value in values or str(value) in values


def taken(row: Row, signature: Signature) -> dict[str, Json] | None:
    """A row as golden rows are stored, in the columns of the signature; None where it lacks one, or has a wrong value.

    >>> from incumbent.records import Column
    >>> hour = Signature((Column("hour", "integer"),), "regression")
    >>> taken({"hour": 5.0, "more": "x"}, hour), taken({"more": "x"}, hour), taken({"hour": "5"}, hour)
    ({'hour': 5}, None, None)
    """
    if not row.keys() >= set(signature.names):
        return None
    try:
        return signatures.to_rows(signatures.to_columns([row], signature), signature)[0]
    except RowError:
        return None


def _suiting(
    rows: Iterable[Row], signature: Signature, going: Going, there: Iterable[Row]
) -> Iterator[dict[str, Json]]:
    """The rows that may come in, each once, none that is there already."""
    goes, seen = going.of(signature), {_key(row) for row in there}
    for row in rows:
        found = taken(row, signature)
        if found is None or goes(found) or going.named_in(found) or _key(found) in seen:
            continue
        seen.add(_key(found))
        yield found


def _others(
    blobs: Blobs, digest: str, rows: Iterator[dict[str, Json]], most: int, versions: Versions, known: Collection[str]
) -> tuple[Golden, str]:
    """At most so many of the rows, with what each part says of them; and why they are fewer."""
    names = artefact.golden(blobs, digest)["outputs"]
    none: Golden = {"rows": [], "outputs": {part: [] for part in names}}
    first = next(rows, None)
    if first is None:
        return none, NO_ROW
    try:
        parts = {part: artefact.open_part(blobs, digest, part, versions, known) for part in names}
        came = _answered(parts, chain((first,), rows), most)
        _prove(parts, came, artefact.manifest(blobs, digest)["libraries"])
    except Exception as error:  # a model may raise anything, and what must be forgotten goes all the same
        return none, f"{type(error).__name__}: {error}"
    return came, "" if len(came["rows"]) == most else NO_ROW


def _answered(parts: Mapping[str, Predictor], rows: Iterable[dict[str, Json]], most: int) -> Golden:
    """The first rows that every part answers."""
    came: Golden = {"rows": [], "outputs": {part: [] for part in parts}}
    for row in rows:
        said = _said(parts, row)
        if said is not None:
            came = _joined(came, {"rows": [row], "outputs": {part: [output] for part, output in said.items()}})
        if len(came["rows"]) == most:
            break
    return came


def _said(parts: Mapping[str, Predictor], row: Row) -> dict[str, Json] | None:
    """What each part says of a row; None where one refuses it."""
    try:
        return {
            part: artefact.answers(predictor, signatures.to_columns([row], predictor.signature))[0].tolist()
            for part, predictor in parts.items()
        }
    except (VersionError, PredictError):
        return None


def _prove(parts: Mapping[str, Predictor], golden: Golden, libraries: Mapping[str, str]) -> None:
    """GoldenMismatch unless each part repeats all of it at once, as it will have to at every load."""
    for part, predictor in parts.items() if golden["rows"] else ():
        artefact.replay(predictor, golden["rows"], golden["outputs"][part], part, libraries)


def _joined(some: Golden, more: Golden) -> Golden:
    outputs = {part: [*said, *more["outputs"][part]] for part, said in some["outputs"].items()}
    return {"rows": [*some["rows"], *more["rows"]], "outputs": outputs}


def _signature(blobs: Blobs, digest: str) -> Signature:
    return signatures.from_json(artefact.manifest(blobs, digest)["signature"])


def _key(row: Row) -> str:
    return json.dumps(row, sort_keys=True)
