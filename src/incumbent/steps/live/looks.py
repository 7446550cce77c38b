"""Looks at a trial: which are recorded, under which settings, and how they read one after the other.

In: evidence of looks, oldest first. Out: whether the newest is worth a line of the ledger; the points of the picture; a
table; the settings as bytes, whose sha256 each look names. Judges nothing.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from incumbent.config import Live
from incumbent.records import SECOND, Evidence, Json, Micros, Trial
from incumbent.stats.metrics import Metric
from incumbent.steps.live.measures import ARMS, LOSS

HOUR: Micros = 3600 * SECOND


def series(looks: Iterable[Evidence]) -> list[list[Json]]:
    """One [at, estimate, lower, upper] a look; bounds are None where there is none yet."""
    return [[one.at, *(one.numbers.get(name) for name in ("estimate", "lower", "upper"))] for one in looks]


def worth_recording(look: Evidence, last: Evidence | None, acts: bool) -> bool:
    """Is the look to be recorded? `last` is the last recorded one of the same phase.

    Yes where something follows from it (`acts`), where the verdict is another one, and once an hour of task time; where
    it is the first with a valid bound (which fixes the tuning for good), or the first after more units were enrolled
    (from when the stay on that step is counted).
    """
    if last is None or acts or look.verdict != last.verdict or look.at // HOUR != last.at // HOUR:
        return True
    return _fixed(look) != _fixed(last)


def settings(trial: Trial, live: Live, metric: Metric) -> bytes:
    """Everything but the log that a look follows from, as canonical JSON (sorted keys, no spaces, UTF-8)."""
    found = {"live": asdict(live), "metric": {"name": metric.name, "kind": metric.kind}, "trial": asdict(trial)}
    return canonical(found)


def digest(settings: bytes) -> str:
    """sha256, lower-case hex: what evidence names, and under which blobs keep the bytes."""
    return hashlib.sha256(settings).hexdigest()


def canonical(found: Json) -> bytes:
    """
    >>> canonical({"b": [1, None], "a": 0.5})
    b'{"a":0.5,"b":[1,null]}'
    """
    return json.dumps(found, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def of_phase(before: Evidence | None, trial: Trial) -> Mapping[str, Any]:
    """The numbers of the last recorded look, if it was at this phase of this trial."""
    same = before and (before.numbers.get("trial"), before.numbers.get("phase")) == (trial.name, trial.phase)
    return before.numbers if before and same else {}


def table(evidence: Evidence) -> list[tuple[str, str, str]]:
    """A trial's evidence as text: "Test group (challenger) | Control (incumbent)", heading first."""
    numbers = evidence.numbers
    rows = [
        ("", "Test group (challenger)", "Control (incumbent)"),
        ("version", evidence.subject, str(evidence.reference)),
    ]

    def add(name: str, of: Any, shape: str) -> None:
        if of is not None:
            cells = ["-" if of.get(arm) is None else format(of[arm], shape) for arm in ARMS]
            rows.append((name, cells[0], cells[1]))

    add(str(numbers["n_kind"]), numbers["n"], ",")
    add("predictions", numbers["rows"], ",")
    add("with a closed window", numbers["matured"], ",")
    add("with a label", numbers["labelled"], ",")
    add("share with a label", numbers.get("coverage"), ".1%")
    add(f"mean {numbers['metric']}", numbers["value"], ".5g")
    for name, one in numbers["measures"].items():
        if name != LOSS:
            add(f"{one['of']} {name}", one, ".5g")
    for guardrail in numbers["guardrails"]:
        if "events" in guardrail:
            add(_WORDS[guardrail["name"]], guardrail["events"], ",")
    gain, lower = numbers["estimate"], numbers["lower"]
    rows.append(("gain", "-" if gain is None else f"{gain:+.5f}", ""))
    rows.append(("gain, at least", "-" if lower is None else f"{lower:+.5f}", ""))
    return rows


_WORDS = {"errors": "failed answers", "latency": "late answers"}


def _fixed(look: Evidence) -> tuple[Json, ...]:
    """What later looks go on from: the share, and each tuning."""
    numbers = look.numbers
    tuned = {name: one["n_star"] for name, one in numbers["measures"].items() if one["n_star"] is not None}
    return numbers["enrolled"], numbers["n_star"], tuned
