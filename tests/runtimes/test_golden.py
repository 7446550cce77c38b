"""Golden rows that must go are replaced, and the version proves itself on all of them as strictly as before."""

import json
from typing import Any

import numpy as np
import pytest
from flight_rows import BINARY, FEATURES, Memory, flights, linear, task_of, trees
from lightgbm import LGBMClassifier
from sklearn.linear_model import LogisticRegression

from incumbent.config import Versions
from incumbent.errors import GoldenMismatch
from incumbent.runtimes import artefact, frames, golden, schema, signature
from incumbent.runtimes.golden import Going, Spare, without

VERSIONS = Versions()
UA = Going("carrier", ["UA"])


@pytest.fixture(scope="module")
def boosted() -> tuple[Memory, str]:
    return stored(trees(LGBMClassifier(n_estimators=5, verbose=-1, n_jobs=1)))


@pytest.fixture
def opened(boosted: tuple[Memory, str]) -> tuple[Memory, str]:
    """Blobs of its own with a version of two parts: the native one and its twin."""
    blobs = Memory()
    blobs.kept.update(boosted[0].kept)
    return blobs, boosted[1]


def stored(model: Any, versions: Versions = VERSIONS) -> tuple[Memory, str]:
    rows = flights()
    blobs = Memory()
    model.fit(rows, rows["late"])
    kind = frames.infer_signature(rows, task_of(BINARY))
    found = artefact.save(blobs, model, runtime="sklearn", signature=kind, sample=frames.columns(rows, kind),
                          versions=versions, schema=schema.of(rows).to_json())  # fmt: skip
    return blobs, found.manifest


def others(n: int = 400) -> list[dict[str, Any]]:
    """Rows as a log would have them: nobody trained on them."""
    rows = flights(n, seed=1)
    return frames.rows(rows, list(FEATURES))


def edited(blobs: Memory, digest: str, row: int, part: str) -> str:
    """The version, as if a library had answered one golden row otherwise."""
    kept = artefact.golden(blobs, digest)
    kept["outputs"][part][row] = [0.5, 0.5]
    return artefact.with_golden(blobs, digest, kept)


def place(blobs: Memory, digest: str, carrier: str) -> int:
    """The first golden row of a carrier."""
    return [row["carrier"] for row in artefact.golden_rows(blobs, digest)].index(carrier)


def test_rows_that_go_are_replaced(opened: tuple[Memory, str]) -> None:
    """As many come as went; those that stay keep what was stored; each part says of the new ones what is stored."""
    blobs, digest = opened
    before = artefact.golden(blobs, digest)
    stay = [i for i, row in enumerate(before["rows"]) if row["carrier"] != "UA"]
    found = without(blobs, digest, UA, spare=others())
    assert (found.gone, found.came, found.why) == (50 - len(stay), 50 - len(stay), "")
    assert found.held == artefact.manifest(blobs, digest)["golden"]
    after = artefact.golden(blobs, found.manifest)
    assert after["rows"][: len(stay)] == [before["rows"][i] for i in stay]
    assert len(after["rows"]) == 50 and "UA" not in {row["carrier"] for row in after["rows"]}
    assert set(after["outputs"]) == {"native.skops", "twin.onnx"}
    for part, said in after["outputs"].items():
        assert said[: len(stay)] == [before["outputs"][part][i] for i in stay]
        predictor = artefact.open_part(blobs, found.manifest, part, VERSIONS)
        new = signature.to_columns(after["rows"][len(stay) :], predictor.signature)
        assert np.allclose(predictor.predict(new), said[len(stay) :], atol=1e-6)
    kept = [artefact.manifest(blobs, one) | {"golden": None} for one in (digest, found.manifest)]
    assert kept[0] == kept[1]
    again = without(blobs, found.manifest, UA, spare=others())
    assert (again.manifest, again.gone, again.came) == (found.manifest, 0, 0)


def test_a_version_all_of_whose_rows_go_gets_others(opened: tuple[Memory, str]) -> None:
    """It was proved on the old ones first."""
    blobs, digest = opened
    found = without(blobs, digest, Going("carrier", ["AA", "DL", "UA"]), spare=[
        row | {"carrier": "B6"} for row in others()
    ])  # fmt: skip
    assert (found.gone, found.came) == (50, 50)
    assert {row["carrier"] for row in artefact.golden_rows(blobs, found.manifest)} == {"B6"}
    artefact.open_version(blobs, found.manifest, VERSIONS)


def test_without_other_rows_they_are_dropped(opened: tuple[Memory, str]) -> None:
    """Fewer come where there are fewer; the rest proves the version; the reason says so."""
    blobs, digest = opened
    free = [row for row in others() if row["carrier"] != "UA"][:3]
    gone = golden.leaving(blobs, digest, UA)
    for spare, came in ((free, 3), ([], 0)):
        found = without(blobs, digest, UA, spare=spare)
        assert (found.gone, found.came, found.why) == (gone, came, golden.NO_ROW)
        assert len(artefact.golden_rows(blobs, found.manifest)) == 50 - gone + came
        artefact.open_version(blobs, found.manifest, VERSIONS)


def test_a_version_keeps_golden_rows_that_are_its_only_ones() -> None:
    """Where no other can be had it could prove nothing without them."""
    blobs, digest = stored(linear(LogisticRegression()), Versions(golden_rows=1))
    (row,) = artefact.golden_rows(blobs, digest)
    found = without(blobs, digest, Going("carrier", [row["carrier"]]))
    assert (found.manifest, found.gone, found.came, found.why) == ("", 0, 0, golden.NO_ROW)


@pytest.mark.parametrize("part", ["native.skops", "twin.onnx"])
def test_a_version_that_answers_otherwise_gets_no_new_rows(opened: tuple[Memory, str], part: str) -> None:
    """What must go is dropped, what differs stays, and the next load refuses it as the one before would have."""
    blobs, digest = opened
    changed = edited(blobs, digest, place(blobs, digest, "AA"), part)
    found = without(blobs, changed, UA, spare=others())
    assert found.gone > 0 and found.came == 0 and found.why.startswith(f"GoldenMismatch: {part}: golden row")
    with pytest.raises(GoldenMismatch):
        artefact.open_part(blobs, found.manifest, part, VERSIONS)


def test_the_rows_that_go_are_asked_too(opened: tuple[Memory, str]) -> None:
    """The proof is on the golden rows as they were: a difference in one that goes is one."""
    blobs, digest = opened
    changed = edited(blobs, digest, place(blobs, digest, "UA"), "twin.onnx")
    found = without(blobs, changed, UA, spare=others())
    assert found.came == 0 and found.why.startswith("GoldenMismatch")
    every = without(blobs, changed, Going("carrier", ["AA", "DL", "UA"]), spare=[{**others(1)[0], "carrier": "B6"}])
    assert (every.manifest, every.gone) == ("", 0)


def test_where_a_part_cannot_be_opened_rows_are_dropped(
    opened: tuple[Memory, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine that only answers may lack the packages of the native part; the twin's proof stays as it was."""
    blobs, digest = opened
    monkeypatch.setitem(artefact.LOADERS, "native.skops", "a_package_that_is_not_here:load")  # type: ignore[attr-defined]
    found = without(blobs, digest, UA, spare=others())
    assert found.gone > 0 and found.came == 0
    assert found.why.startswith("MissingExtra") and "a_package_that_is_not_here" in found.why
    artefact.open_version(blobs, found.manifest, VERSIONS)


def test_only_rows_that_suit_come_in(opened: tuple[Memory, str]) -> None:
    """Not one that lacks a column or has a wrong value, that must go too, names it elsewhere, or is there already."""
    blobs, digest = opened
    there = next(row for row in artefact.golden_rows(blobs, digest) if row["carrier"] == "AA")
    good = {"carrier": "AA", "hour": 7, "temp": 1.25, "precip": None}
    lacking = {name: value for name, value in good.items() if name != "temp"}
    bad = [lacking, good | {"hour": "7"}, good | {"hour": 7.5}, good | {"carrier": "UA"}, there]
    found = without(blobs, digest, UA, spare=[*bad, good | {"gate": "B7"}, good])
    assert found.came == 1
    assert artefact.golden_rows(blobs, found.manifest)[-1] == good
    assert without(blobs, digest, Going("hour", ["7", "AA"]), spare=[good | {"hour": 8}]).came == 0


def test_a_row_that_a_part_refuses_is_passed_over() -> None:
    """This model takes no null, which its signature allows."""
    blobs, digest = stored(linear(LogisticRegression()))
    good = {"carrier": "AA", "hour": 7, "temp": 1.25, "precip": 0.5}
    found = without(blobs, digest, UA, spare=[good | {"hour": None}, good])
    assert found.came == 1 and artefact.golden_rows(blobs, found.manifest)[-1] == good


def test_the_row_of_an_id_goes_and_no_other(opened: tuple[Memory, str]) -> None:
    """It is known by its values, with whatever else the log holds of it."""
    blobs, digest = opened
    first = artefact.golden_rows(blobs, digest)[0]
    found = without(blobs, digest, Going(row=first | {"gate": "B7"}), spare=[first, *others()])
    assert (found.gone, found.came) == (1, 1)
    assert first not in artefact.golden_rows(blobs, found.manifest)


def test_a_sample_is_even_and_the_same_at_each_run() -> None:
    """Of 1,000 rows each is in a sample of 100 with a chance of one in ten: of the first 500 come 50 +- 5 deviations
    of 4.7 each (hypergeometric)."""
    samples = [Spare(["n"], [], 100), Spare(["n"], [], 100)]
    for n in range(1_000):
        for sample in samples:
            sample.offer({"n": n})
    found = [row["n"] for row in samples[0].rows]
    assert samples[0].rows == samples[1].rows
    assert len(set(found)) == 100 and 26 <= sum(n < 500 for n in found) <= 74


def test_a_sample_takes_no_hash() -> None:
    """A private column is in the log as its hash: it is left empty. Columns that the version does not have are free."""
    sample = Spare(["n", "who"], ["who", "where"], 10)
    for row in ({"n": 1, "who": "6f1e"}, {"n": 2, "who": None}, {"n": 3}, {"n": 4, "who": None, "where": "6f1e"}):
        sample.offer(row)
    assert [row["n"] for row in sample.rows] == [1, 2, 4]
    assert {row["who"] for row in sample.rows} == {None}


def test_a_version_names_a_value_in_its_schema(opened: tuple[Memory, str]) -> None:
    """Also without golden rows of it; and only where it has the column."""
    blobs, digest = opened
    found = without(blobs, digest, UA, spare=others())
    assert golden.still_names(blobs, found.manifest, "carrier", ["UA"])
    assert json.dumps("UA") not in blobs.get(artefact.manifest(blobs, found.manifest)["golden"]).decode()
    assert not golden.still_names(blobs, digest, "carrier", ["ZZ"])
    assert not golden.still_names(blobs, digest, "no such column", ["UA"])


@pytest.mark.parametrize(
    ("value", "values", "expected"),
    [
        ("a", ["a"], True),
        (5, ["5"], True),
        (5.0, [5], True),
        (None, ["None"], False),
        (True, [1], False),
        ([1], [1], False),
    ],
)
def test_a_unit_is_known_by_its_text_or_its_number(value: Any, values: list[Any], expected: bool) -> None:
    assert golden.among(value, values) is expected
