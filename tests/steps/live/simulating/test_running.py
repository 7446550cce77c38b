"""Many runs: the same table whoever makes it, intervals that cover, limits that are kept and missed."""

from functools import partial

import numpy as np
import pytest
from scipy.stats import binom

from incumbent.steps.live.simulating import counts, means, running
from incumbent.steps.live.simulating.scenarios import Found, Generator, Question, Scenario

FEW = (means.all_of()[1], counts.all_of()[2])


def coin(p: float, g: Generator) -> Found:
    return {"heads": bool(g.uniform() < p), "waited": float(g.geometric(p)), "never": np.inf}


def scenario(p: float, *questions: Question) -> Scenario:
    return Scenario(f"coin-{p}", "a coin", partial(coin, p), questions, "none")


def test_the_table_depends_on_the_seed_alone() -> None:
    """Not on how many processes draw it, in which batches, nor on what else is in it."""
    alone = running.run(FEW, runs=60, seed=3)
    together = running.run(FEW, runs=60, seed=3, processes=2)
    assert alone == together
    assert running.run(FEW[1:], runs=60, seed=3) == alone[-1:]
    assert running.run(FEW, runs=60, seed=4) != alone


def test_progress_ends_at_all() -> None:
    """Shares that rise to 1, one for each batch."""
    said: list[float] = []
    running.run([scenario(0.5, Question("heads", "heads"))], runs=60, seed=0, progress=said.append)
    assert said == [pytest.approx(1 / 3), pytest.approx(2 / 3), 1.0]


def test_a_scenario_may_bound_its_runs() -> None:
    long = Scenario("long", "", partial(coin, 0.5), (Question("heads", "heads"),), most=3)
    assert running.run([long], runs=60, seed=0)[0].runs == 3


@pytest.mark.parametrize(
    ("p", "limit", "at_most", "holds"),
    [(0.02, 0.05, True, True), (0.3, 0.05, True, False), (0.92, 0.8, False, True), (0.5, 0.8, False, False)],
)
def test_a_share_is_held_to_what_so_many_runs_allow(p: float, limit: float, at_most: bool, holds: bool) -> None:
    """The binomial 99 % bound; each of these is on the other side of it by chance below 1e-5 (binomial)."""
    (row,) = running.run([scenario(p, Question("heads", "heads", limit, at_most=at_most))], runs=200, seed=1)
    assert row.limit == binom.ppf(0.99 if at_most else 0.01, 200, limit) / 200
    assert row.holds == holds and row.low <= row.found <= row.high


def test_medians_and_means_miss_where_their_interval_does() -> None:
    """The median of a geometric wait at .1 is 7, its mean 10: limits above hold, limits far below do not (the mean of
    400 is 3 off at six standard errors, the median 2 off at four)."""
    asked = [Question("", "waited", limit, kind) for kind, limit in
             (("median", 9), ("median", 4), ("mean", 13), ("mean", 7))]  # type: ignore[arg-type]  # fmt: skip
    rows = running.run([scenario(0.1, *asked)], runs=400, seed=0)
    assert [row.holds for row in rows] == [True, False, True, False]
    assert all(row.low <= row.found <= row.high for row in rows)


def test_what_is_never_reached_is_never() -> None:
    """A median of waits without end is infinite, and misses any limit; without a limit it is shown."""
    asked = (Question("", "never", 100, "median"), Question("", "never", None, "median"))
    rows = running.run([scenario(0.1, *asked)], runs=20, seed=0)
    assert [row.found for row in rows] == [np.inf, np.inf] and [row.holds for row in rows] == [False, True]


def test_the_interval_of_a_median_covers_it() -> None:
    """95 % of 400 intervals of 41 waits hold the true median, 7: not below 91 % by chance, once in 10,000."""
    waits = np.random.default_rng(2).exponential(size=(400, 41))
    columns = [{"waited": row, "heads": row} for row in waits]
    asked = Question("", "waited", None, "median")
    rows = [running.row(scenario(0.5, asked), asked, one) for one in columns]
    covered = sum(row.low <= np.log(2.0) <= row.high for row in rows)
    assert covered >= binom.ppf(1e-4, 400, 0.95)
