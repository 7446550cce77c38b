"""Tokens are events: grants are a fold over the ledger, and the token itself is kept nowhere."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from incumbent.config import Store
from incumbent.errors import DecisionRefused, LedgerConflict
from incumbent.loop import fold, tokens
from incumbent.loop.sentences import sentence
from incumbent.records import DAY, Event
from incumbent.storage import sqlite
from incumbent.storage.base import Ledger


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = sqlite.open_ledger(tmp_path, Store())
    yield ledger
    ledger.close()


def held(ledger: Ledger) -> tokens.Grants:
    return tokens.grants(ledger.events())


def add(ledger: Ledger, name: str, *scopes: str, **options: Any) -> str:
    return tokens.add(ledger, name, scopes or ("read",), at=DAY, actor="ann", **options)[0]


def test_only_the_hash_is_kept(ledger: Ledger) -> None:
    """The token has 256 random bits, is returned once, and no event holds it."""
    token = add(ledger, "shop", "outcome", "predict", expires_at=2 * DAY)
    assert token.startswith("inc_") and len(token) == 4 + 43
    assert token != add(ledger, "another", "predict")
    assert token not in json.dumps([asdict(event) for event in ledger.events()])
    expected = tokens.Grant("shop", frozenset({"predict", "outcome"}), 2 * DAY, DAY)
    assert held(ledger)[tokens.digest(token)] == expected


def test_a_revoked_token_is_gone_and_its_name_is_free(ledger: Ledger) -> None:
    """Another token of that name is another token."""
    first = add(ledger, "shop")
    tokens.revoke(ledger, "shop", at=DAY, actor="ann", reason="it leaked")
    assert held(ledger) == {}
    second = add(ledger, "shop")
    assert set(held(ledger)) == {tokens.digest(second)} != {tokens.digest(first)}


def test_grants_are_folded_from_where_one_stopped(ledger: Ledger) -> None:
    """What a process that polls the ledger does."""
    add(ledger, "a")
    before = held(ledger)
    tokens.revoke(ledger, "a", at=DAY, actor="ann")
    add(ledger, "b")
    assert tokens.grants(ledger.events(after=1), before) == held(ledger)


@pytest.mark.parametrize(
    ("name", "scopes", "found"),
    [
        ("shop", ("read",), "is there already"),
        ("", ("read",), "1 to 64 letters"),
        ("a b", ("read",), "1 to 64 letters"),
        ("x" * 65, ("read",), "1 to 64 letters"),
        ("new", (), r"\(none\), expected one or more of predict, outcome, read, label, control"),
        ("new", ("read", "write"), "read, write, expected"),
    ],
)
def test_a_wrong_token_is_refused(ledger: Ledger, name: str, scopes: tuple[str, ...], found: str) -> None:
    """With what was found and expected; the ledger stays as it is."""
    add(ledger, "shop")
    with pytest.raises(DecisionRefused, match=found):
        tokens.add(ledger, name, scopes, at=DAY, actor="ann")
    assert ledger.sequence() == 1


def test_an_expiry_in_the_past_is_refused(ledger: Ledger) -> None:
    with pytest.raises(DecisionRefused, match="expected a later time"):
        add(ledger, "shop", expires_at=DAY)


def test_nobody_can_be_revoked(ledger: Ledger) -> None:
    """The refusal names who could."""
    add(ledger, "shop")
    with pytest.raises(DecisionRefused, match="no token 'shap'; there are: shop"):
        tokens.revoke(ledger, "shap", at=DAY, actor="ann")


def test_an_event_that_came_first_is_no_refusal(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """The ticker may append at any moment; a ledger that never stands still is a LedgerConflict."""
    append = ledger.append
    races = iter([True, True])

    def racing(type: str, **values: Any) -> Event:
        if next(races, False):
            append("AlarmRaised", at=DAY, actor="ticker", reason="", data={"alarm": "drift"})
        return append(type, **values)

    monkeypatch.setattr(ledger, "append", racing)
    add(ledger, "shop")
    assert [event.type for event in ledger.events()] == ["AlarmRaised", "AlarmRaised", "TokenAdded"]
    races = iter([True] * 9)
    with pytest.raises(LedgerConflict, match="try once more"):
        add(ledger, "another")


def test_roles_pass_tokens_over_and_sentences_tell_them(ledger: Ledger) -> None:
    """They change who may ask, not who answers."""
    add(ledger, "shop", "control", "predict")
    tokens.revoke(ledger, "shop", at=DAY, actor="ann", reason="it leaked")
    assert fold.roles(ledger.events()).sequence == 2
    assert [sentence(event) for event in ledger.events()] == [
        "Token shop was given out for predict, control.",
        "Token shop was taken back: it leaked.",
    ]
