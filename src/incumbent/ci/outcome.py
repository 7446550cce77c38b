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
WORDS = {"ship": "ship", "hold": "hold", "not_enough_data": "not enough data", ERROR: "error"}
"""The four verdicts, as people say them."""
COLOURS = {"ship": "good", "hold": "bad", "not_enough_data": "open", ERROR: "bad"}
"""Their colours, by the names of `charts` and of the stylesheet."""
ALL_ROWS = "all rows"


@dataclass(frozen=True, slots=True)
class Case:
    """What one rule says. `slice` is empty for all rows; `threshold` in units of the gain, None where it has none."""

    rule: str
    verdict: str
    sentence: str
    rows_needed: int | None = None
    slice: str = ""
    threshold: float | None = None

    @property
    def name(self) -> str:
        """The rule, and the slice that it looks at."""
        return f"{self.rule} [{self.slice}]" if self.slice else self.rule


@dataclass(frozen=True, slots=True)
class Interval:
    """A gain with its one-sided bounds (None: there is none), and the thresholds that it is held against, by rule."""

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
    """One a rule, in the gate's order; an error is the only case there is."""
    if outcome.failure:
        return [Case("gate", outcome.verdict, outcome.failure.sentence)]
    return [_case(rule, outcome) for rule in outcome.numbers.get("rules", [])]


def intervals(outcome: Outcome) -> list[Interval]:
    """The gain on all rows, then on each slice that has one."""
    found = cases(outcome)
    whole = [_interval(ALL_ROWS, _together(found) or outcome.verdict, outcome.numbers, found)]
    slices = [
        _interval(str(one.get("slice", "")), str(one.get("verdict", outcome.verdict)), one, found)
        for one in outcome.numbers.get("slices") or []
    ]
    return [one for one in whole + slices if one is not None]


def next_step(outcome: Outcome) -> str:
    """What to do now, in one sentence."""
    if outcome.verdict == "ship":
        who = outcome.version or "it"
        return f"`incumbent promote {who} --reason …` makes it the incumbent; `incumbent live start {who}` asks first."
    if outcome.verdict == "hold":
        return "The incumbent stays. The rules that hold say why; `[gate]` in incumbent.toml says what they ask for."
    if outcome.verdict == "not_enough_data":
        needed = outcome.numbers.get("rows_needed")
        more = f"hold out about {needed:,} such rows" if needed else "hold out more rows or days"
        return f"The incumbent stays. Come back with more data ({more}), or ask for less (`[gate]`)."
    return "Nothing was judged, and the incumbent stays. Mend what the message names, and run the gate again."


# --- parts


def _case(rule: Mapping[str, Json], outcome: Outcome) -> Case:
    name = str(rule["rule"])
    threshold = rule["threshold"] if "threshold" in rule else _threshold(name, outcome)
    return Case(name, str(rule["verdict"]), str(rule["sentence"]), rule.get("rows_needed"),
                str(rule.get("slice") or ""), _finite(threshold))  # fmt: skip


def _threshold(rule: str, outcome: Outcome) -> float | None:
    """Where a rule of `[gate]` draws its line, in units of the gain (as `steps.gate` does)."""
    if rule == "better_by":
        return outcome.gate.better_by
    if rule == "no_worse_than":
        return -(outcome.gate.no_worse_than or 0.0)
    return 0.0 if rule == "not_shown_worse" else None


def _together(found: list[Case]) -> str:
    """The verdict of the rules that look at all rows; empty where there is none."""
    said = [one.verdict for one in found if not one.slice]
    return next((verdict for verdict in ("hold", "not_enough_data", "ship") if verdict in said), "")


def _interval(label: str, verdict: str, numbers: Mapping[str, Json], found: list[Case]) -> Interval | None:
    gain = _finite(numbers.get("gain"))
    if gain is None:
        return None
    mine = [one for one in found if one.slice == ("" if label == ALL_ROWS else label) and one.threshold is not None]
    lines = tuple((one.rule, one.threshold) for one in mine if one.threshold is not None)
    return Interval(label, verdict, gain, _finite(numbers.get("lower")), _finite(numbers.get("upper")), lines)


def _finite(value: Json) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)
