"""How sure are we of a share: errors among requests, disagreements among rows, labels that people confirm?

In: events and trials. Out: an interval. Wilson's for showing, Clopper-Pearson's where the level must hold at
any n, and an upper bound that holds at every look for guardrails that are watched without end.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from scipy.special import betainc, betaincinv, betaln, ndtri, stdtrit

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Share:
    """A share in 0 to 1 with its interval; `n` is the number of trials."""

    n: int
    share: float
    lower: float
    upper: float


def wilson(events: int, n: int, *, alpha: float = 0.05) -> Share:
    """Two-sided 1 - alpha score interval. Wilson, JASA 22 (1927).

    >>> interval = wilson(900, 1000)
    >>> round(interval.lower, 4), round(interval.upper, 4)
    (0.8798, 0.9171)
    """
    _check(events, n, alpha)
    return _scored(events / n, n, n, alpha)


def clustered(share: float, n: int, n_blocks: int, standard_error: float, *, alpha: float = 0.05) -> Share:
    """Wilson's interval of a share of `n` rows that lie in blocks of rows that belong together.

    It is that of as many rows by themselves as would be as sure: share·(1 - share) / standard_error², times (z / t)²
    for the few blocks that the error was found from, `n` at most; where all rows are alike, `n_blocks`. The effective
    number is that of Korn & Graubard, Survey Methodology 24 (1998). `standard_error` is that of the share by blocks
    (`compare.paired`).

    >>> wide, narrow = clustered(0.9, 1000, 50, 0.02), wilson(900, 1000)
    >>> round(wide.lower, 4), round(wide.upper, 4), wide.lower < narrow.lower
    (0.8525, 0.9334, True)
    """
    z, t = float(ndtri(1.0 - alpha / 2.0)), float(stdtrit(max(n_blocks - 1, 1), 1.0 - alpha / 2.0))
    if 0.0 < share < 1.0:
        effective = n if standard_error == 0.0 else share * (1.0 - share) / standard_error**2 * (z / t) ** 2
    else:
        effective = n_blocks
    return _scored(share, n, min(max(effective, 1.0), n), alpha)


def _scored(share: float, n: int, effective: float, alpha: float) -> Share:
    z = float(ndtri(1.0 - alpha / 2.0))
    scale = 1.0 + z * z / effective
    middle = (share + z * z / (2 * effective)) / scale
    half = z / scale * math.sqrt(share * (1.0 - share) / effective + z * z / (4.0 * effective * effective))
    lower = 0.0 if share == 0.0 else max(0.0, middle - half)
    return Share(n, share, lower, 1.0 if share == 1.0 else min(1.0, middle + half))


@dataclass(frozen=True)
class ShareDifference:
    """The first share less the second, with *one-sided* bounds, each at level 1 - alpha."""

    difference: float
    lower: float
    upper: float


def difference(events: int, n: int, other_events: int, other_n: int, *, alpha: float = 0.05) -> ShareDifference:
    """events/n - other_events/other_n of two independent samples: the distances of each share to its own Wilson bounds,
    added as squares. Newcombe, Statistics in Medicine 17 (1998), method 10.

    >>> found = difference(56, 70, 48, 80, alpha=.025)
    >>> round(found.difference, 3), round(found.lower, 4), round(found.upper, 4)
    (0.2, 0.0524, 0.3339)
    """
    first, second = wilson(events, n, alpha=2.0 * alpha), wilson(other_events, other_n, alpha=2.0 * alpha)
    gap = first.share - second.share
    below = math.hypot(first.share - first.lower, second.upper - second.share)
    above = math.hypot(first.upper - first.share, second.share - second.lower)
    return ShareDifference(gap, gap - below, gap + above)


def clopper_pearson(events: int, n: int, *, alpha: float = 0.05) -> Share:
    """Lower and upper bounds, *each one-sided* at level 1 - alpha, at any n. Clopper & Pearson (1934).

    >>> round(clopper_pearson(0, 1000).upper, 5)
    0.00299
    """
    _check(events, n, alpha)
    lower = 0.0 if events == 0 else float(betaincinv(events, n - events + 1, alpha))
    upper = 1.0 if events == n else float(betaincinv(events + 1, n - events, 1.0 - alpha))
    return Share(n, events / n, lower, upper)


def upper_rate_sequence(events: int, n: int, *, alpha: float = 0.05) -> float:
    """An upper bound of a rate that holds at all looks together with probability 1 - alpha.

    The largest rate p that is not rejected by the mixture e-value: the mean over rates below p (Beta(½, ½),
    cut at p) of likelihood(rate)/likelihood(p), rejected at 1/alpha. Each p has its own test martingale, so
    Ville's inequality covers every look (Howard, Ramdas, McAuliffe, Sekhon, Annals of Statistics 49, 2021,
    section 3). No rows: 1.

    >>> round(upper_rate_sequence(0, 2000, alpha=.05), 5)
    0.00189
    """
    if n == 0:
        return 1.0
    _check(events, n, alpha)
    if events == n or _log_e_below(1.0 - 1e-12, events, n) < -math.log(alpha):
        return 1.0
    start = max(events / n, 1e-12)
    return float(brentq(lambda rate: _log_e_below(rate, events, n) + math.log(alpha), start, 1.0 - 1e-12, xtol=1e-12))


def log_e_rates_below(rate: float, events: npt.NDArray[np.int64], n: npt.NDArray[np.int64]) -> Floats:
    """ln of the mean likelihood ratio against `rate` over the rates below it, at each of many looks (n_looks,).

    Where it is at least -ln alpha, `upper_rate_sequence` at that alpha lies below `rate`: the same test, without the
    search for the bound.

    >>> log_e_rates_below(.005, np.array([0, 0]), np.array([0, 2000])).round(3)
    array([0.   , 8.752])
    """
    after = betainc(0.5 + events, 0.5 + n - events, rate)
    possible, before = after > 0.0, float(betainc(0.5, 0.5, rate))
    part = np.log(np.where(possible, after, before) / before)
    mixture = betaln(0.5 + events, 0.5 + n - events) - betaln(0.5, 0.5) + part
    return np.where(possible, mixture - events * math.log(rate) - (n - events) * math.log1p(-rate), -math.inf)


def _log_e_below(rate: float, events: int, n: int) -> float:
    return float(log_e_rates_below(rate, np.array([events]), np.array([n]))[0])


def _check(events: int, n: int, alpha: float) -> None:
    if n < 1 or not 0 <= events <= n:
        raise ValueError(f"expected 0 <= events <= n and n >= 1, found events={events}, n={n}")
    if not 0.0 < alpha < 1.0:
        raise ValueError(f"alpha must lie between 0 and 1, found {alpha}")
