"""Write the reference pages that the code already knows: docs/settings.md, and the commands of docs/cli.md.

In: the dataclasses of `incumbent.config` and the commands of `incumbent.cli`. Out: Markdown. The text of cli.md around
its two markers is written by hand. A test asserts that the committed pages equal what is made here.

    python docs/make_reference.py
"""

import json
from collections.abc import Iterator
from dataclasses import MISSING, Field, is_dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import typer

from incumbent import config
from incumbent.cli import app
from incumbent.cli.groups import OWN
from incumbent.records import Kind
from incumbent.stats import metrics

DOCS = Path(__file__).parent
SETTINGS, COMMANDS = DOCS / "settings.md", DOCS / "cli.md"
START, END = "<!-- commands: written by make_reference.py -->", "<!-- end of the commands -->"

_INTRO = """# Settings

Everything that `incumbent.toml` may hold. This page is written by `docs/make_reference.py` from `incumbent.config`,
where each setting has its unit, default and sentence; do not edit it by hand.

`[task]` needs `name`, `kind`, `target` and `metric`; everything else has a default. An unknown key is an error that
names the nearest spelling; a value of another type is an error too. Paths are relative to the project's folder.

Metrics:

{metrics}

A metric in italics is no mean over rows: it serves steps 1 and 2, but no trial.

The smallest file that parses:

```toml
[task]
name = "late"
kind = "binary"
target = "late"
metric = "brier"
```
"""


def settings() -> str:
    """docs/settings.md."""
    lines = [_metrics("binary"), _metrics("multiclass"), _metrics("regression"), _metrics("forecast")]
    parts = [_INTRO.format(metrics="\n".join(lines))]
    for section, keys in groupby(config.settings(), key=lambda one: one[0].rpartition(".")[0]):
        parts.append(_section(section, list(keys)))
    return "\n".join(parts)


def commands(page: str) -> str:
    """docs/cli.md with what stands between its markers made anew."""
    before, rest = page.split(START)
    after = rest.split(END)[1]
    made = "\n".join(_command(name, command) for name, command in walk(typer.main.get_command(app)))
    return f"{before}{START}\n\n{made}\n{END}{after}"


def walk(command: Any, name: str = "incumbent") -> Iterator[tuple[str, Any]]:
    """Every command that does something, by its whole name, in the order of `--help`."""
    children = getattr(command, "commands", None)
    if children is None:
        yield name, command
        return
    for word, child in children.items():
        yield from walk(child, name if word == OWN else f"{name} {word}")


def _section(section: str, keys: list[tuple[str, Field[Any]]]) -> str:
    owner, *table = section.split(".")
    owner = get_type_hints(config.Config)[owner]
    owner = dict(config.tables(owner))[table[0]] if table else owner
    about = " ".join((owner.__doc__ or "").split())
    rows = [f"| `{key}` | {_type(owner, field)} | {_default(field)} | {_cell(field)} |" for key, field in keys]
    heads = "| setting | type | default | what it does |\n| --- | --- | --- | --- |"
    title = f"[[{section}]]" if table else f"[{section}]"
    return f"## {title}\n\n{about}\n\n{heads}\n" + "\n".join(rows) + "\n"


def _metrics(kind: Kind) -> str:
    """One line: the metrics of a kind, those without a row loss in italics."""
    shown = [f"`{n}`" if metrics.get(n, kind).row_loss else f"*`{n}`*" for n in metrics.names(kind)]
    if kind in ("regression", "forecast"):
        shown.append("`quantile_loss_0.9` (any level between 0 and 1)")
    return f"- {kind}: {', '.join(shown)}"


def _type(owner: Any, field: Field[Any]) -> str:
    hint = get_type_hints(owner)[field.name]
    args = get_args(hint)
    if get_origin(hint) is Literal:
        return ", ".join(f"`{word}`" for word in args)
    if get_origin(hint) is tuple:
        return "list of tables" if is_dataclass(args[0]) else f"list of {args[0].__name__}"
    if args:
        return " or ".join(one.__name__ for one in args if one is not type(None))
    return str(hint.__name__)


def _default(field: Field[Any]) -> str:
    if field.default is MISSING:
        return "required"
    if field.default is None:
        return "none"
    value = list(field.default) if isinstance(field.default, tuple) else field.default
    return f"`{json.dumps(value)}`"


def _cell(field: Field[Any]) -> str:
    unit = field.metadata["unit"]
    return str(field.metadata["sentence"]).replace("|", "\\|") + (f" ({unit})" if unit else "")


def _command(name: str, command: Any) -> str:
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [p for p in command.params if p.param_type_name == "option" and p.name != "help"]
    usage = " ".join([name, *(p.name.upper() if p.required else f"[{p.name.upper()}]" for p in arguments)])
    required = [f"{max(p.opts, key=len)} …" for p in options if p.required]
    lines = [f"### {name}", "", " ".join((command.help or "").split()), "", f"    {' '.join([usage, *required])}", ""]
    named = [(p.name.upper(), p) for p in arguments] + [(_spelling(p), p) for p in options]
    if named:
        lines += ["| option | meaning |", "| --- | --- |"]
        lines += [f"| `{spelling}` | {_meaning(p)} |" for spelling, p in named]
    return "\n".join(lines) + "\n"


def _spelling(option: Any) -> str:
    return ", ".join([*option.opts, *option.secondary_opts])


def _meaning(param: Any) -> str:
    said = getattr(param, "help", None) or ("A registered version, e.g. v7." if param.name == "version" else "")
    shown = param.default
    if isinstance(shown, bool) or not isinstance(shown, str | int | float) or shown == "":
        return str(said).strip()
    return f"{str(said).strip()} Default: {f'{shown:g}' if isinstance(shown, float) else shown}."


if __name__ == "__main__":
    SETTINGS.write_text(settings(), encoding="utf-8")
    COMMANDS.write_text(commands(COMMANDS.read_text(encoding="utf-8")), encoding="utf-8")
