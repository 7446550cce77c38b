"""Step 1 of a project: what it registers, what it is asked, and from which points in time."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from parcels import day, write

from incumbent import config
from incumbent.errors import ConfigError
from incumbent.project import Project, open_project
from incumbent.project.baseline import origins, series_of, split
from incumbent.project.rows import Rows, read

TOML = """
[task]
name = "sales"
kind = "forecast"
target = "sold"
metric = "absolute_error"
time = "day"
label_time = "known_at"
timezone = "UTC"
series = "shop"
lags = 3

[baseline]
origins = 4
"""


def sales() -> Rows:
    """Two shops, 100 days, each figure known two days later."""
    at = pd.date_range("2024-01-01", periods=100, tz="UTC").repeat(2)
    sold = np.arange(200.0)
    frame = pd.DataFrame({"day": at, "known_at": at + pd.Timedelta(days=2), "shop": ["a", "b"] * 100, "sold": sold})
    return read(frame, config.parse(TOML))


def test_origins_cut_the_held_out_stretch_by_steps() -> None:
    """Four stretches of five days, both shops in each; what trains was known before the stretch begins."""
    rows = sales()
    held = rows.where(split(rows)[1])
    found = origins(held, rows.config)
    assert [len(origin.rows) for origin in found] == [10, 10, 10, 10]
    assert np.concatenate([origin.rows for origin in found]).tolist() == list(range(40))
    for origin in found:
        assert (held.known_at[origin.known] < held.at[origin.rows].min()).all()
    assert [len(origin.known) for origin in found] == [0, 6, 16, 26]  # a figure of two days ago is not known yet


def test_rows_know_their_series() -> None:
    """Numbered in the order in which they come up; one series needs no number."""
    rows = sales()
    numbered = series_of(rows)
    assert numbered is not None and numbered.tolist() == [0, 1] * 100
    alone = read(rows.native(), config.parse(TOML.replace('series = "shop"', "")))
    assert series_of(alone) is None


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return open_project(write(tmp_path / "parcels"), clock=lambda: day(50), actor="test")


def test_a_score_is_judged_without_a_trace(project: Project) -> None:
    """No version, no event; the verdict follows the best rule."""
    with project:
        before = list(project.facts.ledger.events())
        good, rules = project.baseline.score(0.01, now=day(40))
        bad, _ = project.baseline.score(0.9, now=day(40))
        assert (good.verdict, bad.verdict) == ("better", "worse")
        assert good.reference == rules.evidence[0].subject == "rate by depot"
        assert list(project.facts.ledger.events()) == before


def test_a_score_that_cannot_be_is_refused_before_anything_is_fitted(project: Project) -> None:
    """A Brier score of 12 was given in percent."""
    with project, pytest.raises(ConfigError, match=r"Then it is 0.12"):
        project.baseline.score(12.0, now=day(40))


def test_the_best_rule_is_served_and_the_small_models_are_not(project: Project) -> None:
    """They have evidence on the ledger; only the rule is a version."""
    with project:
        found = project.baseline(now=day(40))
        assert {"tree of depth 3", "logistic regression"} <= {e.subject for e in found.evidence}
        assert [v.description for v in project.roles().versions.values()] == ["rate by depot"]
        assert project.roles().incumbent == project.roles().baseline == "v1"


def test_a_small_model_that_may_is_the_baseline_and_answers(tmp_path: Path) -> None:
    """`simple = "incumbent"`: it is stored as a rule, without scikit-learn, and says what it said."""
    folder = write(tmp_path / "parcels", '[baseline]\nsimple = "incumbent"\n')
    with open_project(folder, clock=lambda: day(50), actor="test") as project:
        found = project.baseline(now=day(40))
        version = project.version(str(project.roles().baseline))
        assert (version.runtime, version.description) == ("rule", found.evidence[0].subject)
        assert found.evidence[0].numbers["role"] == "simple"
        known = project.known(None, day(40))
        output = project.predict(version.name, known.columns(version.signature))
        assert project.metric.value(output, known.truth(version.signature)) < found.evidence[-1].numbers["value"]
