"""Step 1 at the terminal, measured people: draw rows, let people label them, hold a model against what they reach."""

import json as texts
from pathlib import Path
from typing import Annotated, Any

import typer

from incumbent.cli import groups, options, output
from incumbent.cli.opening import open_project, shown
from incumbent.cli.options import HERE, AsJson, Folder, Now
from incumbent.errors import ConfigError, NotEnoughData

app = groups.group("Step 1, measured people: what do people reach on this task?")
Which = Annotated[str | None, typer.Option("--study", help="A study, e.g. s1; default: the latest.")]


@app.command(groups.OWN)
def people(
    rows: Annotated[int | None, typer.Option(help="Rows to draw; default: people.rows.")] = None,
    twice: Annotated[
        float | None, typer.Option(help="Share that a second person labels too; default: people.twice.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the draw.")] = 0,
    reviewer: Annotated[
        list[str] | None, typer.Option(help="Who labels; repeat it. Default: plan.reviewers, else whoever comes.")
    ] = None,
    class_: Annotated[
        list[str] | None, typer.Option("--class", help="A class, where no label is known yet; repeat it.")
    ] = None,
    published: Annotated[
        float | None, typer.Option(help="Register this published accuracy as people instead, without rows.")
    ] = None,
    n: Annotated[int | None, typer.Option("--n", help="With --published: on how many rows it was measured.")] = None,
    source: Annotated[str, typer.Option(help="With --published: where it was published.")] = "",
    serve: Annotated[bool, typer.Option("--serve/--no-serve", help="Serve the page for labels until Ctrl-C.")] = True,
    host: Annotated[str, typer.Option(help="Address of the page.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port of the page; 0: a free one.")] = 8081,
    insecure: Annotated[bool, typer.Option(help="Listen on an address that others can reach, without tokens.")] = False,
    project: Folder = HERE,
    now: Now = None,
    json: AsJson = False,
) -> None:
    """Step 1: draw rows for people to label blind, and serve the page. A study that runs already goes on."""
    if (published is None) != (n is None):
        raise typer.BadParameter("say both --published and --n: the accuracy, and on how many rows it was measured")
    with open_project(project) as opened:
        if published is not None and n is not None:
            version = opened.people.publish(published, n, source=source, now=options.moment(now))
            said = {"version": version.name, "description": version.description}
            return output.as_json(said) if json else output.say(f"{version.name}: {version.description}")
        study = _running(opened) or opened.people.start(
            n=rows, twice=twice, seed=seed, reviewers=None if reviewer is None else tuple(reviewer),
            classes=tuple(map(_label, class_ or ())), now=options.moment(now),
        )  # fmt: skip
        told = _study(study, opened.people.progress(study.name))
    if json:
        output.as_json(told)
    else:
        told_of = f"{study.n:,} rows, {study.twice:,} of them twice, {told['done']:,} labels so far"
        output.say(f"study {study.name}: {told_of}")
    if serve:
        _serve(project, host, port, insecure)


@app.command("status")
def status(study: Which = None, project: Folder = HERE, json: AsJson = False) -> None:
    """How far a study is, and what people reach so far."""
    with open_project(project) as opened:
        found, why = opened.people.study(study), ""
        told = _study(found, opened.people.progress(found.name))
        try:
            measured = opened.people.measured(found.name)
        except NotEnoughData as error:
            measured, why = None, str(error)
    if json:
        return output.as_json({**told, "measured": None if measured is None else _numbers(measured)})
    output.say(f"study {found.name}: {told['done']:,} of {told['slots']:,} labels, {told['skipped']:,} skipped, "
               f"{told['unsettled']:,} to be decided by a third person")  # fmt: skip
    for line in [why] if measured is None else _lines(measured, opened):
        output.say(line)


@app.command("finish")
def finish(study: Which = None, project: Folder = HERE, now: Now = None, json: AsJson = False) -> None:
    """End a study: its people become a version to compare with, which answers nobody."""
    with open_project(project) as opened:
        far = opened.people.progress(study)
        version, measured = opened.people.finish(study, now=options.moment(now))
    if far.done < far.slots:
        output.note(f"{far.slots - far.done:,} of {far.slots:,} labels were never given")
    if json:
        return output.as_json({"version": version.name, "description": version.description, **_numbers(measured)})
    output.say(f"{version.name}: {version.description}")
    for line in _lines(measured, opened):
        output.say(line)


@app.command("result")
def result(
    version: Annotated[str | None, typer.Argument(help="The model; default: the incumbent.")] = None,
    against: Annotated[
        str | None, typer.Option(help="People: a version or a study; default: the latest.")
    ] = None,
    project: Folder = HERE,
    now: Now = None,
    json: AsJson = False,
) -> None:
    """May this model replace people? automate, assist or not yet, with the evidence."""
    with open_project(project) as opened, output.busy("holding the model against people"):
        evidence = opened.people.result(version, people=against, now=options.moment(now))
    if json:
        output.as_json(shown(evidence))
    else:
        _table(evidence.numbers)
        output.verdict(evidence)
    raise typer.Exit(output.NOT_ENOUGH_DATA if evidence.numbers["too_few"] else output.exit_code(evidence.verdict))


def _running(opened: Any) -> Any:
    from incumbent.loop import study

    return study.running(opened.facts.ledger)


def _serve(project: Path, host: str, port: int, insecure: bool) -> None:
    """The pages alone: there need not be anything that answers yet."""
    from incumbent.asgi import label_app  # uvicorn and the pages: not needed by other commands
    from incumbent.server.serving import serve

    serve(project, host=host, port=port, insecure=insecure, app=label_app(project, host, insecure),
          ready=lambda url: output.note(f"label at {url}/label until Ctrl-C; answers are kept at once"))  # fmt: skip


def _label(text: str) -> Any:
    """A class as it is typed: true, 3 and 0.5 are values, everything else is text."""
    try:
        found = texts.loads(text)
    except ValueError:
        return text
    if found is None or isinstance(found, list | dict):
        raise ConfigError(f"found the class {text!r}, expected text, a number, true or false")
    return found


def _study(study: Any, far: Any) -> dict[str, Any]:
    return {
        "study": study.name, "rows": study.n, "twice": study.twice, "seed": study.seed, "version": study.version,
        "reviewers": list(study.reviewers), "done": far.done, "slots": far.slots, "skipped": far.skipped,
        "unsettled": far.unsettled,
    }  # fmt: skip


def _numbers(measured: Any) -> dict[str, Any]:
    from incumbent.steps.baseline import people as step

    found = {"metric": measured.metric, "gold": measured.gold, "people": measured.people.to_dict()}
    return found | step.numbers_of(measured)


def _lines(measured: Any, opened: Any) -> list[str]:
    from incumbent.steps.baseline import people as step

    return step.lines(measured, opened.config.people.cost_per_hour)


def _table(numbers: Any) -> None:
    rows = [[who, one["value"], one["lower"], one["upper"], one["n"]]
            for who in ("people", "model", "baseline") if (one := numbers[who])]  # fmt: skip
    if numbers.get("ceiling") is not None:
        rows.append(["the most that reads against their labels", numbers["ceiling"], None, None, None])
    output.table("People and model on the same task", ["", numbers["metric"], "from", "to", "rows"], rows)
