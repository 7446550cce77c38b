"""A command that has others under it: `incumbent gate v7`, and `incumbent gate simulate`.

In: the word after the command. Out: the command of that name, else the group's own (registered under OWN), which gets
everything that was typed, `--help` too.
"""

from typing import Any

import typer
from typer.core import TyperGroup

OWN = "itself"


class WithOwn(TyperGroup):
    """A group that is a command by itself. Its own command is shown under the group's name."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        word = args[0] if args else ""
        return super().parse_args(ctx, args if word in self.commands else [OWN, *args])

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        name, command, rest = super().resolve_command(ctx, args)
        return "" if name == OWN else name, command, rest


def group(sentence: str) -> typer.Typer:
    """An app whose own command is the one registered by `app.command(OWN)`; the sentence stands in the list of all."""
    return typer.Typer(cls=WithOwn, no_args_is_help=False, help=sentence)
