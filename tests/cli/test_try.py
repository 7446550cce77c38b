"""`incumbent try`: a pickle and a CSV, no project. It infers, judges, says what it assumed, and saves on request."""

import hashlib
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from incumbent.cli import run
from incumbent.project import open_project

N = 1500


def rows(kind: str) -> pd.DataFrame:
    """Two columns, a time that the model does not use, and a target of the kind."""
    draw = np.random.default_rng(3)
    weight, size = draw.normal(size=N), draw.normal(size=N)
    score = weight - 0.5 * size + draw.normal(size=N)
    target = {
        "binary": (score > 0).astype(int),
        "multiclass": np.where(score < -1, "early", np.where(score < 1, "on time", "late")),
        "regression": 10 + 3 * (score + draw.normal(size=N)),
    }[kind]
    asked = pd.date_range("2024-01-01", periods=N, freq="h").astype(str)
    return pd.DataFrame({"asked_at": asked, "weight": weight, "size": size, "target": target})


def written(folder: Path, kind: str, model: Any = None) -> tuple[Path, Path]:
    """A pickled model that was fitted on the first 1,000 rows, and all rows as CSV."""
    frame = rows(kind)
    line = LinearRegression() if kind == "regression" else LogisticRegression()
    model = model or make_pipeline(StandardScaler(), line)
    model.fit(frame[["weight", "size"]][:1000], frame["target"][:1000])
    (folder / "model.pkl").write_bytes(pickle.dumps(model))
    frame.to_csv(folder / "rows.csv", index=False)
    return folder / "model.pkl", folder / "rows.csv"


def tried(folder: Path, kind: str, *options: str) -> int:
    model, data = (str(path) for path in written(folder, kind))
    return run(["try", model, data, "--target", "target", "--exit", "--save", str(folder / "saved"), *options])


@pytest.mark.parametrize(
    ("kind", "metric"), [("binary", "brier"), ("multiclass", "log_loss"), ("regression", "squared_error")]
)
def test_a_good_model_ships(tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str, metric: str) -> None:
    """What was inferred, the baseline, the verdict and the time of a row, in this order; then a project that opens."""
    code = tried(tmp_path, kind, "--trust")
    out = capsys.readouterr().out
    assert code == 0, out
    said = ["kind: " + kind, "metric: " + metric, "time: asked_at", "may have been trained on", "retraining is off",
            "baseline: Best of", "SHIP: ", "speed: ", "p99", "v2 is the incumbent"]  # fmt: skip
    places = [out.index(words) for words in said]
    assert places == sorted(places)
    with open_project(tmp_path / "saved") as project:
        assert project.config.task.kind == kind
        assert (project.roles().incumbent, project.roles().previous) == ("v2", "v1")
        assert project.version("v2").signature.names == ("weight", "size")
        assert project.version("v2").n_rows == N


def test_the_hash_of_the_pickle_is_on_the_ledger(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever asks later which file it was finds its sha256."""
    assert tried(tmp_path, "binary", "--trust") == 0
    digest = hashlib.sha256((tmp_path / "model.pkl").read_bytes()).hexdigest()
    assert digest in capsys.readouterr().out
    with open_project(tmp_path / "saved") as project:
        events = project.facts.ledger.events(types=["VersionRegistered"])
    assert digest in json.dumps(events[1].data)


def test_without_trust_the_pickle_is_not_loaded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A pickle can run any code: refused, and nothing is written."""
    ran = tmp_path / "ran"
    (tmp_path / "rows.csv").write_text("a,target\n1,0\n")
    (tmp_path / "model.pkl").write_bytes(b"cpathlib\nPath.touch\n(cpathlib\nPath\n(V" + str(ran).encode() + b"\ntRtR.")
    code = run(["try", str(tmp_path / "model.pkl"), str(tmp_path / "rows.csv"), "--target", "target", "--exit"])
    err = capsys.readouterr().err
    assert code == 4
    assert "ArtefactRefused" in err and "--trust" in err and "Traceback" not in err
    assert not ran.exists()


def test_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One document: what was inferred, the verdict and the latency."""
    code = tried(tmp_path, "binary", "--trust", "--json")
    found = json.loads(capsys.readouterr().out)
    assert (code, found["verdict"], found["incumbent"], found["version"]) == (0, "ship", "v2", "v2")
    assert found["latency"]["p99_ms"] > 0
    assert Path(found["folder"]) == tmp_path / "saved"


def test_a_model_that_is_wrong_is_held(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 1; the baseline stays the incumbent."""
    frame = rows("binary")
    model = LogisticRegression().fit(frame[["weight", "size"]], 1 - frame["target"])
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(model))
    frame.to_csv(tmp_path / "rows.csv", index=False)
    arguments = ["try", str(tmp_path / "model.pkl"), str(tmp_path / "rows.csv"), "--target", "target", "--trust"]
    code = run([*arguments, "--exit", "--json", "--save", str(tmp_path / "saved")])
    found = json.loads(capsys.readouterr().out)
    assert (code, found["verdict"], found["incumbent"]) == (1, "hold", "v1")


def test_a_saved_project_can_be_moved_by_hand(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A pickle that skops cannot hold: our own ledger vouches for it, for doctor, rollback and promote too."""
    model, data = written(tmp_path, "binary", LogisticRegressionOfOurs())
    saved = str(tmp_path / "saved")
    arguments = ["try", str(model), str(data), "--target", "target", "--trust", "--exit", "--save", saved]
    assert run(arguments) == 0, capsys.readouterr()
    assert run(["rollback", "-p", saved, "-r", "a test"]) == 0, capsys.readouterr().err
    assert run(["promote", "v2", "-p", saved, "-r", "a test"]) == 0, capsys.readouterr().err
    capsys.readouterr()
    run(["doctor", "-p", saved, "--json"])
    found = {one["check"]: one["ok"] for one in json.loads(capsys.readouterr().out)["checks"]}
    assert found["v2 repeats its golden rows"]


class LogisticRegressionOfOurs(LogisticRegression):
    """A class that neither skops nor the compiler knows."""


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda f: f.drop(columns="target"), "no such column; found asked_at, weight, size"),
        (lambda f: f.drop(columns="size"), "columns that the data lacks: size"),
        (lambda f: f.assign(target=None), "label"),
        (lambda f: f.assign(target=1), "one class only"),
        (lambda f: f.assign(weight="heavy"), "weight"),
        (lambda f: f[:0], "all 0 labels are null"),
    ],
    ids=["no target", "no feature", "no label", "one class", "another type", "no rows"],
)
def test_data_that_cannot_be_used(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], change: Any, words: str
) -> None:
    """One paragraph that names what is wrong, exit 4."""
    model, data = written(tmp_path, "binary")
    change(rows("binary")).to_csv(data, index=False)
    code = run(["try", str(model), str(data), "--target", "target", "--trust", "--exit"])
    err = capsys.readouterr().err
    assert code == 4, err
    assert words in err and "Traceback" not in err


@pytest.mark.parametrize(("name", "content"), [("model.pkl", b"no pickle"), ("rows.csv", b"")])
def test_files_that_are_no_such_thing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, content: bytes
) -> None:
    model, data = written(tmp_path, "binary")
    (tmp_path / name).write_bytes(content)
    assert run(["try", str(model), str(data), "--target", "target", "--trust", "--exit"]) == 4
    err = capsys.readouterr().err
    assert name in err and "Traceback" not in err


def test_files_that_are_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["try", str(tmp_path / "a.pkl"), str(tmp_path / "b.csv"), "--target", "t", "--trust", "--exit"]) == 4
    err = capsys.readouterr().err
    assert "a.pkl" in err and "Traceback" not in err


def test_a_project_that_is_there_is_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """--save writes over no project."""
    assert tried(tmp_path, "binary", "--trust") == 0
    before = (tmp_path / "saved" / "incumbent.toml").read_text()
    assert tried(tmp_path, "regression", "--trust") == 2
    assert "is there already" in capsys.readouterr().err
    assert (tmp_path / "saved" / "incumbent.toml").read_text() == before
