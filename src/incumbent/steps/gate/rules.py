"""What does each rule of the gate say of a paired difference?

In: the difference (or the sentence that says why there is none) and what the rule asks. Out: a Finding: ship, hold or
not_enough_data, with a sentence. A rule that cannot be answered never ships.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from incumbent import config
from incumbent.records import Json
from incumbent.stats.compare import PairedDifference, rows_needed
from incumbent.stats.latency import LatencySummary

SHIP, HOLD, NOT_ENOUGH, OFF = "ship", "hold", "not_enough_data", "off"

Found = PairedDifference | str
"""A difference, or the sentence that says why there is none."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one rule says: its verdict, and why. `rows_needed` would settle it (None: more rows are not what lacks).

    The rest says what was looked at: the metric and the slice where it is not the task's own on all rows, what was
    found and what was asked (None: the rule has no such number).
    """

    rule: str
    verdict: str
    sentence: str
    rows_needed: int | None = None
    metric: str | None = None
    slice: str | None = None
    gain: float | None = None
    lower: float | None = None
    threshold: float | None = None
    n_rows: int | None = None

    def to_dict(self) -> dict[str, Json]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Of:
    """What a rule is about, for its name and its sentence: a slice, a metric, or (both empty) the task as a whole."""

    metric: str | None = None
    slice: str | None = None

    def named(self, rule: str) -> str:
        """The name of the line: each is unique.

        >>> Of(slice="carrier = UA").named("no_worse_than")
        'no_worse_than (carrier = UA)'
        """
        about = self.slice or self.metric
        return f"{rule} ({about})" if about else rule

    @property
    def said(self) -> str:
        about = self.slice or self.metric
        return f"{about}: " if about else ""


def valid(found: Found) -> list[Finding]:
    """One line that holds where there is nothing to compare; else none."""
    if isinstance(found, str):
        return [Finding("valid", HOLD, f"never ships without valid losses: {found}")]
    return []


def enough(found: PairedDifference, least: int, of: Of, rule: str = "min_rows") -> Finding:
    """Are there at least so many rows?"""
    verdict = SHIP if found.n_rows >= least else NOT_ENOUGH
    return Finding(
        of.named(rule), verdict, f"{of.said}{found.n_rows:,} held-out rows, expected {least:,} or more",
        None if verdict == SHIP else least, of.metric, of.slice, threshold=float(least), n_rows=found.n_rows,
    )  # fmt: skip


def varies(found: PairedDifference, of: Of) -> Finding | None:
    """None where the rows show how much the gain varies; else a line: nothing can be shown by them."""
    if math.isfinite(found.standard_error):
        return None
    return Finding(
        of.named("blocks"), NOT_ENOUGH, f"{of.said}{found.n_rows:,} rows in {found.n_blocks:,} block(s) cannot show "
        "how much the gain varies: hold out more days (or groups), with rows of every class",
        metric=of.metric, slice=of.slice, n_rows=found.n_rows,
    )  # fmt: skip


def beyond(
    found: PairedDifference, of: Of, *, better_by: float | None = None, no_worse_than: float | None = None
) -> Finding:
    """Is the gain shown to be above `better_by`? With `no_worse_than`: not below minus that (which itself passes)."""
    rule = "better_by" if no_worse_than is None else "no_worse_than"
    threshold = float(better_by or 0.0) if no_worse_than is None else 0.0 - no_worse_than
    unsettled = varies(found, of)
    if unsettled is not None:
        return unsettled
    shown = f"{of.said}gain {found.gain:.4g}, at least {found.lower:.4g} at {_percent(1.0 - found.alpha)}"
    asked = f"asked for more than {threshold:.4g}"
    if rule == "no_worse_than":
        asked = f"a loss of {no_worse_than:.4g} is allowed"
    verdict, why, needed = SHIP, asked, None
    if not (found.lower > threshold or (rule == "no_worse_than" and found.lower >= threshold)):
        verdict, why, needed = _not_shown(found, threshold, asked)
    return Finding(
        of.named(rule), verdict, f"{shown}; {why}", needed, of.metric, of.slice, finite(found.gain),
        finite(found.lower), threshold, found.n_rows,
    )  # fmt: skip


def _not_shown(found: PairedDifference, threshold: float, asked: str) -> tuple[str, str, int | None]:
    """Held where the mean itself fails; else more rows may show it, and how many would."""
    if found.standard_error == 0.0 or found.gain <= threshold:
        return HOLD, f"the mean itself does not exceed {threshold:.4g}", None
    needed = max(rows_needed(found, found.gain - threshold), found.n_rows + 1)
    return NOT_ENOUGH, f"{asked}: not enough data, {needed:,} such rows would do if the gain is what it seems", needed


def suspicious(found: PairedDifference, share: float, perfect: float) -> Finding | None:
    """Leakage alarm: a candidate that takes away more than `share` of the way to perfect is looked at first.

    None where no share is set. A reference that is perfect already leaves no way, and no alarm.
    """
    if not share > 0.0:
        return None
    left = abs(found.mean_reference - perfect)
    gone = found.gain / left if left > 0.0 else 0.0
    if not found.gain > share * left or left == 0.0:
        sentence = f"{max(gone, 0.0):.0%} of the loss is gone, the alarm is at {share:.0%}"
        return Finding("suspicious_if_better_by", SHIP, sentence, gain=finite(found.gain), threshold=share)
    return Finding(
        "suspicious_if_better_by", HOLD, f"{gone:.0%} of the loss is gone, above {share:.0%}: look for a feature that "
        "knows the target; where it is real, raise gate.suspicious_if_better_by",
        gain=finite(found.gain), threshold=share,
    )  # fmt: skip


def fast(latency: LatencySummary | None, budget_ms: float) -> Finding:
    """Is the upper 95 % bound of p99 inside the budget? The milliseconds themselves are `measured`, not said here."""
    rule = "latency_p99_ms"
    if latency is None:
        return Finding(rule, NOT_ENOUGH, "no answer was timed, and a budget is declared", threshold=budget_ms)
    if not math.isfinite(latency.p99_upper_ms):
        return Finding(rule, NOT_ENOUGH, f"{latency.n} timings, expected at least 299", threshold=budget_ms)
    verdict = SHIP if latency.p99_upper_ms <= budget_ms else HOLD
    inside = "inside" if verdict == SHIP else "outside"
    return Finding(rule, verdict, f"p99 is {inside} the budget of {budget_ms:g} ms", threshold=budget_ms)


def of_all_rows(found: Found, settings: config.Gate, perfect: float) -> list[Finding]:
    """The rules about the task's own metric on all rows: validity, size, gain, leakage alarm."""
    if isinstance(found, str):
        return valid(found)
    findings = [enough(found, settings.min_rows, Of())]
    findings.append(beyond(found, Of(), better_by=settings.better_by, no_worse_than=settings.no_worse_than))
    alarm = suspicious(found, settings.suspicious_if_better_by, perfect)
    return findings + ([alarm] if alarm else [])


def not_worse(found: Found, settings: config.Gate) -> list[Finding]:
    """The rules of a refresh: it ships unless it is *shown* worse. The leakage alarm and the size hold here too."""
    if isinstance(found, str):
        return valid(found)
    findings = [enough(found, settings.min_rows, Of())]
    unsettled = varies(found, Of())
    if unsettled is not None:
        findings.append(unsettled)
    else:
        worse = found.upper < 0.0
        shown = f"harm {-found.gain:.4g}, at least {-found.upper:.4g} at {_percent(1.0 - settings.alpha)}"
        findings.append(Finding(
            "not_shown_worse", HOLD if worse else SHIP,
            f"shown worse ({shown})" if worse else f"not shown worse ({shown}; 0 or less may be no harm)",
            gain=finite(found.gain), lower=finite(found.lower), threshold=0.0, n_rows=found.n_rows,
        ))  # fmt: skip
    alarm = suspicious(found, settings.suspicious_if_better_by, 0.0)
    return findings + ([alarm] if alarm else [])


def verdict_of(findings: Sequence[Finding]) -> str:
    """Hold wins over not enough data, and that over ship; no rule at all never ships, nor a word that is unknown.

    >>> verdict_of([])
    'hold'
    """
    verdicts = {finding.verdict for finding in findings}
    if not verdicts or not verdicts <= {SHIP, NOT_ENOUGH}:
        return HOLD
    return NOT_ENOUGH if NOT_ENOUGH in verdicts else SHIP


def finite(value: float) -> float | None:
    """A number as JSON holds it: an infinite bound means that there is none."""
    return value if math.isfinite(value) else None


def _percent(share: float) -> str:
    return f"{100 * share:.4g}%"
