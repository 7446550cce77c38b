"""A version comes back as it was stored, or not at all: changed bytes, types, libraries and answers are seen."""

import json
import subprocess
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from flight_rows import BINARY, NUMBER, Memory, flights, task_of, trees
from lightgbm import LGBMClassifier
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.tree import DecisionTreeClassifier

from incumbent.config import Task, Versions
from incumbent.errors import ArtefactRefused, DataError, GoldenMismatch, StoreDamaged
from incumbent.records import Signature
from incumbent.runtimes import artefact, frames, schema
from incumbent.runtimes.base import Columns
from incumbent.runtimes.onnx import Onnx
from incumbent.runtimes.rule import Rule
from incumbent.runtimes.sklearn import Fitted
from incumbent.storage.files import open_blobs

VERSIONS = Versions()


def saved(
    blobs: Any, model: Any, task: Task = BINARY, versions: Versions = VERSIONS, **extra: Any
) -> tuple[artefact.Saved, Signature, Columns]:
    """A model fitted on the flights and stored, with its signature and columns."""
    rows = flights()
    model.fit(rows, rows[task.target])
    signature = frames.infer_signature(rows, task_of(task))
    columns = frames.columns(rows, signature)
    found = artefact.save(
        blobs, model, runtime="sklearn", signature=signature, sample=columns, versions=versions,
        schema=schema.of(rows).to_json(), **extra,
    )  # fmt: skip
    return found, signature, columns


def boosted() -> Any:
    return trees(LGBMClassifier(n_estimators=5, verbose=-1, n_jobs=1))


def edited(blobs: Memory, digest: str, **changes: Any) -> str:
    """The manifest with some fields changed, under its new hash."""
    return blobs.put(json.dumps(artefact.manifest(blobs, digest) | changes).encode())


def test_a_proved_twin_serves_and_the_native_one_stays_beside_it(tmp_path: Any) -> None:
    """Both are in the manifest, with what was recorded about them; they answer alike."""
    blobs = open_blobs(tmp_path)
    found, signature, columns = saved(blobs, boosted(), facts={"n_rows": 2500}, profile={"hour": [1, 2]})
    kept = artefact.manifest(blobs, found.manifest)
    assert (found.runtime, found.serves, found.notes) == ("sklearn", "twin.onnx", ())
    assert set(kept["parts"]) == {"native.skops", "twin.onnx"}
    assert kept["compile"]["made"] and kept["compile"]["max_difference"] < 1e-5
    assert kept["facts"] == {"n_rows": 2500} and artefact.profile(blobs, found.manifest) == {"hour": [1, 2]}
    assert kept["libraries"]["numpy"] == np.__version__
    twin = artefact.open_version(blobs, found.manifest, VERSIONS)
    native = artefact.open_native(blobs, found.manifest, VERSIONS)
    assert isinstance(twin, Onnx) and isinstance(native, Fitted)
    assert twin.signature == native.signature == signature
    assert np.abs(twin.predict(columns) - native.predict(columns)).max() < 1e-5


def test_without_an_equal_twin_the_native_one_serves_and_the_reason_is_kept() -> None:
    """The same where versions.compile is off."""
    blobs = Memory()
    found, _, _ = saved(blobs, trees(CalibratedClassifierCV(LGBMClassifier(n_estimators=3, verbose=-1), cv=2)))
    assert found.serves == "native.skops"
    assert "differs by up to" in found.notes[0]
    assert artefact.manifest(blobs, found.manifest)["compile"]["reason"] in found.notes[0]
    assert artefact.open_version(blobs, found.manifest, VERSIONS).runtime == "sklearn"
    off, _, _ = saved(blobs, boosted(), versions=Versions(compile=False))
    assert off.serves == "native.skops" and "versions.compile = false" in off.notes[0]


def test_rules_and_onnx_models_are_versions_too() -> None:
    """Without a twin, and without scikit-learn."""
    blobs, rows = Memory(), flights()
    signature = frames.infer_signature(rows, task_of(BINARY))
    columns = frames.columns(rows, signature)
    rule = Rule({"rule": "prior", "probabilities": [0.7, 0.3]}, signature)
    found = artefact.save(blobs, rule, runtime="rule", signature=signature, sample=columns, versions=VERSIONS)
    assert (found.serves, found.notes) == ("rule.json", ())
    opened = artefact.open_version(blobs, found.manifest, VERSIONS)
    assert np.array_equal(opened.predict(columns), rule.predict(columns))
    assert artefact.profile(blobs, found.manifest) is None
    first, _, _ = saved(blobs, boosted())
    content = blobs.get(artefact.manifest(blobs, first.manifest)["parts"]["twin.onnx"])
    again = artefact.save(blobs, content, runtime="onnx", signature=signature, sample=columns, versions=VERSIONS)
    assert again.serves == "model.onnx" and isinstance(artefact.open_version(blobs, again.manifest, VERSIONS), Onnx)


def test_the_same_model_has_the_same_manifest() -> None:
    """A rehearsal with the same seed registers the same hashes."""
    first, second = saved(Memory(), boosted())[0], saved(Memory(), boosted())[0]
    assert first == second


def test_numbers_repeat_to_their_own_size() -> None:
    """Golden rows of a regression are compared relative to the number."""
    blobs = Memory()
    found, _, columns = saved(blobs, trees(HistGradientBoostingRegressor(max_iter=10)), NUMBER)
    assert found.serves == "twin.onnx"
    assert artefact.open_version(blobs, found.manifest, VERSIONS).predict(columns).shape == (2500,)


@pytest.mark.parametrize("opened", [artefact.open_version, artefact.open_native])
def test_a_version_that_answers_otherwise_is_not_loaded(opened: Any) -> None:
    """The error names the row, what was stored, what was found, and the libraries that changed."""
    blobs = Memory()
    found, _, _ = saved(blobs, boosted())
    kept = artefact.manifest(blobs, found.manifest)
    golden = json.loads(blobs.get(kept["golden"]))
    assert len(golden["rows"]) == VERSIONS.golden_rows
    for outputs in golden["outputs"].values():
        outputs[7][0] += 1e-4
    libraries = kept["libraries"] | {"numpy": "1.0"}
    changed = edited(blobs, found.manifest, golden=blobs.put(json.dumps(golden).encode()), libraries=libraries)
    with pytest.raises(GoldenMismatch, match=rf"golden row 7 \(1 of 50 differ\).*numpy 1.0 → {np.__version__}"):
        opened(blobs, changed, VERSIONS)


def test_a_changed_library_is_no_error_where_the_golden_rows_repeat() -> None:
    """The rows decide; what changed can be asked for."""
    blobs = Memory()
    found, _, _ = saved(blobs, boosted())
    recorded = artefact.libraries() | {"numpy": "1.0", "no-such-package": "2"}
    changed = edited(blobs, found.manifest, libraries=recorded)
    assert artefact.open_version(blobs, changed, VERSIONS).runtime == "onnx"
    assert artefact.changed_libraries(blobs, found.manifest) == []
    assert artefact.changed_libraries(blobs, changed) == [
        f"numpy 1.0 → {np.__version__}", "no-such-package 2 → missing",
    ]  # fmt: skip


def test_a_change_below_the_tolerance_is_rounding() -> None:
    """1e-5 for ONNX, 1e-6 for the native one."""
    blobs = Memory()
    found, _, _ = saved(blobs, boosted())
    golden = json.loads(blobs.get(artefact.manifest(blobs, found.manifest)["golden"]))
    golden["outputs"]["twin.onnx"][7][0] += 5e-6
    golden["outputs"]["native.skops"][7][0] += 5e-6
    changed = edited(blobs, found.manifest, golden=blobs.put(json.dumps(golden).encode()))
    assert artefact.open_version(blobs, changed, VERSIONS).runtime == "onnx"
    with pytest.raises(GoldenMismatch):
        artefact.open_native(blobs, changed, VERSIONS)


@pytest.mark.parametrize("which", ["manifest", "part", "golden"])
def test_a_changed_byte_is_seen(tmp_path: Any, which: str) -> None:
    """In the manifest, in the model and in the golden rows."""
    blobs = open_blobs(tmp_path)
    found, _, _ = saved(blobs, boosted())
    kept = artefact.manifest(blobs, found.manifest)
    digest = {"manifest": found.manifest, "part": kept["parts"]["twin.onnx"], "golden": kept["golden"]}[which]
    path = next(p for p in tmp_path.rglob("*") if p.is_file() and digest in "".join(p.relative_to(tmp_path).parts))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.chmod(0o600)
    path.write_bytes(bytes(content))
    with pytest.raises(StoreDamaged):
        artefact.open_version(open_blobs(tmp_path), found.manifest, VERSIONS)


def test_missing_and_foreign_manifests_are_named() -> None:
    """No blob, no JSON, another format, an unknown part."""
    blobs = Memory()
    found, _, _ = saved(blobs, boosted())
    with pytest.raises(StoreDamaged, match="manifest 000000000000… is missing"):
        artefact.open_version(blobs, "0" * 64, VERSIONS)
    with pytest.raises(ArtefactRefused, match="is no manifest"):
        artefact.open_version(blobs, blobs.put(b"\xff\x00"), VERSIONS)
    with pytest.raises(ArtefactRefused, match="found format 'list', expected 1"):
        artefact.open_version(blobs, blobs.put(b"[]"), VERSIONS)
    with pytest.raises(ArtefactRefused, match="found format 99, expected 1"):
        artefact.open_version(blobs, edited(blobs, found.manifest, format=99), VERSIONS)
    sha = artefact.manifest(blobs, found.manifest)["parts"]["twin.onnx"]
    foreign = edited(blobs, found.manifest, serves="model.exe", parts={"model.exe": sha})
    with pytest.raises(ArtefactRefused, match=r"found the runtime or part 'model.exe', expected one of rule.json"):
        artefact.open_version(blobs, foreign, VERSIONS)


def test_a_pickle_loads_only_by_opt_in_and_from_our_own_ledger() -> None:
    """The ledger vouches by the hash of the manifest or of the pickle."""
    blobs, opted = Memory(), Versions(pickle=True, compile=False)
    model = boosted()
    model.note = lambda: None  # neither skops nor pickle takes a lambda
    with pytest.raises(ArtefactRefused):
        saved(blobs, model)
    model = boosted()
    model.steps[1][1].note = OwnType()
    found, _, _ = saved(blobs, model, versions=opted)
    assert found.serves == "native.pickle"
    sha = artefact.manifest(blobs, found.manifest)["parts"]["native.pickle"]
    for known in ((found.manifest,), {sha}):
        assert artefact.open_version(blobs, found.manifest, opted, known).runtime == "sklearn"
    with pytest.raises(ArtefactRefused, match="not on our ledger"):
        artefact.open_version(blobs, found.manifest, opted)
    with pytest.raises(ArtefactRefused, match="pickle = true"):
        artefact.open_version(blobs, found.manifest, replace(opted, pickle=False), (sha,))


class OwnType:
    """What skops does not trust."""


def test_a_model_that_does_not_answer_its_own_rows_is_refused() -> None:
    """Trained on a column that the signature lacks."""
    rows = flights()
    model = boosted().fit(rows, rows["late"])
    signature = frames.infer_signature(rows, task_of(BINARY, features=("carrier", "hour")))
    sample = frames.columns(rows, signature)
    with pytest.raises(ArtefactRefused, match=r"does not answer its own training rows.*carrier \(string\), hour"):
        artefact.save(Memory(), model, runtime="sklearn", signature=signature, sample=sample, versions=VERSIONS)


def test_unknown_runtimes_and_empty_samples_are_refused() -> None:
    """Before anything is written."""
    blobs, signature = Memory(), Signature((), "binary", (0, 1))
    with pytest.raises(DataError, match="found no row"):
        artefact.save(blobs, None, runtime="rule", signature=signature, sample={}, versions=VERSIONS)
    with pytest.raises(ArtefactRefused, match="the runtime or part 'magic', expected one of rule, onnx, lightgbm"):
        artefact.save(blobs, None, runtime="magic", signature=signature, sample={"x": np.ones(3)}, versions=VERSIONS)
    assert not blobs.kept


def test_opening_a_twin_loads_nothing_of_the_judging_path() -> None:
    """The answering path has numpy and onnxruntime only."""
    heavy = ("sklearn", "pandas", "scipy", "skops", "narwhals", "skl2onnx", "lightgbm")
    code = (
        "import sys; from incumbent.runtimes import artefact, onnx, rule, signature; "
        f"print([m for m in {heavy} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_model_on_number_arrays_is_a_version() -> None:
    """Fitted on an array as wide as all columns together; no twin takes trees, and the golden rows hold lists."""
    rows = flights(300)
    draw = np.random.default_rng(0)
    rows["e"] = [draw.normal(size=3) + late for late in rows["late"]]
    signature = frames.infer_signature(rows, task_of(BINARY, features=("hour", "e")))
    columns = frames.columns(rows, signature)
    matrix = np.column_stack([columns["hour"], columns["e"]])
    model = DecisionTreeClassifier(max_depth=3).fit(matrix, rows["late"])
    blobs = Memory()
    found = artefact.save(
        blobs, model, runtime="sklearn", signature=signature, sample=columns, versions=VERSIONS,
        schema=schema.of(rows).to_json(),
    )  # fmt: skip
    assert found.serves == "native.skops" and "number arrays e, which no twin takes" in found.notes[0]
    assert np.array_equal(artefact.open_version(blobs, found.manifest, VERSIONS).predict(columns),
                          model.predict_proba(matrix))  # fmt: skip
