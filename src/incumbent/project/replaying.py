"""Is a recorded look repeated to the byte? And what would an ended trial say with the labels that came since?

In: the ledger, the log, the settings that each look names. Out: one `Repeated` a recorded look; one Evidence of an
ended trial. Changes nothing.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from incumbent.errors import ConfigError, DecisionRefused, StoreDamaged
from incumbent.loop.fold import evidence_to_dict, roles
from incumbent.project import looking
from incumbent.records import Event, Evidence, Json, Micros, Trial, moment
from incumbent.steps.live import looks
from incumbent.storage.base import Mark

if TYPE_CHECKING:
    from incumbent.project.project import Project

ENDINGS = ("TrialDecided", "Promoted", "RolledBack")
TAKEN = {"Erased": "rows were erased", "DaysDropped": "old days were deleted"}


@dataclass(frozen=True, slots=True)
class Repeated:
    """One recorded look, made again. `event` holds it; `differs` are the parts that are not the same, as "part:
    recorded, now"; `said` is why, where that is known."""

    trial: str
    event: int
    at: Micros
    look: int
    verdict: str
    same: bool
    differs: tuple[str, ...] = ()
    said: str = ""


def replay(project: "Project", trial: str | None, last: int | None = None) -> list[Repeated]:
    """Every recorded look at a trial (or the `last` so many) again, oldest first. Each goes on from the recorded one
    before it, so that a look that differs does not make the next one differ."""
    events = project.facts.ledger.events()
    found = looking.recorded(events)
    name = trial or (found[-1][1].numbers["trial"] if found else None)
    of_trial = [(event, look) for event, look in found if look.numbers["trial"] == name]
    if not of_trial:
        of = f"trial {trial!r}" if trial else "any trial"
        known = ", ".join(dict.fromkeys(look.numbers["trial"] for _, look in found)) or "none so far"
        raise DecisionRefused(f"found no recorded look at {of}; trials with looks: {known}.")
    before = [None, *(look for _, look in of_trial)]
    each = list(zip(of_trial, before, strict=False))[-(last or 0) :]
    return [_repeated(project, event, look, earlier, events) for (event, look), earlier in each]


def afterwards(project: "Project", trial: str | None, now: Micros) -> Evidence:
    """The last phase of an ended trial, with every label that came since. It is judged as on its last day (`days`, the
    deadline), under the settings of its last recorded look."""
    events = project.facts.ledger.events()
    end, ended = _ended(events, trial)
    seen = [look for _, look in looking.recorded(events) if look.numbers["trial"] == ended.name]
    last = seen[-1] if seen and "settings" in seen[-1].numbers else None
    under = looking.rules(ended, project.config, project.metric, latency_decides=project.timings_decide)
    if last is not None:
        under = replace(looking.kept(project.facts.blobs, last), trial=ended)
    log = project.facts.log
    mark = log.mark(now, [ended.incumbent, ended.challenger])
    found = looking.again(log, under, mark, end.at, last, until=end.at)
    labels = found.numbers["labelled"]
    more = None if last is None else sum(labels.values()) - sum(last.numbers["labelled"].values())
    return replace(found, at=now, sentence=_otherwise(found, end, ended, more))


def _repeated(
    project: "Project", event: Event, look: Evidence, before: Evidence | None, events: Sequence[Event]
) -> Repeated:
    result = Repeated(look.numbers["trial"], event.sequence, look.at, look.numbers["looks"], look.verdict, False)
    if "mark" not in look.numbers:
        return replace(result, said="an earlier release recorded it, without the mark that would repeat it")
    try:
        under = looking.kept(project.facts.blobs, look)
        again = looking.again(project.facts.log, under, Mark(**look.numbers["mark"]), look.at, before)
        # Found under this very hash; a release with one setting more would name another for the same settings.
        again = replace(again, numbers={**again.numbers, "settings": look.numbers["settings"]})
    except (StoreDamaged, ConfigError) as error:
        return replace(result, said=f"it cannot be repeated: {error}")
    was, is_now = evidence_to_dict(look), evidence_to_dict(again)
    if looks.canonical(was) == looks.canonical(is_now):
        return replace(result, same=True)
    return replace(result, differs=tuple(_differences(was, is_now)), said=_why(event, events))


def _why(event: Event, events: Sequence[Event]) -> str:
    """What took rows since the look, as the ledger says it."""
    taken = [one for one in events if one.type in TAKEN and one.sequence > event.sequence]
    if not taken:
        return "nothing on the ledger says why: a row, a label or the evidence is not what it was"
    return "; ".join(f"{TAKEN[one.type]} on {moment(one.at):%Y-%m-%d} (event {one.sequence})" for one in taken)


def _differences(was: Json, is_now: Json, path: str = "") -> Iterator[str]:
    """
    >>> list(_differences({"n": {"a": 1}, "m": [1, {"name": "b", "x": 2}]}, {"n": {"a": 2}, "m": [1, {"x": 3}]}))
    ['n.a: 1, now 2', 'm[b].name: b, now None', 'm[b].x: 2, now 3']
    """
    if isinstance(was, Mapping) and isinstance(is_now, Mapping):
        for key in dict.fromkeys([*was, *is_now]):
            yield from _differences(was.get(key), is_now.get(key), f"{path}.{key}" if path else str(key))
    elif isinstance(was, list) and isinstance(is_now, list) and len(was) == len(is_now):
        for place, (one, other) in enumerate(zip(was, is_now, strict=True)):
            name = one.get("name", place) if isinstance(one, Mapping) else place
            yield from _differences(one, other, f"{path}[{name}]")
    elif looks.canonical(was) != looks.canonical(is_now):
        yield f"{path}: {_short(was)}, now {_short(is_now)}"


def _short(value: Json) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:59]}…"


def _ended(events: Sequence[Event], name: str | None) -> tuple[Event, Trial]:
    """The event that ended the trial, and the trial as it was then."""
    now = roles([])
    found: tuple[Event, Trial] | None = None
    for event in events:
        before, now = now.trial, roles([event], now)
        gone = before is not None and (now.trial is None or now.trial.name != before.name)
        if before is not None and gone and name in (None, before.name):
            found = event, before
    if found is None:
        running = now.trial and name in (None, now.trial.name)
        hint = f"trial {now.trial.name} still runs: take a look at it." if running and now.trial else "none has ended."
        raise DecisionRefused(f"found no trial {name or ''} that is over; {hint}".replace("  ", " "))
    return found


def _otherwise(found: Evidence, end: Event, trial: Trial, more: int | None) -> str:
    """One sentence: what was decided, and what it would be now."""
    word = str(end.data.get("verdict") or _ENDED[end.type])
    ended = "was stopped by hand" if word == "stopped" else f"ended as {word.replace('_', ' ')}"
    was = f"Trial {trial.name} {ended} on {moment(end.at):%Y-%m-%d}"
    came = "with every label that came since" if more is None else f"with the {max(more, 0):,} labels that came since"
    says = found.verdict.replace("_", " ")
    if found.verdict == word:
        return f"{was}; {came} it would be decided the same."
    if found.verdict == "continue":
        return f"{was}; {came} it would still be undecided."
    why = found.sentence.partition(": ")[2].rstrip(".")
    return f"{was}; {came} it would have been decided otherwise: {says} ({why})."


_ENDED = {"Promoted": "promote", "RolledBack": "roll_back"}
