"""How the command line speaks: tables for people, one JSON document for programs, exit codes for both.

0 ship or done, 1 hold, 2 usage, 3 not enough data, 4 error. Progress and notes go to standard error and only to a
terminal; results go to standard output.
"""

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from incumbent.records import Evidence

EXIT_CODES = {
    "ship": 0, "promote": 0, "continue": 0, "ok": 0, "automate": 0,
    "hold": 1, "stop": 1, "roll_back": 1, "invalid": 1, "assist": 1, "not_yet": 1,
}  # fmt: skip
NOT_ENOUGH_DATA = 3

out = Console(highlight=False, soft_wrap=True)
notes = Console(stderr=True, highlight=False, soft_wrap=True)


def exit_code(verdict: str) -> int:
    """What the shell sees of a verdict (a word that is neither good nor bad is 0)."""
    return NOT_ENOUGH_DATA if verdict == "not_enough_data" else EXIT_CODES.get(verdict, 0)


def as_json(value: Any) -> None:
    """Print one JSON document. NaN and infinity become null: JSON has no word for them."""
    sys.stdout.write(json.dumps(_plain(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def table(title: str, heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print a table; numbers are aligned to the right."""
    body = [[_cell(value) for value in row] for row in rows]
    numbers = [all(isinstance(row[i], int | float | None) for row in rows) for i in range(len(heads))] if body else []
    grid = Table(title=title or None, title_justify="left", title_style="bold", header_style="bold", box=None)
    for i, head in enumerate(heads):
        grid.add_column(head, justify="right" if numbers and numbers[i] else "left", overflow="fold")
    for row in body:
        grid.add_row(*(Text(cell) for cell in row))  # text as it is: "[plan]" is no markup
    _unfolded(grid)


def say(text: str) -> None:
    out.print(text, markup=False)


def note(text: str) -> None:
    """A line on standard error: what is being done, what was assumed."""
    notes.print(text, markup=False, style="dim")


def warn(text: str) -> None:
    """A line on standard error that nobody should miss."""
    notes.print(f"WARNING: {text}", markup=False, style="bold yellow" if notes.is_terminal else "")


def verdict(evidence: Evidence) -> None:
    """One piece of evidence: its verdict in capitals and the sentence that explains it."""
    word = evidence.verdict.replace("_", " ")
    say(f"{word.upper()}: {evidence.sentence.removeprefix(f'{word}: ')}")


@contextmanager
def progress(what: str) -> Iterator[Callable[[float], None]]:
    """A function to call with the share that is done (0-1): a bar on a terminal, silence elsewhere."""
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"))
    bar = Progress(*columns, TimeRemainingColumn(), console=notes, transient=True, disable=not notes.is_terminal)
    with bar:
        task = bar.add_task(what, total=1.0)
        yield lambda share: bar.update(task, completed=share)


@contextmanager
def busy(what: str) -> Iterator[None]:
    """A moving sign beside `what` on a terminal while something takes its time; silence elsewhere."""
    if not notes.is_terminal:
        yield
        return
    with notes.status(what):
        yield


def _unfolded(grid: Table) -> None:
    """On a terminal a table keeps to its width; in a pipe it is as wide as it needs to be."""
    if out.is_terminal:
        out.print(grid)
    else:
        Console(highlight=False, width=400).print(grid)


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(v) for v in value]
    if isinstance(value, float) and value - value != 0:
        return None
    return value
