"""Each system that answers today is a version of its own: a column, a function, an address; once, and with its kind."""

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from parcels import day, write
from systems import System, by_weight

from incumbent.errors import ArtefactRefused, ConfigError, DataError, DecisionRefused, NotAnswering
from incumbent.project import Project, open_project
from incumbent.runtimes import artefact, exported
from incumbent.runtimes.folder import write_files
from incumbent.web import dashboard, versions

FUNCTIONS = """

def by_weight(rows):
    assert "late" not in rows
    return 1 / (1 + np.exp(-rows["weight"]))


def by_words(rows):
    return ["perhaps"] * len(rows)


def too_short(rows):
    return [0.5]


def by_pairs(rows):
    return pd.DataFrame({"on time": 1 - by_weight(rows), "late": by_weight(rows)})


def old_score(rows):
    return rows
"""
OLD_COLUMN = """
_everything = everything


def everything():
    return _everything().assign(old=lambda rows: 1 / (1 + np.exp(-rows["weight"])))
"""
CODE = "[versions]\ncode = true\n"
Opens = Callable[..., Project]


@pytest.fixture
def open_with(tmp_path: Path) -> Iterator[Opens]:
    """A project whose `[baseline]` is the given TOML, with functions in its code file."""
    opened: list[Project] = []

    def opens(baseline: str, more: str = "", toml: str = "", **options: Any) -> Project:
        folder = write(tmp_path / f"parcels-{len(opened)}", f"[baseline]\n{baseline}\n{toml}", **options)
        code = folder / "task.py"
        code.write_text(code.read_text() + FUNCTIONS + more)
        opened.append(open_project(folder, clock=lambda: day(50), actor="test"))
        return opened[-1]

    yield opens
    for project in opened:
        project.close()


@pytest.fixture
def system() -> Iterator[System]:
    found = System()
    yield found
    found.stop()


def told(project: Project, subject: str, **more: Any) -> Any:
    """The evidence about a system."""
    return next(e for e in project.baseline(now=day(40), **more).evidence if e.subject == subject)


def kinds(project: Project) -> list[tuple[str, str, bool]]:
    return [(v.description, v.runtime, v.answers) for v in project.roles().versions.values()]


# --- functions


def test_a_function_is_a_reference_where_no_code_may_run(open_with: Opens) -> None:
    """It sees features only, is scored on the held-out rows; its answers are its version, and it says what lets it
    answer."""
    project = open_with('callables = ["by_weight"]')
    found = project.baseline(now=day(40))
    reference = next(e for e in found.evidence if e.subject == "function by_weight")
    assert reference.verdict == "reference" and reference.numbers["n_rows"] == found.evidence[0].numbers["n_rows"]
    assert reference.numbers["value"] < found.evidence[0].numbers["value"]
    assert kinds(project) == [("rate by depot", "rule", True), ("function by_weight", "reference", False)]
    assert (reference.numbers["version"], reference.numbers["kind"]) == ("v2", "reference")
    assert "code = true" in reference.numbers["note"]
    kept = json.loads(project.facts.blobs.get(reference.numbers["answers"]))
    assert (kept["name"], len(kept["output"])) == ("function by_weight", reference.numbers["n_rows"])
    with pytest.raises(NotAnswering, match="v2"):
        project.promote("v2", "it cannot", now=day(40))


def test_a_reference_repeats_its_answers_and_knows_no_other_row(open_with: Opens) -> None:
    """Of the rows that it was asked about, from a part without a feature in it."""
    project = open_with('callables = ["by_weight"]')
    project.baseline(now=day(40))
    signature = project.version("v2").signature
    _, held = project.gate.split(project.known(None, day(40)))
    columns = held.columns(signature)
    assert np.allclose(project.predict("v2", columns)[:, 1], 1 / (1 + np.exp(-columns["weight"])))
    with pytest.raises(NotAnswering, match="none of those that function by_weight was asked about"):
        project.predict("v2", {**columns, "weight": columns["weight"] + 1.0})


@pytest.mark.parametrize("name", ["by_weight", "by_pairs"])
def test_a_function_answers_as_code_where_code_may_run(open_with: Opens, name: str) -> None:
    """In a process of its own, as any code; it is promoted like any version, and answers rows that nobody saw."""
    project = open_with(f'callables = ["{name}"]', toml=CODE)
    existing = told(project, f"function {name}")
    assert (existing.verdict, existing.numbers["version"], existing.numbers["kind"]) == ("existing", "v2", "pyfunc")
    assert kinds(project)[1] == (f"function {name}", "pyfunc", True)
    version = project.version("v2")
    assert (version.trained_until, version.n_rows) == (None, 0)  # nobody here knows what it was made from
    columns = project.known(None, day(45)).columns(version.signature)
    assert np.allclose(project.predict("v2", columns)[:, 1], 1 / (1 + np.exp(-columns["weight"])))
    project.promote("v2", "it is what answers today", now=day(40))
    assert project.roles().incumbent == "v2"


def test_code_that_does_not_run_by_itself_is_a_reference(open_with: Opens) -> None:
    """A function that needs a file beside its own; the reason is said."""
    more = "\nfrom pathlib import Path\n(Path(__file__).parent / 'task.py').read_text().index('by_weight')\n"
    needs = "\nassert (Path(__file__).parent / 'incumbent.toml').is_file()\n"
    found = told(open_with('callables = ["by_weight"]', more + needs, CODE), "function by_weight")
    assert found.verdict == "reference" and "does not run by itself" in found.numbers["note"]
    assert "AssertionError" in found.numbers["note"]


@pytest.mark.parametrize("code", ["", CODE])
@pytest.mark.parametrize(
    ("name", "error", "words"),
    [("by_wait", ConfigError, "did you mean 'by_weight'"), ("by_words", DataError, "found the answer 'perhaps'"),
     ("too_short", DataError, "too_short: found an output of shape")],
)  # fmt: skip
def test_a_function_that_does_not_suit_is_an_error(
    open_with: Opens, name: str, error: Any, words: str, code: str
) -> None:
    """Nothing is registered then: the project asked for a comparison that cannot be made."""
    project = open_with(f'callables = ["{name}"]', toml=code)
    with pytest.raises(error, match=words):
        project.baseline(now=day(40))
    assert project.roles().versions == {}


# --- columns


def test_a_column_that_no_request_carries_is_a_reference(open_with: Opens) -> None:
    """It cannot be served: it is known for old rows only."""
    project = open_with('columns = ["old"]', OLD_COLUMN)
    found = told(project, "column old")
    assert (found.verdict, found.numbers["kind"]) == ("reference", "reference")
    assert kinds(project)[1] == ("column old", "reference", False)


def test_a_column_that_is_a_feature_is_a_rule_that_answers(open_with: Opens) -> None:
    """A version of its own, also where another rule is the best."""
    project = open_with('columns = ["weight"]', kind="regression", target="hours", metric="absolute_error")
    found = told(project, "column weight as it is")
    assert (found.numbers["role"], found.numbers["kind"], found.numbers["version"]) == ("declared", "rule", "v2")
    assert kinds(project)[1] == ("column weight as it is", "rule", True)
    columns = project.known(None, day(40)).columns(project.version("v2").signature)
    assert np.array_equal(project.predict("v2", columns), columns["weight"])


def test_a_column_that_is_the_best_rule_is_one_version(open_with: Opens) -> None:
    """The baseline and the system are the same; asked again, nothing new is registered."""
    more = OLD_COLUMN.replace("old=lambda rows: 1 / (1 + np.exp(-rows[\"weight\"]))", "weight=lambda r: r['hours']")
    project = open_with('columns = ["weight"]', more, kind="regression", target="hours", metric="absolute_error")
    for _ in range(2):
        project.baseline(now=day(40))
        assert kinds(project) == [("column weight as it is", "rule", True)]
        assert project.roles().baseline == project.roles().incumbent == "v1"


def test_a_feature_that_is_no_probability_is_an_error(open_with: Opens) -> None:
    """Whoever names it wants to see it, so that it is not left out in silence."""
    with pytest.raises(DataError, match=r"column weight as it is: found values that are no probabilities"):
        open_with('columns = ["weight"]').baseline(now=day(40))


def test_a_column_that_is_not_there_is_an_error(open_with: Opens) -> None:
    """It names what there is."""
    with pytest.raises(ConfigError, match=r"'old': no such column; found .*weight"):
        open_with('columns = ["old"]').baseline(now=day(40))


# --- a system behind an address


def test_an_address_is_a_version_that_holds_no_secret(
    open_with: Opens, system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asked about some rows, in questions of so many; its version holds address, format and the name of the token."""
    monkeypatch.setenv("OLD_TOKEN", "do-not-keep")
    asks = f'url = "{system.url}?key=hidden"\nurl_rows = 50\nurl_batch = 20\nurl_token_env = "OLD_TOKEN"'
    project = open_with(asks)
    found = told(project, system.url)
    assert (found.verdict, found.numbers["n_rows"], found.numbers["kind"]) == ("reference", 50, "endpoint")
    assert kinds(project)[1] == (system.url, "endpoint", False)
    assert max(len(asked["rows"]) for asked in system.asked) == 20 and system.rows == 50 + 50  # golden rows, and these
    assert set(system.asked[0]["rows"][0]["features"]) == {"weight", "depot", "serial"}
    assert set(system.tokens) == {"Bearer do-not-keep"}
    everything = b"".join(path.read_bytes() for path in project.config.store_path.rglob("*") if path.is_file())
    assert b"do-not-keep" not in everything and b"hidden" not in everything and b"OLD_TOKEN" in everything


def test_the_same_system_is_the_same_version(open_with: Opens, system: System) -> None:
    """Asked again, only the naive rule is fitted anew."""
    project = open_with(f'url = "{system.url}"\ncallables = ["by_weight"]\ncolumns = ["old"]', OLD_COLUMN)
    project.baseline(now=day(40))
    before = [v.description for v in project.roles().versions.values()]
    project.baseline(now=day(40))
    assert [v.description for v in project.roles().versions.values()] == [*before, "rate by depot"]
    assert len(before) == 4


def test_a_system_that_changed_is_another_version(open_with: Opens, system: System) -> None:
    """What it says of its golden rows tells; the change is an alarm, too."""
    project = open_with(f'url = "{system.url}"')
    project.baseline(now=day(40))
    system.reply = by_weight(turned=-1.0)
    project.baseline(now=day(41))
    found = [v for v in project.roles().versions.values() if v.runtime == "endpoint"]
    assert [v.name for v in found] == ["v2", "v4"] and found[0].manifest != found[1].manifest
    (alarm,) = project.facts.ledger.events(types=["AlarmRaised"])
    assert alarm.data["alarm"] == "existing_changed" and "50 of its 50 golden rows otherwise" in alarm.reason


def test_an_address_may_answer_by_a_setting(open_with: Opens, system: System) -> None:
    """Also one that was a reference before: that is an event of its own, and no other version."""
    project = open_with(f'url = "{system.url}"')
    assert "url_answers = true" in told(project, system.url).numbers["note"]
    with pytest.raises(NotAnswering):
        project.live.start("v2", now=day(40))
    toml = project.config.folder / "incumbent.toml"
    toml.write_text(toml.read_text() + "url_answers = true\n")
    with open_project(project.config.folder, clock=lambda: day(50), actor="test") as again:
        found = told(again, system.url)
        assert (found.verdict, found.numbers["version"], found.numbers["note"]) == ("existing", "v2", "")
        assert again.version("v2").answers
        (event,) = again.facts.ledger.events(types=["AnswersAllowed"])
        assert event.data == {"version": "v2"}


def test_an_address_may_answer_by_a_promotion(open_with: Opens, system: System) -> None:
    """By hand: it is asked about its golden rows first, and must answer."""
    project = open_with(f'url = "{system.url}"\nurl_retries = 0')
    project.baseline(now=day(40))
    system.reply = lambda asked: (500, b"gone")
    with pytest.raises(DataError, match="answered 500"):
        project.promote("v2", "it is what answers today", now=day(40))
    assert project.roles().incumbent == "v1" and not project.version("v2").answers
    system.reply = by_weight()
    project.promote("v2", "it is what answers today", now=day(40))
    assert project.roles().incumbent == "v2" and project.version("v2").answers
    assert [e.type for e in project.facts.ledger.events()][-2:] == ["AnswersAllowed", "Promoted"]
    project.promote("v1", "back", now=day(40))
    project.promote("v2", "and again, without another word", now=day(40))
    assert len(project.facts.ledger.events(types=["AnswersAllowed"])) == 1


@pytest.mark.parametrize(
    ("reply", "words"),
    [((500, b"gone"), "answered 500"), ((200, b"<html>"), "no JSON"), ((307, b""), "answered 307"),
     ((200, b'{"predictions": [0.5]}'), "found 1 answers"), ((401, b"who are you?"), "who are you")],
)  # fmt: skip
def test_a_system_that_gives_no_answer_stops_the_step(
    open_with: Opens, system: System, reply: tuple[int, bytes], words: str
) -> None:
    """Before anything is registered."""
    system.reply = lambda asked: reply
    project = open_with(f'url = "{system.url}"\nurl_retries = 0')
    with pytest.raises(DataError, match=words):
        project.baseline(now=day(40))
    assert project.roles().versions == {} and project.facts.ledger.events() == []


def test_answers_out_of_range_stop_the_step(open_with: Opens, system: System) -> None:
    """They are checked like any other version's."""
    system.reply = lambda asked: (200, json.dumps([7.5] * len(asked["rows"])).encode())
    project = open_with(f'url = "{system.url}"')
    with pytest.raises(DataError, match=f"{system.url}: found values that are no probabilities"):
        project.baseline(now=day(40))
    assert project.roles().versions == {}


def test_a_system_that_hangs_stops_the_step(open_with: Opens, system: System) -> None:
    """After its own time."""
    done = threading.Event()

    def hang(asked: Any) -> tuple[int, bytes]:
        done.wait(30)
        return 200, b"[]"

    system.reply = hang
    project = open_with(f'url = "{system.url}"\nurl_retries = 0\nurl_timeout_s = 0.2')
    try:
        with pytest.raises(DataError, match=r"no answer within 0.2 s"):
            project.baseline(now=day(40))
    finally:
        done.set()


def test_an_address_is_not_exported(open_with: Opens, system: System, tmp_path: Path) -> None:
    """A folder that names an address would have rows and a token sent there."""
    project = open_with(f'url = "{system.url}"\nurl_answers = true')
    project.baseline(now=day(40))
    with pytest.raises(DataError, match="an address of another system"):
        project.export("v2", tmp_path / "out")


def test_an_address_that_nobody_vouches_for_is_not_asked(open_with: Opens, system: System) -> None:
    """The bytes of a version alone do not make our rows go anywhere."""
    project = open_with(f'url = "{system.url}"\nurl_answers = true')
    project.baseline(now=day(40))
    before = system.rows
    with pytest.raises(ArtefactRefused, match="not on our ledger"):
        artefact.open_version(project.facts.blobs, project.version("v2").manifest, project.config.versions)
    assert system.rows == before


def test_a_folder_that_names_an_address_is_refused(open_with: Opens, system: System, tmp_path: Path) -> None:
    """Whoever sends it would have our rows, and a token of ours, sent where he likes."""
    project = open_with(f'url = "{system.url}"\nurl_answers = true')
    project.baseline(now=day(40))
    version = project.version("v2")
    about = {"name": "v2", "task": "parcels", "kind": "binary", "runtime": "endpoint", "description": "a gift",
             "recipe": "x", "trained_until": None, "n_rows": 0}  # fmt: skip
    write_files(tmp_path / "gift", exported.files_of(project.facts.blobs, version.manifest, about))
    asked = system.rows
    with pytest.raises(ArtefactRefused, match="found an address, which is no model"):
        project.register(tmp_path / "gift", trust=True)
    assert system.rows == asked


# --- who sees them


def test_pages_show_them_with_their_kind(open_with: Opens, system: System) -> None:
    """The plan lists what must be beaten; a version's page has the evidence of its step."""
    project = open_with(f'url = "{system.url}"\ncallables = ["by_weight"]')
    project.baseline(now=day(40))
    beat = next(one for one in dashboard.page(project.facts, project.config)["plan"] if one["key"] == "beat")
    assert beat["versions"] == [
        "v1 rate by depot (rule, incumbent and baseline)",
        "v2 function by_weight (reference, compared with only)",
        f"v3 {system.url} (endpoint, compared with only)",
    ]
    page = versions.page(project.facts, project.config, "v3")
    assert page["version"]["in_place"] and page["version"]["runtime"] == "endpoint"
    assert [one["verdict"] for one in page["evidence"]] == ["reference"]


# --- who is the first incumbent


def test_a_system_may_be_the_first_incumbent(open_with: Opens, system: System) -> None:
    """The baseline stands behind it; the reason says who and why."""
    project = open_with(f'url = "{system.url}"\nurl_answers = true\nincumbent = "url"')
    project.baseline(now=day(40))
    roles = project.roles()
    assert (roles.incumbent, roles.previous, roles.baseline) == ("v2", None, "v1")
    reason = project.facts.ledger.events(types=["Promoted"])[-1].reason
    assert system.url in reason and "as baseline.incumbent says" in reason


@pytest.mark.parametrize(
    ("wanted", "words"),
    [("by_weight", r"by_weight is a reference; .*code = true"), ("nobody", "no system of .*found by_weight")],
)
def test_a_system_that_cannot_answer_is_no_incumbent(open_with: Opens, wanted: str, words: str) -> None:
    """Nothing is registered then."""
    project = open_with('callables = ["by_weight"]')
    with pytest.raises(ConfigError, match=words.replace("by_weight is", "function by_weight is")):
        project.baseline(incumbent=wanted, now=day(40))
    assert project.roles().versions == {}


def test_there_is_one_first_incumbent(open_with: Opens) -> None:
    """Later, `incumbent promote` changes who answers; the setting speaks of the first one only."""
    project = open_with('callables = ["by_weight"]\nincumbent = "by_weight"', toml=CODE)
    project.baseline(now=day(40))
    assert project.roles().incumbent == "v2"
    project.baseline(now=day(40))
    assert project.roles().incumbent == "v2"
    with pytest.raises(DecisionRefused, match="v2 is the incumbent already"):
        project.baseline(incumbent="by_weight", now=day(40))
