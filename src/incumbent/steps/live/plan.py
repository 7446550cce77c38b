"""How long would a trial take, and what could it show? Said from logged traffic, before anybody is exposed.

In: rows of the log as columns, and pairs of losses where the candidate's are known. Out: one Evidence: traffic, labels,
the smallest gain that a split and a shadow show in so many days, the days that an effect takes, and which of the two to
take. Reads no log and starts nothing. Formulas in `stats.sequential` and `steps.live.growth`.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from incumbent.config import Live
from incumbent.records import DAY, SECOND, Evidence, Json, Micros, moment
from incumbent.stats.metrics import UNITS_PER_ONE, Floats, Metric
from incumbent.steps.live import growth
from incumbent.steps.live.growth import Growth
from incumbent.steps.live.measures import FIRST_LOOK_UNITS
from incumbent.steps.live.pairs import MIN_BLOCKS, merge
from incumbent.steps.live.trial import BLOCK
from incumbent.storage.base import BlockSum

Ints = npt.NDArray[np.int64]
HOUR: Micros = 3600 * SECOND
NEVER = np.iinfo(np.int64).max
WEEKS = (7, 14, 28)
MIN_DAYS = 3.0
MIN_LABELLED = 200
MIN_PAIRED = 20
"""Blocks of pairs from which a variance is read; with fewer, a correlation is assumed."""
LATE = 0.05
EVEN = 1.5
"""Fewer rows than this many times are hardly fewer."""
LONGEST = 730
"""Days after which nobody waits any more."""
ASSUMED = (0.2, 0.85)
"""Where no losses are paired, and days are alike: correlations of .2 (a rule and a model) to .85 (a refit)."""


@dataclass(frozen=True, slots=True, eq=False)
class Traffic:
    """Logged rows, all arrays (n,) in the same order; `since` is when the stretch begins.

    `known_at` is when the label came (NEVER: not yet), `unit` a number for each unit (-1: none was named), `loss` the
    row loss of what was served (NaN without a label).
    """

    since: Micros
    at: Ints
    known_at: Ints
    unit: Ints
    loss: Floats


@dataclass(frozen=True, slots=True)
class Pairs:
    """Losses of two versions on the same rows, by blocks of six hours. `source` is shadow or replay.

    `variances` are those of a row's loss, incumbent's and candidate's, where rows are known; else blocks tell them."""

    source: str
    blocks: Sequence[BlockSum]
    variances: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class _Shadow:
    """What a shadow would see: variance of the mean difference after one day, least and most; -1 to 1 correlations.

    `louder`: by how much the mean of both versions' variances is above the incumbent's alone (1: the same)."""

    source: str
    variance: tuple[float, float]
    correlation: tuple[float, float]
    blocks_a_day: float
    rows_a_day: float
    louder: float = 1.0


def plan(
    traffic: Traffic,
    live: Live,
    metric: Metric,
    now: Micros,
    *,
    incumbent: str,
    candidate: str | None = None,
    pairs: Pairs | None = None,
    effect: float | None = None,
    assigns: bool = True,
) -> Evidence:
    """What a trial of `candidate` could show, in days.

    `effect` is the gain worth having, in units of the row loss (default: `live.smallest_effect`; 0: none is named).
    `assigns`: the task names a unit. Verdict: shadow or split (the one to take), or not_enough_data.
    """
    window = round(live.window_hours * HOUR)
    rows = growth.matured(traffic.at, traffic.known_at, traffic.loss, now, window)
    logged = (now - window - traffic.since) / DAY
    subject = candidate or "any candidate"
    lacking = _lacking(logged, int(rows.counts.sum()), live)
    if lacking:
        sentence = f"a trial of {subject} cannot be planned yet: {lacking}"
        known = {"days_logged": max(logged, 0.0), "rows": len(traffic.at), "labelled": int(rows.counts.sum())}
        return Evidence("live", subject, "not_enough_data", f"{sentence}.", now, incumbent, {"plan": known})
    grown = growth.of(traffic.at, traffic.unit, traffic.loss, rows, traffic.since, logged, live.unit_days)
    shadow = _shadow(traffic, rows, pairs, logged)
    least = _Least(grown, shadow, live)
    wanted = (live.smallest_effect if effect is None else effect) or None
    loss = float(traffic.loss[rows.counts].mean())
    labels, takes = _labels(traffic, live, now, rows), _takes(least, wanted, live)
    split = grown.row_variance(live) * shadow.louder
    rows_ratio = [split / (one * shadow.rows_a_day) for one in reversed(shadow.variance) if one > 0.0]
    word, reason = _recommended(live, assigns, rows_ratio)
    numbers: dict[str, Json] = {
        "metric": metric.name,
        "since": moment(traffic.since).isoformat(),
        "days_logged": logged,
        "rows_a_day": len(traffic.at) / ((now - traffic.since) / DAY),
        "units_a_day": grown.units_a_day,
        "units": grown.units_at(logged),
        "without_unit": float((traffic.unit < 0).mean()),
        "loss": loss,
        "variance_row": float(traffic.loss[rows.counts].var(ddof=1)),
        "variance_unit": grown.unit_variance,
        "labels": labels,
        "pairs": {"source": shadow.source, "correlation": list(shadow.correlation)},
        "gains": [_row(days, least, loss) for days in sorted({*WEEKS, live.max_days})],
        "effect": takes,
        "rows_ratio": rows_ratio,
        "curve": [[days, *map(_finite, least.both(days))] for days in range(1, max(*WEEKS, live.max_days) + 1)],
        "min_gain": live.min_gain,
        "max_days": live.max_days,
        "warnings": _warnings(labels, live, logged, assigns, grown, wanted),
    }
    sentence = f"{word}: {reason}."
    return Evidence("live", subject, word, sentence, now, incumbent, {"plan": numbers})


def _lacking(logged: float, labelled: int, live: Live) -> str:
    """What the log lacks, and what would do; empty where nothing does."""
    if logged < MIN_DAYS:
        return (
            f"the log holds {max(logged, 0.0):.1f} days whose label window of {live.window_hours:g} hours has closed, "
            f"expected {MIN_DAYS:g}: ask again in {MIN_DAYS - logged:.1f} days"
        )
    if labelled < MIN_LABELLED:
        days = f"; at this pace in {(MIN_LABELLED / labelled - 1) * logged:.0f} days" if labelled else ""
        return (
            f"{labelled:,} rows have a label that came inside its window of {live.window_hours:g} hours, expected "
            f"{MIN_LABELLED}: send more outcomes, or set a longer live.window_hours{days}"
        )
    return ""


# --- the smallest gain, in days


class _Least:
    """The smallest gain that is shown with a power of 80 % within so many days, under the sequential test.

    The trial's largest n is twice that of a fixed horizon (`sequential.n_max`), so the gain is that of a fixed test
    with half the units: √2·(z_alpha + z_power) standard errors at the end, above `live.min_gain`.
    """

    def __init__(self, grown: Growth, shadow: _Shadow, live: Live) -> None:
        self.grown, self.shadow_of, self.live = grown, shadow, live
        self.factor = growth.errors_to_show(live.alpha)

    def split(self, days: float) -> float:
        """The challenger's losses may vary more than the incumbent's: where they are known, that is counted."""
        found = self.grown.in_split(days, self.live)
        if found.labelled < self.live.min_labels or found.units < FIRST_LOOK_UNITS:
            return math.inf
        return self.live.min_gain + self.factor * found.standard_error * math.sqrt(self.shadow_of.louder)

    def shadow(self, days: float, least: bool) -> float:
        seen = days - self.live.window_hours / 24
        of = self.shadow_of
        if seen * of.blocks_a_day < MIN_BLOCKS or seen * of.rows_a_day < self.live.min_labels:
            return math.inf
        return self.live.min_gain + self.factor * math.sqrt(of.variance[0 if least else 1] / seen)

    def both(self, days: float) -> tuple[float, float, float]:
        """Split; shadow at the least and at the most."""
        return self.split(days), self.shadow(days, least=True), self.shadow(days, least=False)


def _row(days: int, least: _Least, loss: float) -> dict[str, Json]:
    split, low, high = least.both(days)

    def share(gain: float) -> float | None:
        return gain / abs(loss) if loss and math.isfinite(gain) else None

    return {
        "days": days,
        "split": _finite(split),
        "split_share": share(split),
        "shadow": [_finite(low), _finite(high)],
        "shadow_share": [share(low), share(high)],
    }


def _takes(least: _Least, effect: float | None, live: Live) -> dict[str, Json] | None:
    """How many days the effect takes; None: more than two years."""
    if effect is None:
        return None
    return {
        "gain": effect,
        "split_days": _days(least.split, effect, live),
        "shadow_days": [_days(partial(least.shadow, least=low), effect, live) for low in (True, False)],
    }


def _days(smallest: Callable[[float], float], effect: float, live: Live) -> int | None:
    for days in range(max(live.min_days, 1), LONGEST + 1):
        if smallest(days) <= effect:
            return days
    return None


# --- what a shadow would see


def _shadow(traffic: Traffic, rows: growth.Rows, pairs: Pairs | None, logged: float) -> _Shadow:
    """From paired losses where there are blocks enough of them; else from the row loss and an assumed correlation."""
    labelled = int(rows.counts.sum())
    merged = merge(pairs.blocks) if pairs else []
    if pairs and len(merged) >= MIN_PAIRED:
        paired = sum(one.rows for one in merged)
        gain = _variance(merged, [one.loss_reference - one.loss_candidate for one in merged])
        losses = [one.loss_reference for one in merged], [one.loss_candidate for one in merged]
        alone = [_variance(merged, of) for of in losses]
        within = pairs.variances or [_within_days(merged, of) for of in losses]
        days = (merged[-1].block - merged[0].block + 1) * BLOCK / DAY
        correlation = 1.0 - gain / sum(alone) if sum(alone) else 0.0
        return _Shadow(
            pairs.source, (gain * days, gain * days), (correlation, correlation), len(merged) / days, paired / days,
            sum(within) / (2.0 * within[0]) if within[0] else 1.0,
        )  # fmt: skip
    variance = float(traffic.loss[rows.counts].var(ddof=1))
    blocks = merge(growth.blocks(traffic.at, traffic.loss, rows, BLOCK))
    per_day = labelled / logged
    low, high = (2.0 * (1.0 - one) * variance / per_day for one in reversed(ASSUMED))
    return _Shadow("assumed", (low, high), ASSUMED, len(blocks) / logged, per_day)


def _variance(blocks: Sequence[BlockSum], totals: Sequence[int]) -> float:
    """Variance of the mean a row, by blocks or by days, whichever is larger: blocks of a day share their weather."""
    sizes = np.array([one.rows for one in blocks], dtype=np.float64)
    values = np.array(totals, dtype=np.float64) / UNITS_PER_ONE
    days = np.unique(np.array([one.block * BLOCK // DAY for one in blocks]), return_inverse=True)[1]
    by_day = growth.variance_of_mean(*(np.bincount(days, of).astype(np.float64) for of in (values, sizes)))
    return max(growth.variance_of_mean(values, sizes), by_day if days.max() > 0 else 0.0)


def _within_days(blocks: Sequence[BlockSum], totals: Sequence[int]) -> float:
    """The squares of what blocks have beyond the mean of their day: a split compares rows of the same days."""
    sizes = np.array([one.rows for one in blocks], dtype=np.float64)
    values = np.array(totals, dtype=np.float64) / UNITS_PER_ONE
    days = np.unique(np.array([one.block * BLOCK // DAY for one in blocks]), return_inverse=True)[1]
    residual = values - (np.bincount(days, values) / np.bincount(days, sizes))[days] * sizes
    return float(residual @ residual)


# --- labels, words


def _labels(traffic: Traffic, live: Live, now: Micros, rows: growth.Rows) -> dict[str, Json]:
    """Coverage and delay. Delays are of rows that had time to get their label, so that young rows flatter nothing."""
    window = round(live.window_hours * HOUR)
    came = traffic.known_at < min(now, NEVER)
    delays = (traffic.known_at - traffic.at)[came]
    wait = max(window, int(np.quantile(delays, 0.99)))
    settled = came & (traffic.at <= now - wait)
    if settled.sum() >= MIN_LABELLED:
        delays = (traffic.known_at - traffic.at)[settled]
    late = float((delays >= window).mean())
    return {
        "coverage": float(rows.counts.sum() / rows.matured.sum()),
        "median_hours": float(np.quantile(delays, 0.5)) / HOUR,
        "p99_hours": float(np.quantile(delays, 0.99)) / HOUR,
        "late": late,
        "window_hours": live.window_hours,
        "would_do_hours": None if late <= LATE else math.floor(float(np.quantile(delays, 1 - LATE)) / HOUR) + 1,
    }


def _warnings(
    labels: dict[str, Json], live: Live, logged: float, assigns: bool, grown: Growth, wanted: float | None
) -> list[str]:
    found = []
    if wanted is not None and wanted <= live.min_gain:
        found.append(f"a gain of {wanted:g} is not above live.min_gain = {live.min_gain:g}, and is never promoted")
    if labels["would_do_hours"] is not None:
        found.append(
            f"{labels['late']:.0%} of the labels came after live.window_hours = {live.window_hours:g}, and would not "
            f"count: {labels['would_do_hours']} hours would hold 95 % of them"
        )
    if logged < WEEKS[0]:
        found.append(f"the log holds {logged:.1f} days, and weekdays differ: ask again after a week")
    if not assigns and live.label_depends_on_prediction:
        found.append("a split needs somebody to assign: set task.unit; until then each row is counted as its own unit")
    if assigns and grown.units_at(logged) < 2 * FIRST_LOOK_UNITS:
        found.append(f"{grown.units_at(logged):,.0f} units were seen: a split of them shows little")
    return found


def _recommended(live: Live, assigns: bool, rows_ratio: Sequence[float]) -> tuple[str, str]:
    if live.label_depends_on_prediction:
        return "split", "the label depends on what is served (live.label_depends_on_prediction), which no shadow shows"
    if not assigns:
        return "shadow", "task.unit is not set, so there is nobody to assign"
    if not rows_ratio:
        return "shadow", "the losses of the two do not differ on the rows that are known, and nobody is exposed"
    low, high = min(rows_ratio), max(rows_ratio)
    if low < EVEN:
        but = "hardly fewer rows are needed" if high >= 1.0 else "a split would need fewer rows"
        why = "the gain varies from day to day, which a shadow counts and a split does not see"
        return "shadow", f"nobody is exposed, though {but}: {why}"
    times = f"{low:.2g}" if f"{low:.2g}" == f"{high:.2g}" else f"{low:.2g} to {high:.2g}"
    return "shadow", f"both score the same rows, so {times} times fewer show the same gain, and nobody is exposed"


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
