"""What can be read over HTTP: status, versions, ledger, trials, and whether the server is ready.

In: the Answerer. Out: JSON values. Counts are those of this process since it started; sums over the whole log
belong to `incumbent status`. Changes nothing (readiness takes and gives back a lease, which shows that the
store can be written).
"""

import os
from dataclasses import asdict

from incumbent.errors import StorageError
from incumbent.loop.answer import Answerer
from incumbent.loop.trials import TYPES
from incumbent.loop.trials import trials as fold
from incumbent.records import Json, Version

MOST_EVENTS = 10_000


def followed(answerer: Answerer) -> dict[str, Json]:
    """How far the routes follow the ledger, and how many rows wait for their shadows."""
    return {
        "sequence": answerer.state.roles.sequence,
        "shadow_backlog": answerer.queue.backlog,
        "shadow_dropped": answerer.queue.dropped,
    }


def status(answerer: Answerer, uptime_s: float) -> dict[str, Json]:
    """What this process does now."""
    state, config = answerer.state, answerer.config
    routes = state.routes
    return {
        **followed(answerer),
        "task": config.task.name,
        "kind": config.task.kind,
        "metric": config.task.metric,
        "ready": answerer.ready,
        "clock": answerer.clock,
        "durability": config.store.durability,
        "uptime_s": round(uptime_s, 3),
        "routes": None
        if routes is None
        else {
            "sequence": routes.sequence,
            "incumbent": routes.incumbent,
            "chain": list(routes.chain),
            "shadows": list(routes.shadows),
        },
        "trial": None if routes is None or routes.trial is None else asdict(routes.trial),
        "versions": sorted({*state.lanes, *state.shadows}),
        "not_loaded": dict(state.failures),
        "breakers": {name: breaker.state for name, breaker in sorted(answerer.chain.breakers.items())},
        "counts": dict(sorted(answerer.counts.items())),
    }


def versions(answerer: Answerer) -> dict[str, Json]:
    """Every registered version with the place it holds."""
    roles = answerer.state.roles
    places = {
        roles.baseline: "baseline",
        roles.watch: "watch",
        roles.previous: "previous",
        roles.trial.challenger if roles.trial else None: "challenger",
        roles.incumbent: "incumbent",
    }
    return {"versions": [{**_version(version), "role": places.get(name)} for name, version in roles.versions.items()]}


def ledger(answerer: Answerer, after: int, limit: int) -> dict[str, Json]:
    """Events after a sequence number, in order."""
    return {"events": [asdict(event) for event in answerer.facts.ledger.events(after=after)[:limit]]}


def trials(answerer: Answerer) -> dict[str, Json]:
    """Every trial that was started: what was compared, and how it ended (`verdict` None while it runs)."""
    found = fold(answerer.facts.ledger.events(types=TYPES))
    return {
        "trials": [
            {**one.trial, "verdict": one.verdict, "ended_at": one.ended_at, "reason": one.ended or one.reason}
            for one in found.values()
        ]
    }


def health() -> dict[str, Json]:
    """The process is alive."""
    return {"alive": True}


def readiness(answerer: Answerer) -> tuple[int, dict[str, Json]]:
    """(200 or 503, why): a version is loaded and proved, and the store can be written."""
    if not answerer.ready:
        return 503, {
            "ready": False,
            "reason": "no version is loaded: run `incumbent baseline`, or see the log",
        }
    holder = f"pid {os.getpid()}"
    try:
        answerer.facts.ledger.lease(f"ready {holder}", holder, 1.0)
        answerer.facts.ledger.release(f"ready {holder}", holder)
    except StorageError as error:
        return 503, {"ready": False, "reason": f"the store cannot be written: {type(error).__name__}"}
    return 200, {"ready": True, "reason": None}


def _version(version: Version) -> dict[str, Json]:
    return {
        "name": version.name,
        "runtime": version.runtime,
        "serves": version.serves,
        "recipe": version.recipe,
        "parent": version.parent,
        "trained_until": version.trained_until,
        "n_rows": version.n_rows,
        "answers": version.answers,
        "description": version.description,
        "kind": version.signature.kind,
        "classes": list(version.signature.classes),
        "columns": [{"name": c.name, "type": c.type, "nullable": c.nullable} for c in version.signature.columns],
    }
