"""Append the decision: who holds which place is a fold over the ledger, and a rollback is one more line.

In: the roles now, and what somebody (or `loop.decide`) wants done. Out: one event more. Every move is a
compare-and-swap on `roles.sequence`: LedgerConflict passes through, the caller folds again and decides anew.
What the ledger does not allow is DecisionRefused and changes nothing. Reads no log, loads no version,
decides nothing.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Literal

from incumbent.errors import DecisionRefused, LedgerConflict, NotAnswering, UnknownVersion
from incumbent.loop.fold import (
    evidence_from_dict,
    evidence_to_dict,
    roles,
    version_from_dict,
    version_to_dict,
)
from incumbent.loop.sentences import percent, sentence
from incumbent.records import Event, Evidence, Json, Micros, Roles, Trial, Version
from incumbent.runtimes import accepting
from incumbent.storage.base import Ledger

__all__ = [
    "alarm",
    "allow",
    "answering",
    "attest",
    "decide_trial",
    "evidence_from_dict",
    "evidence_to_dict",
    "known",
    "next_version",
    "override",
    "promotable",
    "promote",
    "raise_enrolment",
    "record",
    "refuse_retrain",
    "register",
    "request_retrain",
    "roles",
    "roll_back",
    "sentence",
    "set_baseline",
    "start_phase",
    "start_trial",
    "stop_watching",
    "unmoved",
    "version_from_dict",
    "version_to_dict",
    "watch",
]

Data = Mapping[str, Json]

COULD_ANSWER = ("endpoint",)
"""Runtimes whose references have a predictor: they answer once somebody lets them."""


def next_version(now: Roles) -> str:
    """The name for the next version: `v1`, `v2`, …

    >>> next_version(Roles())
    'v1'
    """
    return f"v{len(now.versions) + 1}"


def register(
    ledger: Ledger,
    now: Roles,
    version: Version,
    *,
    at: Micros,
    actor: str,
    reason: str = "",
    measured: Data | None = None,
) -> Event:
    """Make a version known. Refused when the name is taken: a version never changes."""
    if version.name in now.versions:
        raise DecisionRefused(
            f"{version.name} is registered already, and a version never changes: "
            f"register this one as {next_version(now)}."
        )
    return ledger.append(
        "VersionRegistered",
        at=at,
        actor=actor,
        reason=reason,
        expected=now.sequence,
        data={"version": version_to_dict(version)},
        measured=measured,
    )


def set_baseline(
    ledger: Ledger, now: Roles, version: str, *, at: Micros, actor: str, reason: str = ""
) -> Event:
    """Make a version the last resort of every fallback: it must answer new rows, and is always loaded."""
    answering(now, version)
    return ledger.append(
        "BaselineSet", at=at, actor=actor, reason=reason, expected=now.sequence, data={"version": version}
    )


def promote(
    ledger: Ledger,
    now: Roles,
    version: str,
    *,
    at: Micros,
    actor: str,
    reason: str,
    evidence: Evidence | None = None,
) -> Event:
    """Make a version the incumbent. A running trial ends: its challenger won, or its incumbent is gone.

    A system behind an address that was a reference so far answers from now on: that is what is asked for, and an event
    of its own says so. Raises UnknownVersion, NotAnswering (another reference), DecisionRefused (it is the incumbent;
    no reason).
    """
    _needs_reason(reason, f"the promotion of {version}")
    promotable(now, version)
    if version == now.incumbent:
        raise DecisionRefused(f"{version} is the incumbent already: there is nothing to promote.")
    unmoved(ledger, now, f"the promotion of {version}")
    sequence = now.sequence
    if not now.versions[version].answers:
        sequence = allow(ledger, now, version, at=at, actor=actor, reason=reason).sequence
    data = {"version": version, "replaces": now.incumbent, **_ending(now), **_evidence_data(evidence)}
    return ledger.append(
        "Promoted",
        at=at,
        actor=actor,
        reason=reason,
        expected=sequence,
        data=data,
        measured=evidence.measured if evidence else None,
    )


def allow(ledger: Ledger, now: Roles, version: str, *, at: Micros, actor: str, reason: str) -> Event:
    """Let a system behind an address answer, which was a reference so far: one that was only compared with.

    Raises NotAnswering for a reference that cannot answer (people, kept answers), DecisionRefused where it may already.
    """
    _needs_reason(reason, f"letting {version} answer")
    if promotable(now, version).answers:
        raise DecisionRefused(f"{version} may answer already: there is nothing to allow.")
    return ledger.append(
        "AnswersAllowed", at=at, actor=actor, reason=reason, expected=now.sequence, data={"version": version}
    )


def roll_back(
    ledger: Ledger,
    now: Roles,
    proves: Callable[[Version], None],
    *,
    at: Micros,
    actor: str,
    reason: str,
    evidence: Evidence | None = None,
) -> Event:
    """Take the incumbent back; `roles.previous` answers again.

    `proves` loads the old version, replays its golden rows and raises when it cannot (the error passes
    through and nothing is appended). Raises DecisionRefused when nothing is behind the incumbent, or without
    a reason.
    """
    _needs_reason(reason, "a rollback")
    if now.incumbent is None or now.previous is None:
        found = (
            f"{now.incumbent} is the incumbent and no earlier one is" if now.incumbent else "no incumbent is"
        )
        hint = (
            f"promote {now.baseline}, the baseline, instead."
            if _may_promote_baseline(now)
            else "promote a version."
        )
        raise DecisionRefused(f"found nothing to roll back to: {found} left; {hint}")
    proves(now.versions[now.previous])
    unmoved(ledger, now, "the rollback")
    data = {"version": now.incumbent, "to": now.previous, **_ending(now), **_evidence_data(evidence)}
    return ledger.append(
        "RolledBack",
        at=at,
        actor=actor,
        reason=reason,
        expected=now.sequence,
        data=data,
        measured=evidence.measured if evidence else None,
    )


def start_trial(
    ledger: Ledger,
    now: Roles,
    challenger: str,
    *,
    at: Micros,
    actor: str,
    mode: Literal["shadow", "split"],
    enrolled: float = 1.0,
    share: float = 0.5,
    called: float = 0.0,
    caps: Mapping[str, float] | None = None,
    reason: str = "",
    name: str | None = None,
) -> Event:
    """Compare a challenger with the incumbent on live traffic.

    `enrolled` is the share of units that takes part, `share` the part of those that the challenger answers, `called`
    the part for which it is called and the incumbent answers (a third arm). `caps`: what one outcome counts at most, by
    measure. The name salts the assignment; by default it is the number of this line of the ledger (`t17`), so that it
    never comes twice. Refused, beside whatever else the ledger does not allow, where the challenger does not take every
    row that the incumbent takes.
    """
    answering(now, challenger)
    if now.trial is not None:
        raise DecisionRefused(
            f"trial {now.trial.name} of {now.trial.challenger} is running, and one runs at a time: "
            "wait for its decision, or stop it first."
        )
    if now.incumbent is None:
        raise DecisionRefused("found no incumbent to compare with: promote one first (the baseline will do).")
    if challenger == now.incumbent:
        raise DecisionRefused(f"{challenger} is the incumbent: a trial needs another version.")
    if not 0.0 < enrolled <= 1.0 or not 0.0 < share < 1.0 or not 0.0 <= called < 1.0 - share:
        raise DecisionRefused(
            f"found enrolled {enrolled}, share {share} and called {called}, expected shares above 0 and up to 1 "
            "(called may be 0; the arms' shares leave some to the incumbent)"
        )
    _needs_every_row(now.versions[now.incumbent], now.versions[challenger])
    trial = Trial(
        name=name or f"t{now.sequence + 1}",
        challenger=challenger,
        incumbent=now.incumbent,
        mode=mode,
        started_at=at,
        enrolled=enrolled,
        share=share,
        phase_started_at=at,
        called=called,
        caps=dict(caps or {}),
    )
    return ledger.append(
        "TrialStarted",
        at=at,
        actor=actor,
        reason=reason,
        expected=now.sequence,
        data={"trial": asdict(trial)},
    )


def raise_enrolment(
    ledger: Ledger, now: Roles, enrolled: float, *, at: Micros, actor: str, reason: str = ""
) -> Event:
    """Let more units take part. Nobody changes arm, so the data before stays in the decision.

    Raises DecisionRefused when the share is not higher than now: that would be a new phase (`start_phase`).
    """
    trial = _running(now)
    has, asked = percent(trial.enrolled), percent(enrolled)
    found = f"trial {trial.name} has {has} of the units enrolled, and {asked} was asked for"
    if enrolled < trial.enrolled:
        raise DecisionRefused(
            f"EnrolmentLowered: {found}.\n    Lowering starts a new phase, and the old phase's data leaves "
            f"the decision: begin one (`incumbent live phase {enrolled:g} --reason …`), or keep {has}."
        )
    if enrolled == trial.enrolled or enrolled > 1.0:
        raise DecisionRefused(f"{found}; expected a larger share, up to 100 %.")
    return ledger.append(
        "EnrolmentRaised",
        at=at,
        actor=actor,
        reason=reason,
        expected=now.sequence,
        data={"trial": trial.name, "enrolled": enrolled},
    )


def start_phase(ledger: Ledger, now: Roles, *, enrolled: float, at: Micros, actor: str, reason: str) -> Event:
    """Begin again with a new salt: units are dealt anew, and what came before leaves the decision."""
    trial = _running(now)
    _needs_reason(reason, "a new phase")
    if not 0.0 < enrolled <= 1.0:
        raise DecisionRefused(f"found an enrolled share of {enrolled}, expected one above 0 and up to 1")
    return ledger.append(
        "PhaseStarted",
        at=at,
        actor=actor,
        reason=reason,
        expected=now.sequence,
        data={"trial": trial.name, "phase": trial.phase + 1, "enrolled": enrolled},
    )


def decide_trial(
    ledger: Ledger,
    now: Roles,
    verdict: str,
    *,
    at: Micros,
    actor: str,
    reason: str,
    evidence: Evidence | None = None,
) -> Event:
    """End the running trial; the incumbent stays. (A challenger that won is promoted: that ends it too.)"""
    trial = _running(now)
    _needs_reason(reason, f"the end of trial {trial.name}")
    data = {
        "trial": trial.name,
        "challenger": trial.challenger,
        "verdict": verdict,
        **_evidence_data(evidence),
    }
    return ledger.append(
        "TrialDecided",
        at=at,
        actor=actor,
        reason=reason,
        expected=now.sequence,
        data=data,
        measured=evidence.measured if evidence else None,
    )


def watch(ledger: Ledger, now: Roles, version: str, *, at: Micros, actor: str, reason: str = "") -> Event:
    """Score a replaced version beside its successor. At most one: the version watched before is let go."""
    answering(now, version)
    if version == now.incumbent:
        raise DecisionRefused(f"{version} is the incumbent: it answers, so there is nothing to watch.")
    return ledger.append(
        "WatchStarted", at=at, actor=actor, reason=reason, expected=now.sequence, data={"version": version}
    )


def stop_watching(ledger: Ledger, now: Roles, *, at: Micros, actor: str, reason: str = "") -> Event:
    """Let the watch shadow go."""
    if now.watch is None:
        raise DecisionRefused("found no version that is watched: there is nothing to stop.")
    return ledger.append(
        "WatchStopped", at=at, actor=actor, reason=reason, expected=now.sequence, data={"version": now.watch}
    )


def override(
    ledger: Ledger,
    now: Roles,
    version: str,
    verdict: str,
    *,
    at: Micros,
    actor: str,
    reason: str,
    decision: int | None = None,
) -> Event:
    """Say, in front of everybody, that a verdict about a version is not followed. Needs a reason.

    `decision` is the sequence number of the event that holds the verdict.
    """
    _needs_reason(reason, f"an override of the verdict {verdict!r} on {version}")
    answering(now, version)
    return ledger.append(
        "Overridden",
        at=at,
        actor=actor,
        reason=reason,
        expected=now.sequence,
        data={"version": version, "verdict": verdict, "decision": decision},
    )


def record(ledger: Ledger, evidence: Evidence, *, actor: str, reason: str = "") -> Event:
    """Keep evidence: GateDecided for step 2, EvidenceRecorded else. Its timings go to `measured`."""
    shared = {"version": evidence.subject, **_evidence_data(evidence)}
    if evidence.step == "gate":
        return ledger.append(
            "GateDecided",
            at=evidence.at,
            actor=actor,
            reason=reason or evidence.sentence,
            data={"verdict": evidence.verdict, **shared},
            measured=evidence.measured,
        )
    return ledger.append(
        "EvidenceRecorded",
        at=evidence.at,
        actor=actor,
        reason=reason or evidence.sentence,
        data={"step": evidence.step, **shared},
        measured=evidence.measured,
    )


def alarm(
    ledger: Ledger, name: str, *, at: Micros, actor: str, reason: str, evidence: Evidence | None = None
) -> Event:
    """Raise an alarm (`name`: harm, drift, broken_feed, …); what follows from it is decided elsewhere."""
    return ledger.append(
        "AlarmRaised",
        at=at,
        actor=actor,
        reason=reason,
        data={"alarm": name, **_evidence_data(evidence)},
        measured=evidence.measured if evidence else None,
    )


def request_retrain(ledger: Ledger, cause: str, *, at: Micros, actor: str, reason: str = "") -> Event:
    """Write down that a retrain is due, and by what cause (cadence, drift, harm, labels, age)."""
    return ledger.append("RetrainRequested", at=at, actor=actor, reason=reason, data={"cause": cause})


def refuse_retrain(
    ledger: Ledger, cause: str, *, at: Micros, actor: str, reason: str, evidence: Evidence | None = None
) -> Event:
    """Write down that a retrain was not done, or its result not taken, and why."""
    _needs_reason(reason, "a refused retrain")
    return ledger.append(
        "RetrainRefused",
        at=at,
        actor=actor,
        reason=reason,
        data={"cause": cause, **_evidence_data(evidence)},
        measured=evidence.measured if evidence else None,
    )


def attest(ledger: Ledger, test: str, *, at: Micros, actor: str, reason: str) -> Event:
    """Write down that a named person says a test of the readiness card is passed, and why."""
    _needs_reason(reason, f"the word on {test}")
    return ledger.append("Attested", at=at, actor=actor, reason=reason, data={"test": test})


def known(now: Roles, name: str) -> Version:
    """The registered version of that name, or UnknownVersion."""
    version = now.versions.get(name)
    if version is None:
        raise UnknownVersion(
            f"found no version {name!r}; registered are {', '.join(now.versions) or 'none so far'}."
        )
    return version


def answering(now: Roles, name: str) -> Version:
    """The version of that name, if it answers new rows; else UnknownVersion or NotAnswering."""
    version = known(now, name)
    if not version.answers:
        could = version.runtime in COULD_ANSWER
        why = "set baseline.url_answers = true, or promote it" if could else "it cannot answer new rows"
        raise NotAnswering(f"{name} ({version.runtime}) is a reference to compare with: {why}.")
    return version


def promotable(now: Roles, name: str) -> Version:
    """The version of that name, if it answers new rows or could (a reference behind an address); else UnknownVersion or
    NotAnswering."""
    version = known(now, name)
    return version if version.runtime in COULD_ANSWER else answering(now, name)


def unmoved(ledger: Ledger, now: Roles, what: str) -> None:
    """LedgerConflict where events came after `now`, naming the last: a proof takes its time, and a trial may have been
    ended for harm meanwhile. (Appending with `now.sequence` says the same of what comes later still.)"""
    since = ledger.events(after=now.sequence)
    if since:
        raise LedgerConflict(
            f"{what} was decided at event {now.sequence} of the ledger, and more came since; the last is event "
            f"{since[-1].sequence} ({sentence(since[-1])}). Nothing was changed: look at it, and decide anew."
        )


def _evidence_data(evidence: Evidence | None) -> dict[str, Json]:
    return {} if evidence is None else {"evidence": evidence_to_dict(evidence)}


def _ending(now: Roles) -> dict[str, Json]:
    return {} if now.trial is None else {"trial": now.trial.name, "challenger": now.trial.challenger}


def _running(now: Roles) -> Trial:
    if now.trial is None:
        raise DecisionRefused("found no trial that runs: start one first.")
    return now.trial


def _needs_reason(reason: str, what: str) -> None:
    if not reason.strip():
        raise DecisionRefused(f"found no reason for {what}: the ledger keeps one, say it with --reason.")


def _needs_every_row(incumbent: Version, challenger: Version) -> None:
    against = accepting.refused(incumbent.signature, challenger.signature)
    if against:
        raise DecisionRefused(
            f"{challenger.name} does not take every row that the incumbent {incumbent.name} takes: "
            f"{'; '.join(against)}. Expected the same columns, wider ones, or more that may be null."
        )


def _may_promote_baseline(now: Roles) -> bool:
    return now.baseline is not None and now.baseline != now.incumbent
