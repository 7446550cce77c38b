"""The text of incumbent.toml as a Config: every key known, every value of its type.

In: a folder, or text. Out: a frozen Config, or ConfigError with file, key, what was found and what was expected.
"""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from difflib import get_close_matches
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from incumbent.config.checks import check
from incumbent.config.sections import Config, Live
from incumbent.errors import ConfigError, UnknownKey

FILE_NAME = "incumbent.toml"


def load(folder: str | Path) -> Config:
    """Read `incumbent.toml` in `folder`.

    Raises ConfigError when it is missing, not TOML, or holds a value of the wrong type; UnknownKey for a key that
    nobody knows.
    """
    path = Path(folder) / FILE_NAME
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file. Run `incumbent init` there, or name the project's folder.") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}), expected a file of settings") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: found bytes that are no UTF-8 ({error.reason}), expected text") from None
    return parse(text, Path(folder), where=str(path))


def parse(text: str, folder: Path = Path(), where: str = FILE_NAME) -> Config:
    """A Config from the text of incumbent.toml.

    >>> parse('[task]\\nname="late"\\nkind="binary"\\ntarget="late"\\nmetric="brier"').task.kind
    'binary'
    """
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{where}: not valid TOML: {error}") from None
    sections = {f.name: f for f in fields(Config) if f.name != "folder"}
    _refuse_unknown(raw, sections, where, "section")
    if "task" not in raw:
        raise ConfigError(f"{where}: found no [task], expected name, kind, target and metric there")
    hints = get_type_hints(Config)
    values: dict[str, Any] = {name: _section(hints[name], raw[name], where, name) for name in sections if name in raw}
    config = Config(folder=folder, **values)
    check(config, where)
    return config


def live_of(found: Mapping[str, Any]) -> Live:
    """[live] from its settings as JSON values, as a look at a trial keeps them. A setting that is missing has its
    default; UnknownKey for one that this release does not have."""
    live: Live = _section(Live, dict(found), "the settings of a look", "live")
    return live


def settings() -> Iterator[tuple[str, Field[Any]]]:
    """Every setting as ("section.key", field): what the docs, `--help` and the pages list."""
    hints = get_type_hints(Config)
    for section in fields(Config):
        if section.name != "folder":
            for key in fields(hints[section.name]):
                yield f"{section.name}.{key.name}", key
            for name, cls in tables(hints[section.name]):
                yield from ((f"{section.name}.{name}.{key.name}", key) for key in fields(cls))


def tables(section: Any) -> Iterator[tuple[str, Any]]:
    """The settings of a section that are lists of tables, as (name, dataclass): `[[gate.slice]]`."""
    for name, hint in get_type_hints(section).items():
        args = get_args(hint)
        if get_origin(hint) is tuple and is_dataclass(args[0]):
            yield name, args[0]


def _section(cls: Any, raw: Any, where: str, name: str) -> Any:
    if not isinstance(raw, dict):
        raise ConfigError(f"{where}: [{name}] is {raw!r}, expected a table of settings")
    known = {f.name: f for f in fields(cls)}
    _refuse_unknown(raw, known, where, f"key in [{name}]")
    hints = get_type_hints(cls)
    values = {key: _typed(value, hints[key], f"{where}: {name}.{key}") for key, value in raw.items()}
    missing = [key for key, f in known.items() if f.default is MISSING and key not in values]
    if missing:
        raise ConfigError(f"{where}: [{name}] lacks {', '.join(missing)}")
    return cls(**values)


def _refuse_unknown(raw: Mapping[str, Any], known: Mapping[str, Any], where: str, what: str) -> None:
    for key in raw:
        if key not in known:
            near = get_close_matches(key, list(known), n=1, cutoff=0.5)
            hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}."
            raise UnknownKey(f"{where}: unknown {what}: {key!r}; {hint}")


def _typed(value: Any, hint: Any, where: str) -> Any:
    origin, args = get_origin(hint), get_args(hint)
    if is_dataclass(hint):
        where, _, key = where.rpartition(": ")
        return _section(hint, value, where, key)
    if origin is Literal:
        if value not in args:
            raise ConfigError(f"{where}: found {value!r}, expected one of {', '.join(map(str, args))}")
        return value
    if origin in (Union, UnionType):
        value = float(value) if float in args and int not in args and _is(value, int) else value
        return value if value is None or any(_is(value, a) for a in args) else _wrong(value, hint, where)
    if origin is tuple:
        if not isinstance(value, list):
            _wrong(value, f"a list of {args[0].__name__}", where)
        return tuple(_typed(item, args[0], f"{where}[{i}]") for i, item in enumerate(value))
    if hint is float and _is(value, int):
        return float(value)
    return value if _is(value, hint) else _wrong(value, hint, where)


def _is(value: Any, hint: Any) -> bool:
    if hint is float:
        return isinstance(value, float | int) and not isinstance(value, bool)
    return isinstance(value, hint) and (hint is bool or not isinstance(value, bool))


def _wrong(value: Any, expected: Any, where: str) -> Any:
    name = getattr(expected, "__name__", str(expected))
    raise ConfigError(f"{where}: found {value!r} ({type(value).__name__}), expected {name}")
