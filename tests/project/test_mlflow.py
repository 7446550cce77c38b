"""Models of MLflow become versions, in a native runtime where there is one; and a version becomes a model of MLflow."""

import io
import json
import subprocess
import sys
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pytest
from parcels import day, write
from sklearn.linear_model import LogisticRegression

from incumbent.errors import ArtefactRefused, DataError
from incumbent.project import Project, open_project

mlflow = pytest.importorskip("mlflow", reason="mlflow is an extra")

pytestmark = pytest.mark.filterwarnings("ignore")
"""MLflow warns of its own plans, and of requirements that it cannot infer."""


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """A project on numbers alone, that may run code."""
    folder = write(tmp_path / "parcels", "[versions]\ncode = true\n", days=30)
    toml = (folder / "incumbent.toml").read_text().replace('["weight", "depot", "serial"]', '["weight", "serial"]')
    (folder / "incumbent.toml").write_text(toml)
    with open_project(folder, clock=lambda: day(30), actor="test") as found:
        yield found


def numbers(project: Project) -> tuple[Any, Any]:
    rows = project.rows(day(30)).labelled(day(30)).training_frame()
    return rows[["weight", "serial"]], rows["late"].astype(int)


def saved(flavor: str, model: Any, path: Path, **settings: Any) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = __import__(f"mlflow.{flavor}", fromlist=["save_model"])
        module.save_model(model, str(path), pip_requirements=[], **settings)
    return path


def answers(project: Project, name: str) -> Any:
    version = project.version(name)
    columns = project.rows(day(30)).labelled(day(30)).columns(version.signature)
    return project.predict(name, {each: values[:50] for each, values in columns.items()})


def test_native_flavours_are_native_versions(project: Project, tmp_path: Path) -> None:
    """Without trust where the file holds no code; with the answers of the model."""
    x, y = numbers(project)
    booster = lightgbm.train({"objective": "binary", "verbose": -1, "num_threads": 1}, lightgbm.Dataset(x, y), 5)
    linear = LogisticRegression().fit(x, y)
    classifier = lightgbm.LGBMClassifier(n_estimators=4, verbose=-1, n_jobs=1).fit(x, y)
    for flavor, model, runtime in [
        ("lightgbm", booster, "lightgbm"), ("lightgbm", classifier, "sklearn"), ("sklearn", linear, "sklearn"),
    ]:  # fmt: skip
        path = saved(flavor, model, tmp_path / f"{flavor}-{type(model).__name__}")
        version = project.register(path)
        assert version.runtime == runtime
        predicted = model.predict(x[:50]) if model is booster else model.predict_proba(x[:50])[:, 1]
        assert np.allclose(answers(project, version.name)[:, 1], predicted, atol=1e-6)


def test_xgboosts_flavour_is_native(project: Project, tmp_path: Path) -> None:
    xgboost = pytest.importorskip("xgboost", reason="xgboost is an extra")
    x, y = numbers(project)
    model = xgboost.XGBClassifier(n_estimators=4).fit(x, y)
    version = project.register(saved("xgboost", model, tmp_path / "model"))
    assert version.runtime == "xgboost"
    assert np.allclose(answers(project, version.name), model.predict_proba(x[:50]), atol=1e-5)


def test_catboosts_flavour_is_native(project: Project, tmp_path: Path) -> None:
    catboost = pytest.importorskip("catboost", reason="catboost is an extra")
    x, y = numbers(project)
    model = catboost.CatBoostClassifier(iterations=4, verbose=False, allow_writing_files=False).fit(x, y)
    version = project.register(saved("catboost", model, tmp_path / "model"))
    assert version.runtime == "catboost"
    assert np.allclose(answers(project, version.name), model.predict_proba(x[:50]), atol=1e-5)


def test_a_pickled_flavour_needs_trust(project: Project, tmp_path: Path) -> None:
    """As any pickle does."""
    path = saved("sklearn", LogisticRegression().fit(*numbers(project)), tmp_path / "model",
                 serialization_format="pickle")  # fmt: skip
    with pytest.raises(ArtefactRefused, match=r"is a pickle .* say --trust"):
        project.register(path)
    assert project.register(path, trust=True).runtime == "sklearn"


def test_trusted_types_in_the_model_are_not_believed(project: Project, tmp_path: Path) -> None:
    """MLmodel has a list of them (skops_trusted_types); who is trusted is said by the project's versions.trust."""
    path = saved("sklearn", LogisticRegression().fit(*numbers(project)), tmp_path / "model")
    with zipfile.ZipFile(path / "model.skops") as archive:
        files = {name: archive.read(name).replace(b"LogisticRegression", b"Unknown") for name in archive.namelist()}
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    (path / "model.skops").write_bytes(target.getvalue())
    text = (path / "MLmodel").read_text()
    name = "sklearn.linear_model._logistic.Unknown"
    (path / "MLmodel").write_text(text.replace("skops_trusted_types: null", f"skops_trusted_types: [{name}]"))
    with pytest.raises(ArtefactRefused, match=f"types that nobody trusts: {name}"):
        project.register(path)


PYFUNC = '''
import mlflow.pyfunc

class Half(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return [0.5] * len(model_input)

mlflow.models.set_model(Half())
'''


@pytest.mark.slow
def test_another_pyfunc_is_code(project: Project, tmp_path: Path) -> None:
    """By trust and opt-in, in a process of its own."""
    (tmp_path / "half.py").write_text(PYFUNC)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mlflow.pyfunc.save_model(str(tmp_path / "model"), python_model=str(tmp_path / "half.py"), pip_requirements=[])
    with pytest.raises(ArtefactRefused, match=r"a folder of code.* say --trust"):
        project.register(tmp_path / "model")
    version = project.register(tmp_path / "model", trust=True)
    assert version.runtime == "pyfunc"
    assert answers(project, version.name).tolist() == [[0.5, 0.5]] * 50


def test_a_model_of_the_registry_comes_by_its_alias(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the tracking server that MLflow is told of; one that is not there is named."""
    store = f"sqlite:///{tmp_path / 'mlflow.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    monkeypatch.chdir(tmp_path)
    mlflow.set_tracking_uri(store)
    mlflow.set_registry_uri(store)
    try:
        x, y = numbers(project)
        booster = lightgbm.train({"objective": "binary", "verbose": -1, "num_threads": 1}, lightgbm.Dataset(x, y), 5)
        __import__("mlflow.lightgbm")
        with mlflow.start_run() as run:
            mlflow.lightgbm.log_model(booster, name="model", registered_model_name="parcels", pip_requirements=[])
        mlflow.MlflowClient().set_registered_model_alias("parcels", "champion", "1")
        for address in ("models:/parcels@champion", f"runs:/{run.info.run_id}/model"):
            version = project.register(address)
            assert version.runtime == "lightgbm"
            assert np.allclose(answers(project, version.name)[:, 1], booster.predict(x[:50]))
        with pytest.raises(DataError, match=r"models:/parcels@nobody: cannot be had from sqlite"):
            project.register("models:/parcels@nobody")
    finally:
        mlflow.set_tracking_uri("")
        mlflow.set_registry_uri("")


def test_a_version_is_a_model_of_mlflow_and_comes_back(project: Project, tmp_path: Path) -> None:
    """`mlflow.pyfunc.load_model` loads it in a process without our project; registered again it is the same version."""
    x, y = numbers(project)
    booster = lightgbm.train({"objective": "binary", "verbose": -1, "num_threads": 1}, lightgbm.Dataset(x, y), 5)
    name = project.register(booster).name
    folder = project.export(name, tmp_path / "out", "mlflow")
    x[:50].to_csv(tmp_path / "rows.csv", index=False)
    code = (
        "import json, sys, warnings; warnings.simplefilter('ignore'); import mlflow.pyfunc, pandas\n"
        "model = mlflow.pyfunc.load_model(sys.argv[1])\n"
        "print(json.dumps(model.predict(pandas.read_csv(sys.argv[2])).to_numpy().tolist()))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(folder), str(tmp_path / "rows.csv")],
                          capture_output=True, text=True)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert np.allclose(json.loads(done.stdout.splitlines()[-1]), answers(project, name), atol=1e-9)
    again = project.register(folder)
    assert again.manifest == project.version(name).manifest
    with pytest.raises(DataError, match="is there already, and not empty"):
        project.export(name, folder, "mlflow")


def test_a_damaged_mlmodel_is_refused(project: Project, tmp_path: Path) -> None:
    """No YAML, no flavour, a path that leads out."""
    folder = tmp_path / "model"
    folder.mkdir()
    for text, sentence in [
        ("flavors: [", "MLmodel cannot be read"),
        ("flavors: {spark: {}}", "has the flavours spark, expected one that we know"),
        ("flavors: {lightgbm: {data: ../../model.txt}}", "expected one inside its folder"),
        ("flavors: {onnx: {data: gone.onnx}}", r"names the model 'gone.onnx', which is no file in it"),
    ]:
        (folder / "MLmodel").write_text(text)
        with pytest.raises(ArtefactRefused, match=sentence):
            project.register(folder)
