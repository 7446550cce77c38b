"""What nobody opened before is opened in a process of its own: that one may end, ours does not."""

import os
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from incumbent import config
from incumbent.engines.contained import Contained, containing, open_contained, open_predictor
from incumbent.engines.worker import Worker
from incumbent.errors import ArtefactRefused, GoldenMismatch, PredictError
from incumbent.records import Column, Signature
from incumbent.runtimes import artefact
from incumbent.runtimes.base import Opening
from incumbent.runtimes.pyfunc import CodeFolder, pack
from incumbent.runtimes.rule import Rule
from incumbent.storage.opening import open_blobs

TOML = '[task]\nname="t"\nkind="regression"\ntarget="y"\nmetric="squared_error"\n[versions]\ncode = true\n'
SIGNATURE = Signature((Column("x", "number"),), "regression")
ROWS = {"x": np.array([1.0, 2.0])}
TWICE = "class Predictor:\n    def predict(self, rows):\n        return 2 * rows['x']\n"
FORGETFUL = "import os\nclass Predictor:\n    def predict(self, rows):\n        return rows['x'] + os.getpid()\n"


@pytest.fixture
def project(tmp_path: Path) -> config.Config:
    return config.parse(TOML, tmp_path)


def saved(project: config.Config, code: str) -> artefact.Saved:
    folder = CodeFolder({"predictor.py": code.encode()})
    return artefact.save(open_blobs(project), folder, runtime="pyfunc", signature=SIGNATURE, sample=ROWS,
                         versions=project.versions, contain=containing(project))  # fmt: skip


def test_code_is_stored_and_opened_in_processes_of_its_own(project: config.Config) -> None:
    """It has the face of a predictor; its process ends with `close`."""
    version = saved(project, TWICE)
    found = open_predictor(project, version.manifest)
    assert isinstance(found, Contained) and (found.runtime, found.signature) == ("pyfunc", SIGNATURE)
    assert found.predict(ROWS).tolist() == [2.0, 4.0]
    many = {"x": np.arange(25_000.0)}
    assert np.array_equal(found.predict(many), 2 * many["x"])
    assert found.predict({"x": np.empty(0)}).shape == (0,)
    pid = found.pid
    found.close()
    assert pid is not None and pid != os.getpid()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_code_that_answers_otherwise_each_time_is_not_opened(project: config.Config) -> None:
    """The golden rows are replayed in the child; its error is ours."""
    version = saved(project, FORGETFUL)
    with pytest.raises(GoldenMismatch, match="No library changed"):
        open_predictor(project, version.manifest)


def test_what_is_ours_is_opened_here(project: config.Config) -> None:
    """A rule needs no process, unless somebody asks for one."""
    rule = Rule({"rule": "constant", "value": 3.0}, SIGNATURE)
    version = artefact.save(open_blobs(project), rule, runtime="rule", signature=SIGNATURE, sample=ROWS,
                            versions=project.versions)  # fmt: skip
    assert isinstance(open_predictor(project, version.manifest), Rule)
    apart = open_contained(project, version.manifest, "rule")
    try:
        assert apart.predict(ROWS).tolist() == [3.0, 3.0]
    finally:
        apart.close()


def test_without_a_process_of_its_own_no_code_is_stored(project: config.Config) -> None:
    """`save` alone would run it here."""
    folder = CodeFolder({"predictor.py": TWICE.encode()})
    with pytest.raises(ArtefactRefused, match="runs in a process of its own, never in this one"):
        artefact.save(open_blobs(project), folder, runtime="pyfunc", signature=SIGNATURE, sample=ROWS,
                      versions=project.versions)  # fmt: skip


def test_the_process_ends_with_the_stack_also_after_an_error(
    project: config.Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is left running."""
    closed: list[int | None] = []
    before = Worker.close

    def close(worker: Worker) -> None:
        closed.append(worker.pid)
        before(worker)

    monkeypatch.setattr(Worker, "close", close)
    opening = Opening(SIGNATURE, project.versions, None, vouched=True, blobs=open_blobs(project))
    part, content = pack(CodeFolder({"predictor.py": TWICE.replace("'x'", "'no such column'").encode()}), opening)
    with pytest.raises(PredictError, match="raised KeyError"), ExitStack() as stack:
        containing(project)(part, content, opening, stack).predict(ROWS)
    assert closed and closed[0] is not None
