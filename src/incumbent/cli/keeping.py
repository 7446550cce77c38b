"""archive, forget: what becomes of old rows, and of those that must go. Loads no judging package but DuckDB, and what a
version whose golden rows are replaced needs to be opened."""

import sys
from dataclasses import asdict
from datetime import date
from typing import Annotated, Any

import typer

from incumbent import config
from incumbent.cli import options, output
from incumbent.cli.options import HERE, AsJson, Folder, Now
from incumbent.clock import wall
from incumbent.errors import ConfigError
from incumbent.loop import erase, keep
from incumbent.loop.fold import roles as fold
from incumbent.loop.log import privacy
from incumbent.storage.opening import open_facts


def add_to(app: typer.Typer) -> None:
    app.command()(archive)
    app.command()(forget)


def archive(
    project: Folder = HERE,
    until: Annotated[
        str | None, typer.Option(help="Days before this one (ISO date); default: as log.archive_days says.")
    ] = None,
    copy: Annotated[
        bool, typer.Option("--copy", help="Also write what stays in the store, as it is now, and move none of it.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say which days would move, and change nothing.")] = False,
    now: Now = None,
    json: AsJson = False,
) -> None:
    """Move the features of old days to Parquet files, beside the traffic. The tick does it where log.archive_days is
    set; with --copy one query sees everything up to now."""
    settings = config.load(project)
    at, day = options.moment(now) or wall(), _day(until)
    with open_facts(settings) as facts:
        if dry_run:
            end = keep.ending(settings, day, copy, at)
            return _show_due(None if end is None else keep.due(facts.log, settings, end), json)
        moved, copied = keep.move(facts, fold(facts.ledger.events()).versions, settings, day, copied=copy, now=at,
                                  actor=options.actor())  # fmt: skip
    if json:
        return output.as_json({"moved": asdict(moved), "copied": asdict(copied)})
    output.say(_said("moved", moved))
    if copy:
        output.say(_said("copied", copied))


def forget(
    project: Folder = HERE,
    unit: Annotated[str | None, typer.Option(help="Everything of this unit, as requests name it.")] = None,
    id: Annotated[str | None, typer.Option(help="The one prediction with this id.")] = None,
    reason: Annotated[str, typer.Option("--reason", "-r", help="Why; it stays on the ledger: name nobody.")] = "",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    json: AsJson = False,
) -> None:
    """Erase a unit (or one id) from log, journal, Parquet, reviews, studies and golden rows; no byte of it is left
    there. Other rows take the place of golden ones. The ledger says that it was done, and how much it was."""
    settings = config.load(project)
    _ask(yes)
    private = privacy(settings.task.private, settings.task.unit, settings.store_path)
    with open_facts(settings) as facts:
        found = erase.forget(
            facts, fold(facts.ledger.events()).versions, settings, unit=unit, id=id,
            hashed=private.hashed if private.unit else None, at=wall(), actor=options.actor(), reason=reason,
        )  # fmt: skip
    copies = sorted(path.name for path in settings.store_path.glob("*.revision-*.db"))
    if json:
        return output.as_json(_forgotten(found, copies))
    if found.nothing:
        output.say(_nothing(unit, id, private.unit))
    else:
        _show_forgotten(found)
    if copies:
        output.say(f"not erased: {', '.join(copies)}, made by `doctor --upgrade`: delete what you need no more")


def _day(text: str | None) -> date | None:
    try:
        return None if text is None else date.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"found the day {text!r}, expected an ISO date such as 2013-04-01") from None


def _ask(yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise ConfigError("this cannot be undone, and nobody is there to be asked: say --yes")
    typer.confirm("This cannot be undone. Erase it?", abort=True, err=True)


def _forgotten(found: erase.Forgotten, copies: list[str]) -> dict[str, Any]:
    return {
        **asdict(found.gone), "found": not found.nothing, "golden_rows": found.golden_rows, "versions": found.versions,
        "golden": [asdict(one) for one in found.golden], "versions_left": found.named, "copies_left": copies,
    }  # fmt: skip


def _show_forgotten(found: erase.Forgotten) -> None:
    gone = found.gone
    output.say(f"erased {gone.predictions:,} predictions, {gone.shadows:,} shadows, {gone.outcomes:,} outcomes, "
               f"{gone.losses:,} losses, {gone.reviews:,} reviews and {found.golden_rows:,} golden rows")
    for one in found.golden:
        output.say(_exchanged(one))
    if found.named:
        output.say(f"not erased: {', '.join(found.named)} may name it still (a category of the training rows, or "
                   "golden rows that stay): refit without it")


def _exchanged(one: erase.Exchanged) -> str:
    if not one.gone:
        return (f"not erased: all golden rows of {one.version} are of it, and none could be replaced ({one.why}): "
                "forget it again when that is mended, or after a refit without it")  # fmt: skip
    if one.replaced == one.gone:
        return f"replaced {_rows(one.gone)} of {one.version}"
    replaced = f"replaced {one.replaced:,} and " if one.replaced else ""
    return f"{replaced}dropped {_rows(one.gone - one.replaced)} of {one.version}: {one.why}"


def _rows(count: int) -> str:
    return "1 golden row" if count == 1 else f"{count:,} golden rows"


def _nothing(unit: str | None, id: str | None, private: bool) -> str:
    if unit is None:
        return f"nothing was found under the id {id!r}: give that of a prediction, as its answer brought it"
    named = "a unit is named as requests name it, letter for letter"
    if private:
        named += "; its column is in task.private, so that the log shows a hash: give the name that was hashed"
    return f"nothing was found under the unit {unit!r}: {named}"


def _show_due(found: Any, json: bool) -> None:
    if json:
        return output.as_json({"first": found and found[0].isoformat(), "last": found and found[1].isoformat()})
    output.say(f"would move {found[0]} to {found[1]}" if found else "there is nothing to move")


def _said(did: str, what: keep.Archived) -> str:
    if not what.rows:
        return f"nothing was {did}"
    return f"{did} the features of {what.rows:,} rows of {what.days:,} days, {what.first} to {what.last}"
