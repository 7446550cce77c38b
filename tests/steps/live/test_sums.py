"""What a look asks of the log follows from the trial and the settings alone."""

from dataclasses import replace

from incumbent.config import Live, Measure
from incumbent.records import DAY, Trial
from incumbent.steps.live.sums import plan
from incumbent.storage.base import SumMeasure

SPLIT = Trial("t1", "v2", "v1", "split", 3 * DAY, phase=2, phase_started_at=5 * DAY, caps={"revenue": 250.0})


def test_every_measure_is_summed_the_primary_one_first() -> None:
    """With its cap, under the name of the outcome that is posted; and units whose window is closed."""
    live = Live(measure=(
        Measure("revenue", role="primary"),
        Measure("per_page", outcome="revenue", of="ratio", over="pages"),
    ))  # fmt: skip
    assert plan(SPLIT, live).measures == (
        SumMeasure("revenue", "revenue", "mean", "", 250_000_000_000),
        SumMeasure("loss", "loss", "mean", "", None),
        SumMeasure("per_page", "revenue", "ratio", "pages", None),
        SumMeasure("matured", "label", "count"),
    )


def test_windows_budget_and_covariate_are_those_of_the_settings() -> None:
    live = Live(window_hours=6.0, unit_days=7.0, latency_budget_ms=12.5)
    found = plan(SPLIT, live)
    assert (found.trial, found.phase, found.started_at) == ("t1", 2, 5 * DAY)
    assert (found.window, found.unit_window, found.budget_us, found.before) == (DAY // 4, 7 * DAY, 12_500, 28 * DAY)
    without = plan(SPLIT, replace(live, latency_budget_ms=0.0, cuped="off"))
    assert (without.budget_us, without.before) == (None, 0)


def test_raising_the_share_goes_on_with_the_same_sums() -> None:
    """Only what changes what is summed makes another plan."""
    live = Live()
    assert plan(SPLIT, live) == plan(replace(SPLIT, enrolled=0.5), replace(live, min_days=3, alpha=0.01))
    assert plan(SPLIT, live) != plan(replace(SPLIT, phase=3), live)
