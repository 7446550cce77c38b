"""Step 3 at the terminal, looking back: `live replay` repeats looks, `live afterwards` asks an ended trial again."""

from typing import Annotated, Any

import typer

from incumbent.cli import options, output
from incumbent.cli.opening import open_project, shown
from incumbent.cli.options import HERE, AsJson, Folder, Now
from incumbent.records import moment

SHOWN = 3
ATrial = Annotated[str | None, typer.Argument(help="Name of a trial, e.g. t17; default: the last one.")]


def add_to(live_app: typer.Typer) -> None:
    live_app.command("replay")(live_replay)
    live_app.command("afterwards")(live_afterwards)


def live_replay(
    trial: ATrial = None,
    last: Annotated[
        int | None, typer.Option("--last", "-n", min=1, help="Only the last so many looks: each reads every row.")
    ] = None,
    project: Folder = HERE,
    json: AsJson = False,
) -> None:
    """Make every recorded look at a trial again from the log, as it was then: is it the same, byte for byte?

    Exit code 1 where one differs. Rows that were erased or deleted since are told.
    """
    with open_project(project) as opened, output.busy("looking again"):
        found = opened.live.replay(trial, last=last)
    if json:
        output.as_json([_as_json(one) for one in found])
    else:
        rows = [[one.look, f"{moment(one.at):%Y-%m-%d %H:%M}", one.verdict, "ok" if one.same else "DIFFERS", _why(one)]
                for one in found]
        heads = ["look", "time (UTC)", "verdict", "again", "what differs"]
        output.table(f"Looks at trial {found[0].trial}", heads, rows)
        same = sum(one.same for one in found)
        output.say(f"{same} of {len(found)} recorded looks are repeated to the byte")
    raise typer.Exit(0 if all(one.same for one in found) else 1)


def live_afterwards(trial: ATrial = None, project: Folder = HERE, now: Now = None, json: AsJson = False) -> None:
    """What an ended trial would say with every label that came since; changes nothing."""
    with open_project(project) as opened:
        evidence = opened.live.afterwards(trial, now=options.moment(now))
        rows = opened.live.table(evidence)
    if json:
        output.as_json(shown(evidence))
    else:
        output.say(evidence.sentence)
        output.table("", rows[0], rows[1:])


def _why(one: Any) -> str:
    parts = [*one.differs[:SHOWN], *([f"and {len(one.differs) - SHOWN} more"] if len(one.differs) > SHOWN else [])]
    return ". ".join(text for text in (one.said, "; ".join(parts)) if text)


def _as_json(one: Any) -> dict[str, Any]:
    return {"trial": one.trial, "event": one.event, "at": moment(one.at).isoformat(), "look": one.look,
            "verdict": one.verdict, "same": one.same, "differs": list(one.differs), "said": one.said}
