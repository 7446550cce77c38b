"""A model that MLflow keeps is a version where we read its flavour, else a reference with its kept answers."""

import sys
import warnings
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from parcels import day, write
from sklearn.linear_model import LogisticRegression

from incumbent.errors import DataError, MissingExtra
from incumbent.project import Project, open_project

mlflow = pytest.importorskip("mlflow", reason="mlflow is an extra")
pytestmark = pytest.mark.filterwarnings("ignore")
"""MLflow warns of its own plans, and of requirements that it cannot infer."""

HALF = '''
import mlflow.pyfunc

class Half(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return [0.5] * len(model_input)

mlflow.models.set_model(Half())
'''
Opens = Callable[[Path | str, str], Project]


@pytest.fixture
def open_with(tmp_path: Path) -> Iterator[Opens]:
    """A project on numbers alone whose existing system is the model at a path."""
    opened: list[Project] = []

    def opens(model: Path | str, more: str = "") -> Project:
        folder = write(tmp_path / f"parcels-{len(opened)}", f'[baseline]\nmlflow = "{model}"\n{more}')
        toml = (folder / "incumbent.toml").read_text().replace('["weight", "depot", "serial"]', '["weight", "serial"]')
        (folder / "incumbent.toml").write_text(toml)
        opened.append(open_project(folder, clock=lambda: day(50), actor="test"))
        return opened[-1]

    yield opens
    for project in opened:
        project.close()


@pytest.fixture
def fitted(tmp_path: Path) -> LogisticRegression:
    with open_project(write(tmp_path / "fit"), clock=lambda: day(50), actor="test") as project:
        rows = project.rows(day(30)).labelled(day(30)).training_frame()
    return LogisticRegression().fit(rows[["weight", "serial"]], rows["late"].astype(int))


def saved(flavor: str, model: Any, path: Path, **settings: Any) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import_module(f"mlflow.{flavor}").save_model(model, str(path), pip_requirements=[], **settings)
    return path


def told(project: Project) -> Any:
    return next(e for e in project.baseline(now=day(40)).evidence if e.subject.startswith("MLflow model"))


def test_a_flavour_that_we_read_is_a_version(open_with: Opens, fitted: Any, tmp_path: Path) -> None:
    """A real model of scikit-learn, in skops: with its probabilities, not its labels; once; it may be the incumbent."""
    path = saved("sklearn", fitted, tmp_path / "model")
    project = open_with(path, 'incumbent = "mlflow"\n')
    found = told(project)
    assert (found.verdict, found.numbers["kind"], found.numbers["version"]) == ("existing", "sklearn", "v2")
    assert (project.roles().incumbent, project.roles().baseline) == ("v2", "v1")
    version = project.version("v2")
    columns = project.known(None, day(40)).columns(version.signature)
    x = np.column_stack([columns["weight"], columns["serial"]])
    assert np.allclose(project.predict("v2", columns), fitted.predict_proba(x), atol=1e-6)
    assert told(project).numbers["version"] == "v2"
    assert project.gate("v1", now=day(40)).reference == "v2"


def test_a_pickle_needs_its_opt_in(open_with: Opens, fitted: Any, tmp_path: Path) -> None:
    """To name it is the trust that a registration asks for; what skops can hold needs no pickle here."""
    path = saved("sklearn", fitted, tmp_path / "model", serialization_format="pickle")
    found = told(open_with(path, "[versions]\npickle = true\n"))
    assert (found.verdict, found.numbers["kind"]) == ("existing", "sklearn")


def test_code_without_the_opt_in_is_a_reference(open_with: Opens, tmp_path: Path) -> None:
    """It is asked through mlflow, and says what would let it answer; with the opt-in it is a version that is code."""
    (tmp_path / "half.py").write_text(HALF)
    path = tmp_path / "model"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mlflow.pyfunc.save_model(str(path), python_model=str(tmp_path / "half.py"), pip_requirements=[])
    project = open_with(path)
    found = told(project)
    assert (found.verdict, found.numbers["kind"]) == ("reference", "reference")
    assert found.numbers["value"] == 0.25 and "code = true" in found.numbers["note"]
    assert not project.version(found.numbers["version"]).answers
    allowed = told(open_with(path, "[versions]\ncode = true\n"))
    assert (allowed.verdict, allowed.numbers["kind"]) == ("existing", "pyfunc")
    assert allowed.numbers["value"] == 0.25


def test_a_model_that_is_not_there_stops_the_step(open_with: Opens, tmp_path: Path) -> None:
    """With its address, before anything is registered."""
    project = open_with(tmp_path / "nothing")
    with pytest.raises(DataError, match="nothing: cannot be had from"):
        project.baseline(now=day(40))
    assert project.roles().versions == {}


def test_without_mlflow_its_model_needs_the_extra(open_with: Opens, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says which `pip install` brings it."""
    for name in ("mlflow", "mlflow.artifacts", "mlflow.pyfunc"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delitem(sys.modules, "incumbent.project.mlflow", raising=False)
    with pytest.raises(MissingExtra, match=r"incumbent\[mlflow\]"):
        open_with("models:/parcels/1", "").baseline(now=day(40))
