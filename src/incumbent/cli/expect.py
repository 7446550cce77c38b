"""What may be expected, before there is a model? `incumbent expect`, at the terminal and as one page."""

from pathlib import Path
from typing import Annotated, Any

import typer

from incumbent.cli import options, output
from incumbent.cli.opening import open_project, shown
from incumbent.cli.options import HERE, AsJson, Folder, Now
from incumbent.records import Evidence

EXIT_CODES = {"out_of_reach": 1, "not_enough_data": output.NOT_ENOUGH_DATA}


def add_to(app: typer.Typer) -> None:
    app.command()(expect)


def expect(
    goal: Annotated[
        float | None, typer.Option(help="The value of the metric that is hoped for; default: plan.goal.")
    ] = None,
    page: Annotated[Path | None, typer.Option(help="Write one page with the picture here, e.g. expect.html.")] = None,
    project: Folder = HERE,
    now: Now = None,
    json: AsJson = False,
) -> None:
    """What may be expected: floor, ceiling, what more rows are worth, and whether the goal is in reach."""
    with open_project(project) as opened, output.progress("fitting a quick model on growing shares") as advance:
        evidence = opened.expect(goal=goal, now=options.moment(now), progress=advance)
        task = opened.config.task
    if page is not None:
        from incumbent.report import expectation  # drawing: the judging path

        page.write_text(expectation(evidence, task.name, task.timezone or "UTC"), encoding="utf-8")
    if json:
        output.as_json(shown(evidence))
    else:
        _say(evidence)
        if page is not None:
            output.say(f"page: {page}")
    raise typer.Exit(EXIT_CODES.get(evidence.verdict, 0))


def _say(evidence: Evidence) -> None:
    numbers, curve = evidence.numbers, evidence.numbers["curve"]
    better = "lower" if numbers["lower_is_better"] else "higher"
    output.table(f"What may be expected ({numbers['metric']}, {better} is better)",
                 ["", numbers["metric"], "from", "to", ""], _levels(numbers))
    output.table("What more rows are worth to a quick model",
                 ["training rows", numbers["metric"], "from", "to", ""], _rows(curve))
    if curve["points"]:
        output.say("From and to are 95 % intervals: above on other held-out rows like these, "
                   "below of the difference from today.")
    if numbers["n_fitted"] < numbers["n_rows"]:
        output.say(f"{numbers['n_fitted']:,} of {numbers['n_rows']:,} training rows were used, drawn by pure chance.")
    word = evidence.verdict.replace("_", " ").upper()
    warnings = numbers["warnings"]
    output.say(f"{word}: {' '.join(warnings) if warnings else evidence.sentence}")


def _levels(numbers: Any) -> list[list[Any]]:
    """The levels from the floor up to the ceiling, each with its interval and where it is from."""

    def level(name: str, of: Any, source: str) -> list[Any]:
        return [name, of["value"], of["lower"], of["upper"], source]

    noise, points = numbers["noise"], numbers["curve"]["points"]
    rows = [level("floor", numbers["floor"], numbers["floor"]["name"])]
    rows += [level("people", one, one["name"]) for one in numbers["people"]]
    rows += [level("quick model", one, f"on {one['n_rows']:,} rows") for one in points[-1:]]
    if numbers["goal"] is not None:
        rows.append(["goal", numbers["goal"], None, None, "the team's"])
    if noise["value"] is None:
        return [*rows, ["ceiling", numbers["perfect"], None, None, f"perfect; {noise['why']}"]]
    source = f"{noise['n_rows']:,} rows ({noise['share']:.1%}) share every feature with another"
    return [*rows, level("ceiling", noise, source if noise["exact"] else f"at best; {source}")]


def _rows(curve: Any) -> list[list[Any]]:
    """Measured sizes, then what the law says of more."""
    rows = [[one["n_rows"], one["value"], *one["along"], ""] for one in curve["points"]]
    if rows:
        rows[-1][2:] = [None, None, "today"]  # nothing differs from itself
    return rows + [
        [one["n_rows"], one["value"], *one["along"], f"{one['times']} times today, by the curve"]
        for one in curve["more"]
    ]
