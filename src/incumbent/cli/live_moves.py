"""incumbent live enrol, phase and stop: a person steers the running trial. Loads no judging package."""

from typing import Annotated

import typer

from incumbent import config
from incumbent.cli import moving, output
from incumbent.cli.options import HERE, Folder, Now, Reason
from incumbent.loop.sentences import sentence
from incumbent.loop.steering import Move

Share = Annotated[float, typer.Argument(min=0.0, max=1.0, help="Share of the units that takes part (0-1).")]
ShareOrNone = Annotated[
    float | None, typer.Argument(min=0.0, max=1.0, help="Share of the units that takes part (0-1); default: as it is.")
]


def add_to(live: typer.Typer) -> None:
    live.command("stop")(stop)
    live.command("enrol")(enrol)
    live.command("phase")(phase)


def stop(reason: Reason, project: Folder = HERE, now: Now = None) -> None:
    """End the running trial; the incumbent stays."""
    _move(Move("stop", reason), project, now)


def enrol(share: Share, reason: Reason, project: Folder = HERE, now: Now = None) -> None:
    """Let more units take part in the running split. Nobody changes arm, and all that was seen stays."""
    _move(Move("enrol", reason, enrolled=share), project, now)


def phase(reason: Reason, share: ShareOrNone = None, project: Folder = HERE, now: Now = None) -> None:
    """Begin the running trial again: units are dealt anew, and what was seen before leaves the decision."""
    _move(Move("phase", reason, enrolled=share), project, now)


def _move(move: Move, project: Folder, now: str | None) -> None:
    settings = config.load(project)
    with moving.facts(settings) as facts:
        output.say(sentence(moving.made(facts, settings, move, now)))
