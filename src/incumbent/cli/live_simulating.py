"""How often is a trial wrong, and how soon is it right? Made-up trials, or the project's own log as equal arms."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any

import typer

from incumbent.cli import options, output
from incumbent.cli.opening import open_project
from incumbent.cli.options import HERE, AsJson, Folder, Now


def add_to(live: typer.Typer) -> None:
    live.command()(simulate)


def simulate(
    runs: Annotated[int, typer.Option(min=10, help="Trials that are drawn for each row of the table.")] = 300,
    seed: Annotated[int, typer.Option(help="The same seed draws the same trials, in any number of processes.")] = 0,
    own: Annotated[bool, typer.Option("--own", help="On the project's own log, dealt into equal arms.")] = False,
    only: Annotated[str, typer.Option(metavar="NAME", help="Only scenarios whose name holds this.")] = "",
    project: Folder = HERE,
    now: Now = None,
    json: AsJson = False,
) -> None:
    """How often is a trial wrong, and how soon right? Exit code 1 where a row misses its limit."""
    from incumbent.project import rehearsing_trials
    from incumbent.steps.live.simulating import running

    if own:
        with open_project(project) as opened, output.busy("reading the log"):
            at = options.moment(now)
            made = rehearsing_trials.of_log(opened, opened.clock() if at is None else at)
    else:
        made = rehearsing_trials.made_up()
    chosen = [one for one in made if only in one.name]
    if not chosen:
        raise typer.BadParameter(f"found {only!r}, expected (a part of) one of: {', '.join(one.name for one in made)}.")
    with output.progress(f"drawing trials of {len(chosen)} kinds") as progress:
        rows = running.run(chosen, runs=runs, seed=seed, processes=running.processors(), progress=progress)
    if json:
        output.as_json([{**asdict(row), "holds": row.holds} for row in rows])
    else:
        _show(rows, runs, own)
    missed = [row for row in rows if not row.holds]
    if missed:
        output.note(f"{len(missed)} of {len(rows)} rows miss their limit: " + ", ".join(
            dict.fromkeys(f"{row.scenario} ({row.what})" for row in missed)))  # fmt: skip
    raise typer.Exit(1 if missed else 0)


def _show(rows: Sequence[Any], runs: int, own: bool) -> None:
    drawn = "deals of the log" if own else "made-up trials"
    output.say(f"What becomes of {runs:,} {drawn} of each kind, by our rule and by a naive one? Shares in %, medians "
               "and means in their unit, with 95 % intervals.")  # fmt: skip
    last, body = "", []
    for row in rows:
        shown = ["", ""] if row.scenario == last else [row.scenario, row.title]
        body.append([*shown, row.what, _value(row, row.found), _interval(row), _limit(row), _held(row),
                     "" if row.naive is None else _value(row, row.naive), row.naive_rule])  # fmt: skip
        last = row.scenario
    output.table("", ["name", "trial", "what", "found", "95 % interval", "limit", "", "naive", "naive rule"], body)


def _value(row: Any, value: float) -> str:
    """A share in %, a number in its unit; what is never reached in most runs is never."""
    if row.kind == "share":
        return f"{100.0 * value:.1f} %"
    if value == float("inf"):
        return "never"
    return f"{value:,.0f} {row.unit}" if row.kind == "median" else f"{value:.2f} {row.unit}"


def _interval(row: Any) -> str:
    shown = [_value(row, bound).removesuffix(" %").removesuffix(f" {row.unit}") for bound in (row.low, row.high)]
    return f"{shown[0]} to {shown[1]}"


def _limit(row: Any) -> str:
    """What is stated, and what that allows at so many runs."""
    if row.limit is None:
        return ""
    sign = "≤" if row.at_most else "≥"
    if row.kind == "share" and row.limit != row.stated:
        return f"{sign} {_percent(row.stated)} ({_percent(row.limit)})"
    return f"{sign} {_percent(row.limit)}" if row.kind == "share" else f"{sign} {row.limit:,g}"


def _percent(share: float) -> str:
    return f"{round(100.0 * share, 1):g} %"


def _held(row: Any) -> str:
    return "" if row.limit is None else "ok" if row.holds else "MISSED"
