"""What a person may do about trials and versions by hand, what will happen, and doing it: the same at every door.

In: a `Move` with a reason. Out: before, a sentence that says what will happen, or the refusal that doing it would meet;
then one event of the ledger (an override is one more). A version that is to answer proves itself first.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

from incumbent.config import Config
from incumbent.errors import DecisionRefused
from incumbent.loop import held, promote, starting
from incumbent.loop.fold import roles as fold
from incumbent.loop.pretended import Pretended
from incumbent.loop.sentences import percent
from incumbent.records import DAY, Event, Micros, Roles, Trial, Version
from incumbent.storage.opening import Facts

Verb = Literal["start", "stop", "enrol", "phase", "promote", "rollback"]
Proves = Callable[[Version], None]

NAMES: dict[Verb, str] = {
    "start": "start a trial",
    "stop": "stop the trial",
    "enrol": "let more units take part",
    "phase": "begin a new phase",
    "promote": "promote a version",
    "rollback": "take the incumbent back",
}


@dataclass(frozen=True, slots=True)
class Move:
    """One move by hand.

    `trial` names the running trial that is meant ("": whichever runs), so that a move never reaches another one.
    `version`: of a start or a promotion. `enrolled`: a share of the units, 0-1. `override`: a verdict of the gate
    against the version is not followed.
    """

    verb: Verb
    reason: str = ""
    trial: str = ""
    version: str = ""
    mode: starting.Mode | None = None
    enrolled: float | None = None
    override: bool = False


def make(move: Move, facts: Facts, config: Config, proves: Proves, *, at: Micros, actor: str) -> Event:
    """Do it. DecisionRefused without a reason, and for whatever the ledger does not allow: nothing has changed then."""
    if not move.reason.strip():
        raise DecisionRefused(f"found no reason to {NAMES[move.verb]}: the ledger keeps one, say it.")
    now = fold(facts.ledger.events())
    _refuse_another(move, now)
    return _MAKE[move.verb](move, facts, now, config, proves, at, actor)


def foretell(move: Move, facts: Facts, config: Config, *, at: Micros) -> str:
    """What will happen, in plain words. Raises what `make` would raise, but that no version is opened, and that a
    reason may still be missing. Reads the ledger alone: a page may be shown often, and the log is long."""
    nowhere = replace(facts, ledger=Pretended(facts.ledger))
    now = fold(nowhere.ledger.events())
    _refuse_another(move, now)
    tried = replace(move, reason=move.reason.strip() or "to see what would happen")
    _TRY[move.verb](tried, nowhere, now, config, lambda version: None, at, "nobody")
    return _FORETELL[move.verb](move, now, config, at)


def _refuse_another(move: Move, now: Roles) -> None:
    if move.trial and now.trial is not None and now.trial.name != move.trial:
        raise DecisionRefused(f"found the trial {move.trial!r}, expected the one that runs: {now.trial.name}.")


# --- doing it ---


def _start(
    move: Move,
    facts: Facts,
    now: Roles,
    config: Config,
    proves: Proves,
    at: Micros,
    actor: str,
    capped: Mapping[str, float] | None = None,
) -> Event:
    on = starting.terms(config, move.mode, move.enrolled)
    proves(promote.answering(now, move.version))
    return starting.start(
        facts, now, config, move.version, at=at, actor=actor, reason=move.reason, mode=on.mode, enrolled=on.enrolled,
        capped=capped,
    )  # fmt: skip


def _stop(move: Move, facts: Facts, now: Roles, config: Config, proves: Proves, at: Micros, actor: str) -> Event:
    return promote.decide_trial(facts.ledger, now, "stopped", at=at, actor=actor, reason=move.reason)


def _enrol(move: Move, facts: Facts, now: Roles, config: Config, proves: Proves, at: Micros, actor: str) -> Event:
    if now.trial is not None and now.trial.mode == "shadow":
        raise DecisionRefused("a shadow scores every row: there is nobody to enrol.")
    return promote.raise_enrolment(facts.ledger, now, _share(move), at=at, actor=actor, reason=move.reason)


def _phase(move: Move, facts: Facts, now: Roles, config: Config, proves: Proves, at: Micros, actor: str) -> Event:
    share = _share_of_phase(move, now)
    return promote.start_phase(facts.ledger, now, enrolled=share, at=at, actor=actor, reason=move.reason)


def _promote(move: Move, facts: Facts, now: Roles, config: Config, proves: Proves, at: Micros, actor: str) -> Event:
    proves(promote.promotable(now, move.version))
    now = held.settle(  # what was decided before the proof holds only where nothing came in between
        facts.ledger, now, move.version, overrides=move.override, at=at, actor=actor, reason=move.reason
    )
    return promote.promote(facts.ledger, now, move.version, at=at, actor=actor, reason=move.reason)


def _roll_back(move: Move, facts: Facts, now: Roles, config: Config, proves: Proves, at: Micros, actor: str) -> Event:
    return promote.roll_back(facts.ledger, now, proves, at=at, actor=actor, reason=move.reason)


def _share_of_phase(move: Move, now: Roles) -> float:
    """The share that was asked for, by default the present one; a shadow scores every row."""
    has = now.trial.enrolled if now.trial else 1.0
    share = has if move.enrolled is None else move.enrolled
    if now.trial is not None and now.trial.mode == "shadow" and share != 1.0:
        raise DecisionRefused(f"found an enrolled share of {share:g}, and a shadow scores every row: leave it out.")
    return share


def _share(move: Move) -> float:
    if move.enrolled is None:
        raise DecisionRefused("found no share of the units, expected one above 0 and up to 1")
    return move.enrolled


# --- what will happen ---


def _will_start(move: Move, now: Roles, config: Config, at: Micros) -> str:
    on, live = starting.terms(config, move.mode, move.enrolled), config.live
    if on.mode == "shadow":
        first = f"{move.version} will score every row beside {now.incumbent}, which goes on answering all of them."
    else:
        part = "A third" if on.called else "Half"
        third = ", for another third it is called and its answer kept back" if on.called else ""
        first = (
            f"{percent(on.enrolled)} of the units will take part. {part} of them will be answered by {move.version}"
            f"{third}; the others by {now.incumbent}."
        )
    return f"{first} {_limits(config)} {_promotes(live.promote, move.version)}"


def _limits(config: Config) -> str:
    live = config.live
    return (
        f"Harm that is shown ends it at once; a promotion takes {live.min_days} days at least, and after "
        f"{live.max_days} days it ends undecided."
    )


def _promotes(how: str, version: str) -> str:
    if how == "auto":
        return f"If {version} is shown better it is promoted by itself (live.promote = auto)."
    return f"If {version} is shown better a person promotes it (live.promote = manual)."


def _will_stop(move: Move, now: Roles, config: Config, at: Micros) -> str:
    trial = _running(now)
    return (
        f"Trial {trial.name} will end, and {trial.incumbent} will answer everybody. What was seen stays on the ledger; "
        "the trial cannot go on later."
    )


def _will_enrol(move: Move, now: Roles, config: Config, at: Micros) -> str:
    trial = _running(now)
    return (
        f"{percent(_share(move))} of the units will take part in trial {trial.name} instead of "
        f"{percent(trial.enrolled)}. Nobody changes arm, and all that was seen stays in the decision. A smaller share "
        "later would be a new phase."
    )


def _will_begin(move: Move, now: Roles, config: Config, at: Micros) -> str:
    trial = _running(now)
    seen = max(at - trial.phase_started_at, 0) // DAY
    days = "1 day" if seen == 1 else f"{seen:,} days"
    share = percent(_share_of_phase(move, now))
    units = "" if trial.mode == "shadow" else f" with {share} of the units, dealt anew: some change arm"
    return (
        f"Phase {trial.phase + 1} of trial {trial.name} will begin{units}. What was seen in phase {trial.phase} "
        f"({days}) leaves the decision and stays on the ledger."
    )


def _will_promote(move: Move, now: Roles, config: Config, at: Micros) -> str:
    behind = f" in place of {now.incumbent}, which stays loaded behind it" if now.incumbent else ""
    override = " The gate's verdict against it is overridden, which is an event of its own." if move.override else ""
    first = f"{move.version} will answer{behind}, once it has repeated its golden rows."
    return f"{first}{_ends(now, move.version)}{override}"


def _will_roll_back(move: Move, now: Roles, config: Config, at: Micros) -> str:
    return (
        f"{now.incumbent} will be taken back, and {now.previous} will answer again, once it has repeated its golden "
        f"rows.{_ends(now, '')} Only a new promotion brings {now.incumbent} back."
    )


def _ends(now: Roles, promoted: str) -> str:
    if now.trial is None:
        return ""
    how = "won" if now.trial.challenger == promoted else "without a winner"
    return f" Trial {now.trial.name} of {now.trial.challenger} ends, {how}."


def _running(now: Roles) -> Trial:
    assert now.trial is not None, "making it was tried first"
    return now.trial


_Makes = Callable[[Move, Facts, Roles, Config, Proves, Micros, str], Event]
_MAKE: dict[Verb, _Makes] = {
    "start": _start,
    "stop": _stop,
    "enrol": _enrol,
    "phase": _phase,
    "promote": _promote,
    "rollback": _roll_back,
}
_TRY: dict[Verb, _Makes] = {**_MAKE, "start": partial(_start, capped={})}
"""Nothing that is said depends on the caps."""
_FORETELL: dict[Verb, Callable[[Move, Roles, Config, Micros], str]] = {
    "start": _will_start,
    "stop": _will_stop,
    "enrol": _will_enrol,
    "phase": _will_begin,
    "promote": _will_promote,
    "rollback": _will_roll_back,
}
