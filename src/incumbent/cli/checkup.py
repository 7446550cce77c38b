"""What `incumbent doctor` looks at, from recorded facts only. Loads no judging package."""

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.util import find_spec

from incumbent.cli.plan import cadence
from incumbent.clock import wall
from incumbent.config import Config
from incumbent.engines.contained import prove
from incumbent.errors import ConfigError, IncumbentError
from incumbent.loop import promote
from incumbent.loop.fold import roles as fold
from incumbent.loop.sentences import to_beat
from incumbent.readiness import BY_ID, Card, card
from incumbent.records import Event, Micros, Roles, Version
from incumbent.runtimes import artefact
from incumbent.storage.opening import Facts, open_facts, upgrade_facts


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the card: is it so, what was found, and what earns it."""

    name: str
    ok: bool
    found: str
    do: str


def checked(config: Config, now: Micros | None = None) -> tuple[list[Check], Card]:
    """Every check, in the order of the steps, and the readiness card (at `now`; None: the wall clock)."""
    facts = open_facts(config)
    try:
        events = facts.ledger.events()
        roles = fold(events)
        found = [*_plan(config, roles), *_store(facts), *_old_days(config), *_places(roles, facts, config)]
        return found, card(config, facts, wall() if now is None else now, events)
    finally:
        facts.close()


def attested(config: Config, test: str, reason: str, actor: str, now: Micros | None = None) -> Event:
    """Keep a person's word on a test of the card. Raises ConfigError for a test that nobody knows, DecisionRefused
    without a reason."""
    if test not in BY_ID:
        near = get_close_matches(test, list(BY_ID), n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(BY_ID)}."
        raise ConfigError(f"--attest {test}: no such test on the card; {hint}")
    facts = open_facts(config)
    try:
        at = wall() if now is None else now
        return promote.attest(facts.ledger, test, at=at, actor=actor, reason=reason)
    finally:
        facts.close()


def upgraded(config: Config) -> Iterator[str]:
    """Upgrade the store, and say what was done."""
    done = upgrade_facts(config)
    for each in done:
        kept = f"; as it was: {each.copy}" if each.copy else ""
        yield f"upgraded {each.place} from revision {each.before} to {each.now}{kept}"
    if not done:
        yield "the store is of this release: nothing to upgrade"


def _plan(config: Config, roles: Roles) -> Iterator[Check]:
    for setting, answer in config.plan.answers():
        known = to_beat(roles) if setting.name == "beat" else []
        said = "; ".join([answer or "unanswered", *known])
        yield Check(f"plan: {setting.name.replace('_', ' ')}", answer is not None, said,
                    f"answer it in [plan] {setting.name}: {setting.metadata['sentence']}")
    every = cadence(config.plan.retrain)
    if every:
        set_to = config.retrain.every
        yield Check("the plan's cadence is the ticker's", cadence(set_to) == every,
                    f'plan "{config.plan.retrain}", retrain.every "{set_to}"', f'set retrain.every = "{every}"')


def _store(facts: Facts) -> Iterator[Check]:
    try:
        yield Check("the ledger's chain is whole", True, f"{facts.ledger.verify()} events", "")
    except IncumbentError as error:
        yield Check("the ledger's chain is whole", False, str(error), "restore the store from a backup")
    totals = facts.log.totals()
    yield Check("predictions are logged", totals.predictions > 0, f"{totals.predictions:,} predictions",
                "run `incumbent serve` and send it a row")
    yield Check("outcomes find their prediction", totals.outcomes > totals.pending,
                f"{totals.outcomes:,} outcomes, {totals.pending:,} without a prediction",
                "post the truth to /v1/outcomes with the id of the prediction")


def _old_days(config: Config) -> Iterator[Check]:
    if config.log.archive_days:
        there = find_spec("duckdb") is not None
        yield Check("old days can be moved and read", there, "duckdb is installed" if there else "no duckdb",
                    'pip install "incumbent[all]" wherever the log is read')


def _repeats(facts: Facts, config: Config, version: Version) -> str:
    """Prove a version; what is said of it names the libraries that changed since it was made and made no difference."""
    gap = prove(config, version.manifest)
    if gap is not None:
        return (f"it answers; {gap.differ} of {gap.rows} otherwise than when it was registered" if gap.differ
                else "it answers as when it was registered")
    changed = artefact.changed_libraries(facts.blobs, version.manifest)
    return f"yes, though since then changed: {', '.join(changed)}" if changed else "yes"


def _places(roles: Roles, facts: Facts, config: Config) -> Iterator[Check]:
    yield Check("there is a baseline", roles.baseline is not None, roles.baseline or "none", "run `incumbent baseline`")
    beyond = roles.incumbent is not None and roles.incumbent != roles.baseline
    yield Check("the incumbent beats the baseline", beyond, roles.incumbent or "none",
                "run `incumbent gate --train`, then `incumbent promote`")
    behind = roles.previous or (roles.baseline if roles.baseline != roles.incumbent else None)
    yield Check("something stands behind the incumbent", behind is not None, behind or "nothing",
                "promote a second version: there must always be one to fall back on")
    for name in dict.fromkeys(n for n in (roles.incumbent, roles.previous, roles.baseline) if n):
        try:
            yield Check(f"{name} repeats its golden rows", True, _repeats(facts, config, roles.versions[name]), "")
        except IncumbentError as error:
            yield Check(f"{name} repeats its golden rows", False, str(error), "promote one that does, or roll back")
