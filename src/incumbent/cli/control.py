"""status, log, promote, rollback: what a production machine needs. Loads no judging package."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from incumbent import config
from incumbent.cli import options, output
from incumbent.cli.options import HERE, AsJson, Folder, Now, Override, Reason
from incumbent.clock import wall
from incumbent.config import Config
from incumbent.loop.fold import roles as fold
from incumbent.loop.sentences import sentence
from incumbent.records import Event, Roles, Version, moment
from incumbent.server import control as verbs
from incumbent.server.proving import here
from incumbent.storage.opening import Facts, open_facts


def add_to(app: typer.Typer) -> None:
    app.command()(status)
    app.command("log")(show_log)
    app.command()(promote)
    app.command()(rollback)


def status(project: Folder = HERE, json: AsJson = False) -> None:
    """Who answers, what is behind it, what runs, and how much was logged."""
    settings = config.load(project)
    with _facts(settings) as facts:
        roles = fold(facts.ledger.events())
        totals = facts.log.totals()
    found: dict[str, Any] = {
        "task": settings.task.name,
        "incumbent": roles.incumbent,
        "previous": roles.previous,
        "baseline": roles.baseline,
        "watch": roles.watch,
        "trial": roles.trial and {"name": roles.trial.name, "challenger": roles.trial.challenger,
                                  "mode": roles.trial.mode, "enrolled": roles.trial.enrolled},
        "versions": [_described(v, roles) for v in roles.versions.values()],
        "predictions": totals.predictions,
        "outcomes": totals.outcomes,
        "pending_outcomes": totals.pending,
        "fallbacks": dict(totals.fallbacks),
        "last_prediction": totals.last_at and moment(totals.last_at).isoformat(),
        "ledger_events": roles.sequence,
    }
    if json:
        return output.as_json(found)
    output.say(f"{settings.task.name}: the incumbent is {roles.incumbent or 'nobody yet: run `incumbent baseline`'}")
    rows = [[key, found[key]] for key in ("previous", "baseline", "watch", "predictions", "outcomes",
                                          "pending_outcomes", "last_prediction", "ledger_events")]
    if roles.trial:
        rows.append(["trial", f"{roles.trial.name}: {roles.trial.challenger} ({roles.trial.mode}, "
                              f"{roles.trial.enrolled:.0%} enrolled)"])
    output.table("", ["", ""], [[key.replace("_", " "), value] for key, value in rows])
    output.table("Versions", ["version", "role", "runtime", "rows", "description"],
                 [[v["version"], v["role"], v["runtime"], v["rows"], v["description"]] for v in found["versions"]])


def show_log(
    project: Folder = HERE,
    last: Annotated[int, typer.Option("--last", "-n", help="How many events; 0: all.")] = 20,
    verify: Annotated[bool, typer.Option("--verify", help="Recompute the chain of hashes first.")] = False,
    json: AsJson = False,
) -> None:
    """The ledger: who decided what, when, and on what evidence."""
    with _facts(config.load(project)) as facts:
        if verify:
            output.note(f"the chain of {facts.ledger.verify()} events is whole")
        events = facts.ledger.events()
    events = events[-last:] if last else events
    if json:
        return output.as_json([_event(event) for event in events])
    output.table("", ["#", "time", "what happened", "by"],
                 [[str(e.sequence), moment(e.at).strftime("%Y-%m-%d %H:%M"), sentence(e), e.actor]
                  for e in events])


def promote(
    version: str, reason: Reason, override: Override = False, project: Folder = HERE, now: Now = None
) -> None:
    """Make a version the incumbent, by a person's decision. The one before stays loaded behind it."""
    with _facts(settings := config.load(project)) as facts:
        event = verbs.promote(facts, here(settings, facts.blobs), version, at=options.moment(now) or wall(),
                              actor=options.actor(), reason=reason, override=override)
    output.say(sentence(event))


def rollback(reason: Reason, project: Folder = HERE, now: Now = None) -> None:
    """Take the incumbent back: the version that served before it answers again, after it proved its golden rows."""
    with _facts(settings := config.load(project)) as facts:
        event = verbs.roll_back(facts, here(settings, facts.blobs), at=options.moment(now) or wall(),
                                actor=options.actor(), reason=reason)
    output.say(sentence(event))


@contextmanager
def _facts(settings: Config) -> Iterator[Facts]:
    facts = open_facts(settings)
    try:
        yield facts
    finally:
        facts.close()


def _described(version: Version, roles: Roles) -> dict[str, Any]:
    places = {"incumbent": roles.incumbent, "previous": roles.previous, "baseline": roles.baseline,
              "watch shadow": roles.watch, "challenger": roles.trial and roles.trial.challenger}
    role = ", ".join(place for place, name in places.items() if name == version.name)
    return {"version": version.name, "role": role, "runtime": version.runtime,
            "serves": version.serves, "rows": version.n_rows, "recipe": version.recipe,
            "description": version.description}


def _event(event: Event) -> dict[str, Any]:
    return {"sequence": event.sequence, "type": event.type, "at": moment(event.at).isoformat(),
            "recorded_at": moment(event.recorded_at).isoformat(), "actor": event.actor, "reason": event.reason,
            "sentence": sentence(event), "data": event.data, "measured": event.measured, "hash": event.hash}
