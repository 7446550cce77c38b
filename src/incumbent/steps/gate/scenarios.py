"""Candidates whose truth is known: equal, worse or better by so much. What a simulation draws from.

In: a seeded generator. Out: a Draw: row losses of both (or outputs and truth) on one made-up holdout. Judges nothing.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from incumbent import config

Floats = npt.NDArray[np.float64]
Generator = np.random.Generator
PHI = 0.6
ONE_POINT, DISCORDANCE = 0.01, 0.08


@dataclass(frozen=True, slots=True)
class Draw:
    """Row losses (n,), lower is better; for roc_auc outputs (n, 2) and `truth` (n,). Blocks and slices where there are
    any."""

    incumbent: Floats
    candidate: Floats
    blocks: npt.NDArray[np.int64] | None = None
    truth: npt.NDArray[np.int64] | None = None
    slices: npt.NDArray[np.int64] | None = None


@dataclass(frozen=True, slots=True)
class Scenario:
    """A made-up holdout, what is asked of it, and the share of runs that may (`at_most`) or must (`at_least`) ship.

    Neither: shown for what it is, without a limit. `point` is what "one point better" means to the naive rule.
    """

    name: str
    draw: Callable[[Generator], Draw]
    at_most: float | None = None
    at_least: float | None = None
    settings: config.Gate = field(default_factory=lambda: config.Gate(suspicious_if_better_by=0.0))
    point: float = ONE_POINT


def all_of() -> Sequence[Scenario]:
    """Every scenario, in the order of the table."""
    inferior = config.Gate(suspicious_if_better_by=0.0, no_worse_than=ONE_POINT)
    row = config.Gate(suspicious_if_better_by=0.0, block="row")
    group = config.Gate(suspicious_if_better_by=0.0, block="group")
    sliced = config.Gate(
        suspicious_if_better_by=0.0, slice=(config.Slice("part", no_worse_than=2 * ONE_POINT),), min_slice_size=100
    )
    equal: list[Scenario] = [
        Scenario("equal, independent rows, n = 500", lambda g: normal(g, 500), 0.05),
        Scenario("equal accuracy, 8 % disagree, n = 1,000", lambda g: accuracy(g, 1_000, 0.0), 0.05),
        Scenario("equal, 14 days of 48 rows, AR(1) .6", lambda g: days(g, 14, 48), 0.05),
        Scenario("equal, 60 days of 24 rows, AR(1) .6", lambda g: days(g, 60, 24), 0.05),
        Scenario("equal, 30 days that go together at .3", lambda g: together(g, 30, 0.3), None),
        Scenario("equal, 60 days of 24 rows, judged row by row", lambda g: days(g, 60, 24), None, settings=row),
        Scenario("equal, 60 groups of 1 to 30 rows", lambda g: groups(g, 60), 0.05, settings=group),
        Scenario("equal, lognormal losses, n = 500", lambda g: lognormal(g, 500), 0.05),
        Scenario("equal, 95 % of the losses are 0, n = 500", lambda g: rare(g, 500), 0.05),
        Scenario("equal, rare large losses of the candidate, n = 500", lambda g: rare_bad(g, 500), 0.05),
        Scenario("equal, χ² losses of the candidate, n = 500", lambda g: chi_squared(g, 500), 0.05),
        Scenario("equal, lognormal σ = 1.5 losses of the candidate, n = 500", lambda g: long_bad(g, 500), None),
        Scenario("equal roc_auc, 20 % positive, n = 500", lambda g: ranked(g, 500, 0.0), 0.05),
    ]
    other: list[Scenario] = [
        Scenario("1 point worse, n = 500", lambda g: accuracy(g, 500, -ONE_POINT), 0.05),
        Scenario("1 point worse, n = 2,000", lambda g: accuracy(g, 2_000, -ONE_POINT), 0.01),
        Scenario("1 point better, n = 500", lambda g: accuracy(g, 500, ONE_POINT), at_least=0.19),
        Scenario("1 point better, n = 1,000", lambda g: accuracy(g, 1_000, ONE_POINT), at_least=0.30),
        Scenario("1 point better, n = 5,000", lambda g: accuracy(g, 5_000, ONE_POINT), at_least=0.80),
        Scenario("1 point worse, 1 point allowed, n = 2,000", lambda g: accuracy(g, 2_000, -ONE_POINT), 0.05,
                 settings=inferior),
        Scenario("equal, 1 point worse allowed, n = 5,000", lambda g: accuracy(g, 5_000, 0.0), at_least=0.80,
                 settings=inferior),
        Scenario("better in the mean, one part in five is at the edge of its margin", lambda g: parts(g, 2_500),
                 0.05, settings=sliced),
    ]  # fmt: skip
    return equal + other


def normal(g: Generator, n: int) -> Draw:
    """Losses of two models with much in common."""
    base = g.uniform(0.0, 1.0, n)
    return Draw(base + g.normal(0.0, 0.1, n), base + g.normal(0.0, 0.1, n))


def accuracy(g: Generator, n: int, gain: float, discordance: float = DISCORDANCE) -> Draw:
    """Zero-one losses: the two disagree on a share of the rows, and there one is right more often by `gain`."""
    u = g.uniform(0.0, 1.0, n)
    better, worse = u < (discordance + gain) / 2.0, u > 1.0 - (discordance - gain) / 2.0
    both_wrong = (~better & ~worse) & (g.uniform(0.0, 1.0, n) < 0.15)
    return Draw((better | both_wrong).astype(np.float64), (worse | both_wrong).astype(np.float64))


def days(g: Generator, n_days: int, rows: int) -> Draw:
    """The difference goes on from row to row, through midnight: AR(1) with φ = .6."""
    series = _autoregressive(g, n_days * rows, PHI)
    base = g.uniform(0.0, 1.0, n_days * rows)
    return Draw(base, base - 0.1 * series, np.repeat(np.arange(n_days), rows))


def together(g: Generator, n_days: int, correlation: float, rows: int = 10) -> Draw:
    """Each day as a whole resembles the one before."""
    shift = np.repeat(_autoregressive(g, n_days, correlation), rows)
    base = g.uniform(0.0, 1.0, n_days * rows)
    return Draw(base, base - 0.1 * shift - g.normal(0.0, 0.05, n_days * rows), np.repeat(np.arange(n_days), rows))


def groups(g: Generator, n_groups: int) -> Draw:
    """Groups of unequal size, each with a difference of its own."""
    of = np.repeat(np.arange(n_groups), g.integers(1, 31, n_groups))
    base = g.uniform(0.0, 1.0, len(of))
    return Draw(base, base - 0.1 * g.normal(size=n_groups)[of] - 0.1 * g.normal(size=len(of)), of)


def lognormal(g: Generator, n: int) -> Draw:
    """Long tails on both sides."""
    return Draw(g.lognormal(0.0, 1.5, n), g.lognormal(0.0, 1.5, n))


def rare(g: Generator, n: int) -> Draw:
    """Most rows cost nothing, with either model."""
    incumbent, candidate = ((g.uniform(size=n) < 0.05) * g.exponential(1.0, n) for _ in range(2))
    return Draw(incumbent, candidate)


def rare_bad(g: Generator, n: int) -> Draw:
    """A little better on most rows, much worse on one in twenty: equal in the mean."""
    return Draw(np.full(n, 0.05), (g.uniform(size=n) < 0.05) * g.exponential(1.0, n))


def chi_squared(g: Generator, n: int) -> Draw:
    """Squared errors of a candidate against a constant loss of the same mean."""
    return Draw(np.ones(n), g.chisquare(1, n))


def long_bad(g: Generator, n: int) -> Draw:
    """So long a tail on the bad side that no holdout of this size shows it."""
    return Draw(np.full(n, float(np.exp(1.5**2 / 2.0))), g.lognormal(0.0, 1.5, n))


def ranked(g: Generator, n: int, gain: float) -> Draw:
    """Scores of two rankings of the same rows."""
    truth = (g.uniform(size=n) < 0.2).astype(np.int64)
    shared = g.normal(size=n)
    outputs = []
    for signal in (1.0, 1.0 + gain):
        p = 1.0 / (1.0 + np.exp(-(signal * truth + shared + g.normal(size=n))))
        outputs.append(np.column_stack([1.0 - p, p]))
    return Draw(outputs[0], outputs[1], truth=truth)


def parts(g: Generator, n: int) -> Draw:
    """Five parts of the rows; the first loses two points, which is just what is allowed, the others win five."""
    part = np.arange(n) % 5
    gain = np.where(part == 0, -2 * ONE_POINT, 5 * ONE_POINT)
    u = g.uniform(size=n)
    better, worse = u < (DISCORDANCE + gain) / 2.0, u > 1.0 - (DISCORDANCE - gain) / 2.0
    return Draw(better.astype(np.float64), worse.astype(np.float64), slices=part)


def _autoregressive(g: Generator, n: int, correlation: float) -> Floats:
    """A stationary AR(1) with variance 1."""
    noise = g.normal(0.0, np.sqrt(1.0 - correlation**2), n).tolist()
    value, series = float(g.normal()), np.empty(n)
    for i, step in enumerate(noise):
        value = correlation * value + step
        series[i] = value
    return series
