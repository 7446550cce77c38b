"""Is the candidate better than the reference on the same rows, and how sure is that?

In: two columns of row losses in the same row order (lower is better), and blocks where rows are not
independent (a day, a season, a group). Out: the paired gain with one-sided bounds, in the units of the loss;
positive is better. Does not decide: `steps.gate` has the rules. Sums are exactly rounded (`math.fsum`), so
that the same rows in any order give the same bytes.

Blocks: ratio of sums with the linearised variance (Cochran, Sampling Techniques, 3rd ed., 6.4). What widens a
bound, measured in docs/gate-simulation.md: Student's t; skewed gains (Hall, J. Royal Statistical Society B 54,
1992, 221); neighbouring blocks that go together (Wilks, J. Climate 10, 1997, 65). No row loss:
`stats.influence`, or the bootstrap of whole blocks (Efron & Tibshirani 1993, 8.5 and 13.3).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri, stdtrit

from incumbent.errors import DataError
from incumbent.stats.metrics import Floats, Integers, Metric

MOST_UNDEFINED_RESAMPLES = 0.05
SKEWNESS_OF_FEW, FEW = 8.5, 14
MOST_TOGETHER = 0.9  # a higher correlation of neighbours is a trend, and not a matter of width


@dataclass(frozen=True)
class PairedDifference:
    """What the candidate gains on the same rows.

    `gain` is positive where the candidate is better. `lower` and `upper` are one-sided bounds, each at level
    1 - `alpha`: together they make a two-sided interval of level 1 - 2·alpha. Infinite bounds: too few rows
    or blocks to say anything. `mean_reference` and `mean_candidate` are mean losses (method "bootstrap":
    values of the metric).
    """

    n_rows: int
    n_blocks: int
    mean_reference: float
    mean_candidate: float
    gain: float
    lower: float
    upper: float
    standard_error: float
    alpha: float
    method: str
    skewness: float = 0.0
    degrees: int = 0

    def lower_at(self, alpha: float) -> float:
        """The lower bound at another level (what a count of looks would ask for). A bootstrap's is normal."""
        return self.gain - _reach(self.standard_error, alpha, self.degrees, self.skewness, self.n_blocks)


def paired(
    loss_reference: npt.ArrayLike,
    loss_candidate: npt.ArrayLike,
    *,
    blocks: npt.ArrayLike | None = None,
    alpha: float = 0.05,
    ordered: bool = False,
) -> PairedDifference:
    """The mean difference of row losses, reference - candidate, with one-sided 1 - alpha bounds.

    `blocks` holds one label a row; rows of a block may depend on each other, blocks may not, unless they are
    `ordered` (days): then each may depend on the next, which can only widen the bounds. Without blocks rows
    are taken as independent. Raises DataError for no rows, unequal lengths, or a loss that is not finite.

    >>> result = paired([.30, .20, .40, .25, .35], [.20, .15, .35, .20, .20])
    >>> round(result.gain, 3), round(result.lower, 3), round(result.upper, 3)
    (0.08, 0.037, 0.133)
    """
    reference, candidate = _losses(loss_reference, "reference"), _losses(loss_candidate, "candidate")
    if reference.shape != candidate.shape:
        raise DataError(f"paired losses need the same rows: found {len(reference)} and {len(candidate)}")
    if blocks is None:
        return _ratio(np.ones(len(reference)), reference, candidate, alpha, "rows")
    sizes, sums = block_sums(blocks, reference, candidate, reference - candidate)
    return _ratio(sizes, sums[0], sums[1], alpha, "blocks", sums[2], ordered)


def block_sums(blocks: npt.ArrayLike, *columns: Floats) -> tuple[Floats, list[Floats]]:
    """Rows a block and the sum of each column a block (exactly rounded), blocks in the order of their labels."""
    index, n_blocks = _block_index(blocks, len(columns[0]))
    order = np.argsort(index, kind="stable")
    cuts = np.flatnonzero(np.diff(index[order])) + 1
    sums = [np.array([math.fsum(part) for part in np.split(column[order], cuts)]) for column in columns]
    return np.bincount(index, minlength=n_blocks).astype(np.float64), sums


def paired_sums(
    sizes: npt.ArrayLike, sum_reference: npt.ArrayLike, sum_candidate: npt.ArrayLike, *, alpha: float = 0.05
) -> PairedDifference:
    """The same from one row count and two loss sums a block, which is all that a store has to hand over.

    >>> paired_sums([2, 3], [.5, 1.0], [.35, .75]).gain
    0.08
    """
    counts, reference = _losses(sizes, "size"), _losses(sum_reference, "reference")
    candidate = _losses(sum_candidate, "candidate")
    if not counts.shape == reference.shape == candidate.shape:
        raise DataError(
            f"one size and two sums a block: found {len(counts)}, {len(reference)}, {len(candidate)}"
        )
    if (counts <= 0).any():
        raise DataError("every block needs at least one row; leave empty blocks out")
    return _ratio(counts, reference, candidate, alpha, "blocks")


def bootstrap_difference(
    metric: Metric,
    truth: npt.ArrayLike,
    outputs_reference: npt.ArrayLike,
    outputs_candidate: npt.ArrayLike,
    *,
    blocks: npt.ArrayLike | None = None,
    alpha: float = 0.05,
    seed: int = 0,
    n_resamples: int = 1000,
) -> PairedDifference:
    """The gain in a metric that is no mean of row losses (roc_auc, f1 …), by resampling rows or whole blocks.

    Percentile bounds; the same seed gives the same bytes. Costs `2·n_resamples` evaluations of the metric.
    Resamples on which the metric is undefined (one class only) are left out; above 5 % of them the bounds are
    infinite.
    """
    actual = np.asarray(truth)
    reference, candidate = np.asarray(outputs_reference), np.asarray(outputs_candidate)
    if not len(actual) == len(reference) == len(candidate):
        raise DataError(
            f"found {len(actual)} truths, {len(reference)} and {len(candidate)} outputs: rows must agree"
        )
    values = metric.value(reference, actual), metric.value(candidate, actual)
    index, n_blocks = _block_index(np.arange(len(actual)) if blocks is None else blocks, len(actual))
    rows_of = np.split(np.argsort(index, kind="stable"), np.cumsum(np.bincount(index))[:-1])
    draws = _resampled_gains(
        metric, actual, reference, candidate, rows_of, np.random.default_rng(seed), n_resamples
    )
    gain = metric.gain(*values)
    if len(draws) < (1.0 - MOST_UNDEFINED_RESAMPLES) * n_resamples or n_blocks < 2:
        lower, upper, error = -math.inf, math.inf, math.inf
    else:
        lower, upper = (float(bound) for bound in np.quantile(draws, [alpha, 1.0 - alpha]))
        error = float(np.std(draws, ddof=1))
    return PairedDifference(len(actual), n_blocks, *values, gain, lower, upper, error, alpha, "bootstrap")


def rows_needed(difference: PairedDifference, effect: float, *, power: float = 0.8) -> int:
    """How many rows of this kind show a true gain of `effect` (> 0, in units of the loss) with this power.

    Scales the standard error that was seen: n·((z_alpha + z_power)·se/effect)². With a handful of blocks that
    standard error is itself a guess, and so is the answer.
    """
    if not effect > 0.0:
        raise ValueError(f"the effect to be shown must be above 0, found {effect}")
    if not math.isfinite(difference.standard_error):
        raise DataError(
            f"no standard error from {difference.n_rows} rows in {difference.n_blocks} blocks: add rows"
        )
    z = float(ndtri(1.0 - difference.alpha) + ndtri(power))
    return max(2, math.ceil(difference.n_rows * (z * difference.standard_error / effect) ** 2))


def smallest_gain(difference: PairedDifference, *, power: float = 0.8) -> float | None:
    """The smallest true gain that these very rows would show with this power, in units of the loss; None: none.

    (t + z_power)·se: with a gain that small, the lower bound lies above 0 in `power` of all such holdouts.
    """
    if not math.isfinite(difference.standard_error):
        return None
    reach = _reach(difference.standard_error, difference.alpha, difference.degrees, 0.0, difference.n_blocks)
    return reach + float(ndtri(power)) * difference.standard_error


def rows_needed_for_discordance(
    discordance: float, effect: float, *, alpha: float = 0.05, power: float = 0.8
) -> int:
    """Rows that show an accuracy gain of `effect` when two versions disagree on this share of the rows.

    About 6.2·d/δ² (Miettinen, Biometrics 24, 1968): the rows on which both are right or wrong say nothing.

    >>> rows_needed_for_discordance(.08, .01)
    4947
    """
    if not 0.0 < effect <= discordance <= 1.0:
        raise ValueError(
            f"expected 0 < effect <= discordance <= 1, found effect {effect}, discordance {discordance}"
        )
    z = float(ndtri(1.0 - alpha) + ndtri(power))
    return math.ceil(z * z * discordance / effect**2)


def day_blocks(times: npt.ArrayLike, timezone: str = "UTC") -> Integers:
    """A day number for each UTC time (datetime64): days of `timezone`, counted from 1970-01-01.

    >>> day_blocks(np.array(["2013-07-01T03:30", "2013-07-01T04:30"], "M8[m]"), "America/New_York").tolist()
    [15886, 15887]
    """
    quarters = np.asarray(times).astype("M8[m]").astype(np.int64) // 15
    if (quarters == np.iinfo(np.int64).min // 15).any():
        raise DataError("a time is missing (NaT): rows without a time belong to no day")
    zone = ZoneInfo(timezone)
    distinct, inverse = np.unique(quarters, return_inverse=True)
    moments = [datetime.fromtimestamp(int(quarter) * 900, UTC).astimezone(zone) for quarter in distinct]
    days = (
        np.array([moment.toordinal() for moment in moments], dtype=np.int64)
        - datetime(1970, 1, 1).toordinal()
    )
    return np.asarray(days[inverse], dtype=np.int64)


def season_blocks(n_rows: int, season: int = 1, *, min_rows: int = 20) -> Integers:
    """A block number for each row of a series in order of time: whole seasons, at least `min_rows` each.

    The remainder joins the last block, so that no block is short.

    >>> season_blocks(65, season=7).tolist() == [0] * 21 + [1] * 21 + [2] * 23
    True
    """
    if n_rows < 1 or season < 1 or min_rows < 1:
        raise ValueError(
            f"expected whole numbers from 1 up, found n_rows={n_rows}, season={season}, min={min_rows}"
        )
    length = season * math.ceil(min_rows / season)
    last = max(n_rows // length - 1, 0)
    return np.minimum(np.arange(n_rows, dtype=np.int64) // length, last)


def _ratio(
    sizes: Floats,
    reference: Floats,
    candidate: Floats,
    alpha: float,
    method: str,
    gains: Floats | None = None,
    ordered: bool = False,
) -> PairedDifference:
    """Σ gains / Σ sizes over blocks (rows are blocks of one), with the linearised standard error."""
    differences = reference - candidate if gains is None else gains
    n_rows = math.fsum(sizes)
    gain = math.fsum(differences) / n_rows
    means = math.fsum(reference) / n_rows, math.fsum(candidate) / n_rows
    moves = bool(differences.any())
    return bounded(differences - gain * sizes, int(n_rows), means, gain, alpha, method, moves=moves, ordered=ordered)


def bounded(
    residuals: Floats,
    n_rows: int,
    means: tuple[float, float],
    gain: float,
    alpha: float,
    method: str,
    *,
    moves: bool = True,
    ordered: bool = False,
    degrees: int | None = None,
) -> PairedDifference:
    """A gain with its bounds, from what each block (or row) departs from it, summed over its rows.

    `moves` False: the two do not differ anywhere, so the gain is 0 and certain. `degrees` of freedom where fewer
    blocks than there are inform (default: blocks - 1).
    """
    if not 0.0 < alpha < 0.5:
        raise ValueError(f"alpha must lie between 0 and .5, found {alpha}")
    free = len(residuals) - 1 if degrees is None else degrees
    error = _standard_error(residuals, gain, n_rows, alpha, free, ordered) if moves else 0.0
    skewness = _skewness(residuals) if error and math.isfinite(error) else 0.0
    below = _reach(error, alpha, free, skewness, len(residuals))
    above = _reach(error, alpha, free, -skewness, len(residuals))
    return PairedDifference(
        n_rows, len(residuals), *means, gain, gain - below, gain + above, error, alpha, f"{method}, t", skewness, free
    )


def _reach(error: float, alpha: float, degrees: int, skewness: float, n_blocks: int) -> float:
    """How far a bound lies from the gain: Student's t, or Hall's quantile for skewed gains where that is wider.

    Hall alone undercovers where the tails are long on both sides (A/A of lognormal losses, n = 200: 8.8 % at a
    level of 5 %), t alone where they are long on the bad side (rare, large losses: 15.8 %); the wider of the two
    holds both (5.0 and 3.4 %). Hall's starts from the normal quantile: from t's it is too wide for few blocks.
    """
    if error == 0.0 or not math.isfinite(error):
        return error
    normal = float(ndtri(1.0 - alpha))
    student = float(stdtrit(degrees, 1.0 - alpha)) if degrees > 0 else normal
    if abs(skewness) < 1e-6:
        return student * error
    skewness *= _of_few(n_blocks)
    root = math.sqrt(n_blocks)
    inner = 1.0 + skewness * (normal / root - skewness / (6.0 * n_blocks))
    hall = 3.0 * root / skewness * (float(math.cbrt(inner)) - 1.0)
    return float(max(student, hall)) * error


def _of_few(n_blocks: int) -> float:
    """By what factor a few blocks show too little of their skewness, as the tail is in few of them: 1 + 8.5/blocks (the
    factor that hydrology has from Hazen, Flood Flows, 1930); below 14 blocks it fades, where it would cost more power
    than it keeps level.

    Measured at a level of 5 %. Equal candidates shipped on the flights' losses, 21 days with two storms: 7.9 % without,
    4.6 % with it; 14 days with χ² losses: 9.9, 6.3 %. A gain that 14 independent normal days show with a power of
    79.1 % is shown with 77.1; of 21 days with 91.6 for 92.0. (On those flights the bootstrap of t ships 8.0 %, wild
    weights of Webb's 13.9, pairs of days 8.7 at a power of 71.5; degrees of freedom for unequal blocks change nothing.)
    """
    return 1.0 + SKEWNESS_OF_FEW * min(n_blocks, FEW) / (FEW * max(n_blocks, FEW))


def _skewness(residuals: Floats) -> float:
    scale = float(np.max(np.abs(residuals)))
    unit = residuals / scale
    n = len(residuals)
    second, third = math.fsum(np.square(unit)) / n, math.fsum(unit * unit * unit) / n
    return third / (second * math.sqrt(second))


def _together(residuals: Floats) -> float:
    """By what factor the variance of the sum grows because neighbours go together: (1 + r)/(1 - r), never below 1.

    r is the correlation of neighbouring blocks, freed of its bias of -1/blocks, less half of its standard error: what
    a few blocks show by chance shall not cost the power that it would (14 independent days, where .75 is had without
    it: .68 in full, .72 so). Measured at a level of 5 %, 30 days: rows with AR(1) .6, 10 a day, 7.0 % without, 5.6 %
    with it; days that go together at .3: 10.8 % without, 7.6 % with it, 6.1 % in full.
    """
    both, blocks = math.fsum(residuals[1:] * residuals[:-1]) / math.fsum(np.square(residuals)), len(residuals)
    r = min(max(both + 1.0 / blocks - 0.5 / math.sqrt(blocks), 0.0), MOST_TOGETHER)
    return (1.0 + r) / (1.0 - r)


def _standard_error(
    residuals: Floats, gain: float, n_rows: float, alpha: float, degrees: int, ordered: bool
) -> float:
    """Infinite where blocks cannot tell: 1, or so few equal ones that a coin does as well (2^-B > alpha)."""
    n_blocks = len(residuals)
    if n_blocks < 2 or degrees < 1:
        return math.inf
    largest = max(float(np.max(np.abs(residuals))), abs(gain) * n_rows / n_blocks)
    if bool(np.max(np.abs(residuals)) <= 1e-12 * largest):
        return math.inf if 0.5 ** (degrees + 1) > alpha else 0.0
    variance = n_blocks / (n_blocks - 1) * math.fsum(np.square(residuals))
    return math.sqrt(variance * (_together(residuals) if ordered else 1.0)) / n_rows


def _resampled_gains(
    metric: Metric,
    truth: npt.NDArray[np.generic],
    reference: npt.NDArray[np.generic],
    candidate: npt.NDArray[np.generic],
    rows_of: Sequence[npt.NDArray[np.intp]],
    generator: np.random.Generator,
    n_resamples: int,
) -> Floats:
    gains = []
    for _ in range(n_resamples):
        drawn = generator.integers(0, len(rows_of), len(rows_of))
        rows = np.concatenate([rows_of[block] for block in drawn])
        try:
            values = metric.value(reference[rows], truth[rows]), metric.value(candidate[rows], truth[rows])
        except DataError:  # the metric is undefined on this resample; the caller counts how often
            continue
        gains.append(metric.gain(*values))
    return np.array(gains, dtype=np.float64)


def _losses(values: npt.ArrayLike, name: str) -> Floats:
    losses = np.asarray(values, dtype=np.float64)
    if losses.ndim != 1 or not len(losses):
        raise DataError(
            f"expected a column of {name} losses with at least one row, found shape {losses.shape}"
        )
    bad = np.flatnonzero(~np.isfinite(losses))
    if len(bad):
        raise DataError(
            f"{name} loss is {losses[bad[0]]} in row {bad[0]} ({len(bad)} such rows): every loss must be "
            "finite, look at the predictions of these rows"
        )
    return losses


def _block_index(blocks: npt.ArrayLike, n_rows: int) -> tuple[npt.NDArray[np.intp], int]:
    labels = np.asarray(blocks)
    if labels.shape != (n_rows,):
        raise DataError(f"one block label a row: found shape {labels.shape} for {n_rows} rows")
    distinct, index = np.unique(labels, return_inverse=True)
    return index, len(distinct)
