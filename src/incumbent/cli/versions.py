"""Versions as folders, to take them elsewhere."""

from pathlib import Path
from typing import Annotated

import typer

from incumbent.cli import options, output
from incumbent.cli.options import HERE, AsJson, Folder


def add_to(app: typer.Typer) -> None:
    app.command()(export)


def export(
    version: Annotated[str, typer.Argument(help="Which version, e.g. v7.")],
    folder: Annotated[Path, typer.Argument(help="A new folder to write it into.")],
    form: Annotated[
        str, typer.Option("--format", help="folder: plain files; mlflow: a model that mlflow.pyfunc.load_model loads.")
    ] = "folder",
    project: Folder = HERE,
    json: AsJson = False,
) -> None:
    """Write a version into a folder, for another machine. `incumbent register FOLDER` takes it in there."""
    from incumbent.project import open_project

    with open_project(project, actor=options.actor()) as opened, output.busy("writing"):
        written = opened.export(version, folder, form)
    files = sorted(path for path in written.rglob("*") if path.is_file())
    size = sum(path.stat().st_size for path in files)
    if json:
        return output.as_json({"version": version, "folder": str(written), "format": form, "bytes": size,
                               "files": [path.relative_to(written).as_posix() for path in files]})
    output.say(f"wrote {version} into {written}: {len(files)} files, {size / 1e6:,.2f} MB. "
               f"Elsewhere: incumbent register {written}")
