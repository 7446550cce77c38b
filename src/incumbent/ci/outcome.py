"""What came out of a call of the gate, as every output reads it: the evidence, or the error that came instead.

In: the gate's Evidence and `[gate]`, or an exception. Out: an Outcome with its cases (one a rule) and its intervals
(one for all rows, one a slice). Renders nothing.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from incumbent.config import Gate
from incumbent.errors import IncumbentError
from incumbent.records import Evidence, Json, Micros

ERROR = "error"
WORDS = {
    "ship": "ship", "hold": "hold", "not_enough_data": "not enough data", "off": "not judged", ERROR: "error",
}  # fmt: skip
"""The verdicts, as people say them."""
COLOURS = {"ship": "good", "hold": "bad", "not_enough_data": "open", "off": "open", ERROR: "bad"}
"""Their colours, by the names of `charts` and of the stylesheet."""
ALL_ROWS = "all rows"
MOST_DRAWN = 20
"""A picture of more intervals than this is not read."""
ON_THE_GAIN = ("better_by", "no_worse_than", "not_shown_worse")
"""Rules that hold a gain against a threshold; that of another rule is a share, a count or milliseconds."""


@dataclass(frozen=True, slots=True)
class Case:
    """What one rule says.

    `slice` and `metric` are empty for all rows and for the task's own metric. `gain` and its one-sided `lower` bound
    are None where the rule has none of its own; `threshold` is in units of the gain, None where it draws no line there.
    """

    rule: str
    verdict: str
    sentence: str
    rows_needed: int | None = None
    slice: str = ""
    metric: str = ""
    gain: float | None = None
    lower: float | None = None
    threshold: float | None = None

    @property
    def name(self) -> str:
        """The rule, and the slice that it looks at."""
        return f"{self.rule} ({self.slice})" if self.slice and self.slice not in self.rule else self.rule


@dataclass(frozen=True, slots=True)
class Interval:
    """A gain with its one-sided bounds (None: there is none), and the thresholds that it is held against, by rule.

    `label` is "all rows" or a slice. A slice has a lower bound alone: that is the one its rule asks for.
    """

    label: str
    verdict: str
    gain: float
    lower: float | None
    upper: float | None
    thresholds: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Failure:
    """Why the gate could say nothing: the error's name, what it says, and the verdict that this amounts to."""

    kind: str
    sentence: str
    verdict: str = ERROR


@dataclass(frozen=True, slots=True)
class Outcome:
    """A call of the gate: exactly one of `evidence` and `failure` is there.

    `version` is the one that was judged, or registered because it shipped; `notes` are what the reader must know
    beside the verdict (there was no incumbent, say); `at` is the task time in microseconds.
    """

    task: str
    at: Micros
    evidence: Evidence | None = None
    failure: Failure | None = None
    metric: str = "loss"
    gate: Gate = Gate()
    version: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def verdict(self) -> str:
        """ship, hold, not_enough_data or error."""
        return self.evidence.verdict if self.evidence else self.failure.verdict if self.failure else ERROR

    @property
    def title(self) -> str:
        """The verdict and whom it is about, in a few words."""
        word = WORDS.get(self.verdict, self.verdict)
        found = self.evidence
        about = f"{found.subject} against {found.reference}" if found else f"gate of {self.task}"
        return f"{word[:1].upper()}{word[1:]}: {about}"

    @property
    def sentence(self) -> str:
        """What was found, in a sentence or two."""
        if self.evidence is None:
            return self.failure.sentence if self.failure else ""
        said = self.evidence.sentence
        return said.removeprefix(f"{self.verdict.replace('_', ' ')}: ")

    @property
    def numbers(self) -> Mapping[str, Json]:
        return self.evidence.numbers if self.evidence else {}


def failed(error: BaseException, task: str, at: Micros, said: str = "") -> Outcome:
    """The outcome of a gate that raised (`said`: in other words): too few rows are no error, but a verdict."""
    verdict = "not_enough_data" if isinstance(error, IncumbentError) and error.exit_code == 3 else ERROR
    sentence = said or str(error) or type(error).__name__
    return Outcome(task, at, failure=Failure(type(error).__name__, sentence, verdict))


def cases(outcome: Outcome) -> list[Case]:
    """One a rule, in the gate's order; an error, or a gate that nobody asked, is the only case there is."""
    rules = outcome.numbers.get("rules")
    return [_case(rule, outcome) for rule in rules] if rules else [Case("gate", outcome.verdict, outcome.sentence)]


def intervals(outcome: Outcome) -> list[Interval]:
    """The gain on all rows, then on each slice that has one, all in the task's own metric."""
    gain = _finite(outcome.numbers.get("gain"))
    if gain is None:
        return []
    own = [one for one in cases(outcome) if not one.metric]
    verdict = _together([one for one in own if not one.slice]) or outcome.verdict
    bounds = _finite(outcome.numbers.get("lower")), _finite(outcome.numbers.get("upper"))
    whole = Interval(ALL_ROWS, verdict, gain, *bounds, _lines([one for one in own if not one.slice]))
    slices = [
        Interval(one.slice, one.verdict, one.gain, one.lower, None, _lines([one]))
        for one in own
        if one.slice and one.gain is not None
    ]
    return [whole, *slices]


def drawn(found: list[Interval], most: int = MOST_DRAWN) -> tuple[list[Interval], int]:
    """What a picture shows, and how many slices it leaves out: all rows stay, then those that ship go first."""
    if len(found) <= most:
        return found, 0
    order = {"hold": 0, "not_enough_data": 1}
    ranked = sorted(range(1, len(found)), key=lambda place: order.get(found[place].verdict, 2))
    return [found[place] for place in (0, *sorted(ranked[: most - 1]))], len(found) - most


def next_step(outcome: Outcome) -> str:
    """What to do now, in one sentence."""
    if outcome.verdict == "ship":
        who = outcome.version or "VERSION"
        return f"`incumbent promote {who} --reason …` makes it the incumbent; `incumbent live start {who}` asks first."
    if outcome.verdict == "hold":
        return "The incumbent stays. The rules that hold say why; `[gate]` in incumbent.toml says what they ask for."
    if outcome.verdict == "not_enough_data":
        needed = outcome.numbers.get("rows_needed")
        more = f"hold out about {needed:,} such rows" if needed else "hold out more rows or days"
        return f"The incumbent stays. Come back with more data ({more}), or ask for less (`[gate]`)."
    if outcome.verdict == "off":
        return "`gate.mode = \"enforce\"` in incumbent.toml has it judged."
    return "There is no verdict, and the incumbent stays. Mend what the message names, and run the gate again."


# --- parts


def _case(rule: Mapping[str, Json], outcome: Outcome) -> Case:
    name = str(rule["rule"])
    return Case(
        name, str(rule["verdict"]), str(rule["sentence"]), rule.get("rows_needed"), str(rule.get("slice") or ""),
        str(rule.get("metric") or ""), _finite(rule.get("gain")), _finite(rule.get("lower")),
        _threshold(name.partition(" (")[0], rule, outcome),
    )  # fmt: skip


def _threshold(kind: str, rule: Mapping[str, Json], outcome: Outcome) -> float | None:
    """Where the rule draws its line in units of the gain: as the evidence says, else by `[gate]`."""
    if kind not in ON_THE_GAIN:
        return None
    if rule.get("threshold") is not None:
        return _finite(rule["threshold"])
    return {"better_by": outcome.gate.better_by, "no_worse_than": -(outcome.gate.no_worse_than or 0.0)}.get(kind, 0.0)


def _lines(found: list[Case]) -> tuple[tuple[str, float], ...]:
    """Thresholds, by the kind of rule."""
    return tuple((one.rule.partition(" (")[0], one.threshold) for one in found if one.threshold is not None)


def _together(found: list[Case]) -> str:
    """The verdict of some rules; empty where there is none."""
    said = [one.verdict for one in found]
    return next((verdict for verdict in ("hold", "not_enough_data", "ship") if verdict in said), "")


def _finite(value: Json) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)
