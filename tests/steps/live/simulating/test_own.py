"""A log dealt into two equal arms: what is real in it stays, and what a trial would need is asked for."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binom

from incumbent.config import Live
from incumbent.records import DAY
from incumbent.stats import sequential
from incumbent.steps.live.simulating import own, running
from incumbent.storage.base import BlockSum

RUNS = 80


def log(units: int = 600, rows: int = 4_000, days: int = 20, *, failing: float = 0.002) -> own.Rows:
    """Units with a rate of their own, who come back; a fifth of the rows have no label."""
    g = np.random.default_rng(1)
    of, rate = g.integers(0, units, rows), g.beta(2.0, 6.0, units)
    losses = (g.uniform(size=rows) < rate[of]).astype(np.float64)
    losses[g.uniform(size=rows) < 0.2] = np.nan
    at = np.sort(g.integers(0, days * DAY, rows))
    return own.Rows(at, of, losses, g.uniform(size=rows) < failing, g.uniform(size=rows) < 0.01)


def blocks(n: int = 80, together: float = 0.02) -> list[BlockSum]:
    """Four blocks a day that share their weather; v2 is a little better, which the flips take away."""
    g = np.random.default_rng(2)
    shared = np.repeat(g.normal(0.0, together, n // 4), 4)
    gains = 0.01 + shared + g.normal(0.0, 0.05, n)
    return [BlockSum(i, 50, int(50 * gain * 1e9), 0) for i, gain in enumerate(gains)]


def rows_of(scenario: own.Scenario, runs: int = RUNS) -> dict[str, running.Row]:
    return {row.what: row for row in running.run([scenario], runs=runs, seed=0)}


def test_equal_arms_are_seldom_told_apart() -> None:
    """Each share below its limit at 1e-4 (binomial); a z test at every look shows a gain in about a fifth."""
    found = rows_of(own.split(log(), Live(min_days=3)))
    for what, limit in (("gain shown", 0.05), ("promoted", 0.05), ("rolled back", 0.02), ("invalid", 0.002)):
        assert found[what].found * RUNS <= binom.ppf(1.0 - 1e-4, RUNS, limit), what
    naive = found["gain shown"].naive
    assert naive is not None and naive * RUNS >= binom.ppf(1e-4, RUNS, 0.15)


def test_flipped_days_are_equal_and_keep_their_weather() -> None:
    """Promoted and rolled back below their limits, though v2 is better in the log itself."""
    found = rows_of(own.shadow("v1 and v2", blocks(), DAY // 4, Live()))
    for what, limit in (("promoted", 0.05), ("rolled back", 0.02)):
        assert found[what].found * RUNS <= binom.ppf(1.0 - 1e-4, RUNS, limit), what
    gains = [one.loss_reference - one.loss_candidate for one in blocks()]
    assert sum(gains) > 0


def test_bounds_that_do_not_hold_are_seen_on_a_log_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """A check that can fail: the z test in the place of the sequence misses its limit."""
    monkeypatch.setattr(
        sequential, "half_widths", lambda n, error, **level: np.where(np.isfinite(error), error, np.inf) * 1.3
    )
    assert not rows_of(own.split(log(), Live()))["gain shown"].holds
    assert not rows_of(own.shadow("v1 and v2", blocks(), DAY // 4, Live()))["promoted"].holds


def test_a_log_that_fails_often_is_not_promoted_on() -> None:
    """Guardrails look at what failed: 10 % failures are not shown harmless, whatever the gain."""
    found = rows_of(own.split(log(failing=0.1), Live(alpha=0.4, min_days=0, tolerated_rate=0.005)), 40)
    assert found["gain shown"].found > 0.1 and found["promoted"].found < found["gain shown"].found


def test_what_is_lacking_is_said() -> None:
    """Rows, units and days, found and expected."""
    live = Live()
    assert own.lacks(log(), live) == ""
    assert "of 100 units" in own.lacks(log(units=100), live)
    few = log(rows=600)
    assert "rows with a label" in own.lacks(few, live) and "at least 800 rows" in own.lacks(few, live)
    assert "live.min_days = 7" in own.lacks(log(days=5), live)
    unlabelled = replace(log(), loss=np.full(4_000, np.nan))
    assert own.lacks(unlabelled, live).startswith("0 rows with a label")
