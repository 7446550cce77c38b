"""Steps 3 to 5 at the terminal, and `why`: each asks the project for evidence and shows it."""

import os
import time as clocks
from typing import Annotated, Any, Literal, NoReturn

import typer

from incumbent.cli import (
    live_lookback,
    live_moves,
    live_plan,
    live_replay,
    live_report,
    live_simulating,
    moving,
    options,
    output,
)
from incumbent.cli.opening import open_project, shown
from incumbent.cli.options import HERE, AsJson, Folder, Now, Reason
from incumbent.errors import ConfigError, IncumbentError, StoreLocked
from incumbent.loop.steering import Move
from incumbent.records import Decision, moment
from incumbent.server import lifeline

NICE = 10
"""Where there is but one core for both, answers come before judging: a tick loads scipy and draws."""

live_app = typer.Typer(no_args_is_help=True, help="Step 3: is it better on live traffic?")
upkeep_app = typer.Typer(no_args_is_help=True, help="Step 5: is it still right? What is due?")


def add_to(app: typer.Typer) -> None:
    live_replay.add_to(live_app)
    live_plan.add_to(live_app)
    live_lookback.add_to(live_app)
    app.add_typer(live_app, name="live")
    live_simulating.add_to(live_app)
    app.command()(speed)
    app.add_typer(upkeep_app, name="upkeep")
    app.command()(why)


@live_app.command("start")
def live_start(
    version: str,
    mode: Annotated[
        Literal["shadow", "split"] | None, typer.Option(help="shadow or split; default: live.mode.")
    ] = None,
    enrolled: Annotated[
        float | None, typer.Option(min=0.0, max=1.0, help="Share of the units that takes part (0-1).")
    ] = None,
    reason: Reason = "",
    project: Folder = HERE,
    now: Now = None,
) -> None:
    """Start a trial of a version against the incumbent."""
    with open_project(project) as opened:
        move = Move("start", reason, version=version, mode=mode, enrolled=enrolled)
        moving.told(opened.facts, opened.config, move, now)
        trial = opened.live.start(version, mode=mode, enrolled=enrolled, reason=reason, now=options.moment(now))
    output.say(f"trial {trial.name}: {trial.challenger} against {trial.incumbent}, {trial.mode}, "
               f"{trial.enrolled:.0%} of the units enrolled")


@live_app.command("look")
def live_look(project: Folder = HERE, now: Now = None, json: AsJson = False) -> None:
    """The running trial's evidence and verdict; changes nothing."""
    with open_project(project) as opened:
        evidence = opened.live.look(now=options.moment(now))
        rows = opened.live.table(evidence)
    if json:
        output.as_json(shown(evidence))
    else:
        output.verdict(evidence)
        output.table("", rows[0], rows[1:])
    raise typer.Exit(output.exit_code(evidence.verdict))


live_moves.add_to(live_app)
live_report.add_to(live_app)


def speed(
    version: Annotated[str | None, typer.Argument(help="A registered version; default: the incumbent.")] = None,
    distil: Annotated[str, typer.Option("--distil", help="Recipe of a large teacher to distil to a student.")] = "",
    project: Folder = HERE,
    now: Now = None,
    json: AsJson = False,
) -> None:
    """Step 4: does it answer inside its budget? With --distil, make a student that does."""
    with open_project(project) as opened, output.busy("timing single rows" if not distil else "teaching a student"):
        at = options.moment(now)
        if distil:
            student, found = opened.distil(distil, now=at)
        else:
            student, found = None, [opened.speed(version, now=at)]
    if json:
        output.as_json({"student": student and student.name, "evidence": [shown(e) for e in found]})
    else:
        for evidence in found:
            output.verdict(evidence)
        if student:
            output.say(f"registered as {student.name}")
    raise typer.Exit(output.exit_code(found[-1].verdict))


@upkeep_app.command("tick")
def upkeep_tick(
    project: Folder = HERE,
    now: Now = None,
    forever: Annotated[
        bool, typer.Option(help="Stay: tick every serve.tick_s, and look at a trial as outcomes come (serve.look_s).")
    ] = False,
    clock: Annotated[
        Literal["wall", "replay"],
        typer.Option(help="wall, or replay: task time is that of the latest logged prediction."),
    ] = "wall",
    json: AsJson = False,
) -> None:
    """Look at the trial, the watch and what is due; do it, and say why. Running it twice changes nothing more."""
    lifeline.hold()  # a ticker of a supervisor that was killed ends too
    if now is not None and (forever or clock == "replay"):
        raise ConfigError(f"found --now {now}, which is one moment: expected it without --forever and --clock replay")
    with open_project(project) as opened:
        if forever:
            _tick_forever(opened.upkeep.ticker(clock), json)
        with output.busy("looking at what is due"):
            if clock == "replay":
                decisions = opened.upkeep.ticker(clock).turn()
            else:
                decisions = opened.upkeep.tick(now=options.moment(now))
                opened.draw()
        _show_decisions(decisions, json)


def _tick_forever(ticker: Any, json: bool) -> NoReturn:
    if hasattr(os, "nice"):
        os.nice(NICE)
    standing_by = False
    while True:
        try:
            decisions = ticker.turn()
            if decisions is not None:
                _show_decisions(decisions, json)
                standing_by = False
        except StoreLocked as error:
            if not standing_by:  # another ticker does the work: said once
                output.note(f"standing by: {error}")
            standing_by = True
        except IncumbentError as error:
            output.note(f"this tick failed, the next one tries again: {type(error).__name__}: {error}")
        clocks.sleep(ticker.wait_s)


@upkeep_app.command("reviews")
def upkeep_reviews(
    project: Folder = HERE,
    last: Annotated[int, typer.Option("--last", "-n", help="How many rows.")] = 20,
    json: AsJson = False,
) -> None:
    """Rows for people: the least confident, and some by pure chance, with the chance of each."""
    with open_project(project) as opened:
        rows = opened.facts.log.reviews(open_only=True, limit=last)
    if json:
        return output.as_json([{"id": r.id, "at": moment(r.at).isoformat(), "reason": r.reason,
                                "propensity": r.propensity, "version": r.version} for r in rows])
    output.table("To review", ["id", "time", "reason", "drawn with chance", "version"],
                 [[r.id, moment(r.at).strftime("%Y-%m-%d %H:%M"), r.reason, r.propensity, r.version] for r in rows])


def why(
    project: Folder = HERE,
    days: Annotated[int, typer.Option(help="How many of the latest logged days to explain.")] = 14,
    now: Now = None,
    json: AsJson = False,
) -> None:
    """Why did it break? The cheapest checks first, each with a verdict; causes ranked by their share of the drop."""
    with open_project(project) as opened, output.busy("looking for causes"):
        report = opened.why(days=days, now=options.moment(now))
    if json:
        return output.as_json({"evidence": [shown(e) for e in report.evidence],
                               "findings": [_finding(f) for f in report.findings]})
    output.table("Checks, cheapest first", ["check", "verdict", "what was found"],
                 [[e.numbers.get("check", e.subject), e.verdict, e.sentence] for e in report.evidence])
    output.table("Causes, by their share of the drop", ["cause", "column", "share of the drop", "explanation"],
                 [[f.check, f.column, f.share_of_drop, f.sentence] for f in report.findings])


def _show_decisions(decisions: "list[Decision]", json: bool) -> None:
    if json:
        return output.as_json([{"verdict": d.verdict, "subject": d.subject, "action": d.action, "reason": d.reason}
                               for d in decisions])
    for decision in decisions:
        output.say(f"{decision.action or decision.verdict}: {decision.reason}")
    if not decisions:
        output.say("nothing is due")


def _finding(finding: Any) -> dict[str, Any]:
    return {"check": finding.check, "verdict": finding.verdict, "column": finding.column,
            "share_of_drop": finding.share_of_drop, "sentence": finding.sentence}
