"""What lies in a file or a folder becomes a version, if it is trusted and answers its own rows; and goes elsewhere."""

import hashlib
import io
import json
import os
import pickle
import re
import shutil
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import onnx
import pytest
import skops.io
from onnx import TensorProto, helper, numpy_helper
from parcels import day, traffic, write
from sklearn.linear_model import LogisticRegression

from incumbent.errors import ArtefactRefused, ConfigError, DataError, MissingExtra, StoreDamaged
from incumbent.project import Project, open_project
from incumbent.records import Version
from incumbent.runtimes import artefact

Open = Callable[..., Project]
CODE = "[versions]\ncode = true\n"
PREDICTOR = """
import json


class Predictor:
    def __init__(self, folder):
        self.weights = json.loads((folder / "weights" / "w.json").read_text())

    def predict(self, rows):
        assert list(rows.columns) == ["weight", "serial"]
        return 1 / (1 + 2.718281828 ** (-self.weights["weight"] * rows["weight"]))
"""


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Open]:
    """Opens projects on numbers alone, by name."""
    found: list[Project] = []

    def opened(name: str = "here", more: str = "", **settings: Any) -> Project:
        folder = write(tmp_path / name, more, days=30, **settings)
        toml = (folder / "incumbent.toml").read_text().replace('["weight", "depot", "serial"]', '["weight", "serial"]')
        (folder / "incumbent.toml").write_text(toml)
        found.append(open_project(folder, clock=lambda: day(30), actor="test"))
        return found[-1]

    yield opened
    for each in found:
        each.close()


def numbers(project: Project) -> tuple[Any, Any]:
    """(rows, labels) as a model is trained on."""
    rows = project.rows(day(30)).labelled(day(30)).training_frame()
    return rows[["weight", "serial"]], rows["late"].astype(int)


def booster_text(project: Project) -> str:
    settings = {"objective": "binary", "verbose": -1, "num_threads": 1, "num_leaves": 7}
    return str(lightgbm.train(settings, lightgbm.Dataset(*numbers(project)), 5).model_to_string())


def network() -> bytes:
    """What an exporter of a neural network writes: float32, one matrix, a softmax at its end."""
    weights = numpy_helper.from_array(np.array([[-1.0, 1.0], [0.0, 0.0]], dtype=np.float32), "w")
    x, y = (helper.make_tensor_value_info(n, TensorProto.FLOAT, ["rows", 2]) for n in ("features", "probabilities"))
    nodes = [helper.make_node("MatMul", ["features", "w"], ["s"]),
             helper.make_node("Softmax", ["s"], ["probabilities"], axis=1)]  # fmt: skip
    graph = helper.make_graph(nodes, "network", [x], [y], [weights])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())


def code_folder(folder: Path, code: str = PREDICTOR) -> Path:
    (folder / "weights").mkdir(parents=True)
    (folder / "predictor.py").write_text(code)
    (folder / "weights" / "w.json").write_text('{"weight": 1.5}')
    (folder / "requirements.txt").write_text("numpy\n")
    return folder


def answers(project: Project, version: Version) -> Any:
    columns = project.rows(day(30)).labelled(day(30)).columns(version.signature)
    return project.predict(version.name, {name: values[:50] for name, values in columns.items()})


# --- files


def test_files_that_hold_no_code_need_no_trust(project: Open, tmp_path: Path) -> None:
    """By their suffix: ONNX, LightGBM's text, skops. The description says which bytes they were."""
    here = project()
    (tmp_path / "model.onnx").write_bytes(network())
    (tmp_path / "model.txt").write_text(booster_text(here))
    fitted = here.written().fit("train_again", here.rows().labelled(day(30)).training_frame().assign(depot="north"))
    fitted = fitted[-1].fit(*numbers(here))
    (tmp_path / "model.skops").write_bytes(skops.io.dumps(fitted))
    found = [here.register(tmp_path / name) for name in ("model.onnx", "model.txt", "model.skops")]
    assert [one.runtime for one in found] == ["onnx", "lightgbm", "sklearn"]
    assert re.fullmatch(r"model.onnx \(sha256 [0-9a-f]{64}\)", found[0].description)
    assert np.allclose(answers(here, found[2]), fitted.predict_proba(numbers(here)[0][:50]), atol=1e-6)
    weight = numbers(here)[0]["weight"].to_numpy()[:50]
    assert np.allclose(answers(here, found[0])[:, 1], 1 / (1 + np.exp(-2 * weight)), atol=1e-6)


def test_xgboosts_own_files_are_versions(project: Open, tmp_path: Path) -> None:
    """Both of its formats, and the model itself."""
    xgboost = pytest.importorskip("xgboost", reason="xgboost is an extra")
    here = project()
    model = xgboost.XGBClassifier(n_estimators=4).fit(*numbers(here))
    for suffix in ("ubj", "json"):
        model.get_booster().save_model(tmp_path / f"model.{suffix}")
    found = [here.register(given) for given in (tmp_path / "model.ubj", str(tmp_path / "model.json"), model)]
    assert {one.runtime for one in found} == {"xgboost"}
    for one in found:
        expected = model.predict_proba(numbers(here)[0][:50])
        assert one.serves == "twin.onnx" and np.allclose(answers(here, one), expected, atol=1e-5)


def test_a_pickle_needs_trust(project: Open, tmp_path: Path) -> None:
    """It can run any code when it is loaded."""
    here = project()
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(LogisticRegression().fit(*numbers(here))))
    with pytest.raises(ArtefactRefused, match=r"is a pickle .* say --trust"):
        here.register(tmp_path / "model.pkl")
    assert here.register(tmp_path / "model.pkl", trust=True).serves == "twin.linear.json"


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin", "model.h5"])
def test_weights_without_a_graph_are_refused(project: Open, tmp_path: Path, name: str) -> None:
    """As a file and in a folder; the error says what is missing, and what to do."""
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / name).write_bytes(b"weights")
    (folder / "config.json").write_text('{"architectures": ["Bert"]}')
    here = project()
    for given, named in ((folder / name, ""), (folder, r" \(config.json names Bert, whose code is not in it\)")):
        said = rf"holds weights and no graph of the model{named}: the code that builds the module is missing"
        with pytest.raises(ArtefactRefused, match=rf"{said}.*export the model to ONNX"):
            here.register(given)


def test_what_is_not_there_is_named(project: Open, tmp_path: Path) -> None:
    """No such path; a folder with nothing that we know; a package that is missing."""
    here = project()
    with pytest.raises(DataError, match="no such file or folder"):
        here.register(tmp_path / "none")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "notes.md").write_text("")
    with pytest.raises(DataError, match=r"found notes.md; expected manifest.json .* MLmodel .* predictor.py"):
        here.register(tmp_path / "folder")


@pytest.mark.parametrize(("package", "suffix"), [("xgboost", ".ubj"), ("catboost", ".cbm")])
def test_a_missing_package_is_named_with_its_extra(
    project: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str, suffix: str
) -> None:
    """And how to install it."""
    here = project()
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, f"incumbent.runtimes.{package}", raising=False)
    (tmp_path / f"model{suffix}").write_bytes(b"bytes")
    with pytest.raises(MissingExtra, match=rf'{package} versions needs .* pip install "incumbent\[{package}\]"'):
        here.register(tmp_path / f"model{suffix}")


# --- bytes that end the process that reads them


def test_a_lightgbm_text_that_ends_its_process_ends_another(project: Open, tmp_path: Path) -> None:
    """LightGBM aborts at a weight that is no number. It was tried apart: this process lives, nothing is registered."""
    here = project()
    wild = re.sub(r"leaf_weight=\S", "leaf_weight=x", booster_text(here))
    (tmp_path / "model.txt").write_text(wild)
    with pytest.raises(ArtefactRefused, match=r"was tried in a process of its own, and failed there"):
        here.register(tmp_path / "model.txt")
    assert not here.roles().versions


@pytest.mark.parametrize("text", ["", "tree\n", "tree\nnonsense", "\x00\xff" * 50], ids=repr)
def test_a_lightgbm_text_that_is_nonsense_is_refused(project: Open, tmp_path: Path, text: str) -> None:
    here = project()
    (tmp_path / "model.txt").write_text(text)
    with pytest.raises(ArtefactRefused):
        here.register(tmp_path / "model.txt")


# --- recipes


@pytest.mark.parametrize("returned", ["model", "model.get_booster()"], ids=["scikit-learn", "Booster"])
def test_a_recipe_may_return_a_boosted_model(project: Open, returned: str) -> None:
    """It is gated as it would be served, and registered in its own runtime."""
    pytest.importorskip("xgboost", reason="xgboost is an extra")
    here = project()
    with (here.config.folder / "task.py").open("a") as file:
        file.write(
            "\n\ndef train_boosted(rows):\n    import xgboost\n"
            "    model = xgboost.XGBClassifier(n_estimators=20, max_depth=2)\n"
            f"    model.fit(rows.drop(columns='late'), rows['late'].astype(int))\n    return {returned}\n"
        )
    here.close()
    with open_project(here.config.folder, clock=lambda: day(30), actor="test") as again:
        again.baseline()
        version, evidence = again.train("train_boosted")
        assert version is not None and evidence.verdict == "ship"
        assert (version.runtime, version.serves) == ("xgboost", "twin.onnx")


# --- folders of code


def test_a_folder_of_code_is_a_version_in_a_process_of_its_own(project: Open, tmp_path: Path) -> None:
    """It gets the DataFrame of training; its files are blobs; it is gated, promoted and rolled back as any other."""
    here = project(more=CODE)
    here.baseline()
    version = here.register(code_folder(tmp_path / "mine"), trust=True)
    assert (version.runtime, version.serves) == ("pyfunc", "pyfunc.json")
    weight = numbers(here)[0]["weight"].to_numpy()[:50]
    assert np.allclose(answers(here, version)[:, 1], 1 / (1 + 2.718281828 ** (-1.5 * weight)))
    found = artefact.manifest(here.facts.blobs, version.manifest)
    listed = json.loads(here.facts.blobs.get(found["parts"]["pyfunc.json"]))
    assert set(listed["files"]) == {"predictor.py", "requirements.txt", "weights/w.json"}
    assert here.gate(version.name).verdict in ("ship", "hold")
    here.promote(version.name, "a test")
    here.rollback("a test")
    assert here.roles().incumbent == "v1"
    assert "predictor" not in sys.modules


def test_a_folder_of_code_answers_traffic(project: Open, tmp_path: Path) -> None:
    """Through the same path as any version."""
    here = project(more=CODE)
    here.baseline()
    version = here.register(code_folder(tmp_path / "mine"), trust=True)
    here.promote(version.name, "a test")
    assert traffic(here, day(28), day(29)) == 48
    assert here.facts.log.totals().predictions == 48


def test_code_needs_trust_and_the_opt_in(project: Open, tmp_path: Path) -> None:
    """Each by its own sentence; nothing was run."""
    folder = code_folder(tmp_path / "mine", f"open({str(tmp_path / 'ran')!r}, 'w')\n" + PREDICTOR)
    with pytest.raises(ArtefactRefused, match=r"under \[versions\]: code = true"):
        project().register(folder, trust=True)
    with pytest.raises(ArtefactRefused, match=r"a folder of code.* say --trust"):
        project("opted", CODE).register(folder)
    assert not (tmp_path / "ran").exists()


def test_code_that_ends_its_process_is_refused(project: Open, tmp_path: Path) -> None:
    """The process was not ours."""
    here = project(more=CODE)
    folder = code_folder(tmp_path / "mine", "import os\nos._exit(3)\n")
    with pytest.raises(ArtefactRefused, match=r"pyfunc.json was tried in a process of its own, and failed there"):
        here.register(folder, trust=True)
    raises = code_folder(tmp_path / "raises", PREDICTOR.replace("return", "raise ValueError('no')\n        return"))
    with pytest.raises(ArtefactRefused, match=r"raised ValueError: no"):
        here.register(raises, trust=True)


def test_links_in_a_folder_are_refused(project: Open, tmp_path: Path) -> None:
    """What they lead to is not ours to read."""
    folder = code_folder(tmp_path / "mine")
    (folder / "secret").symlink_to("/etc/passwd")
    with pytest.raises(ArtefactRefused, match="secret is a link, expected plain files"):
        project(more=CODE).register(folder, trust=True)


# --- folders like those of Hugging Face


def test_a_folder_with_a_model_in_it_is_taken_without_running_code(project: Open, tmp_path: Path) -> None:
    """config.json is not needed; ONNX before skops."""
    (tmp_path / "hub" / "onnx").mkdir(parents=True)
    (tmp_path / "hub" / "config.json").write_text('{"model_type": "mine"}')
    (tmp_path / "hub" / "onnx" / "model.onnx").write_bytes(network())
    here = project()
    version = here.register(tmp_path / "hub")
    assert version.runtime == "onnx" and version.description.startswith("hub (sha256 ")


# --- there and back


@pytest.fixture
def there(project: Open, tmp_path: Path) -> tuple[Project, Project, Path]:
    """A project, another one of the same task, and a version of the first as a folder."""
    here = project()
    here.baseline()
    version = here.register(booster_text(here).encode(), runtime="lightgbm", description="five trees")
    return here, project("elsewhere"), here.export(version.name, tmp_path / "out")


def test_an_exported_version_is_the_same_elsewhere(there: tuple[Project, Project, Path]) -> None:
    """The same manifest, the same answers, what is known of it; files that sha256sum knows."""
    here, elsewhere, folder = there
    version = elsewhere.register(folder)
    before = here.version("v2")
    assert (version.name, version.manifest, version.serves) == ("v1", before.manifest, before.serves)
    assert (version.trained_until, version.n_rows) == (before.trained_until, before.n_rows)
    assert version.description == "v2 of parcels: five trees"
    assert elsewhere.version("v1").brought and not before.brought
    assert np.array_equal(answers(here, before), answers(elsewhere, version))
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    parts = {f"parts/{name}" for name in artefact.manifest(here.facts.blobs, before.manifest)["parts"]}
    assert names == {"README.md", "SHA256SUMS", "golden.json", "manifest.json", "profile.json", "version.json", *parts}
    elsewhere.promote("v1", "a test")
    with pytest.raises(DataError, match="is there already, and not empty"):
        here.export("v2", folder)
    with pytest.raises(ConfigError, match="found the format 'zip', expected folder or mlflow"):
        here.export("v2", folder, "zip")


def test_an_exported_folder_of_code_needs_trust_and_the_opt_in(project: Open, tmp_path: Path) -> None:
    """There as here: an export carries no word of trust."""
    here = project(more=CODE)
    exported = here.export(here.register(code_folder(tmp_path / "mine"), trust=True).name, tmp_path / "out")
    with pytest.raises(ArtefactRefused, match=r"holds pyfunc.json, which can run any code .* --trust"):
        project("elsewhere", CODE).register(exported)
    with pytest.raises(ArtefactRefused, match=r"under \[versions\]: code = true"):
        project("careful").register(exported, trust=True)
    other = project("opted", CODE)
    version = other.register(exported, trust=True)
    assert np.array_equal(answers(other, version), answers(here, here.version("v1")))


def test_a_changed_byte_anywhere_is_seen(there: tuple[Project, Project, Path]) -> None:
    """In each file of the folder; a file more or less too. Nothing of it stays in the store."""
    _, elsewhere, folder = there
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        content = path.read_bytes()
        path.write_bytes(content[:-2] + bytes([content[-2] ^ 1]) + content[-1:])
        with pytest.raises(ArtefactRefused, match=r"changed since the export|in one of them only|expected one inside"):
            elsewhere.register(folder)
        path.unlink()
        with pytest.raises((ArtefactRefused, DataError)):
            elsewhere.register(folder)
        path.write_bytes(content)
    (folder / "more").write_text("")
    with pytest.raises(ArtefactRefused, match="found more in one of them only"):
        elsewhere.register(folder)
    (folder / "more").unlink()
    assert not elsewhere.roles().versions
    assert elsewhere.register(folder).name == "v1"


def resigned(folder: Path, **changes: Any) -> None:
    """The manifest with some fields changed, and sums that fit it: what somebody does who means it."""
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    sums = []
    for line in (folder / "SHA256SUMS").read_text().splitlines():
        name = line.partition("  ")[2]
        sums.append(f"{sha_of(folder / name)}  {name}\n")
    (folder / "SHA256SUMS").write_text("".join(sums))


def sha_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_manifest_says_no_more_than_it_may(there: tuple[Project, Project, Path]) -> None:
    """No trust of its own, no path outside of the folder, no runtime that its part is not of, no other bytes."""
    _, elsewhere, folder = there
    kept = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    manifest = json.loads((folder / "manifest.json").read_text())
    (part, sha), *_ = manifest["parts"].items()
    for changes, sentence in [
        ({"trust": ["os.system"]}, r"manifest.json has trust too much .* never by an artefact"),
        ({"parts": {"../../x": sha}, "serves": "../../x"}, "expected one inside its folder"),
        ({"parts": {"/etc/passwd": sha}, "serves": "/etc/passwd"}, "expected one inside its folder"),
        ({"parts": {"model.exe": sha}, "serves": "model.exe"}, "this is no exported version"),
        ({"runtime": "onnx"}, f"found the parts {part}.* expected those of onnx"),
        ({"serves": "native.pickle"}, "served as native.pickle, expected those of lightgbm"),
        ({"golden": "0" * 64}, "golden.json is not what manifest.json names"),
        ({"format": 99}, "found format 99, expected 1"),
    ]:
        resigned(folder, **changes)
        with pytest.raises(ArtefactRefused, match=sentence):
            elsewhere.register(folder)
        for path, content in kept.items():
            path.write_bytes(content)
    golden = json.loads((folder / "golden.json").read_text())
    assert not elsewhere.roles().versions and golden["rows"]


def test_an_exported_network_with_weights_elsewhere_is_refused(project: Open, tmp_path: Path) -> None:
    """Before onnxruntime goes and looks for them."""
    here, elsewhere = project(), project("elsewhere")
    folder = here.export(here.register(network(), runtime="onnx").name, tmp_path / "out")
    model = onnx.load_model_from_string((folder / "parts" / "model.onnx").read_bytes())
    onnx.external_data_helper.set_external_data(model.graph.initializer[0], "/etc/passwd")
    model.graph.initializer[0].ClearField("raw_data")
    model.graph.initializer[0].data_location = TensorProto.EXTERNAL
    (folder / "parts" / "model.onnx").write_bytes(model.SerializeToString())
    resigned(folder, parts={"model.onnx": sha_of(folder / "parts" / "model.onnx")})
    with pytest.raises(ArtefactRefused, match=r"the weights 'w' lie in another file \(/etc/passwd\)"):
        elsewhere.register(folder)


@pytest.mark.parametrize(
    "about",
    [b"[]", b"{}", b'{"n_rows": "9", "trained_until": 1}', b'{"n_rows": 9, "trained_until": []}', b"[" * 9999],
    ids=["a list", "nothing", "text", "another list", "lists in lists"],
)
def test_nonsense_beside_the_manifest_is_refused(there: tuple[Project, Project, Path], about: bytes) -> None:
    """With sums that fit it."""
    _, elsewhere, folder = there
    (folder / "version.json").write_bytes(about)
    resigned(folder)
    with pytest.raises(ArtefactRefused, match=r"this is no exported version|expected whole numbers"):
        elsewhere.register(folder)


def test_sums_that_name_a_path_outside_are_refused(there: tuple[Project, Project, Path]) -> None:
    """Before anything is opened; a link in the place of a part too."""
    _, elsewhere, folder = there
    with (folder / "SHA256SUMS").open("a") as sums:
        sums.write(f"{'0' * 64}  ../incumbent.toml\n")
    with pytest.raises(ArtefactRefused, match=r"found the path '../incumbent.toml', expected one inside its folder"):
        elsewhere.register(folder)
    part = next((folder / "parts").iterdir())
    shutil.move(part, folder.parent / "part")
    part.symlink_to(folder.parent / "part")
    with pytest.raises(ArtefactRefused, match="is a link, expected plain files"):
        elsewhere.register(folder)


def test_a_version_of_another_task_is_refused(there: tuple[Project, Project, Path], project: Open) -> None:
    """Its kind, its columns."""
    _, _, folder = there
    hours = project("hours", kind="regression", target="hours", metric="squared_error")
    with pytest.raises(DataError, match=r"found a version of a binary task, expected regression \(task.kind\)"):
        hours.register(folder)
    narrow = project("narrow")
    toml = (narrow.config.folder / "incumbent.toml").read_text().replace('["weight", "serial"]', '["weight"]')
    (narrow.config.folder / "incumbent.toml").write_text(toml)
    with open_project(narrow.config.folder, clock=lambda: day(30)) as again:
        again.baseline()
        with pytest.raises(DataError, match="found a version with the columns serial; the incumbent v1 has"):
            again.register(folder)


def test_a_damaged_blob_is_not_exported(there: tuple[Project, Project, Path], tmp_path: Path) -> None:
    """What left would be another version."""
    here, _, _ = there
    sha = next(iter(artefact.manifest(here.facts.blobs, here.version("v2").manifest)["parts"].values()))
    path = here.config.store_path / "blobs" / sha[:2] / sha[2:]
    os.chmod(path, 0o600)
    path.write_bytes(b"tree\nanother")
    with pytest.raises(StoreDamaged, match="they changed on the disk"):
        here.export("v2", tmp_path / "again")


# --- who is trusted is said by the project alone


class Mine:
    """What nobody trusts."""

    def __init__(self) -> None:
        self.classes_ = np.array([0, 1])

    def predict_proba(self, rows: Any) -> Any:
        return np.full((len(rows), 2), 0.5)


def test_an_artefact_that_trusts_itself_is_not_believed(project: Open, tmp_path: Path) -> None:
    """Whatever a skops file says about trusted types; the project's own line is what counts."""
    content = skops.io.dumps(Mine())
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    name = f"{Mine.__module__}.Mine"
    schema = json.loads(files["schema.json"]) | {"trusted": [name], "trust": [name], "trusted_types": [name]}
    with zipfile.ZipFile(tmp_path / "model.skops", "w") as archive:
        for each, data in {**files, "schema.json": json.dumps(schema).encode()}.items():
            archive.writestr(each, data)
    with pytest.raises(ArtefactRefused, match=rf"types that nobody trusts: {re.escape(name)}"):
        project().register(tmp_path / "model.skops")
