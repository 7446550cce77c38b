"""May this request pass? Tokens with scopes once there is one; until then this machine, and no other site's pages.

In: an ASGI scope and the scope that it needs. Out: None, or Refused: 401 without a token that we know, 403 with one
of another scope, for another host (a page of another site whose name was bound to this address) or for a POST that
another site's page sends. Follows the ledger for tokens; when that fails it keeps those that it knows.

Tokens are compared by their sha256: how long that takes says nothing about a token that somebody guesses.
"""

import base64
import binascii
import time
from collections.abc import Callable, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any

from incumbent.loop import tokens
from incumbent.records import Event
from incumbent.server.listening import is_loopback
from incumbent.server.refusing import simple
from incumbent.storage.base import Ledger

OPEN = frozenset({"/healthz", "/readyz"})
"""What a service manager asks: it holds no token, and hears no more than yes or no."""

_NEEDS = {
    "/v1/predict": "predict",
    "/v1/outcomes": "outcome",
    "/v1/follow": "read",
}
_ASK = [
    (b"www-authenticate", b'Bearer realm="incumbent"'),
    (b"www-authenticate", b'Basic realm="incumbent", charset="UTF-8"'),
]
_MOST_CACHED = 1000
_BROWSER = frozenset({"read", "label"})
"""What a browser may do that sends a token as a password: look, and label; more by the forms of our own pages."""
_FORMS = ("/label", "/trial/")
"""Where our pages send forms to: a browser names the page that sends one, by its Origin."""


@dataclass(frozen=True, slots=True)
class Refused:
    """What is answered instead."""

    status: int
    type: str
    body: bytes
    headers: list[tuple[bytes, bytes]]


def needs(method: str, path: str) -> str | None:
    """The scope that a request needs; None: it needs no token. What nobody thought of and changes something is
    control.

    Who labels needs no more: a person who must not see what a model says is not let to the other pages.

    >>> needs("POST", "/v1/predict"), needs("GET", "/v1/status"), needs("POST", "/v1/promote"), needs("GET", "/")
    ('predict', 'read', 'control', 'read')
    >>> needs("GET", "/label"), needs("POST", "/label/settle"), needs("GET", "/static/style.css")
    ('label', 'label', None)
    """
    if path in OPEN or (path.startswith("/static/") and method in ("GET", "HEAD")):
        return None
    if path in ("/label", "/label.json") or path.startswith("/label/"):
        return "label"
    return _NEEDS.get(path) or ("read" if method in ("GET", "HEAD") else "control")


class Access:
    """Guards one process. `host` is the address that it listens on; `insecure` says that something else guards the
    door: then nothing is refused while there is no token.

    Call `follow` before the first request and whenever the ledger is polled; `allows` is called for each request.
    """

    def __init__(self, host: str = "127.0.0.1", insecure: bool = False, now: Callable[[], int] = time.time_ns) -> None:
        self._loopback, self._insecure, self._now = is_loopback(host), insecure, now
        name = host.lower().encode()
        self._hosts = frozenset({b"localhost", b"127.0.0.1", b"[::1]", name, b"[%b]" % name})
        self._sequence = 0
        self._grants: tokens.Grants = {}
        self._known: dict[bytes, tokens.Grant] = {}

    @property
    def guarded(self) -> bool:
        """Is there a token? Then every request needs one."""
        return bool(self._grants)

    def follow(self, ledger: Ledger) -> bool:
        """Learn the tokens that were added or taken back since. True if there were any. May run in a thread."""
        sequence = ledger.sequence()
        if sequence == self._sequence:
            return False
        return self.learn(ledger.events(after=self._sequence, types=tokens.TYPES), sequence)

    def learn(self, events: Sequence[Event], sequence: int) -> bool:
        """The same from events that somebody read already: all after the last ones, up to `sequence`."""
        grants = tokens.grants(events, self._grants) if events else self._grants
        self._sequence = sequence
        if grants is self._grants:
            return False
        # In this order: a header that is looked up in between is kept where nobody looks again.
        self._grants = grants
        self._known = {}
        return True

    def allows(self, scope: MutableMapping[str, Any], needed: str | None) -> Refused | None:
        """None when the request may pass. The name of its token is left in scope["incumbent.who"]."""
        if needed is None:
            return None
        authorization = origin = host = None
        for name, value in scope["headers"]:
            if name == b"authorization":
                authorization = value
            elif name == b"host":
                host = value
            elif name == b"origin":
                origin = value
        sends = scope["method"] not in ("GET", "HEAD") and scope["path"].startswith(_FORMS)
        if sends and origin is None:
            return _forbidden("found a form without an Origin, expected one that our own page sends")
        if origin is not None and scope["method"] not in ("GET", "HEAD") and _site(origin) != host:
            return _forbidden("a page of another site may not send this: found an Origin that is not this host")
        if self._grants:
            return self._granted(scope, needed, authorization, sends)
        if self._insecure:
            return None
        if not self._loopback:
            return _forbidden("there is no token any more, and this address is open to others: `incumbent token add`")
        if host is not None and _without_port(host) not in self._hosts:
            return _forbidden(
                "found a Host that is not this machine's, expected localhost: to be asked under another name, "
                "make a token (`incumbent token add`)"
            )
        return None

    def _granted(
        self, scope: MutableMapping[str, Any], needed: str, header: bytes | None, by_form: bool
    ) -> Refused | None:
        if header is None:
            return _unknown(f"found no token, expected `Authorization: Bearer inc_...` of one with the scope {needed}")
        grant = self._known.get(header) or self._looked_up(header)
        if grant is None:
            return _unknown(f"found a token that nobody knows (any more), expected one with the scope {needed}")
        if grant.expires_at is not None and grant.expires_at * 1000 <= self._now():
            return _unknown(f"the token of {grant.name} has expired: make another with `incumbent token add`")
        scopes = grant.scopes if by_form or not _is_password(header) else grant.scopes & _BROWSER
        if needed not in scopes:
            has = ", ".join(scope for scope in tokens.SCOPES if scope in scopes) or "none that a browser may use"
            return _forbidden(f"found the token of {grant.name} with the scopes {has}, expected the scope {needed}")
        scope["incumbent.who"] = grant.name
        return None

    def _looked_up(self, header: bytes) -> tokens.Grant | None:
        known, grants = self._known, self._grants
        grant = _grant(header, grants)
        if grant is not None:
            if len(known) >= _MOST_CACHED:
                known.clear()
            known[header] = grant
        return grant


def _grant(header: bytes, grants: tokens.Grants) -> tokens.Grant | None:
    """Of a token, as Bearer or as the password of Basic (a person in a browser). With the latter only our own forms may
    do more than look, because a browser sends it along with whatever another page makes it send; a form needs an Origin
    of ours."""
    kind, _, value = header.partition(b" ")
    kind, value = kind.lower(), value.strip()
    if kind == b"bearer":
        return grants.get(tokens.digest(value))
    if kind != b"basic":
        return None
    try:
        password = base64.b64decode(value, validate=True).partition(b":")[2]
    except (binascii.Error, ValueError):
        return None
    return grants.get(tokens.digest(password))


def _is_password(header: bytes) -> bool:
    return header[:6].lower() == b"basic "


def _site(origin: bytes) -> bytes:
    return origin.partition(b"://")[2]


def _without_port(host: bytes) -> bytes:
    name, colon, port = host.lower().rpartition(b":")
    return name if colon and port.isdigit() else host.lower()


def _unknown(message: str) -> Refused:
    return Refused(401, "Unauthorized", simple("Unauthorized", message), [*_ASK])


def _forbidden(message: str) -> Refused:
    return Refused(403, "Forbidden", simple("Forbidden", message), [])
