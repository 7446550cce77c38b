"""A trial's page: what is compared, what the last look says, its pictures, its phases, every recorded look.

In: the stored facts and the settings. Out: one dictionary, which is the page, its JSON twin and (without the pictures'
addresses) the report. Judges nothing. What an old look does not know is left out.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from incumbent.config import Config
from incumbent.errors import DecisionRefused
from incumbent.loop.fold import roles as fold
from incumbent.loop.trials import Past, trials
from incumbent.records import Evidence, Json
from incumbent.storage.opening import Facts
from incumbent.storage.pictures import FINDINGS, Picture, Pictures
from incumbent.web import dashboard, looks, words
from incumbent.web import evidence as lying
from incumbent.web.evidence import Found

LOOKS_A_PAGE = 100
PICTURES = {
    "trial": ("Gain over time", "The challenger's gain at each recorded look, with bounds that hold at every look."),
    "guardrails": ("Guardrails", "What must not be harmed: the interval, and what is allowed."),
    "segments": ("Gain by segment", "Exploratory: these decide nothing."),
}
MOVES = ("enrol", "phase", "stop")


def page(facts: Facts, config: Config, name: str | None = None, *, steers: bool = False) -> dict[str, Json]:
    """The trial of that name; without one the running trial, else the last. `steers`: moves by hand are offered.

    DecisionRefused for a name that no trial has.
    """
    events = facts.ledger.events()
    every = trials(events)
    roles = fold(events)
    if name is not None and name not in every:
        raise DecisionRefused(f"found no trial {name[:60]!r}; there were {', '.join(every) or 'none so far'}.")
    past = every.get(name or "") or (list(every.values())[-1] if every else None)
    shown: dict[str, Json] = {
        "task": dashboard.task(config),
        "trials": [short(one) for one in reversed(list(every.values()))],
        "versions": {"incumbent": roles.incumbent, "previous": roles.previous},
        "moves": _moves(past, roles.trial is not None, roles.previous is not None) if steers else [],
        "trial": None,
    }
    if past is not None:
        found = [one for one in lying.all_of(events) if _is_about(one, past)]
        index = Pictures(config.store_path, facts.blobs).index()
        shown["trial"] = {
            **told(past, [one.evidence for one in found], config),
            "looks": [_line(one) for one in reversed(found)][:LOOKS_A_PAGE],
            "n_looks": len(found),
            "pictures": pictures(past.name, index),
            "segments": segments(config, facts, past.name),
        }
    return shown


def listing(facts: Facts, config: Config) -> dict[str, Json]:
    """Every trial, the newest first."""
    every = trials(facts.ledger.events())
    return {"task": dashboard.task(config), "trials": [short(one) for one in reversed(list(every.values()))]}


def told(past: Past, found: Sequence[Evidence], config: Config) -> dict[str, Json]:
    """All that is known of a trial from the ledger, but for its pictures. `found` are its looks, the oldest first."""
    last = found[-1] if found else None
    return {
        **short(past),
        "reason": past.reason,
        "phases": _phases(past),
        "look": None if last is None else _look(last, config, past),
    }


def short(past: Past) -> dict[str, Json]:
    """A trial in a line."""
    trial = past.trial
    return {
        "name": past.name,
        "challenger": trial["challenger"],
        "incumbent": trial["incumbent"],
        "mode": trial["mode"],
        "started_at": trial["started_at"],
        "ended_at": past.ended_at,
        "verdict": past.verdict,
        "ended": past.ended,
        "runs": past.runs,
        "phase": trial.get("phase", 1),
        "phase_started_at": trial.get("phase_started_at", trial["started_at"]),
        "enrolled": trial.get("enrolled", 1.0),
        "share": trial.get("share", 0.5),
        "called": trial.get("called", 0.0),
        "headline": looks.HEADLINES.get(past.verdict or "continue", words.phrase(past.verdict or "")),
    }


def pictures(name: str, index: Mapping[str, Picture]) -> list[dict[str, Json]]:
    """The stored pictures of a trial."""
    found = []
    for kind, (title, caption) in PICTURES.items():
        light, dark = index.get(f"{kind}-{name}.light"), index.get(f"{kind}-{name}.dark")
        if light and dark:
            found.append({"kind": kind, **dashboard.picture(f"{kind}-{name}", title, caption, light, dark)})
    return found


def segments(config: Config, facts: Facts, name: str) -> dict[str, Json] | None:
    """The gain by segments as the ticker found it last, or why it looks for none (`not_asked`); None where none is."""
    kept = Pictures(config.store_path, facts.blobs, FINDINGS).get(f"segments-{name}")
    found: dict[str, Json] | None = None if kept is None else json.loads(kept)
    return found if found and (found["segments"] or found.get("not_asked")) else None


def _moves(past: Past | None, runs: bool, has_previous: bool) -> list[str]:
    """What a person may do from this page."""
    of_trial: list[str] = []
    if past is not None and past.runs:
        of_trial = list(MOVES) if past.trial["mode"] == "split" else ["phase", "stop"]
    return [*of_trial, *([] if runs else ["start"]), "promote", *(["rollback"] if has_previous else [])]


def _is_about(one: Found, past: Past) -> bool:
    return one.evidence.step == "live" and one.evidence.numbers.get("trial") == past.name


def _phases(past: Past) -> list[dict[str, Json]]:
    """Each phase with its steps of enrolment."""
    found: dict[int, dict[str, Any]] = {}
    for step in past.steps:
        phase = found.setdefault(step.phase, {"phase": step.phase, "since": step.at, "steps": []})
        phase["steps"].append({"at": step.at, "enrolled": step.enrolled, "actor": step.actor, "reason": step.reason})
    return list(found.values())


def _look(last: Evidence, config: Config, past: Past) -> dict[str, Json]:
    """The last look, part by part."""
    numbers, live = last.numbers, config.live
    verdict = past.verdict if past.verdict == "stopped" else last.verdict
    return {
        "verdict": verdict,
        "headline": looks.HEADLINES.get(verdict, words.phrase(verdict)),
        "sentence": last.sentence,
        "at": last.at,
        "n": numbers.get("looks"),
        "days": numbers.get("days"),
        "missing": list(numbers.get("missing", ())) if past.runs else [],
        "metric": numbers.get("metric"),
        "primary": looks.primary(numbers),
        "gain": {key: numbers.get(key) for key in ("estimate", "lower", "upper")},
        "lines": looks.lines(numbers, live.min_gain, live.smallest_effect),
        "arms": looks.arms(numbers),
        "guardrails": looks.guardrails(numbers),
        "split": looks.split(numbers),
        "measures": looks.measures(numbers),
        "third": [{"name": name, "value": value} for name, value in looks.third_arm(numbers)],
        "has_third": any("called" in row for row in looks.arms(numbers)),
        "cuped": numbers.get("cuped"),
        "n_max": numbers.get("n_max"),
        "disagree": numbers.get("disagree"),
        "n_kind": numbers.get("n_kind", "units"),
        "phase": numbers.get("phase", 1),
        "mark": numbers.get("mark"),
        "settings": numbers.get("settings"),
    }


def _line(one: Found) -> dict[str, Json]:
    """A recorded look as a row."""
    evidence = one.evidence
    return {
        "event": one.event.sequence,
        "at": evidence.at,
        "verdict": evidence.verdict,
        "phase": evidence.numbers.get("phase", 1),
        **{key: evidence.numbers.get(key) for key in ("estimate", "lower", "upper")},
        "sentence": evidence.sentence,
    }
