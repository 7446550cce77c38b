"""What happened? One event of the ledger as one plain English sentence, for page, terminal and report.

In: an Event. Out: a sentence without its time and actor, which stand in columns of their own. The reason
that was given follows after a colon, as it was written. An event of a later release that nobody here knows
says its type.
"""

from collections.abc import Callable, Mapping

from incumbent.records import Event, Json, Roles

Data = Mapping[str, Json]


def sentence(event: Event) -> str:
    """The event in one sentence.

    >>> sentence(Event(7, "RolledBack", 0, 0, "a", "errors rose", {"version": "v3", "to": "v2"}, {}, "", ""))
    'v3 was taken back and v2 answers again: errors rose.'
    """
    if event.type in ("GateDecided", "EvidenceRecorded") and str(event.data.get("version")) in event.reason:
        step = event.data.get("step", "gate")  # the evidence speaks for itself, and names who it is about
        return f"{step.capitalize()}: {' '.join(event.reason.split()).rstrip('.')}."
    says = _SENTENCES.get(event.type)
    head = says(event.data) if says else f"{event.type} ({', '.join(event.data) or 'no data'})"
    reason = " ".join(event.reason.split())
    return f"{head}: {reason.rstrip('.')}." if reason else f"{head}."


def to_beat(now: Roles) -> list[str]:
    """What must be beaten, as versions with their kind: the incumbent, the baseline, the systems that are in place,
    measured people. Empty where nothing is registered yet."""
    found = []
    for version in now.versions.values():
        places = {"incumbent": now.incumbent, "baseline": now.baseline}
        held = [place for place, name in places.items() if name == version.name]
        if held or version.in_place or version.runtime == "people":
            part = " and ".join(held) or ("in place" if version.answers else "compared with only")
            found.append(f"{version.name} {version.description or version.recipe} ({version.runtime}, {part})")
    return found


def percent(share: float) -> str:
    """A share in percent, without needless digits.

    >>> percent(0.02), percent(1.0)
    ('2 %', '100 %')
    """
    return f"{100 * share:.4g} %"


def _registered(data: Data) -> str:
    version = data["version"]
    rows = f", fitted on {version['n_rows']:,} rows" if version["n_rows"] else ""
    parent = f", after {version['parent']}" if version["parent"] else ""
    role = "" if version["answers"] else " as a reference that does not answer"
    return f"{version['name']} ({version['runtime']}{rows}{parent}) was registered{role}"


def _promoted(data: Data) -> str:
    place = f" in place of {data['replaces']}" if data["replaces"] else ", the first incumbent"
    return f"{data['version']} was promoted{place}{_ends_trial(data)}"


def _rolled_back(data: Data) -> str:
    return f"{data['version']} was taken back and {data['to']} answers again{_ends_trial(data)}"


def _ends_trial(data: Data) -> str:
    if "trial" not in data:
        return ""
    won = data["challenger"] == data["version"]
    return (
        f", having won trial {data['trial']}"
        if won
        else f", which ends trial {data['trial']} of {data['challenger']}"
    )


def _trial_started(data: Data) -> str:
    trial = data["trial"]
    began = f"Trial {trial['name']} began"
    if trial["mode"] == "shadow":
        return f"{began}: {trial['challenger']} scores the rows of {trial['incumbent']} in shadow"
    return (
        f"{began}: {percent(trial['enrolled'])} of the units take part, {percent(trial['share'])} of them "
        f"are answered by {trial['challenger']}, the others by {trial['incumbent']}"
    )


def _trial_decided(data: Data) -> str:
    ends = {
        "stop": "ended undecided and the incumbent stays",
        "stopped": "was stopped by hand and the incumbent stays",
        "roll_back": "ended: the challenger does harm",
        "invalid": "is invalid and the incumbent stays",
        "promote": "ended for the challenger",
    }
    how = ends.get(data["verdict"], f"ended with {data['verdict']}")
    return f"Trial {data['trial']} of {data['challenger']} {how}"


def _erased(data: Data) -> str:
    said = (f"One {data['what']} was erased: {data['predictions']:,} predictions with all that hung on them, "
            f"{data['golden_rows']:,} golden rows")  # fmt: skip
    if not data.get("golden"):  # none, or the event is of before they were replaced
        return said
    return f"{said} ({sum(one['replaced'] for one in data['golden'].values()):,} of them replaced)"


def _overridden(data: Data) -> str:
    verdict, event = data["verdict"].replace("_", " "), data.get("decision")
    where = f" (event {event})" if event else ""
    return f"The verdict {verdict} about {data['version']}{where} was overridden"


_VERDICTS = {"ship": "may ship", "hold": "is held back", "not_enough_data": "needs more rows for a verdict",
             "off": "was not judged"}  # fmt: skip

_SENTENCES: dict[str, Callable[[Data], str]] = {
    "VersionRegistered": _registered,
    "AnswersAllowed": lambda data: f"{data['version']} may answer new rows: it was compared with so far",
    "BaselineSet": lambda data: f"{data['version']} is the baseline: the last to fall back on",
    "Promoted": _promoted,
    "RolledBack": _rolled_back,
    "TrialStarted": _trial_started,
    "EnrolmentRaised": lambda data: (
        f"Trial {data['trial']} now enrols {percent(data['enrolled'])} of the units"
    ),
    "PhaseStarted": lambda data: (
        f"Trial {data['trial']} began phase {data['phase']} with "
        f"{percent(data['enrolled'])} of the units, dealt anew"
    ),
    "TrialDecided": _trial_decided,
    "GateDecided": lambda data: (
        f"The gate says that {data['version']} {_VERDICTS.get(data['verdict'], data['verdict'])}"
    ),
    "EvidenceRecorded": lambda data: f"Evidence of step {data['step']} about {data['version']}",
    "Overridden": _overridden,
    "Attested": lambda data: f"A person attests that {data['test']} holds",
    "AlarmRaised": lambda data: f"Alarm ({data['alarm']})",
    "RetrainRequested": lambda data: f"A retrain is due ({data['cause']})",
    "RetrainRefused": lambda data: f"A retrain ({data['cause']}) was refused",
    "WatchStarted": lambda data: f"{data['version']} is scored beside the incumbent for a while",
    "WatchStopped": lambda data: f"{data['version']} is no longer scored beside the incumbent",
    "DaysArchived": lambda data: f"The features of {data['rows']:,} rows before {data['until']} moved to Parquet",
    "DaysDropped": lambda data: f"{data['predictions']:,} predictions from before {data['before']} were deleted",
    "Erased": _erased,
    "StudyStarted": lambda data: (
        f"Study {data['study']} began: people label {data['n']:,} rows blind, {data['twice']:,} of them twice"
    ),
    "StudyFinished": lambda data: f"Study {data['study']} ended: its people are {data['version']}",
    "TokenAdded": lambda data: f"Token {data['name']} was given out for {', '.join(data['scopes'])}",
    "TokenRevoked": lambda data: f"Token {data['name']} was taken back",
}
