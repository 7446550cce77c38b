"""Code runs by opt-in, from our own ledger, in a process of its own; then it answers as any predictor does."""

import json
import subprocess
import sys
import tempfile
import textwrap
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars
import pytest
from flight_rows import BINARY, NUMBER, Memory, flights, task_of

from incumbent.config import Versions
from incumbent.errors import ArtefactRefused, StoreDamaged
from incumbent.records import Column, Signature
from incumbent.runtimes import frames, pyfunc, schema
from incumbent.runtimes.base import Opening
from incumbent.runtimes.pyfunc import CodeFolder, PyFunc, load, pack

CODE = Versions(code=True)
SIGNATURE = Signature((Column("x", "number"),), "regression")
TWICE = b"class Predictor:\n    def predict(self, rows):\n        return 2 * rows['x']\n"
ROWS = {"x": np.array([1.0, 2.0])}


@pytest.fixture(autouse=True)
def _apart(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Its folders in ours, and what an import leaves behind goes."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.delitem(sys.modules, "predictor", raising=False)


def opening(versions: Versions = CODE, blobs: Any = None, **changes: Any) -> Opening:
    known = Opening(SIGNATURE, versions, None, vouched=True, blobs=blobs or Memory(), contained=True)
    return replace(known, **changes)


def opened(files: dict[str, bytes], **changes: Any) -> PyFunc:
    given = opening(**changes)
    return load(pack(CodeFolder(files), given)[1], given)


def test_a_class_or_a_function_gives_the_predictor() -> None:
    """With the folder or without it; files and modules beside it are there."""
    assert opened({"predictor.py": TWICE}).predict(ROWS).tolist() == [2.0, 4.0]
    code = textwrap.dedent(
        """
        from beside import OFFSET

        class Mine:
            def __init__(self, factor):
                self.factor = factor

            def predict(self, rows):
                return rows["x"].to_numpy() * self.factor + OFFSET

        def load(folder):
            return Mine(float((folder / "weights" / "factor.txt").read_text()))
        """
    ).encode()
    files = {"predictor.py": code, "beside.py": b"OFFSET = 1", "weights/factor.txt": b"3"}
    sys.modules.pop("predictor")
    found = opened(files)
    assert found.predict(ROWS).tolist() == [4.0, 7.0]
    assert found.predict({"x": np.empty(0)}).shape == (0,)
    folder = next(p.parent for p in Path(tempfile.gettempdir()).rglob("factor.txt")).parent
    assert folder.stat().st_mode & 0o077 == 0


def test_code_needs_the_opt_in_the_ledger_and_a_process_of_its_own() -> None:
    """All three, each time it is opened; nothing is imported without one of them."""
    part, content = pack(CodeFolder({"predictor.py": b"raise SystemExit('it ran')"}), opening())
    assert part == "pyfunc.json"
    with pytest.raises(ArtefactRefused, match=r"under \[versions\]: code = true"):
        pack(CodeFolder({"predictor.py": TWICE}), opening(Versions()))
    with pytest.raises(ArtefactRefused, match=r"under \[versions\]: code = true"):
        load(content, opening(Versions()))
    with pytest.raises(ArtefactRefused, match="is not on our ledger, and is not run"):
        load(content, opening(vouched=False))
    with pytest.raises(ArtefactRefused, match="runs in a process of its own, never in this one"):
        load(content, opening(contained=False))


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        (b"import no_such_package", "cannot be imported: ModuleNotFoundError.*requirements.txt says what it needs"),
        (b"1 +", "cannot be imported: SyntaxError"),
        (b"x = 1", r"has neither load\(folder\) nor a class Predictor"),
        (b"def load(folder): return 1", r"gives int, expected an object with predict\(rows\)"),
        (b"def load(folder): raise OSError('gone')", "gives no predictor: OSError: gone"),
    ],
)
def test_code_that_gives_no_predictor_says_why(code: bytes, sentence: str) -> None:
    with pytest.raises(ArtefactRefused, match=sentence):
        opened({"predictor.py": code, "requirements.txt": b"no_such_package"})


def test_a_list_of_files_that_leaves_its_folder_is_refused() -> None:
    """Upwards, absolute; nothing is written. A file that is gone is named."""
    blobs = Memory()
    digest = blobs.put(TWICE)
    for path in ("../predictor.py", "/tmp/predictor.py", "a/../../predictor.py"):
        with pytest.raises(ArtefactRefused, match="expected one inside its folder"):
            load(json.dumps({"files": {path: digest}}).encode(), opening(blobs=blobs))
        with pytest.raises(ArtefactRefused, match="expected one inside its folder"):
            pack(CodeFolder({"predictor.py": TWICE, path: b""}), opening())
    for content in (b"[]", b"nonsense", b'{"files": 5}'):
        with pytest.raises(ArtefactRefused, match="this is no list of files"):
            load(content, opening())
    assert not list(Path(tempfile.gettempdir()).glob("incumbent-code-*"))
    with pytest.raises(StoreDamaged, match=r"predictor.py 000000000000… is missing from the store"):
        load(json.dumps({"files": {"predictor.py": "0" * 64}}).encode(), opening(blobs=blobs))
    with pytest.raises(ArtefactRefused, match=r"found no predictor.py among a.py"):
        pack(CodeFolder({"a.py": b""}), opening())


class Shares:
    """Probabilities in an order of its own, or of the second class alone."""

    classes_ = (1, 0)

    def __init__(self, second: bool = False) -> None:
        self.second = second

    def predict(self, rows: Any) -> Any:
        if self.second:
            return [0.25] * len(rows)
        return pd.DataFrame({"yes": [0.25] * len(rows), "no": [0.75] * len(rows)})


def test_probabilities_come_in_the_order_of_the_signature() -> None:
    """By `classes_` where it has them; a wrong shape is passed on, to be refused as one."""
    rows = flights(20)
    signature = frames.infer_signature(rows, task_of(BINARY))
    columns = frames.columns(rows, signature)
    assert PyFunc(Shares(), signature).predict(columns)[0].tolist() == [0.75, 0.25]
    assert PyFunc(Shares(second=True), replace(signature, classes=(0, 1))).predict(columns).shape == (20, 2)

    class Wrong:
        def predict(self, rows: Any) -> Any:
            return np.zeros((3, 5))

    assert PyFunc(Wrong(), signature).predict(columns).shape == (3, 5)
    assert PyFunc(Wrong(), frames.infer_signature(rows, task_of(NUMBER))).predict(columns).shape == (3, 5)


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_predict_gets_the_dataframe_of_training(library: str) -> None:
    """The same library, the same dtypes."""
    rows: Any = flights(30).astype({"temp": "float32"})[["carrier", "hour", "temp", "delay"]]
    if library == "polars":
        values = {name: rows[name].tolist() for name in rows.columns}
        rows = polars.DataFrame(values, schema_overrides={"temp": polars.Float32})
    seen: list[Any] = []

    class Looks:
        def predict(self, rows: Any) -> Any:
            seen.append(rows)
            return np.zeros(len(rows))

    signature = frames.infer_signature(rows, task_of(NUMBER, features=("carrier", "hour", "temp")))
    PyFunc(Looks(), signature, schema.of(rows)).predict(frames.columns(rows, signature))
    expected = rows[["carrier", "hour", "temp"]]
    assert type(seen[0]) is type(expected)
    assert list(seen[0].dtypes) == list(expected.dtypes)


def test_folders_of_processes_that_are_gone_are_removed() -> None:
    """A worker is killed and cannot tidy up: the next one does; the folder of one that lives stays."""
    opened({"predictor.py": TWICE})
    code = (
        "import os, pathlib, tempfile; from incumbent.runtimes import pyfunc; "
        f"tempfile.tempdir = {tempfile.gettempdir()!r}; "
        "folder = pathlib.Path(tempfile.gettempdir()) / 'incumbent-code-gone'; pyfunc._hold(folder); folder.mkdir(); "
        "print(folder.exists(), flush=True); os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "True" and (Path(tempfile.gettempdir()) / "incumbent-code-gone").exists()
    before = {p.name for p in Path(tempfile.gettempdir()).glob("incumbent-code-*")}
    pyfunc._sweep()
    after = {p.name for p in Path(tempfile.gettempdir()).glob("incumbent-code-*")}
    assert before - after == {"incumbent-code-gone", "incumbent-code-gone.lock"} and len(after) == 2
