"""serve: the HTTP server, and the ticker beside it."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from incumbent import config
from incumbent.cli import output
from incumbent.cli.options import HERE, Folder


def add_to(app: typer.Typer) -> None:
    app.command()(serve)


def serve(
    project: Folder = HERE,
    host: Annotated[str | None, typer.Option(help="Address; default: serve.host.")] = None,
    port: Annotated[int | None, typer.Option(help="Port; 0: a free one; default: serve.port.")] = None,
    clock: Annotated[str, typer.Option(help="wall, or replay: time comes from the requests.")] = "wall",
    tick: Annotated[bool, typer.Option("--tick/--no-tick", help="Run `upkeep tick` beside the server.")] = True,
    insecure: Annotated[bool, typer.Option(help="Listen on an address that others can reach, without tokens.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the ready line as JSON.")] = False,
) -> None:
    """Answer over HTTP: predictions, outcomes, status, and the dashboard."""
    from incumbent.server.serving import serve as run  # uvicorn and onnxruntime: not needed by other commands

    settings = config.load(project)
    ticker = _ticker(project) if tick and clock == "wall" else None
    try:
        run(
            project,
            host=host or settings.serve.host,
            port=settings.serve.port if port is None else port,
            clock=clock,
            insecure=insecure,
            json_line=json,
        )
    finally:
        if ticker is not None:
            ticker.terminate()
            ticker.wait(10)


def _ticker(project: Path) -> "subprocess.Popen[bytes] | None":
    """A child that ticks under the store's lease; without the judging packages nothing ticks, and that is said."""
    if find_spec("scipy") is None or find_spec("narwhals") is None:
        output.note('not ticking: the judging path is not installed here (pip install "incumbent[all]"); '
                    "run `incumbent upkeep tick` where it is")
        return None
    command = [sys.executable, "-m", "incumbent", "upkeep", "tick", "--project", str(project), "--forever"]
    return subprocess.Popen(command)
