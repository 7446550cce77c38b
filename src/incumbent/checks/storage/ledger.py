"""The contract of a Ledger: an unbroken chain, compare-and-swap, leases."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from incumbent.checks.storage.children import append_events, at_once
from incumbent.checks.storage.opened import T0
from incumbent.errors import DataError, LedgerConflict, StorageError, StoreDamaged
from incumbent.records import Event
from incumbent.storage.base import Ledger


class LedgerChecks:
    """The whole contract of a Ledger. Say `opener` (it must survive pickling) and `tamper`."""

    def opener(self) -> Callable[[Path], Ledger]:
        """What opens the ledger of a folder."""
        raise NotImplementedError

    def tamper(self, folder: Path, sequence: int, reason: str | None) -> None:
        """Change the reason of a stored event behind the ledger's back; None drops the event."""
        raise NotImplementedError

    @pytest.fixture
    def ledger(self, tmp_path: Path) -> Iterator[Ledger]:
        """An empty ledger in `tmp_path`."""
        ledger = self.opener()(tmp_path)
        yield ledger
        ledger.close()

    # --- events

    def test_an_empty_ledger(self, ledger: Ledger) -> None:
        """Has sequence 0, and is whole."""
        assert (ledger.sequence(), ledger.events(), ledger.verify()) == (0, [], 0)

    def test_events_are_numbered_without_gaps(self, ledger: Ledger) -> None:
        """From 1; what `append` gives is what `events` gives."""
        appended = [noted(ledger, n) for n in range(3)]
        assert [event.sequence for event in appended] == [1, 2, 3]
        assert ledger.events() == appended
        assert ledger.sequence() == ledger.verify() == 3

    def test_each_event_holds_the_hash_of_the_one_before(self, ledger: Ledger) -> None:
        """The hash is the one that the contract writes down; anybody can recompute it."""
        previous = "0" * 64
        for event in [noted(ledger, 1), noted(ledger, 2, data={"b": [1, None, "é"], "a": 0.1})]:
            assert event.previous_hash == previous
            assert event.hash == by_the_contract(event)
            previous = event.hash

    @pytest.mark.parametrize(
        "data", [{}, {"ü": "\U0001f600\n\u0000", "n": [1e-300, -0.0, 2**70, True, None]}, {"deep": {"b": {}, "a": []}}]
    )
    def test_data_comes_back_as_it_went_in(self, ledger: Ledger, data: dict[str, Any]) -> None:
        """`data` and `measured`, and all else."""
        event = ledger.append("Noted", at=-5, actor="ä", reason="", data=data, measured=data)
        assert ledger.events() == [event]
        assert (event.type, event.at, event.actor, event.reason) == ("Noted", -5, "ä", "")
        assert event.data == event.measured == data
        assert ledger.verify() == 1

    def test_data_that_json_cannot_write_is_refused(self, ledger: Ledger) -> None:
        """Nothing is appended."""
        for value in (float("nan"), object()):
            with pytest.raises(DataError):
                noted(ledger, 1, data={"x": value})
        assert ledger.sequence() == 0

    def test_events_after_a_number_and_of_some_types(self, ledger: Ledger) -> None:
        """All types when none is named."""
        for type in "ABAC":
            ledger.append(type, at=T0, actor="", reason="")
        assert [event.sequence for event in ledger.events(after=2)] == [3, 4]
        assert [event.sequence for event in ledger.events(types=["A", "C"])] == [1, 3, 4]
        assert [event.sequence for event in ledger.events(after=1, types=["A"])] == [3]
        assert ledger.events(after=4) == ledger.events(types=["D"]) == []

    # --- compare-and-swap

    def test_an_event_is_refused_when_somebody_was_first(self, ledger: Ledger) -> None:
        """With another `expected` than the last number, higher or lower, nothing is appended."""
        noted(ledger, 1, expected=0)
        for expected in (0, 2):
            with pytest.raises(LedgerConflict, match=f"expected {expected}"):
                noted(ledger, 2, expected=expected)
        assert noted(ledger, 2, expected=1).sequence == 2

    def test_of_threads_that_decide_at_once_one_wins(self, ledger: Ledger) -> None:
        """The others hear of it."""

        def decide(n: int) -> bool:
            try:
                noted(ledger, n, expected=0)
            except LedgerConflict:
                return False
            return True

        with ThreadPoolExecutor(8) as pool:
            assert sum(pool.map(decide, range(8))) == 1
        assert ledger.sequence() == 1

    def test_processes_that_append_at_once_keep_the_chain(self, tmp_path: Path) -> None:
        """Each event is there once, in the order of its process, and the chain is whole."""
        at_once(append_events, *((self.opener(), tmp_path, name, 25) for name in ("one", "two")))
        ledger = self.opener()(tmp_path)
        assert ledger.verify() == 50
        for name in ("one", "two"):
            assert [event.data["n"] for event in ledger.events() if event.actor == name] == list(range(25))
        ledger.close()

    # --- tampering

    @pytest.mark.parametrize("reason", ["because not", None])
    def test_tampering_shows(self, ledger: Ledger, tmp_path: Path, reason: str | None) -> None:
        """A changed event, and one that is gone, is named by its number."""
        for n in range(4):
            noted(ledger, n)
        ledger.close()
        self.tamper(tmp_path, 2, reason)
        again = self.opener()(tmp_path)
        with pytest.raises(StoreDamaged, match="event 2 "):
            again.verify()
        again.close()

    # --- leases

    def test_a_lease_is_held_by_one(self, ledger: Ledger) -> None:
        """Who has it may renew it; other names are other leases."""
        assert ledger.lease("tick", "me", 600)
        assert not ledger.lease("tick", "you", 600)
        assert ledger.lease("tick", "me", 600)
        assert ledger.lease("draw", "you", 600)

    def test_a_lease_that_ran_out_is_anybodys(self, ledger: Ledger) -> None:
        """A lease of no seconds has run out when it is taken."""
        assert ledger.lease("tick", "me", 0)
        assert ledger.lease("tick", "you", 600)
        assert not ledger.lease("tick", "me", 600)

    def test_a_lease_is_given_back_by_its_holder_alone(self, ledger: Ledger) -> None:
        """Anybody else changes nothing; a lease that nobody has can be given back too."""
        ledger.release("tick", "me")
        ledger.lease("tick", "me", 600)
        ledger.release("tick", "you")
        assert not ledger.lease("tick", "you", 600)
        ledger.release("tick", "me")
        assert ledger.lease("tick", "you", 600)

    def test_of_threads_that_want_a_lease_one_gets_it(self, ledger: Ledger) -> None:
        """All ask at once."""
        with ThreadPoolExecutor(8) as pool:
            assert sum(pool.map(lambda n: ledger.lease("tick", f"holder {n}", 600), range(8))) == 1

    # --- reopening

    def test_events_and_leases_are_there_after_reopening(self, ledger: Ledger, tmp_path: Path) -> None:
        """The chain goes on where it ended."""
        noted(ledger, 1)
        ledger.lease("tick", "me", 600)
        ledger.close()
        again = self.opener()(tmp_path)
        assert noted(again, 2).sequence == again.verify() == 2
        assert not again.lease("tick", "you", 600)
        again.close()

    def test_closing_twice_is_fine(self, ledger: Ledger) -> None:
        """What is asked of a closed ledger is a StorageError."""
        ledger.close()
        ledger.close()
        with pytest.raises(StorageError):
            ledger.sequence()


def noted(ledger: Ledger, n: int, **more: Any) -> Event:
    """Append an event with a number in its reason."""
    return ledger.append("Noted", at=T0 + n, actor="somebody", reason=f"because {n}", **more)


def by_the_contract(event: Event) -> str:
    """The hash as `storage.base.Ledger` defines it, computed here once more."""
    bare = replace(event, hash="")
    fields = [bare.previous_hash, bare.sequence, bare.type, bare.at, bare.recorded_at, bare.actor, bare.reason,
              bare.data, bare.measured]  # fmt: skip
    return sha256(json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()).hexdigest()
