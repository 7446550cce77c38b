"""Which looks are recorded, and under which settings: the same bytes for the same settings."""

import json
from dataclasses import replace
from typing import Any

from incumbent.config import Live, Measure, live_of
from incumbent.records import Evidence, Trial
from incumbent.stats import metrics
from incumbent.steps.live import looks
from incumbent.steps.live.looks import HOUR

SPLIT = Trial("t1", "v2", "v1", "split", 0, caps={"loss": 2.5})
BRIER = metrics.get("brier", "binary")


def look(at: int, verdict: str = "continue", **numbers: Any) -> Evidence:
    found = {"trial": "t1", "phase": 1, "n_star": None, "measures": {}, "enrolled": 0.1, **numbers}
    return Evidence("live", "v2", verdict, "s", at, "v1", found)


def test_a_look_is_recorded_when_something_changed_and_once_an_hour() -> None:
    """The first; another verdict; something that follows; the first bound; another share; another hour of task time."""
    last = look(HOUR)
    minute = HOUR // 60
    assert looks.worth_recording(look(HOUR), None, False)
    assert not looks.worth_recording(look(HOUR + minute), last, False)
    assert looks.worth_recording(look(HOUR + minute, "stop"), last, False)
    assert looks.worth_recording(look(HOUR + minute), last, True)
    assert looks.worth_recording(look(HOUR + minute, n_star=50.0), last, False)
    assert looks.worth_recording(look(HOUR + minute, measures={"revenue": {"n_star": 9.0}}), last, False)
    assert looks.worth_recording(look(HOUR + minute, enrolled=0.5), last, False)
    assert not looks.worth_recording(look(2 * HOUR - 1), last, False)
    assert looks.worth_recording(look(2 * HOUR), last, False)


def test_the_series_is_what_was_recorded() -> None:
    """A look from before the first bound has none."""
    shown = [look(1, estimate=None, lower=None, upper=None), look(2, estimate=0.1, lower=0.0, upper=0.2)]
    assert looks.series(shown) == [[1, None, None, None], [2, 0.1, 0.0, 0.2]]
    assert looks.series([]) == []


def test_settings_are_the_same_bytes_and_come_back_whole() -> None:
    """Whatever changes a look changes the digest: a setting, the metric, the trial."""
    live = Live(measure=(Measure("revenue", margin=0.1),), enrol=(0.1, 1.0))
    settings = looks.settings(SPLIT, live, BRIER)
    assert settings == looks.settings(replace(SPLIT), replace(live), BRIER)
    found = json.loads(settings)
    assert live_of(found["live"]) == live
    assert Trial(**found["trial"]) == SPLIT
    digest = looks.digest(settings)
    for other in (
        looks.settings(replace(SPLIT, enrolled=0.5), live, BRIER),
        looks.settings(SPLIT, replace(live, alpha=0.04), BRIER),
        looks.settings(SPLIT, live, metrics.get("log_loss", "binary")),
    ):
        assert looks.digest(other) != digest


def test_a_setting_that_a_later_release_adds_has_its_default() -> None:
    assert live_of({"min_days": 3}) == Live(min_days=3)


def test_only_a_look_at_the_same_phase_is_gone_on_from() -> None:
    assert looks.of_phase(look(1), SPLIT)["n_star"] is None
    assert looks.of_phase(look(1), replace(SPLIT, phase=2)) == {}
    assert looks.of_phase(look(1, trial="t2"), SPLIT) == {}
    assert looks.of_phase(None, SPLIT) == {}
