"""Where does evidence lie on the ledger, and which is the latest?

In: events in order. Out: each evidence with the event that holds it. Judges nothing.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from incumbent.loop.fold import evidence_from_dict
from incumbent.records import Event, Evidence, Json, Step, Trial
from incumbent.web import words

EVENTS = {"errors": "failed answers", "latency": "late answers"}

@dataclass(frozen=True, slots=True)
class Found:
    """One evidence and where it stands."""

    event: Event
    evidence: Evidence


def all_of(events: Iterable[Event]) -> list[Found]:
    """Every evidence of the ledger, in order."""
    return [
        Found(event, evidence_from_dict(event.data["evidence"], event.measured))
        for event in events
        if event.data.get("evidence")
    ]


def latest(found: Sequence[Found], step: Step) -> Found | None:
    """The last evidence of a step; of the naive rules, which are recorded together, the best one."""
    of_step = [one for one in found if one.evidence.step == step]
    if step == "baseline":
        of_step = [one for one in of_step if one.evidence.verdict == "best"] or of_step
    if step == "live":  # what was said of a trial; a watch over a replaced version only where nothing was tried
        of_step = [one for one in of_step if one.evidence.numbers.get("mode") != "watch"] or of_step
    return of_step[-1] if of_step else None


def last_look(found: Sequence[Found], trial: Trial) -> Found | None:
    """The last evidence of a trial's present phase."""
    for one in reversed(found):
        numbers = one.evidence.numbers
        if (numbers.get("trial"), numbers.get("phase")) == (trial.name, trial.phase):
            return one
    return None


def about(found: Sequence[Found], version: str) -> list[Found]:
    """Every evidence that judges a version or compares with it, the newest first."""
    return [
        one for one in reversed(found)
        if version in (one.evidence.subject, one.evidence.reference, one.evidence.numbers.get("version"))
    ]  # fmt: skip


def without_earlier_looks(found: Sequence[Found]) -> list[Found]:
    """Of all looks at one phase of a trial (or watch) the first in `found` is kept; other evidence stays."""
    kept, seen = [], set()
    for one in found:
        numbers = one.evidence.numbers
        question = (numbers.get("trial"), numbers.get("phase"))
        if numbers.get("trial") is None or question not in seen:
            kept.append(one)
            seen.add(question)
    return kept


def shown(one: Found) -> dict[str, Json]:
    """An evidence as a page shows it: without the series that looks of earlier releases hold."""
    evidence = one.evidence
    return {
        "event": one.event.sequence,
        "step": evidence.step,
        "subject": evidence.subject,
        "reference": evidence.reference,
        "verdict": evidence.verdict,
        "sentence": evidence.sentence,
        "at": evidence.at,
        "time": words.iso(evidence.at),
        "numbers": {name: value for name, value in evidence.numbers.items() if name != "series"},
        "measured": dict(evidence.measured),
    }


def arms(evidence: Evidence) -> list[dict[str, Json]]:
    """A look at a trial as rows of "Test group (challenger) | Control (incumbent)"."""
    numbers = evidence.numbers
    rows = [{"name": "version", "challenger": evidence.subject, "incumbent": evidence.reference}]

    def add(name: str, of: Json, as_percent: bool = False) -> None:
        if isinstance(of, dict):
            cells = {arm: words.percent(of.get(arm)) if as_percent else words.number(of.get(arm))
                     for arm in ("challenger", "incumbent")}  # fmt: skip
            rows.append({"name": name, **cells})

    add(str(numbers.get("n_kind", "n")), numbers.get("n"))
    add("predictions", numbers.get("rows"))
    add("with a closed window", numbers.get("matured"))
    add("with a label", numbers.get("labelled"))
    add("share with a label", numbers.get("coverage"), as_percent=True)
    add(f"mean {numbers.get('metric', 'loss')}", numbers.get("value"))
    for guardrail in numbers.get("guardrails", ()):
        if "events" in guardrail:
            add(EVENTS[guardrail["name"]], guardrail["events"])
    return rows
