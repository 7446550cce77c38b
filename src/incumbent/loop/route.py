"""Which version answers? A stable hash of the unit against the routes; nobody is ever reshuffled.

In: the roles that the ledger tells, and the unit of one request. Out: Routes (the snapshot of a server),
Assignment (of a row). Knows no store, no clock and no predictor.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from hashlib import blake2b

from incumbent.records import Arm, Roles, Routes, Trial

REMEMBERED = 50_000
"""Units whose assignment is remembered: about 10 MB."""
_ALL = 2**64


@dataclass(frozen=True, slots=True)
class Assignment:
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
    digest = blake2b(f"{salt}\x1f{what}\x1f{unit}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / _ALL


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

    Enrolment and arm are two hashes, so raising the enrolled share moves nobody who takes part already.
    """
    trial = now.trial
    if trial is None or trial.mode != "split" or unit is None or not _takes_part(trial, unit):
        return Assignment(now.incumbent)
    if share_hash(trial.salt, "arm", unit) < trial.share:
        return Assignment(trial.challenger, trial.name, trial.phase, "challenger", trial.share)
    return Assignment(now.incumbent, trial.name, trial.phase, "incumbent", 1.0 - trial.share)


class Router:
    """`assign` for one snapshot, which remembers the units that it saw last: two hashes cost 1.2 us.

    >>> Router(Routes(1, "v2", ("v2", "v1"))).assign("N14228").version
    'v2'
    """

    def __init__(self, now: Routes) -> None:
        split = now.trial is not None and now.trial.mode == "split"
        self.alone = None if split else Assignment(now.incumbent)
        """The assignment of every row, where no split runs."""
        self.assign: Callable[[str | None], Assignment] = lru_cache(REMEMBERED)(partial(assign, now))


def order(now: Routes, version: str) -> tuple[str, ...]:
    """Whom to ask, first to last: the assigned version, then the chain of fallback.

    >>> order(Routes(1, "v2", ("v2", "v1")), "v3")
    ('v3', 'v2', 'v1')
    """
    return _distinct(version, *now.chain)


def _takes_part(trial: Trial, unit: str) -> bool:
    return share_hash(trial.salt, "enrol", unit) < trial.enrolled


def _distinct(*names: str | None) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for name in names if name is not None))
