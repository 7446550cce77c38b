"""The forms with which a person starts, steers and ends trials, promotes and rolls back.

In: the stored facts, and who asks. Out: routes below /trial/. A page says first what will happen, then asks for a
reason and does it: one event of the ledger. What is checked and done is `loop.steering`, as at every door. Who may send
a form is the server's to say (the scope control, and an Origin of ours).
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, cast

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from incumbent.clock import wall
from incumbent.config import Config
from incumbent.errors import DataError, IncumbentError
from incumbent.loop import steering
from incumbent.loop.fold import roles as fold
from incumbent.loop.steering import Move, Proves, Verb
from incumbent.records import Json, Roles
from incumbent.storage.opening import Facts
from incumbent.web import dashboard, label
from incumbent.web.labelling import form, person

Page = dict[str, Json]
Show = Callable[..., Response]

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}
ASKS: dict[Verb, tuple[str, ...]] = {
    "start": ("version", "mode", "enrolled"),
    "stop": (),
    "enrol": ("enrolled",),
    "phase": ("enrolled",),
    "promote": ("version", "override"),
    "rollback": (),
}
"""What has to be chosen before it can be said what will happen."""
AFTER = {"promote": "/", "rollback": "/"}


def routes(facts: Facts, config: Config, proves: Proves, show: Show, as_json: Show) -> list[Route]:
    """A page, its twin and what it sends, for each move."""
    found = []
    for verb in steering.NAMES:
        found += [
            Route(f"/trial/{verb}.json", partial(_twin, facts, config, verb, as_json)),
            Route(f"/trial/{verb}", partial(_ask, facts, config, verb, show), methods=["GET"]),
            Route(f"/trial/{verb}", partial(_post, facts, config, verb, proves, show), methods=["POST"]),
        ]
    return found


def page(facts: Facts, config: Config, verb: Verb, asked: Mapping[str, str], *, by_token: bool, who: str) -> Page:
    """What is asked for, what will happen (`will`), or why it is refused (`refused`)."""
    roles = fold(facts.ledger.events())
    shadow = roles.trial is not None and roles.trial.mode == "shadow"
    asks = () if verb == "phase" and shadow else ASKS[verb]
    chosen = not asks or any(asked.get(key) for key in asks if key != "override")
    found: Page = {
        "task": dashboard.task(config),
        "verb": verb,
        "title": steering.NAMES[verb].capitalize(),
        "asks": list(asks),
        "asked": {key: asked.get(key, "") for key in ("version", "mode", "enrolled", "override", "reason")},
        "trial": roles.trial.name if roles.trial else "",
        "enrolled_now": roles.trial.enrolled if roles.trial else None,
        "incumbent": roles.incumbent,
        "versions": _versions(roles),
        "may_split": bool(config.task.unit),
        "by_token": by_token,
        "who": who,
        "will": "",
        "refused": "",
    }
    if chosen:
        try:
            found["will"] = steering.foretell(_move(verb, asked, roles), facts, config, at=wall())
        except IncumbentError as error:
            found["refused"] = str(error)
    return found


def _ask(facts: Facts, config: Config, verb: Verb, show: Show, request: Request) -> Response:
    return show("steer.html", _page(facts, config, verb, request, dict(request.query_params)), headers=HEADERS)


def _twin(facts: Facts, config: Config, verb: Verb, as_json: Show, request: Request) -> Response:
    return as_json(_page(facts, config, verb, request, dict(request.query_params)), headers=HEADERS)


async def _post(facts: Facts, config: Config, verb: Verb, proves: Proves, show: Show, request: Request) -> Response:
    sent = await form(request)
    return await run_in_threadpool(_made, facts, config, verb, proves, show, request, sent)


def _made(
    facts: Facts, config: Config, verb: Verb, proves: Proves, show: Show, request: Request, sent: dict[str, str]
) -> Response:
    """Do it, if what will happen is still what the page said; else say anew what will."""
    found = _page(facts, config, verb, request, sent)
    if not found["refused"] and found["will"] != sent.get("said"):
        found["refused"] = "Something has changed since this page was made: read again what will happen."
    elif not found["refused"]:
        try:
            move = _move(verb, sent, fold(facts.ledger.events()))
            actor = _actor(request, sent)
            steering.make(move, facts, config, proves, at=wall(), actor=actor)
            return RedirectResponse(AFTER.get(verb, "/trial"), 303)
        except IncumbentError as error:
            found["refused"] = str(error)
    return show("steer.html", found, headers=HEADERS, status=409)


def _page(facts: Facts, config: Config, verb: Verb, request: Request, asked: Mapping[str, str]) -> Page:
    holder = person(request)
    who = asked.get("who") or (holder.name if holder else "")
    return page(facts, config, verb, asked, by_token=bool(holder and holder.by_token), who=who)


def _actor(request: Request, sent: Mapping[str, str]) -> str:
    """The token, or without tokens whoever this browser says it is."""
    holder = person(request)
    if holder is not None and holder.by_token:
        return f"token:{holder.name}"
    return f"person:{label.checked_name(sent.get('who', ''))}"


def _move(verb: Verb, asked: Mapping[str, str], roles: Roles) -> Move:
    trial = asked.get("trial") or (roles.trial.name if roles.trial and verb in ("stop", "enrol", "phase") else "")
    mode = asked.get("mode", "")
    if mode not in ("", "shadow", "split"):
        raise DataError(f"found the mode {mode[:40]!r}, expected shadow or split")
    return Move(
        verb,
        asked.get("reason", ""),
        trial if verb != "start" else "",
        asked.get("version", ""),
        cast(Any, mode or None),
        _share(asked.get("enrolled", "")),
        asked.get("override", "") == "yes",
    )


def _share(text: str) -> float | None:
    """A share that was written in percent; "" is none.

    >>> _share("12,5"), _share(" 10 % "), _share("")
    (0.125, 0.1, None)
    """
    written = text.replace("%", "").replace(",", ".").strip()
    if not written:
        return None
    try:
        share = float(written) / 100.0
    except ValueError:
        raise DataError(f"found {text[:40]!r}, expected a share in percent such as 10") from None
    if share - share != 0.0:
        raise DataError(f"found {text[:40]!r}, expected a share in percent such as 10")
    return share


def _versions(roles: Roles) -> list[dict[str, Json]]:
    """Those that may answer and do not, the newest first."""
    return [
        {"name": one.name, "description": one.description or one.runtime}
        for one in reversed(list(roles.versions.values()))
        if one.answers and one.name != roles.incumbent
    ]

