"""JSON bodies in, requests and outcomes out; answers in, JSON bytes out.

Decoded by msgspec in one pass. Malformed JSON is Malformed (400), JSON of another shape a RowError (422) that
names the row and the field. Knows nothing of routes and stores.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar

import msgspec

from incumbent.errors import DataError, IncumbentError, RowError
from incumbent.loop.log import new_id
from incumbent.records import Answer, Json, Micros, Outcome, Request, micros

LONGEST_ID = 200
_PLACE = re.compile(r"\$\.(?:rows|outcomes)\[(\d+)\](?:\.(\w+))?")
_LARGEST_AT = 2**53  # the year 2255; a larger integer is most likely nanoseconds


class Malformed(DataError):
    """The body is not JSON."""

    status: ClassVar[int] = 400


class TooLarge(DataError):
    """The body, or the number of its rows, is over the limit."""

    status: ClassVar[int] = 413


class _Row(msgspec.Struct):
    features: dict[str, Any]
    id: str | int | None = None
    unit: Any = None
    at: str | int | None = None


class _Rows(msgspec.Struct):
    rows: list[_Row]


class _Outcome(msgspec.Struct):
    id: str | int
    value: str | int | float | bool
    name: str = "label"
    known_at: str | int | None = None


class _Outcomes(msgspec.Struct):
    outcomes: list[_Outcome]


_decode_rows = msgspec.json.Decoder(_Rows).decode
_decode_outcomes = msgspec.json.Decoder(_Outcomes).decode
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Limits:
    """`default_at`: the time of a row that names none; None: it must name one (the replay clock)."""

    most_rows: int
    default_at: Micros | None


def requests(body: bytes, limits: Limits) -> list[Request]:
    """The rows of a prediction request. Ids that the client left out are made (UUIDv7)."""
    rows = _decoded(_decode_rows, body).rows
    _refuse_size(len(rows), "rows", limits.most_rows)
    return [_request(i, row, limits.default_at) for i, row in enumerate(rows)]


def outcomes(body: bytes, limits: Limits) -> list[Outcome]:
    """The outcomes of an outcome request."""
    found = _decoded(_decode_outcomes, body).outcomes
    _refuse_size(len(found), "outcomes", limits.most_rows)
    return [
        Outcome(_id(i, each.id), each.value, _time(i, "known_at", each.known_at, limits.default_at), each.name)
        for i, each in enumerate(found)
    ]


def predictions(answers: Sequence[Answer]) -> bytes:
    """The body of an answered prediction request."""
    return _encode(
        {
            "predictions": [
                {
                    "id": a.id,
                    "prediction": a.prediction,
                    "probabilities": a.probabilities,
                    "version": a.version,
                    "served_by": a.served_by,
                    "fallback_reason": a.fallback_reason,
                }
                for a in answers
            ]
        }
    )


def document(value: Json) -> bytes:
    """Any other JSON body. Dataclasses become objects; NaN and infinity become null."""
    return _encode(value)


def _request(row: int, found: _Row, default_at: Micros | None) -> Request:
    at = _time(row, "at", found.at, default_at)
    id = new_id(at) if found.id is None else _id(row, found.id)
    return Request(id, at, found.features, None if found.unit is None else _unit(row, found.unit))


def _id(row: int, found: str | int) -> str:
    text = str(found)
    if not 0 < len(text) <= LONGEST_ID:
        raise RowError(row, "id", found, f"1 to {LONGEST_ID} characters")
    return text


def _unit(row: int, found: Any) -> str:
    """A unit as text. 17 and "17" are the same unit; 17.0 would be another, so a float is refused."""
    if isinstance(found, bool) or not isinstance(found, str | int) or found == "":
        raise RowError(row, "unit", found, "text or an integer")
    return str(found)


def _time(row: int, field: str, found: str | int | None, default: Micros | None) -> Micros:
    expected = "ISO 8601 text with an offset, or integer microseconds since 1970 UTC"
    if found is None:
        if default is None:
            raise RowError(row, field, None, f"{expected}: the server runs on the replay clock")
        return default
    if isinstance(found, int):
        if not 0 <= found < _LARGEST_AT:
            raise RowError(row, field, found, expected)
        return found
    try:
        moment = datetime.fromisoformat(found)
        return micros(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
    except (ValueError, OverflowError):
        raise RowError(row, field, found, expected) from None


def _refuse_size(found: int, what: str, most: int) -> None:
    if found == 0:
        raise RowError(0, what, [], f"at least one of the {what}")
    if found > most:
        raise TooLarge(f"found {found} {what}, expected at most {most}: send them in several requests")


def _decoded(decode: Any, body: bytes) -> Any:
    try:
        return decode(body)
    except msgspec.ValidationError as error:
        raise _misshapen(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed(f"the body is not valid JSON: {error}") from None


def _misshapen(message: str) -> IncumbentError:
    """The client hears row and field where msgspec says "... - at `$.rows[3].features`"."""
    place = _PLACE.search(message)
    said = message.split(" - at ")[0].replace("`", "'")
    if place is None:
        return DataError(f"the body has another shape: {said}; see /openapi.json")
    missing = re.search(r"required field '(\w+)'", said)
    expected = re.match(r"Expected '([^']+)', got '([^']+)'", said)
    field = missing.group(1) if missing else place.group(2)
    if expected:
        return RowError(int(place.group(1)), field, Shown(expected.group(2)), expected.group(1))
    return RowError(int(place.group(1)), field, Shown("nothing" if missing else said), "a value of this field")


class Shown(str):
    """Text that stands for a value that was not decoded: shown without quotation marks."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)
