"""Seattle's weather: yesterday is hard to beat, a straight line just does it, boosted trees do not."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from incumbent.project import Project, open_project

SEATTLE = Path(__file__).parents[2] / "examples" / "seattle"


@pytest.fixture
def seattle(tmp_path: Path) -> Iterator[Project]:
    """The example in a folder of its own, with its baseline."""
    shutil.copytree(SEATTLE, tmp_path / "seattle", ignore=shutil.ignore_patterns(".incumbent", "__pycache__"))
    with open_project(tmp_path / "seattle") as project:
        project.baseline()
        yield project


def test_yesterday_is_the_baseline(seattle: Project) -> None:
    """On the last year that was held out, the day before is 2.24 °C off in the mean."""
    roles = seattle.roles()
    version = roles.versions[str(roles.incumbent)]
    assert (roles.incumbent, version.description) == (roles.baseline, "last value")
    _, held_out = seattle.gate.split(seattle.known(None, seattle.clock()))
    assert len(held_out) == 365
    columns = held_out.columns(version.signature)
    losses = seattle.losses(version.name, columns, held_out.truth(version.signature))
    assert losses.mean() == pytest.approx(2.2397, abs=5e-5)


def test_a_straight_line_ships_as_far_as_its_interval_says(seattle: Project) -> None:
    """2.142 °C: blocks of twenty days show a gain above 0, so it passes, and its compiled twin answers."""
    version, evidence = seattle.train()
    assert (evidence.verdict == "ship") == (evidence.numbers["lower"] > 0)
    assert evidence.verdict == "ship" and version is not None and version.serves == "twin.linear.json"
    assert evidence.numbers["n_blocks"] == 365 // 20
    assert evidence.numbers["loss_candidate"] == pytest.approx(2.142, abs=5e-4)


def test_boosted_trees_do_not_ship(seattle: Project) -> None:
    """Three years of days are too few for them: 2.533 °C."""
    version, evidence = seattle.train("train_boosted")
    assert (version, evidence.verdict) == (None, "hold")
    assert evidence.numbers["upper"] < 0


def test_nor_do_they_ship_against_the_straight_line(seattle: Project) -> None:
    """With the line in its place they are held as well."""
    version, evidence = seattle.train()
    assert version is not None
    seattle.promote(version.name, "it ships", evidence=evidence)
    assert seattle.train("train_boosted")[1].verdict == "hold"


def test_a_request_carries_its_lag_columns(seattle: Project) -> None:
    """The signature is the fourteen days before, and nothing that is not known at midnight."""
    signature = seattle.version("v1").signature
    assert signature.names == tuple(f"lag_{k}" for k in range(1, 15))
