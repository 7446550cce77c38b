"""What can the gate show at all? The smallest gain that the held-out rows show, and how often the gate is wrong."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any

import typer

from incumbent.cli import options, output
from incumbent.cli.opening import open_project
from incumbent.cli.options import HERE, AsJson, Folder, Now


def add_to(gate: typer.Typer) -> None:
    gate.command()(simulate)


def show_plan(opened: Any, at: int | None, json: bool) -> None:
    with output.busy("looking at the held-out rows"):
        plans = opened.gate.plan(now=at)
    if json:
        return output.as_json([
            {"like": one.like, "n_rows": one.n_rows, "n_blocks": one.n_blocks, "loss": one.loss,
             "standard_error": one.standard_error, "smallest_gain": one.smallest, "share_of_loss": one.share,
             "rows": [{"gain": gain, "rows": rows} for gain, rows in one.rows]}
            for one in plans
        ])  # fmt: skip
    if not plans:
        return output.say("there is no other version to compare the incumbent with: register one, and ask again")
    incumbent, first = opened.roles().incumbent, plans[0]
    output.say(f"{first.n_rows:,} held-out rows, {first.n_blocks:,} blocks; the loss of {incumbent} is "
               f"{first.loss:.4g}. The smallest gain that these rows show with a power of 80 %, of a candidate as "
               f"unlike {incumbent} as:")
    output.table("", ["like", "smallest gain", "of the loss", "half of it needs", "a quarter needs"],
                 [[one.like, one.smallest and f"{one.smallest:.3g}", one.share and f"{one.share:.2%}",
                   *(_rows_for(one, share) for share in (0.5, 0.25))] for one in plans])


def _rows_for(plan: Any, share: float) -> str:
    """The rows for a share of the smallest gain; a dash where the two do not differ."""
    if plan.smallest is None:
        return "–"
    return f"{dict(plan.rows)[plan.smallest * share]:,} rows"


def simulate(
    runs: Annotated[int, typer.Option(min=10, help="Holdouts that are drawn for each row of the table.")] = 1000,
    seed: Annotated[int, typer.Option(help="The same seed draws the same holdouts.")] = 0,
    own: Annotated[bool, typer.Option("--own", help="On the project's own held-out losses.")] = False,
    project: Folder = HERE,
    now: Now = None,
    json: AsJson = False,
) -> None:
    """How often does the gate ship equal, worse and better candidates? Exit code 1 where a row misses its limit."""
    from incumbent.steps.gate import scenarios as made
    from incumbent.steps.gate import simulate as step

    if own:
        from incumbent.project import planning

        with open_project(project) as opened:
            at = options.moment(now)
            scenarios: Sequence[made.Scenario] = planning.own(opened, None, opened.clock() if at is None else at)
    else:
        scenarios = made.all_of()
    with output.progress("drawing holdouts") as progress:
        rows = step.run(scenarios, runs=runs, seed=seed, progress=progress)
    if json:
        output.as_json([{**asdict(row), "holds": row.holds} for row in rows])
    else:
        output.say(f"On how many of {runs:,} made-up holdouts is the candidate shipped, in %? By the gate, and by two "
                   "naive rules: its mean is not below the incumbent's; it is a point better.")
        output.table("", ["candidate", "gate", "95 % interval", "limit", "not below", "+1 point", ""],
                     [_simulated(row) for row in rows])
    missed = not all(row.holds for row in rows)
    if missed and own:
        output.note("on losses like these the gate is wrong more often than gate.alpha says: hold out more days (or "
                    "groups, or rows), or set gate.alpha lower")
    raise typer.Exit(1 if missed else 0)


def _simulated(row: Any) -> list[str]:
    limit = "" if row.limit is None else f"{'≤' if row.at_most is not None else '≥'} {100 * row.limit:.1f}"
    holds = ("" if row.limit is None else "ok") if row.holds else "MISSED"
    return [row.name, f"{100 * row.share:.1f}", f"{100 * row.low:.1f} to {100 * row.high:.1f}", limit,
            f"{100 * row.not_below:.1f}", f"{100 * row.one_point:.1f}", holds]
