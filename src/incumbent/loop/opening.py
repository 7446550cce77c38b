"""Versions are opened beside the traffic: each in a thread that nobody waits for at the end.

In: which version is needed, and as what (a lane or a shadow). Out: its engine, loaded and proved, or the reason why
there is none. No stage of its own: `answer` asks it while it follows the ledger.
"""

import logging
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Literal

from incumbent.engines.base import Engine
from incumbent.engines.opening import OpenEngine
from incumbent.errors import IncumbentError
from incumbent.records import Version

Needed = tuple[Literal["lane", "shadow"], str, bool]
"""What it is needed as, the name of the version, and whether it is opened apart, as a challenger is."""
_LOGGER = logging.getLogger("incumbent")


class Openings:
    """Engines that are being opened. Used by one thread at a time."""

    def __init__(self, open_engine: OpenEngine) -> None:
        self._open_engine = open_engine
        self._running: dict[Needed, Future[Engine]] = {}

    def __len__(self) -> int:
        return len(self._running)

    def are_done(self, needed: Sequence[Needed], versions: Mapping[str, Version]) -> bool:
        """Start what is needed and not started yet. Is all of it opened, or refused?"""
        for key in needed:
            if key not in self._running:
                self._running[key] = self._beside(versions[key[1]], key[2])
        return all(self._running[key].done() for key in needed)

    def any_done(self) -> bool:
        """Is one of them opened, or refused, that was not waited for?"""
        return any(opening.done() for opening in self._running.values())

    def wait(self, seconds: float) -> None:
        """Until one of them is done, or so long."""
        wait(self._running.values(), seconds, FIRST_COMPLETED)

    def take(
        self, needed: Sequence[Needed], failures: dict[str, str], later: Sequence[Needed] = ()
    ) -> dict[Needed, Engine]:
        """The engines that were opened; why another was not goes to `failures`. What is needed neither now nor later
        is closed."""
        found: dict[Needed, Engine] = {}
        for key in needed:
            try:
                found[key] = self._running.pop(key).result()
            except IncumbentError as error:
                _LOGGER.warning("%s cannot be loaded, its fallback answers: %s", key[1], error)
                failures[key[1]] = type(error).__name__
        self.let_go(later)
        return found

    def let_go(self, later: Sequence[Needed] = ()) -> None:
        """Close what was opened and is not needed after all, now or when it is open."""
        for key, opening in self._running.items():
            if key not in later:
                opening.add_done_callback(_close)
        self._running = {key: opening for key, opening in self._running.items() if key in later}

    def _beside(self, version: Version, apart: bool) -> "Future[Engine]":
        opening: Future[Engine] = Future()

        def run() -> None:
            try:
                opening.set_result(self._open_engine(version, apart=apart))
            except BaseException as error:
                opening.set_exception(error)

        threading.Thread(target=run, daemon=True, name=f"incumbent-open-{version.name}").start()
        return opening


def _close(opening: "Future[Engine]") -> None:
    if opening.exception() is None:
        opening.result().close()
