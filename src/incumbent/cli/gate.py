"""Step 2 at the terminal: is the candidate good enough?"""

from typing import Annotated

import typer

from incumbent.cli import groups, options, output
from incumbent.cli.opening import open_project, shown
from incumbent.cli.options import HERE, AsJson, Folder, Now

app = groups.group("Step 2: is the candidate good enough?")


def add_to(whole: typer.Typer) -> None:
    whole.add_typer(app, name="gate")


@app.command(groups.OWN)
def gate(
    version: Annotated[str | None, typer.Argument(help="A registered version, e.g. v7.")] = None,
    train: Annotated[bool, typer.Option("--train", help="Train, gate and register in one go.")] = False,
    against: Annotated[
        str | None, typer.Option(help="Measured people instead of the incumbent, on the rows of their study, e.g. v5.")
    ] = None,
    recipe: Annotated[str | None, typer.Option(help="With --train: function of the code file.")] = None,
    project: Folder = HERE,
    now: Now = None,
    json: AsJson = False,
) -> None:
    """Step 2: is the candidate better than the incumbent on the same held-out rows?"""
    if train == (version is not None):
        raise typer.BadParameter("name a version, or say --train (one of the two)")
    if train and against:
        raise typer.BadParameter("--against is for a registered version: name one instead of --train")
    with open_project(project) as opened, output.busy("fitting and judging"):
        at = options.moment(now)
        if train:
            registered, evidence = opened.train(recipe, now=at)
        else:
            registered, evidence = opened.version(version), opened.gate(version, against=against, now=at)
    if json:
        output.as_json({"version": registered and registered.name, **shown(evidence)})
    else:
        output.verdict(evidence)
        if train and registered:
            output.say(f"registered as {registered.name}")
    raise typer.Exit(output.exit_code(evidence.verdict))
