"""Step 1 at the terminal: what must be beaten, and is a score good?"""

from pathlib import Path
from typing import Annotated, Any

import typer

from incumbent.cli import groups, options, output, people
from incumbent.cli.opening import open_project, shown
from incumbent.cli.options import HERE, AsJson, Folder, Now
from incumbent.errors import ConfigError
from incumbent.records import Evidence, Roles

app = groups.group("Step 1: what must be beaten?")
app.add_typer(people.app, name="people")

EXIT = {"better": 0, "worse": 1, "not_told_apart": output.NOT_ENOUGH_DATA}


def add_to(whole: typer.Typer) -> None:
    whole.add_typer(app, name="baseline")


@app.command(groups.OWN)
def baseline(
    project: Folder = HERE,
    now: Now = None,
    score: Annotated[
        float | None, typer.Option(help="Is this good? A value of the metric; nothing is registered.")
    ] = None,
    incumbent: Annotated[
        str, typer.Option(help="First incumbent: a system of [baseline], by its name; default: baseline.incumbent.")
    ] = "",
    picture: Annotated[
        Path | None, typer.Option(help="Draw the rules and their intervals: a file that ends in .svg, .png or .html.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="Rows (.csv, .parquet, .json) without a project; nothing is kept.")
    ] = None,
    target: Annotated[str, typer.Option(help="With --data: column that holds the truth.")] = "",
    time: Annotated[str, typer.Option(help="With --data: column that says when; default: found.")] = "",
    metric: Annotated[str, typer.Option(help="With --data: how a prediction is judged, e.g. mae.")] = "",
    kind: Annotated[str, typer.Option(help="With --data: binary, multiclass, regression or forecast.")] = "",
    series: Annotated[str, typer.Option(help="With --data: column that tells several series apart.")] = "",
    season: Annotated[int, typer.Option(help="With --data: length of the season in steps; 0: found.", min=0)] = 0,
    horizon: Annotated[int, typer.Option(help="With --data: how many steps ahead.", min=1)] = 1,
    json: AsJson = False,
) -> None:
    """Step 1: fit every naive rule, and make the best the first incumbent. With --score: is that good?

    With --score the exit code is 0 for better than the best rule, 1 for worse, 3 where the two cannot be told apart.
    """
    if picture is not None:
        _drawable(picture)
    only_bare = {"--target": target, "--time": time, "--metric": metric, "--kind": kind, "--series": series}
    if data is None:
        given = [option for option, value in only_bare.items() if value]
        if given:
            raise ConfigError(f"{', '.join(given)}: only with --data; a project says these in incumbent.toml")
        if incumbent and score is not None:
            raise ConfigError("--incumbent: not with --score, which registers nothing")
        answer, rules, place = _of_project(project, now, score, incumbent)
    else:
        if not target:
            raise ConfigError("--data needs --target: the column that holds the truth")
        if incumbent:
            raise ConfigError("--incumbent: not with --data, which registers nothing")
        asked: dict[str, Any] = {"target": target, "time": time, "metric": metric, "kind": kind, "series": series,
                                 "season": season, "horizon": horizon}
        (answer, rules), place = _of_file(data, asked, score, quiet=json), ""
    if picture is not None:
        from incumbent import charts, drawing

        drawing.save(charts.baselines(rules, scored=score), picture)
        output.note(f"drew {picture}")
    _show(answer, rules, json)
    if place and not json:
        output.say(place)
    if answer is not None:
        raise typer.Exit(EXIT[answer.verdict])


def _of_project(
    project: Path, now: str | None, score: float | None, incumbent: str
) -> tuple[Evidence | None, list[Evidence], str]:
    """The answer about a score, or None; the rules; and who holds which place now."""
    with open_project(project) as opened, output.busy("fitting naive rules"):
        if score is not None:
            answer, result = opened.baseline.score(score, now=options.moment(now))
            return answer, list(result.evidence), ""
        had_none = opened.roles().incumbent is None
        result = opened.baseline(incumbent=incumbent, now=options.moment(now))
        opened.draw(now=options.moment(now))
        roles = opened.roles()
        reason = opened.facts.ledger.events(types=["Promoted"])[-1].reason
    return None, list(result.evidence), _places(roles, list(result.evidence), reason if had_none else "")


def _places(roles: Roles, rules: list[Evidence], reason: str) -> str:
    """Who is the baseline, who is the incumbent and why, and what would let a reference answer. `reason` is that of the
    first promotion, where it was just made."""
    said = f"{roles.baseline} ({rules[0].subject}) is the baseline"
    if not reason:
        said += f" behind the incumbent {roles.incumbent}"
    elif roles.incumbent == roles.baseline:
        said += " and the first incumbent"
    else:
        said += f", behind the first incumbent {roles.incumbent}: {reason}"
    notes = [f"{e.numbers['version']} ({e.subject}) is a reference: {e.numbers['note']}"
             for e in rules if e.numbers.get("note")]
    return "\n".join([*notes, said])


def _of_file(
    data: Path, asked: dict[str, Any], score: float | None, *, quiet: bool
) -> tuple[Evidence | None, list[Evidence]]:
    from incumbent.project import bare, trying
    from incumbent.steps import baseline as step

    with output.busy("fitting naive rules"):
        found = bare.open_rows(trying.open_data(data), bare.Asked(**asked))
        if score is not None:
            step.refuse_impossible(score, found.metric)
        result = found.baseline()
    if not quiet:
        for sentence in found.sentences:
            output.say(f"· {sentence}")
    answer = None if score is None else step.judge(score, result.evidence, found.metric)
    return answer, list(result.evidence)


def _show(answer: Evidence | None, rules: list[Evidence], json: bool) -> None:
    if json and answer is not None:
        return output.as_json({"answer": shown(answer), "rules": [shown(e) for e in rules]})
    if json:
        return output.as_json([shown(e) for e in rules])
    _table(rules)
    if answer is not None:
        for warning in rules[0].numbers["warnings"]:
            output.say(f"Warning: {warning['sentence']}.")
        return output.say(answer.sentence)
    output.say(rules[0].sentence)


def _table(rules: list[Evidence]) -> None:
    """The rules by their value, whatever their part; the best of those that may answer is marked."""
    ordered = sorted(rules, key=lambda e: int(e.numbers["rank"]))
    scaled = any(e.numbers["scaled"] is not None for e in rules)
    versions = any(e.numbers.get("version") for e in rules)
    heads = ["", *(["version"] if versions else []), "rule", rules[0].numbers["metric"], "from", "to",
             *(["× last value"] if scaled else []), "what it is"]
    body = [[_MARK.get(e.verdict, ""), *([e.numbers.get("version", "")] if versions else []), e.subject,
             *(e.numbers[key] for key in ("value", "lower", "upper")),
             *([e.numbers["scaled"]] if scaled else []), _part(e)] for e in ordered]
    perfect = rules[0].numbers["perfect"]
    output.table(f"What must be beaten (95 % intervals; perfect is {perfect:g})", heads, body)


def _part(evidence: Evidence) -> str:
    """What it is, and of a system that is in place what kind of version."""
    kind = evidence.numbers.get("kind", "")
    said = _PART[str(evidence.numbers["role"])]
    return f"{said} ({kind})" if kind not in ("", "rule", "reference") else said


_MARK = {"best": "→"}
_PART = {"rule": "rule", "declared": "rule: a column that you named", "simple": "small model, for comparison",
         "reference": "reference: it is not served",
         "existing": "in place: it may answer"}


def _drawable(picture: Path) -> None:
    from incumbent import drawing

    if picture.suffix not in drawing.FORMATS:
        raise ConfigError(f"--picture {picture}: expected a file that ends in {', '.join(drawing.FORMATS)}")
