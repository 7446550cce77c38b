"""What is written follows the options, and the service that the environment shows."""

from pathlib import Path

import pytest

from incumbent.ci.places import NAMES, targets
from incumbent.errors import ConfigError

GITHUB = {
    "CI": "true", "GITHUB_ACTIONS": "true", "GITHUB_WORKSPACE": "/w", "GITHUB_STEP_SUMMARY": "/t/s",
    "GITHUB_OUTPUT": "/t/o",
}  # fmt: skip


def test_at_a_terminal_nothing_is_written() -> None:
    assert targets({"summary": None}, None, {}).all == ()


def test_what_was_asked_for_is_written() -> None:
    found = targets({"junit": Path("j.xml"), "picture": Path("p.png"), "report": None}, None, {})
    assert found.files == (("junit", Path("j.xml")), ("picture", Path("p.png")))


def test_a_folder_gets_every_output_once() -> None:
    found = targets({}, Path("g"), {})
    assert len(found.files) == len(NAMES) + 1 == len(set(found.all))
    assert {name for name, _ in found.files} == set(NAMES)


def test_github_gets_its_summary_its_outputs_and_a_folder_to_upload() -> None:
    found = targets({}, None, GITHUB)
    assert (found.step_summary, found.step_outputs) == (Path("/t/s"), Path("/t/o"))
    assert ("junit", Path("/w/incumbent-gate/junit.xml")) in found.files


@pytest.mark.parametrize(
    ("environment", "home"),
    [
        ({"CI": "true", "GITLAB_CI": "true", "CI_PROJECT_DIR": "/b"}, Path("/b/incumbent-gate")),
        ({"CI": "1"}, Path("incumbent-gate")),
        ({"CI": "false"}, None),
    ],
)
def test_other_services_get_the_folder(environment: dict[str, str], home: Path | None) -> None:
    found = targets({}, None, environment)
    assert {path.parent for path in found.all} == ({home} if home else set())


def test_no_ci_leaves_the_service_alone() -> None:
    """What was asked for by name is written all the same."""
    asked = {"summary": Path("s.md")}
    assert targets(asked, None, GITHUB, service=False).all == (Path("s.md"),)


def test_a_folder_of_ones_own_goes_before_the_usual_one() -> None:
    assert {path.parent for _, path in targets({}, Path("mine"), GITHUB).files} == {Path("mine")}


def test_a_picture_is_svg_or_png() -> None:
    with pytest.raises(ConfigError, match=r"'\.gif'.*\.svg, \.png"):
        targets({"picture": Path("p.gif")}, None, {})
