"""One caller's rows on their way from arrival to answer.

In: rows as `wire` or Python gives them. Out: the same object, filled stage by stage: values, the row that the log
keeps for each, and the answer. No stage of its own: the stages pass it along, all in one thread.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from incumbent.errors import PredictError, RowError
from incumbent.records import Answer, Json, Label, Micros, Request, Shadow, Signature
from incumbent.runtimes.reading import Reader, Values
from incumbent.storage.base import PredictionRow
from incumbent.storage.values import checked_id, json_text

_AWKWARD = re.compile(r'[\\"\x00-\x1f]')
_decode = msgspec.json.Decoder().decode


class Asked:
    """Rows of one request. Lists have one entry a row.

    `made` says that all ids are our own, so that none of them can be in the log already. `texts` are the features as
    JSON, `values` the same in the order of the incumbent's signature. `rows` is what the log keeps, `outputs` what was
    answered; `left` counts the rows that no version has answered yet. `error` is what ended it. `called` is what a
    version said that was called and not heard, for rows of a trial's third arm.
    """

    __slots__ = (
        "ats", "called", "done", "error", "ids", "left", "made", "outputs", "rows", "started", "state", "texts",
        "units", "values",
    )  # fmt: skip

    def __init__(
        self,
        state: Any,
        ids: list[str],
        ats: list[Micros],
        units: list[str | None],
        texts: list[str],
        values: list[Values],
        made: bool,
    ) -> None:
        self.state = state
        self.ids, self.ats, self.units, self.texts, self.values, self.made = ids, ats, units, texts, values, made
        self.left = len(ids)
        self.rows: list[PredictionRow] = [None] * len(ids)  # type: ignore[list-item]  # filled before it is read
        self.outputs: list[Sequence[float]] = [()] * len(ids)
        self.called: list[Shadow] | None = None
        self.error: Exception | None = None
        self.done: Callable[[Asked], None]
        self.started = 0.0

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def signature(self) -> Signature:
        """Against what the rows were checked."""
        signature: Signature = self.state.signature
        return signature

    def features(self) -> list[dict[str, Json]]:
        """The features of each row as they came."""
        return [_decode(text) for text in self.texts]

    def answers(self) -> list[Answer]:
        """What the caller hears, row by row."""
        return [answer_of(row, output, self.signature) for row, output in zip(self.rows, self.outputs, strict=True)]


def of_requests(requests: Sequence[Request], state: Any, reader: Reader) -> Asked:
    """Rows that come from Python. RowError for one that is wrong, DataError for a feature that is no JSON value."""
    features = [request.features for request in requests]
    return Asked(
        state,
        [checked_id(request.id) for request in requests],
        [request.at for request in requests],
        [request.unit for request in requests],
        [json_text(each) for each in features],
        reader.read_with_care(features),
        False,
    )


def name_units(asked: Asked, column: str) -> None:
    """Rows that name no unit have that of their feature `column`, where it is text or an integer."""
    for i, unit in enumerate(asked.units):
        if unit is None:
            asked.units[i] = _unit_of(_decode(asked.texts[i]).get(column))


def _unit_of(value: Json) -> str | None:
    """17, 17.0 (an integer among nulls) and "17" are one unit; anything else is none."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) and value != "" else None


def answer_of(row: PredictionRow, output: Sequence[float], signature: Signature) -> Answer:
    """What the client hears of a logged row: the most probable class (among equals the first), or the number."""
    probabilities = None
    if signature.classifies:
        probabilities = dict(zip(class_names(signature), output, strict=True))
    return Answer(row.id, best(output, signature), row.version, row.served_by, probabilities, row.fallback_reason)


def best(output: Sequence[float], signature: Signature) -> Label:
    """The most probable class, or the number."""
    return signature.classes[output.index(max(output))] if signature.classifies else output[0]


def class_names(signature: Signature) -> list[str]:
    """The classes as the keys of probabilities."""
    return [str(label).lower() if isinstance(label, bool) else str(label) for label in signature.classes]


def probabilities(signature: Signature) -> Callable[..., Any] | None:
    """A class whose fields are the classes, for answers on the wire: half the price of a dictionary each. None where
    numbers are predicted."""
    if not signature.classifies:
        return None
    names = class_names(signature)
    if any(_AWKWARD.search(name) for name in names) or len(set(names)) < len(names):
        return lambda *values: dict(zip(names, values, strict=True))
    fields = [(f"c{i}", float) for i in range(len(names))]
    rename = {f"c{i}": name for i, name in enumerate(names)}
    return msgspec.defstruct("Probabilities", fields, rename=rename, gc=False)


def refuse_ahead(times: Sequence[Micros], latest: Micros, seconds: float, column: str) -> None:
    """RowError for the first time that is later than `latest`, which is `seconds` ahead of the clock."""
    if max(times, default=latest) <= latest:
        return
    for row, at in enumerate(times):
        if at > latest:
            raise RowError(row, column, at, f"a time at most {seconds:g} s ahead of the clock")


class Unanswered(PredictError):
    """Nobody in the chain answered. The message holds what each said, which is for the log alone."""
