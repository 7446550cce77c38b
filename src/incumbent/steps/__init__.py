"""THE FIVE STEPS. Each reads what it is given and returns evidence and proposals; it changes nothing.

A proposal is a fitted predictor that is not registered yet; only `project` registers.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from incumbent.records import Evidence, Json


@dataclass(frozen=True, slots=True)
class Proposal:
    """A predictor to be registered: a fitted estimator (or a rule specification) and what made it."""

    predictor: Any
    runtime: str
    description: str
    recipe: str = ""
    parent: str | None = None
    facts: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StepResult:
    """What a step found: evidence, the best first, and proposals in the same order where there are any."""

    evidence: tuple[Evidence, ...] = ()
    proposals: tuple[Proposal, ...] = ()
