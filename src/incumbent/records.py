"""The nouns: what is asked, answered, learnt later, weighed and decided. Frozen, standard library only.

Times are integers, microseconds since 1970-01-01 UTC (`Micros`). `at` is task time (replayed in a rehearsal),
`recorded_at` the wall clock. Records hold values; they read no store, no file and no clock.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

Micros = int
Json = Any  # a value that json can write: None, bool, int, float, str, list, dict with string keys
Label = str | int | float | bool

Kind = Literal["binary", "multiclass", "regression", "forecast"]
ColumnType = Literal["integer", "number", "boolean", "string", "timestamp", "numbers"]
Arm = Literal["incumbent", "challenger", "called"]
Step = Literal["baseline", "expect", "gate", "live", "speed", "upkeep"]

SECOND: Micros = 1_000_000
DAY: Micros = 86_400 * SECOND


@dataclass(frozen=True, slots=True)
class Column:
    """One feature. `categories` are the values seen in training (strings only); others are accepted and counted.

    `numbers` is a list of finite numbers, an embedding say: always of `length`, which the other types do not have.
    """

    name: str
    type: ColumnType
    nullable: bool = True
    categories: tuple[str, ...] | None = None
    length: int | None = None


@dataclass(frozen=True, slots=True)
class Signature:
    """What a version takes and gives. `classes` in the order of the probabilities; empty for numbers."""

    columns: tuple[Column, ...]
    kind: Kind
    classes: tuple[Label, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    @property
    def classifies(self) -> bool:
        return self.kind in ("binary", "multiclass")


@dataclass(frozen=True, slots=True)
class Version:
    """An immutable predictor: its name (`v3`), what kind of predictor it is, and where its manifest lies.

    `runtime` is what it was made with (rule, sklearn, lightgbm, onnx, pyfunc), `serves` the part that answers
    (`twin.onnx` for a proved compiled twin). `recipe` names the training code; a refresh shares it with its
    parent, a new recipe does not. `answers` is False for references (people, a system's column). `brought` is True
    where its parts, twins too, were made elsewhere and came as bytes.
    """

    name: str
    runtime: str
    manifest: str
    signature: Signature
    serves: str = ""
    recipe: str = ""
    parent: str | None = None
    trained_until: Micros | None = None
    n_rows: int = 0
    answers: bool = True
    description: str = ""
    brought: bool = False

    @property
    def in_place(self) -> bool:
        """Is it a system that answered before there was any model of ours?"""
        return self.recipe.startswith("existing:")


@dataclass(frozen=True, slots=True)
class Request:
    """One row to answer. `id` is the client's, or one that we made (UUIDv7); `unit` is who is assigned in a trial."""

    id: str
    at: Micros
    features: Mapping[str, Json]
    unit: str | None = None


@dataclass(frozen=True, slots=True)
class Prediction:
    """One answer as it was logged.

    `output` is the class probabilities in the signature's order, or one number. `version` is the assigned one,
    `served_by` the one that answered; they differ where a fallback answered, and `fallback_reason` says why.
    `arm` is None outside a trial. `propensity` is the probability with which this arm was chosen.
    """

    id: str
    at: Micros
    features: Mapping[str, Json]
    version: str
    served_by: str
    output: tuple[float, ...]
    unit: str | None = None
    trial: str | None = None
    phase: int = 0
    arm: Arm | None = None
    propensity: float = 1.0
    fallback_reason: str | None = None
    latency_us: int = 0


@dataclass(frozen=True, slots=True)
class Shadow:
    """What a version that did not answer said of the same row. `error` is the reason where it failed."""

    id: str
    version: str
    output: tuple[float, ...] | None
    error: str | None = None
    latency_us: int = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """The truth (name `label`), or any number, about a prediction, that came later. `known_at` is task time."""

    id: str
    value: Label
    known_at: Micros
    name: str = "label"


@dataclass(frozen=True, slots=True)
class Review:
    """A row drawn for a person. `propensity` is the chance with which it was drawn, `reason` audit or doubtful."""

    id: str
    at: Micros
    version: str
    reason: str
    propensity: float
    policy: str
    label: Label | None = None
    reviewer: str | None = None


@dataclass(frozen=True, slots=True)
class Response:
    """What one person said of one item, without seeing what anybody else said.

    `study` is the set of questions that it belongs to, `copy` which of the item's blind copies it answers (1, or 2 for
    a double). `value` is None where the person could not tell. `at` is when it was given, `took_us` how long it took.
    """

    study: str
    item: str
    copy: int
    reviewer: str
    value: Label | None
    at: Micros
    took_us: int = 0


@dataclass(frozen=True, slots=True)
class Adjudication:
    """The label that stands for an item whose responses differ, and who said so, having seen them."""

    study: str
    item: str
    value: Label
    reviewer: str
    at: Micros


@dataclass(frozen=True, slots=True)
class Evidence:
    """A step's frozen result.

    `subject` is the version that is judged, `reference` what it is compared with. `verdict` is one of the words
    of the step (ship, hold, not_enough_data; invalid, roll_back, promote, stop, continue). `sentence` explains it
    to a person. `numbers` repeat on the same data; `measured` (timings) do not, and no two runs agree on them.
    """

    step: Step
    subject: str
    verdict: str
    sentence: str
    at: Micros
    reference: str | None = None
    numbers: Mapping[str, Json] = field(default_factory=dict)
    measured: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Decision:
    """What is to be done, why, and on what evidence. `action` is the ledger event that follows, or None."""

    verdict: str
    subject: str
    reason: str
    evidence: tuple[Evidence, ...] = ()
    action: str | None = None

    @property
    def promotes(self) -> bool:
        return self.action == "Promoted"


@dataclass(frozen=True, slots=True)
class Event:
    """One line of the ledger. `hash` covers everything before it, so tampering shows.

    `data` repeats in a rehearsal with the same seed; `measured` holds what depends on the machine.
    """

    sequence: int
    type: str
    at: Micros
    recorded_at: Micros
    actor: str
    reason: str
    data: Mapping[str, Json]
    measured: Mapping[str, Json]
    previous_hash: str
    hash: str


@dataclass(frozen=True, slots=True)
class Trial:
    """A live comparison as the ledger tells it.

    `mode` is `shadow` (both score the same rows) or `split` (units are assigned). `enrolled` is the share of
    units that takes part (0-1), `phase` counts stretches with one salt, `salt` = "<name>/<phase>". `share` of those
    enrolled is the challenger's arm; `called` of them is a third arm, where the challenger is called and the
    incumbent's answer is served. `caps`: one outcome (or row loss, "loss") counts at most this, fixed at the start.
    """

    name: str
    challenger: str
    incumbent: str
    mode: Literal["shadow", "split"]
    started_at: Micros
    phase: int = 1
    enrolled: float = 1.0
    share: float = 0.5
    phase_started_at: Micros = 0
    called: float = 0.0
    caps: Mapping[str, float] = field(default_factory=dict)

    @property
    def shares(self) -> dict[Arm, float]:
        """Each arm's share of the units that take part."""
        rest = 1.0 - self.share - self.called
        return {"challenger": self.share, "incumbent": rest, **({"called": self.called} if self.called else {})}

    @property
    def salt(self) -> str:
        return f"{self.name}/{self.phase}"


@dataclass(frozen=True, slots=True)
class Roles:
    """Who holds which place after `sequence` events: a fold over the ledger (`loop.promote.roles`).

    `stack` is the line of incumbents, the present one last; `baseline` the best naive rule; `watch` the replaced
    version that is scored beside its successor; `trial` the one that runs.
    """

    sequence: int = 0
    stack: tuple[str, ...] = ()
    baseline: str | None = None
    watch: str | None = None
    trial: Trial | None = None
    versions: Mapping[str, Version] = field(default_factory=dict)

    @property
    def incumbent(self) -> str | None:
        return self.stack[-1] if self.stack else None

    @property
    def previous(self) -> str | None:
        return self.stack[-2] if len(self.stack) > 1 else None


@dataclass(frozen=True, slots=True)
class Routes:
    """The immutable snapshot that a request uses from start to end. `chain` is the order of fallback."""

    sequence: int
    incumbent: str
    chain: tuple[str, ...]
    trial: Trial | None = None
    shadows: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """What the client gets for one row. `probabilities` is None for numbers."""

    id: str
    prediction: Label
    version: str
    served_by: str
    probabilities: Mapping[str, float] | None = None
    fallback_reason: str | None = None


def micros(moment: datetime) -> Micros:
    """Microseconds since 1970 of an aware datetime.

    >>> micros(datetime(2013, 4, 1, tzinfo=UTC))
    1364774400000000
    """
    if moment.tzinfo is None:
        raise ValueError(f"found the naive time {moment}, expected one with a time zone")
    delta = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (delta.days * 86_400 + delta.seconds) * SECOND + delta.microseconds


def moment(at: Micros) -> datetime:
    """The aware datetime of microseconds since 1970.

    >>> moment(1364774400000000).isoformat()
    '2013-04-01T00:00:00+00:00'
    """
    return datetime.fromtimestamp(at // SECOND, UTC).replace(microsecond=at % SECOND)
