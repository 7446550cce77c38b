"""Step 3 looking back: what would another policy, or another version, have earned on what was logged?"""

from pathlib import Path
from typing import Annotated, Any

import typer

from incumbent.cli import options, output
from incumbent.cli.opening import open_project, shown
from incumbent.cli.options import HERE, AsJson, Folder, Now
from incumbent.clock import wall
from incumbent.errors import ConfigError
from incumbent.records import Evidence

EXIT = {"better": 0, "worse": 1, "not_enough_data": output.NOT_ENOUGH_DATA}


def add_to(live: typer.Typer) -> None:
    live.command("lookback")(lookback)


def _column(sentence: str) -> Any:
    return typer.Option(metavar="COLUMN", help=sentence, rich_help_panel="Columns of LOG")


def lookback(
    log: Annotated[
        Path | None, typer.Argument(metavar="LOG", help="Decisions (.csv, .parquet, .json); no project is needed.")
    ] = None,
    reward: Annotated[str, _column("What was earned, a number.")] = "",
    propensity: Annotated[str, _column("Probability with which it was done (above 0).")] = "",
    policy: Annotated[str, _column("Probability of the same under the new policy (0-1).")] = "",
    new: Annotated[
        Path | None, typer.Option(metavar="FILE", help="With LOG: rows that the new policy made, instead of --policy.")
    ] = None,
    action: Annotated[str, _column("With --new: what was done.")] = "",
    context: Annotated[
        list[str] | None, _column("With --new: a number that a reward model may read; may be repeated.")
    ] = None,
    unit: Annotated[str, _column("Rows of one value are one witness.")] = "",
    model: Annotated[str, _column("With --policy: reward that a model expects of what was done.")] = "",
    model_new: Annotated[str, _column("With --policy: reward that it expects of the new policy.")] = "",
    version: Annotated[str | None, typer.Option(help="Without LOG: a version, on the project's own log.")] = None,
    outcome: Annotated[
        str | None, typer.Option(help="With --version: loss or label; default: label where it depends on the answer.")
    ] = None,
    project: Folder = HERE,
    now: Now = None,
    json: AsJson = False,
) -> None:
    """What would another policy have earned on logged decisions? Or a version, on the log of its split.

    Exit code 0 for better, 1 for worse, 3 where it cannot be said: of the two files side by side, where --new has
    rewards.
    """
    of_file = {"--reward": reward, "--propensity": propensity, "--policy": policy, "--new": new, "--action": action,
               "--context": context, "--unit": unit, "--model": model, "--model-new": model_new}  # fmt: skip
    if log is None:
        given = [name for name, value in of_file.items() if value]
        if given or version is None:
            said = ", ".join(given) or "look back at what"
            raise ConfigError(f"{said}: name a LOG file, or a --version of the project")
        with open_project(project) as opened, output.busy("reading the log"):
            found = [opened.live.lookback(version, outcome=outcome, now=options.moment(now))]
    else:
        if version is not None or outcome is not None:
            raise ConfigError("found a LOG file and --version or --outcome: those are for the project's own log")
        found = _of_file(log, new, of_file, options.moment(now))
    if json:
        output.as_json([shown(one) for one in found])
    else:
        _say(found)
    raise typer.Exit(EXIT[found[0].verdict])


def _of_file(log: Path, new: Path | None, given: dict[str, Any], at: int | None) -> list[Evidence]:
    from incumbent.project import lookback as reading
    from incumbent.project.trying import open_data

    lacking = [name for name in ("--reward", "--propensity") if not given[name]]
    if lacking:
        raise ConfigError(f"LOG needs {' and '.join(lacking)}: the name of a column")
    if bool(given["--policy"]) == (new is not None):
        raise ConfigError("name the new policy: --policy COLUMN, or --new FILE (one of the two)")
    only = [name for name in ("--action", "--context") if given[name]] if new is None else [
        name for name in ("--model", "--model-new") if given[name]]  # fmt: skip
    if only:
        raise ConfigError(f"{', '.join(only)}: only with {'--new' if new is None else '--policy'}")
    names = reading.Columns(
        given["--reward"], given["--propensity"], given["--policy"], given["--action"], given["--unit"],
        given["--model"], given["--model-new"], tuple(given["--context"] or ()),
    )  # fmt: skip
    with output.busy("looking back"):
        rows, when = open_data(log), wall() if at is None else at
        if new is None:
            return [reading.of_file(rows, names, at=when, subject=given["--policy"], reference=log.stem)]
        return reading.of_logs(rows, open_data(new), names, at=when, subject=new.stem, reference=log.stem)


def _say(found: list[Evidence]) -> None:
    for evidence in found:
        numbers = evidence.numbers["lookback"]
        if "effective" not in numbers:
            output.say("Measured, the two logs side by side:")
            output.verdict(evidence)
            output.say("")
            continue
        if len(found) > 1:
            output.say(f"Looked back for, with each action's share in {evidence.subject} as its probability:")
        output.verdict(evidence)
        _say_weights(numbers)
        if "estimates" in numbers:
            output.table("", [f"mean {numbers['reward']}", "estimate", "from", "to"], [
                *([name, *(one[key] for key in ("value", "lower", "upper"))]
                  for name, one in numbers["estimates"].items()),
                [str(evidence.reference), *(numbers["reference"][key] for key in ("value", "lower", "upper"))],
            ])  # fmt: skip
        for warning in numbers.get("warnings", ()):
            output.say(f"Warning: {warning}.")


def _say_weights(numbers: dict[str, Any]) -> None:
    units = "" if numbers["units"] is None else f" of {numbers['units']:,} units"
    middle, low, high = numbers["mean_weight"]
    output.say(f"{numbers['rows']:,} rows{units}: effective sample size {numbers['effective']:,.1f}, largest weight "
               f"{numbers['largest_weight']:.4g}, mean weight {middle:.3g} ({low:.3g} to {high:.3g}; expected 1).")
