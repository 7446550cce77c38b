"""What is missing, and how ready is it? `incumbent doctor`: checks first, then the readiness card."""

from typing import Annotated

import typer

from incumbent import config
from incumbent.cli import options, output
from incumbent.cli.checkup import Check, attested, checked, upgraded
from incumbent.cli.options import HERE, AsJson, Folder, Now
from incumbent.loop.sentences import sentence
from incumbent.readiness import GROUPS, Card, Line
from incumbent.records import moment

POINTS = {0.0: "·", 0.5: "½", 1.0: "1"}
BAR = 28


def add_to(app: typer.Typer) -> None:
    app.command()(doctor)


def doctor(
    project: Folder = HERE,
    json: AsJson = False,
    upgrade: Annotated[bool, typer.Option("--upgrade", help="Bring a store of an older release up to date.")] = False,
    attest: Annotated[
        str, typer.Option(metavar="ID", help="Say that a test of the card is passed: half a point for 180 days.")
    ] = "",
    reason: Annotated[
        str, typer.Option("--reason", "-r", help="With --attest: what was done; it stays on the ledger.")
    ] = "",
    at_least: Annotated[
        float | None, typer.Option(min=0.0, max=7.0, help="Exit 1 when the readiness score is lower.")
    ] = None,
    now: Now = None,
) -> None:
    """What is missing, and how ready is it: the plan's open questions, store and places, and the ML Test Score.

    Exit 1 while a check is open, or with --at-least while the score is lower; the score alone fails nothing."""
    settings = config.load(project)
    if upgrade:
        for line in upgraded(settings):
            output.note(line) if json else output.say(line)
    at = options.moment(now)
    if attest:
        said = sentence(attested(settings, attest, reason, options.actor(), at))
        output.note(said) if json else output.say(f"{said}\n")
    checks, card = checked(settings, at)
    if json:
        output.as_json({"checks": [{"check": c.name, "ok": c.ok, "found": c.found, "do": c.do} for c in checks],
                        "readiness": card.to_dict()})
    else:
        _say(checks, card)
    short = at_least is not None and card.score < at_least
    raise typer.Exit(1 if short or not all(check.ok for check in checks) else 0)


def _say(checks: list[Check], card: Card) -> None:
    output.table("Checks", ["", "check", "found", "what to do"],
                 [["ok" if c.ok else "OPEN", c.name, c.found, "" if c.ok else c.do] for c in checks])
    for group, name in GROUPS.items():
        output.say(f"\n{name}: {card.groups[group]:g} of 7")
        for line in card.lines:
            if line.test.group == group:
                _line(line)
    output.say("\nReadiness: the smallest of the four groups counts")
    width = max(len(name) for name in GROUPS.values())
    for group, points in card.groups.items():
        full = round(points / 7 * BAR)
        output.say(f"  {GROUPS[group]:<{width}}  {'█' * full}{'░' * (BAR - full)}  {points:g} of 7")
    output.say(f"Score {card.score:g}: {card.band}.")


def _line(line: Line) -> None:
    """What the test says, what was found, and how to earn what is missing."""
    until = "" if line.attested_until is None else f" (until {moment(line.attested_until):%Y-%m-%d})"
    output.say(f" {POINTS[line.points]}  {line.test.says} [{line.test.id}]")
    output.say(f"      {line.found}{until}")
    if line.points < 1.0 and not line.test.attested:
        output.say(f"      to earn {'the rest' if line.points else 'it'}: {line.test.earn}")
    elif not line.points:
        output.say(f"      to earn half a point: {line.test.earn}")
