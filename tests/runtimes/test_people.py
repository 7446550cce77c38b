"""People as a version repeat what they said of their rows, and answer no other."""

from pathlib import Path

import numpy as np
import pytest

from incumbent.config import Versions
from incumbent.errors import ArtefactRefused, NotAnswering
from incumbent.records import Column, Signature
from incumbent.runtimes import artefact, people
from incumbent.runtimes.base import Opening
from incumbent.storage.files import open_blobs

SIGNATURE = Signature((Column("x", "number"), Column("who", "string")), "binary", ("no", "yes"))
ROWS = {"x": np.array([1.0, np.nan, 1.0, 2.0]), "who": np.array(["a", None, "a", "secret name"], dtype=object)}
SAID = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0], [0.0, 1.0]])


def test_people_repeat_what_they_said() -> None:
    """Equal rows share their answers; the order of the question does not matter."""
    version = people.lookup(ROWS, SAID, SIGNATURE, "s1")
    assert version.predict(ROWS).tolist() == [[0.5, 0.5], [0, 1], [0.5, 0.5], [0, 1]]
    turned = {name: values[::-1] for name, values in ROWS.items()}
    assert version.predict(turned).tolist() == [[0, 1], [0.5, 0.5], [0, 1], [0.5, 0.5]]


def test_people_answer_no_new_row() -> None:
    """The error names the row and the study."""
    version = people.lookup(ROWS, SAID, SIGNATURE, "s1")
    with pytest.raises(NotAnswering, match=r"row 1 is none of the rows that people labelled in study s1"):
        version.predict({"x": np.array([1.0, 9.0]), "who": np.array(["a", "a"], dtype=object)})


def test_people_come_back_from_the_store(tmp_path: Path) -> None:
    """As any version: proved on golden rows, with no feature in the part that holds the answers."""
    blobs = open_blobs(tmp_path)
    version = people.lookup(ROWS, SAID, SIGNATURE, "s1")
    saved = artefact.save(
        blobs, version, runtime="people", signature=SIGNATURE, sample=ROWS, versions=Versions()
    )
    opened = artefact.open_version(blobs, saved.manifest, Versions())
    assert opened.runtime == "people" and saved.serves == "people.json"
    assert opened.predict(ROWS).tolist() == version.predict(ROWS).tolist()
    part = blobs.get(artefact.manifest(blobs, saved.manifest)["parts"][people.PART])
    assert b"secret name" not in part
    assert people.figure(blobs, artefact.manifest(blobs, saved.manifest)) is None


def test_numbers_are_repeated_too() -> None:
    """And packed as JSON."""
    signature = Signature((Column("x", "number"),), "regression")
    rows = {"x": np.array([1.0, 2.0, 1.0])}
    version = people.lookup(rows, np.array([3.0, 0.1, 5.0]), signature, "s1")
    part, content = people.pack(version, Opening(signature, Versions()))
    again = people.load(content, Opening(signature, Versions()))
    assert part == people.PART
    assert again.predict(rows).tolist() == [4.0, 0.1, 4.0]


def test_a_published_figure_has_no_answers(tmp_path: Path) -> None:
    """It can be read, and not opened."""
    blobs = open_blobs(tmp_path)
    digest = people.published(blobs, SIGNATURE, {"accuracy": 0.835, "n": 1000, "source": "a paper"}, artefact.FORMAT)
    assert people.figure(blobs, artefact.manifest(blobs, digest)) == {"accuracy": 0.835, "n": 1000, "source": "a paper"}
    assert artefact.golden_rows(blobs, digest) == []
    with pytest.raises(ArtefactRefused, match=r"published figure \(0.835 on 1,000 rows\)"):
        artefact.open_version(blobs, digest, Versions())
