"""A move by hand at the terminal: says what will happen, then does it. Loads no judging package."""

from collections.abc import Iterator
from contextlib import contextmanager

from incumbent.cli import options, output
from incumbent.clock import wall
from incumbent.config import Config
from incumbent.errors import DecisionRefused
from incumbent.loop import steering
from incumbent.loop.steering import Move
from incumbent.records import Event
from incumbent.server.proving import here
from incumbent.storage.opening import Facts, open_facts


@contextmanager
def facts(settings: Config) -> Iterator[Facts]:
    opened = open_facts(settings)
    try:
        yield opened
    finally:
        opened.close()


def told(opened: Facts, settings: Config, move: Move, now: str | None) -> None:
    """Say on standard error what will happen; DecisionRefused for what would be refused, and without a reason."""
    if not move.reason.strip():
        raise DecisionRefused(f"found no reason to {steering.NAMES[move.verb]}: the ledger keeps one, say --reason.")
    output.note(steering.foretell(move, opened, settings, at=options.moment(now) or wall()))


def made(opened: Facts, settings: Config, move: Move, now: str | None) -> Event:
    """Say what will happen, and do it: one event of the ledger."""
    told(opened, settings, move, now)
    at, proves = options.moment(now) or wall(), here(settings, opened.blobs)
    return steering.make(move, opened, settings, proves, at=at, actor=options.actor())
