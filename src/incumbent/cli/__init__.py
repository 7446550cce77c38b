"""DOOR 3, for the terminal. Each command is a thin wrapper around what Python can call.

    onset      try register                      before there is anything to serve
    init expect doctor                           the plan, what may be expected, what is missing
    baseline gate                                steps 1 (people under it) and 2
    judging    live speed upkeep why             steps 3 to 5 (live_plan, live_lookback under live), and why it broke
    control    status log promote rollback       what production machines need: no judging package is loaded
    access     token                             who may ask the server for what
    versions   export                            a version for another machine
    keeping    archive forget                    what becomes of old rows, and of those that must go
    serving    serve
    rehearsing rehearse demo                     replay a past through the real server
    output     tables, JSON, exit codes

Exit codes: 0 ship or done, 1 hold, 2 usage, 3 not enough data, 4 error (every uncaught exception too).
"""

import sys
import traceback
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException

import incumbent
from incumbent.cli import (
    access,
    baseline,
    control,
    doctor,
    expect,
    gate,
    init,
    judging,
    keeping,
    onset,
    output,
    rehearsing,
    serving,
    versions,
)
from incumbent.errors import IncumbentError, MissingExtra


class _InOrder(TyperGroup):
    """Onset first, then the five steps in their order, then the rest."""

    def list_commands(self, ctx: Any) -> list[str]:
        first = ("try", "init", "expect", "register", "doctor", "baseline", "gate", "live", "speed", "upkeep", "why")
        return [*first, *(name for name in self.commands if name not in first)]


app = typer.Typer(
    name="incumbent",
    cls=_InOrder,
    help="Take a model to production in five steps, and keep it right there.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

# What is missing after `pip install incumbent` alone: the packages of the judging path.
JUDGING = {"duckdb", "scipy", "sklearn", "pandas", "lightgbm", "skl2onnx", "onnxmltools", "onnx", "narwhals", "altair",
           "vl_convert", "skops"}  # fmt: skip

for group in (
    init, expect, onset, doctor, baseline, gate, judging, serving, control, access, versions, keeping, rehearsing,
):  # fmt: skip
    group.add_to(app)


def _version(value: bool) -> None:
    if value:
        output.say(f"incumbent {incumbent.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    """Take a model to production in five steps, and keep it right there."""


def main(arguments: list[str] | None = None) -> None:
    """Run one command and leave with its exit code."""
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: list[str]) -> int:
    """Run one command; its exit code. Errors go to standard error in one paragraph, never as a stack trace, but for
    those that are our own mistake."""
    try:
        code = typer.main.get_command(app).main(args=arguments, prog_name="incumbent", standalone_mode=False)
        return int(code or 0)
    except typer.Exit as stop:
        return stop.exit_code
    except typer.Abort:
        output.notes.print("stopped")
        return 4
    except TyperException as error:
        output.notes.print(_usage(error), markup=False)
        return 2
    except IncumbentError as error:
        return _failed(error)
    except ModuleNotFoundError as error:
        if error.name and error.name.split(".")[0] in JUDGING:
            return _failed(MissingExtra(error.name.split(".")[0], "all", f"`incumbent {' '.join(arguments[:1])}`"))
        if error.name and not error.name.startswith("incumbent"):
            output.notes.print(f"the package {error.name!r} is not installed here: install it first", markup=False)
            return 4
        traceback.print_exc()
        return 4
    except KeyboardInterrupt:
        return 130
    except Exception:
        traceback.print_exc()
        output.notes.print("This is a mistake of ours, not of yours: please report it with the lines above.")
        return 4


def _usage(error: TyperException) -> str:
    """What was wrong with the command line, and where its help is."""
    context = getattr(error, "ctx", None)
    path = context.command_path if context else "incumbent"
    return f"{error.format_message()}\nSee `{' '.join(path.split())} --help`."


def _failed(error: IncumbentError) -> int:
    style = "red" if output.notes.is_terminal else ""
    output.notes.print(f"{type(error).__name__}: {error}", markup=False, style=style)
    return error.exit_code
