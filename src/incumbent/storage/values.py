"""How single values are kept, the same in every body: JSON text, packed numbers, checked ids.

In: a value of a record. Out: what a column holds, and back. Features and labels are compact JSON text, outputs packed
little-endian doubles (exact, and a third of their text). What no store could give back unchanged is refused with
DataError: an id with a NUL character, a label that is not finite, a feature that is no JSON value.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from struct import Struct
from typing import Any

import msgspec

from incumbent.errors import DataError
from incumbent.records import Json, Label

_decode = msgspec.json.Decoder().decode


def checked_id(id: str) -> str:
    """The id, where any store can keep and find it again."""
    if "\0" in id:
        raise DataError(f"the id {id!r} holds a NUL character, which stores cannot look up; expected an id without.")
    return id


def check_ids(ids: Sequence[str]) -> None:
    """`checked_id` of each, in one look where all are well."""
    if "\0" in "".join(ids):
        for id in ids:
            checked_id(id)


def json_text(value: Any) -> str:
    """Compact JSON. NaN is written as null."""
    try:
        return _encoder.encode(value).decode()
    except (TypeError, UnicodeEncodeError) as error:
        raise DataError(f"found {value!r}, expected values that JSON can write and valid Unicode: {error}") from None


def json_value(text: str) -> Json:
    """The inverse of `json_text`."""
    return _decode(text)


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
