"""The tree keeps its shape: imports point down, importing is light, no file names a machine."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# Packages that only the judging path may load.
JUDGING = {
    "altair", "catboost", "lightgbm", "matplotlib", "mlflow", "narwhals", "onnx", "onnxmltools", "onnxscript", "pandas",
    "safetensors", "scipy", "skl2onnx", "sklearn", "skops", "torch", "vl_convert", "xgboost",
}  # fmt: skip

# A folder of one machine, or a host that packages come from; a space keeps each pattern from matching itself.
PLACES = re.compile(
    r"""
      (?<![\w.}])/ (?: work | root | home/\w+ | Users/\w+ | opt/pypi ) /
    | pypi [.] org | python hosted [.] org | conda [.] anaconda | arti factory | index [-] url
    """,
    re.VERBOSE,
)


def loaded_by(statement: str) -> set[str]:
    """The names of all modules that a fresh interpreter holds after `statement`."""
    code = f"{statement}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


def packages(modules: set[str]) -> set[str]:
    return {name.split(".")[0] for name in modules}


def test_imports_point_down() -> None:
    """Every contract of import-linter in pyproject.toml is kept."""
    command = [Path(sys.executable).with_name("lint-imports"), "--no-cache", "--no-logo"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


def test_importing_the_package_loads_nothing_heavy() -> None:
    """`import incumbent` loads no package but itself and the standard library, and none of its own rooms."""
    modules = loaded_by("import incumbent")
    assert packages(modules) & (JUDGING | {"numpy", "msgspec", "onnxruntime", "starlette", "typer"}) == set()
    assert {name for name in modules if name.startswith("incumbent.")} == set()


def test_the_terminal_loads_nothing_that_judges() -> None:
    """`incumbent status` and the like run on machines that serve: no command loads what only another one needs."""
    assert packages(loaded_by("import incumbent.cli")) & JUDGING == set()


def test_the_server_loads_nothing_that_judges() -> None:
    """`import incumbent.asgi` loads no step, no project, no rehearsal and no package of the judging path."""
    modules = loaded_by("import incumbent.asgi")
    rooms = {".".join(name.split(".")[:2]) for name in modules if name.startswith("incumbent.")}
    assert "incumbent.asgi" in rooms
    judging = {"cli", "rehearse", "project", "charts", "steps", "checks"}
    assert rooms & {f"incumbent.{room}" for room in judging} == set()
    assert packages(modules) & JUDGING == set()


def test_public_names_are_loaded_on_first_use() -> None:
    """Every public name can be had from `incumbent`, and a wrong one is an error that lists them."""
    import incumbent

    for name in incumbent.__all__:
        assert getattr(incumbent, name) is not None
    with pytest.raises(AttributeError, match=r"no attribute 'nonsense'; it has .*Project"):
        incumbent.nonsense  # noqa: B018 -- looking it up is the test


def tracked_files() -> list[Path]:
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        pytest.skip("not a git checkout: there is no list of tracked files")
    command = ["git", "-c", f"safe.directory={ROOT}", "ls-files", "-z"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    return [ROOT / name for name in done.stdout.split("\0") if name]


def places_in(text: str) -> list[str]:
    return [match.group() for match in PLACES.finditer(text)]


@pytest.mark.parametrize(
    "text",
    [
        "see /" + "work/x",
        'open("/' + 'home/ann/data.csv")',
        "https://pypi" + ".org/simple",
        "--extra-index" + "-url x",
    ],
)
def test_a_place_is_recognised(text: str) -> None:
    """The pattern finds folders of one machine and hosts of registries."""
    assert places_in(text) != []


@pytest.mark.parametrize(
    "text", ["src/incumbent/work/x", "POST /v1/predict", "docs/root/index.md", "pypi package"]
)
def test_what_is_no_place_passes(text: str) -> None:
    """Paths inside the repository and of the HTTP interface are left alone."""
    assert places_in(text) == []


def test_no_tracked_file_names_a_machine() -> None:
    """No tracked text holds a path of the machine it was written on, or the host of a package registry."""
    found = {}
    for path in tracked_files():
        content = path.read_bytes() if path.is_file() else b""
        if b"\0" not in content[:8000]:  # binary files, told as git does
            places = places_in(content.decode("utf-8", errors="replace"))
            if places:
                found[str(path.relative_to(ROOT))] = places
    assert found == {}
