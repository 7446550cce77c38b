"""The options that several commands share, each explained once."""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from incumbent.errors import ConfigError
from incumbent.records import Micros, micros

Folder = Annotated[
    Path,
    typer.Option("--project", "-p", envvar="INCUMBENT_PROJECT", help="Folder that holds incumbent.toml."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of tables.")]
Reason = Annotated[str, typer.Option("--reason", "-r", help="Why; it stays on the ledger.")]
Override = Annotated[
    bool, typer.Option("--override", help="The gate's verdict against it is not followed: an event of its own.")
]
Now = Annotated[
    str | None, typer.Option("--now", help="Task time to act at (ISO 8601 with offset), for a past that is rehearsed.")
]


HERE = Path()


def actor() -> str:
    """Who acts, for the ledger: the login name."""
    return os.environ.get("INCUMBENT_ACTOR") or os.environ.get("USER") or os.environ.get("LOGNAME") or "somebody"


def moment(text: str | None) -> Micros | None:
    """Microseconds of an ISO 8601 time; None stays None. A time without a zone is read as UTC."""
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"found the time {text!r}, expected ISO 8601, e.g. 2013-06-01T00:00:00-04:00") from None
    return micros(found if found.tzinfo else found.replace(tzinfo=UTC))
