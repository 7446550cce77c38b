"""What a trial waits for, in words: how many labels or units more, and for how long at the present rate."""

import pytest

from incumbent.config import Measure
from incumbent.records import DAY, Trial
from incumbent.stats import metrics
from incumbent.steps.live import outlook
from incumbent.steps.live.gain import Gain
from incumbent.steps.live.horizon import Horizon
from incumbent.steps.live.measures import Compared

LOSS = Measure("loss", outcome="loss", better="smaller", role="primary")
BRIER = metrics.get("brier", "binary")
NOTHING = Gain(0, 0.0, 1.0)


def compared(
    outcomes: tuple[int, int], measure: Measure = LOSS, n_star: float | None = None, gain: Gain = NOTHING
) -> Compared:
    both = dict(zip(("challenger", "incumbent"), outcomes, strict=True))
    return Compared(measure, gain, {}, {}, both, n_star is not None, Horizon(n_star))  # type: ignore[arg-type]


def test_labels_that_lack_are_told_with_the_days_that_they_take() -> None:
    """100 came in two days of closed windows: 1,900 take 38 more."""
    said = outlook.missing(compared((100, 2_500)), BRIER, 2_000, 2 * DAY)
    assert said == ("1,900 labels more of the challenger, about 38 days at the present rate",)


def test_each_arm_is_told_and_nothing_of_a_rate_that_is_not_known() -> None:
    said = outlook.missing(compared((0, 50)), BRIER, 200, 0)
    assert said == ("200 labels more of the challenger", "150 labels more of the incumbent")


def test_enough_labels_of_too_few_units_are_not_enough() -> None:
    """Then the first valid bound is what is missing; with one, nothing is."""
    said = outlook.missing(compared((900, 900)), BRIER, 200, DAY)
    assert said == ("100 labels from 50 units in each arm, 10 of which share the loss",)
    assert outlook.missing(compared((900, 900), n_star=50.0), BRIER, 200, DAY) == ()


def test_a_metric_without_a_row_loss_has_nothing_to_compare() -> None:
    """However many labels come; another measure that decides is compared all the same."""
    auc = metrics.get("roc_auc", "binary")
    (said,) = outlook.missing(compared((900, 900)), auc, 200, DAY)
    assert "a mean over rows, which roc_auc is not" in said
    assert outlook.missing(compared((900, 900), Measure("revenue"), n_star=50.0), auc, 200, DAY) == ()


@pytest.mark.parametrize(("measure", "said"), [
    (Measure("revenue"), "60 outcomes of revenue more of the challenger"),
    (Measure("revenue", of="sum"), "60 units whose window is closed more of the challenger"),
])  # fmt: skip
def test_another_measure_counts_its_own_outcomes(measure: Measure, said: str) -> None:
    assert outlook.missing(compared((140, 300), measure), BRIER, 200, 0) == (said,)


def test_events_of_a_count_are_asked_for() -> None:
    said = outlook.missing(compared((900, 900), Measure("sale", of="count")), BRIER, 200, DAY)
    assert said == ("100 units whose window is closed from 50 units in each arm, 10 of which have any",)


def test_a_gain_is_told_how_far_off_its_proof_is() -> None:
    """5,967 units more than 1,000 of a day; nothing where it is no gain, or no bound is valid yet."""
    gaining = Gain(1_000, 0.01, 0.09 / 1_000)
    said = outlook.until_shown(compared((900, 900), n_star=5_000, gain=gaining), 0.0, 0.05, DAY)
    assert said == "5,967 units more would show it if it stays +0.01, about 6 days at the present rate"
    assert outlook.until_shown(compared((900, 900), gain=gaining), 0.0, 0.05, DAY) == ""
    losing = Gain(1_000, -0.01, 0.09 / 1_000)
    assert outlook.until_shown(compared((900, 900), n_star=5_000, gain=losing), 0.0, 0.05, DAY) == ""


def test_windows_close_one_window_after_the_phase_began() -> None:
    trial = Trial("t1", "v2", "v1", "split", 0, phase_started_at=DAY)
    assert outlook.counted_for(trial, DAY // 2, 3 * DAY) == 3 * DAY // 2
    assert outlook.counted_for(trial, DAY, DAY) == 0
