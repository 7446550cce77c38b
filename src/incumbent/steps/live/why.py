"""Why did it get worse? An ordered checklist, cheapest first; each check with a verdict and its share of the
drop.

In: labelled rows as they were served, losses from when all was well, and what else is at hand: label counts,
the registered artefact, the same rows recomputed, training profiles. Out: one Evidence a check, and the
findings ranked by their share of the drop. A check that lacks its input says so. Nothing is blamed without a
bound: a version that is not worse is not explained. Reads no store.

    a measurement   b implementation   c preprocessing skew   d-f drift by column, put back and scored again
    and what is left: the truth given the inputs changed, or the labels are wrong
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from incumbent.errors import DataError
from incumbent.records import Evidence, Json, Micros
from incumbent.stats import compare, drift, share, skew
from incumbent.stats import profile as profiles
from incumbent.stats.drift import ColumnDrift
from incumbent.stats.metrics import Floats, Metric
from incumbent.stats.profile import Profile
from incumbent.steps.live.restore import restored
from incumbent.steps.live.verdict import SPLIT_INVALID

Values = npt.NDArray[Any]
Columns = Mapping[str, Values]
Verdict = Literal["found", "notice", "clean", "not_enough_data"]

ALPHA = 0.01
FEWEST_ROWS = 100
JOIN_POINTS = 0.02
DELAY_FACTOR = 1.5
MISMATCH = 0.005
NORMAL_99 = 2.3263
REST = 0.5
"""What the checks leave unexplained is blamed on labels or concept from this share of the drop on."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check says. `found` is blamed; `notice` is true but not shown to matter.

    `share_of_drop` is the part of the loss gained that goes when this is put right (0-1), None where it
    cannot be told. `column` is None where the finding is about all of them.
    """

    check: str
    verdict: Verdict
    column: str | None
    share_of_drop: float | None
    sentence: str


@dataclass(frozen=True, slots=True)
class Labels:
    """How labels came in: served rows, those of them with a label, and the label delays in microseconds."""

    rows: int
    labelled: int
    delays: Sequence[float] = ()


@dataclass(frozen=True, slots=True)
class Case:
    """What is known about a version that got worse. All columns and arrays have the same rows in the same
    order.

    `columns`, `outputs` (as logged) and `truth` (class index or number) are the labelled rows now; `blocks`
    tells which of them depend on each other (a day). `past_losses` are row losses from when all was well
    (`past_blocks` theirs).
    `profiles` are those of the training rows. `predict` is the registered artefact; it must repeat `outputs`
    within `tolerance` (1e-6, or 1e-5 for a compiled twin). `recomputed` are the same rows as the training
    code computes them.
    """

    subject: str
    metric: Metric
    columns: Columns
    outputs: Floats
    truth: Values
    past_losses: Floats
    profiles: Mapping[str, Profile] = field(default_factory=dict)
    predict: Callable[[Columns], Floats] | None = None
    tolerance: float = 1e-6
    recomputed: Columns | None = None
    labels_before: Labels | None = None
    labels_now: Labels | None = None
    split_p: float | None = None
    blocks: Values | None = None
    past_blocks: Values | None = None


@dataclass(frozen=True, slots=True)
class Drop:
    """How much worse it is: mean loss before and now, the difference, and its lower bound."""

    before: float
    now: float
    size: float
    lower: float

    @property
    def shown(self) -> bool:
        return self.lower > 0.0


@dataclass(frozen=True, slots=True)
class Report:
    """The checks in their order, and the findings, what is blamed first, by share of the drop."""

    drop: Drop
    evidence: tuple[Evidence, ...]
    findings: tuple[Finding, ...]

    @property
    def blamed(self) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.verdict == "found")


def why(case: Case, at: Micros) -> Report:
    """Run the checklist. Raises DataError for a metric without row loss or rows that do not fit together."""
    losses = _losses(case, case.outputs)
    drop = _drop(case, losses)
    known = [*measurement(case), *implementation(case, drop, losses), *preprocessing(case, drop)]
    skewed = {one.column for one in known if one.check == "preprocessing" and one.verdict == "found"}
    known += drifted(case, drop, skewed)
    known += _rest(case, drop, known)
    evidence = tuple(
        _evidence(case.subject, check, known, drop, at) for check in dict.fromkeys(f.check for f in known)
    )
    rank = {"found": 0, "notice": 1, "not_enough_data": 2, "clean": 3}
    ranked = sorted(known, key=lambda f: (rank[f.verdict], -(f.share_of_drop or 0.0), f.column or ""))
    return Report(drop, evidence, tuple(ranked))


# --- a: is the loss measured as before? ---


def measurement(case: Case) -> list[Finding]:
    """The split, the share of rows that got a label, and how long labels took."""
    found = []
    if case.split_p is not None and case.split_p <= SPLIT_INVALID:
        found.append(
            _blame("measurement", f"the arms lost their shares of the units (p = {case.split_p:.2g})")
        )
    before, now = case.labels_before, case.labels_now
    if before is None or now is None or min(before.rows, now.rows) < FEWEST_ROWS:
        return found or [_lacks("measurement", "label counts from before and now, of 100 rows each")]
    was, is_now = (share.clopper_pearson(one.labelled, one.rows, alpha=ALPHA / 4) for one in (before, now))
    apart = was.upper < is_now.lower or is_now.upper < was.lower
    if apart and abs(was.share - is_now.share) > JOIN_POINTS:
        found.append(
            _blame("measurement", f"{is_now.share:.1%} of the rows have a label, before {was.share:.1%}")
        )
    found += _slower(before.delays, now.delays)
    return found or [_clean("measurement", f"labels come as before ({is_now.share:.1%} of the rows)")]


def _slower(before: Sequence[float], now: Sequence[float]) -> list[Finding]:
    """Medians whose order-statistic intervals do not touch, and that differ by half."""
    if min(len(before), len(now)) < FEWEST_ROWS:
        return []
    (low, was, high), (now_low, is_now, now_high) = _median(before), _median(now)
    apart = high < now_low or now_high < low
    if not apart or max(was, is_now) < DELAY_FACTOR * min(was, is_now):
        return []
    hours = 3.6e9
    return [
        _blame("measurement", f"labels take {is_now / hours:.3g} h in the median, before {was / hours:.3g} h")
    ]


def _median(values: Sequence[float]) -> tuple[float, float, float]:
    """Median with its distribution-free interval (ranks n/2 ± 1.5·√n, above 99.7 %)."""
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    n, half = len(ordered), 1.5 * math.sqrt(len(ordered))
    low, high = max(int(n / 2 - half), 0), min(math.ceil(n / 2 + half), n - 1)
    return float(ordered[low]), float(ordered[n // 2]), float(ordered[high])


# --- b: does what runs do what was registered? ---


def implementation(case: Case, drop: Drop, losses: Floats) -> list[Finding]:
    """Replay the logged rows through the registered artefact: it must say what was served."""
    if case.predict is None:
        return [_lacks("implementation", "the registered artefact")]
    again = case.predict(case.columns)
    differs = np.abs(again - case.outputs).reshape(len(again), -1).max(axis=1, initial=0.0) > case.tolerance
    n, n_bad = len(differs), int(differs.sum())
    if not n_bad:
        return [_clean("implementation", f"{n:,} logged rows are repeated within {case.tolerance:g}")]
    gain = compare.paired(losses, _losses(case, again), blocks=case.blocks, alpha=ALPHA)
    sentence = (
        f"the registered artefact does not repeat {n_bad:,} of {n:,} logged rows within {case.tolerance:g}"
    )
    said = f"{sentence}{_recovers(gain, drop)}"
    return [Finding("implementation", "found", None, _share(gain, drop), said)]


# --- c: are features computed as in training? ---


def preprocessing(case: Case, drop: Drop) -> list[Finding]:
    """Row by row: each feature as served against the same row recomputed; what differs is put right and
    scored."""
    if case.recomputed is None:
        return [_lacks("preprocessing", "the same rows recomputed")]
    findings, n = [], len(case.truth)
    for name in sorted(set(case.columns) & set(case.recomputed)):
        if case.columns[name].ndim != 1:  # number arrays have no unit, no default and no category
            continue
        match = skew.explain_pairs(case.columns[name], case.recomputed[name])
        unequal = round((1.0 - match.match_rate) * n)
        if not unequal or share.clopper_pearson(unequal, n, alpha=ALPHA).lower <= MISMATCH:
            continue
        gain = _scored(case, name, case.recomputed[name])
        sentence = f"{name}: {match.detail} ({1.0 - match.match_rate:.1%} of the rows){_recovers(gain, drop)}"
        findings.append(Finding("preprocessing", "found", name, _share(gain, drop), sentence))
    return findings or [_clean("preprocessing", f"{n:,} rows are served as the training code computes them")]


# --- d, e, f: which columns changed, and which of them cost? ---


def drifted(case: Case, drop: Drop, skip: set[str | None]) -> list[Finding]:
    """Columns that surely and largely left their training profile, each put back to it and scored again.

    Blamed is a column only where the version is shown worse and putting the column back is shown to help.
    """
    names = sorted((set(case.columns) & set(case.profiles)) - {name for name in skip if name})
    if not names or len(case.truth) < FEWEST_ROWS:
        return [_lacks("drift", "training profiles and 100 labelled rows")]
    now = {name: profiles.count(case.profiles[name], case.columns[name]) for name in names}
    moved = [
        one
        for one in drift.compare_profiles({n: case.profiles[n] for n in names}, now)
        if one.level != "none"
    ]
    findings = [_moved(case, drop, one) for one in moved]
    return findings or [_clean("drift", f"{len(names)} columns are as in training")]


def _moved(case: Case, drop: Drop, one: ColumnDrift) -> Finding:
    bin_ = one.largest[0]
    what = f"{one.column}: {bin_.name} is {bin_.current:.1%} of the rows, in training {bin_.reference:.1%}"
    if case.predict is None:
        return Finding(
            "drift", "notice", one.column, None, f"{what}; without the artefact its cost is not known"
        )
    back, how = restored(case.profiles[one.column], case.columns[one.column])
    gain = _scored(case, one.column, back)
    if gain is None or not drop.shown or gain.lower <= 0.0:
        return Finding("drift", "notice", one.column, None, f"{what}; not shown to cost anything")
    return Finding(
        "drift", "found", one.column, _share(gain, drop), f"{what}; put back {how}{_recovers(gain, drop)}"
    )


# --- what is left ---


def _rest(case: Case, drop: Drop, known: Sequence[Finding]) -> list[Finding]:
    """A drop that is shown and that no check explains: labels or concept. No drop: nothing to explain."""
    if not drop.shown:
        return [_clean("rest", f"it is not shown worse ({drop.before:.4g} before, {drop.now:.4g} now)")]
    left = max(0.0, 1.0 - sum(one.share_of_drop or 0.0 for one in known if one.verdict == "found"))
    looked = {one.check for one in known if one.verdict != "not_enough_data"}
    if left < REST:
        return [_clean("rest", f"the checks explain {1.0 - left:.0%} of the drop")]
    if "drift" not in looked:
        sentence = f"{left:.0%} of the drop is open: inputs were not looked at"
        return [Finding("rest", "not_enough_data", None, left, sentence)]
    sentence = (
        f"{left:.0%} of the drop is not in the inputs: the truth given the same inputs changed, or labels "
        f"are wrong (loss {drop.before:.4g} before, {drop.now:.4g} now)"
    )
    return [Finding("rest", "found", None, left, sentence)]


# --- losses, shares, words ---


def _losses(case: Case, outputs: Floats) -> Floats:
    if case.metric.row_loss is None:
        raise DataError(
            f"{case.metric.name} is no mean of row losses: ask why with brier, log_loss or squared_error"
        )
    if not len(case.truth) or len(case.truth) != len(outputs):
        raise DataError(f"found {len(case.truth)} truths and {len(outputs)} outputs: expected the same rows")
    return case.metric.row_loss(outputs, case.truth)


def _drop(case: Case, now: Floats) -> Drop:
    """How much worse, with a one-sided 99 % bound (two independent means; with 100 rows each, else no
    bound)."""
    before = case.past_losses
    if min(len(before), len(now)) < FEWEST_ROWS:
        was = float(before.mean()) if len(before) else math.nan
        return Drop(was, float(now.mean()), float(now.mean()) - was, -math.inf)
    was, was_error = _mean(before, case.past_blocks)
    is_now, error = _mean(now, case.blocks)
    return Drop(was, is_now, is_now - was, is_now - was - NORMAL_99 * math.hypot(was_error, error))


def _mean(losses: Floats, blocks: Values | None) -> tuple[float, float]:
    """Mean and standard error, by blocks where rows depend on each other."""
    found = compare.paired(losses, np.zeros(len(losses)), blocks=blocks, alpha=ALPHA)
    return found.gain, found.standard_error


def _scored(case: Case, name: str, values: Values) -> compare.PairedDifference | None:
    """What the registered artefact gains when one column is replaced (None without an artefact)."""
    if case.predict is None:
        return None
    as_served = _losses(case, case.predict(case.columns))
    replaced = _losses(case, case.predict({**case.columns, name: values}))
    return compare.paired(as_served, replaced, blocks=case.blocks, alpha=ALPHA)


def _share(gain: compare.PairedDifference | None, drop: Drop) -> float | None:
    if gain is None or not drop.shown or gain.lower <= 0.0:
        return None
    return min(gain.gain / drop.size, 1.0)


def _recovers(gain: compare.PairedDifference | None, drop: Drop) -> str:
    part = _share(gain, drop)
    if gain is None or part is None:
        return ""
    low, high = (min(max(bound / drop.size, 0.0), 1.0) for bound in (gain.lower, gain.upper))
    return f"; fixing this recovers {part:.0%} of the drop ({low:.0%} to {high:.0%})"


def _blame(check: str, sentence: str) -> Finding:
    return Finding(check, "found", None, None, sentence)


def _clean(check: str, sentence: str) -> Finding:
    return Finding(check, "clean", None, None, sentence)


def _lacks(check: str, what: str) -> Finding:
    return Finding(check, "not_enough_data", None, None, f"not looked at: needs {what}")


def _evidence(subject: str, check: str, findings: Sequence[Finding], drop: Drop, at: Micros) -> Evidence:
    mine = [one for one in findings if one.check == check]
    worst = next(
        v for v in ("found", "notice", "not_enough_data", "clean") if any(one.verdict == v for one in mine)
    )
    listed: list[Json] = [
        {"verdict": f.verdict, "column": f.column, "share_of_drop": f.share_of_drop, "sentence": f.sentence}
        for f in mine
    ]
    sizes = {"before": drop.before, "now": drop.now, "drop": drop.size, "drop_at_least": drop.lower}
    numbers = {
        "check": check,
        "findings": listed,
        **{k: v if math.isfinite(v) else None for k, v in sizes.items()},
    }
    sentence = "; ".join(one.sentence for one in mine)
    return Evidence("live", subject, worst, f"{check}: {sentence}.", at, None, numbers)
