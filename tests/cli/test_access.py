"""token add, list, revoke: printed once, kept as a hash, taken back by name."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from parcels import write

from incumbent import config
from incumbent.cli import run
from incumbent.loop import tokens
from incumbent.storage.opening import open_facts

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    """Run one command; (exit code, standard output, standard error)."""

    def call(*arguments: Any) -> tuple[int, str, str]:
        capsys.readouterr()
        code = run(["token", *(str(one) for one in arguments)])
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(tmp_path / "parcels", "")


def test_a_token_is_printed_once_and_taken_back_by_name(command: Command, folder: Path) -> None:
    """Standard output is the token and nothing else; the list and the ledger know only its hash."""
    code, out, said = command("add", "shop", "--scope", "outcome", "-s", "predict", "-p", folder)
    token = out.strip()
    assert code == 0 and token.startswith("inc_") and token not in said
    assert "shop may predict, outcome" in said
    with open_facts(config.load(folder)) as facts:
        assert set(tokens.grants(facts.ledger.events())) == {tokens.digest(token)}
    code, out, _ = command("list", "-p", folder)
    assert code == 0 and "shop" in out and "predict, outcome" in out and "for good" in out and token not in out
    code, out, said = command("revoke", "shop", "--reason", "it leaked", "-p", folder)
    assert code == 0 and "taken back" in out and "the last one" in said
    assert "there are no tokens" in command("list", "-p", folder)[1]


def test_tokens_as_json(command: Command, folder: Path) -> None:
    """One document each; an expired token says so."""
    code, out, _ = command("add", "ci", "-s", "read", "--expires", "2999-01-01T00:00:00Z", "--json", "-p", folder)
    assert code == 0 and set(json.loads(out)) == {"name", "scopes", "token"}
    (found,) = json.loads(command("list", "--json", "-p", folder)[1])
    assert (found["name"], found["scopes"], found["expires_at"], found["expired"]) == (
        "ci", ["read"], "2999-01-01T00:00:00+00:00", False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (("add", "shop"), "Missing option '--scope'"),
        (("add", "shop", "-s", "write"), "expected one or more of predict, outcome, read, label, control"),
        (("add", "shop", "-s", "read", "--expires", "2001-01-01"), "expected a later time"),
        (("add", "shop", "-s", "read", "--expires", "soon"), "expected ISO 8601"),
        (("revoke", "shop"), "found no token 'shop'"),
    ],
)
def test_a_wrong_command_is_refused(command: Command, folder: Path, arguments: tuple[str, ...], found: str) -> None:
    """Exit code 2, with what was expected."""
    code, out, said = command(*arguments, "-p", folder)
    assert (code, out) == (2, "") and found in said
