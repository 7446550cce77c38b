"""Who may ask for what? Tokens are facts: events on the ledger, folded to the grants of those who hold one.

In: events, or a name and scopes. Out: grants by the sha256 of the token, or one event more. The token itself is
returned once, by `add`, and kept nowhere: 256 random bits need no salt and no slow hash. Knows no HTTP.
"""

import re
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

from incumbent.errors import DecisionRefused, LedgerConflict
from incumbent.records import Event, Json, Micros
from incumbent.storage.base import Ledger

SCOPES = ("predict", "outcome", "read", "label", "control")
"""predict: ask for predictions. outcome: tell what became known. read: see status, ledger, metrics and pages. control:
promote, roll back, start and steer trials."""

TYPES = ("TokenAdded", "TokenRevoked")
PREFIX = "inc_"
_RACES = 5
_NAME = re.compile(r"[A-Za-z0-9][\w.@-]{0,63}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Grant:
    """What the holder of a token may do. `expires_at` is wall clock time; None: until it is revoked."""

    name: str
    scopes: frozenset[str]
    expires_at: Micros | None = None
    added_at: Micros = 0


Grants = Mapping[str, Grant]


def grants(events: Iterable[Event], start: Grants | None = None) -> Grants:
    """The grants by sha256 after these events; `start` are those before the first of them. Events of other types are
    passed over. A token that expired is still among them: it keeps the door shut, and opens it to nobody."""
    found = dict(start or {})
    for event in events:
        if event.type == "TokenAdded":
            data = event.data
            found[data["sha256"]] = Grant(data["name"], frozenset(data["scopes"]), data.get("expires_at"), event.at)
        elif event.type == "TokenRevoked":
            found = {digest: grant for digest, grant in found.items() if grant.name != event.data["name"]}
    return found


def digest(token: bytes | str) -> str:
    """The sha256 under which a token is kept.

    >>> digest("inc_abc")[:16]
    'e13c8db83565434b'
    """
    return sha256(token.encode() if isinstance(token, str) else token).hexdigest()


def add(
    ledger: Ledger,
    name: str,
    scopes: Sequence[str],
    *,
    at: Micros,
    actor: str,
    reason: str = "",
    expires_at: Micros | None = None,
) -> tuple[str, Event]:
    """Make a token: (the token, its event). This is the only time that anybody sees it.

    Raises DecisionRefused for a name that is taken or no name, an unknown scope or none, or an expiry in the past.
    """
    _refuse_scopes(scopes)
    if expires_at is not None and expires_at <= at:
        raise DecisionRefused(f"found an expiry of token {name} that is past, expected a later time")
    token = PREFIX + secrets.token_urlsafe(32)
    data: dict[str, Json] = {
        "name": name, "scopes": [scope for scope in SCOPES if scope in scopes], "sha256": digest(token)
    }
    if expires_at is not None:
        data["expires_at"] = expires_at

    def append(held: set[str], sequence: int) -> Event:
        _refuse_name(name, held)
        return ledger.append("TokenAdded", at=at, actor=actor, reason=reason, expected=sequence, data=data)

    return token, _won(ledger, append)


def revoke(ledger: Ledger, name: str, *, at: Micros, actor: str, reason: str = "") -> Event:
    """Take a token back: every answering process refuses it from its next poll on. DecisionRefused for a name that
    nobody holds."""

    def append(held: set[str], sequence: int) -> Event:
        if name not in held:
            raise DecisionRefused(f"found no token {name!r}; there are: {', '.join(sorted(held)) or 'none'}.")
        return ledger.append("TokenRevoked", at=at, actor=actor, reason=reason, expected=sequence, data={"name": name})

    return _won(ledger, append)


def _won(ledger: Ledger, append: Callable[[set[str], int], Event]) -> Event:
    """Append against the names now held; again when another event came first, which seldom concerns tokens."""
    for _ in range(_RACES):
        sequence = ledger.sequence()
        held = {grant.name for grant in grants(ledger.events(types=TYPES)).values()}
        try:
            return append(held, sequence)
        except LedgerConflict:
            continue
    raise LedgerConflict("other events came first again and again: nothing was changed, try once more.")


def _refuse_name(name: str, held: set[str]) -> None:
    if not _NAME.fullmatch(name):
        raise DecisionRefused(
            f"found the token's name {name!r}, expected 1 to 64 letters, digits, '.', '_', '@' or '-': "
            "name the program or the person who will hold it"
        )
    if name in held:
        raise DecisionRefused(f"a token {name} is there already: revoke it first, or choose another name.")


def _refuse_scopes(scopes: Sequence[str]) -> None:
    unknown = [scope for scope in scopes if scope not in SCOPES]
    if unknown or not scopes:
        raise DecisionRefused(
            f"found the scopes {', '.join(scopes) or '(none)'}, expected one or more of {', '.join(SCOPES)}"
        )
