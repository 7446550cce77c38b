"""What is missing, and how ready is it? `incumbent doctor`."""

from typing import Annotated

import typer

from incumbent import config
from incumbent.cli import output
from incumbent.cli.options import HERE, AsJson, Folder


def add_to(app: typer.Typer) -> None:
    app.command()(doctor)


def doctor(
    project: Folder = HERE,
    json: AsJson = False,
    upgrade: Annotated[bool, typer.Option("--upgrade", help="Bring a store of an older release up to date.")] = False,
) -> None:
    """What is missing: the plan's open questions, what stands behind the incumbent, whether the store is whole."""
    from incumbent.cli.checkup import checks, upgraded

    if upgrade:
        for line in upgraded(config.load(project)):
            output.note(line) if json else output.say(line)
    found = checks(config.load(project))
    if json:
        output.as_json([{"check": c.name, "ok": c.ok, "found": c.found, "do": c.do} for c in found])
    else:
        output.table("", ["", "check", "found", "what to do"],
                     [["ok" if c.ok else "OPEN", c.name, c.found, "" if c.ok else c.do] for c in found])
    raise typer.Exit(0 if all(c.ok for c in found) else 1)
