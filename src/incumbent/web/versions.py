"""One version: what it takes and gives, where it came from, and all evidence about it.

In: the stored facts and a version's name. Out: one dictionary, which is the page and its JSON twin. Loads no
artefact: it reads the manifest alone.
"""

import json
from typing import Any

from incumbent.config import Config
from incumbent.errors import StorageError
from incumbent.loop.fold import roles as fold
from incumbent.loop.promote import known
from incumbent.records import Json, Roles, Version
from incumbent.storage.base import Blobs
from incumbent.storage.opening import Facts
from incumbent.web import dashboard
from incumbent.web import evidence as lying


def page(facts: Facts, config: Config, name: str) -> dict[str, Json]:
    """Everything that is recorded about a version. Raises UnknownVersion."""
    events = facts.ledger.events()
    roles = fold(events)
    version = known(roles, name)
    about = lying.without_earlier_looks(lying.about(lying.all_of(events), name))
    lines = [dashboard.line(event, roles) for event in reversed(events)]
    return {
        "task": dashboard.task(config),
        "version": dashboard.card(version),
        "places": places(roles, name),
        "signature": {
            "kind": version.signature.kind,
            "classes": list(version.signature.classes),
            "columns": [_column(version, place) for place in range(len(version.signature.columns))],
        },
        "manifest": {"digest": version.manifest, **_manifest(facts.blobs, version)},
        "evidence": [lying.shown(one) for one in about],
        "events": [one for one in lines if one["version"] == name],
    }


def places(roles: Roles, name: str) -> list[str]:
    """Which places a version holds now."""
    held = {
        "incumbent": roles.incumbent,
        "previous": roles.previous,
        "baseline": roles.baseline,
        "challenger": roles.trial.challenger if roles.trial else None,
        "watched": roles.watch,
    }
    return [place for place, who in held.items() if who == name]


def _column(version: Version, place: int) -> dict[str, Json]:
    column = version.signature.columns[place]
    categories = None if column.categories is None else list(column.categories)
    return {"name": column.name, "type": column.type, "nullable": column.nullable, "categories": categories}


def _manifest(blobs: Blobs, version: Version) -> dict[str, Json]:
    """What the manifest says of its parts; `problem` where it cannot be read."""
    try:
        found: dict[str, Any] = json.loads(blobs.get(version.manifest))
        golden: dict[str, Any] = json.loads(blobs.get(found["golden"])) if found.get("golden") else {}
    except (KeyError, ValueError, StorageError) as error:
        return {"problem": f"the manifest cannot be read ({type(error).__name__}): run `incumbent doctor`"}
    return {
        "parts": found.get("parts", {}),
        "golden_rows": len(golden.get("rows", ())),
        "libraries": found.get("libraries", {}),
        "facts": found.get("facts", {}),
        "compile": found.get("compile"),
        "problem": None,
    }
