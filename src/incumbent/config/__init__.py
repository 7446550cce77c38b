"""incumbent.toml as dataclasses: each field with its unit, default and one sentence.

    sections   what may be set: a dataclass a section
    reading    the text of incumbent.toml, checked key by key, as a Config
    checks     settings that would contradict each other

The sentences are read by `--help`, the docs and the pages, so that a setting is explained in one place. An unknown key
is an error that names the nearest spelling. Reads no store and imports no user code.
"""

from incumbent.config.reading import FILE_NAME, live_of, load, parse, settings, tables
from incumbent.config.sections import (
    Baseline,
    Config,
    Gate,
    Keeping,
    Live,
    Measure,
    People,
    Plan,
    Rehearse,
    Retrain,
    Reviewing,
    Rule,
    Serve,
    Slice,
    Speed,
    Store,
    Task,
    Versions,
)

__all__ = [
    "FILE_NAME",
    "Baseline",
    "Config",
    "Gate",
    "Keeping",
    "Live",
    "Measure",
    "People",
    "Plan",
    "Rehearse",
    "Retrain",
    "Reviewing",
    "Rule",
    "Serve",
    "Slice",
    "Speed",
    "Store",
    "Task",
    "Versions",
    "live_of",
    "load",
    "parse",
    "settings",
    "tables",
]
