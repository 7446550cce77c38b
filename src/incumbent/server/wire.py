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
from incumbent.loop.asked import Asked
from incumbent.loop.follow import State
from incumbent.loop.log import Ids
from incumbent.records import Json, Micros, Outcome, micros
from incumbent.runtimes.reading import Reader, Surprise, Values
from incumbent.server.limits import refuse_shape

LONGEST_ID = 200
_PLACE = re.compile(r"\$\.(?:rows|outcomes)\[(\d+)\](?:\.(\w+))?")
_LARGEST_AT = 2**53  # the year 2255; a larger integer is most likely nanoseconds


class Malformed(DataError):
    """The body is not JSON."""

    status: ClassVar[int] = 400


class TooLarge(DataError):
    """The body, or the number of its rows, is over the limit."""

    status: ClassVar[int] = 413


class _Row(msgspec.Struct, gc=False):
    features: msgspec.Raw
    id: str | int | None = None
    unit: Any = None
    at: str | int | None = None


class _Rows(msgspec.Struct, gc=False):
    rows: list[_Row]


class _Prediction(msgspec.Struct, gc=False):
    id: str
    prediction: Any
    probabilities: Any
    version: str
    served_by: str
    fallback_reason: str | None


class _Predictions(msgspec.Struct, gc=False):
    predictions: list[_Prediction]


class _Outcome(msgspec.Struct):
    id: str | int
    value: str | int | float | bool
    name: str = "label"
    known_at: str | int | None = None


class _Outcomes(msgspec.Struct):
    outcomes: list[_Outcome]


_decode_rows = msgspec.json.Decoder(_Rows).decode
_PLAIN_UNIT, _NONE = {str, type(None)}, {None}
_decode_any = msgspec.json.Decoder().decode
_decode_outcomes = msgspec.json.Decoder(_Outcomes).decode
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Limits:
    """`default_at`: the time of a row that names none; None: it must name one (the replay clock)."""

    most_rows: int
    default_at: Micros | None
    most_columns: int = 10_000
    most_string: int = 100_000


def asked(body: bytes, limits: Limits, state: State, new_id: Ids) -> Asked:
    """The rows of a prediction request, read in the signature of the incumbent. Ids that the client left out are made.

    Raises Malformed, TooLarge, RowError, and PredictError while there is no incumbent.
    """
    rows = _decoded(_decode_rows, body).rows
    _refuse_size(len(rows), "rows", limits.most_rows)
    if state.routes is None:
        state.signature  # noqa: B018  it raises, and says what to do
    if limits.default_at is not None and {row.at for row in rows} == _NONE:
        ats = [limits.default_at] * len(rows)
    else:
        ats = [_time(i, "at", row.at, limits.default_at) for i, row in enumerate(rows)]
    units = [row.unit for row in rows]
    if not set(map(type, units)) <= _PLAIN_UNIT or "" in units:
        units = [None if unit is None else _unit(i, unit) for i, unit in enumerate(units)]
    made = {row.id for row in rows} == _NONE
    if made:
        ids = new_id.many(ats)
    else:
        ids = [new_id(ats[i]) if row.id is None else _id(i, row.id) for i, row in enumerate(rows)]
    values, texts = _features_of(rows, state.reader, limits)
    return Asked(state, ids, ats, units, texts, values, made)


def _features_of(rows: Sequence[_Row], reader: Reader, limits: Limits) -> tuple[list[Values], list[str]]:
    """Values and texts of rows: the quick way, and with care those that have a surprise in them, or are long."""
    read = reader.read
    values: list[Values]
    texts: list[str]
    try:
        values = reader.read_all([row.features for row in rows])
        texts = [str(row.features, "utf-8") for row in rows]
        if not reader.texts or len(texts[0] if len(texts) == 1 else max(texts, key=len)) <= limits.most_string:
            return values, texts
    except Surprise:
        pass
    values, texts = [], []
    odd: list[int] = []
    for i, row in enumerate(rows):
        try:
            if reader.texts and len(memoryview(row.features)) > limits.most_string:
                raise Surprise
            values.append(read(row.features))
            texts.append(str(row.features, "utf-8"))
        except Surprise:
            odd.append(i)
            values.append(())
            texts.append("")
    _read_with_care(rows, odd, reader, values, texts, limits)
    return values, texts


def _read_with_care(
    rows: Sequence[_Row],
    odd: Sequence[int],
    reader: Reader,
    values: list[Values],
    texts: list[str],
    limits: Limits,
) -> None:
    """Fill in the rows that the quick way did not pass. RowError for one that is wrong."""
    features = [_features(i, rows[i].features) for i in odd]
    for i, each in zip(odd, features, strict=True):
        refuse_shape(i, each, len(memoryview(rows[i].features)), limits.most_columns, limits.most_string)
    for i, found, each in zip(odd, reader.read_with_care(features, odd), features, strict=True):
        values[i], texts[i] = found, _encode(each).decode()


def _features(row: int, content: Any) -> dict[str, Json]:
    found = _decoded(_decode_any, content)
    if not isinstance(found, dict):
        raise RowError(row, "features", Shown(_json_type(found)), "object")
    return found


def _json_type(value: Json) -> str:
    names = {list: "array", str: "str", bool: "bool", int: "int", float: "float", type(None): "null"}
    return names[type(value)]


def outcomes(body: bytes, limits: Limits) -> list[Outcome]:
    """The outcomes of an outcome request."""
    found = _decoded(_decode_outcomes, body).outcomes
    _refuse_size(len(found), "outcomes", limits.most_rows)
    return [
        Outcome(_id(i, each.id), each.value, _time(i, "known_at", each.known_at, limits.default_at), each.name)
        for i, each in enumerate(found)
    ]


def predictions(asked: Asked) -> bytes:
    """The body of an answered prediction request."""
    probabilities, classes = asked.state.probabilities, asked.signature.classes
    if probabilities is None:
        said = [
            _Prediction(row[0], output[0], None, row[3], row[4], row[11])
            for row, output in zip(asked.rows, asked.outputs)  # noqa: B905  on the path of every answer
        ]
    else:
        said = [
            _Prediction(row[0], classes[output.index(max(output))], probabilities(*output), row[3], row[4], row[11])
            for row, output in zip(asked.rows, asked.outputs)  # noqa: B905
        ]
    return _encode(_Predictions(said))


def document(value: Json) -> bytes:
    """Any other JSON body. Dataclasses become objects; NaN and infinity become null."""
    return _encode(value)


def _id(row: int, found: str | int) -> str:
    text = str(found)
    if not 0 < len(text) <= LONGEST_ID or "\0" in text:
        raise RowError(row, "id", found, f"1 to {LONGEST_ID} characters, none of them NUL")
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
