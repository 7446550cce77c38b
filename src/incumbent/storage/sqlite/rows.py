"""How a record becomes a row of SQLite, and a row a record.

Features are compact JSON text, outputs packed little-endian doubles (exact, and a third of their text). What no store
could give back unchanged is refused with DataError: an id with a NUL character, a label that is not finite, a feature
that is no JSON value.
"""

import math
from collections.abc import Iterable, Mapping
from functools import lru_cache
from struct import Struct
from typing import Any

import msgspec

from incumbent.errors import DataError
from incumbent.records import Label, Prediction, Review
from incumbent.storage.base import LoggedRow

PREDICTION = (
    "p.id, p.at, p.features, p.version, p.served_by, p.output, p.unit, p.trial, p.phase, p.arm, p.propensity, "
    "p.fallback_reason, p.latency_us"
)
"""The columns of a prediction in the order of its fields."""

_decode = msgspec.json.Decoder().decode


def prediction_row(prediction: Prediction) -> tuple[Any, ...]:
    """The values of PREDICTION."""
    return (
        checked_id(prediction.id),
        prediction.at,
        json_text(prediction.features),
        prediction.version,
        prediction.served_by,
        packed(prediction.output),
        prediction.unit,
        prediction.trial,
        prediction.phase,
        prediction.arm,
        prediction.propensity,
        prediction.fallback_reason,
        prediction.latency_us,
    )


def prediction(row: tuple[Any, ...]) -> Prediction:
    """A prediction from the first values of a row of PREDICTION."""
    id, at, features, version, served_by, output, unit, trial, phase, arm, propensity, reason, latency = row[:13]
    return Prediction(
        id, at, _decode(features), version, served_by, unpacked(output), unit, trial, phase, arm, propensity, reason,
        latency,
    )  # fmt: skip


def logged_row(row: tuple[Any, ...]) -> LoggedRow:
    """A prediction with its label and when it was known: PREDICTION, value, known_at."""
    value = row[13]
    return LoggedRow(prediction(row), None if value is None else _decode(value), row[14])


def review(row: tuple[Any, ...]) -> Review:
    """A drawn row: id, at, version, reason, propensity, policy, label, reviewer."""
    id, at, version, reason, propensity, policy, label, reviewer = row
    return Review(id, at, version, reason, propensity, policy, None if label is None else _decode(label), reviewer)


def checked_id(id: str) -> str:
    """The id, where any store can keep and find it again."""
    if "\0" in id:
        raise DataError(f"the id {id!r} holds a NUL character, which stores cannot look up; expected an id without.")
    return id


def json_text(value: Any) -> str:
    """Compact JSON. NaN is written as null."""
    try:
        return _encoder.encode(value).decode()
    except TypeError as error:
        raise DataError(f"found {value!r}, expected values that JSON can write: {error}") from None


def json_ids(ids: Iterable[str]) -> str:
    """Ids as the one parameter of `IN (SELECT value FROM json_each(?))`."""
    return json_text([checked_id(id) for id in ids])


def label_text(value: Label) -> str:
    """A label or another outcome as JSON, which keeps 1, 1.0, true and "1" apart."""
    if isinstance(value, float) and not math.isfinite(value):
        raise DataError(f"found the outcome {value!r}, expected a finite number")
    return json_text(value)


def label(text: str) -> Label:
    """The inverse of `label_text`."""
    value: Label = _decode(text)
    return value


def same_label(first: Label, second: Label) -> bool:
    """Do they say the same? 1 and 1.0 do; 1 and true do not, and 1 and "1" do not.

    >>> same_label(1, 1.0), same_label(1, True), same_label(1, "1")
    (True, False, False)
    """
    return first == second and isinstance(first, bool) == isinstance(second, bool)


def packed(output: tuple[float, ...]) -> bytes:
    """Numbers as little-endian doubles.

    >>> unpacked(packed((0.25, 0.75)))
    (0.25, 0.75)
    """
    return _doubles(len(output)).pack(*output)


def unpacked(output: bytes) -> tuple[float, ...]:
    """The inverse of `packed`."""
    return _doubles(len(output) // 8).unpack(output)


@lru_cache(maxsize=256)
def _doubles(count: int) -> Struct:
    return Struct(f"<{count}d")


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is no JSON value")


_encoder = msgspec.json.Encoder(enc_hook=_plain)
