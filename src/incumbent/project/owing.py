"""What does a decision on the ledger still owe? The second of two events, where a process ended after the first.

In: events of `TYPES`, oldest first, and the roles after them. Out: what won its shadow and has no split yet; the
replaced version that nobody watches yet. Appends nothing: `trials` does, at each tick.
"""

from collections.abc import Sequence

from incumbent.config import Live, Retrain
from incumbent.loop.fold import evidence_from_dict
from incumbent.records import DAY, Event, Evidence, Micros, Roles

TYPES = (
    "TrialStarted", "TrialDecided", "Promoted", "RolledBack", "WatchStarted", "WatchStopped", "RetrainRequested",
)  # fmt: skip


def split(events: Sequence[Event], roles: Roles, live: Live) -> Evidence | None:
    """The look at the last trial, where that was a shadow that won under `live.mode` both: no trial followed, and the
    incumbent is the one that it was compared with."""
    last = _last(events, "TrialStarted", "TrialDecided")
    if live.mode != "both" or roles.trial is not None or last is None or last.data.get("verdict") != "promote":
        return None
    found = last.data.get("evidence")
    if found is None or found["numbers"].get("mode") != "shadow" or found["reference"] != roles.incumbent:
        return None
    return evidence_from_dict(found)


def watch(events: Sequence[Event], roles: Roles, retrain: Retrain, now: Micros) -> str | None:
    """The version that the incumbent replaced less than `retrain.watch_days` ago, where no watch began or ended since.

    Not the baseline, which is loaded anyway; and only where the ticker promoted: on a trial, or a refresh.
    """
    last = _last(events, "Promoted", "RolledBack", "WatchStarted", "WatchStopped")
    if last is None or last.type != "Promoted" or now - last.at >= retrain.watch_days * DAY:
        return None
    replaced: str | None = last.data["replaces"]
    return None if replaced == roles.baseline or not _by_ticker(last, events) else replaced


def _by_ticker(promoted: Event, events: Sequence[Event]) -> bool:
    """Promoted on the evidence of a trial; or on the gate's of a refit, which was asked for at the same moment."""
    evidence = promoted.data.get("evidence")
    if evidence is None:
        return False
    refit = _last([one for one in events if one.sequence < promoted.sequence], "RetrainRequested")
    refreshed = evidence["step"] == "gate" and refit is not None and refit.at == promoted.at
    return refreshed or evidence["numbers"].get("mode") in ("shadow", "split")


def _last(events: Sequence[Event], *types: str) -> Event | None:
    return next((event for event in reversed(events) if event.type in types), None)
