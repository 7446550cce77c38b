"""serve: the HTTP server, and the ticker beside it."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Literal

import typer

from incumbent import config
from incumbent.cli import output
from incumbent.cli.options import HERE, Folder
from incumbent.errors import ConfigError


def add_to(app: typer.Typer) -> None:
    app.command()(serve)


def serve(
    project: Folder = HERE,
    host: Annotated[str | None, typer.Option(help="Address; default: serve.host.")] = None,
    port: Annotated[int | None, typer.Option(help="Port; 0: a free one; default: serve.port.")] = None,
    workers: Annotated[
        int | None, typer.Option(help="Answering processes; 0: this one, without a supervisor; default: serve.workers.")
    ] = None,
    clock: Annotated[str, typer.Option(help="wall, or replay: time comes from the requests.")] = "wall",
    tick: Annotated[bool, typer.Option("--tick/--no-tick", help="Run `upkeep tick` beside the server.")] = True,
    insecure: Annotated[bool, typer.Option(help="Listen on an address that others can reach, without tokens.")] = False,
    log_format: Annotated[
        Literal["text", "json"] | None, typer.Option(help="Lines of the log; default: serve.log_format.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the ready line as JSON.")] = False,
) -> None:
    """Answer over HTTP: predictions, outcomes, status, and the dashboard."""
    from incumbent.server import tracing

    settings = config.load(project)
    count = _workers(settings, workers, clock)
    lines = log_format or settings.serve.log_format
    tracing.log_to_stderr(lines)
    address = host or settings.serve.host, settings.serve.port if port is None else port
    ticker = _ticker(project) if tick and clock == "wall" else None
    if count:
        from incumbent.server.supervising import supervise  # POSIX: groups, signals and inherited descriptors

        supervise(project, host=address[0], port=address[1], clock=clock, insecure=insecure, json_line=json,
                  workers=count, ticker=ticker, log_format=lines)
    else:
        _alone(project, address, clock, insecure, json, ticker)


def _workers(settings: config.Config, asked: int | None, clock: str) -> int:
    if asked is not None and asked < 0:
        raise ConfigError(f"found --workers {asked}, expected 0 or more")
    if clock == "replay" and (asked or 0) > 1:
        raise ConfigError(
            f"found --workers {asked} on the replay clock, expected at most 1: /v1/follow answers for one process"
        )
    if sys.platform == "win32":
        return 0
    if asked is not None:
        return asked
    return min(settings.serve.workers, 1) if clock == "replay" else settings.serve.workers


def _alone(project: Path, address: tuple[str, int], clock: str, insecure: bool, json: bool,
           ticker: list[str] | None) -> None:
    """One process, the ticker a child of it: where there is no supervisor."""
    from incumbent.server.serving import serve as run  # uvicorn and onnxruntime: not needed by other commands

    child = None if ticker is None else subprocess.Popen(ticker)
    try:
        run(project, host=address[0], port=address[1], clock=clock, insecure=insecure, json_line=json)
    finally:
        if child is not None:
            child.terminate()
            child.wait(10)


def _ticker(project: Path) -> list[str] | None:
    """What ticks, under the store's lease; without the judging packages nothing does, and that is said."""
    if find_spec("scipy") is None or find_spec("narwhals") is None:
        output.note('not ticking: the judging path is not installed here (pip install "incumbent[all]"); '
                    "run `incumbent upkeep tick` where it is")
        return None
    return [sys.executable, "-m", "incumbent", "upkeep", "tick", "--project", str(project), "--forever"]
