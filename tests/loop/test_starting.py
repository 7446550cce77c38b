"""On which terms a trial begins, whatever door it is started at."""

from pathlib import Path

import pytest

from incumbent.config import Config, parse
from incumbent.errors import DecisionRefused
from incumbent.loop.starting import HALF, THIRD, Terms, terms

TASK = '[task]\nname="x"\nkind="binary"\ntarget="y"\nmetric="brier"\n'


def settings(tmp_path: Path, live: str = "", unit: bool = True) -> Config:
    named = 'unit = "user"\n' if unit else ""
    return parse(f"{TASK}{named}[live]\n{live}", tmp_path)


def test_the_settings_say_what_was_not_asked_for(tmp_path: Path) -> None:
    """A shadow scores every row, a split begins with the first step of the ramp."""
    assert terms(settings(tmp_path)) == Terms("shadow", 1.0)
    assert terms(settings(tmp_path, 'mode = "both"')) == Terms("shadow", 1.0)
    assert terms(settings(tmp_path, 'mode = "split"')) == Terms("split", 0.02, HALF)
    assert terms(settings(tmp_path), "split", 0.3) == Terms("split", 0.3, HALF)
    assert terms(settings(tmp_path), "shadow", 0.3).enrolled == 1.0


def test_a_third_arm_takes_a_third(tmp_path: Path) -> None:
    """The rest is shared evenly; a shadow has no arms."""
    config = settings(tmp_path, "third_arm = true")
    assert terms(config, "split") == Terms("split", 0.02, THIRD, THIRD)
    assert terms(config).called == 0.0


def test_what_would_mean_nothing_is_refused(tmp_path: Path) -> None:
    """A shadow where the label depends on what is served, a split where nobody can be assigned."""
    with pytest.raises(DecisionRefused, match="label_depends_on_prediction"):
        terms(settings(tmp_path, "label_depends_on_prediction = true"))
    primary = 'mode = "split"\n[[live.measure]]\nname = "revenue"\nrole = "primary"'
    with pytest.raises(DecisionRefused, match="revenue is primary"):
        terms(settings(tmp_path, primary), "shadow")
    assert terms(settings(tmp_path, primary), "split").mode == "split"
    with pytest.raises(DecisionRefused, match=r"set task\.unit"):
        terms(settings(tmp_path, unit=False), "split")
