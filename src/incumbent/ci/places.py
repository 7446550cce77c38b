"""Which files are wanted, and where? What was asked for by option, and what the CI service at hand expects.

In: options, and the environment as a mapping. Out: Targets. Touches no file.

| service | known by | all files go to incumbent-gate/ in | and |
| --- | --- | --- | --- |
| GitHub Actions | GITHUB_ACTIONS=true | the workspace | the step's summary and outputs are appended to |
| GitLab CI | GITLAB_CI=true | the checkout | |
| another | CI=true | the working folder | |
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from incumbent.errors import ConfigError

FOLDER = "incumbent-gate"
PICTURES = (".svg", ".png")
NAMES = {
    "summary": "summary.md", "junit": "junit.xml", "json": "gate.json", "openmetrics": "metrics.txt",
    "dotenv": "gate.env", "report": "report.html", "picture": "picture.svg",
}  # fmt: skip
"""What each output is called in a folder that holds all of them."""


@dataclass(frozen=True, slots=True)
class Targets:
    """`files` by output, in the order of NAMES (the picture may be there twice, as SVG and PNG). `step_summary` and
    `step_outputs` are files of the service, which are appended to."""

    files: tuple[tuple[str, Path], ...] = ()
    step_summary: Path | None = None
    step_outputs: Path | None = None

    @property
    def all(self) -> tuple[Path, ...]:
        """Every path that will be written."""
        appended = (one for one in (self.step_summary, self.step_outputs) if one is not None)
        return (*(path for _, path in self.files), *appended)


def targets(
    asked: Mapping[str, Path | None], folder: Path | None, environment: Mapping[str, str], service: bool = True
) -> Targets:
    """What is to be written: `asked` by output, everything in `folder`, and (`service`) what the service expects.

    Raises ConfigError for a picture that is neither SVG nor PNG.
    """
    picture = asked.get("picture")
    if picture is not None and picture.suffix.lower() not in PICTURES:
        expected = ", ".join(PICTURES)
        raise ConfigError(f"--picture {picture}: found the ending {picture.suffix!r}, expected one of {expected}")
    home = folder or (_home(environment) if service else None)
    files = [(name, path) for name in NAMES if (path := asked.get(name)) is not None]
    if home is not None:
        files += [(name, home / called) for name, called in NAMES.items()]
        files.append(("picture", home / "picture.png"))
    appended = [_path(environment, name) if service else None for name in ("GITHUB_STEP_SUMMARY", "GITHUB_OUTPUT")]
    return Targets(tuple(dict.fromkeys(files)), *appended)


def _home(environment: Mapping[str, str]) -> Path | None:
    """The folder for artefacts; None outside a CI service."""
    if environment.get("GITHUB_ACTIONS") == "true":
        return Path(environment.get("GITHUB_WORKSPACE") or ".") / FOLDER
    if environment.get("GITLAB_CI") == "true":
        return Path(environment.get("CI_PROJECT_DIR") or ".") / FOLDER
    return Path(FOLDER) if environment.get("CI", "").lower() in ("true", "1") else None


def _path(environment: Mapping[str, str], name: str) -> Path | None:
    return Path(environment[name]) if environment.get(name) else None
