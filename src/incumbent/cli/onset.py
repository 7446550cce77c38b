"""Before there is anything to serve: try a pickle, register a model."""

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from incumbent.cli import options, output
from incumbent.cli.options import HERE, AsJson, Folder
from incumbent.cli.serving import serve


def add_to(app: typer.Typer) -> None:
    app.command("try")(try_model)
    app.command()(register)


def try_model(
    model: Annotated[Path, typer.Argument(help="A pickled model (joblib or pickle).")],
    data: Annotated[Path, typer.Argument(help="Rows: .csv, .parquet or .json.")],
    target: Annotated[str, typer.Option(help="Column that holds the truth.")],
    trust: Annotated[bool, typer.Option("--trust", help="Load the pickle: it can run any code.")] = False,
    save: Annotated[Path | None, typer.Option(help="Write the project here; default: a temporary folder.")] = None,
    port: Annotated[int | None, typer.Option(help="Port of the server.")] = None,
    stop: Annotated[bool, typer.Option("--exit", help="Do not serve.")] = False,
    json: AsJson = False,
) -> None:
    """A pickle and a CSV: is it worth serving? Prints baseline, verdict and single-row p99, then serves it."""
    from incumbent.project import create
    from incumbent.project.trying import infer, open_data, open_model

    fitted, digest = open_model(model, trust)
    found = infer(fitted, open_data(data), target, name=model.stem, digest=digest)
    if not json:
        for sentence in found.sentences:
            output.say(f"· {sentence}")
    folder = save or Path(tempfile.mkdtemp(prefix="incumbent-try-"))
    with create(folder, found.toml) as project, output.busy("judging the model"):
        project.actor = options.actor()
        rules = project.baseline(found.rows)
        version = project.register(fitted, found.rows, description=f"{model.name} (sha256 {digest})")
        verdict = project.gate(version.name, found.rows)
        fast = project.speed(version.name)
        if verdict.verdict == "ship":
            project.promote(version.name, f"`try`: {verdict.sentence}", evidence=verdict)
        incumbent = project.roles().incumbent
    if json:
        output.as_json({"inferred": found.sentences, "folder": str(folder), "version": version.name,
                        "baseline": rules.evidence[0].numbers, "verdict": verdict.verdict,
                        "sentence": verdict.sentence, "latency": fast.measured, "incumbent": incumbent})
    else:
        output.say(f"baseline: {rules.evidence[0].sentence}")
        output.verdict(verdict)
        output.say(f"speed: {fast.sentence}")
        output.say(f"{incumbent} is the incumbent; the project is in {folder}")
    if stop:
        raise typer.Exit(output.exit_code(verdict.verdict))
    serve(folder, port=port, tick=False, json=json)


def register(
    source: Annotated[
        str | None,
        typer.Argument(help="A model's file or folder, or models:/name of MLflow; without one, `train` is called."),
    ] = None,
    trust: Annotated[bool, typer.Option("--trust", help="Load a pickle or code: it can do anything.")] = False,
    recipe: Annotated[str | None, typer.Option(help="Function of the code file that fits the model.")] = None,
    description: Annotated[str, typer.Option(help="What this version is.")] = "",
    project: Folder = HERE,
    json: AsJson = False,
) -> None:
    """Store a model as the next version, with its signature, golden rows and profile. Promotes nothing."""
    from incumbent.project import open_project

    with open_project(project, actor=options.actor()) as opened, output.busy("fitting and storing"):
        if source is None:
            version = opened.fit(recipe, description=description)
        else:
            version = opened.register(source, description=description, trust=trust)
    if json:
        return output.as_json({"version": version.name, "runtime": version.runtime, "serves": version.serves,
                               "rows": version.n_rows})
    output.say(f"registered {version.name}: {version.runtime}, served as {version.serves}, "
               f"trained on {version.n_rows:,} rows, {len(version.signature.columns)} features: "
               f"{', '.join(version.signature.names)}")
