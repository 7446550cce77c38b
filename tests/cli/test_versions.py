"""A version goes into a folder and comes out of it in another project, by commands."""

import json
import sys
from pathlib import Path

import pytest
from parcels import write
from said import Command


@pytest.fixture
def folders(tmp_path: Path, command: Command) -> tuple[Path, Path]:
    """Two projects of one task; the first has v1."""
    found = write(tmp_path / "here", days=30), write(tmp_path / "elsewhere", days=30)
    assert command("register", "-p", found[0], "--description", "the first")[0] == 0
    return found


def test_export_and_register_elsewhere(command: Command, folders: tuple[Path, Path], tmp_path: Path) -> None:
    """What was written is said, with the command that takes it in."""
    here, elsewhere = folders
    code, out, err = command("export", "v1", tmp_path / "out", "-p", here)
    assert code == 0, err
    assert out.startswith(f"wrote v1 into {tmp_path / 'out'}: ") and f"incumbent register {tmp_path / 'out'}" in out
    code, out, err = command("register", tmp_path / "out", "-p", elsewhere)
    assert code == 0, err
    assert out.startswith("registered v1: sklearn, served as twin.linear.json")


def test_export_as_json(command: Command, folders: tuple[Path, Path], tmp_path: Path) -> None:
    """The files, relative to the folder."""
    code, out, _ = command("export", "v1", tmp_path / "out", "-p", folders[0], "--json")
    found = json.loads(out)
    assert code == 0 and found["version"] == "v1" and found["format"] == "folder"
    assert "SHA256SUMS" in found["files"] and found["bytes"] > 1000


@pytest.mark.filterwarnings("ignore")  # MLflow warns of its own plans when it is imported
@pytest.mark.parametrize(
    ("arguments", "code", "word"),
    [
        (("export", "v9", "out"), 4, "v9"),
        (("export", "v1", "out", "--format", "zip"), 2, "expected folder or mlflow"),
        (("register", "nowhere"), 4, "no such file or folder"),
        (("register", "models:/none@champion"), 4, "models:/none@champion"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(
    command: Command,
    folders: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    code: int,
    word: str,
) -> None:
    """And nothing is written."""
    if "models:" in arguments[1]:
        pytest.importorskip("mlflow", reason="mlflow is an extra")
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    monkeypatch.chdir(tmp_path)
    found, out, err = command(*arguments, "-p", folders[0])
    assert (found, out) == (code, "") and word in err and "Traceback" not in err
    assert not (tmp_path / "out").exists()


def test_without_mlflow_its_extra_is_named(
    command: Command, folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where it is not installed."""
    monkeypatch.setitem(sys.modules, "mlflow", None)
    monkeypatch.delitem(sys.modules, "incumbent.project.mlflow", raising=False)
    code, _, err = command("export", "v1", tmp_path / "out", "-p", folders[0], "--format", "mlflow")
    assert code == 4 and 'pip install "incumbent[mlflow]"' in err
