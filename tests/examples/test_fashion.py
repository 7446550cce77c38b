"""Fashion-MNIST: people reach .835, quick boosted trees on eight thousand images more, fifty images are not enough."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from incumbent.project import Project, open_project

FASHION = Path(__file__).parents[2] / "examples" / "fashion"
IMAGES = Path("/usr/share/datasets/fashion-mnist/t10k-images-idx3-ubyte.gz")

pytestmark = pytest.mark.skipif(
    not IMAGES.exists(), reason="no images: `make fashion` installs the package dataset-fashion-mnist, or says how"
)


@pytest.fixture(scope="module")
def fashion(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """The example in a folder of its own, with people as its authors measured them."""
    folder = tmp_path_factory.mktemp("fashion") / "fashion"
    shutil.copytree(FASHION, folder, ignore=shutil.ignore_patterns(".incumbent", "__pycache__"))
    with open_project(folder) as project:
        project.baseline()
        project.people.publish(0.835, 1000, source="README of Fashion-MNIST")
        yield project


def test_people_are_a_reference(fashion: Project) -> None:
    """With the interval of a thousand images; the naive rules are the baseline, not people."""
    version = fashion.version("v2")
    assert (version.runtime, version.answers) == ("people", False)
    assert fashion.roles().incumbent == fashion.roles().baseline == "v1"
    told = fashion.facts.ledger.events(types=["EvidenceRecorded"])[-1].data["evidence"]
    assert (told["subject"], told["numbers"]["rule"], told["numbers"]["value"]) == ("v2", "people", 0.835)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("recipe", "verdict", "low", "high"), [("train", "automate", 0.84, 0.87), ("train_few", "not_yet", 0.3, 0.7)]
)
def test_a_model_against_people(fashion: Project, recipe: str, verdict: str, low: float, high: float) -> None:
    """On two thousand images that it was not fitted on, unpaired."""
    version = fashion.fit(recipe)
    found = fashion.people.result(version.name)
    people, model = found.numbers["people"], found.numbers["model"]
    assert found.verdict == verdict and low < model["value"] < high
    assert (people["value"], people["n"], model["n"]) == (0.835, 1000, 2000)
    assert (people["lower"], people["upper"]) == (pytest.approx(0.8107, abs=1e-4), pytest.approx(0.8567, abs=1e-4))
    assert not found.numbers["flattered"]


def test_a_person_sees_the_pictures(fashion: Project) -> None:
    """A study of it shows 28 x 28 pixels and ten garments."""
    from incumbent.loop import study

    of = fashion.people.start(n=20, seed=1)
    rows = study.rows_of(fashion.facts.blobs, of.rows)
    assert rows.pictures == {"image": {"kind": "pixels", "side": 28, "most": 255}}
    assert len(of.classes) == 10
