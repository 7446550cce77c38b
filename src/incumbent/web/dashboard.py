"""The dashboard: who answers, what is behind it, what runs, what the five steps found, the plan, the ledger.

In: the stored facts and the settings. Out: one dictionary, which is the page and its JSON twin. Reads the
ledger once; draws and decides nothing. The live loss is the log's own sum, the score the readiness card's.
"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import get_type_hints
from urllib.parse import quote

from incumbent import readiness
from incumbent.clock import wall
from incumbent.config import Config, Plan
from incumbent.loop.delivered import Delivered, delivered
from incumbent.loop.fold import roles as fold
from incumbent.loop.sentences import sentence, to_beat
from incumbent.readiness import Card
from incumbent.records import Event, Json, Micros, Roles, Step, Version
from incumbent.storage.opening import Facts
from incumbent.storage.pictures import Picture, Pictures
from incumbent.web import evidence as lying
from incumbent.web import words
from incumbent.web.evidence import Found

EVENTS_A_PAGE = 30
STEPS: tuple[tuple[Step, str, str], ...] = (
    ("baseline", "What must be beaten?", "incumbent baseline"),
    ("gate", "Is the candidate good enough on the same held-out rows?", "incumbent gate"),
    ("live", "Is it better on live traffic?", "incumbent live start"),
    ("speed", "Can it answer inside its latency budget?", "incumbent speed"),
    ("upkeep", "Is it still right?", "incumbent upkeep tick"),
)
# Evidence repeats at every look; these events are what was done about it.
MOVES = (
    "VersionRegistered",
    "StudyStarted",
    "StudyFinished",
    "BaselineSet",
    "GateDecided",
    "Overridden",
    "TrialStarted",
    "EnrolmentRaised",
    "PhaseStarted",
    "TrialDecided",
    "Promoted",
    "RolledBack",
    "WatchStarted",
    "WatchStopped",
    "AlarmRaised",
    "RetrainRefused",
    "Attested",
)
PICTURES = {
    "incumbents": ("Who was the incumbent", "Each version's time in office; marks show refusals and alarms."),
    "trial": (
        "The trial's interval over time",
        "The challenger's gain, with bounds that hold at every look.",
    ),
    "loss": ("Loss of what was served, by week", "Mean loss of labelled answers; lower is better."),
    "baseline": ("What must be beaten", "The naive rules on held-out rows, with 95 % intervals."),
    "people": ("What people reach", "People, model and baseline with 95 % intervals; the line: a perfect model."),
    "expect": ("What may be expected", "A quick model on growing shares of the rows, between floor, ceiling and goal."),
    "latency": ("How fast it answers", "Single-row latency against the budget."),
}


def page(facts: Facts, config: Config, before: int | None = None, every: bool = False) -> dict[str, Json]:
    """Everything that the dashboard shows. `before` pages the ledger: events with a smaller sequence number;
    `every` shows what was only looked at, too."""
    events = facts.ledger.events()
    roles = fold(events)
    found = lying.all_of(events)
    totals = facts.log.totals()
    value = delivered(config, events, roles, facts.log, totals)
    return {
        "task": task(config),
        "incumbent": _incumbent(roles, events),
        "behind": _behind(roles),
        "trial": _trial(roles, found),
        "watch": _watch(roles, events),
        "steps": [_step(found, name, question, command) for name, question, command in STEPS],
        "plan": plan(config, roles),
        "delivered": expected(value),
        "readiness": _short(readiness.card(config, facts, wall(), events, totals, value)),
        "pictures": pictures(config, facts),
        "counts": {**asdict(totals), "served": dict(sorted(totals.served.items(), key=_in_order))},
        "ledger": ledger(events, roles, before, every),
    }


def _in_order(one: tuple[str, int]) -> tuple[int, str]:
    """
    >>> sorted([("v10", 1), ("v9", 2)], key=_in_order)
    [('v9', 2), ('v10', 1)]
    """
    return len(one[0]), one[0]


def task(config: Config) -> dict[str, Json]:
    """What is predicted, for the head of every page."""
    told = config.task
    return {"name": told.name, "kind": told.kind, "target": told.target, "metric": told.metric,
            "timezone": told.timezone or "UTC"}  # fmt: skip


def card(version: Version) -> dict[str, Json]:
    """A version in short."""
    return {
        "name": version.name,
        "description": version.description,
        "runtime": version.runtime,
        "serves": version.serves,
        "recipe": version.recipe,
        "parent": version.parent,
        "trained_until": version.trained_until,
        "n_rows": version.n_rows,
        "answers": version.answers,
        "in_place": version.in_place,
    }


def plan(config: Config, roles: Roles) -> list[dict[str, Json]]:
    """The answers of the onset. `answer` is None where nothing was said; `write` says what to write; `versions` what is
    registered to be beaten."""
    hints = get_type_hints(Plan)
    told = []
    for setting, answer in config.plan.answers():
        unit = config.task.metric if setting.name == "goal" else setting.metadata["unit"]
        example = {str: '"…"', tuple[str, ...]: '["…"]'}.get(hints[setting.name], "1.0")
        told.append({
            "key": setting.name,
            "question": setting.metadata["sentence"],
            "answer": f"{answer} {unit}".strip() if answer else None,
            "write": f"{setting.name} = {example}",
            "versions": to_beat(roles) if setting.name == "beat" else [],
        })  # fmt: skip
    return told


def expected(one: Delivered) -> dict[str, Json] | None:
    """What was expected beside what is delivered; None where nobody expected anything (`expect` was not run)."""
    if one.expected_at is None and one.goal is None:
        return None
    return {**asdict(one), "held_out_reaches": one.reaches(one.held_out), "live_reaches": one.reaches(one.live)}


def pictures(config: Config, facts: Facts) -> list[dict[str, Json]]:
    """The stored pictures in the order of the page. A name has a light and a dark drawing."""
    index = Pictures(config.store_path, facts.blobs).index()
    told = []
    for name, (title, caption) in PICTURES.items():
        light, dark = index.get(f"{name}.light"), index.get(f"{name}.dark")
        if light and dark:
            told.append(picture(name, title, caption, light, dark))
    return told


def picture(name: str, title: str, caption: str, light: Picture, dark: Picture) -> dict[str, Json]:
    """A stored picture as a page shows it."""
    address = f"/pictures/{quote(name, safe='')}"
    return {
        "name": name,
        "title": title,
        "caption": caption,
        "at": light.at,
        "light": f"{address}.light.svg?v={light.digest[:16]}",
        "dark": f"{address}.dark.svg?v={dark.digest[:16]}",
    }


def ledger(events: Sequence[Event], roles: Roles, before: int | None, every: bool) -> dict[str, Json]:
    """One page of the ledger, the newest first, as sentences. `older` is the next page's `before`."""
    kept = [event for event in events if (before is None or event.sequence < before) and (every or event.type in MOVES)]
    shown = kept[-EVENTS_A_PAGE:]
    return {
        "events": [line(event, roles) for event in reversed(shown)],
        "total": len(events),
        "before": before,
        "every": every,
        "older": shown[0].sequence if len(kept) > len(shown) else None,
    }


def line(event: Event, roles: Roles) -> dict[str, Json]:
    """An event as a page shows it; `version` is the registered version that it is about, if any."""
    named = event.data.get("version")
    version = named["name"] if isinstance(named, dict) else named
    return {
        "sequence": event.sequence,
        "type": event.type,
        "at": event.at,
        "time": words.iso(event.at),
        "actor": event.actor,
        "sentence": sentence(event),
        "version": version if version in roles.versions else None,
        "moves": event.type in MOVES,
    }


def _incumbent(roles: Roles, events: Sequence[Event]) -> dict[str, Json] | None:
    if roles.incumbent is None:
        return None
    since = [event for event in events if event.type in ("Promoted", "RolledBack")][-1]
    return {
        **card(roles.versions[roles.incumbent]),
        "since": since.at,
        "reason": since.reason,
        "is_baseline": roles.incumbent == roles.baseline,
    }


def _short(card: Card) -> dict[str, Json]:
    """The score and its four groups; the lines are on the page of the card."""
    found = card.to_dict()
    return {key: found[key] for key in ("score", "band", "groups")}


def _behind(roles: Roles) -> list[dict[str, Json]]:
    """Who answers when the incumbent fails, in that order."""
    held: dict[str, list[str]] = {}
    for role, name in (("previous", roles.previous), ("baseline", roles.baseline)):
        if name is not None and name != roles.incumbent:
            held.setdefault(name, []).append(role)
    return [{"roles": places, **card(roles.versions[name])} for name, places in held.items()]


def _trial(roles: Roles, found: Sequence[Found]) -> dict[str, Json] | None:
    if roles.trial is None:
        return None
    look = lying.last_look(found, roles.trial)
    told: dict[str, Json] = {**asdict(roles.trial), "look": None, "arms": []}
    if look is not None:
        told |= {"look": lying.shown(look), "arms": lying.arms(look.evidence)}
    return told


def _watch(roles: Roles, events: Sequence[Event]) -> dict[str, Json] | None:
    if roles.watch is None:
        return None
    began: list[Micros] = [event.at for event in events if event.type == "WatchStarted"]
    return {"version": roles.watch, "since": began[-1] if began else None}


def _step(found: Sequence[Found], name: Step, question: str, command: str) -> dict[str, Json]:
    last = lying.latest(found, name)
    return {"step": name, "question": question, "command": command,
            "evidence": None if last is None else lying.shown(last)}  # fmt: skip
