"""The wheel, alone in an empty environment: light, and clear about what it lacks."""

import os
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path

import pytest

import incumbent

ROOT = Path(__file__).parents[1]
LIMIT_BYTES = 250_000_000

# One environment serves all: the group keeps these tests on one xdist worker.
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("package")]

SETTINGS = """\
[task]
name = "rain"
kind = "binary"
target = "wet"
metric = "brier"
code = "task.py"
"""

CODE = """\
def load(since=None, until=None):
    raise AssertionError("the missing extra must be named before the rows are read")


def train(rows):
    raise AssertionError("nothing is trained here")
"""


@dataclass(frozen=True)
class Environment:
    """A virtual environment that holds the wheel and what it depends on, nothing more."""

    folder: Path

    @property
    def scripts(self) -> Path:
        return self.folder / ("Scripts" if os.name == "nt" else "bin")

    def run(self, *command: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run one of its programs, away from the checkout and from this process's Python settings."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        program = self.scripts / command[0]
        return subprocess.run(
            [program, *command[1:]], capture_output=True, text=True, cwd=cwd or self.folder, env=kept
        )

    def site_packages(self) -> Path:
        done = self.run("python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))")
        return Path(done.stdout.strip())


def built(folder: Path) -> Path:
    """The one wheel that `python -m build` makes of the checkout."""
    command = [sys.executable, "-m", "build", "--wheel", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = folder.glob("incumbent-*.whl")
    return wheel


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    wheel = built(tmp_path_factory.mktemp("wheel"))
    environment = Environment(tmp_path_factory.mktemp("empty") / "venv")
    venv.create(environment.folder, with_pip=False, symlinks=os.name != "nt")
    pip = [sys.executable, "-m", "pip", "--python", str(environment.scripts / "python"), "install", "--quiet"]
    done = subprocess.run(
        [*pip, "--constraint", str(ROOT / "constraints.txt"), str(wheel)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return environment


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "incumbent.toml").write_text(SETTINGS)
    (tmp_path / "task.py").write_text(CODE)
    return tmp_path


def test_the_base_install_is_light(environment: Environment) -> None:
    """`pip install incumbent` puts at most 250 MB on the disk."""
    files = [path for path in environment.site_packages().rglob("*") if path.is_file()]
    assert files != []
    assert sum(path.stat().st_size for path in files) <= LIMIT_BYTES


def test_the_base_install_cannot_judge(environment: Environment) -> None:
    """No package of the judging path comes with it, and what is there imports."""
    code = (
        "from importlib.util import find_spec\n"
        "names = ['scipy', 'sklearn', 'pandas', 'altair', 'lightgbm', 'matplotlib', 'vl_convert']\n"
        "print([name for name in names if find_spec(name)])\n"
        "import incumbent.asgi"
    )
    done = environment.run("python", "-c", code)
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr


def test_the_command_says_its_version(environment: Environment) -> None:
    """`incumbent --version` works there and prints the version of the package."""
    done = environment.run("incumbent", "--version")
    assert (done.returncode, done.stdout.strip()) == (0, f"incumbent {incumbent.__version__}"), done.stderr


def test_a_command_that_judges_names_the_extra(environment: Environment, project: Path) -> None:
    """`incumbent baseline` ends with exit code 4 and says which extra to install."""
    done = environment.run("incumbent", "baseline", cwd=project)
    assert done.returncode == 4, done.stdout + done.stderr
    assert 'pip install "incumbent[all]"' in done.stderr
    assert "Traceback" not in done.stderr


def test_the_wheel_holds_what_the_package_needs(environment: Environment) -> None:
    """Every file below src/incumbent (code, types, pages) is in the installed package."""
    source = ROOT / "src" / "incumbent"
    files = [path for path in source.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    installed = environment.site_packages() / "incumbent"
    assert [str(path) for path in files if not (installed / path.relative_to(source)).is_file()] == []
