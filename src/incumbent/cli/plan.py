"""What does the team decide at the onset, and which of it does a machine understand?

In: the answers as a person wrote them. Out: the text of [plan], and the settings that follow from an answer: "1 month"
is a cadence too, "better by 0.01" a rule of the gate. Asks nobody: `init` does. What nobody answered stays out.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

from incumbent.errors import ConfigError
from incumbent.stats.metrics import Metric

Section = dict[str, Any]

_CADENCE = re.compile(r"(?:every\s+)?(\d*)\s*(day|week|month)s?")
_WORDS = {"daily": "1 day", "weekly": "1 week", "monthly": "1 month"}
_BY = re.compile(r"(better by|no worse than|no worse by)\s+([0-9.eE+-]+)")
_NUMBER = re.compile(r"([0-9.eE+-]+)\s*(?:ms|milliseconds)?")


@dataclass(frozen=True, slots=True)
class Question:
    """One question of the plan: `why` it is asked, in a sentence, and an `example` of an answer.

    `suggested` is offered where nothing is known of the task; only a person takes it.
    """

    key: str
    ask: str
    why: str
    example: str
    suggested: str = ""


QUESTIONS = (
    Question(
        "beat", "What must be beaten?", "A rule, measured people, or the system already in place.",
        "the dispatcher's own guess", "the best naive rule",
    ),
    Question(
        "ship_when", "When may a candidate go to production?",
        '"better by 0.005" (or "no worse than 0.002"), in the metric, becomes the gate\'s rule.',
        "better by 0.005 on held-out weeks", "better on held-out rows, then on live traffic, at 95 % confidence",
    ),
    Question(
        "fall_back_on", "What answers when the model breaks?", "Whatever it is, it must always be there.",
        "the model before it, then the price list", "the version before it, then the best naive rule",
    ),
    Question(
        "latency_budget_ms", "How long may one prediction take, in ms?",
        "The 99th percentile of single rows; `incumbent speed` holds versions against it.", "20",
    ),
    Question(
        "retrain", "How often is the model retrained?",
        '"1 month", "2 weeks" or "7 days" becomes the cadence of the ticker.', "1 month",
    ),
    Question(
        "reviewers", "Who answers doubtful predictions?", "Names or teams, with commas between them.",
        "the claims desk, Ms Okafor",
    ),
    Question(
        "goal", "Which value of the metric is hoped for?",
        "`incumbent expect` says whether it can be reached, and with how many rows.", "0.15",
    ),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Understood:
    """The sections of incumbent.toml that the answers make, and a sentence on each setting that followed from one."""

    sections: Mapping[str, Section] = field(default_factory=dict)
    said: tuple[str, ...] = ()


def understand(answers: Mapping[str, str], metric: Metric | None = None) -> Understood:
    """[plan], [retrain] and [gate] of the answers by their key; an empty answer is none.

    Raises ConfigError for a latency or a goal that is no number, or a goal that the metric cannot take.

    >>> understand({"retrain": "every 2 weeks"}).sections["retrain"]
    {'every': '2 weeks'}
    """
    given = {key: text.strip() for key, text in answers.items() if text.strip()}
    plan: Section = {key: _value(key, text, metric) for key, text in given.items()}
    sections: dict[str, Section] = {"plan": plan}
    said = []
    every = cadence(given.get("retrain", ""))
    if every:
        sections["retrain"] = {"every": every}
        said.append(f'retrain.every = "{every}": the ticker asks for a refit that often')
    elif "retrain" in given:
        said.append("no cadence was understood in the answer to retrain: set retrain.every to have one")
    rule = _BY.search(given.get("ship_when", "").lower())
    if rule:
        setting = "better_by" if rule[1] == "better by" else "no_worse_than"
        margin = _number(rule[2], "ship_when", 0.0)
        sections["gate"] = {setting: margin}
        said.append(f"gate.{setting} = {margin:g}: the gate asks for it")
    return Understood(sections, tuple(said))


def cadence(text: str) -> str:
    """The cadence that an answer names, as `retrain.every` takes it; empty where it names none.

    >>> cadence("1 month"), cadence("every week"), cadence("Monthly"), cadence("when it rains")
    ('1 month', '1 week', '1 month', '')
    """
    said = text.strip().lower().rstrip(".")
    found = _CADENCE.fullmatch(said)
    if found is None or found[1] == "0":
        return _WORDS.get(said, "")
    count = int(found[1] or 1)
    return f"{count} {found[2]}{'s' if count > 1 else ''}"


def toml(sections: Mapping[str, Section], comments: Mapping[str, str]) -> str:
    """TOML of the sections, each with its keys; a comment (by "section.key") stands in the place of a missing key."""
    parts = []
    for name, section in sections.items():
        lines = [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in section.items()]
        lines += [f"# {text}" for key, text in comments.items() if key.startswith(f"{name}.")]
        parts.append(f"[{name}]\n" + "".join(f"{line}\n" for line in lines))
    return "\n".join(parts)


def _value(key: str, text: str, metric: Metric | None) -> Any:
    if key == "latency_budget_ms":
        return _number(text, key, 0.0, above=True)
    if key == "reviewers":
        return [name.strip() for name in text.split(",") if name.strip()]
    if key != "goal":
        return text
    value = _number(text, key)
    if metric is None:
        return value
    low, high = (metric.low, metric.high) if metric.lower_is_better else (0.0, 1.0)
    if not low <= value <= high:
        raise ConfigError(
            f"plan.goal: found {value:g}, and {metric.name} lies between {low:g} and {high:g} "
            f"({metric.perfect:g} is perfect)"
        )
    return value


def _number(text: str, key: str, least: float | None = None, *, above: bool = False) -> float:
    match = _NUMBER.fullmatch(text)
    try:
        value = float(match[1]) if match else float("nan")
    except ValueError:
        value = float("nan")
    if not isfinite(value) or (least is not None and (value < least or (above and value == least))):
        expected = "a number" if least is None else "a number above 0" if above else "a number from 0 up"
        raise ConfigError(f"plan.{key}: found {text!r}, expected {expected}, e.g. 20")
    return value
