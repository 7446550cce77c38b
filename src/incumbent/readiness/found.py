"""Which of the 28 tests do the recorded facts show as passed?

In: `Known`. Out: for each test its points (0, 0.5 by hand, 1 by itself) and what was found, in a sentence. Believes
recorded facts only: a setting that nothing has used yet earns nothing.
"""

import re
from collections.abc import Callable

from incumbent.readiness.reading import Known, alike, days, recipe_of
from incumbent.records import Event

Found = tuple[float, str]

NOTHING, BY_HAND, BY_ITSELF = 0.0, 0.5, 1.0
BROKEN = {"bad_output"}
"""Fallback reasons that say: what the model gave was no finite number of the right shape."""
DAYS_OF = {"day": 1.0, "week": 7.0, "month": 30.5}
LATE = 1.5
"""A model may be so many periods old: a refit takes its time, and may be refused once."""
FEWEST_LIVE = 200


def schema(known: Known) -> Found:
    version = known.incumbent
    if version is None:
        return NOTHING, "there is no incumbent"
    manifest = known.manifests.get(version.name)
    if manifest is None or not manifest.get("profile"):
        return BY_HAND, f"{version.name} has a signature of {len(version.signature.columns)} columns, and no profile"
    if not known.totals.predictions:
        return BY_HAND, f"{version.name} has signature and profile; no row was held against them yet"
    rows = f"{known.totals.predictions:,} rows were held against them"
    return BY_ITSELF, f"{version.name} has signature and profile of {len(version.signature.columns)} columns; {rows}"


def allowed(known: Known) -> Found:
    listed, version = set(known.config.task.features), known.incumbent
    if not listed:
        return NOTHING, "task.features is empty: every column is a feature"
    if version is None:
        return NOTHING, "there is no incumbent"
    more = set(version.signature.names) - listed
    if more:
        return NOTHING, f"{version.name} reads {', '.join(sorted(more))}, which task.features does not list"
    n = len(version.signature.names)
    return BY_ITSELF, f"{version.name} reads {n} of the {len(listed)} listed features, and no other"


def private(known: Known) -> Found:
    config = known.config
    rules = [f"{', '.join(config.task.private)} logged hashed"] if config.task.private else []
    rules += [f"rows deleted after {config.log.keep_days} days"] if config.log.keep_days else []
    if rules:
        return BY_ITSELF, "; ".join(rules)
    erased = known.events_of("Erased")
    if erased:
        return BY_HAND, f"{len(erased)} erasures by hand; no rule deletes or hashes by itself"
    return NOTHING, "nothing is hashed, nothing is deleted"


def new_idea(known: Known) -> Found:
    """A second recipe that became the incumbent, and how long that took."""
    recipes: list[str] = []
    registered: dict[str, Event] = {}
    best: Found = (NOTHING, "no second recipe has become the incumbent")
    for event in known.events_of("VersionRegistered", "Promoted"):
        if event.type == "VersionRegistered":
            registered[event.data["version"]["name"]] = event
            continue
        version = known.roles.versions[event.data["version"]]
        recipe = recipe_of(version)
        if version.runtime == "rule" or recipe in recipes:
            continue
        if recipes and version.name in registered:
            took = days(registered[version.name].at, event.at)
            said = f"{recipe} took {took:.0f} days from registration ({version.name}) to office"
            tried = event.data.get("challenger") == version.name
            best = max(best, (BY_ITSELF if tried else BY_HAND, said + (", through a trial" if tried else ", by hand")))
        recipes.append(recipe)
    return best


def correlates(known: Known) -> Found:
    """For each challenger with both: do the gate's gain and the live gain have the same sign?"""
    gains: dict[str, bool] = {}
    for told in known.of("live"):
        numbers, version = told["numbers"], known.roles.versions.get(told["subject"])
        if numbers.get("mode") == "watch" or version is None or not numbers.get("estimate"):
            continue
        gate = known.gate_of(version)
        if gate and gate["numbers"].get("gain"):
            gains[version.name] = (gate["numbers"]["gain"] > 0) == (numbers["estimate"] > 0)
    if not gains:
        return NOTHING, "no version has both a gain on held-out rows and one on live traffic"
    agree = sum(gains.values())
    said = f"{agree} of {len(gains)} challengers had the same sign on held-out rows and live"
    return (BY_ITSELF if agree == len(gains) else BY_HAND if 2 * agree > len(gains) else NOTHING), said


def stale(known: Known) -> Found:
    watched = {told["subject"] for told in known.of("live") if told["numbers"].get("mode") == "watch"}
    if watched:
        return BY_ITSELF, f"{len(watched)} replaced versions were scored beside their successors"
    refreshed = [told for told in known.of("gate") if _has_rule(told, "not_shown_worse")]
    if refreshed:
        return BY_HAND, f"{len(refreshed)} refits were compared with the version in office, on held-out rows only"
    return NOTHING, "no old version was compared with a fresh one"


def simpler(known: Known) -> Found:
    model, naive = known.model, known.of("baseline")
    if model is None:
        return NOTHING, "the incumbent is a naive rule, or there is none"
    gate = known.gate_of(model)
    if not naive or gate is None:
        return NOTHING, f"{model.name} was not held against the naive rules"
    if gate["verdict"] != "ship":
        return NOTHING, f"the gate's word on {model.name}: {gate['verdict'].replace('_', ' ')}"
    rules = {name for name, version in known.roles.versions.items() if version.runtime == "rule"}
    beat = [told for told in known.of("gate") if told["verdict"] == "ship" and told["reference"] in rules]
    if not beat:
        return NOTHING, "no model was shipped against a naive rule"
    fitted = {told["subject"] for told in naive}
    first = f"{len(fitted)} naive rules were fitted, and {beat[0]['subject']} beat the best"
    line = "" if gate["reference"] in rules else f"; {model.name} took its place over {gate['reference']} since"
    return BY_ITSELF, first + line


def slices(known: Known) -> Found:
    model = known.model
    gate = known.gate_of(model) if model else None
    cut = [rule for rule in (gate or {}).get("numbers", {}).get("rules", []) if rule.get("slice")]
    if model is None or not cut:
        return NOTHING, "the gate looked at no slice of the incumbent"
    bad = [rule["slice"] for rule in cut if rule["verdict"] != "ship"]
    if bad:
        return NOTHING, f"{model.name} is not shown good enough on {', '.join(bad)}"
    return BY_ITSELF, f"the gate shipped {model.name} on {len(cut)} slices"


def reproducible(known: Known) -> Found:
    same: list[str] = []
    other: list[str] = []
    for one, two in alike(known.roles):
        parts = [known.manifests.get(version.name, {}).get("parts") for version in (one, two)]
        if all(parts):
            (same if parts[0] == parts[1] else other).append(f"{one.name} and {two.name}")
    if other:
        return NOTHING, f"{other[-1]} have the same recipe and rows, and other bytes"
    if same:
        return BY_HAND, f"{same[-1]} have the same recipe and rows, and the same bytes"
    return NOTHING, "no recipe was fitted twice on the same rows"


def integrated(known: Known) -> Found:
    """A refit that was asked for, gated, registered, and put on trial or into office by the machine."""
    asked = False
    registered: set[str] = set()
    for event in known.events:
        asked = asked or event.type == "RetrainRequested"
        if event.type == "VersionRegistered" and asked:
            registered.add(event.data["version"]["name"])
        if event.type not in ("Promoted", "TrialStarted"):
            continue
        name = event.data["version"] if event.type == "Promoted" else event.data["trial"]["challenger"]
        if name in registered:
            return BY_ITSELF, f"the ticker refitted, gated and registered {name}, and took it further"
    model = known.model
    if model and known.totals.served.get(model.name):
        return BY_HAND, f"{model.name} went from rows to answers, taken there by hand"
    return NOTHING, "no model has gone the whole way from rows to answers"


def validated(known: Known) -> Found:
    model = known.model
    if model is None:
        return NOTHING, "the incumbent is a naive rule, or there is none"
    gate = known.gate_of(model)
    if gate is None:
        return NOTHING, f"{model.name} was promoted without a gate"
    if any(event.data["version"] == model.name for event in known.events_of("Overridden")):
        return NOTHING, f"the gate's word on {model.name} was overridden"
    if gate["verdict"] != "ship":
        return NOTHING, f"{model.name} was promoted though the gate said {gate['verdict'].replace('_', ' ')}"
    enforced = known.config.gate.mode == "enforce"
    return (BY_ITSELF if enforced else BY_HAND), f"the gate shipped {model.name}; gate.mode is {known.config.gate.mode}"


def debuggable(known: Known) -> Found:
    n = known.totals.predictions
    if not n:
        return NOTHING, "no answer was logged yet"
    hashed = set(known.config.task.private) & set(known.incumbent.signature.names if known.incumbent else ())
    said = f"{n:,} answers are in the log with features, version and reason"
    if hashed:
        return BY_HAND, f"{said}, but {', '.join(sorted(hashed))} only as a hash"
    return BY_ITSELF, said


def canaried(known: Known) -> Found:
    model = known.model
    if model is None:
        return NOTHING, "the incumbent is a naive rule, or there is none"
    won = [event.data["version"] for event in known.events_of("Promoted")
           if event.data.get("challenger") == event.data["version"]]  # fmt: skip
    of_recipe = [name for name in won if recipe_of(known.roles.versions[name]) == recipe_of(model)]
    if model.name in won:
        return BY_ITSELF, f"{model.name} won its trial before it answered everybody"
    if of_recipe:
        return BY_ITSELF, f"{of_recipe[-1]}, of the same recipe as {model.name}, won its trial"
    tried = {event.data["trial"]["challenger"] for event in known.events_of("TrialStarted")}
    if model.name in tried:
        return BY_HAND, f"{model.name} was on trial, and promoted by hand"
    return NOTHING, f"{model.name} answered everybody at once"


def rollback(known: Known) -> Found:
    behind = [name for name in (known.roles.previous, known.roles.baseline) if name and name != known.roles.incumbent]
    whole = [name for name in behind if known.manifests.get(name, {}).get("golden")]
    if not whole:
        return NOTHING, "nothing whole stands behind the incumbent"
    practised = known.events_of("RolledBack")
    if practised:
        return BY_ITSELF, f"{whole[0]} stands behind the incumbent; {len(practised)} rollbacks so far"
    return BY_HAND, f"{whole[0]} stands behind the incumbent; no rollback was ever tried"


def dependencies(known: Known) -> Found:
    version = known.incumbent
    manifest = known.manifests.get(version.name) if version else None
    if version is None or manifest is None or not manifest.get("golden"):
        return NOTHING, "no golden rows stand behind the incumbent"
    said = f"{version.name} repeats its golden rows at each load"
    checks = known.of("upkeep")
    if checks:
        return BY_ITSELF, f"{said}; {len(checks)} feeds were checked before a refit"
    return BY_HAND, f"{said}; no feed was checked by the ticker yet"


def inputs(known: Known) -> Found:
    checks = known.of("upkeep")
    if not known.totals.predictions:
        return NOTHING, "no row was answered yet"
    if not checks:
        return BY_HAND, f"{known.totals.predictions:,} rows were held against the signature; no feed was checked yet"
    stopped = sum(told["verdict"] == "hold" for told in checks)
    return BY_ITSELF, f"rows are held against the signature; {len(checks)} feeds were checked, {stopped} stopped"


def skew(known: Known) -> Found:
    checks = known.of("upkeep")
    pairs = [told["numbers"].get("n_pairs", 0) for told in checks]
    if any(pairs):
        latest = next(n for n in reversed(pairs) if n)
        return BY_ITSELF, f"{latest:,} rows were compared as served and as loaded, at the last refit that had some"
    if checks:
        return BY_HAND, "feeds were compared with the training rows by their distributions only"
    return NOTHING, "no row was compared as served and as loaded"


def age(known: Known) -> Found:
    model, every = known.model, known.config.retrain.every
    last = known.totals.last_at
    if model is None or model.trained_until is None or last is None:
        return NOTHING, "there is no model that knows how old its rows are, or it has not answered"
    old = days(model.trained_until, last)
    period = re.fullmatch(r"(\d+)\s*(day|week|month)s?", every.strip().lower())
    said = f"the rows of {model.name} were {old:.0f} days old at its last answer"
    if period is None:
        return NOTHING, f"{said}; no cadence is set"
    allowed_days = LATE * int(period[1]) * DAYS_OF[period[2]]
    if old > allowed_days:
        return NOTHING, f"{said}, and a refit is due every {every}"
    return BY_ITSELF, f"{said}; a refit is due every {every}"


def numbers(known: Known) -> Found:
    n = known.totals.predictions
    if not n:
        return NOTHING, "no answer was logged yet"
    bad = sum(count for reason, count in known.totals.fallbacks.items() if reason in BROKEN)
    if bad:
        return BY_HAND, f"{bad:,} of {n:,} outputs were refused as no finite number; a fallback answered"
    return BY_ITSELF, f"each of {n:,} outputs was looked at, and none was refused"


def speed(known: Known) -> Found:
    version = known.incumbent
    timed = [told for told in known.of("speed") if version and told["subject"] == version.name]
    gate = known.gate_of(version) if version else None
    held = any("latency" in str(rule.get("rule")) for rule in (gate or {}).get("numbers", {}).get("rules", []))
    budget = f"the budget of {known.config.plan.latency_budget_ms:g} ms"
    if not known.config.plan.latency_budget_ms:
        return NOTHING, "plan.latency_budget_ms is not set"
    if version and held and gate and gate["verdict"] == "ship":
        return BY_ITSELF, f"the gate held {version.name} against {budget}"
    if not timed or version is None:
        return NOTHING, f"{version.name if version else 'nobody'} was not timed since it was registered"
    if timed[-1]["verdict"] != "ship":
        return NOTHING, f"{version.name} is not inside {budget}"
    return BY_HAND, f"{version.name} was timed, inside {budget}"


def quality(known: Known) -> Found:
    told = known.delivered
    moved = [event.sequence for event in known.events_of("Promoted", "RolledBack")]
    harm = [event for event in known.events_of("AlarmRaised")
            if "harm" in str(event.data.get("alarm")) and moved and event.sequence > moved[-1]]  # fmt: skip
    if harm:
        return NOTHING, f"an alarm is open since event {harm[-1].sequence}: {harm[-1].reason}"
    if told.live is None or told.live_rows < FEWEST_LIVE:
        return NOTHING, f"{told.live_rows:,} labelled answers of the incumbent so far, expected {FEWEST_LIVE}"
    said = f"{told.metric} {told.live:.4g} on the latest {told.live_rows:,} labelled answers"
    said += "" if told.held_out is None else f", {told.held_out:.4g} on held-out rows"
    if known.of("live"):
        return BY_ITSELF, f"{said}; {len(known.of('live'))} looks at live losses so far"
    return BY_HAND, f"{said}; no trial or watch has looked at it"


FOUND: dict[str, Callable[[Known], Found]] = {
    "data-schema": schema,
    "data-allowed": allowed,
    "data-private": private,
    "data-new": new_idea,
    "model-correlates": correlates,
    "model-stale": stale,
    "model-simpler": simpler,
    "model-slices": slices,
    "infrastructure-reproducible": reproducible,
    "infrastructure-integrated": integrated,
    "infrastructure-validated": validated,
    "infrastructure-debuggable": debuggable,
    "infrastructure-canaried": canaried,
    "infrastructure-rollback": rollback,
    "monitoring-dependencies": dependencies,
    "monitoring-inputs": inputs,
    "monitoring-skew": skew,
    "monitoring-age": age,
    "monitoring-numbers": numbers,
    "monitoring-speed": speed,
    "monitoring-quality": quality,
}


def _has_rule(told: object, name: str) -> bool:
    rules = told["numbers"].get("rules", []) if isinstance(told, dict) else []
    return any(rule["rule"] == name for rule in rules)
