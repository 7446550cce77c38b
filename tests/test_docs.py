"""The documentation names everything that there is, and its examples are true."""

import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import typer

import incumbent
from incumbent import config
from incumbent.cli import app
from incumbent.server import metering, openapi

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.glob("*.md")])
FENCED = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\(([^)\s]+)\)")


def text(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def fenced(language: str) -> Iterator[tuple[Path, str]]:
    """Every fenced example in a language, with its page."""
    for page in PAGES:
        for found, content in FENCED.findall(text(page)):
            if found == language:
                yield page, content


def anchors(page: Path) -> set[str]:
    """What a link may point to inside a page: its headings, as code hosts write them."""
    headings = re.findall(r"^#+ (.+)$", FENCED.sub("", text(page)), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    """docs/make_reference.py as a module."""
    spec = importlib.util.spec_from_file_location("make_reference", DOCS / "make_reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_command_and_option_is_documented(reference: ModuleType) -> None:
    """docs/cli.md has a heading for each command, and below it each of its options."""
    page = text(DOCS / "cli.md")
    commands = list(reference.walk(typer.main.get_command(app)))
    assert len(commands) >= 20
    for name, command in commands:
        _, _, below = page.partition(f"\n### {name}\n")
        section = below.partition("\n### ")[0]
        assert section, f"docs/cli.md has no heading for {name}"
        for param in command.params:
            for spelling in param.opts if param.param_type_name == "option" else [param.name.upper()]:
                assert spelling in section or spelling == "--help", f"{name} lacks {spelling}"


def test_every_setting_is_documented() -> None:
    """docs/settings.md has a row with the sentence of each setting."""
    page = text(DOCS / "settings.md")
    settings = list(config.settings())
    assert len(settings) >= 50
    for key, field in settings:
        (row,) = re.findall(rf"^\| `{re.escape(key)}` .*$", page, re.MULTILINE)
        assert field.metadata["sentence"] in row


def test_the_generated_pages_are_up_to_date(reference: ModuleType) -> None:
    """The committed reference is what docs/make_reference.py makes; if not, run it."""
    assert text(DOCS / "settings.md") == reference.settings()
    page = text(DOCS / "cli.md")
    assert page == reference.commands(page)


def test_every_public_name_is_documented() -> None:
    """docs/python.md names everything that `incumbent` gives."""
    page = text(DOCS / "python.md")
    for name in incumbent.__all__:
        assert f"`incumbent.{name}`" in page or f"`incumbent.{name}(" in page, name


def test_every_endpoint_is_documented() -> None:
    """docs/http.md names each method and path of the OpenAPI document, and each status that an answer may have."""
    page = text(DOCS / "http.md")
    for path, operations in openapi.document()["paths"].items():
        for method, operation in operations.items():
            if method == "parameters":
                continue
            assert f"`{method.upper()} {path}" in page, f"{method} {path}"
            for status in operation["responses"]:
                assert status in page, f"{method} {path} may answer {status}"


def test_every_metric_is_documented() -> None:
    """docs/http.md has a row for each, with its labels."""
    page = text(DOCS / "http.md")
    shown = {
        **{f"{name}_total": labels for name, (_, labels) in metering.COUNTERS.items()},
        **{f"{name}_seconds": labels for name, (_, labels) in metering.HISTOGRAMS.items()},
        **{name: labels for name, (_, labels) in metering.LEVELS.items()},
    }
    for name, labels in shown.items():
        (row,) = re.findall(rf"^\| `incumbent_{name}` \|(.*?)\|.*\|$", page, re.MULTILINE)
        assert re.findall(r"`(\w+)`", row) == list(labels), name


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_between_pages_resolve(page: Path) -> None:
    """Each relative link leads to a file, and its anchor to a heading."""
    for link in LINK.findall(FENCED.sub("", text(page))):
        if re.match(r"\w+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{name_of(page)}: {link} leads nowhere"
        assert not anchor or anchor in anchors(target), f"{name_of(page)}: no heading for {link}"


def test_every_page_is_reached_from_the_index() -> None:
    """docs/index.md links to each other page of the folder."""
    linked = {link.partition("#")[0] for link in LINK.findall(text(DOCS / "index.md"))}
    assert {page.name for page in DOCS.glob("*.md")} - {"index.md"} <= linked


def test_toml_examples_are_projects() -> None:
    """Each TOML example of README and docs is a whole incumbent.toml that parses."""
    examples = list(fenced("toml"))
    assert len(examples) >= 3
    for page, content in examples:
        assert config.parse(content, where=name_of(page)).task.target


def test_python_examples_are_python() -> None:
    """Each Python example compiles, and uses only names of `incumbent` that exist."""
    examples = list(fenced("python"))
    assert len(examples) >= 2
    for page, content in examples:
        compile(content, name_of(page), "exec")
        for name in re.findall(r"\bincumbent\.(\w+)", content):
            assert name in incumbent.__all__, f"{name_of(page)} uses incumbent.{name}"


def test_examples_name_commands_that_exist(reference: ModuleType) -> None:
    """Each indented line that begins with `incumbent` calls a command of ours with options that it has."""
    commands = dict(reference.walk(typer.main.get_command(app)))
    lines = [(page, line) for page in PAGES for line in re.findall(r"^ {4}(incumbent .+)$", text(page), re.MULTILINE)]
    assert len(lines) >= 15
    for page, line in lines:
        words = line.partition(" #")[0].split()
        name = next((name for n in (4, 3, 2) if (name := " ".join(words[:n])) in commands), "")
        assert name, f"{name_of(page)}: {line}"
        known = {spelling for param in commands[name].params for spelling in [*param.opts, *param.secondary_opts]}
        assert {word for word in words if word.startswith("-")} <= known, f"{name_of(page)}: {line}"
