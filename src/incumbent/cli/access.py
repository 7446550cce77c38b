"""token add, list, revoke: who may ask the server for what. Loads no judging package."""

from typing import Annotated

import typer

from incumbent import config
from incumbent.cli import options, output
from incumbent.cli.options import HERE, AsJson, Folder
from incumbent.clock import wall
from incumbent.loop import tokens
from incumbent.records import Micros, moment
from incumbent.storage.opening import open_facts

token_app = typer.Typer(help="Tokens: who may ask the server for what.", no_args_is_help=True)

Why = Annotated[str, typer.Option("--reason", "-r", help="Why; it stays on the ledger.")]


def add_to(app: typer.Typer) -> None:
    app.add_typer(token_app, name="token")


@token_app.command("add")
def add(
    name: Annotated[str, typer.Argument(help="The program or person that will hold it.")],
    scope: Annotated[
        list[str], typer.Option("--scope", "-s", help="predict, outcome, read, label or control; repeat it.")
    ],
    expires: Annotated[str | None, typer.Option(help="Until when (ISO 8601 with offset); default: for good.")] = None,
    reason: Why = "",
    project: Folder = HERE,
    json: AsJson = False,
) -> None:
    """Make a token and print it, once: only its hash is kept. From the first one on every request needs one."""
    with open_facts(config.load(project)) as facts:
        token, event = tokens.add(facts.ledger, name, scope, at=wall(), actor=options.actor(), reason=reason,
                                  expires_at=options.moment(expires))
    if json:
        return output.as_json({"name": name, "scopes": event.data["scopes"], "token": token})
    output.say(token)
    output.note(f"{name} may {', '.join(event.data['scopes'])}. The token is not shown again; send it as "
                "`Authorization: Bearer ...`")


@token_app.command("list")
def show(project: Folder = HERE, json: AsJson = False) -> None:
    """Who holds a token, and for what. The tokens themselves are kept nowhere."""
    with open_facts(config.load(project)) as facts:
        held = list(tokens.grants(facts.ledger.events(types=tokens.TYPES)).values())
    now = wall()
    over = {g.name for g in held if g.expires_at is not None and g.expires_at <= now}
    if json:
        return output.as_json([{"name": g.name, "scopes": _scopes(g), "added_at": _iso(g.added_at),
                                "expires_at": _iso(g.expires_at), "expired": g.name in over} for g in held])
    if not held:
        return output.say("there are no tokens: everybody on this machine may ask, and nobody else")
    output.table("", ["name", "may", "since", "until"],
                 [[g.name, ", ".join(_scopes(g)), _iso(g.added_at),
                   f"{_iso(g.expires_at) or 'for good'}{' (over)' if g.name in over else ''}"] for g in held])


@token_app.command("revoke")
def revoke(
    name: Annotated[str, typer.Argument(help="Who holds it.")], reason: Why = "", project: Folder = HERE
) -> None:
    """Take a token back: every answering process refuses it within serve.poll_s."""
    with open_facts(config.load(project)) as facts:
        tokens.revoke(facts.ledger, name, at=wall(), actor=options.actor(), reason=reason)
        left = tokens.grants(facts.ledger.events(types=tokens.TYPES))
    output.say(f"the token of {name} was taken back")
    if not left:
        output.note("it was the last one: on a loopback address everybody may ask again, on another one nobody")


def _scopes(grant: tokens.Grant) -> list[str]:
    return [scope for scope in tokens.SCOPES if scope in grant.scopes]


def _iso(at: Micros | None) -> str | None:
    return None if at is None else moment(at).isoformat(timespec="seconds")
