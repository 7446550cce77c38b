"""What do the recorded facts say of readiness? Ledger, log counts, settings and manifests, read once.

In: the stored facts. Out: `Known`, which the tests of `found` ask. Opens no version and judges nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from incumbent.config import Config
from incumbent.errors import IncumbentError
from incumbent.loop.delivered import Delivered, gated
from incumbent.records import DAY, Event, Json, Micros, Roles, Version
from incumbent.runtimes import artefact
from incumbent.storage.base import Blobs, Totals
from incumbent.storage.opening import Facts

Data = Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class Known:
    """Everything that a test may look at. `evidence` is (event, evidence as JSON), in order; `manifests` of the
    versions in office, those that could be read."""

    config: Config
    events: Sequence[Event]
    roles: Roles
    totals: Totals
    delivered: Delivered
    evidence: Sequence[tuple[Event, Data]]
    manifests: Mapping[str, Data] = field(default_factory=dict)

    @property
    def incumbent(self) -> Version | None:
        return self.roles.versions[self.roles.incumbent] if self.roles.incumbent else None

    @property
    def model(self) -> Version | None:
        """The incumbent where it is a model, not a naive rule."""
        found = self.incumbent
        return None if found is None or found.runtime == "rule" else found

    def of(self, step: str) -> list[Data]:
        """Every evidence of a step, in order."""
        return [told for _, told in self.evidence if told["step"] == step]

    def events_of(self, *types: str) -> list[Event]:
        return [event for event in self.events if event.type in types]

    def gate_of(self, version: Version) -> Data | None:
        return gated(version, self.events)


def known(
    config: Config, facts: Facts, events: Sequence[Event], roles: Roles, totals: Totals, told: Delivered
) -> Known:
    """Read what the tests ask for; a manifest that cannot be read is left out."""
    evidence = [(event, event.data["evidence"]) for event in events if event.data.get("evidence")]
    return Known(config, events, roles, totals, told, evidence, dict(_manifests(facts.blobs, roles)))


def recipe_of(version: Version) -> str:
    """The function that trained it, without the state of its file."""
    return version.recipe.split("@")[0]


def days(since: Micros, until: Micros) -> float:
    """Days between two times."""
    return (until - since) / DAY


def alike(roles: Roles) -> list[tuple[Version, Version]]:
    """Versions of one recipe in one state of its file, on the same rows: two that should be equal."""
    found: dict[tuple[str, int, Micros | None], Version] = {}
    pairs = []
    for version in roles.versions.values():
        key = (version.recipe, version.n_rows, version.trained_until)
        if "@" in version.recipe:
            if key in found:
                pairs.append((found[key], version))
            found[key] = version
    return pairs


def _manifests(blobs: Blobs, roles: Roles) -> list[tuple[str, Data]]:
    """Those of the versions in office, and of two that should be equal."""
    wanted = [name for name in (roles.incumbent, roles.previous, roles.baseline) if name]
    wanted += [version.name for pair in alike(roles) for version in pair]
    found: list[tuple[str, Data]] = []
    for name in dict.fromkeys(wanted):
        try:
            found.append((name, artefact.manifest(blobs, roles.versions[name].manifest)))
        except IncumbentError:  # its line says that nothing was found
            continue
    return found
