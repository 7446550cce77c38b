"""Step 3 before it begins: how long would a trial take, and what could it show?"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from incumbent.cli import options, output
from incumbent.cli.opening import open_project, shown
from incumbent.cli.options import HERE, AsJson, Folder, Now
from incumbent.errors import ConfigError
from incumbent.records import Evidence


def add_to(live: typer.Typer) -> None:
    live.command("plan")(plan)


def plan(
    version: Annotated[
        str | None, typer.Argument(help="The version to try; default: the latest that is not a rule.")
    ] = None,
    effect: Annotated[
        float | None, typer.Option(help="The gain worth having, as a row loss; default: live.smallest_effect.")
    ] = None,
    picture: Annotated[
        Path | None, typer.Option(help="Draw the smallest gain by days: a file that ends in .svg, .png or .html.")
    ] = None,
    project: Folder = HERE,
    now: Now = None,
    json: AsJson = False,
) -> None:
    """How long would a trial take, and what could it show? From the last 28 days of logged traffic; starts nothing."""
    if effect is not None and not effect > 0.0:
        raise ConfigError(f"--effect {effect:g}: expected a gain above 0")
    drawable(picture)
    with open_project(project) as opened, output.busy("reading the log"):
        evidence = opened.live.plan(version, effect=effect, now=options.moment(now))
    lacks = evidence.verdict == "not_enough_data"
    if json:
        output.as_json(shown(evidence))
    elif lacks:
        output.verdict(evidence)
    else:
        _say(evidence)
    if picture is not None and not lacks:
        from incumbent import charts, drawing

        drawing.save(charts.planned(evidence), picture)
        output.note(f"drew {picture}")
    raise typer.Exit(output.exit_code(evidence.verdict))


def drawable(picture: Path | None) -> None:
    """ConfigError for a file that is none of the kinds that are drawn."""
    if picture is None:
        return
    from incumbent import drawing

    if picture.suffix not in drawing.FORMATS:
        raise ConfigError(f"--picture {picture}: expected a file that ends in {', '.join(drawing.FORMATS)}")


def _say(evidence: Evidence) -> None:
    found = evidence.numbers["plan"]
    labels = found["labels"]
    output.say(
        f"{found['rows_a_day']:,.0f} rows a day from {found['units_a_day']:,.0f} units; the log holds "
        f"{found['days_logged']:.1f} days whose label window has closed, of {found['units']:,.0f} units. The mean row "
        f"loss of {found['metric']} is {found['loss']:.4g}; one row varies by {found['variance_row'] ** 0.5:.3g}, one "
        f"unit by {found['variance_unit'] ** 0.5:.3g}."
    )
    output.say(
        f"Labels: {labels['coverage']:.1%} of the rows have one inside {labels['window_hours']:g} hours; half of them "
        f"come in {labels['median_hours']:.3g} hours, 99 % in {labels['p99_hours']:.3g}."
    )
    output.say(_paired(evidence, found["pairs"]))
    output.say("The smallest gain that is shown with a power of 80 %, by the end of so many days:")
    output.table("", ["within", "split", "of the loss", "shadow", "of the loss"], [_row(row) for row in found["gains"]])
    if found["effect"]:
        takes = found["effect"]
        split, shadow = _days([takes["split_days"]]), _days(takes["shadow_days"])
        output.say(f"To show a gain of {takes['gain']:.3g} takes a split {split}, a shadow {shadow}; the mean trial "
                   f"needs about half of those rows. A trial stops after live.max_days = {found['max_days']}.")
    for warning in found["warnings"]:
        output.say(f"Warning: {warning}.")
    output.say(f"Recommended: {evidence.sentence}")


def _paired(evidence: Evidence, pairs: dict[str, Any]) -> str:
    low, high = pairs["correlation"]
    if pairs["source"] == "assumed":
        return (f"Assumed: the losses of the two versions have a correlation from {low:.2g} to {high:.2g} (no paired "
                "losses are known), and days are alike.")
    how = "a shadow in the log" if pairs["source"] == "shadow" else "the logged rows, asked again"
    return f"The losses of {evidence.subject} and {evidence.reference} have a correlation of {low:.2g} ({how})."


def _row(row: dict[str, Any]) -> list[str]:
    return [f"{row['days']} days", _gains([row["split"]]), _shares([row["split_share"]]), _gains(row["shadow"]),
            _shares(row["shadow_share"])]


def _gains(gains: Sequence[float | None]) -> str:
    return _range([None if one is None else f"{one:.3g}" for one in gains], "none")


def _shares(shares: Sequence[float | None]) -> str:
    return _range([None if one is None else f"{one:.1%}" for one in shares], "–")


def _days(days: Sequence[int | None]) -> str:
    return _range([None if one is None else f"{one} days" for one in days], "more than two years")


def _range(said: Sequence[str | None], nothing: str) -> str:
    words = list(dict.fromkeys(nothing if one is None else one for one in said))
    return " to ".join(words)
