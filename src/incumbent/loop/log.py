"""Make the prediction durable: what is written down about an answer, and what a retry of it hears.

In: requests. Out: their ids, their features as they may be kept (private columns are hashed before anything
is), and the logged predictions of ids that came before. Routes nothing and asks no version.
"""

import json
import os
import secrets
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from uuid import UUID

from incumbent.errors import IdReused, StorageError
from incumbent.records import Answer, Json, Label, Micros, Prediction, Request, Signature
from incumbent.storage.base import Log

SALT_FILE = "salt"
_SALT_BYTES = 32


def new_id(at: Micros) -> str:
    """A UUIDv7 (RFC 9562) of a task time: sorted by time to a quarter of a microsecond, 62 random bits.

    >>> new_id(1364774400000000)[:18]
    '013dc2e4-b000-7000'
    """
    milliseconds, rest = divmod(at, 1000)
    fraction = rest * 4096 // 1000
    number = (milliseconds & 0xFFFF_FFFF_FFFF) << 80 | 0x7 << 76 | fraction << 64 | 0b10 << 62
    return str(UUID(int=number | int.from_bytes(os.urandom(8), "big") >> 2))


@dataclass(frozen=True, slots=True)
class Privacy:
    """Which columns are hashed, and with which secret salt (else values could be guessed)."""

    columns: tuple[str, ...] = ()
    salt: bytes = b""
    unit: bool = False

    def features(self, features: Mapping[str, Json]) -> Mapping[str, Json]:
        """The features as they are kept. A null stays null: that a value is missing is no secret."""
        if not self.columns:
            return features
        hidden = {name: self.hashed(features[name]) for name in self.columns if features.get(name) is not None}
        return {**features, **hidden} if hidden else features

    def unit_of(self, unit: str | None) -> str | None:
        """The unit as it is kept: hashed where its column is private. Assignment uses the one that came."""
        return self.hashed(unit) if self.unit and unit is not None else unit

    def hashed(self, value: Json) -> str:
        """32 hex digits of keyed blake2b over the value's JSON."""
        text = json.dumps(value, sort_keys=True, ensure_ascii=False)
        return blake2b(text.encode(), digest_size=16, key=self.salt).hexdigest()


def privacy(columns: Collection[str], unit: str, store: Path) -> Privacy:
    """What `task.private` asks for. The salt is made once, in the store's folder, for its owner's eyes."""
    if not columns:
        return Privacy()
    return Privacy(tuple(columns), _project_salt(store / SALT_FILE), bool(unit) and unit in columns)


def answered_before(log: Log, requests: Sequence[Request], private: Privacy) -> dict[str, Prediction]:
    """The logged predictions of those requests that came before with the same features.

    Raises IdReused for an id that came with others, here or in the log: an answer cannot be changed.
    """
    logged = log.find([request.id for request in requests])
    first: dict[str, Mapping[str, Json]] = {id: prediction.features for id, prediction in logged.items()}
    for row, request in enumerate(requests):
        features = private.features(request.features)
        if first.setdefault(request.id, features) != features:
            raise IdReused(
                f"row {row}: the id {request.id!r} came before with other features; "
                "expected the same ones (a retry), or an id of its own"
            )
    return logged


def answer_of(prediction: Prediction, signature: Signature) -> Answer:
    """What the client hears of a logged prediction: the most probable class (among equals the first), or the
    number."""
    best: Label = prediction.output[0]
    probabilities = None
    if signature.classifies:
        best = signature.classes[prediction.output.index(max(prediction.output))]
        probabilities = dict(zip(map(_key, signature.classes), prediction.output, strict=True))
    return Answer(
        prediction.id,
        best,
        prediction.version,
        prediction.served_by,
        probabilities,
        prediction.fallback_reason,
    )


def _key(label: Label) -> str:
    return str(label).lower() if isinstance(label, bool) else str(label)


def _project_salt(path: Path) -> bytes:
    """Read the salt, or make it; when two processes make it at once, both read the one that came first."""
    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            draft = path.with_name(f"{SALT_FILE}.{os.getpid()}.{secrets.token_hex(4)}")
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(secrets.token_bytes(_SALT_BYTES))
            with suppress(FileExistsError):  # the other process was first: its salt is the project's
                os.link(draft, path)
            draft.unlink()
        return path.read_bytes()
    except OSError as error:
        raise StorageError(f"the salt of the private columns cannot be kept: {error.strerror}") from error
