"""Does a verdict of the gate stand against a version, and who says that it is not followed?

In: the ledger. Out: the event of the verdict, or an `Overridden` that names it. A version that was never judged is held
by nobody: the gate is asked, it does not lie in wait. What won its trial is promoted on that evidence, not by hand.
"""

from collections.abc import Iterable
from dataclasses import replace

from incumbent.errors import DecisionRefused
from incumbent.loop import promote
from incumbent.loop.fold import roles
from incumbent.records import Event, Micros, Roles
from incumbent.storage.base import Ledger

AGAINST = ("hold", "not_enough_data")


def verdict(events: Iterable[Event], version: str) -> Event | None:
    """The gate's last verdict about a version, where it is against it and nobody has overridden it since.

    A dry run decides nothing, and a gate that is off says nothing: neither stands against anybody.
    """
    last: Event | None = None
    for event in events:
        if event.data.get("version") != version or event.type not in ("GateDecided", "Overridden"):
            continue
        last = event if event.type == "GateDecided" and _decides(event) else None
    return last


def settle(
    ledger: Ledger, now: Roles, version: str, *, overrides: bool, at: Micros, actor: str, reason: str
) -> Roles:
    """Before a promotion by hand: refuse it where a verdict stands against the version, or override that.

    The roles that the promotion is to be compared with: `now`, an override being one event more. DecisionRefused names
    the verdict and what to say; so does an override of nothing. LedgerConflict where an override finds that something
    came after `now`.
    """
    against = verdict(ledger.events(), version)
    if against is None and overrides:
        raise DecisionRefused(
            f"found no verdict of the gate against {version}: there is nothing to override, leave --override out."
        )
    if against is None or now.incumbent == version:
        return now
    if not overrides:
        raise DecisionRefused(
            f"the gate says {against.data['verdict'].replace('_', ' ')} about {version} (event {against.sequence} of "
            f"the ledger), and gate.mode = enforce. To promote it all the same, say --override with the reason; "
            f"`incumbent gate {version}` judges it again."
        )
    promote.unmoved(ledger, now, f"the override of the verdict on {version}")
    said = override(ledger, against, at=at, actor=actor, reason=reason, now=now)
    return replace(now, sequence=said.sequence)


def override(
    ledger: Ledger, against: Event, *, at: Micros, actor: str, reason: str, now: Roles | None = None
) -> Event:
    """Say that this verdict is not followed. Needs a reason."""
    now, found = roles(ledger.events()) if now is None else now, against.data
    return promote.override(
        ledger, now, found["version"], found["verdict"], decision=against.sequence, at=at, actor=actor, reason=reason
    )


def _decides(event: Event) -> bool:
    mode = event.data.get("evidence", {}).get("numbers", {}).get("mode", "enforce")
    return mode == "enforce" and event.data["verdict"] in AGAINST
