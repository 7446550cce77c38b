"""Who holds which place? A fold over the ledger; and versions and evidence as the JSON that events hold.

In: events in order, without gaps. Out: Roles. A version that was taken back is nowhere in the stack, so that
only a new promotion can bring it back; a change of incumbent ends the trial against the old one. Appends
nothing.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, replace
from typing import Any

from incumbent.errors import StoreDamaged
from incumbent.records import Column, Event, Evidence, Json, Micros, Roles, Signature, Trial, Version

Data = Mapping[str, Json]


def roles(events: Iterable[Event], start: Roles | None = None) -> Roles:
    """Who holds which place after these events; `start` are the roles before the first of them.

    All types of event are needed, in order and without gaps (else StoreDamaged): the sequence number is what
    the next move is compared with. Events of types that change no role are counted and passed over.
    """
    now = start or Roles()
    for event in events:
        if event.sequence != now.sequence + 1:
            raise StoreDamaged(
                f"found event {event.sequence} after {now.sequence}, expected {now.sequence + 1}: "
                "fold all types of event, in order"
            )
        change = _CHANGES.get(event.type)
        now = replace(change(now, event.data, event.at) if change else now, sequence=event.sequence)
    return now


# --- what an event does to the roles ---


def _registered(now: Roles, data: Data, at: Micros) -> Roles:
    version = version_from_dict(data["version"])
    return replace(now, versions={**now.versions, version.name: version})


def _pushed(now: Roles, data: Data, at: Micros) -> Roles:
    """A version is at most once in the stack: promoted again, it moves to the top."""
    return _led_by(now, (*_without(now.stack, data["version"]), data["version"]))


def _popped(now: Roles, data: Data, at: Micros) -> Roles:
    """A version that was taken back is nowhere in the stack, so only a new promotion can bring it back."""
    return _led_by(now, _without(now.stack, data["version"]))


def _led_by(now: Roles, stack: tuple[str, ...]) -> Roles:
    """A new incumbent: a trial against the old one has lost its question; nobody watches the incumbent."""
    top = stack[-1] if stack else None
    return replace(now, stack=stack, trial=None, watch=None if now.watch == top else now.watch)


def _trial_started(now: Roles, data: Data, at: Micros) -> Roles:
    return replace(now, trial=Trial(**data["trial"]))


def _enrolment_raised(now: Roles, data: Data, at: Micros) -> Roles:
    if now.trial is None or now.trial.name != data["trial"]:
        return now
    return replace(now, trial=replace(now.trial, enrolled=data["enrolled"]))


def _phase_started(now: Roles, data: Data, at: Micros) -> Roles:
    if now.trial is None or now.trial.name != data["trial"]:
        return now
    phase = replace(now.trial, phase=data["phase"], enrolled=data["enrolled"], phase_started_at=at)
    return replace(now, trial=phase)


def _trial_decided(now: Roles, data: Data, at: Micros) -> Roles:
    return replace(now, trial=None) if now.trial and now.trial.name == data["trial"] else now


def _baseline_set(now: Roles, data: Data, at: Micros) -> Roles:
    return replace(now, baseline=data["version"])


def _watched(now: Roles, data: Data, at: Micros) -> Roles:
    return replace(now, watch=data["version"])


def _erased(now: Roles, data: Data, at: Micros) -> Roles:
    """Versions whose golden rows lost some have another manifest since; all else of them is as it was."""
    changed = {name: replace(now.versions[name], manifest=new) for name, new in data["manifests"].items()}
    return replace(now, versions={**now.versions, **changed})


def _allowed(now: Roles, data: Data, at: Micros) -> Roles:
    """A reference that may answer from now on. (A version never changes; who may ask it for new rows does.)"""
    name = data["version"]
    return replace(now, versions={**now.versions, name: replace(now.versions[name], answers=True)})


def _unwatched(now: Roles, data: Data, at: Micros) -> Roles:
    return replace(now, watch=None)


_CHANGES: dict[str, Callable[[Roles, Data, Micros], Roles]] = {
    "VersionRegistered": _registered,
    "AnswersAllowed": _allowed,
    "BaselineSet": _baseline_set,
    "Promoted": _pushed,
    "RolledBack": _popped,
    "TrialStarted": _trial_started,
    "EnrolmentRaised": _enrolment_raised,
    "PhaseStarted": _phase_started,
    "TrialDecided": _trial_decided,
    "WatchStarted": _watched,
    "WatchStopped": _unwatched,
    "Erased": _erased,
}


# --- values as JSON ---


def version_to_dict(version: Version) -> dict[str, Json]:
    """A Version as JSON values (`version_from_dict` is the inverse)."""
    columns = [
        {**asdict(c), "categories": None if c.categories is None else list(c.categories)}
        for c in version.signature.columns
    ]
    signature = {
        "columns": columns,
        "kind": version.signature.kind,
        "classes": list(version.signature.classes),
    }
    found = {**asdict(replace(version, signature=Signature((), "binary"))), "signature": signature}
    if not version.brought:
        del found["brought"]  # what was made here reads as it did before anything could be brought
    return found


def version_from_dict(data: Data) -> Version:
    """The Version that `version_to_dict` wrote."""
    fields: dict[str, Any] = dict(data)
    signature = fields.pop("signature")
    columns = tuple(Column(**{**c, "categories": _tuple(c["categories"])}) for c in signature["columns"])
    return Version(signature=Signature(columns, signature["kind"], tuple(signature["classes"])), **fields)


def evidence_to_dict(evidence: Evidence) -> dict[str, Json]:
    """Evidence as JSON values without `measured`: timings lie beside it, in the event's own `measured`."""
    return {
        "step": evidence.step,
        "subject": evidence.subject,
        "verdict": evidence.verdict,
        "sentence": evidence.sentence,
        "at": evidence.at,
        "reference": evidence.reference,
        "numbers": dict(evidence.numbers),
    }


def evidence_from_dict(data: Data, measured: Data | None = None) -> Evidence:
    """The Evidence that `evidence_to_dict` wrote; pass `event.measured` to have its timings again."""
    return Evidence(**data, measured=dict(measured or {}))


def _without(stack: tuple[str, ...], version: str) -> tuple[str, ...]:
    return tuple(name for name in stack if name != version)


def _tuple(values: list[str] | None) -> tuple[str, ...] | None:
    return None if values is None else tuple(values)
