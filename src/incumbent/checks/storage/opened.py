"""What the suites stand on: an opened Log in a folder of its own, and short ways to write records."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Generic, TypeVar

import pytest

from incumbent.config import Store
from incumbent.records import SECOND, Label, Micros, Outcome, Prediction, Shadow
from incumbent.storage.base import Log

Opened = TypeVar("Opened")

HOUR: Micros = 3600 * SECOND
T0: Micros = 1_364_774_400 * SECOND
"""2013-04-01T00:00:00Z, where the stories of the checks begin."""

FEATURES = {"hour": 14, "wind": 3.5, "origin": "JFK", "wet": True, "gust": None}


def predicted(id: str, at: Micros = T0, **fields: Any) -> Prediction:
    """A prediction of `v1`; any field may be given."""
    given: dict[str, Any] = {"features": FEATURES, "version": "v1", "served_by": "v1", "output": (0.25, 0.75)}
    return Prediction(id=id, at=at, **{**given, **fields})


def shadowed(id: str, version: str = "v2", output: tuple[float, ...] | None = (0.5, 0.5), **fields: Any) -> Shadow:
    """What `v2` said of a row."""
    return Shadow(id, version, output, **fields)


def learnt(id: str, value: Label = 1, known_at: Micros = T0 + HOUR, name: str = "label") -> Outcome:
    """An outcome that was known an hour after T0."""
    return Outcome(id, value, known_at, name)


@dataclass(frozen=True)
class InSchema(Generic[Opened]):
    """Opens a body that lives in a shared database: each folder is a schema of its own. Survives pickling."""

    open: Callable[..., Opened]
    url: str
    store: Store = Store()
    days: str = ""
    """The folder of Parquet files in `folder`; empty: it takes none."""

    def __call__(self, folder: Path) -> Opened:
        more = [folder / self.days] if self.days else []
        return self.open(self.url, schema_of(folder), self.store, *more)


def schema_of(folder: Path) -> str:
    """The schema that stands for a folder."""
    return f"checks_{sha256(str(folder).encode()).hexdigest()[:24]}"


class OpenedLog:
    """Opens a log for each check."""

    def opener(self) -> Callable[[Path], Log]:
        """What opens the log of a folder; it must survive pickling."""
        raise NotImplementedError

    @pytest.fixture
    def log(self, tmp_path: Path) -> Iterator[Log]:
        """An empty log in `tmp_path`."""
        log = self.opener()(tmp_path)
        yield log
        log.close()


def score(log: Log, losses: dict[str, int] | None = None, default: int = 1) -> None:
    """Give every unscored output a loss: the one of its version, else `default`."""
    while due := log.unscored():
        log.put_losses([(each.id, each.version, (losses or {}).get(each.version, default)) for each in due])


def labels(log: Log, known_before: Micros | None = None) -> dict[str, Label | None]:
    """The label of each id as it was known before a bound."""
    return {row.prediction.id: row.label for rows in log.scan(known_before=known_before) for row in rows}
