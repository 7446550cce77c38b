"""Which version answers? A stable hash of the unit against the routes; nobody is ever reshuffled.

In: the roles that the ledger tells, and the unit of one request. Out: Routes (the snapshot of a server),
Assignment (of a row). Knows no store, no clock and no predictor.
"""

from collections.abc import Callable
from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple

from incumbent.records import Arm, Roles, Routes

REMEMBERED = 50_000
"""Units whose assignment is remembered: about 10 MB."""
_ALL = 2**64


class Assignment(NamedTuple):
    """Who shall answer one row. `propensity`: the chance (0-1) of this arm for a unit that takes part."""

    version: str
    trial: str | None = None
    phase: int = 0
    arm: Arm | None = None
    propensity: float = 1.0


def share_hash(salt: str, what: str, unit: str) -> float:
    """A number from 0 (included) to 1 (excluded) that a unit keeps while `salt` and `what` stay.

    The first 8 bytes of blake2b over salt, what and unit (UTF-8, joined by U+001F), big-endian, over 2^64.

    >>> share_hash("exp-1", "enrol", "user-1"), share_hash("exp-1", "arm", "user-1")
    (0.899427426804673, 0.9261641363419082)
    >>> share_hash("exp-1", "enrol", "é"), share_hash("exp-1", "arm", "é")
    (0.8363590278300211, 0.4057286519313544)
    """
    return share_of(salt, what)(unit)


def share_of(salt: str, what: str) -> Callable[[str], float]:
    """`share_hash` for many units: what comes before the unit is hashed once, which halves the price."""
    begun = blake2b(f"{salt}\x1f{what}\x1f".encode(), digest_size=8)

    def share(unit: str) -> float:
        whole = begun.copy()
        whole.update(unit.encode())
        return int.from_bytes(whole.digest(), "big") / _ALL

    return share


def routes(roles: Roles) -> Routes | None:
    """The snapshot that follows from the roles; None before there is an incumbent.

    The chain of fallback is incumbent, previous, baseline. Beside it, never on the path of an answer, a
    shadow trial's challenger and the watched version score the same rows.
    """
    if roles.incumbent is None:
        return None
    chain = _distinct(roles.incumbent, roles.previous, roles.baseline)
    challenger = roles.trial.challenger if roles.trial and roles.trial.mode == "shadow" else None
    shadows = tuple(name for name in _distinct(challenger, roles.watch) if name != roles.incumbent)
    return Routes(roles.sequence, roles.incumbent, chain, roles.trial, shadows)


def assign(now: Routes, unit: str | None) -> Assignment:
    """Who answers a row of this unit. A row without a unit takes part in no split: the incumbent answers it.

    Enrolment and arm are two hashes, so raising the enrolled share moves nobody who takes part already. Of those who
    take part the challenger answers `share`; for the next `called` it is called and the incumbent answers.
    """
    return _assigns(now)(unit)


def _assigns(now: Routes) -> Callable[[str | None], Assignment]:
    """`assign` for one snapshot: its three assignments are made once."""
    apart, trial = Assignment(now.incumbent), now.trial
    if trial is None or trial.mode != "split":
        return lambda unit: apart
    enrol, arm = share_of(trial.salt, "enrol"), share_of(trial.salt, "arm")
    enrolled, share = trial.enrolled, trial.share
    challenger = Assignment(trial.challenger, trial.name, trial.phase, "challenger", share)
    incumbent = Assignment(now.incumbent, trial.name, trial.phase, "incumbent", trial.shares["incumbent"])
    called = Assignment(now.incumbent, trial.name, trial.phase, "called", trial.called)

    def assigned(unit: str | None) -> Assignment:
        if unit is None or enrol(unit) >= enrolled:
            return apart
        return challenger if arm(unit) < share else incumbent

    def of_three(unit: str | None) -> Assignment:
        if unit is None or enrol(unit) >= enrolled:
            return apart
        place = arm(unit)
        return challenger if place < share else called if place < share + trial.called else incumbent

    return of_three if trial.called else assigned


class Router:
    """`assign` for one snapshot, which remembers the units that it saw last: two hashes cost 1.1 us.

    >>> Router(Routes(1, "v2", ("v2", "v1"))).assign("N14228").version
    'v2'
    """

    def __init__(self, now: Routes) -> None:
        split = now.trial is not None and now.trial.mode == "split"
        self.alone = None if split else Assignment(now.incumbent)
        """The assignment of every row, where no split runs."""
        self.calls = now.trial.challenger if split and now.trial is not None and now.trial.called else None
        """The version that is called for rows of the third arm; None where there is no such arm."""
        self.assign: Callable[[str | None], Assignment] = lru_cache(REMEMBERED)(_assigns(now))


def order(now: Routes, version: str) -> tuple[str, ...]:
    """Whom to ask, first to last: the assigned version, then the chain of fallback.

    >>> order(Routes(1, "v2", ("v2", "v1")), "v3")
    ('v3', 'v2', 'v1')
    """
    return _distinct(version, *now.chain)


def _distinct(*names: str | None) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for name in names if name is not None))
