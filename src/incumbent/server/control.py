"""The verbs that change who answers: promote, roll back, let more units take part in a trial.

In: a JSON body with a reason. Out: the ledger's new event, answered after it was appended; every answering process
follows at its next poll. Nothing is promoted or called back that does not repeat its golden rows first. The functions
are those of the command line; the application asks for them over HTTP, under the scope control.
"""

import asyncio
import re
from collections.abc import Callable, Mapping
from typing import TypeVar

import msgspec

from incumbent.clock import wall
from incumbent.config import Config
from incumbent.errors import DataError, DecisionRefused
from incumbent.loop import held
from incumbent.loop import promote as ledgers
from incumbent.loop.fold import roles as fold
from incumbent.loop.meter import Meter
from incumbent.loop.sentences import sentence
from incumbent.records import Event, Json, Micros
from incumbent.server import wire
from incumbent.server.proving import Proves, apart
from incumbent.server.refusing import refusal, simple
from incumbent.server.replying import Receive, Scope, Send, reply
from incumbent.storage.opening import Facts

Body = TypeVar("Body")

PATHS = ("/v1/promote", "/v1/rollback", "/v1/trials/{name}/enrol")
_ENROL = re.compile(r"/v1/trials/([^/]+)/enrol")
_MOST_BYTES = 65_536


def promote(
    facts: Facts, proves: Proves, version: str, *, at: Micros, actor: str, reason: str, override: bool = False
) -> Event:
    """Make a version the incumbent, by a person's decision, after it was proved.

    DecisionRefused where a verdict of the gate stands against it, unless `override` says that it is not followed.
    """
    proves(ledgers.promotable(fold(facts.ledger.events()), version))
    held.settle(facts.ledger, version, overrides=override, at=at, actor=actor, reason=reason)
    roles = fold(facts.ledger.events())
    return ledgers.promote(facts.ledger, roles, version, at=at, actor=actor, reason=reason)


def roll_back(facts: Facts, proves: Proves, *, at: Micros, actor: str, reason: str) -> Event:
    """Take the incumbent back: the version that served before it answers again, after it was proved."""
    roles = fold(facts.ledger.events())
    return ledgers.roll_back(facts.ledger, roles, proves, at=at, actor=actor, reason=reason)


def enrol(facts: Facts, trial: str, enrolled: float, *, at: Micros, actor: str, reason: str) -> Event:
    """Let more units take part in the running trial, which must be the one that is named."""
    roles = fold(facts.ledger.events())
    if roles.trial is not None and roles.trial.name != trial:
        raise DecisionRefused(f"found the trial {trial!r}, expected the one that runs: {roles.trial.name}.")
    return ledgers.raise_enrolment(facts.ledger, roles, enrolled, at=at, actor=actor, reason=reason)


class _Promote(msgspec.Struct, forbid_unknown_fields=True):
    version: str
    reason: str
    override: bool = False


class _RollBack(msgspec.Struct, forbid_unknown_fields=True):
    reason: str


class _Enrol(msgspec.Struct, forbid_unknown_fields=True):
    enrolled: float
    reason: str = ""


class Control:
    """The ASGI application of `PATHS`. A verb runs in a thread: proving a version takes its time."""

    def __init__(self, config: Config, facts: Facts, meter: Meter, proves: Proves | None = None) -> None:
        self._facts, self._meter, self._proves = facts, meter, proves or apart(config)

    def owns(self, path: str) -> bool:
        """Is this one of the verbs?"""
        return path in PATHS or _ENROL.fullmatch(path) is not None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] != "POST":
            said = simple("WrongMethod", f"found {scope['method']}, expected POST")
            return await reply(send, 405, said, [(b"allow", b"POST")])
        try:
            verb = self._verb(scope["path"], await _read(receive), f"token:{scope.get('incumbent.who', '(none)')}")
            status, body = 200, wire.document(_said(await asyncio.to_thread(verb)))
        except Exception as error:  # the edge: whatever happens becomes one JSON shape
            status, body = refusal(error)
            self._meter.refused(status, type(error).__name__)
        await reply(send, status, body, [(b"retry-after", b"1")] if status == 503 else [])

    def _verb(self, path: str, body: bytes, actor: str) -> Callable[[], Event]:
        facts, proves, at = self._facts, self._proves, wall()
        if path == "/v1/promote":
            asked = _decoded(body, _Promote)
            return lambda: promote(
                facts, proves, asked.version, at=at, actor=actor, reason=asked.reason, override=asked.override
            )
        if path == "/v1/rollback":
            back = _decoded(body, _RollBack)
            return lambda: roll_back(facts, proves, at=at, actor=actor, reason=back.reason)
        trial = _ENROL.fullmatch(path)
        assert trial is not None, "owns() was asked first"
        more = _decoded(body, _Enrol)
        return lambda: enrol(facts, trial[1], more.enrolled, at=at, actor=actor, reason=more.reason)


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
