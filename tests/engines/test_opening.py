"""Predictors that we run ourselves run here; anything else in a child that opens the version itself."""

import os
import signal
from pathlib import Path

import lightgbm as lgb
import numpy as np
import pytest

from incumbent import config
from incumbent.engines.inline import Inline
from incumbent.engines.opening import is_harmless, open_in_child, opener, runs_inline
from incumbent.engines.worker import Worker
from incumbent.errors import EngineDied, NotAnswering, StoreDamaged
from incumbent.records import Column, Signature, Version
from incumbent.runtimes import artefact
from incumbent.runtimes.rule import Rule
from incumbent.runtimes.table import Table
from incumbent.storage.opening import open_blobs

TOML = '[task]\nname="t"\nkind="binary"\ntarget="y"\nmetric="brier"\n'
SIGNATURE = Signature((Column("x", "number"),), "binary", (0, 1))
ROWS = {"x": np.array([1.0, 2.0])}


@pytest.fixture
def project(tmp_path: Path) -> config.Config:
    return config.parse(TOML, tmp_path)


@pytest.fixture
def manifest(project: config.Config) -> str:
    rule = Rule({"rule": "prior", "probabilities": [0.75, 0.25]}, SIGNATURE)
    saved = artefact.save(
        open_blobs(project), rule, runtime="rule", signature=SIGNATURE, sample=ROWS, versions=project.versions
    )
    return saved.manifest


@pytest.mark.parametrize(
    ("runtime", "serves", "inline"),
    [
        ("rule", "rule.json", True),
        ("onnx", "model.onnx", True),
        ("sklearn", "twin.onnx", True),
        ("sklearn", "twin.linear.json", True),
        ("sklearn", "twin.lightgbm.json", True),
        ("lightgbm", "model.lightgbm.txt", True),
        ("sklearn", "native.skops", False),
        ("pyfunc", "pyfunc.json", False),
        ("xgboost", "model.xgboost.ubj", False),
        ("catboost", "model.catboost.cbm", False),
    ],
)
def test_what_is_ours_runs_inline(runtime: str, serves: str, inline: bool) -> None:
    """A compiled twin is ours, whatever it was compiled from."""
    assert runs_inline(Version("v1", runtime, "0" * 64, SIGNATURE, serves)) is inline


def test_a_rule_is_opened_here(project: config.Config, manifest: str) -> None:
    """Loaded from its blobs and proved; it answers."""
    engine = opener(project, open_blobs(project))(Version("v1", "rule", manifest, SIGNATURE, "rule.json"))
    assert isinstance(engine, Inline)
    assert engine.predict(ROWS, 1000).tolist() == [[0.75, 0.25]] * 2


def test_a_child_opens_the_version_from_the_blobs(project: config.Config, manifest: str) -> None:
    """Only configuration and hash cross to the child, and columns later."""
    worker = Worker("v1", open_in_child, (project, manifest))
    try:
        assert worker.predict(ROWS, 5000).tolist() == [[0.75, 0.25]] * 2
    finally:
        worker.close()


def test_other_peoples_code_gets_a_worker_whose_errors_are_heard(project: config.Config) -> None:
    """A native version opens in a child; that its blobs are missing is heard here, as the same error."""
    with pytest.raises(StoreDamaged, match="missing from the store"):
        opener(project, open_blobs(project))(Version("v1", "sklearn", "0" * 64, SIGNATURE, "native.skops"))


def boosted(project: config.Config) -> Version:
    """A small LightGBM model."""
    blobs, rows = open_blobs(project), np.linspace(-1, 1, 200)
    model = lgb.train({"objective": "binary", "verbose": -1, "num_threads": 1}, lgb.Dataset(rows[:, None], rows > 0), 5)
    saved = artefact.save(
        blobs, model, runtime="lightgbm", signature=SIGNATURE, sample={"x": rows}, versions=project.versions
    )
    return Version("v1", "lightgbm", saved.manifest, SIGNATURE, saved.serves)


def test_a_challenger_that_could_harm_gets_a_worker(project: config.Config) -> None:
    """A graph that somebody else wrote may do as it likes: until it has earned its place, in a process of its own."""
    blobs, rows = open_blobs(project), np.linspace(-1, 1, 200)
    parts = artefact.manifest(blobs, boosted(project).manifest)["parts"]
    saved = artefact.save(
        blobs, blobs.get(parts["twin.onnx"]), runtime="onnx", signature=SIGNATURE, sample={"x": rows},
        versions=project.versions,
    )  # fmt: skip
    version = Version("v1", "onnx", saved.manifest, SIGNATURE, saved.serves)
    here, apart = opener(project, blobs)(version), opener(project, blobs)(version, apart=True)
    try:
        assert isinstance(here, Inline) and isinstance(apart, Worker)
        table = Table(rows[:, None], ("x",))
        np.testing.assert_array_equal(apart.predict(table, 30_000), here.predict(table, 30_000))
        assert apart.pid is not None
        os.kill(apart.pid, signal.SIGKILL)
        with pytest.raises(EngineDied):
            apart.predict(table, 30_000)
    finally:
        apart.close()


@pytest.mark.parametrize("compiled", [True, False])
def test_a_challenger_that_cannot_harm_needs_no_process(tmp_path: Path, manifest: str, compiled: bool) -> None:
    """A twin that we made and proved, a rule, checked trees: none of them hangs or grows."""
    project = config.parse(f"{TOML}[versions]\ncompile={str(compiled).lower()}\n", tmp_path)
    opens, trees = opener(project, open_blobs(project)), boosted(project)
    assert trees.serves == ("twin.onnx" if compiled else "model.lightgbm.txt")
    assert isinstance(opens(trees, apart=True), Inline)
    assert isinstance(opens(Version("v1", "rule", manifest, SIGNATURE, "rule.json"), apart=True), Inline)


@pytest.mark.parametrize(
    ("serves", "brought", "harmless"),
    [
        ("twin.onnx", False, True),
        ("twin.onnx", True, False),
        ("model.onnx", False, False),
        ("model.lightgbm.txt", True, True),
        ("twin.linear.json", True, True),
        ("native.skops", False, False),
    ],
)
def test_a_graph_from_elsewhere_is_no_twin_of_ours(serves: str, brought: bool, harmless: bool) -> None:
    """An exported folder brings its twin as bytes: somebody may have written them."""
    assert is_harmless(Version("v1", "sklearn", "0" * 64, SIGNATURE, serves, brought=brought)) is harmless


def test_a_reference_is_not_opened(project: config.Config) -> None:
    """People and columns of an existing system cannot answer new rows."""
    with pytest.raises(NotAnswering, match=r"v1 \(people\) is a reference"):
        opener(project, open_blobs(project))(Version("v1", "people", "0" * 64, SIGNATURE, answers=False))
