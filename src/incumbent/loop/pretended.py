"""What would the ledger say? A ledger on which a move can be tried: it reads a real one, and keeps what is appended.

In: a Ledger. Out: the same events, and those that were appended here. Nothing is stored; a move that would be refused
is refused here, in the same words.
"""

from collections.abc import Mapping, Sequence

from incumbent.errors import LedgerConflict
from incumbent.records import Event, Json, Micros
from incumbent.storage.base import Ledger


class Pretended:
    """A `storage.base.Ledger` for one process and one thread. Its events have no hash: nobody is to verify them."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._events = list(ledger.events())

    def append(
        self,
        type: str,
        *,
        at: Micros,
        actor: str,
        reason: str,
        data: Mapping[str, Json] | None = None,
        measured: Mapping[str, Json] | None = None,
        expected: int | None = None,
    ) -> Event:
        """The event that would be appended."""
        if expected is not None and expected != self.sequence():
            raise LedgerConflict(f"found event {self.sequence()}, expected {expected} to be the last")
        event = Event(self.sequence() + 1, type, at, at, actor, reason, data or {}, measured or {}, "", "")
        self._events.append(event)
        return event

    def events(self, after: int = 0, types: Sequence[str] = ()) -> list[Event]:
        """Those of the real ledger when this one was made, and those appended here."""
        return [one for one in self._events if one.sequence > after and (not types or one.type in types)]

    def sequence(self) -> int:
        """The last sequence number, what was appended here included."""
        return self._events[-1].sequence if self._events else 0

    def verify(self) -> int:
        """Verify the real one."""
        return self._ledger.verify()

    def lease(self, name: str, holder: str, seconds: float) -> bool:
        """Nobody else is here."""
        return True

    def release(self, name: str, holder: str) -> None:
        """Nobody waits for it."""

    def close(self) -> None:
        """There is nothing to give back."""
