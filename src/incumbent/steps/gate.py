"""Step 2. Is the candidate better than the incumbent on the same held-out rows?

In: row losses of both in the same row order (or outputs and truth, where the metric is no mean of row
losses). Out: one Evidence with a line for each rule: ship, hold or not_enough_data. A missing or infinite
loss never ships. Does not train and does not promote: loop.decide does. The same rows give the same bytes.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from incumbent import config
from incumbent.errors import ConfigError, DataError, NotEnoughData
from incumbent.records import Evidence, Json, Micros
from incumbent.stats.compare import PairedDifference, bootstrap_difference, day_blocks, paired, rows_needed
from incumbent.stats.latency import LatencySummary
from incumbent.stats.metrics import Metric

SHIP, HOLD, NOT_ENOUGH = "ship", "hold", "not_enough_data"
NEVER = np.iinfo(np.int64).max
N_RESAMPLES = 1000

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Finding:
    """What one rule says: its verdict, and why. `rows_needed` would settle it (None: more rows are not what
    lacks).
    """

    rule: str
    verdict: str
    sentence: str
    rows_needed: int | None = None

    def to_dict(self) -> dict[str, Json]:
        return {
            "rule": self.rule,
            "verdict": self.verdict,
            "sentence": self.sentence,
            "rows_needed": self.rows_needed,
        }


def judge(
    loss_incumbent: npt.ArrayLike,
    loss_candidate: npt.ArrayLike,
    blocks: npt.ArrayLike | None,
    settings: config.Gate,
    subject: str,
    reference: str,
    at: Micros,
    *,
    latency: LatencySummary | None = None,
    budget_ms: float = 0.0,
    looks: int = 1,
) -> Evidence:
    """Superiority on row losses (n_rows,), lower is better; non-inferiority where `no_worse_than` is set.

    `blocks` (n_rows,): rows of one label may depend on each other (a day); None: rows are independent.
    `latency` adds the rule `latency_p99_ms`: the upper 95 % bound of p99 must be inside `budget_ms`.
    `looks` counts how often this holdout was asked before and now; each look is one more chance of luck, so
    it is shown.
    """
    found = _difference(loss_incumbent, loss_candidate, blocks, settings.alpha)
    findings = _findings(found, settings)
    if latency is not None and budget_ms > 0.0:
        findings.append(_latency(latency, budget_ms))
    return _evidence(found, findings, settings, subject, reference, at, looks, latency, budget_ms)


def judge_outputs(
    metric: Metric,
    truth: npt.ArrayLike,
    outputs_incumbent: npt.ArrayLike,
    outputs_candidate: npt.ArrayLike,
    blocks: npt.ArrayLike | None,
    settings: config.Gate,
    subject: str,
    reference: str,
    at: Micros,
    *,
    latency: LatencySummary | None = None,
    budget_ms: float = 0.0,
    looks: int = 1,
    seed: int = 0,
) -> Evidence:
    """The same for any metric: row losses where it has them, else the seeded bootstrap of rows or whole
    blocks.
    """
    found: PairedDifference | str
    try:
        if metric.row_loss is not None:
            losses = metric.row_loss(outputs_incumbent, truth), metric.row_loss(outputs_candidate, truth)
            found = _difference(*losses, blocks, settings.alpha)
        else:
            found = bootstrap_difference(
                metric, truth, outputs_incumbent, outputs_candidate,
                blocks=blocks, alpha=settings.alpha, seed=seed, n_resamples=N_RESAMPLES,
            )  # fmt: skip
    except (DataError, ValueError) as error:
        found = f"{metric.name} has no value here: {error}"
    findings = _findings(found, settings, perfect=metric.perfect if metric.row_loss is None else 0.0)
    if latency is not None and budget_ms > 0.0:
        findings.append(_latency(latency, budget_ms))
    return _evidence(found, findings, settings, subject, reference, at, looks, latency, budget_ms)


def not_shown_worse(
    loss_incumbent: npt.ArrayLike,
    loss_candidate: npt.ArrayLike,
    blocks: npt.ArrayLike | None,
    settings: config.Gate,
    subject: str,
    reference: str,
    at: Micros,
) -> Evidence:
    """For a refresh (same recipe, newer rows): ship unless the candidate is *shown* worse, at
    `settings.alpha`.

    Where the world moves, asking each refresh for fresh superiority costs more than it saves. It is no
    proof of anything: the recipe earned its place by `judge`. The leakage alarm and `min_rows` hold here
    too.
    """
    found = _difference(loss_incumbent, loss_candidate, blocks, settings.alpha)
    findings = _findings(found, settings, superiority=False)
    if not isinstance(found, str) and math.isfinite(found.standard_error):
        worse = found.upper < 0.0
        shown = f"harm {-found.gain:.4g}, at least {-found.upper:.4g} at {1 - settings.alpha:.0%}"
        findings.append(Finding(
            "not_shown_worse", HOLD if worse else SHIP,
            f"shown worse ({shown})" if worse else f"not shown worse ({shown}; 0 or less may be no harm)",
        ))  # fmt: skip
    return _evidence(found, findings, settings, subject, reference, at, 1, None, 0.0)


def split(
    times: npt.ArrayLike | None,
    label_times: npt.ArrayLike | None = None,
    *,
    share: float = 0.2,
    days: int = 0,
    zone: str = "UTC",
    n_rows: int | None = None,
    seed: int = 0,
) -> tuple[Mask, Mask]:
    """Which rows train and which are held out, as two masks (n_rows,).

    With `times` (µs, n_rows) the latest rows are held out: the last `days` local days of `zone`, or the
    last `share` of the rows. A row trains only if its label was known before the first held-out row
    (`label_times`, µs; the largest integer: never). Without times: a seeded draw. Raises NotEnoughData when
    either side is empty.
    """
    if times is None:
        n = n_rows if n_rows is not None else len(np.asarray(label_times))
        held = np.zeros(n, dtype=np.bool_)
        held[np.random.default_rng(seed).permutation(n)[: round(n * share)]] = True
        labelled = (
            np.full(n, True) if label_times is None else np.asarray(label_times, dtype=np.int64) != NEVER
        )
        return _both_sides(~held & labelled, held & labelled)
    at = np.asarray(times, dtype=np.int64)
    if not len(at):
        raise NotEnoughData("found no row to split, expected rows to train on and rows to hold out")
    return split_at(at, label_times, _first_held_out(at, share, days, zone))


def split_at(times: npt.ArrayLike, label_times: npt.ArrayLike | None, cut: Micros) -> tuple[Mask, Mask]:
    """The rows that could be trained on at `cut` (label known before it), and the labelled rows from `cut`
    on.
    """
    at = np.asarray(times, dtype=np.int64)
    known = at if label_times is None else np.asarray(label_times, dtype=np.int64)
    return _both_sides((at < cut) & (known < cut), (at >= cut) & (known != NEVER))


# --- rules ------------------------------------------------------------------------------------------------


def _difference(
    reference: npt.ArrayLike, candidate: npt.ArrayLike, blocks: npt.ArrayLike | None, alpha: float
) -> PairedDifference | str:
    """The paired difference, or the sentence that says why there is none."""
    try:
        return paired(reference, candidate, blocks=blocks, alpha=alpha)
    except (DataError, ValueError) as error:
        return str(error)


def _findings(
    found: PairedDifference | str, settings: config.Gate, *, superiority: bool = True, perfect: float = 0.0
) -> list[Finding]:
    if isinstance(found, str):
        return [Finding("valid", HOLD, f"never ships without valid losses: {found}")]
    findings = []
    if found.n_rows < settings.min_rows:
        findings.append(Finding(
            "min_rows", NOT_ENOUGH, f"{found.n_rows:,} held-out rows, expected {settings.min_rows:,} or more",
            settings.min_rows,
        ))  # fmt: skip
    if not math.isfinite(found.standard_error):
        findings.append(Finding(
            "blocks", NOT_ENOUGH, f"{found.n_rows:,} rows in {found.n_blocks} block(s) cannot show how "
            "much the gain varies; hold out more days (rows, where a resample leaves the metric undefined)",
        ))  # fmt: skip
    elif superiority and settings.no_worse_than is not None:
        findings.append(_beyond("no_worse_than", found, -settings.no_worse_than))
    elif superiority:
        findings.append(_beyond("better_by", found, settings.better_by))
    suspicious = _suspicious(found, settings.suspicious_if_better_by, perfect)
    return findings + ([suspicious] if suspicious else [])


def _beyond(rule: str, found: PairedDifference, threshold: float) -> Finding:
    """Is the gain shown to be above the threshold? Non-inferiority lets the threshold itself pass."""
    shown = f"gain {found.gain:.4g}, at least {found.lower:.4g} at {1 - found.alpha:.0%}"
    passes = found.lower > threshold or (rule == "no_worse_than" and found.lower >= threshold)
    if passes:
        return Finding(rule, SHIP, f"{shown}; asked for more than {threshold:.4g}")
    if found.standard_error == 0.0 or found.gain <= threshold:
        return Finding(rule, HOLD, f"{shown}; the mean itself does not exceed {threshold:.4g}")
    needed = max(rows_needed(found, found.gain - threshold), found.n_rows + 1)
    return Finding(
        rule, NOT_ENOUGH, f"{shown}; asked for more than {threshold:.4g}: not enough data, about "
        f"{needed:,} such rows would do if the gain is what it seems", needed,
    )  # fmt: skip


def _suspicious(found: PairedDifference, share: float, perfect: float) -> Finding | None:
    """Leakage alarm: a candidate that takes away more than `share` of the way to perfect is looked at
    first.
    """
    left = abs(found.mean_reference - perfect)
    if not share > 0.0 or left == 0.0 or found.gain <= share * left:
        return None
    return Finding(
        "suspicious_if_better_by", HOLD, f"{found.gain / left:.0%} of the loss is gone, above {share:.0%}: "
        "look for a feature that knows the target; where it is real, raise gate.suspicious_if_better_by",
    )  # fmt: skip


def _latency(latency: LatencySummary, budget_ms: float) -> Finding:
    if not math.isfinite(latency.p99_upper_ms):
        return Finding("latency_p99_ms", NOT_ENOUGH, f"{latency.n} timings, expected at least 299")
    verdict = SHIP if latency.p99_upper_ms <= budget_ms else HOLD
    inside = "inside" if verdict == SHIP else "outside"
    return Finding("latency_p99_ms", verdict, f"p99 is {inside} the budget of {budget_ms:g} ms")


def _verdict(findings: Sequence[Finding]) -> str:
    """Hold wins over not enough data, and that over ship; no rule at all never ships."""
    verdicts = {finding.verdict for finding in findings}
    if not verdicts or HOLD in verdicts:
        return HOLD
    return NOT_ENOUGH if NOT_ENOUGH in verdicts else SHIP


# --- what is said -----------------------------------------------------------------------------------------


def _evidence(
    found: PairedDifference | str,
    findings: Sequence[Finding],
    settings: config.Gate,
    subject: str,
    reference: str,
    at: Micros,
    looks: int,
    latency: LatencySummary | None,
    budget_ms: float,
) -> Evidence:
    verdict = _verdict(findings)
    reasons = "; ".join(finding.sentence for finding in findings if finding.verdict == verdict)
    numbers: dict[str, Json] = {"rules": [finding.to_dict() for finding in findings], "mode": settings.mode}
    where = ""
    if not isinstance(found, str):
        numbers |= _numbers(found)
        unit = f" in {found.n_blocks:,} blocks" if "blocks" in found.method else ""
        where = f" ({found.mean_reference:.4g} → {found.mean_candidate:.4g} on {found.n_rows:,} rows{unit})"
    needed = [finding.rows_needed for finding in findings if finding.rows_needed is not None]
    numbers |= {"rows_needed": max(needed) if needed else None, "looks": looks}
    sentence = f"{verdict.replace('_', ' ')}: {subject} against {reference}{where}: {reasons or 'no rule'}."
    if looks > 1:
        sentence += f" Look {looks} at this holdout."
    return Evidence("gate", subject, verdict, sentence, at, reference, numbers, _measured(latency, budget_ms))


def _numbers(found: PairedDifference) -> dict[str, Json]:
    """Finite numbers only: JSON has no infinity, and an infinite bound means that there is none."""
    values = {
        "loss_reference": found.mean_reference, "loss_candidate": found.mean_candidate, "gain": found.gain,
        "lower": found.lower, "upper": found.upper, "standard_error": found.standard_error,
    }  # fmt: skip
    finite: dict[str, Json] = {
        name: value if math.isfinite(value) else None for name, value in values.items()
    }
    return finite | {
        "n_rows": found.n_rows,
        "n_blocks": found.n_blocks,
        "alpha": found.alpha,
        "method": found.method,
    }


def _measured(latency: LatencySummary | None, budget_ms: float) -> dict[str, Json]:
    if latency is None:
        return {}
    upper = latency.p99_upper_ms if math.isfinite(latency.p99_upper_ms) else None
    return {"p50_ms": latency.p50_ms, "p99_ms": latency.p99_ms, "p99_upper_ms": upper, "n_timings": latency.n,
            "budget_ms": budget_ms}  # fmt: skip


# --- splitting --------------------------------------------------------------------------------------------


def _first_held_out(at: npt.NDArray[np.int64], share: float, days: int, zone: str) -> Micros:
    if days > 0:
        local = day_blocks(at.astype("M8[us]"), zone)
        latest = local > local.max() - days
        return int(at[latest].min())
    if not 0.0 < share < 1.0:
        raise ConfigError(f"gate.holdout = {share}, expected a share between 0 and 1")
    ordered = np.sort(at)
    return int(ordered[min(int(np.ceil(len(ordered) * (1.0 - share))), len(ordered) - 1)])


def _both_sides(train: Mask, held_out: Mask) -> tuple[Mask, Mask]:
    if not train.any() or not held_out.any():
        raise NotEnoughData(
            f"the split leaves {int(train.sum())} rows to train on and {int(held_out.sum())} held out, "
            "expected some on both sides: give more rows, or another gate.holdout; labels count once known"
        )
    return train, held_out
