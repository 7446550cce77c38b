"""Step 2 at the terminal and in continuous integration: is the candidate good enough? And the override of a verdict."""

import os
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.exceptions import TyperException

from incumbent import config
from incumbent.ci import document, files, places
from incumbent.ci.outcome import Outcome, failed
from incumbent.cli import groups, options, output, simulating
from incumbent.cli.opening import open_project
from incumbent.cli.options import HERE, AsJson, Folder, Now, Override
from incumbent.clock import wall
from incumbent.errors import ConfigError, DataError, NotWritten
from incumbent.loop.sentences import sentence
from incumbent.records import Micros

PANEL = "Output files (each written whole, whatever the verdict)"

app = groups.group("Step 2: is the candidate good enough?")
simulating.add_to(app)


def add_to(whole: typer.Typer) -> None:
    whole.add_typer(app, name="gate")


def _file(name: str, sentence: str) -> Any:
    return typer.Option(name, metavar="FILE", help=sentence, rich_help_panel=PANEL)


@app.command(groups.OWN)
def gate(
    version: Annotated[str | None, typer.Argument(help="A registered version, e.g. v7.")] = None,
    candidate: Annotated[str | None, typer.Option(help="The same, by name.")] = None,
    train: Annotated[bool, typer.Option("--train", help="Train, gate and register in one go.")] = False,
    against: Annotated[
        str | None, typer.Option(help="Measured people instead of the incumbent, on the rows of their study, e.g. v5.")
    ] = None,
    recipe: Annotated[str | None, typer.Option(help="With --train: function of the code file.")] = None,
    plan: Annotated[bool, typer.Option("--plan", help="What could these held-out rows show at all?")] = False,
    override: Override = False,
    reason: Annotated[str, typer.Option("--reason", "-r", help="With --override: why; it stays on the ledger.")] = "",
    baseline: Annotated[
        bool, typer.Option(help="With --train, where there is no incumbent: make the baseline first, or refuse.")
    ] = True,
    allow_not_enough_data: Annotated[
        bool, typer.Option("--allow-not-enough-data", help="Exit 0 instead of 3; the verdict stays what it is.")
    ] = False,
    project: Folder = HERE,
    now: Now = None,
    json: AsJson = False,
    summary: Annotated[Path | None, _file("--summary", "Markdown, e.g. for a comment.")] = None,
    junit: Annotated[Path | None, _file("--junit", "JUnit XML: a rule is a test case.")] = None,
    json_file: Annotated[Path | None, _file("--json-file", "What --json prints.")] = None,
    openmetrics: Annotated[Path | None, _file("--openmetrics", "OpenMetrics text.")] = None,
    dotenv: Annotated[Path | None, _file("--dotenv", "Verdict, version and reference as KEY=value lines.")] = None,
    report: Annotated[Path | None, _file("--report", "One self-contained HTML page.")] = None,
    picture: Annotated[Path | None, _file("--picture", "The picture alone, .svg or .png.")] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="All of them, under their usual names.", rich_help_panel=PANEL),
    ] = None,
    ci: Annotated[
        bool,
        typer.Option(help="Write what the CI service at hand expects, where there is one.", rich_help_panel=PANEL),
    ] = True,
) -> None:
    """Step 2: is the candidate better than the incumbent on the same held-out rows?"""
    if plan or override:
        name, at = _named(version, candidate, train, plan), options.moment(now)
        if override and (plan or name is None):
            raise typer.BadParameter("--override needs the version whose verdict is not followed, and goes alone")
        with open_project(project) as opened:
            return simulating.show_plan(opened, at, json) if plan else _override(opened, str(name), reason, at, json)
    asked = {"summary": summary, "junit": junit, "json": json_file, "openmetrics": openmetrics, "dotenv": dotenv,
             "report": report, "picture": picture}  # fmt: skip
    wanted = places.targets(asked, out, os.environ, ci)
    files.check(wanted.all)
    try:
        outcome = _judged(_named(version, candidate, train), recipe, project, options.moment(now), baseline, against)
    except Exception as error:
        _tell(error, project, wanted)
        raise
    _show(outcome, json, train)
    _write(outcome, wanted)
    raise typer.Exit(_exit_code(outcome, allow_not_enough_data))


# --- parts


def _named(version: str | None, candidate: str | None, train: bool, plan: bool = False) -> str | None:
    """The version that is judged; None: what --train makes, or no version at all."""
    if version and candidate and version != candidate:
        raise typer.BadParameter(f"found {version} and --candidate {candidate}: name one version")
    name = version or candidate
    if train + plan + (name is not None) != 1:
        raise typer.BadParameter("name a version, or say --train, or --plan (one of the three)")
    return name


def _judged(
    name: str | None, recipe: str | None, folder: Path, at: Micros | None, baseline: bool, against: str | None
) -> Outcome:
    if name is None and against:
        raise typer.BadParameter("--against is for a registered version: name one instead of --train")
    with open_project(folder) as opened, output.busy("fitting and judging"):
        notes = () if name else _incumbent_first(opened, at, baseline)
        if name is None:
            registered, evidence = opened.train(recipe, now=at)
        else:
            registered, evidence = opened.version(name), opened.gate(name, against=against, now=at)
        return Outcome(
            opened.config.task.name, evidence.at, evidence, metric=opened.metric.name, gate=opened.config.gate,
            version=registered and registered.name, notes=notes,
        )  # fmt: skip


def _incumbent_first(opened: Any, at: Micros | None, allowed: bool) -> tuple[str, ...]:
    """Where there is no incumbent, the best naive rule becomes it, and the reader is told: in CI, an empty store is
    more often one that was not fetched."""
    if opened.roles().incumbent is not None:
        return ()
    where = opened.config.store.url or opened.config.store_path
    if not allowed:
        raise DataError(
            f"there is no incumbent in {where}: fetch the store that holds it, or run `incumbent baseline` first"
        )
    opened.baseline(now=at)
    roles = opened.roles()
    rule = roles.versions[roles.incumbent]
    said = (
        f"There was no incumbent in {where}, so the baseline came first: the candidate is compared with {rule.name} "
        f"({rule.description}). If there should have been one, the store was not fetched."
    )
    output.note(said)
    return (said,)


def _override(opened: Any, version: str, reason: str, at: int | None, json: bool) -> None:
    event = opened.gate.override(version, reason, now=at)
    if json:
        return output.as_json({"version": version, "event": event.sequence, "sentence": sentence(event), **event.data})
    output.say(sentence(event))


def _exit_code(outcome: Outcome, allow_not_enough_data: bool) -> int:
    """A gate that holds nobody back fails no job, and says so."""
    mode = outcome.gate.mode if outcome.gate else "enforce"
    if mode != "enforce":
        output.warn(f"gate.mode = {mode}: this gate holds nobody back, and leaves with exit code 0.")
        return 0
    code = output.exit_code(outcome.verdict)
    return 0 if allow_not_enough_data and code == output.NOT_ENOUGH_DATA else code


def _show(outcome: Outcome, json: bool, train: bool) -> None:
    if json:
        return output.as_json(document.document(outcome))
    if outcome.evidence:
        output.verdict(outcome.evidence)
    if train and outcome.version:
        output.say(f"registered as {outcome.version}")


def _tell(error: Exception, folder: Path, wanted: places.Targets) -> None:
    """The error in every output, at the wall clock's time; it goes on to the terminal by itself."""
    try:
        task = config.load(folder).task.name
    except ConfigError:
        task = folder.resolve().name
    said = error.format_message() if isinstance(error, TyperException) else ""
    try:
        _write(failed(error, task, wall(), said), wanted)
    except NotWritten as more:
        output.note(str(more))


def _write(outcome: Outcome, wanted: places.Targets) -> None:
    """Write what is wanted, and say where. Imported here: what draws is no package of production machines."""
    if not wanted.all:
        return
    from incumbent.ci import writing

    writing.write(outcome, wanted)
    output.note(f"written: {', '.join(str(path) for path in wanted.all)}")
