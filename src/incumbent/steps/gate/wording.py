"""The gate's Evidence: one sentence, and the numbers behind it.

In: what was found and what the rules say of it. Out: Evidence. Numbers are finite; timings are `measured`. Judges
nothing.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from incumbent import config
from incumbent.records import Evidence, Json, Micros
from incumbent.stats.compare import PairedDifference, smallest_gain
from incumbent.stats.latency import LatencySummary
from incumbent.steps.gate import looks as counting
from incumbent.steps.gate.looks import Looks
from incumbent.steps.gate.rules import HOLD, NOT_ENOUGH, OFF, Finding, finite, verdict_of

MOST_SENTENCES = 4
MAIN = ("better_by", "no_worse_than", "not_shown_worse")


@dataclass(frozen=True, slots=True)
class Case:
    """Who is judged, against whom, by which settings, and what was timed."""

    settings: config.Gate
    subject: str
    reference: str
    at: Micros
    latency: LatencySummary | None = None
    budget_ms: float = 0.0
    looks: Looks = field(default_factory=Looks)


def evidence(found: PairedDifference | str, findings: Sequence[Finding], case: Case) -> Evidence:
    """What was found, in one sentence and in numbers."""
    settings, verdict = case.settings, verdict_of(findings)
    numbers: dict[str, Json] = {"rules": [finding.to_dict() for finding in findings], "mode": settings.mode}
    where = ""
    if not isinstance(found, str):
        numbers |= _numbers(found)
        unit = f" in {found.n_blocks:,} blocks" if "blocks" in found.method else ""
        where = f" ({found.mean_reference:.4g} → {found.mean_candidate:.4g} on {found.n_rows:,} rows{unit})"
    needed = [finding.rows_needed for finding in findings if finding.rows_needed is not None]
    numbers |= {"rows_needed": max(needed) if needed else None}
    numbers |= counting.numbers(case.looks, found, settings)
    sentence = f"{verdict.replace('_', ' ')}: {case.subject} against {case.reference}{where}: {_reasons(findings)}."
    sentence += _power(found, verdict) + counting.sentence(case.looks, found, settings, verdict) + _mode(settings)
    return Evidence(
        "gate", case.subject, verdict, sentence, case.at, case.reference, numbers,
        _measured(case.latency, case.budget_ms),
    )  # fmt: skip


def unjudged(subject: str, reference: str | None, settings: config.Gate, at: Micros) -> Evidence:
    """What a gate that is off says: that nobody was asked. Its verdict is no verdict."""
    sentence = (
        f"off: {subject} was NOT judged: gate.mode = off. Nothing shows that it is any better than {reference}; "
        "say gate.mode = enforce to have it judged."
    )
    numbers: dict[str, Json] = {"rules": [], "mode": settings.mode, "rows_needed": None, "looks": 0}
    return Evidence("gate", subject, OFF, sentence, at, reference, numbers)


def _reasons(findings: Sequence[Finding]) -> str:
    """Ship: the gain, and how many other rules are met. Else: what holds it first, then what lacks rows."""
    if not findings:
        return "no rule, and what nobody asks for never ships"
    for verdict in (HOLD, NOT_ENOUGH):
        said = [finding.sentence for finding in findings if finding.verdict == verdict]
        if said:
            more = f"; and {len(said) - MOST_SENTENCES:,} more" if len(said) > MOST_SENTENCES else ""
            return "; ".join(said[:MOST_SENTENCES]) + more
    first = next((one for one in findings if one.rule in MAIN), findings[0])
    asked = sum(one.slice is not None or one.metric is not None or one.rule == "latency_p99_ms" for one in findings)
    return f"{first.sentence}; {asked} other rule{'s are' if asked > 1 else ' is'} met" if asked else first.sentence


def _power(found: PairedDifference | str, verdict: str) -> str:
    least = None if isinstance(found, str) else smallest_gain(found)
    if verdict != NOT_ENOUGH or not least:
        return ""
    return f" These rows show a gain of {least:.3g} with a power of 80%."


def _mode(settings: config.Gate) -> str:
    return " Dry run: this decides nothing (gate.mode = dry_run)." if settings.mode == "dry_run" else ""


def _numbers(found: PairedDifference) -> dict[str, Json]:
    """Finite numbers only: JSON has no infinity, and an infinite bound means that there is none."""
    values = {
        "loss_reference": found.mean_reference, "loss_candidate": found.mean_candidate, "gain": found.gain,
        "lower": found.lower, "upper": found.upper, "standard_error": found.standard_error,
    }  # fmt: skip
    numbers: dict[str, Json] = {name: finite(value) for name, value in values.items()}
    return numbers | {
        "n_rows": found.n_rows,
        "n_blocks": found.n_blocks,
        "alpha": found.alpha,
        "method": found.method,
        "smallest_gain": smallest_gain(found),
    }


def _measured(latency: LatencySummary | None, budget_ms: float) -> dict[str, Json]:
    if latency is None:
        return {}
    upper = latency.p99_upper_ms if math.isfinite(latency.p99_upper_ms) else None
    return {"p50_ms": latency.p50_ms, "p99_ms": latency.p99_ms, "p99_upper_ms": upper, "n_timings": latency.n,
            "budget_ms": budget_ms}  # fmt: skip


