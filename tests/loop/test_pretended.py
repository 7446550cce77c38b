"""A ledger on which a move can be tried: it answers as the real one would, and the real one never hears of it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from incumbent.config import parse
from incumbent.errors import LedgerConflict
from incumbent.loop.pretended import Pretended
from incumbent.storage.base import Ledger
from incumbent.storage.opening import open_facts

TOML = '[task]\nname="x"\nkind="binary"\ntarget="y"\nmetric="brier"\n'


@pytest.fixture
def real(tmp_path: Path) -> Iterator[Ledger]:
    facts = open_facts(parse(TOML, tmp_path))
    for number in (1, 2):
        facts.ledger.append("AlarmRaised", at=number, actor="test", reason="r", data={"alarm": str(number)})
    yield facts.ledger
    facts.close()


def test_what_is_appended_stays_here(real: Ledger) -> None:
    """It follows the real events, and is read like them."""
    pretended = Pretended(real)
    event = pretended.append("Promoted", at=9, actor="anna", reason="why", data={"version": "v1"}, expected=2)
    assert (event.sequence, event.type, event.actor, event.data) == (3, "Promoted", "anna", {"version": "v1"})
    assert pretended.sequence() == 3 and real.sequence() == 2
    assert [one.sequence for one in pretended.events()] == [1, 2, 3]
    assert [one.sequence for one in pretended.events(after=1, types=["AlarmRaised"])] == [2]
    assert pretended.verify() == real.verify() == 2


def test_a_stale_expectation_is_a_conflict(real: Ledger) -> None:
    """As on the real one; nothing is kept."""
    pretended = Pretended(real)
    with pytest.raises(LedgerConflict):
        pretended.append("Promoted", at=9, actor="anna", reason="why", expected=1)
    assert pretended.sequence() == 2


def test_an_empty_ledger_begins_at_one(tmp_path: Path) -> None:
    with open_facts(parse(TOML, tmp_path)) as facts:
        pretended = Pretended(facts.ledger)
        assert pretended.sequence() == 0
        assert pretended.append("AlarmRaised", at=1, actor="a", reason="r").sequence == 1
