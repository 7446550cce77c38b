"""The commands are run on the small project of the tests of `project`, as if at a terminal: no CI service is near."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "project")]

from parcels import day, traffic, write  # noqa: E402 - found by the line above
from said import Command  # noqa: E402

from incumbent.cli import run  # noqa: E402
from incumbent.project import Project, open_project  # noqa: E402


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    """Run one command; (exit code, standard output, standard error)."""

    def call(*arguments: Any) -> tuple[int, str, str]:
        capsys.readouterr()
        code = run([str(one) for one in arguments])
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project without any version."""
    return write(tmp_path / "parcels", '[retrain]\nevery = "10 days"\nauto_refresh = true\nholdout_days = 7\n')


@pytest.fixture
def project(folder: Path) -> Iterator[Project]:
    """A project whose model of day 40 answers, and has answered until day 50."""
    with open_project(folder, clock=lambda: day(50), actor="test") as found:
        found.baseline(now=day(40))
        version, evidence = found.train(now=day(40))
        assert version is not None
        found.promote(version.name, "it ships", evidence=evidence, now=day(40))
        traffic(found, day(40), day(50))
        yield found


@pytest.fixture(autouse=True)
def _no_service(monkeypatch: pytest.MonkeyPatch) -> None:
    """These tests may themselves run in continuous integration."""
    for name in ("CI", "GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY", "GITHUB_OUTPUT", "GITLAB_CI"):
        monkeypatch.delenv(name, raising=False)
