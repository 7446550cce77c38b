"""`incumbent live report`: what the trial's page says, as text, as one file with everything inside, as a picture."""

import json
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from said import Command, refused

from incumbent import config as configuration
from incumbent import report
from incumbent.records import Evidence
from incumbent.storage.opening import open_facts
from incumbent.web import trial as page

sys.path.insert(0, str(Path(__file__).parents[1] / "web"))

import trials  # found by the line above

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(scope="module")
def made(tmp_path_factory: Any) -> Path:
    """A folder with a project of each kind."""
    folder: Path = tmp_path_factory.mktemp("trials")
    for kind in ("split", "ended", "none"):
        trials.write(folder / kind, kind).close()
    return folder


def test_the_page_needs_nothing_beside_it(command: Command, made: Path, tmp_path: Path) -> None:
    """Verdict, guardrails, phases and looks are in it, the pictures too; no script, no address that is fetched."""
    written, picture = tmp_path / "trial.html", tmp_path / "trial.png"
    code, out, _ = command("live", "report", "-p", made / "split", "--out", written, "--png", picture)
    assert code == 0 and "Not decided yet. v3 against v2" in out and f"wrote {written}" in out
    assert "✓ shown harmless" in out and "missing: 410 labels" in out
    text = written.read_text(encoding="utf-8")
    for told in ("Not decided yet.", "stopped if all is below", "The split itself", "Third arm", "no harm shown",
                 "Recorded looks", "drawn-dark", "What must not be harmed"):  # fmt: skip
        assert told in text
    addresses = set(re.findall(r"https?://[^\"'\s<)]+", text))
    assert addresses <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert "<script" not in text and "href=\"/" not in text and "<form" not in text
    assert picture.read_bytes().startswith(PNG)


def test_a_trial_is_named_or_is_the_last(command: Command, made: Path) -> None:
    """A past one by its name."""
    assert json.loads(command("live", "report", "-p", made / "ended", "--json")[1])["name"] == "t8"
    code, out, _ = command("live", "report", "t6", "-p", made / "ended")
    assert code == 0 and "trial t6 (shadow)" in out and "The challenger is shown better" in out
    refused(command("live", "report", "t99", "-p", made / "ended"), 2, "there were t6, t8")


def test_what_cannot_be_told_is_refused(command: Command, made: Path, tmp_path: Path) -> None:
    """No trial; a picture of another kind. Nothing is written."""
    refused(command("live", "report", "-p", made / "none"), 2, "no trial to report on")
    refused(command("live", "report", "-p", made / "split", "--png", tmp_path / "a.gif"), 2, "ends in .png")
    assert list(tmp_path.iterdir()) == []


def test_late_labels_have_a_part_of_their_own(made: Path) -> None:
    """Where somebody asked what they change; else the page says nothing of them."""
    config = configuration.load(made / "ended")
    facts = open_facts(config)
    shown = page.page(facts, config)
    facts.close()
    looks = [trials.look("t8", "split", n) for n in range(1, 11)]
    said = "Trial t8 ended as stop; with the 40 labels that came since it would have been decided otherwise."
    found = Evidence("live", "v3", "promote", said, 0, "v2", {"estimate": 0.004, "lower": 0.001, "upper": 0.007})
    told = report.trial(shown, looks, config, afterwards=found)
    assert "With the labels that came late" in told and said in told and "+0.001" in told
    assert "With the labels that came late" not in report.trial(shown, looks, config)
    assert report.late(replace(found, numbers={})) == {
        "sentence": said, "verdict": "promote", "estimate": None, "lower": None, "upper": None,
    }  # fmt: skip
