"""status, log, promote, rollback: what a production machine needs. Loads no judging package."""

from dataclasses import asdict
from typing import Annotated, Any

import typer

from incumbent import config
from incumbent.cli import moving, output
from incumbent.cli.options import HERE, AsJson, Folder, Now, Override, Reason
from incumbent.loop.delivered import Delivered, delivered
from incumbent.loop.fold import roles as fold
from incumbent.loop.sentences import sentence
from incumbent.loop.steering import Move
from incumbent.records import Event, Roles, Version, moment


def add_to(app: typer.Typer) -> None:
    app.command()(status)
    app.command("log")(show_log)
    app.command()(promote)
    app.command()(rollback)


def status(project: Folder = HERE, json: AsJson = False) -> None:
    """Who answers, what is behind it, what runs, and how much was logged."""
    settings = config.load(project)
    with moving.facts(settings) as facts:
        events = facts.ledger.events()
        roles = fold(events)
        totals = facts.log.totals()
        value = delivered(settings, events, roles, facts.log, totals)
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
        "delivered": asdict(value),
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
    output.table(f"Expected and delivered ({value.metric})", ["", value.metric, ""], _delivered(value))
    output.table("Versions", ["version", "role", "runtime", "rows", "description"],
                 [[v["version"], v["role"], v["runtime"], v["rows"], v["description"]] for v in found["versions"]])


def show_log(
    project: Folder = HERE,
    last: Annotated[int, typer.Option("--last", "-n", help="How many events; 0: all.")] = 20,
    verify: Annotated[bool, typer.Option("--verify", help="Recompute the chain of hashes first.")] = False,
    json: AsJson = False,
) -> None:
    """The ledger: who decided what, when, and on what evidence."""
    with moving.facts(config.load(project)) as facts:
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
    with moving.facts(settings := config.load(project)) as facts:
        move = Move("promote", reason, version=version, override=override)
        output.say(sentence(moving.made(facts, settings, move, now)))


def rollback(reason: Reason, project: Folder = HERE, now: Now = None) -> None:
    """Take the incumbent back: the version that served before it answers again, after it proved its golden rows."""
    with moving.facts(settings := config.load(project)) as facts:
        output.say(sentence(moving.made(facts, settings, Move("rollback", reason), now)))


def _described(version: Version, roles: Roles) -> dict[str, Any]:
    places = {"incumbent": roles.incumbent, "previous": roles.previous, "baseline": roles.baseline,
              "watch shadow": roles.watch, "challenger": roles.trial and roles.trial.challenger}
    role = ", ".join(place for place, name in places.items() if name == version.name)
    return {"version": version.name, "role": role, "runtime": version.runtime,
            "serves": version.serves, "rows": version.n_rows, "recipe": version.recipe,
            "description": version.description}


def _delivered(value: Delivered) -> list[list[Any]]:
    """What was expected at the onset, and what the incumbent delivers."""
    said = {True: "reaches the goal", False: "short of the goal", None: ""}
    ceiling = value.perfect if value.ceiling is None else value.ceiling
    expected: list[list[Any]] = [
        ["floor", value.floor, value.floor_name],
        ["a quick model", value.quick, ""],
        ["ceiling", ceiling, "a perfect score" if value.ceiling is None else "equal rows differ"],
    ]
    verdict = (value.verdict or "run `incumbent expect`").replace("_", " ")
    return [
        *(expected if value.expected_at is not None else []),
        ["goal", value.goal, verdict],
        [f"{value.incumbent}, held out", value.held_out, said[value.reaches(value.held_out)]],
        [f"{value.incumbent}, live", value.live,
         f"{value.live_rows:,} labelled answers  {said[value.reaches(value.live)]}".strip()],
    ]


def _event(event: Event) -> dict[str, Any]:
    return {"sequence": event.sequence, "type": event.type, "at": moment(event.at).isoformat(),
            "recorded_at": moment(event.recorded_at).isoformat(), "actor": event.actor, "reason": event.reason,
            "sentence": sentence(event), "data": event.data, "measured": event.measured, "hash": event.hash}
