"""The verbs that change who answers: promote, roll back; start, stop and steer a trial.

In: a JSON body with a reason. Out: the ledger's new event, answered after it was appended; every answering process
follows at its next poll. With `dry_run` nothing is done: the answer says what would happen, or refuses what would be
refused. What the verbs do and check is `loop.steering`, the same at every door; over HTTP they need the scope control.
"""

import asyncio
import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Literal, TypeVar

import msgspec

from incumbent.clock import wall
from incumbent.config import Config
from incumbent.errors import DataError
from incumbent.loop import steering
from incumbent.loop.meter import Meter
from incumbent.loop.sentences import sentence
from incumbent.loop.steering import Move
from incumbent.records import Event, Json
from incumbent.server import wire
from incumbent.server.proving import Proves, apart
from incumbent.server.refusing import refusal, simple
from incumbent.server.replying import Receive, Scope, Send, reply
from incumbent.storage.opening import Facts

Body = TypeVar("Body")

OF_TRIAL: dict[str, steering.Verb] = {"enrol": "enrol", "phase": "phase", "stop": "stop"}
PATHS = ("/v1/promote", "/v1/rollback", "/v1/trials", *(f"/v1/trials/{{name}}/{verb}" for verb in OF_TRIAL))
_TRIAL = re.compile(rf"/v1/trials/([^/]+)/({'|'.join(OF_TRIAL)})")
_MOST_BYTES = 65_536


class _Promote(msgspec.Struct, forbid_unknown_fields=True):
    version: str
    reason: str
    override: bool = False
    dry_run: bool = False

    def move(self, trial: str) -> Move:
        return Move("promote", self.reason, version=self.version, override=self.override)


class _RollBack(msgspec.Struct, forbid_unknown_fields=True):
    reason: str
    dry_run: bool = False

    def move(self, trial: str) -> Move:
        return Move("rollback", self.reason)


class _Start(msgspec.Struct, forbid_unknown_fields=True):
    version: str
    reason: str
    mode: Literal["shadow", "split"] | None = None
    enrolled: float | None = None
    dry_run: bool = False

    def move(self, trial: str) -> Move:
        return Move("start", self.reason, version=self.version, mode=self.mode, enrolled=self.enrolled)


class _Stop(msgspec.Struct, forbid_unknown_fields=True):
    reason: str
    dry_run: bool = False

    def move(self, trial: str) -> Move:
        return Move("stop", self.reason, trial)


class _Enrol(msgspec.Struct, forbid_unknown_fields=True):
    enrolled: float
    reason: str
    dry_run: bool = False

    def move(self, trial: str) -> Move:
        return Move("enrol", self.reason, trial, enrolled=self.enrolled)


class _Phase(msgspec.Struct, forbid_unknown_fields=True):
    reason: str
    enrolled: float | None = None
    dry_run: bool = False

    def move(self, trial: str) -> Move:
        return Move("phase", self.reason, trial, enrolled=self.enrolled)


_BODIES: dict[str, type[Any]] = {"enrol": _Enrol, "phase": _Phase, "stop": _Stop}
_WHOLE: dict[str, type[Any]] = {"/v1/promote": _Promote, "/v1/rollback": _RollBack, "/v1/trials": _Start}


class Control:
    """The ASGI application of `PATHS`. A verb runs in a thread: proving a version takes its time."""

    def __init__(self, config: Config, facts: Facts, meter: Meter, proves: Proves | None = None) -> None:
        self._config, self._facts, self._meter, self.proves = config, facts, meter, proves or apart(config)

    def owns(self, method: str, path: str) -> bool:
        """Is this one of the verbs? `GET /v1/trials` is none: it lists them."""
        if path == "/v1/trials":
            return method not in ("GET", "HEAD")
        return path in _WHOLE or _TRIAL.fullmatch(path) is not None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] != "POST":
            said = simple("WrongMethod", f"found {scope['method']}, expected POST")
            allowed = b"GET, POST" if scope["path"] == "/v1/trials" else b"POST"
            return await reply(send, 405, said, [(b"allow", allowed)])
        try:
            verb = self._verb(scope["path"], await _read(receive), f"token:{scope.get('incumbent.who', '(none)')}")
            status, body = 200, wire.document(await asyncio.to_thread(verb))
        except Exception as error:  # the edge: whatever happens becomes one JSON shape
            status, body = refusal(error)
            self._meter.refused(status, type(error).__name__)
        await reply(send, status, body, [(b"retry-after", b"1")] if status == 503 else [])

    def _verb(self, path: str, body: bytes, actor: str) -> Callable[[], Mapping[str, Json]]:
        of_trial = _TRIAL.fullmatch(path)
        asked = _decoded(body, _BODIES[of_trial[2]] if of_trial else _WHOLE[path])
        move: Move = asked.move(of_trial[1] if of_trial else "")
        return partial(self._foretell, move) if asked.dry_run else partial(self._make, move, actor)

    def _make(self, move: Move, actor: str) -> Mapping[str, Json]:
        return _said(steering.make(move, self._facts, self._config, self.proves, at=wall(), actor=actor))

    def _foretell(self, move: Move) -> Mapping[str, Json]:
        will = steering.foretell(move, self._facts, self._config, at=wall())
        return {"sequence": self._facts.ledger.sequence(), "type": None, "sentence": will, "data": {}}


def _said(event: Event) -> Mapping[str, Json]:
    return {"sequence": event.sequence, "type": event.type, "sentence": sentence(event), "data": event.data}


def _decoded(body: bytes, shape: type[Body]) -> Body:
    try:
        return msgspec.json.decode(body, type=shape)
    except msgspec.ValidationError as error:
        raise DataError(f"the body has another shape: {str(error).replace('`', chr(39))}; see /openapi.json") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise wire.Malformed(f"the body is not valid JSON: {error}") from None


async def _read(receive: Receive) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise wire.Malformed("the connection ended before the body did")
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > _MOST_BYTES:
            raise wire.TooLarge(f"found a body of more than {_MOST_BYTES} bytes, expected a few words")
    return body
