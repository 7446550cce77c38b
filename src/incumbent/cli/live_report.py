"""incumbent live report: a trial as one page and one picture, for whoever has no access to the server."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from incumbent.cli import options, output
from incumbent.cli.opening import open_project
from incumbent.cli.options import HERE, AsJson, Folder, Now
from incumbent.errors import ConfigError, DecisionRefused
from incumbent.loop.fold import evidence_from_dict
from incumbent.records import Evidence
from incumbent.web import looks as reading
from incumbent.web import trial as page

if TYPE_CHECKING:
    from incumbent.project import Project


def add_to(live: typer.Typer) -> None:
    live.command("report")(report)


ATrial = Annotated[str | None, typer.Argument(help="Name of a trial; default: the running one, else the last.")]


def report(
    trial: ATrial = None,
    out: Annotated[Path | None, typer.Option(help="Write one page with everything inside, e.g. trial.html.")] = None,
    png: Annotated[Path | None, typer.Option(help="Write the picture with the verdict, e.g. trial.png.")] = None,
    project: Folder = HERE,
    now: Now = None,
    json: AsJson = False,
) -> None:
    """What a trial says: verdict, gain, guardrails, phases, segments; as a page and as a picture."""
    with open_project(project) as opened:
        shown = page.page(opened.facts, opened.config, trial)
        told: Any = shown["trial"]
        if told is None:
            raise DecisionRefused("found no trial to report on: start one with `incumbent live start VERSION`.")
        found = looks(opened, told["name"])
        late = None if told["runs"] else opened.live.afterwards(told["name"], now=options.moment(now))
        written = _write(shown, found, opened, late, out, png)
    if json:
        return output.as_json({**told, "afterwards": late and late.sentence})
    _say(told, late)
    for path in written:
        output.say(f"wrote {path}")


def looks(opened: "Project", name: str) -> list[Evidence]:
    """The recorded looks at a trial, the oldest first."""
    events = opened.facts.ledger.events()
    known = [evidence_from_dict(e.data["evidence"], e.measured) for e in events if e.data.get("evidence")]
    return reading.by_trial(known).get(name, [])


def _write(
    shown: Any, found: list[Evidence], opened: "Project", late: Evidence | None, out: Path | None, png: Path | None
) -> list[Path]:
    from incumbent import drawing  # drawing: the judging path
    from incumbent import report as reports

    if png is not None and png.suffix != ".png":
        raise ConfigError(f"--png {png}: expected a file that ends in .png")
    if png is not None and not reports.has_gain(found):
        raise DecisionRefused(f"--png {png}: found no look with a gain yet, so there is nothing to draw.")
    if out is not None:
        out.write_text(reports.trial(shown, found, opened.config, afterwards=late), encoding="utf-8")
    if png is not None:
        drawing.save(reports.picture_of(found, opened.config), png)
    return [path for path in (out, png) if path is not None]


def _say(told: Any, late: Evidence | None) -> None:
    look = told["look"]
    output.say(f"trial {told['name']} ({told['mode']}): {told['challenger']} against {told['incumbent']}")
    if look is None:
        return output.say("no look at it so far")
    output.say(f"{look['headline']}. {look['sentence']}")
    if not told["runs"] and told["ended"] not in ("", look["sentence"]):
        output.say(f"It ended: {told['ended']}")
    if late is not None:
        output.say(late.sentence)
    gain = look["gain"]
    output.table("", ["", f"gain in {look['primary']}"],
                 [["estimate", gain["estimate"]], ["at least", gain["lower"]], ["at most", gain["upper"]],
                  ["promoted above", look["lines"]["promote"]]])
    if look["guardrails"]:
        output.table("What must not be harmed", ["", "state", "what was found"],
                     [[one["name"], f"{one['sign']} {one['state_said']}", one["found"].replace("\xa0", " ")]
                      for one in look["guardrails"]])
    for one in look["missing"]:
        output.say(f"missing: {one}")
